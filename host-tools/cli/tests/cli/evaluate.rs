//! `gradgate evaluate`: what it writes, that a stopped run ends the same, and what is refused.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::{Bench, records};

const PROTOCOL: &str = r#"
name = "small"
question = "controls"
model = "tiny.onnx"
seeds = [0, 1]
resamples = 20
ours = ["mlp:norm", "composite:norm,forward", "image-statistics"]
[normal]
frames = ["normal.bin"]
[others]
methods = ["msp", "knn"]
budgets = ["equal"]
limit = 60
[[set]]
name = "strange"
kind = "far-ood"
take = { frames = ["strange.bin"] }
published = 99.0
[[set]]
name = "pgd"
kind = "attack"
attack = { method = "pgd", eps255 = 16, steps = 20 }
[[set]]
name = "like-pgd"
kind = "control"
noise_like = "pgd"
[[set]]
name = "jpeg"
kind = "control"
take = { jpeg = "50" }
"#;

fn bench() -> Bench {
    let bench = Bench::new();
    bench.write("normal.bin", records(200, 1, false));
    bench.write("strange.bin", records(60, 2, true));
    bench.write("p.toml", PROTOCOL);
    bench
}

#[test]
fn a_protocol_gives_results_report_and_scores() {
    let bench = bench();
    let told = bench.good("evaluate p.toml -o out");
    assert!(told.contains("strange") && told.contains("mlp:norm equal"), "{told}");
    let text = String::from_utf8(bench.read("out/results.json")).expect("text");
    let results: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let comparisons = results["comparisons"].as_array().expect("a list");
    // 3 of ours and 2 of others on 2 anomalous sets.
    assert_eq!(comparisons.len(), 10);
    for one in comparisons {
        let auroc = one["figures"]["auroc"]["value"].as_f64().expect("a number");
        assert!((0.0..=1.0).contains(&auroc), "{one}");
    }
    // Soft slopes against hard squares: any detector of this kind tells them apart.
    assert!(
        comparisons[0]["figures"]["auroc"]["value"].as_f64() > Some(0.95),
        "{}",
        comparisons[0]
    );
    assert_eq!(comparisons[0]["published"], 99.0);
    // 3 detectors; of the two that learnt from a set, twice, but noise like pgd only from pgd.
    let controls = results["controls"].as_array().expect("a list");
    assert_eq!(controls.len(), 2 * 2 + 2 + 2, "{controls:?}");
    let csv = String::from_utf8(bench.read("out/samples.csv")).expect("text");
    assert!(csv.starts_with("against,seed,set,frame,source,label,predicted,status,"), "{csv}");
    // 40 normal frames beside 12 strange and 40 attacked ones, for 2 seeds.
    assert_eq!(csv.lines().count(), 1 + 2 * (40 + 12 + 40 + 40));
    let tables = String::from_utf8(bench.read("out/results.md")).expect("text");
    for part in ["# small", "| strange | 60 | 60 |", "## AUROC: attack", "mlp:norm | anomalies |"] {
        assert!(tables.contains(part), "{part}: {tables}");
    }
    let page = String::from_utf8(bench.read("out/report.html")).expect("text");
    for part in ["<h1>small</h1>", "Attacked frames", "Harmless changes", "data:image/png", "ROC"] {
        assert!(page.contains(part), "{part}");
    }
    for address in ["href=", "src=\"http", "url(", "<script"] {
        assert!(!page.contains(address), "{address}: it has to open offline");
    }
    bench.good("evaluate p.toml -o again --cache out/cache");
    bench.good("evaluate p.toml -o anew");
    for name in ["results.json", "results.md", "samples.csv", "report.html"] {
        let first = bench.read(&format!("out/{name}"));
        assert!(bench.read(&format!("again/{name}")) == first, "{name} from the cache differs");
        assert!(bench.read(&format!("anew/{name}")) == first, "{name} is not repeated");
    }
}

