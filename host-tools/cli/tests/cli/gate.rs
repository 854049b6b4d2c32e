//! The gate in `gradgate run`: states per line, events and worst frames at the end.

use crate::support::{Bench, records};
use serde_json::Value;

fn json(text: &str) -> Vec<Value> {
    let parse = |line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    text.lines().map(parse).collect()
}

/// Normal and strange stretches, a record a frame.
fn drive(stretches: &[(usize, bool)]) -> Vec<u8> {
    let stretch = |(index, (count, strange)): (usize, &(usize, bool))| {
        records(*count, 100 + index as u64, *strange)
    };
    stretches.iter().enumerate().flat_map(stretch).collect()
}

#[test]
fn every_line_tells_the_gate_and_the_end_tells_the_events() {
    let bench = Bench::new();
    bench.bundle();
    bench.write("drive.bin", drive(&[(8, false), (10, true), (10, false)]));
    let lines = json(&bench.good("run tiny.gate drive.bin --group 28 --json"));
    let verdicts: Vec<&str> =
        lines.iter().map(|line| line["verdict"].as_str().expect("text")).collect();
    let gates: Vec<&str> = lines.iter().map(|line| line["gate"].as_str().expect("text")).collect();
    assert!(verdicts[..8].iter().chain(&verdicts[18..]).all(|one| *one == "PASS"), "{verdicts:?}");
    // Checks of three equal frames in a row are frozen, which is UNKNOWN and enters no window.
    assert_eq!(verdicts[8..12], ["BLOCK", "BLOCK", "UNKNOWN", "BLOCK"]);
    // 5 PASS in a row open it, 3 BLOCK of 5 close it.
    for (frame, gate) in gates.iter().enumerate() {
        let open = (4..11).contains(&frame) || frame >= 22;
        assert_eq!(*gate, if open { "OPEN" } else { "CLOSED" }, "{frame}");
    }
    for (frame, time, reason) in
        [(0, 0.0, "START".into()), (5, 0.5, Value::Null), (11, 1.1, "BLOCKS".into())]
    {
        assert_eq!(lines[frame]["time"], time);
        assert_eq!(lines[frame]["gate_reason"], reason, "{frame}");
    }
    let text = bench.good("run tiny.gate drive.bin --group 28");
    for part in [
        "gate: 1 sequences, opened 2 times, open 0.00 of 0.00 h; BLOCK frames: 7",
        "1 gate event in 0.00 h of an open gate",
        "(BLOCKS 1)",
        "the bundle promises nothing per hour",
        "NOT SHOWN",
        "worst events:\n  BLOCKS at ",
        "moved by ",
        "drift: cannot be told",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(text.contains("PASS  gate OPEN\n") && text.contains("gate CLOSED BLOCKS\n"), "{text}");
}

#[test]
fn a_new_sequence_begins_with_a_closed_gate() {
    let bench = Bench::new();
    bench.bundle();
    bench.write("drive.bin", drive(&[(7, false), (7, true), (7, false)]));
    let lines = json(&bench.good("run tiny.gate drive.bin --group 7 --json"));
    let open: Vec<usize> = (0..21).filter(|frame| lines[*frame]["gate"] == "OPEN").collect();
    assert_eq!(open, [4, 5, 6, 18, 19, 20]);
    let text = bench.good("run tiny.gate drive.bin --group 7");
    assert!(text.contains("3 sequences, opened 2 times"), "{text}");
    assert!(text.contains("(never opened 1)"), "{text}");
    // Without order there is neither gate nor event.
    let lines = json(&bench.good("run tiny.gate drive.bin --json"));
    assert!(lines.iter().all(|line| line["gate"].is_null() && line["time"].is_null()));
    assert!(bench.good("run tiny.gate drive.bin").contains("no events an hour"));
}

#[test]
fn a_recording_that_drifts_is_told() {
    let bench = Bench::new();
    bench.bundle();
    bench.write("steady.bin", drive(&[(400, false)]));
    bench.write("drifting.bin", drive(&[(400, true)]));
    let steady = bench.good("run tiny.gate steady.bin --group 400");
    assert!(steady.contains("drift: none noticed in 1 sequences"), "{steady}");
    let drifting = bench.good("run tiny.gate drifting.bin --group 400");
    assert!(drifting.contains("drift: group 0: scores above"), "{drifting}");
}
