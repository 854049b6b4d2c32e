//! The Python side: an environment with pinned peers, and what is compared with them.
//!
//! Tests find the environment's Python in `GRADGATE_PYTHON`; the stage here checks the command
//! itself: what `gradgate expand` writes is run by onnxruntime and compared with PyTorch's numbers;
//! what `gradgate scan` writes is read by mcap and rosbags; and the golden figures of the metrics
//! and of the detectors of others are computed again.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::skips::MARK;
use crate::stage::{Outcome, Stage};
use crate::{repo, setup};

const PLAIN: &str = include_str!("../oracle-requirements.txt");
const TORCH: &str = include_str!("../oracle-requirements-torch.txt");

/// Models with reference numbers from PyTorch in float64.
const MODELS: [&str; 2] = ["resnet8", "resnet20"];

/// Scores of the detectors of others, by numpy, scikit-learn and PyTorch.
const BASELINE: &str = "host-tools/lab/tests/golden/baseline.safetensors";

/// Recordings that rosbags and mcap wrote, with the topics that are scanned.
const RECORDINGS: &str = "host-tools/frames/tests/golden/recordings";
const SCANS: [(&str, &[&str]); 4] = [
    ("rosbags.mcap", &["/rgb", "/jpeg"]),
    ("rosbags.db3", &["/yuv", "/png"]),
    ("lz4.mcap", &["/mono"]),
    ("unchunked.mcap", &["/mono"]),
];

/// Figures by scikit-learn that the metrics are tested against.
const METRICS: &str = "host-tools/detect/tests/golden/metrics.json";

/// Bounds of a Poisson mean by scipy.
const POISSON: &str = "host-tools/detect/tests/golden/poisson.json";

fn environment() -> PathBuf {
    repo::target().join("oracle-venv")
}

/// Its Python.
pub fn python() -> PathBuf {
    environment().join("bin/python")
}

/// Copies of the requirement lists lie in the environment once everything in them is installed.
fn stamp(name: &str) -> PathBuf {
    environment().join(name)
}

/// Whether the environment holds exactly the pinned packages.
pub fn is_ready(with_torch: bool) -> Result<bool> {
    let holds = |name: &str, text: &str| fs::read_to_string(stamp(name)).is_ok_and(|s| s == text);
    let torch = !with_torch || holds("torch.txt", TORCH);
    Ok(python().is_file() && holds("plain.txt", PLAIN) && torch)
}

/// Creates or completes the environment.
pub fn create(with_torch: bool) -> Result<()> {
    if !python().is_file() {
        setup::step(Command::new("python3").args(["-m", "venv"]).arg(environment()))?;
    }
    install("oracle-requirements.txt", "plain.txt", PLAIN)?;
    if with_torch {
        install("oracle-requirements-torch.txt", "torch.txt", TORCH)?;
    }
    Ok(())
}

fn install(list: &str, stamp_name: &str, text: &str) -> Result<()> {
    let mut pip = Command::new(python());
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"]);
    setup::step(pip.arg(repo::root().join("xtask").join(list)))?;
    let stamp = stamp(stamp_name);
    fs::write(&stamp, text).with_context(|| format!("{}", stamp.display()))
}

/// Tells tests where the pinned peers are, if they are installed.
pub fn offer(command: &mut Command) -> Result<()> {
    if is_ready(false)? {
        command.env("GRADGATE_PYTHON", python());
    }
    Ok(())
}

/// The stage: golden figures and scores are computed again; the built command expands the real
/// models, onnxruntime runs the result.
pub fn stage(stage: &Stage) -> Result<Outcome> {
    if !is_ready(false)? {
        let reason = "the Python packages are not installed: `cargo xtask setup`";
        return Ok(Outcome::Skipped(reason.to_owned()));
    }
    let mut metrics = Command::new(python());
    metrics.args(["tests/scripts/metrics_golden.py", "check", METRICS]);
    let mut poisson = Command::new(python());
    poisson.args(["tests/scripts/poisson_golden.py", "check", POISSON]);
    let mut commands = vec![metrics, poisson];
    if is_ready(true)? {
        let mut baseline = Command::new(python());
        baseline.args(["tests/scripts/baseline_goldens.py", "check", BASELINE]);
        let mut adaptive = Command::new(python());
        adaptive.args(["tests/scripts/adaptive_goldens.py", "check"]);
        commands.extend([baseline, adaptive]);
    } else {
        stage
            .note(&format!("{MARK}PyTorch is not installed: `cargo xtask setup --with-torch`\n"))?;
    }
    let models = repo::shared().join("models");
    match models.is_dir() {
        true => commands.extend(expansions(&models)),
        false => stage.note(&format!("{MARK}../shared/models is absent\n"))?,
    }
    commands.extend(scans());
    for command in &mut commands {
        command.current_dir(repo::root());
    }
    stage.run(&mut commands)
}

fn build() -> Command {
    let mut build = Command::new("cargo");
    build.args(["build", "--locked", "--profile=test", "--package=gradgate-cli"]);
    build
}

/// Scans recordings with the built command; mcap and rosbags read the copies.
fn scans() -> Vec<Command> {
    let mut commands = vec![build()];
    for (name, topics) in SCANS {
        let recording = Path::new(RECORDINGS).join(name);
        let annotated = repo::target().join("xtask").join(format!("{name}.scanned.mcap"));
        let mut scan = Command::new(repo::target().join("debug/gradgate"));
        scan.args(["scan", "models/bundles/signs.gate"]).arg(&recording).arg("-o").arg(&annotated);
        let mut check = Command::new(python());
        check.arg("tests/scripts/check_annotated.py").arg(&recording).arg(&annotated).args(topics);
        for topic in topics {
            scan.args(["--topic", topic]);
        }
        commands.extend([scan, check]);
    }
    commands
}

/// Builds the command, expands every model with it and checks what it wrote.
fn expansions(models: &Path) -> Vec<Command> {
    let mut commands = vec![build()];
    for model in MODELS {
        let expanded = repo::target().join("xtask").join(format!("{model}.expanded.onnx"));
        let mut expand = Command::new(repo::target().join("debug/gradgate"));
        expand.arg("expand").arg(models.join(format!("{model}.onnx")));
        expand.arg("-o").arg(&expanded);
        let mut check = Command::new(python());
        check.args(["tests/scripts/check_expanded.py", "model"]).arg(&expanded);
        check.arg(models.join(format!("{model}.reference.safetensors")));
        commands.extend([expand, check]);
    }
    commands
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_peer_is_pinned() {
        for line in PLAIN.lines().chain(TORCH.lines()).filter(|line| !line.starts_with('#')) {
            assert!(line.contains("=="), "{line}");
        }
    }
}
