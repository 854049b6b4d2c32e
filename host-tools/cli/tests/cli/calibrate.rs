//! `gradgate calibrate`: another threshold and policy from sequences, and what they show.

use crate::support::{Bench, records};
use serde_json::Value;

/// Frames of a sequence, and of all of them: 10 frames a second, six minutes.
const GROUP: usize = 600;
const FRAMES: usize = 6 * GROUP;

fn inspect(bench: &Bench, name: &str) -> Value {
    let text = bench.good(&format!("inspect {name} --json"));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// `tiny.gate`, `drives.bin`.
fn drives() -> Bench {
    let bench = Bench::new();
    bench.bundle();
    bench.write("drives.bin", records(FRAMES, 77, false));
    bench
}

#[test]
fn nothing_but_threshold_policy_and_evidence_changes() {
    let bench = drives();
    bench.good("keygen -o key");
    let text = bench.good(
        "calibrate tiny.gate --normal drives.bin --group 600 -o ours.gate --sign key \
         --max-events-per-hour 200",
    );
    for part in [
        "calibration: 2 sequences, 1200 frames",
        "audit: 4 sequences, 2400 frames; 0 gate events in 0.07 h",
        "promise of at most 200 an hour: shown",
        "evidence from \"drives.bin\"; signed with key",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(bench.good("verify ours.gate --key key.pub").contains("good"));
    let (before, after) = (inspect(&bench, "tiny.gate"), inspect(&bench, "ours.gate"));
    for field in ["schema", "steps", "preprocessing", "classes", "arena_bytes", "release"] {
        assert_eq!(before[field], after[field], "{field}");
    }
    assert_ne!(before["detector"]["threshold"], after["detector"]["threshold"]);
    let events = &after["evidence"]["events"];
    assert_eq!((&events["shown"], &events["events"]), (&true.into(), &0.into()), "{events}");
    assert_eq!(after["evidence"]["source"], "drives.bin");
    assert_eq!(after["evidence"]["calibration_frames"], 1200);
    assert!(after["evidence"]["false_alarm_rate"].is_null(), "frames are neighbours");
    assert!(before["evidence"]["events"].is_null());
    assert!(bench.good("inspect ours.gate").contains("promise of at most 200 an hour: shown"));
    let run = bench.good("run ours.gate drives.bin --group 600 --limit 1200");
    assert!(run.contains("the bundle's promise of at most 200 an hour"), "{run}");
    // Features are those of the model, as before.
    for (bundle, file) in [("tiny.gate", "before"), ("ours.gate", "after")] {
        bench.good(&format!("features {bundle} drives.bin --limit 50 -o {file}"));
    }
    assert_eq!(bench.read("before"), bench.read("after"));
}

#[test]
fn lines_of_a_run_calibrate_like_its_frames() {
    let bench = drives();
    let lines = bench.good("run tiny.gate drives.bin --group 600 --json");
    bench.write("scores.jsonl", lines);
    for (normal, name) in [("drives.bin --group 600", "frames"), ("scores.jsonl", "lines")] {
        bench.good(&format!(
            "calibrate tiny.gate --normal {normal} -o {name}.gate --max-events-per-hour 200"
        ));
    }
    let (frames, lines) = (inspect(&bench, "frames.gate"), inspect(&bench, "lines.gate"));
    assert_eq!(lines["evidence"]["source"], "scores.jsonl");
    assert_eq!(frames["detector"], lines["detector"]);
    assert_eq!(frames["policy"], lines["policy"]);
    assert_eq!(frames["evidence"]["events"], lines["evidence"]["events"]);
    // The same input gives the same bytes.
    let again = "calibrate tiny.gate --normal scores.jsonl -o again.gate --max-events-per-hour 200";
    bench.good(again);
    assert_eq!(bench.read("lines.gate"), bench.read("again.gate"));
}

#[test]
fn hours_that_are_missing_are_told_and_enforce_is_refused() {
    let bench = drives();
    bench.write("enforce.toml", "mode = \"enforce\"\nk = 2\nm = 4\n");
    let command = "calibrate tiny.gate --normal drives.bin --group 600 -o ours.gate";
    let told = bench.run(command);
    assert_eq!(told.code, 1, "{}{}", told.stdout, told.stderr);
    assert!(told.stdout.contains("NOT SHOWN, 2.93 further hours"), "{}", told.stdout);
    assert!(told.stdout.contains("unsigned"), "{}", told.stdout);
    assert_eq!(inspect(&bench, "ours.gate")["evidence"]["events"]["shown"], false);
    bench.write("ours.gate", b"kept");
    let refused = bench.bad(&format!("{command} --policy enforce.toml"));
    assert!(refused.contains("the 0.07 h on \"drives.bin\" never passed"), "{refused}");
    assert_eq!(bench.read("ours.gate"), b"kept", "nothing is written");
    let wrong = bench.bad(&format!("{command} --policy enforce.toml --enforce-on-dataset other"));
    assert!(wrong.contains("(not \"other\")"), "{wrong}");
    let named =
        bench.run(&format!("{command} --policy enforce.toml --enforce-on-dataset drives.bin"));
    assert_eq!(named.code, 1, "{}", named.stderr);
    let policy = &inspect(&bench, "ours.gate")["policy"];
    assert_eq!(
        (&policy["mode"], &policy["k"], &policy["m"]),
        (&"enforce".into(), &2.into(), &4.into())
    );
    assert!(bench.run(&format!("{command} --max-events-per-hour 200")).code == 0);
}

/// Lines of a run with times, frames so far apart that few of them fill hours.
fn lines_every(bench: &Bench, seconds: u64) -> String {
    let lines = bench.good("run tiny.gate drives.bin --group 60 --limit 480 --json");
    let mut text = String::new();
    for (number, line) in lines.lines().enumerate() {
        let mut line: Value = serde_json::from_str(line).expect("JSON");
        line["time_ns"] = (number as u64 * seconds * 1_000_000_000).into();
        text.push_str(&format!("{line}\n"));
    }
    text
}

#[test]
fn enforce_takes_hours_that_passed_and_a_promise_worth_it() {
    let bench = drives();
    bench.write("enforce.toml", "mode = \"enforce\"\nframe_period_us = 10000000\n");
    bench.write("timed.jsonl", lines_every(&bench, 10));
    // Ten seconds a frame by the policy's word alone are hours that nobody drove.
    let (dataset, timed) = ("drives.bin --group 60 --limit 480", "timed.jsonl");
    let promised = "--max-events-per-hour 9";
    let cases = [
        (dataset, promised, Some("h on \"drives.bin\" never passed")),
        (dataset, "--max-events-per-hour 9 --enforce-on-dataset drives.bin", None),
        (timed, promised, None),
        (timed, "--max-events-per-hour 100", Some("is 100 gate events an hour, and it takes 10")),
        (timed, "--max-events-per-hour 9 --confidence 0.6", Some("of 0.6, and it takes 0.95")),
        (timed, "--max-events-per-hour 1", Some("do not show the promise of at most 1 an hour")),
    ];
    for (normal, more, refused) in cases {
        let command =
            format!("calibrate tiny.gate --normal {normal} {more} --policy enforce.toml -o e.gate");
        match refused {
            Some(wanted) => {
                let error = bench.bad(&command);
                assert!(error.contains(wanted), "{normal} {more}: {error}");
            }
            None => {
                let text = bench.good(&command);
                assert!(text.contains("an hour: shown"), "{normal} {more}: {text}");
            }
        }
    }
    assert_eq!(inspect(&bench, "e.gate")["evidence"]["events"]["times"], "recorded");
}

#[test]
fn what_cannot_be_calibrated_is_refused_by_table() {
    let bench = Bench::new();
    bench.bundle();
    bench.write("few.bin", records(40, 5, false));
    bench.write("lines.jsonl", "{}\n");
    bench.write("enforce.toml", "mode = \"enforce\"\n");
    let cases = [
        ("tiny.gate --normal few.bin", "--group N"),
        ("tiny.gate --normal few.bin --group 40", "needs 2 normal sequences"),
        ("tiny.gate --normal few.bin --group 20 --max-events-per-hour 0", "above 0"),
        ("tiny.gate --normal few.bin --group 20 --max-events-per-hour -1", "above 0"),
        ("tiny.gate --normal few.bin --group 20 --max-events-per-hour nan", "above 0"),
        ("tiny.gate --normal few.bin --group 20 --confidence 1", "from 0.5 to below 1"),
        ("tiny.gate --normal few.bin --group 20 --confidence 0.49", "from 0.5 to below 1"),
        ("tiny.gate --normal few.bin --group 20 --confidence nan", "from 0.5 to below 1"),
        ("tiny.gate --normal few.bin --group 20 --policy absent.toml", "absent.toml"),
        ("tiny.gate --normal few.bin --group 20 --sign absent", "absent"),
        ("tiny.gate --normal lines.jsonl", "line 1"),
        ("tiny.gate --normal lines.jsonl few.bin", "one .jsonl file"),
        ("tiny.gate --normal absent.mcap", "absent.mcap"),
        ("tiny.onnx --normal few.bin --group 20", "no bundle"),
        ("tiny.gate", "--normal"),
    ];
    for (arguments, wanted) in cases {
        let error = bench.bad(&format!("calibrate {arguments} -o new.gate"));
        assert!(error.contains(wanted), "{arguments}: {error}");
    }
    let error = bench.bad("calibrate tiny.gate --normal few.bin --group 20 -o tiny.gate");
    assert!(error.contains("both input and output"), "{error}");
    assert!(!bench.names().contains(&"new.gate".to_owned()));
}
