//! `cargo xtask test`: every check of the project, in stages, each with its time.
//!
//! A stage that fails does not stop the later ones: one run shows everything that is wrong.

use std::ffi::OsStr;
use std::process::Command;

use anyhow::{Result, bail};

use crate::stage::{self, Outcome, Report, Stage};
use crate::{device, no_panic, oracle, peers, process, qemu, repo, setup, suite, tidy};

/// Crates that run on a device.
const DEVICE_CRATES: [&str; 6] = [
    "gradgate-bundle",
    "gradgate-frame",
    "gradgate-gate",
    "gradgate-engine",
    "gradgate-device",
    "gradgate-link",
];
/// What they are built for, besides the host.
const BARE_TARGETS: [&str; 2] = ["thumbv7em-none-eabihf", "thumbv8m.main-none-eabihf"];
/// The Linux on ARM that they are tested on, emulated.
const ARM_LINUX: &str = "aarch64-unknown-linux-gnu";
/// A Linux with the floating-point unit and the word of a Cortex-M: its kernels run here, in all
/// the geometries that the board's cases do not have.
const ARM_32: &str = "armv7-unknown-linux-gnueabihf";

/// Crates with the feature `tract`.
const TRACT_CRATES: [&str; 3] = ["gradgate-tract", "gradgate-tests", "gradgate-cli"];

/// A stage's name, whether `--quick` runs it too, and what it does.
type Entry = (&'static str, bool, fn(&Stage) -> Result<Outcome>);

const STAGES: &[Entry] = &[
    ("setup", false, setup_stage),
    ("format", true, format_stage),
    ("tidy", true, tidy_stage),
    ("clippy", true, clippy_stage),
    ("tests", true, tests_stage),
    ("doc tests", true, doc_tests_stage),
    ("documentation", false, documentation_stage),
    ("bare targets", false, bare_stage),
    ("no panic", false, no_panic::stage),
    ("aarch64 tests", false, arm_linux_stage),
    ("32-bit Arm tests", false, arm_32_stage),
    ("tract", false, tract_stage),
    ("tract on aarch64", false, arm_tract_stage),
    ("fetch", false, fetch_stage),
    ("lab", false, lab_stage),
    ("board in QEMU", false, qemu::stage),
    ("device in QEMU", false, device::stage),
    ("suite in QEMU", false, suite::stage),
    ("python oracles", true, oracle::stage),
    ("peers", true, peers::stage),
    ("dependencies", true, deny_stage),
];

/// The subcommand.
pub fn run(args: &[String]) -> Result<bool> {
    let mut quick = false;
    let mut only = None;
    let mut rest = args.iter();
    while let Some(arg) = rest.next() {
        match arg.as_str() {
            "--quick" => quick = true,
            "--only" => only = Some(known_stage(rest.next())?),
            other => bail!("test takes --quick and --only STAGE, not '{other}'"),
        }
    }
    let mut reports: Vec<Report> = Vec::new();
    for (name, in_quick, body) in STAGES {
        let stage = Stage::start(name)?;
        let left_out = match only {
            Some(only) => (only != *name).then_some("left out by --only"),
            None => (quick && !in_quick).then_some("left out by --quick"),
        };
        let outcome = match left_out {
            Some(reason) => Ok(Outcome::Skipped(reason.to_owned())),
            None => body(&stage),
        };
        reports.push(stage.finish(outcome));
    }
    Ok(stage::conclude(&reports))
}

fn known_stage(name: Option<&String>) -> Result<&'static str> {
    let names: Vec<&str> = STAGES.iter().map(|(name, _, _)| *name).collect();
    let given = name.map(String::as_str).unwrap_or_default();
    match STAGES.iter().find(|(name, _, _)| *name == given) {
        Some((name, _, _)) => Ok(name),
        None => bail!("--only wants one of: {}", names.join(", ")),
    }
}

fn cargo(words: &[&str]) -> Command {
    let mut command = Command::new("cargo");
    command.args(words).current_dir(repo::root());
    command
}

/// Cargo in the boards' workspace, which has its own configuration and output.
pub fn boards_cargo(words: &[&str]) -> Command {
    let mut command = Command::new("cargo");
    command.args(words).current_dir(repo::boards());
    command.env("CARGO_TARGET_DIR", repo::boards_target());
    command
}

