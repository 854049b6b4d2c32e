//! Recordings and pipes: `scan`, and what `run` and `features` say of them.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::support::Bench;

fn recording(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../frames/tests/golden/recordings").join(name)
}

/// A folder with a bundle and recordings, one of them cut off.
fn bench() -> Bench {
    let bench = Bench::new();
    bench.bundle();
    for name in ["rosbags.mcap", "rosbags.db3", "plain.mcap"] {
        bench.write(name, fs::read(recording(name)).expect("a golden file"));
    }
    let whole = bench.read("plain.mcap");
    bench.write("cut.mcap", &whole[..whole.len() / 2]);
    bench
}

#[test]
fn a_copy_holds_a_verdict_and_marks_for_every_image() {
    let bench = bench();
    for (input, topics, images) in [
        ("plain.mcap", "", 3),
        ("rosbags.mcap", "--topic /rgb --topic /jpeg", 6),
        ("rosbags.db3", "--topic /png", 3),
    ] {
        let before = bench.read(input);
        let text = bench.good(&format!("scan tiny.gate {input} {topics} -o out.mcap"));
        for part in [format!("{images} frames: PASS"), format!("{} added", 2 * images)] {
            assert!(text.contains(&part), "{part}: {text}");
        }
        assert!(text.contains("frames/s"), "{text}");
        assert_eq!(bench.read(input), before, "{input} was touched");
        let lines = bench.good(&format!("run tiny.gate out.mcap {topics} --json"));
        let same = bench.good(&format!("run tiny.gate {input} {topics} --json"));
        let field = |text: &str, name: &str| -> Vec<Value> {
            let parse = |line: &str| serde_json::from_str::<Value>(line).expect("JSON");
            text.lines().map(|line| parse(line)[name].clone()).collect()
        };
        for name in ["verdict", "score", "time_ns", "gate", "class"] {
            assert_eq!(field(&lines, name), field(&same, name), "{input} {name}");
        }
        let sequence = field(&same, "sequence")[0].to_string();
        assert!(sequence.contains(&format!("{input}:/")), "{sequence}");
        let error = bench.bad(&format!("scan tiny.gate out.mcap {topics} -o again.mcap"));
        assert!(error.contains("has the topic") && error.contains("already"), "{error}");
    }
}

#[test]
fn images_that_cannot_be_read_are_unknown_in_the_copy() {
    let bench = bench();
    let error = bench.bad("scan tiny.gate rosbags.mcap --topic /deep -o deep.mcap");
    assert!(error.contains("3 of 3 images cannot be read: UNKNOWN"), "{error}");
    assert!(bench.names().contains(&"deep.mcap".to_owned()));
    let deep = String::from_utf8_lossy(&bench.read("deep.mcap")).into_owned();
    assert!(deep.contains("/deep/gradgate/verdict"));
}

#[test]
fn a_cut_recording_is_used_as_far_as_it_goes_and_said_so() {
    let bench = bench();
    for command in [
        "run tiny.gate cut.mcap",
        "scan tiny.gate cut.mcap -o out.mcap",
        "features tiny.onnx cut.mcap -o out.safetensors",
    ] {
        let outcome = bench.run(command);
        assert_eq!(outcome.code, 3, "{command}: {}{}", outcome.stdout, outcome.stderr);
        let says = "warning: cut.mcap is cut off at byte ";
        assert!(outcome.stderr.contains(says), "{command}: {}", outcome.stderr);
    }
}

