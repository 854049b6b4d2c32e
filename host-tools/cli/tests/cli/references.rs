//! `gradgate references` and `--references`: the whole path with alignments, and what is refused.

use crate::support::{Bench, records};
use gradgate_detect::FeatureSet;
use gradgate_detect::references::References;
use serde_json::Value;

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// Sums of multiply-adds by step.
fn macs_of_steps(inspect: &Value) -> u64 {
    let steps = inspect["steps"].as_array().into_iter().flatten();
    steps.filter_map(|step| step["macs"].as_u64()).sum()
}

impl Bench {
    /// As [`Bench::features`], with references `r` of all weights from 80 frames of their own.
    fn aligned(&self) {
        self.write("spare.bin", records(80, 3, false));
        self.write("normal.bin", records(400, 1, false));
        self.write("strange.bin", records(60, 2, true));
        self.good("references tiny.onnx --normal spare.bin -o r --layers *");
        self.good("features tiny.onnx normal.bin -o normal --references r");
        self.good("features tiny.onnx strange.bin -o strange --references r");
    }

    fn set(&self, name: &str) -> FeatureSet {
        FeatureSet::read(&self.path(name)).expect("features")
    }

    /// The references `r`, changed, as another file.
    fn changed(&self, name: &str, change: impl FnOnce(&mut References)) {
        let mut references = References::read(&self.path("r")).expect("references");
        change(&mut references);
        references.write(&self.path(name)).expect("they can be written");
    }
}

#[test]
fn from_references_to_verdict() {
    let bench = Bench::new();
    bench.aligned();
    let set = bench.set("normal");
    let weights = &set.metadata.alignments;
    assert!(
        weights.len() > 2 && weights.iter().all(|name| name.ends_with(".weight")),
        "{weights:?}"
    );
    assert!(set.alignments.iter().all(|cosine| cosine.abs() <= 1.0 + 1e-5));
    let sets = "--normal normal --anomalous odd=strange";
    let report = bench.good(&format!("fit {sets} -o d.json"));
    for inputs in ["inputs norm,forward,alignment", "forward,alignment"] {
        assert!(report.contains(inputs), "{inputs}: {report}");
    }
    bench.good("pack tiny.onnx --detector d.json -o tiny.gate --references r");
    bench.good("verify tiny.gate");
    let inspect = json(&bench.good("inspect tiny.gate --json"));
    assert_eq!(inspect["schema"]["alignments"].as_array().map(Vec::len), Some(weights.len()));
    assert_eq!(inspect["detector"]["inputs"], "norm,forward,alignment");
    bench.good("features tiny.gate normal.bin -o bundle --references r");
    assert_eq!(bench.read("normal"), bench.read("bundle"), "the bundle gives the model's features");
    let passed = |frames: &str| {
        let lines = bench.good(&format!("run tiny.gate {frames} --json"));
        lines.lines().filter(|line| json(line)["verdict"] == "PASS").count()
    };
    // Strange frames that repeat are UNKNOWN.
    let (normal, strange) = (passed("normal.bin"), passed("strange.bin"));
    assert!(normal >= 360 && strange == 0, "{normal} of 400, {strange} of 60");
    bench.good("expand tiny.onnx -o e.onnx --references r");
    bench.good("expand tiny.onnx -o f.onnx --references r --detector d.json");
}

