//! `cargo xtask fuzz`: a search guided by coverage through the doors that untrusted bytes come in
//! by.
//!
//! The targets lie in tests/fuzz, a workspace of its own, and call what tests/src/doors.rs holds;
//! the tests replay the same doors without a fuzzer. Only cargo-fuzz is needed beside the pinned
//! stable compiler, as no sanitizer is used: the code below the doors has no unsafe code that one
//! could watch, and overflow checks are on.

use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::{process, repo, setup};

/// A target, the runs that a full search takes, seconds that one input may take, the folders of its
/// seeds, and a file of words that inputs are made of.
struct Target {
    name: &'static str,
    runs: u64,
    seconds_max: u32,
    seeds: &'static [&'static str],
    words: Option<&'static str>,
}

/// Operators, attributes and their values.
const ONNX_WORDS: Option<&str> = Some("tests/fuzz/onnx.dict");

/// Models that are accepted, and one for each attack.
const MODELS: [&str; 3] = ["tests/fuzz/seeds/import", "tests/golden/onnx", "tests/golden/families"];

const TARGETS: [Target; 9] = [
    Target {
        name: "bundle",
        runs: 10_000_000,
        seconds_max: 5,
        seeds: &["tests/fuzz/seeds/bundle", "runtime/bundle/tests/golden"],
        words: None,
    },
    Target { name: "import", runs: 1_000_000, seconds_max: 10, seeds: &MODELS, words: ONNX_WORDS },
    Target { name: "compile", runs: 1_000_000, seconds_max: 20, seeds: &MODELS, words: ONNX_WORDS },
    Target {
        name: "images",
        runs: 1_000_000,
        seconds_max: 10,
        seeds: &["tests/fuzz/seeds/images", "host-tools/frames/tests/golden"],
        words: None,
    },
    Target {
        name: "recordings",
        runs: 1_000_000,
        seconds_max: 10,
        seeds: &["tests/fuzz/seeds/recordings", "host-tools/frames/tests/golden/recordings"],
        words: None,
    },
    Target {
        name: "features",
        runs: 1_000_000,
        seconds_max: 5,
        seeds: &["tests/fuzz/seeds/features"],
        words: None,
    },
    Target {
        name: "detector",
        runs: 1_000_000,
        seconds_max: 5,
        seeds: &["tests/fuzz/seeds/detector"],
        words: None,
    },
    Target {
        name: "requests",
        runs: 1_000_000,
        seconds_max: 5,
        seeds: &["tests/fuzz/seeds/requests"],
        words: None,
    },
    Target {
        name: "answers",
        runs: 1_000_000,
        seconds_max: 5,
        seeds: &["tests/fuzz/seeds/answers"],
        words: None,
    },
];

/// Memory in MiB that a target may have resident: far above what its door allows for any input.
const RESIDENT_MIB: u32 = 2_048;

/// Bytes of the longest input: more than any seed.
const INPUT_MAX: u32 = 64 << 10;

/// The subcommand.
pub fn run(args: &[String]) -> Result<bool> {
    let mut chosen = Vec::new();
    let (mut runs, mut seconds) = (None, None);
    let mut rest = args.iter();
    while let Some(arg) = rest.next() {
        match arg.as_str() {
            "--seeds" => return make_seeds(),
            "--runs" => runs = Some(number(arg, rest.next())?),
            "--seconds" => seconds = Some(number(arg, rest.next())?),
            name => chosen.push(known(name)?),
        }
    }
    if chosen.is_empty() {
        chosen.extend(&TARGETS);
    }
    if !process::is_installed("cargo-fuzz") {
        bail!("cargo-fuzz is not installed: `cargo install cargo-fuzz --locked`");
    }
    let mut clean = true;
    for target in chosen {
        clean &= search(target, runs.unwrap_or(target.runs), seconds)?;
    }
    Ok(clean)
}

fn number(option: &str, value: Option<&String>) -> Result<u64> {
    let text = value.with_context(|| format!("{option} wants a number"))?;
    text.parse().with_context(|| format!("{option} wants a number, not '{text}'"))
}

fn known(name: &str) -> Result<&'static Target> {
    let names = TARGETS.map(|target| target.name).join(", ");
    let found = TARGETS.iter().find(|target| target.name == name);
    found.with_context(|| format!("fuzz takes --runs N, --seconds N, --seeds or one of {names}"))
}

fn make_seeds() -> Result<bool> {
    let mut cargo = Command::new("cargo");
    cargo.args(["run", "--locked", "--package", "gradgate-tests", "--example", "fuzz_seeds"]);
    setup::step(cargo.current_dir(repo::root()))?;
    Ok(true)
}

fn search(target: &Target, runs: u64, seconds: Option<u64>) -> Result<bool> {
    let root = repo::root();
    let output = repo::target().join("fuzz");
    let folders = ["corpus", "artifacts"].map(|kind| output.join(kind).join(target.name));
    for folder in &folders {
        std::fs::create_dir_all(folder).with_context(|| format!("{}", folder.display()))?;
    }
    let [corpus, artifacts] = folders;
    let mut cargo = Command::new("cargo");
    cargo.args(["fuzz", "run", "--fuzz-dir", "tests/fuzz", "--sanitizer", "none"]);
    cargo.arg("--target-dir").arg(&output).arg(target.name).arg(&corpus);
    cargo.args(target.seeds.iter().map(|folder| root.join(folder)));
    cargo.arg("--").arg(format!("-runs={runs}")).arg(format!("-timeout={}", target.seconds_max));
    cargo.arg(format!("-max_total_time={}", seconds.unwrap_or(0)));
    cargo.arg(format!("-rss_limit_mb={RESIDENT_MIB}")).arg(format!("-max_len={INPUT_MAX}"));
    cargo.arg(format!("-artifact_prefix={}/", artifacts.display()));
    cargo.arg("-print_final_stats=1");
    cargo.args(target.words.map(|file| format!("-dict={}", root.join(file).display())));
    println!("{}: {runs} runs; what breaks it goes to {}", target.name, artifacts.display());
    let status = cargo.current_dir(&root).status().context("cargo fuzz")?;
    Ok(status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_target_is_a_program_of_the_fuzz_workspace() {
        let folder = repo::root().join("tests/fuzz/fuzz_targets");
        let files = std::fs::read_dir(folder).expect("targets").count();
        assert_eq!(files, TARGETS.len());
        let manifest = repo::root().join("tests/fuzz/Cargo.toml");
        let manifest = std::fs::read_to_string(manifest).expect("a manifest");
        for target in &TARGETS {
            assert!(manifest.contains(&format!("name = \"{}\"", target.name)), "{}", target.name);
            for folder in target.seeds {
                assert!(repo::root().join(folder).is_dir(), "{folder}");
            }
            assert!(target.words.is_none_or(|file| repo::root().join(file).is_file()));
        }
    }

    #[test]
    fn unknown_targets_and_numbers_are_named() {
        assert!(known("none").err().expect("unknown").to_string().contains("bundle, import"));
        assert!(number("--runs", Some(&"many".to_owned())).is_err());
        assert!(number("--runs", None).is_err());
    }
}
