//! `gradgate frontier`: table, pictures, JSON, and what is refused.

use crate::support::Bench;
use serde_json::Value;

const SETS: &str = "--normal normal.safetensors --anomalous odd=strange.safetensors";
/// Rates given, so that nothing in the report is measured.
const RATES: &str = "--rates 0.2,0.4,0.3";

fn json(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn the_frontier_is_drawn_and_repeats() {
    let bench = Bench::new();
    bench.features();
    let arguments = format!("frontier tiny.onnx {SETS} {RATES} -o f.html -o f.svg -o f.json");
    let text = bench.good(&arguments);
    for part in ["forward only", "chosen on", "reported on", "estimate", "knee:", "next: gradgate"]
    {
        assert!(text.contains(part), "{part}: {text}");
    }
    let report = json(&bench.read("f.json"));
    let points = report["points"].as_array().expect("points");
    let macs = |point: &Value| {
        ["forward", "backward", "norms"].map(|pass| point["cost"][pass].as_u64().expect("a count"))
    };
    // The same costs as `check` tells, for the same taps.
    let all = points.iter().find(|point| point["taps"] == "*").expect("all taps");
    let check = json(bench.good("check tiny.onnx --json").as_bytes());
    for (pass, count) in ["forward", "backward", "norms"].iter().zip(macs(all)) {
        assert_eq!(check["macs"][pass], count, "{pass}");
    }
    assert_eq!(check["arena_bytes"], all["cost"]["arena_bytes"]);
    assert!(check["bundle_bytes"].as_u64() < all["cost"]["bundle_bytes"].as_u64(), "no detector");
    for point in points {
        let [forward, backward, norms] = macs(point).map(|count| count as f64 * 1e-6);
        let wanted = 0.2 * forward + 0.4 * backward + 0.3 * norms;
        let time = point["cost"]["milliseconds"].as_f64().expect("a time");
        assert!((time - wanted).abs() < 1e-12, "{point}");
        let reported = &point["reported"];
        assert!(reported["low"].as_f64() <= reported["value"].as_f64(), "{point}");
    }
    let total = |point: &Value| macs(point).iter().sum::<u64>();
    assert!(points.is_sorted_by_key(total));
    assert_eq!(points[0]["family"], "forward");
    let (html, svg) = (bench.read("f.html"), bench.read("f.svg"));
    assert!(svg.starts_with(b"<svg") && html.starts_with(b"<!DOCTYPE html>"));
    bench.good(&format!("{arguments} --threads 3"));
    assert_eq!(bench.read("f.json"), serde_json_bytes(&report));
    assert_eq!((bench.read("f.html"), bench.read("f.svg")), (html, svg));
    // The knee's own command works.
    let taps =
        report["points"][report["knee"].as_u64().expect("an index") as usize]["taps"].clone();
    let taps = taps.as_str().expect("globs");
    bench.good(&format!("features tiny.onnx normal.bin -o k --limit 20 --taps {taps}"));
}

#[test]
fn frames_may_stand_in_for_features() {
    let bench = Bench::new();
    bench.features();
    let rest = format!("{RATES} --depths 2 --head gaussian");
    bench.good(&format!("frontier tiny.onnx {SETS} {rest} -o f.json"));
    let frames = "--normal normal.bin --anomalous odd=strange.bin";
    bench.good(&format!("frontier tiny.onnx {frames} {rest} -o g.json"));
    let mixed = "--normal normal.safetensors --anomalous odd=strange.bin";
    bench.good(&format!("frontier tiny.onnx {mixed} {rest} -o h.json"));
    assert_eq!(bench.read("f.json"), bench.read("g.json"));
    assert_eq!(bench.read("f.json"), bench.read("h.json"));
    let error = bench.bad(&format!(
        "frontier tiny.onnx --normal normal.bin normal.safetensors \
                                    --anomalous strange.bin {rest} -o i.json"
    ));
    assert!(error.contains("normal.bin"), "{error}");
}

#[test]
fn features_of_kept_products_cost_what_they_cost() {
    let bench = Bench::new();
    bench.features();
    let kept = "--keep-products";
    bench.good(&format!("features tiny.onnx normal.bin -o n {kept}"));
    bench.good(&format!("features tiny.onnx strange.bin -o s {kept}"));
    let sets = "--normal n --anomalous s";
    bench.good(&format!("frontier tiny.onnx {sets} {RATES} -o f.json --depths 2"));
    let report = json(&bench.read("f.json"));
    let points = report["points"].as_array().expect("points");
    let all = points.iter().find(|point| point["taps"] == "*").expect("all taps");
    let check = json(bench.good(&format!("check tiny.onnx --json {kept}")).as_bytes());
    for pass in ["forward", "backward", "norms"] {
        assert_eq!(check["macs"][pass], all["cost"][pass], "{pass}");
    }
    assert_eq!(check["arena_bytes"], all["cost"]["arena_bytes"]);
    let auto = format!("check tiny.onnx --json {kept} --taps auto --mac-budget 1.6x");
    let check = json(bench.good(&auto).as_bytes());
    let count = |pass: &str| check["macs"][pass].as_u64().expect("a count") as f64;
    assert!(count("verdict") <= 1.6 * count("forward"), "{check}");
}

fn serde_json_bytes(report: &Value) -> Vec<u8> {
    let report: gradgate_detect::frontier::FrontierReport =
        serde_json::from_value(report.clone()).expect("a report");
    format!("{}\n", report.to_json().expect("finite")).into_bytes()
}

#[test]
fn heads_budgets_and_measured_rates() {
    let bench = Bench::new();
    bench.features();
    let text = bench.good(&format!("frontier tiny.onnx {SETS} -o f.json --depths 2 --all"));
    assert!(text.contains("measured here") && text.contains("from fc, weights"), "{text}");
    let report = json(&bench.read("f.json"));
    assert!(report["rates"]["forward"].as_f64().is_some_and(|rate| rate > 0.0), "{report}");
    let budget = "--mac-budget 1.3x --head gaussian --inputs norm --depths 3";
    bench.good(&format!("frontier tiny.onnx {SETS} {RATES} -o f.json {budget}"));
    let report = json(&bench.read("f.json"));
    let knee = &report["points"][report["knee"].as_u64().expect("an index") as usize]["cost"];
    let total: u64 =
        ["forward", "backward", "norms"].iter().filter_map(|pass| knee[pass].as_u64()).sum();
    assert!(Some(total) <= report["limit"].as_u64(), "{report}");
    assert_eq!((&report["head"], &report["inputs"]), (&"gaussian".into(), &"norm".into()));
    // An MLP trains on most of the anomalous frames, so that it takes more of them to choose by.
    bench.write("many.bin", crate::support::records(120, 3, true));
    bench.good("features tiny.onnx many.bin -o many.safetensors");
    let mlp = "--anomalous many.safetensors --head mlp --depths 1";
    let text = bench
        .good(&format!("frontier tiny.onnx --normal normal.safetensors {RATES} -o f.svg {mlp}"));
    assert!(text.contains("head mlp"), "{text}");
}

#[test]
fn bad_frontiers_by_table() {
    let bench = Bench::new();
    bench.features();
    bench.copy("tiny_dynamo_folded.onnx", "folded.onnx");
    bench.write("few.bin", crate::support::records(30, 1, false));
    bench.good("features tiny.onnx few.bin -o few.safetensors");
    bench.good("features tiny.onnx normal.bin -o part.safetensors --taps fc.*");
    bench.good("features tiny.onnx strange.bin -o odd-part.safetensors --taps fc.*");
    bench.good("features tiny.onnx strange.bin -o zeros.safetensors --label zeros");
    let before = bench.names();
    let with = |rest: &str| format!("frontier tiny.onnx {SETS} {RATES} {rest}");
    let cases = [
        (with("-o new.png"), ".svg"),
        (with("-o absent/new.svg"), "absent/new.svg"),
        (with("-o new.svg --head svm"), "composite"),
        (with("-o new.svg --head energy"), "no gradient norms"),
        (with("-o new.svg --inputs forward"), "must hold norm"),
        (with("-o new.svg --mac-budget 10"), "budget"),
        (with("-o new.svg --mac-budget 0.3x"), "1x is the least"),
        (with("-o new.svg --mac-budget many"), "60M"),
        (with("-o new.svg --depths 0"), "--depths"),
        (format!("frontier tiny.onnx {SETS} -o new.svg --rates 1,2"), "0.2,0.3,0.2"),
        (with("-o new.svg --head mlp"), "10 different sources"),
        (format!("frontier folded.onnx {SETS} -o new.svg"), "another model"),
        (format!("frontier absent.onnx {SETS} -o new.svg"), "absent.onnx"),
        ("frontier tiny.onnx --normal normal.safetensors -o new.svg".into(), "--anomalous"),
        (
            "frontier tiny.onnx --normal few.safetensors --anomalous strange.safetensors -o new.svg"
                .into(),
            "10 different sources",
        ),
        (
            "frontier tiny.onnx --normal part.safetensors --anomalous odd-part.safetensors \
             -o new.svg"
                .into(),
            "without --taps",
        ),
        (
            "frontier tiny.onnx --normal normal.safetensors --anomalous zeros.safetensors \
             -o new.svg"
                .into(),
            "label",
        ),
        (
            "frontier tiny.onnx --normal normal.safetensors --anomalous normal.safetensors \
             -o new.svg"
                .into(),
            "given twice",
        ),
    ];
    for (arguments, culprit) in cases {
        let error = bench.bad(&arguments);
        assert!(error.contains(culprit), "gradgate {arguments}\nwants {culprit}: {error}");
        assert_eq!(bench.names(), before, "gradgate {arguments} left something");
    }
}
