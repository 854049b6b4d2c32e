//! Recordings with times that go wrong: frames that cannot be read, clocks that run back, equal
//! names, groups, cameras slower than the policy.

use serde_json::Value;

use crate::support::{Bench, Mcap, records};

/// Milliseconds between frames, and how many.
const STEP_MS: i64 = 33;
const FRAMES: i64 = 50;

/// A folder with `tiny.gate`.
fn bench() -> Bench {
    let bench = Bench::new();
    bench.bundle();
    bench
}

/// Normal frames, with times in milliseconds: stamp and log. `broken` cannot be read.
fn drive(seed: u64, times: &[(i64, i64)], broken: &[usize]) -> Vec<u8> {
    let mut mcap = Mcap::new();
    let all = records(times.len(), seed, false);
    for (number, (record, (stamp, log))) in all.chunks(3073).zip(times).enumerate() {
        mcap.image(*stamp, *log, &record[1..], broken.contains(&number));
    }
    mcap.finish()
}

/// Times of frames a step apart, logged so many milliseconds after their stamps.
fn steps(step: i64, late: i64) -> Vec<(i64, i64)> {
    (0..FRAMES).map(|number| (step * number, step * number + late)).collect()
}

/// The lines about the gate.
fn gate(text: &str) -> Vec<&str> {
    let about = |line: &&str| {
        let parts = ["gate: ", "gate event", "a frame every ", "TOO SLOW"];
        parts.iter().any(|part| line.contains(part))
    };
    text.lines().filter(about).collect()
}