#[test]
fn references_repeat_whatever_the_threads() {
    let bench = Bench::new();
    bench.aligned();
    let text = bench.good("references tiny.onnx --normal spare.bin -o one --layers * --threads 1");
    for part in ["80 frames", "agreement", "fc.weight", "next: gradgate features tiny.onnx"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert_eq!(bench.read("one"), bench.read("r"));
    // The last third of the weights, when none are named.
    bench.good("references tiny.onnx --normal spare.bin -o third");
    let count = |name: &str| References::read(&bench.path(name)).expect("references").layers.len();
    assert_eq!(count("third"), count("r").div_ceil(3));
    // What fitted the references is left out of features, wherever it lies.
    bench.write("mixed.bin", [bench.read("spare.bin"), bench.read("strange.bin")].concat());
    let outcome = bench.run("features tiny.onnx mixed.bin -o mixed --references r");
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    assert!(outcome.stderr.contains("80 frames fitted the references"), "{}", outcome.stderr);
    assert_eq!(bench.set("mixed").alignments, bench.set("strange").alignments);
}

#[test]
fn interpreter_and_engine_agree_on_alignments() {
    let bench = Bench::new();
    bench.aligned();
    let interp = "features tiny.onnx strange.bin -o interp --references r --executor interp";
    bench.good(interp);
    let (engine, interp) = (bench.set("strange"), bench.set("interp"));
    assert_eq!(engine.metadata.alignments, interp.metadata.alignments);
    for (at, (a, b)) in engine.alignments.iter().zip(&interp.alignments).enumerate() {
        // f32 against f64 over sums of some hundred terms, relative to a cosine of 1.
        assert!((a - b).abs() <= 1e-4, "{at}: {a} {b}");
    }
}

#[test]
fn check_counts_alignments() {
    let bench = Bench::new();
    bench.aligned();
    let plain = json(&bench.good("check tiny.onnx --json"));
    let check = json(&bench.good("check tiny.onnx --json --references r"));
    assert_eq!(plain["alignments"], Value::Array(vec![]));
    let weights = bench.set("normal").metadata.alignments;
    assert_eq!(check["alignments"], Value::from(weights));
    for pass in ["forward", "backward"] {
        assert_eq!(check["macs"][pass], plain["macs"][pass], "{pass}");
    }
    assert!(check["macs"]["norms"].as_u64() > plain["macs"]["norms"].as_u64(), "{check}");
    assert!(check["bundle_bytes"].as_u64() > plain["bundle_bytes"].as_u64(), "{check}");
    // As many as the packed steps take.
    bench.good("fit --normal normal -o d.json");
    bench.good("pack tiny.onnx --detector d.json -o tiny.gate --references r");
    let inspect = json(&bench.good("inspect tiny.gate --json"));
    assert_eq!(check["macs"]["verdict"].as_u64(), Some(macs_of_steps(&inspect)));
    let text = bench.good("check tiny.onnx --references r");
    assert!(text.contains("alignments of") && text.contains("--references r\n"), "{text}");
}

#[test]
fn a_budget_pays_for_alignments() {
    let bench = Bench::new();
    bench.aligned();
    let check = |rest: &str| json(&bench.good(&format!("check tiny.onnx --json {rest}")));
    let verdict = |check: &Value| check["macs"]["verdict"].as_u64().expect("a count");
    let (plain, aligned) = (verdict(&check("")), verdict(&check("--references r")));
    assert!(plain < aligned);
    // Enough for all norms, not for their alignments.
    let auto = format!("--taps auto --mac-budget {plain}");
    assert_eq!(check(&auto)["taps"], "*");
    let less = check(&format!("{auto} --references r"));
    assert_ne!(less["taps"], "*", "{less}");
    assert!(verdict(&less) <= plain, "{less}");
    let all = check(&format!("--taps auto --mac-budget {aligned} --references r"));
    assert_eq!((all["taps"].as_str(), verdict(&all)), (Some("*"), aligned));
    // `features` and `expand` choose the same.
    bench.good(&format!("features tiny.onnx strange.bin -o f {auto} --references r"));
    let taps = less["taps"].as_str().expect("globs");
    bench.good(&format!("features tiny.onnx strange.bin -o g --taps {taps} --references r"));
    assert_eq!(bench.read("f"), bench.read("g"));
    bench.good(&format!("expand tiny.onnx -o e.onnx {auto} --references r"));
}

#[test]
fn the_frontier_pays_for_alignments() {
    let bench = Bench::new();
    bench.aligned();
    let rest = "--rates 0.2,0.4,0.3 --depths 2 --head gaussian";
    let sets = "--normal normal --anomalous odd=strange";
    let report = |arguments: &str| {
        let text = bench.good(&format!("frontier tiny.onnx {arguments} {rest} -o f.json"));
        (text, json(&String::from_utf8(bench.read("f.json")).expect("UTF-8")))
    };
    let (text, with) = report(&format!("{sets} --references r"));
    assert_eq!(with["inputs"], "norm,forward,alignment");
    let (plain_text, without) = report(&format!("{sets} --inputs norm,forward"));
    let cost = |report: &Value, taps: &str, pass: &str| {
        let points = report["points"].as_array().expect("points");
        let point = points.iter().find(|point| point["taps"] == taps);
        point.unwrap_or_else(|| panic!("{taps}: {report}"))["cost"][pass].as_u64()
    };
    // A subset costs what `check` says of its taps, with the alignments of its weights or without.
    for (report, references) in [(&with, "--references r"), (&without, "")] {
        for taps in ["*", "fc.*", "fc.weight"] {
            let check = format!("check tiny.onnx --json --taps {taps} {references}");
            let check = json(&bench.good(&check));
            for pass in ["forward", "backward", "norms"] {
                assert_eq!(cost(report, taps, pass), check["macs"][pass].as_u64(), "{taps} {pass}");
            }
        }
    }
    assert!(cost(&with, "*", "norms") > cost(&without, "*", "norms"));
    // A bias has no alignment.
    assert_eq!(cost(&with, "fc.bias", "norms"), cost(&without, "fc.bias", "norms"));
    assert!(!plain_text.contains("--references"), "{plain_text}");
    let knee = &with["points"][with["knee"].as_u64().expect("an index") as usize];
    let names = knee["parameters"].to_string();
    assert_eq!(text.contains("--references r\n"), names.contains(".weight"), "{text}");
    // Alignments that are not read need not be there.
    bench.good("features tiny.onnx strange.bin -o strange-plain");
    let plain = "--normal normal --anomalous odd=strange-plain --inputs norm,forward";
    assert_eq!(report(plain).1, without);
    let frames = "--normal normal --anomalous odd=strange.bin --inputs norm,forward";
    assert_eq!(report(frames).1, without);
    // Frames in place of features; those that fitted the references are left out of them.
    let (_, same) = report("--normal normal.bin --anomalous odd=strange.bin --references r");
    let unnamed = |report: &Value| {
        let mut report = report.clone();
        report["normal"] = Value::Null;
        report
    };
    assert_eq!(unnamed(&same), unnamed(&with));
}

/// Files that are no references of this model, and what a command that is given one names.
const BAD_FILES: &[(&str, &str)] = &[
    ("absent", "absent"),
    (".", "--references ."),
    ("cut-head", "cut-head"),
    ("cut", "cut"),
    ("nan", "not finite"),
    ("empty.bin", "empty.bin"),
    ("normal", "needs what `references` wrote"),
    ("tiny.onnx", "needs what `references` wrote"),
    ("folded-r", "another model"),
    ("three", "other lengths"),
    ("renamed", "conv9.weight"),
    ("bias", "fc.bias"),
    ("twice", "twice"),
    ("long", "not of length 1"),
];

const REFERENCES: &[(&str, &str)] = &[
    ("--normal absent.bin", "absent.bin"),
    ("--normal empty.bin", "empty.bin"),
    ("--normal none", "none"),
    ("--normal spare.bin --limit 0", "--limit"),
    ("--normal spare.bin --layers nothing.*", "nothing.*"),
    ("--normal spare.bin --layers *.bias", "no weight of one convolution"),
    ("--normal spare.bin --label sevens", "sevens"),
    ("--normal spare.bin --preprocessing std=nan", "std"),
    ("", "--normal"),
];

const FEATURES: &[(&str, &str)] = &[
    ("tiny.onnx normal.bin --references r --label zeros", "another label"),
    ("tiny.onnx normal.bin --references r --preprocessing range=-1,1", "another preprocessing"),
    ("tiny.onnx normal.bin --references r --taps fc.bias", "no tapped parameter has references"),
    // Every frame fitted the references.
    ("tiny.onnx spare.bin --references r", "no frames"),
    ("tiny.gate normal.bin", "reads alignments"),
    ("tiny.gate normal.bin --references absent", "absent"),
    ("tiny.gate normal.bin --references cut", "cut"),
    ("tiny.gate normal.bin --references strange-r", "was not packed with"),
    ("plain.gate normal.bin --references r", "was not packed with"),
];

const FIT: &[(&str, &str)] = &[
    ("--normal plain --inputs alignment", "features --references"),
    ("--normal normal --anomalous strange-plain", "alignments"),
    ("--normal normal --anomalous zeros", "label"),
];

const PACK: &[(&str, &str)] = &[
    ("--detector d.json", "fitted on alignments"),
    ("--detector d.json --references absent", "absent"),
    ("--detector d.json --references cut", "cut"),
    ("--detector d.json --references nan", "not finite"),
    ("--detector d.json --references strange-r", "other references"),
    ("--detector d.json --references folded-r", "other references"),
    ("--detector plain.json --references r", "fitted without alignments"),
];

const FRONTIER: &[(&str, &str)] = &[
    ("normal --anomalous strange", "hold alignments"),
    ("normal --anomalous strange --references absent", "absent"),
    ("normal --anomalous strange --references strange-r", "other references"),
    ("normal --anomalous strange --references r --inputs alignment", "must hold norm"),
    ("normal --anomalous strange --references r --inputs norm", "leaves alignment out"),
    ("plain --anomalous strange-plain --references r", "compute them with"),
    ("plain --anomalous strange-plain --inputs norm,alignment", "features --references"),
];

/// Others: the whole command.
const OTHERS: &[(&str, &str)] = &[
    ("references tiny.onnx --normal spare.bin -o spare.bin", "both input and output"),
    ("references tiny.onnx --normal spare.bin -o absent/new", "absent/new"),
    ("references absent.onnx --normal spare.bin -o new", "absent.onnx"),
    ("references tiny.gate --normal spare.bin -o new", "ONNX"),
    ("features tiny.onnx normal.bin -o r --references r", "both input and output"),
];

/// Everything that the tables name, beside [`Bench::aligned`].
fn spoil(bench: &Bench) {
    bench.copy("tiny_dynamo_folded.onnx", "folded.onnx");
    bench.good("references folded.onnx --normal spare.bin -o folded-r");
    bench.good("references tiny.onnx --normal strange.bin -o strange-r --layers *");
    bench.good("references tiny.onnx --normal spare.bin -o zeros-r --label zeros --layers *");
    bench.good("features tiny.onnx normal.bin -o plain");
    bench.good("features tiny.onnx strange.bin -o strange-plain");
    bench.good("features tiny.onnx strange.bin -o zeros --references zeros-r");
    bench.good("fit --normal normal -o d.json");
    bench.good("fit --normal plain -o plain.json");
    bench.good("pack tiny.onnx --detector d.json -o tiny.gate --references r");
    bench.good("pack tiny.onnx --detector plain.json -o plain.gate");
    bench.write("empty.bin", "");
    std::fs::create_dir(bench.path("none")).expect("creates");
    let file = bench.read("r");
    bench.write("cut-head", &file[..100]);
    bench.write("cut", &file[..file.len() - 4]);
    // The last value of the last factor.
    bench.write("nan", [&file[..file.len() - 4], &f32::NAN.to_le_bytes()].concat());
    bench.changed("three", |r| {
        r.counts.pop();
        for layer in &mut r.layers {
            layer.u.truncate(3 * layer.shape.outputs);
            layer.v.truncate(3 * layer.shape.groups * layer.shape.inputs);
        }
    });
    bench.changed("renamed", |r| r.layers[0].shape.parameter = "conv9.weight".into());
    bench.changed("bias", |r| r.layers[0].shape.parameter = "fc.bias".into());
    bench.changed("twice", |r| r.layers[1] = r.layers[0].clone());
    bench.changed("long", |r| r.layers[0].u[0] += 7.0);
}

#[test]
fn bad_references_by_table() {
    let bench = Bench::new();
    bench.aligned();
    spoil(&bench);
    let before = bench.names();
    let check = |arguments: &str, culprit: &str| {
        let error = bench.bad(arguments);
        assert!(error.contains(culprit), "gradgate {arguments}\nwants {culprit}: {error}");
        assert_eq!(bench.names(), before, "gradgate {arguments} left something");
    };
    let commands = [
        ("references tiny.onnx -o new", REFERENCES),
        ("features -o new", FEATURES),
        ("fit -o new", FIT),
        ("pack tiny.onnx -o new", PACK),
        ("frontier tiny.onnx -o new.svg --rates 1,1,1 --normal", FRONTIER),
        ("", OTHERS),
    ];
    for (command, cases) in commands {
        cases.iter().for_each(|(rest, culprit)| check(&format!("{command} {rest}"), culprit));
    }
    let takers =
        ["features tiny.onnx normal.bin -o new", "check tiny.onnx", "expand tiny.onnx -o new"];
    for (file, culprit) in BAD_FILES {
        takers.iter().for_each(|taker| check(&format!("{taker} --references {file}"), culprit));
    }
}
