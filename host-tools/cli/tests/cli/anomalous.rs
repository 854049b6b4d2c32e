//! Built-in anomalies through the built command: made, kept with their frames, reported by kind.

use gradgate_detect::FeatureSet;
use serde_json::Value;

use crate::support::{Bench, records};

fn set(bench: &Bench, name: &str) -> FeatureSet {
    FeatureSet::read(&bench.path(name)).expect("features")
}

#[test]
fn made_frames_keep_their_sources_and_say_what_they_are() {
    let bench = Bench::new();
    bench.write("normal.bin", records(60, 1, false));
    bench.good("features tiny.onnx normal.bin -o normal");
    let made = "features tiny.onnx normal.bin --anomalous builtin:synthetic --severities 1,3,5";
    bench.good(&format!("{made} -o a --threads 1"));
    bench.good(&format!("{made} -o b --threads 3"));
    assert_eq!(bench.read("a"), bench.read("b"));
    let (normal, a) = (set(&bench, "normal"), set(&bench, "a"));
    assert_eq!((&a.source, &a.labels), (&normal.source, &normal.labels));
    assert_eq!(a.image_statistics.len(), 600);
    assert_eq!(a.kinds.names.len(), 5);
    for (kind, name) in a.kinds.names.iter().enumerate() {
        let count = a.kinds.of_frame.iter().filter(|&&own| own == kind as i64).count();
        assert_eq!(count, 12, "{name}");
    }
    let mut severities = a.kinds.severities.clone();
    severities.sort_unstable();
    severities.dedup();
    assert_eq!(severities, [1, 3, 5]);
    // Logits of every frame have moved, those of the attacked ones towards other classes.
    for (frame, (was, is)) in normal.logits.chunks(4).zip(a.logits.chunks(4)).enumerate() {
        assert_ne!(was, is, "frame {frame}, {:?}", a.kinds.of(frame));
    }
    let text = "normal.bin builtin:synthetic severities=1,3,5";
    assert_eq!(a.metadata.frames, text);
    bench.good(&format!("{made} -o c --copies 2 --anomalous-seed 4"));
    let c = set(&bench, "c");
    assert_eq!((c.len(), &c.source[60..]), (120, &normal.source[..]));
    assert_ne!(c.logits[..240], a.logits[..]);
}

#[test]
fn the_short_way_makes_what_the_long_way_reads() {
    let bench = Bench::new();
    bench.write("normal.bin", records(400, 1, false));
    bench.good("features tiny.onnx normal.bin -o normal --taps conv1.*,fc.*");
    let taps = "--taps conv1.*,fc.*";
    bench.good(&format!("features tiny.onnx normal.bin {taps} --anomalous builtin:fog -o fog"));
    let long = bench.good("fit --normal normal --anomalous fog -o d.json --json");
    let short = "fit --normal normal --anomalous builtin:fog --model tiny.onnx --frames normal.bin";
    let short = bench.good(&format!("{short} -o d.json --json"));
    let read = |text: &str| -> Value { serde_json::from_str(text).expect("JSON") };
    let (long, short) = (read(&long), read(&short));
    assert_eq!(long["kinds"], short["kinds"]);
    let row = &long["kinds"]["rows"][0];
    assert_eq!((&row["kind"], &row["set"]), (&"fog".into(), &"fog".into()));
    // 40 % of the frames trained nothing.
    assert_eq!(row["detected"]["frames"], 160);
    assert_eq!(long["kinds"]["baselines"].as_array().map(Vec::len), Some(3));
}

#[test]
fn every_kind_is_left_out_once_and_baselines_stand_beside_it() {
    let bench = Bench::new();
    bench.good("features tiny.onnx signs:sequence:n=400,track=4 -o normal");
    let fit = "fit --normal normal --head mlp --model tiny.onnx -o d.json";
    let frames = "--frames signs:sequence:n=400,track=4";
    let builtin = "--anomalous builtin:faults odd=builtin:mix";
    let report = bench.good(&format!("{fit} {builtin} {frames} --false-alarm-rate 0.2"));
    for part in [
        "left out of training once",
        "faults/frozen-frame",
        "odd/mix",
        "maximum softmax %",
        "image statistics (mlp) detects more (*) in",
        "frozen-frame: a single frame does not show it",
        "detected % by severity",
    ] {
        assert!(report.contains(part), "{part}: {report}");
    }
    let shares: Vec<f64> = report
        .lines()
        .filter(|line| line.starts_with("faults/"))
        .map(|line| line.split_whitespace().nth(3).expect("a share").parse().expect("a number"))
        .collect();
    assert!(shares.len() == 19 && shares.is_sorted(), "{shares:?}");
}

#[test]
fn what_cannot_be_made_is_refused() {
    let bench = Bench::new();
    bench.bundle();
    bench.write("other.bin", records(400, 7, false));
    bench.good("features tiny.onnx normal.bin --executor interp --limit 6 -o f64");
    bench.copy("tiny_dynamo_folded.onnx", "folded.onnx");
    let before = bench.names();
    let features = "features tiny.onnx normal.bin -o new";
    let fit = "fit --normal normal.safetensors -o new";
    let tracks = "features tiny.onnx signs:sequence:n=8,track=8 -o new";
    let cases = [
        (format!("{features} --anomalous builtin:blur"), "defocus"),
        (format!("{features} --anomalous fog"), "builtin:faults"),
        (format!("{features} --anomalous builtin:fog --severities 0"), "1,3,5"),
        (format!("{features} --severities 2"), "--anomalous"),
        (format!("{features} --anomalous builtin:frozen-frame"), "--group"),
        (format!("{tracks} --anomalous builtin:mix"), "two sources"),
        (
            "features tiny.gate normal.bin -o new --anomalous builtin:random-target".to_owned(),
            "ONNX model",
        ),
        (format!("{fit} --anomalous builtin:fog"), "--model"),
        (format!("{fit} --anomalous builtin:haze --model tiny.onnx --frames a"), "\"haze\""),
        (format!("{fit} --anomalous builtin:fog --model tiny.onnx"), "--frames"),
        (
            format!("{fit} --anomalous builtin:fog --model folded.onnx --frames normal.bin"),
            "another model",
        ),
        (
            format!("{fit} --anomalous builtin:fog --model tiny.onnx --frames other.bin"),
            "other.bin",
        ),
        (
            "fit --normal f64 -o new --anomalous builtin:fog --model tiny.onnx --frames normal.bin"
                .to_owned(),
            "interp",
        ),
    ];
    for (arguments, culprit) in cases {
        let message = bench.bad(&arguments);
        assert!(message.contains(culprit), "{arguments}: {message}");
        assert_eq!(bench.names(), before, "{arguments}");
    }
    let outcome = bench.run(&format!("{tracks} --anomalous builtin:synthetic"));
    assert!(outcome.code == 0 && outcome.stderr.contains("left out of"), "{}", outcome.stderr);
}
