//! A full disk, on a file system of a few KiB in a mount namespace of its own: the file is named,
//! nothing half written is left, what was there before stays, and the same command goes on once
//! there is room.

use std::process::Command;

use crate::support::{Bench, records};

const PROTOCOL: &str = r#"
name = "small"
question = "per-set"
model = "tiny.onnx"
seeds = [0]
resamples = 5
ours = ["mlp:norm", "image-statistics"]
[normal]
frames = ["normal.bin"]
[[set]]
name = "strange"
kind = "far-ood"
take = { frames = ["strange.bin"] }
[[set]]
name = "pgd"
kind = "attack"
attack = { method = "pgd", eps255 = 16, steps = 4 }
"#;

const RECIPE: &str = "name = 'small'\nepochs = 2\nbatch = 16\n\
     [network]\narchitecture = 'resnet8'\nclasses = 4\nimage = [3, 8, 8]\n\
     [data]\ntrain = ['normal.bin']\nvalidation = 0.25\n\
     [schedule]\nrate = 0.05\n";

/// Runs a command on a disk of so many KiB, then with room, and takes the files of `small/out`.
const SCRIPT: &str = r#"
mount -t tmpfs -o size="$SIZE"k tmpfs small || exit 77
mkdir small/out
echo before > small/out/results.json
echo before > small/out/a.safetensors
"$GRADGATE" $FIRST > told 2> error
echo $? > code
ls -A small/out > left
cp small/out/results.json small/out/a.safetensors .
mount -o remount,size=64m tmpfs small || exit 77
"$GRADGATE" $SECOND > told2 2> error2
echo $? > code2
cp -r small/out result
"#;

/// One command on one disk.
struct Tried {
    code: String,
    error: String,
    left: String,
}

/// `None` where no file system can be mounted without rights; says so.
fn tried(bench: &Bench, size_kib: usize, [first, second]: [&str; 2]) -> Option<Tried> {
    let _ = std::fs::remove_dir_all(bench.path("result"));
    std::fs::create_dir_all(bench.path("small")).expect("makes");
    let run = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "sh", "-c", SCRIPT])
        .env("GRADGATE", env!("CARGO_BIN_EXE_gradgate"))
        .env("SIZE", size_kib.to_string())
        .env("FIRST", first)
        .env("SECOND", second)
        .current_dir(bench.path(""))
        .output();
    match run {
        Ok(output) if output.status.success() => {}
        refused => {
            eprintln!("SKIPPED: no small file system can be mounted here: {refused:?}");
            return None;
        }
    }
    let text = |name: &str| String::from_utf8(bench.read(name)).expect("text");
    assert_eq!(
        text("code2"),
        "0\n",
        "{second} on {size_kib} KiB, then with room: {}",
        text("error2")
    );
    Some(Tried { code: text("code"), error: text("error"), left: text("left") })
}

/// What every failed run owes its user.
fn check(at: &str, tried: &Tried) {
    let Tried { code, error, left } = tried;
    assert_eq!(code, "2\n", "{at}: {error}");
    assert_eq!(error.matches("error:").count(), 1, "{at}: {error}");
    assert!(!error.contains("panicked"), "{at}: {error}");
    for part in ["small/", "No space left", "no room is left there: free some"] {
        assert!(error.contains(part), "{at} wants {part}: {error}");
    }
    assert!(!left.contains(".part"), "{at}: {left}");
}

fn bench() -> Bench {
    let bench = Bench::new();
    bench.write("normal.bin", records(100, 1, false));
    bench.write("strange.bin", records(40, 2, true));
    bench.write("p.toml", PROTOCOL);
    bench.write("r.toml", RECIPE);
    bench
}

/// Which of these words the errors name.
fn named(errors: &[String], words: &[&str]) -> Vec<bool> {
    words.iter().map(|word| errors.iter().any(|error| error.contains(word))).collect()
}

#[test]
fn evaluate_names_the_file_and_goes_on_once_there_is_room() {
    let bench = bench();
    bench.good("evaluate p.toml -o whole");
    let mut errors = Vec::new();
    let command = "evaluate p.toml -o small/out --cache small/cache";
    // Ever more room, so that another file is the first without, until all have some.
    for size in (8..2048).step_by(24) {
        let Some(tried) = tried(&bench, size, [command; 2]) else { return };
        if tried.code == "0\n" {
            break;
        }
        check(&format!("{size} KiB"), &tried);
        assert_eq!(bench.read("results.json"), b"before\n", "{size} KiB");
        assert_eq!(tried.left, "a.safetensors\nresults.json\n", "{size} KiB");
        for name in ["results.json", "results.md", "samples.csv", "report.html"] {
            let (found, whole) = (format!("result/{name}"), format!("whole/{name}"));
            assert!(bench.read(&found) == bench.read(&whole), "{name} after {size} KiB");
        }
        errors.push(tried.error);
    }
    let words = ["small/cache/", "small/out/"];
    assert_eq!(named(&errors, &words), [true; 2], "{words:?}: {errors:?}");
}

#[test]
fn attack_keeps_what_was_there_and_resumes() {
    let bench = bench();
    let options = "attack tiny.onnx normal.bin --method pgd --steps 4 --labels own --clean-wrong \
                   attack --seed 1";
    bench.good(&format!("{options} -o whole.safetensors"));
    let mut errors = Vec::new();
    for size in [8, 40, 100] {
        let first = format!("{options} -o small/out/a.safetensors");
        let second = format!("{first} --resume");
        let Some(tried) = tried(&bench, size, [&first, &second]) else { return };
        check(&format!("{size} KiB"), &tried);
        assert_eq!(bench.read("a.safetensors"), b"before\n", "{size} KiB");
        let found = bench.read("result/a.safetensors");
        assert!(found == bench.read("whole.safetensors"), "{size} KiB");
        errors.push(tried.error);
    }
    assert!(named(&errors, &["a.safetensors.checkpoint"])[0], "{errors:?}");
}

#[test]
fn train_names_the_file_and_goes_on_once_there_is_room() {
    let bench = bench();
    bench.good("train r.toml --data . -o whole");
    let mut errors = Vec::new();
    for size in [8, 400, 900] {
        let command = "train r.toml --data . -o small/out";
        let Some(tried) = tried(&bench, size, [command; 2]) else { return };
        check(&format!("{size} KiB"), &tried);
        for name in ["model.onnx", "card.toml", "curves.json"] {
            let (found, whole) = (format!("result/{name}"), format!("whole/{name}"));
            assert!(bench.read(&found) == bench.read(&whole), "{name} after {size} KiB");
        }
        errors.push(tried.error);
    }
    assert!(named(&errors, &["checkpoint"])[0], "{errors:?}");
}

#[test]
fn standard_output_that_is_full_is_named() {
    if !std::path::Path::new("/dev/full").exists() {
        eprintln!("SKIPPED: there is no /dev/full");
        return;
    }
    let bench = Bench::new();
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").expect("opens");
    let run = Command::new(env!("CARGO_BIN_EXE_gradgate"))
        .args(["check", "tiny.onnx"])
        .current_dir(bench.path(""))
        .stdout(full)
        .output()
        .expect("the command starts");
    let error = String::from_utf8(run.stderr).expect("text");
    assert_eq!(run.status.code(), Some(2), "{error}");
    assert!(error.contains("standard output") && error.contains("No space left"), "{error}");
}