#[test]
fn codecs_of_both_sides_and_matched_pairs_are_measured() {
    let bench = bench();
    let cell = |name: &str, keys: &str| {
        format!(
            "[[set]]\nname = \"{name}\"\nkind = \"attack\"\n\
             attack = {{ method = \"pgd\", eps255 = 16, steps = 4 }}\n{keys}\n"
        )
    };
    let head = PROTOCOL.split("[others]").next().expect("a head");
    let head = head.replace("\"controls\"", "\"per-set\"");
    let head = head.replace("resamples", "matched = true\nresamples");
    let both = "jpeg_after = \"40\"\nnormal_jpeg = \"40\"";
    let cells = [
        cell("plain", ""),
        cell("after", "jpeg_after = \"40\""),
        cell("coded", "normal_jpeg = \"40\""),
        cell("both", both),
    ];
    bench.write("cells.toml", format!("{head}{}", cells.concat()));
    bench.good("evaluate cells.toml -o out");
    let text = String::from_utf8(bench.read("out/results.json")).expect("text");
    let results: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let digest = |at: usize| results["sets"][at]["digest"].as_str().expect("a digest").to_owned();
    // The normal frames come first; the codec changes frames, that of the normal ones does not.
    assert_eq!((digest(1), digest(2)), (digest(3), digest(4)));
    assert_ne!(digest(1), digest(2));
    let comparisons = results["comparisons"].as_array().expect("a list");
    assert_eq!(comparisons.len(), 3 * 4);
    let of = |set: &str, what: &str| -> Vec<f64> {
        let own = comparisons.iter().filter(|one| one["set"] == set);
        own.map(|one| one["figures"][what]["value"].as_f64().expect("a number")).collect()
    };
    // Of the detector of normal frames the threshold is that of the coded ones, too.
    assert_ne!(of("plain", "auroc"), of("coded", "auroc"));
    assert_ne!(of("after", "auroc"), of("both", "auroc"));
    let pairs: Vec<_> =
        comparisons.iter().filter_map(|one| one["matched"]["pairs"].as_u64()).collect();
    assert!(!pairs.is_empty() && pairs.iter().all(|&pairs| pairs <= 2 * 40), "{pairs:?}");
    let page = String::from_utf8(bench.read("out/report.html")).expect("text");
    let tables = String::from_utf8(bench.read("out/results.md")).expect("text");
    assert!(page.contains("matched pairs") && tables.contains("## AUROC over matched pairs"));
    let whole = format!("{head}{}", cells.concat());
    for (from, to, says) in [
        ("\"per-set\"", "\"unseen\"", "normal_jpeg"),
        ("jpeg_after = \"40\"", "jpeg_after = \"400\"", "jpeg_after"),
        ("normal_jpeg = \"40\"", "normal_jpegs = \"40\"", "normal_jpegs"),
        (", \"image-statistics\"", "", "image-statistics"),
        (
            "[normal]",
            "[others]\nmethods = [\"msp\"]\nbudgets = [\"equal\"]\n[normal]",
            "normal_jpeg",
        ),
    ] {
        assert!(whole.contains(from), "{from}");
        bench.write("wrong.toml", whole.replace(from, to));
        let error = bench.bad("evaluate wrong.toml -o wrong");
        assert!(error.contains(says), "{from} -> {to}\nwants {says}: {error}");
    }
}

const ADAPTIVE: &str = r#"
name = "known"
question = "adaptive"
model = "tiny.onnx"
seeds = [0]
ours = ["mlp:norm", "composite:norm,forward"]
[normal]
frames = ["normal.bin"]
[[set]]
name = "pgd"
kind = "attack"
attack = { method = "pgd", eps255 = 16, steps = 20 }
[adaptive]
images = 4
[adaptive.attack]
eps = [16.0]
steps = 4
queries = 10
kappas = []
sanity_images = 2
"#;

#[test]
fn detectors_are_attacked_by_somebody_who_knows_them() {
    let bench = bench();
    bench.write("p.toml", ADAPTIVE);
    let told = bench.good("evaluate p.toml -o out");
    assert!(told.contains("selective") && told.contains("enough images"), "{told}");
    let text = String::from_utf8(bench.read("out/results.json")).expect("text");
    let results: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let found = &results["adaptive"];
    // 7 attacks, and selective without a bound, on 2 detectors at 2 rates.
    assert_eq!(found["rows"].as_array().map(Vec::len), Some(8 * 2 * 2), "{found}");
    // Four images are too few to say anything.
    assert_eq!(found["valid"], false);
    let csv = String::from_utf8(bench.read("out/adaptive.csv")).expect("text");
    assert!(csv.starts_with("attack,eps,asked,image,"), "{csv}");
    let page = String::from_utf8(bench.read("out/report.html")).expect("text");
    for part in ["Attacks by somebody who knows the detector", "VOID", "noise is far below"] {
        assert!(page.contains(part), "{part}");
    }
    bench.good("evaluate p.toml -o again --cache out/cache");
    for name in ["results.json", "adaptive.csv", "report.html"] {
        assert!(bench.read(&format!("out/{name}")) == bench.read(&format!("again/{name}")));
    }
    for (from, to, says) in [
        ("mlp:norm\"", "image-statistics\"", "norm and forward"),
        ("[16.0]", "[0.0]", "eps"),
        ("steps = 4", "step = 4", "step"),
        ("images = 4", "images = 0", "adaptive.images"),
    ] {
        bench.write("wrong.toml", ADAPTIVE.replace(from, to));
        let error = bench.bad("evaluate wrong.toml -o wrong");
        assert!(error.contains(says), "{from} -> {to}: {error}");
    }
}

