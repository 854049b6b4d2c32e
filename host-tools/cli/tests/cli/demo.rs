//! `gradgate demo`: a drive without any file, and one of frames that are given.

use std::path::Path;

use crate::support::Bench;

fn json(lines: &str) -> Vec<serde_json::Value> {
    lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

#[test]
fn a_drive_is_judged_without_any_file() {
    let bench = Bench::new();
    let told = bench.good("demo --normal-tracks 24 -o drive.html");
    for part in [
        "unknown: no-stopping (unknown sign)",
        "known signs (normal)",
        "MISSED",
        "planted events stopped",
        "false stops an hour",
        "wrong classes under an open gate",
        "caught by pre-checks, before any network: 2 of 2",
        "No detector here is a defence",
        "report: drive.html",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
    let page = String::from_utf8(bench.read("drive.html")).expect("UTF-8");
    assert!(page.contains("<svg") && page.contains("attack: knows the detector"));
    let outside = page.replace("http://www.w3.org/2000/svg", "");
    assert!(!outside.contains("http") && !outside.contains("<script"));
    assert!(bench.bad("demo --seed x").contains("--seed"));
}

#[test]
fn frames_of_a_drive_for_machines() {
    let bench = Bench::new();
    let frames = json(&bench.good("demo --json --seed 1 --normal-tracks 8 -o drive.html"));
    assert!(frames.len() > 1_300, "{}", frames.len());
    let closed = |judge: &str, kind: &str| {
        let of: Vec<_> = frames.iter().filter(|frame| frame["kind"] == kind).collect();
        let closed = of.iter().filter(|frame| frame["judges"][judge]["open"] == false).count();
        closed as f64 / of.len() as f64
    };
    let (normal, unusable) = (closed("gradgate", "normal"), closed("gradgate", "unusable picture"));
    // Four frames open a gate anew after each event before.
    assert!(normal < 0.25 && unusable > 0.9, "{normal} {unusable}");
    assert!(closed("gradgate", "camera fault") > 0.4 && closed("gradgate", "harmless") < 0.3);
    // Who knows the detector gets past it: every frame is wrong, and passes.
    let knowing: Vec<_> =
        frames.iter().filter(|frame| frame["what"] == "attack: knows the detector").collect();
    assert!(!knowing.is_empty());
    for frame in knowing {
        assert_eq!(frame["right"], false);
        assert_eq!(frame["judges"]["gradgate"]["verdict"], "PASS");
    }
}

#[test]
fn given_frames_are_played_with_faults() {
    let bench = Bench::new();
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/bundles/signs.gate");
    std::fs::copy(shipped, bench.path("signs.gate")).expect("the shipped bundle");
    let real = "demo --real signs:sequence:n=800,seed=5 --bundle signs.gate -o real.html";
    let told = bench.good(real);
    assert!(told.contains("as recorded (normal)") && told.contains("noise (camera fault)"));
    assert!(bench.path("real.html").exists());
    let cases = [
        ("demo --real signs:test:n=10 --bundle signs.gate -o e.html", "too few for a drive"),
        ("demo --real signs:test -o e.html", "--bundle"),
        ("demo --bundle signs.gate -o e.html", "--real"),
        ("demo --real none.mcap --bundle signs.gate -o e.html", "none.mcap"),
        ("demo --real signs:test --bundle tiny.onnx -o e.html", "is no bundle"),
        ("demo --real signs:test --bundle signs.gate -o signs.gate", "signs.gate"),
    ];
    for (arguments, part) in cases {
        let error = bench.bad(arguments);
        assert!(error.contains(part), "{arguments}: {error}");
        assert!(!bench.path("e.html").exists(), "{arguments}");
    }
}
