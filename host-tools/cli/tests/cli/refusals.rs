//! Bad input: exit code 2, one error with the culprit and the remedy, nothing left behind.

use crate::support::{Bench, records};

#[test]
fn bad_inputs_by_table() {
    let bench = Bench::new();
    bench.bundle();
    bench.good("keygen -o key");
    bench.good("keygen -o other");
    bench.good("pack tiny.onnx --detector d.json -o signed.gate --sign key");
    bench.copy("tiny_dynamo_folded.onnx", "folded.onnx");
    let model = bench.read("tiny.onnx");
    bench.write("cut.onnx", &model[..model.len() / 2]);
    bench.write("empty.onnx", "");
    let bundle = bench.read("tiny.gate");
    bench.write("cut.gate", &bundle[..bundle.len() / 2]);
    bench.write("garbage.gate", records(1, 5, true));
    let mut flipped = bundle.clone();
    let last = flipped.len() - 1;
    flipped[last] ^= 1;
    bench.write("flipped.gate", flipped);
    bench.write("policy.toml", "speed = 3");
    bench.write("rule.toml", "k = 9\nm = 2");
    bench.write("two-names.txt", "a\nb");
    bench.write("cut.json", &bench.read("d.json")[..100]);
    bench.write("bad-label.txt", "1 nan 0 0");
    bench.write("short-label.txt", "1 0");
    bench.write("cut.bin", &bench.read("normal.bin")[..5000]);
    let before = bench.names();
    let cases = [
        ("check absent.onnx", "absent.onnx"),
        ("check cut.onnx", "cut.onnx"),
        ("check empty.onnx", "empty.onnx"),
        ("check .", "."),
        ("check garbage.gate", "garbage.gate"),
        ("features tiny.onnx absent.bin -o new", "absent.bin"),
        ("features tiny.onnx cut.bin -o new", "cut.bin"),
        ("features absent.onnx normal.bin -o new", "absent.onnx"),
        ("features tiny.onnx normal.bin -o absent/new", "absent/new"),
        ("features tiny.onnx normal.bin -o .", "folder"),
        ("features tiny.onnx normal.bin -o normal.bin", "both input and output"),
        ("features tiny.onnx normal.bin -o new --taps nothing.*", "nothing.*"),
        ("features tiny.onnx normal.bin -o new --label bad-label.txt", "bad-label.txt"),
        ("features tiny.onnx normal.bin -o new --label short-label.txt", "4 classes"),
        ("features tiny.onnx normal.bin -o new --label sevens", "sevens"),
        ("features tiny.onnx normal.bin -o new --preprocessing range=1,0", "range"),
        ("features tiny.onnx normal.bin -o new --preprocessing std=nan", "std"),
        ("features tiny.onnx normal.bin -o new --limit 0", "--limit"),
        ("features tiny.onnx normal.bin -o new --threads -1", "-1"),
        ("features tiny.onnx normal.bin -o new --input-size 9,9", "tiny.onnx"),
        ("features tiny.gate normal.bin -o new --label zeros", "--label"),
        ("features garbage.gate normal.bin -o new", "garbage.gate"),
        ("fit --normal absent -o new", "absent"),
        ("fit --normal normal.bin -o new", "normal.bin"),
        ("fit --normal normal.safetensors normal.safetensors -o new", "given twice"),
        ("fit --normal normal.safetensors --anomalous normal.safetensors -o new", "given twice"),
        ("fit --normal normal.safetensors -o new --false-alarm-rate 0.001", "14975"),
        ("fit --normal normal.safetensors -o new --false-alarm-rate nan", "between 0 and 1"),
        ("fit --normal normal.safetensors -o new --false-alarm-rate -1", "between 0 and 1"),
        ("fit --normal normal.safetensors -o new --confidence 1", "between 0 and 1"),
        ("fit --normal normal.safetensors -o new --caution-rate 0.01", "caution"),
        ("fit --normal normal.safetensors -o new --head svm", "composite"),
        ("fit --normal normal.safetensors -o new --head mlp", "--anomalous"),
        ("fit --normal normal.safetensors -o new --inputs all", "norm, forward"),
        ("fit --normal normal.safetensors -o absent/new", "absent/new"),
        ("pack tiny.onnx --detector cut.json -o new", "cut.json"),
        ("pack tiny.onnx --detector normal.safetensors -o new", "normal.safetensors"),
        ("pack folded.onnx --detector d.json -o new", "another model"),
        ("pack tiny.onnx --detector d.json -o new --policy policy.toml", "speed"),
        ("pack tiny.onnx --detector d.json -o new --policy rule.toml", "rule.toml"),
        ("pack tiny.onnx --detector d.json -o new --classes two-names.txt", "4 classes"),
        ("pack tiny.onnx --detector d.json -o new --device-class toaster", "cortex-m7"),
        ("pack tiny.onnx --detector d.json -o new --sign key.pub", "public key"),
        ("pack tiny.onnx --detector d.json -o new --release -1", "-1"),
        ("pack tiny.onnx --detector d.json -o tiny.onnx", "both input and output"),
        ("expand tiny.onnx -o new --opset 3", "17 to 22"),
        ("expand folded.onnx -o new --detector d.json", "another model"),
        ("expand tiny.onnx -o absent/new", "absent/new"),
        ("verify cut.gate", "truncated"),
        ("verify garbage.gate", "GRADGATE"),
        ("verify flipped.gate", "damaged"),
        ("verify tiny.gate --key key.pub", "unsigned"),
        ("verify signed.gate --key other.pub", "other.pub"),
        ("verify signed.gate --key key", "secret"),
        ("verify absent.gate", "absent.gate"),
        ("inspect cut.gate --plan new", "cut.gate"),
        ("inspect tiny.gate --plan absent/new", "absent/new"),
        ("run tiny.gate absent", "absent"),
        ("run . tiny.gate", "swapped"),
        ("run tiny.onnx normal.bin", "tiny.onnx"),
        ("run flipped.gate normal.bin", "damaged"),
        ("bench tiny.gate --executor interp", "ONNX"),
        ("keygen -o key", "never overwritten"),
        ("keygen -o absent/key", "absent/key"),
        ("nonsense", "nonsense"),
    ];
    for (arguments, culprit) in cases {
        let error = bench.bad(arguments);
        assert!(error.contains(culprit), "gradgate {arguments}\nwants {culprit}: {error}");
        assert_eq!(bench.names(), before, "gradgate {arguments} left something");
    }
}