#[test]
fn a_killed_run_goes_on_to_the_same_results() {
    let bench = bench();
    bench.write("p.toml", PROTOCOL.replace("steps = 20", "steps = 150"));
    bench.good("evaluate p.toml -o whole");
    let mut child = Command::new(env!("CARGO_BIN_EXE_gradgate"))
        .args(["evaluate", "p.toml", "-o", "cut"])
        .current_dir(bench.path(""))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the command starts");
    let begin = Instant::now();
    // Some attacked frames are written down, not all of them.
    let begun = || {
        let names = std::fs::read_dir(bench.path("cut/cache")).into_iter().flatten().flatten();
        let mut sizes = names
            .filter(|entry| entry.path().extension().is_some_and(|end| end == "checkpoint"))
            .filter_map(|entry| Some(entry.metadata().ok()?.len()));
        sizes.any(|size| size > 2_000)
    };
    while !begun() {
        assert!(begin.elapsed() < Duration::from_secs(60), "no frame is attacked");
        assert!(child.try_wait().expect("a child").is_none(), "the run was over");
        std::thread::sleep(Duration::from_millis(1));
    }
    child.kill().expect("is killed");
    child.wait().expect("ends");
    assert!(!bench.path("cut/results.json").exists());
    bench.good("evaluate p.toml -o cut");
    assert!(bench.read("cut/results.json") == bench.read("whole/results.json"));
}

#[test]
fn what_is_wrong_is_named_before_work_begins() {
    let bench = bench();
    bench.write("short.bin", vec![0; 3000]);
    for (from, to, says) in [
        ("question", "questions", "questions"),
        ("\"controls\"", "\"control\"", "control"),
        ("[0, 1]", "[]", "seeds"),
        ("mlp:norm\"", "mlp:norms\"", "norms"),
        ("\"msp\"", "\"mps\"", "mps"),
        ("budgets = [\"equal\"]", "", "training"),
        ("kind = \"far-ood\"", "kind = \"far\"", "far"),
        ("name = \"pgd\"", "name = \"strange\"", "another set has this name"),
        ("noise_like = \"pgd\"", "noise_like = \"fgsm\"", "fgsm"),
        ("eps255 = 16", "eps255 = 300", "pixels are 0 to 1"),
        ("eps255 = 16", "eps = 16", "eps"),
        ("\"strange.bin\"", "\"absent.bin\"", "absent.bin"),
        ("\"strange.bin\"", "\"short.bin\"", "short.bin"),
        ("\"normal.bin\"", "\"signs:test:n=60\"", "classes 0 to 3"),
        ("jpeg = \"50\"", "jpeg = \"500\"", "jpeg"),
        ("jpeg = \"50\"", "faults = [\"fogg\"]", "fogg"),
        ("\"tiny.onnx\"", "\"absent.onnx\"", "absent.onnx"),
        ("frames = [\"normal.bin\"]", "part = \"train\"", "recipe.toml"),
    ] {
        assert!(PROTOCOL.contains(from), "{from}");
        bench.write("wrong.toml", PROTOCOL.replace(from, to));
        let error = bench.bad("evaluate wrong.toml -o out");
        assert!(error.contains(says), "{from} -> {to}\nwants {says}: {error}");
        assert!(!bench.path("out/results.json").exists());
    }
    let error = bench.bad("evaluate absent.toml -o out");
    assert!(error.contains("absent.toml"), "{error}");
    if !cfg!(feature = "cuda") {
        let error = bench.bad("evaluate p.toml -o out --device cuda");
        assert!(error.contains("GPU"), "{error}");
    }
}