fn setup_stage(stage: &Stage) -> Result<Outcome> {
    let missing = setup::Missing::find(false)?;
    stage.note(&missing.describe())?;
    if missing.is_empty() || setup::install(&missing, false)? {
        return Ok(Outcome::Passed);
    }
    Ok(Outcome::Failed("something is still missing; see `cargo xtask setup`".to_owned()))
}

fn format_stage(stage: &Stage) -> Result<Outcome> {
    let words = ["fmt", "--all", "--check"];
    stage.run(&mut [cargo(&words), boards_cargo(&words)])
}

fn tidy_stage(stage: &Stage) -> Result<Outcome> {
    let findings = tidy::check()?;
    for finding in &findings {
        stage.note(&format!("{finding}\n"))?;
    }
    match findings.len() {
        0 => Ok(Outcome::Passed),
        count => Ok(Outcome::Failed(format!("{count} findings"))),
    }
}

fn clippy_stage(stage: &Stage) -> Result<Outcome> {
    stage.run(&mut [clippy(&["--workspace".to_owned()])])
}

fn clippy(selection: &[String]) -> Command {
    let mut command = cargo(&["clippy", "--all-targets", "--locked"]);
    command.args(selection).args(["--", "-D", "warnings"]);
    command
}

fn tests_stage(stage: &Stage) -> Result<Outcome> {
    let mut command = test_runner(&["--workspace"]);
    oracle::offer(&mut command)?;
    stage.run(&mut [command])
}

/// Runs all tests to the end and prints passing tests' output, where they say what they skipped.
fn test_runner<S: AsRef<OsStr>>(selection: &[S]) -> Command {
    let nextest = process::succeeds(Command::new("cargo").args(["nextest", "--version"]));
    let mut command = match nextest {
        true => cargo(&["nextest", "run", "--locked", "--no-fail-fast"]),
        false => cargo(&["test", "--locked", "--no-fail-fast", "--lib", "--bins", "--tests"]),
    };
    command.args(selection);
    match nextest {
        true => command.args(["--success-output", "immediate", "--status-level", "pass"]),
        false => command.args(["--", "--show-output"]),
    };
    command
}

fn doc_tests_stage(stage: &Stage) -> Result<Outcome> {
    stage.run(&mut [cargo(&["test", "--workspace", "--doc", "--locked"])])
}

fn documentation_stage(stage: &Stage) -> Result<Outcome> {
    let mut doc = cargo(&["doc", "--workspace", "--no-deps", "--locked"]);
    doc.env("RUSTDOCFLAGS", "-D warnings");
    stage.run(&mut [doc])
}

fn device_packages() -> Vec<&'static str> {
    DEVICE_CRATES.iter().flat_map(|name| ["--package", name]).collect()
}

/// Alone and without default features: a whole-workspace build would hide a leaked `std`.
fn bare_stage(stage: &Stage) -> Result<Outcome> {
    let mut commands = Vec::new();
    for target in BARE_TARGETS {
        for name in DEVICE_CRATES {
            let words = ["build", "--locked", "--no-default-features", "--target", target];
            let mut command = cargo(&words);
            command.args(["--package", name]);
            commands.push(command);
        }
        let drivers = ["build", "--locked", "--target", target, "--features", "arducam,defmt"];
        let mut command = cargo(&drivers);
        command.args(["--package", "gradgate-device"]);
        commands.push(command);
    }
    // What an engine without functions refuses.
    let refusals = ["--no-default-features", "--package", "gradgate-engine", "--test", "load"];
    commands.push(test_runner(&refusals));
    let lints = ["clippy", "--workspace", "--locked", "--", "-D", "warnings"];
    commands.push(boards_cargo(&lints));
    stage.run(&mut commands)
}

fn arm_linux_stage(stage: &Stage) -> Result<Outcome> {
    if let Some(skipped) = no_arm_linux() {
        return Ok(skipped);
    }
    let mut device = device_packages();
    device.extend(["--target", ARM_LINUX]);
    // The whole path from the model on, with bits compared to those committed.
    let bits = ["--package", "gradgate-tests", "--test", "bits", "--target", ARM_LINUX];
    let mut commands = [test_runner(&device), test_runner(&bits)];
    commands.iter_mut().for_each(emulate_arm_linux);
    stage.run(&mut commands)
}

