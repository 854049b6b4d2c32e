//! `gradgate evade`: an attack that knows the detector.

use std::path::Path;

use crate::support::Bench;

#[test]
fn images_that_evade_are_wrong_and_pass() {
    let bench = Bench::new();
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models");
    let net = models.join("trained/resnet8-signs/model.onnx");
    std::fs::copy(net, bench.path("net.onnx")).expect("the trained network");
    bench.good("features net.onnx signs:calibration:n=400 -o normal.safetensors");
    bench.good("fit --normal normal.safetensors --false-alarm-rate 0.1 -o d.json");
    bench.good("pack net.onnx --detector d.json -o net.gate");
    let told = bench.good("evade net.onnx signs:test:n=6 --detector d.json --steps 40 -o e.st");
    assert!(told.contains("selective at 8/255, 40 steps"), "{told}");
    let lines = bench.good("run net.gate e.st --json");
    let judged: Vec<serde_json::Value> =
        lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert!(judged.len() >= 2, "{told}");
    for frame in &judged {
        assert_eq!(frame["verdict"], "PASS", "{frame}");
        assert_ne!(frame["class"], frame["label"], "{frame}");
    }
    let cases = [
        ("evade net.onnx signs:test:n=2 --detector none.json -o f.st", "none.json"),
        ("evade tiny.onnx signs:test:n=2 --detector d.json -o f.st", "for another model"),
        ("evade net.onnx signs:test:n=2 --detector d.json --eps255 0 -o f.st", "eps"),
        ("evade net.onnx signs:test:n=2 --detector d.json --steps 0 -o f.st", "steps"),
    ];
    for (arguments, part) in cases {
        let error = bench.bad(arguments);
        assert!(error.contains(part), "{arguments}: {error}");
        assert!(!bench.path("f.st").exists());
    }
}
