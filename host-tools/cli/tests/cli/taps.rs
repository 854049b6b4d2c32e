//! `--taps auto --mac-budget N`: what it chooses, where the choice is kept, what is refused.

use crate::support::Bench;
use serde_json::Value;

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn macs(check: &Value, what: &str) -> u64 {
    check["macs"][what].as_u64().unwrap_or_else(|| panic!("{what}: {check}"))
}

#[test]
fn a_budget_is_kept_and_used() {
    let bench = Bench::new();
    let all = json(&bench.good("check tiny.onnx --json"));
    assert_eq!(all["taps"], "*");
    let forward = macs(&all, "forward");
    let mut last = 0;
    for factor in ["1x", "1.3x", "1.6x", "2x", "9x"] {
        let check = format!("check tiny.onnx --json --taps auto --mac-budget {factor}");
        let check = json(&bench.good(&check));
        let verdict = macs(&check, "verdict");
        let limit: f64 = factor.trim_end_matches('x').parse().expect("a number");
        assert!(verdict as f64 <= limit * forward as f64, "{factor}: {check}");
        assert!(verdict >= last, "{factor}: {check}");
        last = verdict;
    }
    assert_eq!(last, macs(&all, "verdict"), "a large budget takes every parameter");
    let none = json(&bench.good("check tiny.onnx --json --taps auto --mac-budget 1x"));
    assert_eq!(none["taps"], "none");
    // The largest suffix: one multiply-add less than it costs takes a smaller one.
    let exact = format!("check tiny.onnx --json --taps auto --mac-budget {last}");
    assert_eq!(json(&bench.good(&exact))["taps"], "*");
    let less = format!("check tiny.onnx --json --taps auto --mac-budget {}", last - 1);
    assert_ne!(json(&bench.good(&less))["taps"], "*");
}

#[test]
fn files_hold_the_parameters_and_never_the_word() {
    let bench = Bench::new();
    bench.write("normal.bin", crate::support::records(320, 1, false));
    let auto = "--taps auto --mac-budget 1.6x";
    let outcome = bench.run(&format!("features tiny.onnx normal.bin -o f {auto}"));
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    let line = outcome.stderr.lines().find(|line| line.starts_with("taps: "));
    let line = line.unwrap_or_else(|| panic!("the choice is told: {}", outcome.stderr));
    assert!(outcome.stderr.contains("x the forward pass"), "{}", outcome.stderr);
    let globs = line["taps: ".len()..].split(' ').next().expect("globs");
    // The same taps by hand give the same file.
    bench.good(&format!("features tiny.onnx normal.bin -o g --taps {globs}"));
    assert_eq!(bench.read("f"), bench.read("g"));
    bench.good("fit --normal f -o d.json");
    bench.good("pack tiny.onnx --detector d.json -o tiny.gate");
    let check = json(&bench.good(&format!("check tiny.onnx --json {auto}")));
    assert_eq!(check["taps"], globs);
    let parameters = json(&bench.good("inspect tiny.gate --json"))["schema"]["parameters"].clone();
    let count = parameters.as_array().map_or(0, Vec::len);
    assert!(count > 0 && count < 11, "{parameters}");
    for file in ["f", "d.json", "tiny.gate"] {
        let bytes = bench.read(file);
        assert!(!bytes.windows(4).any(|word| word == b"auto"), "{file}");
    }
    bench.good(&format!("expand tiny.onnx -o e.onnx {auto}"));
    let report = json(&bench.good(&format!("bench tiny.onnx --json {auto}")));
    assert!(report["verdict_ms_min"].as_f64().is_some_and(|ms| ms > 0.0), "{report}");
}

#[test]
fn bad_budgets_by_table() {
    let bench = Bench::new();
    bench.bundle();
    let before = bench.names();
    let features = "features tiny.onnx normal.bin -o new";
    let cases = [
        (format!("{features} --taps auto"), "--mac-budget"),
        (format!("{features} --mac-budget 60M"), "--taps auto"),
        (format!("{features} --taps fc.* --mac-budget 60M"), "--taps auto"),
        (format!("{features} --taps auto --mac-budget 0.5x"), "1x is the least"),
        (format!("{features} --taps auto --mac-budget -1x"), "1.5x"),
        (format!("{features} --taps auto --mac-budget nan"), "1.5x"),
        (format!("{features} --taps auto --mac-budget 1e9"), "60M"),
        (format!("{features} --taps auto --mac-budget 10"), "the smallest budget is"),
        ("features tiny.gate normal.bin -o new --mac-budget 9M".into(), "--mac-budget"),
        ("check tiny.onnx --taps auto --mac-budget 10".into(), "the smallest budget is"),
        ("check tiny.onnx --taps nothing.*".into(), "nothing.*"),
        ("expand tiny.onnx -o new --taps auto".into(), "--mac-budget"),
        ("bench tiny.gate --taps fc.*".into(), "ONNX"),
        ("bench tiny.onnx --taps auto".into(), "--mac-budget"),
    ];
    for (arguments, culprit) in cases {
        let error = bench.bad(&arguments);
        assert!(error.contains(culprit), "gradgate {arguments}\nwants {culprit}: {error}");
        assert_eq!(bench.names(), before, "gradgate {arguments} left something");
    }
}