fn arm_32_stage(stage: &Stage) -> Result<Outcome> {
    if let Some(missing) = absent(&["qemu-arm", "arm-linux-gnueabihf-gcc"]) {
        return Ok(missing);
    }
    // Math functions are the same code everywhere; a sweep over them takes an emulator minutes.
    let engine = ["--target", ARM_32, "--package", "gradgate-engine", "--test", "kernels"];
    let bundle = ["--target", ARM_32, "--package", "gradgate-bundle"];
    let mut commands = [test_runner(&engine), test_runner(&bundle)];
    for command in &mut commands {
        command.env("CARGO_TARGET_ARMV7_UNKNOWN_LINUX_GNUEABIHF_LINKER", "arm-linux-gnueabihf-gcc");
        let runner = "qemu-arm -L /usr/arm-linux-gnueabihf";
        command.env("CARGO_TARGET_ARMV7_UNKNOWN_LINUX_GNUEABIHF_RUNNER", runner);
    }
    stage.run(&mut commands)
}

/// What is missing to build for ARM and to emulate it.
fn no_arm_linux() -> Option<Outcome> {
    absent(&["qemu-aarch64", "aarch64-linux-gnu-gcc"])
}

/// That a program is missing.
fn absent(programs: &[&str]) -> Option<Outcome> {
    let missing = programs.iter().find(|program| !process::is_installed(program))?;
    Some(Outcome::Skipped(format!("no {missing}: `cargo xtask setup`")))
}

fn emulate_arm_linux(command: &mut Command) {
    command.env("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER", "aarch64-linux-gnu-gcc");
    let runner = "qemu-aarch64 -L /usr/aarch64-linux-gnu";
    command.env("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER", runner);
}

/// tract stands behind a feature, so that nothing else waits for its build: here lints and tests of
/// what differs with the feature.
fn tract_stage(stage: &Stage) -> Result<Outcome> {
    let mut selection = with_tract(&TRACT_CRATES);
    let lints = clippy(&selection);
    let tests = ["--lib", "--test=suite", "--test=parity", "--test=tract", "--test=cli"];
    selection.extend(tests.map(str::to_owned));
    stage.run(&mut [lints, test_runner(&selection)])
}

/// `gradgate data` with its downloads, which the default build does not have.
fn fetch_stage(stage: &Stage) -> Result<Outcome> {
    let mut selection = ["--package=gradgate-cli", "--features=fetch"].map(str::to_owned).to_vec();
    let lints = clippy(&selection);
    selection.push("data".to_owned());
    stage.run(&mut [lints, test_runner(&selection)])
}

/// `gradgate train`, `attack` and `evaluate`, which the default build does not have.
fn lab_stage(stage: &Stage) -> Result<Outcome> {
    let mut selection = ["--package=gradgate-cli", "--features=lab"].map(str::to_owned).to_vec();
    let lints = clippy(&selection);
    selection.extend(["attack", "evaluate", "train", "command_line"].map(str::to_owned));
    stage.run(&mut [lints, test_runner(&selection)])
}

/// Every case of the suite through tract's kernels for ARM. The rest of the suite builds hundreds
/// of models more, which takes an emulator too long and shows nothing new of the kernels.
fn arm_tract_stage(stage: &Stage) -> Result<Outcome> {
    if let Some(skipped) = no_arm_linux() {
        return Ok(skipped);
    }
    let mut selection = with_tract(&["gradgate-tests"]);
    let suite = ["--test=suite", "--target", ARM_LINUX, "executors_agree_with_the_interpreter"];
    selection.extend(suite.map(str::to_owned));
    let mut suite = test_runner(&selection);
    emulate_arm_linux(&mut suite);
    stage.run(&mut [suite])
}

/// The packages and their feature `tract`.
fn with_tract(packages: &[&str]) -> Vec<String> {
    let features = packages.iter().map(|name| format!("--features={name}/tract"));
    features.chain(packages.iter().map(|name| format!("--package={name}"))).collect()
}

fn deny_stage(stage: &Stage) -> Result<Outcome> {
    if !process::is_installed("cargo-deny") {
        return Ok(Outcome::Skipped("cargo-deny is not installed (optional)".to_owned()));
    }
    stage.run(&mut [cargo(&["deny", "--workspace", "check"])])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_stage_has_its_own_log() {
        for (index, (name, _, _)) in STAGES.iter().enumerate() {
            assert!(!STAGES[..index].iter().any(|(other, _, _)| other == name), "{name}");
        }
    }

    #[test]
    fn passing_tests_show_their_output() {
        let line = process::line(&test_runner(&["--workspace"]));
        assert!(line.contains("--success-output") || line.contains("--show-output"), "{line}");
    }
}