#[test]
fn what_cannot_be_scanned_is_refused_and_leaves_nothing() {
    let bench = bench();
    bench.write("nothing.mcap", &bench.read("plain.mcap")[..100]);
    bench.write("bag.bag", b"#ROSBAG V2.0\n");
    let before = bench.names();
    let cases = [
        ("scan tiny.gate - -o out.mcap", "standard input is no recording"),
        ("scan tiny.gate plain.mcap -o plain.mcap", "both input and output"),
        ("scan tiny.gate plain.mcap -o out.db3", "ends in .mcap"),
        ("scan tiny.gate plain.mcap -o absent/out.mcap", "absent/out.mcap"),
        ("scan tiny.gate absent.mcap -o out.mcap", "absent.mcap"),
        ("scan tiny.gate normal.bin -o out.mcap", "normal.bin is no recording"),
        ("scan tiny.gate normal.bin --topic /a -o out.mcap", "topics are those of recordings"),
        ("scan tiny.gate nothing.mcap -o out.mcap", "cut off at byte"),
        ("scan tiny.gate bag.bag -o out.mcap", "rosbags-convert"),
        ("scan tiny.gate rosbags.mcap -o out.mcap", "choose with --topic"),
        ("scan tiny.gate rosbags.db3 --topic /words -o out.mcap", "/words (std_msgs/msg/String"),
        ("scan tiny.gate rosbags.db3 --topic /none -o out.mcap", "no topic /none"),
        ("scan tiny.onnx plain.mcap -o out.mcap", "tiny.onnx"),
        ("run tiny.gate plain.mcap --size 4x2 --pixel grey", "standard input"),
        ("run tiny.gate - plain.mcap --size 4x2 --pixel grey", "given alone"),
        ("run tiny.gate -", "--size WxH and --pixel"),
    ];
    for (command, says) in cases {
        let error = bench.bad(command);
        assert!(error.contains(says), "{command}: {error}");
    }
    for command in ["run tiny.gate - --size 4x2", "run tiny.gate - --size 4 --pixel grey"] {
        assert_eq!(bench.run(command).code, 2, "{command}");
    }
    assert_eq!(bench.names(), before);
}

#[test]
fn features_keep_times_and_sequences() {
    let bench = bench();
    bench.good("features tiny.onnx rosbags.mcap --topic /mono -o f.safetensors");
    let bytes = bench.read("f.safetensors");
    let length = bytes[..8].iter().rev().fold(0_usize, |sum, &byte| sum << 8 | usize::from(byte));
    let header: Value = serde_json::from_slice(&bytes[8..8 + length]).expect("a header");
    assert_eq!(header["time_ns"]["shape"], serde_json::json!([3]));
    let sequences = header["__metadata__"]["sequences"].as_str().expect("names");
    assert!(sequences.contains("rosbags.mcap:/mono"), "{sequences}");
}

/// `gradgate` with bytes on its standard input.
fn piped(bench: &Bench, arguments: &str, bytes: &[u8]) -> (i32, String, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_gradgate"))
        .args(arguments.split_whitespace())
        .current_dir(bench.path("."))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the command starts");
    let mut input = child.stdin.take().expect("a pipe");
    // It may end before it has read everything.
    let _ = input.write_all(bytes);
    drop(input);
    let output = child.wait_with_output().expect("ends");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    (output.status.code().expect("no signal"), text(output.stdout), text(output.stderr))
}

#[test]
fn raw_frames_of_a_pipe_are_judged_as_they_come() {
    let bench = bench();
    let frame = |n: usize| (0..16 * 12 * 2).map(move |at| (at * 7 + n * 30) as u8);
    let bytes: Vec<u8> = (0..5).flat_map(frame).collect();
    let size = "--size 16x12 --pixel yuyv --fps 25";
    let (code, lines, error) = piped(&bench, &format!("run tiny.gate - {size} --json"), &bytes);
    assert_eq!(code, 0, "{error}");
    let times: Vec<Value> = lines
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("JSON")["time_ns"].clone())
        .collect();
    assert_eq!(times, [0, 40_000_000, 80_000_000, 120_000_000, 160_000_000].map(Value::from));
    let arguments = format!("features tiny.onnx - {size} --stride 2 -o f.safetensors");
    let (code, text, error) = piped(&bench, &arguments, &bytes);
    assert!(code == 0 && text.contains("3 frames"), "{text}{error}");
    // Other commands hold the frames until the end.
    let (code, _, error) = piped(&bench, &format!("frames - {size} -o sheet.png"), &bytes);
    assert_eq!(code, 0, "{error}");
    let cut = &bytes[..bytes.len() - 100];
    let (code, lines, error) = piped(&bench, &format!("run tiny.gate - {size}"), cut);
    assert_eq!(code, 2, "{lines}{error}");
    assert!(lines.contains("frame 4: it ended after 284 of the frame's 384 bytes"), "{lines}");
    let (code, _, error) = piped(&bench, &format!("frames - {size} -o no.png"), cut);
    assert!(code == 2 && error.contains("284 of the frame's 384 bytes"), "{error}");
    let (code, _, error) = piped(&bench, &format!("run tiny.gate - {size}"), &[]);
    assert!(code == 2 && error.contains("before the first frame"), "{error}");
}