fn json(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

#[test]
fn a_frame_that_cannot_be_read_closes_no_gate() {
    let bench = bench();
    bench.write("good.mcap", drive(5, &steps(STEP_MS, 0), &[]));
    let good = bench.good("run tiny.gate good.mcap");
    assert!(good.contains("0 gate events in 0.00 h"), "{good}");
    assert!(good.contains("a frame every 33000 us (as recorded, median): 109091 frames an hour"));
    for late in [0, 80] {
        bench.write("bad.mcap", drive(5, &steps(STEP_MS, late), &[20]));
        let ran = bench.run("run tiny.gate bad.mcap");
        let scanned = bench.run("scan tiny.gate bad.mcap -o out.mcap");
        assert_eq!((ran.code, scanned.code), (2, 2), "{}", scanned.stderr);
        assert!(ran.stdout.contains("0 gate events in 0.00 h"), "{late}: {}", ran.stdout);
        assert_eq!(gate(&ran.stdout), gate(&scanned.stdout), "{late}");
        assert_eq!(gate(&ran.stdout), gate(&good), "{late}");
        // The lost frame is one of its sequence, and calibrates like any without verdict.
        let lines = bench.run("run tiny.gate good.mcap bad.mcap --json").stdout;
        assert_eq!(json(&lines)[70]["sequence"], "bad.mcap:/cam");
        bench.write("scores.jsonl", lines);
        let mut events = Vec::new();
        for normal in ["good.mcap bad.mcap", "scores.jsonl"] {
            let told = bench.run(&format!("calibrate tiny.gate --normal {normal} -o c.gate"));
            assert_eq!(told.code, 1, "{normal}: {}", told.stderr);
            let warns = told.stderr.contains("could not read 1 of 100 frames");
            assert_eq!(warns, normal != "scores.jsonl", "{normal}: {}", told.stderr);
            let text = bench.good("inspect c.gate --json");
            let found: Value = serde_json::from_str(&text).expect("JSON");
            events.push(found["evidence"]["events"].clone());
        }
        assert_eq!(events[0], events[1]);
        assert_eq!(events[0]["times"], "recorded");
    }
}

#[test]
fn a_clock_that_runs_back_is_counted_and_named() {
    let bench = bench();
    let mut times = steps(STEP_MS, 0);
    times[20].0 -= 3 * STEP_MS / 2;
    bench.write("good.mcap", drive(5, &steps(STEP_MS, 0), &[]));
    bench.write("back.mcap", drive(6, &times, &[]));
    let ran = bench.good("run tiny.gate back.mcap");
    assert!(ran.contains("(CLOCK 1)"), "{ran}");
    let lines = bench.good("run tiny.gate back.mcap good.mcap --json");
    bench.write("scores.jsonl", lines);
    for normal in ["back.mcap good.mcap", "scores.jsonl"] {
        let told = bench.run(&format!("calibrate tiny.gate --normal {normal} -o c.gate"));
        assert_eq!(told.code, 1, "{normal}: {}", told.stderr);
        for part in ["(CLOCK 1)", "the one before them: 1, the first is back.mcap:/cam frame 20;"] {
            assert!(told.stdout.contains(part), "{normal} {part}: {}", told.stdout);
        }
    }
}

#[test]
fn recordings_of_equal_name_are_two() {
    let bench = bench();
    for (folder, seed) in [("d1", 5), ("d2", 6)] {
        std::fs::create_dir(bench.path(folder)).expect("a folder");
        bench.write(&format!("{folder}/rec.mcap"), drive(seed, &steps(STEP_MS, 0), &[]));
    }
    let lines = json(&bench.good("run tiny.gate d1/rec.mcap d2/rec.mcap --json"));
    assert_eq!(lines[49]["sequence"], "d1/rec.mcap:/cam");
    assert_eq!(lines[50]["sequence"], "d2/rec.mcap:/cam");
    assert_eq!((&lines[50]["gate"], &lines[50]["time"]), (&"CLOSED".into(), &0.0.into()));
    let text = bench.good("run tiny.gate d1/rec.mcap d2/rec.mcap");
    assert!(text.contains("gate: 2 sequences, opened 2 times"), "{text}");
    let told = bench.run("calibrate tiny.gate --normal d1/rec.mcap d2/rec.mcap -o c.gate");
    assert!(told.stdout.contains("calibration: 1 sequences, 50 frames"), "{}", told.stdout);
    let source = "evidence from \"d1/rec.mcap d2/rec.mcap\"";
    assert!(told.stdout.contains(source), "{}", told.stdout);
    let twice = bench.bad("calibrate tiny.gate --normal d1/rec.mcap ./d1/rec.mcap -o c.gate");
    assert!(twice.contains("given twice"), "{twice}");
}

#[test]
fn groups_of_a_recording_are_sequences_of_their_own() {
    let bench = bench();
    for (name, seed) in [("a.mcap", 5), ("b.mcap", 6)] {
        bench.write(name, drive(seed, &steps(STEP_MS, 0), &[]));
    }
    let text = bench.good("run tiny.gate a.mcap --group 25");
    assert!(text.contains("gate: 2 sequences, opened 2 times"), "{text}");
    let lines = json(&bench.good("run tiny.gate a.mcap --group 25 --json"));
    assert_eq!((&lines[24]["gate"], &lines[25]["gate"]), (&"OPEN".into(), &"CLOSED".into()));
    assert_eq!(lines[25]["sequence"], "a.mcap:/cam group 1");
    let told = bench.run("calibrate tiny.gate --normal a.mcap b.mcap --group 25 -o c.gate");
    for part in ["calibration: 2 sequences, 50 frames", "audit: 2 sequences, 50 frames"] {
        assert!(told.stdout.contains(part), "{part}: {}{}", told.stdout, told.stderr);
    }
    let one = bench.bad("calibrate tiny.gate --normal a.mcap --group 25 -o c.gate");
    assert!(one.contains("groups of one recording are not independent"), "{one}");
}

#[test]
fn a_camera_slower_than_the_lease_is_told() {
    let bench = bench();
    for (name, seed) in [("a.mcap", 5), ("b.mcap", 6)] {
        bench.write(name, drive(seed, &steps(500, 0), &[]));
    }
    bench.write("usual.toml", "");
    let slow = "TOO SLOW: a frame every 500000 us (median), and the policy's lease ends after \
                200000 us";
    let calibrate = "calibrate tiny.gate --normal a.mcap b.mcap -o c.gate";
    for (command, code, told) in [
        ("run tiny.gate a.mcap", 0, true),
        ("scan tiny.gate a.mcap -o out.mcap", 0, true),
        (&format!("{calibrate} --policy usual.toml"), 1, true),
        // The frame period is that of the recordings.
        (calibrate, 1, false),
    ] {
        let outcome = bench.run(command);
        assert_eq!(outcome.code, code, "{command}: {}", outcome.stderr);
        assert_eq!(outcome.stdout.contains(slow), told, "{command}: {}", outcome.stdout);
    }
    assert!(bench.good("run tiny.gate a.mcap").contains(": 7200 frames an hour"));
}

#[test]
fn fit_does_not_speak_of_a_period_where_times_are_recorded() {
    let bench = bench();
    let times: Vec<(i64, i64)> = (0..600).map(|number| (500 * number, 500 * number)).collect();
    bench.write("long.mcap", drive(7, &times, &[]));
    bench.write("long.bin", records(600, 7, false));
    for (frames, says, not) in [
        ("long.mcap", "sequences at their recorded times", "a frame every"),
        ("long.bin", "sequences without times, a frame every 100000 us", "recorded"),
    ] {
        bench.good(&format!("features tiny.onnx {frames} --group 2 -o f.safetensors"));
        let text = bench.good("fit --normal f.safetensors -o d2.json");
        assert!(text.contains(says) && !text.contains(not), "{frames}: {text}");
    }
}
