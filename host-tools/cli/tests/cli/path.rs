//! The whole path through the built command, on a tiny model and generated frames.

use crate::support::{Bench, ppm};
use serde_json::Value;

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn check_tells_what_a_model_needs() {
    let bench = Bench::new();
    let text = bench.good("check tiny.onnx");
    for part in [
        "supported",
        "conv1.weight",
        "not folded",
        "multiply-adds",
        "arena",
        "cortex-m4f",
        "next: gradgate features tiny.onnx",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let check = json(&bench.good("check tiny.onnx --json"));
    assert_eq!(check["supported"], true);
    assert_eq!(check["parameters"][0]["name"], "conv1.weight");
    assert_eq!(check["classes"], 4);
    assert!(check["arena_bytes"].as_u64().is_some_and(|bytes| bytes > 0));
    assert_eq!(check["smallest_class"], "cortex-m4f");
    assert!(text.contains("smallest class that holds it: cortex-m4f"), "{text}");
    let inspect = json(&bench.good("inspect tiny.onnx --json"));
    assert_eq!(inspect["smallest_class"], "cortex-m4f");
    assert!(bench.good("inspect tiny.onnx").contains("smallest class cortex-m4f"));
    assert_eq!(inspect["schema"]["parameters"].as_array().map(Vec::len), Some(11));
}

#[test]
fn unsupported_nodes_are_all_named() {
    let bench = Bench::new();
    bench.copy("unsupported_two.onnx", "two.onnx");
    let error = bench.bad("check two.onnx");
    assert!(error.contains("two.onnx") && error.contains("2 nodes"), "{error}");
    let outcome = bench.run("check two.onnx --json");
    assert_eq!(outcome.code, 2);
    let nodes = json(&outcome.stdout)["nodes"].clone();
    assert_eq!(nodes.as_array().map(Vec::len), Some(2), "{nodes}");
}

#[test]
fn a_folded_model_is_told_and_shown_how_to_export() {
    let bench = Bench::new();
    bench.copy("tiny_dynamo_folded.onnx", "folded.onnx");
    let text = bench.good("check folded.onnx");
    assert!(text.contains("folded into") && text.contains("torch.onnx.export"), "{text}");
}

#[test]
fn from_model_to_verdict() {
    let bench = Bench::new();
    bench.features();
    let report =
        bench.good("fit --normal normal.safetensors --anomalous odd=strange.safetensors -o d.json");
    assert!(report.contains("promise: at most 5.000 %") && report.contains("odd"), "{report}");
    assert!(report.contains("the audit frames are independent images"), "{report}");
    bench.write("names.txt", "ant\nbee\ncat\ndog\n");
    bench.write("policy.toml", "mode = \"enforce\"\nk = 2\nm = 4\n");
    bench.good("keygen -o key");
    let refused = bench.bad("pack tiny.onnx --detector d.json -o tiny.gate --policy policy.toml");
    assert!(refused.contains("alarms per frame on \"normal.bin\""), "{refused}");
    bench.good(
        "pack tiny.onnx --detector d.json -o tiny.gate --policy policy.toml --classes names.txt \
         --enforce-on-dataset normal.bin --device-class cortex-m4f --release 7 --sign key",
    );
    let verified = bench.good("verify tiny.gate --key key.pub");
    assert!(verified.contains("good") && verified.contains("every bit"), "{verified}");
    assert!(bench.good("verify tiny.gate").contains("NOT CHECKED"));
    let inspect = json(&bench.good("inspect tiny.gate --json --plan plan.svg"));
    assert_eq!(inspect["policy"]["mode"], "enforce");
    assert_eq!(inspect["release"], 7);
    assert_eq!(inspect["device_class"], "cortex-m4f");
    assert_eq!(inspect["classes"][2], "cat");
    assert_eq!(inspect["detector"]["head"], "composite");
    assert!(bench.read("plan.svg").starts_with(b"<svg"));
    let text = bench.good("inspect tiny.gate");
    assert!(text.contains("ConvWeightNorm direct") && text.contains("promise: at most 5 %"));
    std::fs::create_dir(bench.path("photos")).expect("creates");
    for seed in 0..6 {
        bench.write(&format!("photos/{seed}.ppm"), ppm(10 + seed, seed >= 3));
    }
    let text = bench.good("run tiny.gate photos");
    assert!(text.contains("PASS") && text.contains("threshold"), "{text}");
    assert!(text.contains("6 frames") && text.contains("no gate"), "{text}");
    let lines = bench.good("run tiny.gate photos --json");
    let lines: Vec<Value> = lines.lines().map(json).collect();
    assert_eq!(lines.len(), 6);
    for (index, line) in lines.iter().enumerate() {
        assert_eq!(line["frame"], index);
        let expected = if index < 3 { "PASS" } else { "BLOCK" };
        assert_eq!(line["verdict"], expected, "{line}");
        assert!(line["score"].is_number() && line["class_name"].is_string(), "{line}");
    }
}

#[test]
fn results_do_not_depend_on_threads_and_files_repeat() {
    let bench = Bench::new();
    bench.bundle();
    for (threads, name) in [(1, "one"), (5, "five")] {
        bench.good(&format!("features tiny.onnx normal.bin -o {name} --threads {threads}"));
    }
    assert_eq!(bench.read("one"), bench.read("five"));
    assert_eq!(bench.read("one"), bench.read("normal.safetensors"));
    bench.good("features tiny.gate normal.bin -o bundle");
    assert_eq!(bench.read("one"), bench.read("bundle"), "the bundle gives the model's features");
    bench.good("fit --normal normal.safetensors -o again.json");
    assert_eq!(bench.read("d.json"), bench.read("again.json"));
    bench.good("pack tiny.onnx --detector d.json -o again.gate");
    assert_eq!(bench.read("tiny.gate"), bench.read("again.gate"));
    let lines = |threads| bench.good(&format!("run tiny.gate normal.bin --threads {threads}"));
    assert_eq!(lines(1), lines(4));
}

#[test]
fn interpreter_and_engine_agree() {
    let bench = Bench::new();
    bench.write("f.bin", crate::support::records(30, 3, false));
    bench.good("features tiny.onnx f.bin -o engine.safetensors");
    bench.good("features tiny.onnx f.bin -o interp.safetensors --executor interp");
    let norms = |name: &str| -> Vec<f64> {
        let bytes = bench.read(name);
        let tensors = safetensors::SafeTensors::deserialize(&bytes).expect("safetensors");
        let data = tensors.tensor("squared_norms").expect("norms").data().to_vec();
        data.as_chunks().0.iter().map(|chunk| f64::from_le_bytes(*chunk)).collect()
    };
    let (engine, interp) = (norms("engine.safetensors"), norms("interp.safetensors"));
    assert_eq!(engine.len(), 30 * 11);
    for (at, (a, b)) in engine.iter().zip(&interp).enumerate() {
        // f32 against f64 over sums of some hundred terms.
        assert!((a - b).abs() <= 1e-4 * b.abs().max(1e-12), "{at}: {a} {b}");
    }
    bench.good("fit --normal engine.safetensors -o d.json --protocol paper --false-alarm-rate 0.4");
    let error = bench.bad("fit --normal engine.safetensors interp.safetensors -o e.json");
    assert!(error.contains("executor"), "{error}");
}

#[test]
fn every_head_is_expanded_and_packed() {
    let bench = Bench::new();
    bench.features();
    for head in ["mlp", "gaussian", "prototypes", "energy", "composite"] {
        bench.good(&format!(
            "fit --normal normal.safetensors --anomalous strange.safetensors -o {head}.json \
             --head {head}"
        ));
        let text = bench.good(&format!("expand tiny.onnx --detector {head}.json -o {head}.onnx"));
        assert!(text.contains("score"), "{text}");
        bench.good(&format!("pack tiny.onnx --detector {head}.json -o {head}.gate"));
        bench.good(&format!("verify {head}.gate"));
    }
    bench.good("expand tiny.onnx -o plain.onnx --taps fc.* --label zeros");
}

#[test]
fn labels_and_taps_travel_to_the_bundle() {
    let bench = Bench::new();
    bench.write("label.txt", "1 0\n0.5 1");
    bench.write("normal.bin", crate::support::records(320, 1, false));
    let chosen = "--label label.txt --taps fc.*,conv1.weight";
    bench.good(&format!("features tiny.onnx normal.bin -o f {chosen}"));
    bench.good("fit --normal f -o d.json");
    bench.good("pack tiny.onnx --detector d.json -o tiny.gate");
    let inspect = json(&bench.good("inspect tiny.gate --json"));
    assert_eq!(inspect["label"], "custom:1,0,0.5,1");
    let parameters = inspect["schema"]["parameters"].to_string();
    assert_eq!(parameters, "[\"conv1.weight\",\"fc.weight\",\"fc.bias\"]");
    let forward = "--taps none";
    bench.good(&format!("features tiny.onnx normal.bin -o g {forward}"));
    bench.good("fit --normal g -o g.json --inputs forward");
    bench.good("pack tiny.onnx --detector g.json -o g.gate");
    bench.good("run g.gate normal.bin --limit 3");
}

#[test]
fn sensor_faults_are_unknown() {
    let bench = Bench::new();
    bench.bundle();
    let mut records = crate::support::records(4, 9, false);
    records[1..3073].fill(7);
    let repeated = records[3073..2 * 3073].to_vec();
    records.extend([repeated.clone(), repeated.clone(), repeated].concat());
    bench.write("faults.bin", records);
    let lines = bench.good("run tiny.gate faults.bin --json");
    let lines: Vec<Value> = lines.lines().map(json).collect();
    assert_eq!(lines[0]["verdict"], "UNKNOWN");
    assert_eq!(lines[0]["reason"], "SENSOR");
    // The third equal frame in a row is frozen by the default policy.
    let sensors: Vec<bool> = lines.iter().map(|line| line["reason"] == "SENSOR").collect();
    assert_eq!(sensors, [true, false, false, false, false, false, true]);
}

#[test]
fn an_unreadable_picture_is_unknown_and_the_others_are_judged() {
    let bench = Bench::new();
    bench.bundle();
    std::fs::create_dir(bench.path("photos")).expect("creates");
    bench.write("photos/a.ppm", ppm(1, false));
    bench.write("photos/b.ppm", &ppm(2, false)[..100]);
    bench.write("photos/c.ppm", ppm(3, false));
    let outcome = bench.run("run tiny.gate photos --json");
    assert_eq!(outcome.code, 2);
    let lines: Vec<Value> = outcome.stdout.lines().map(json).collect();
    let verdicts: Vec<&Value> = lines.iter().map(|line| &line["verdict"]).collect();
    assert_eq!(verdicts, ["PASS", "UNKNOWN", "PASS"]);
    assert_eq!(lines[1]["name"], "photos/b.ppm");
    assert!(lines[1]["cause"].as_str().is_some_and(|cause| cause.contains("cannot be read")));
}

#[test]
fn bench_reports_its_keys() {
    let bench = Bench::new();
    bench.bundle();
    for target in ["tiny.onnx", "tiny.gate", "tiny.onnx --executor interp", "tiny.onnx --threads 2"]
    {
        let report =
            json(&bench.good(&format!("bench {target} --json --frames normal.bin --limit 5")));
        for key in ["verdict_ms_min", "verdict_ms_median", "forward_ms_min", "forward_ms_median"] {
            assert!(report[key].as_f64().is_some_and(|ms| ms > 0.0), "{key}: {report}");
        }
        let interp = target.contains("interp");
        assert_eq!(report["arena_bytes"].as_u64().map(|bytes| bytes > 0), Some(!interp));
        let allocations = report["allocations_per_frame"].as_f64().expect("a number");
        assert_eq!(allocations == 0.0, !interp, "{report}");
        assert_eq!(report["numerics"], if interp { "f64" } else { "exact" });
    }
}

#[test]
fn version_and_help() {
    let bench = Bench::new();
    assert_eq!(bench.good("--version"), format!("gradgate {}\n", env!("CARGO_PKG_VERSION")));
    let help = bench.good("--help");
    assert!(help.contains("From a network to a verdict"), "{help}");
    for command in [
        "check",
        "expand",
        "references",
        "features",
        "fit",
        "frontier",
        "pack",
        "keygen",
        "verify",
        "inspect",
        "run",
        "bench",
    ] {
        assert!(help.contains(command), "{command}");
        let text = bench.good(&format!("{command} --help"));
        assert!(text.contains("Example"), "{command}: {text}");
    }
}
