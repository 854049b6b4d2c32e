//! `bench` beyond its summary: the profile, and frames on demand.

use std::io::Write;
use std::process::{Command, Stdio};

use crate::support::Bench;
use serde_json::Value;

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn the_profile_names_the_steps_that_inspect_names() {
    let bench = Bench::new();
    bench.bundle();
    for target in ["tiny.onnx", "tiny.gate"] {
        let profile = json(&bench.good(&format!("bench {target} --steps --json")));
        let steps = profile["steps"].as_array().expect("steps");
        let inspected = json(&bench.good(&format!("inspect {target} --json")));
        let inspected = inspected["steps"].as_array().expect("steps").clone();
        let named = |steps: &[Value]| -> Vec<[Value; 2]> {
            steps.iter().map(|step| [step["operation"].clone(), step["macs"].clone()]).collect()
        };
        assert_eq!(named(steps), named(&inspected), "{target}");
        let total = |steps: &Value, key: &str| -> f64 {
            steps.as_array().into_iter().flatten().filter_map(|step| step[key].as_f64()).sum()
        };
        assert!(total(&profile["steps"], "ms_median") > 0.0, "{profile}");
        for key in ["ms_median", "macs"] {
            let (steps, kinds) = (total(&profile["steps"], key), total(&profile["kinds"], key));
            assert!((steps - kinds).abs() <= 1e-9 * steps, "{key}: {profile}");
        }
        let text = bench.good(&format!("bench {target} --steps"));
        assert!(text.contains("ConvWeightNorm direct") && text.contains("all steps"), "{text}");
    }
}

#[test]
fn frames_are_timed_on_demand() {
    let bench = Bench::new();
    for (pass, norms) in [("verdict", 11), ("forward", 0)] {
        let (lines, good) = ask(&bench, pass, "2\n3\n");
        assert!(good && lines.len() == 3, "{lines:?}");
        let greeting = json(&lines[0]);
        assert_eq!(greeting["logits"].as_array().map(Vec::len), Some(4), "{greeting}");
        assert_eq!(greeting["norms"].as_object().map(|norms| norms.len()), Some(norms));
        assert!(greeting["macs"].as_u64() > Some(0) && greeting["arena_bytes"].as_u64() > Some(0));
        for (line, count) in lines[1..].iter().zip([2, 3]) {
            let times = json(line)["ms"].as_array().expect("times").clone();
            assert_eq!(times.len(), count);
            assert!(times.iter().all(|time| time.as_f64() > Some(0.0)), "{line}");
        }
    }
    let (lines, good) = ask(&bench, "verdict", "many\n");
    assert!(!good && lines.len() == 1, "{lines:?}");
}

/// Lines that the command writes for this input, and whether it succeeded.
fn ask(bench: &Bench, pass: &str, input: &str) -> (Vec<String>, bool) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_gradgate"))
        .arg("bench")
        .arg(bench.path("tiny.onnx"))
        .args(["--on-demand", pass])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the command starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    stdin.write_all(input.as_bytes()).expect("it reads");
    drop(stdin);
    let output = child.wait_with_output().expect("it ends");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    (text.lines().map(str::to_owned).collect(), output.status.success())
}