#[test]
fn an_output_that_exists_survives_an_error() {
    let bench = Bench::new();
    bench.features();
    bench.write("d.json", "precious");
    bench.bad("fit --normal normal.safetensors -o d.json --false-alarm-rate 0.001");
    assert_eq!(bench.read("d.json"), b"precious");
}

#[cfg(unix)]
#[test]
fn secret_keys_are_readable_by_their_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let bench = Bench::new();
    bench.good("keygen -o key");
    let mode = std::fs::metadata(bench.path("key")).expect("written").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

/// Whether a process handles SIGINT by now: bit 1 of the mask of caught signals, proc(5).
#[cfg(target_os = "linux")]
fn handles_ctrl_c(id: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|m| m & 2 != 0)
}

/// A fixed pause before the signal failed on a machine so fast that the command had ended, and
/// would on one so slow that its handler was not set.
#[cfg(target_os = "linux")]
#[test]
fn ctrl_c_ends_cleanly() {
    use std::process::{Command, Stdio};
    use std::time::{Duration, Instant};
    let bench = Bench::new();
    bench.write("many.bin", records(3000, 1, false).repeat(10));
    let before = bench.names();
    let mut child = Command::new(env!("CARGO_BIN_EXE_gradgate"))
        .args("features tiny.onnx many.bin -o new --executor interp --threads 1".split(' '))
        .current_dir(bench.path("."))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("starts");
    let started = Instant::now();
    while !handles_ctrl_c(child.id()) {
        assert!(child.try_wait().expect("a child").is_none(), "ended before it took signals");
        assert!(started.elapsed() < Duration::from_secs(60), "never handled Ctrl-C");
        std::thread::sleep(Duration::from_millis(5));
    }
    // Into the loop over frames, on most machines; before it the command must end as cleanly.
    std::thread::sleep(Duration::from_millis(200));
    assert!(child.try_wait().expect("a child").is_none(), "ended already: give it more frames");
    let id = child.id().to_string();
    let kill = Command::new("kill").args(["-INT", &id]).status().expect("kill runs");
    assert!(kill.success());
    assert_eq!(child.wait().expect("ends").code(), Some(130));
    assert_eq!(bench.names(), before);
}
