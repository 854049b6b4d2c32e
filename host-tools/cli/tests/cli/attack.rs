//! `gradgate attack`: its file as frames again, the same bits after a kill, and what is refused.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::{Bench, records};

/// Labels of the records say nothing to the tiny model.
const OWN: &str = "--labels own --clean-wrong attack";

#[test]
fn attacked_images_are_frames_again() {
    let bench = Bench::new();
    bench.write("f.bin", records(30, 1, false));
    let told = bench.good(&format!(
        "attack tiny.onnx f.bin --method bim --eps 32/255 --round8 {OWN} -o a.safetensors"
    ));
    for line in ["images              30", "success", "image-steps/s on cpu"] {
        assert!(told.contains(line), "{told}");
    }
    let whole = bench.good("features tiny.onnx a.safetensors -o whole.safetensors");
    assert!(whole.contains("30 frames"), "{whole}");
    bench.good(&format!(
        "attack tiny.onnx f.bin --method bim --eps 32/255 --round8 {OWN} --batch 7 -o b.safetensors"
    ));
    assert_eq!(bench.read("a.safetensors"), bench.read("b.safetensors"), "batches differ");
    assert_eq!(bench.names().iter().filter(|name| name.contains("checkpoint")).count(), 0);
}

#[test]
fn a_killed_run_goes_on_to_the_same_bits() {
    let bench = Bench::new();
    bench.write("f.bin", records(120, 1, false));
    let options = format!("tiny.onnx f.bin --method pgd --steps 40 --seed 3 --batch 4 {OWN}");
    bench.good(&format!("attack {options} -o whole.safetensors"));
    let arguments = format!("attack {options} -o a.safetensors");
    let mut child = Command::new(env!("CARGO_BIN_EXE_gradgate"))
        .args(arguments.split_whitespace())
        .current_dir(bench.path(""))
        .stdout(Stdio::null())
        .spawn()
        .expect("the command starts");
    let checkpoint = bench.path("a.safetensors.checkpoint");
    let begin = Instant::now();
    // Long enough for some images and the description before them.
    while std::fs::metadata(&checkpoint).map_or(0, |file| file.len()) < 8_000 {
        assert!(begin.elapsed() < Duration::from_secs(60), "no image is done");
        std::thread::sleep(Duration::from_millis(1));
    }
    child.kill().expect("is killed");
    child.wait().expect("ends");
    assert!(checkpoint.exists(), "the run was over before it was killed");
    let refused = bench.bad(&arguments);
    assert!(refused.contains("--resume"), "{refused}");
    let other = bench.bad(&format!("{} --resume --eps 1/255", arguments));
    assert!(other.contains("other options"), "{other}");
    let outcome = bench.run(&format!("{arguments} --resume"));
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    assert!(outcome.stderr.contains("are done already"), "{}", outcome.stderr);
    assert!(bench.read("a.safetensors") == bench.read("whole.safetensors"), "bits differ");
    assert!(!checkpoint.exists());
}

#[test]
fn what_makes_no_sense_is_refused_before_any_work() {
    let bench = Bench::new();
    bench.write("f.bin", records(64, 1, false));
    bench.write("p.ppm", crate::support::ppm(1, false));
    let cases = [
        ("--method bim --eps 8", "written as 8/255"),
        ("--method bim --steps 0", "begin at 1"),
        ("--method bim --targets 4", "classes 0 to 3"),
        ("--method bim --preset kurakin", "leaves eps to you"),
        ("--method mim", "it is one of fgsm"),
        ("--method cw --eps 8/255", "cw has no option `eps`"),
        ("--method bim --device tpu", "cpu or cuda"),
        ("--method bim", "no more than by chance"),
    ];
    for (options, says) in cases {
        let error = bench.bad(&format!("attack tiny.onnx f.bin {options} -o a.safetensors"));
        assert!(error.contains(says), "{options}: {error}");
    }
    let error = bench.bad("attack tiny.onnx p.ppm --method bim -o a.safetensors");
    assert!(error.contains("--labels own"), "{error}");
    let error = bench.bad("attack tiny.onnx f.bin --method bim -o absent/a.safetensors");
    assert!(error.contains("cannot write"), "{error}");
    let left: Vec<String> =
        bench.names().into_iter().filter(|n| n.contains("safetensors")).collect();
    assert!(left.is_empty(), "{left:?}");
}

#[cfg(not(feature = "cuda"))]
#[test]
fn a_gpu_that_this_build_cannot_use_is_named() {
    let bench = Bench::new();
    bench.write("f.bin", records(4, 1, false));
    let error = bench.bad("attack tiny.onnx f.bin --method bim --device cuda -o a.safetensors");
    assert!(error.contains("--features cuda"), "{error}");
}
