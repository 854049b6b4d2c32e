//! `gradgate explain`: the page of one frame.

use std::path::Path;

use crate::support::Bench;

fn bench() -> Bench {
    let bench = Bench::new();
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/bundles/signs.gate");
    std::fs::copy(shipped, bench.path("signs.gate")).expect("the shipped bundle");
    bench
}

#[test]
fn a_page_holds_all_reasons_and_reaches_for_nothing() {
    let bench = bench();
    let lines = bench.good("run signs.gate signs:unseen:n=8 --json");
    let judged: serde_json::Value =
        serde_json::from_str(lines.lines().nth(7).expect("8 frames")).expect("JSON");
    bench.good(
        "explain signs.gate signs:unseen:n=8 --index 7 -o why.html --normal signs:calibration \
         --normal-limit 40",
    );
    let page = String::from_utf8(bench.read("why.html")).expect("UTF-8");
    let score = format!("Score {:.4}", judged["score"].as_f64().expect("a score"));
    let verdict = judged["verdict"].as_str().expect("a verdict");
    for part in [
        score.as_str(),
        verdict,
        "as the model saw it",
        "activation norm times cotangent norm",
        "all tensors at normal values",
        "stem.conv.weight",
        "signs:calibration (40 frames)",
        "distance",
        "No defence against an attacker",
    ] {
        assert!(page.contains(part), "{part}");
    }
    let images = page.matches("data:image/png;base64,").count();
    assert_eq!(images, 2 + 8, "the frame, the map, eight neighbours");
    let outside = page.replace("http://www.w3.org/2000/svg", "");
    for reach in ["http:", "https:", "<script", "<link", "url("] {
        assert!(!outside.contains(reach), "{reach}");
    }
    // The same frame gives the same page.
    bench.good(
        "explain signs.gate signs:unseen:n=8 --index 7 -o again.html --normal signs:calibration \
         --normal-limit 40",
    );
    assert_eq!(bench.read("why.html"), bench.read("again.html"));
}

#[test]
fn a_chosen_layer_and_a_picture_that_is_unusable() {
    let bench = bench();
    bench.good("explain signs.gate signs:test:n=1 -o stem.html --layer stem.conv");
    let page = String::from_utf8(bench.read("stem.html")).expect("UTF-8");
    assert!(page.contains("gradient of stem.conv.weight is made"), "{page}");
    bench.write("black.ppm", [b"P6 32 32 255\n".as_slice(), &[0; 3 * 32 * 32]].concat());
    bench.good("explain signs.gate black.ppm -o black.html");
    let page = String::from_utf8(bench.read("black.html")).expect("UTF-8");
    assert!(page.contains("UNKNOWN") && page.contains("SENSOR"), "{page}");
}

#[test]
fn every_gate_event_of_a_run_has_its_page() {
    let bench = bench();
    // In one of ten tracks the gate opens and closes again.
    let run = "run signs.gate signs:sequence:n=500,seed=8 --evidence events/";
    let told = bench.good(&format!("{run} --normal signs:calibration --normal-limit 20"));
    let pages: Vec<_> = std::fs::read_dir(bench.path("events")).expect("a folder").collect();
    assert!(!pages.is_empty(), "{told}");
    assert!(told.contains(&format!("evidence: {} pages in events", pages.len())), "{told}");
    let page = String::from_utf8(bench.read("events/event-0001.html")).expect("UTF-8");
    for part in ["Gate CLOSED, BLOCKS", "score moved by", "The nearest normal frames"] {
        assert!(page.contains(part), "{part}");
    }
    assert!(bench.bad(run).contains("is not empty"));
    let error = bench.bad("run signs.gate signs:test:n=2 --normal signs:test:n=2");
    assert!(error.contains("--evidence"), "{error}");
}

#[test]
fn what_cannot_be_explained_is_named_and_leaves_no_page() {
    let bench = bench();
    let cases = [
        ("explain signs.gate signs:test:n=3 -o e.html", "holds 3 frames: choose one with --index"),
        ("explain signs.gate signs:test:n=3 --index 3 -o e.html", "3"),
        ("explain signs.gate signs:test:n=1 --layer nothing -o e.html", "there are stem.conv"),
        ("explain signs.gate signs:test:n=1 --layer conv -o e.html", "is part of 7 names"),
        ("explain tiny.onnx signs:test:n=1 -o e.html", "is no bundle"),
        ("explain signs.gate missing.png -o e.html", "missing.png"),
        ("explain signs.gate signs:test:n=1 --normal none/ -o e.html", "none"),
        ("explain signs.gate signs:test:n=1 -o signs.gate", "signs.gate"),
    ];
    for (arguments, part) in cases {
        let told = bench.bad(arguments);
        assert!(told.contains(part), "{arguments}: {told}");
        assert!(!bench.path("e.html").exists(), "{arguments}");
    }
}
