//! The Python side: an environment with pinned peers, and the scripts that compare with them.
//!
//! `tests/scripts/check_*.py` each take the shared folder and the built command as arguments, print
//! what they saw, and exit non-zero on a difference.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::stage::{Outcome, Stage};
use crate::{repo, setup};

const PLAIN: &str = include_str!("../oracle-requirements.txt");
const TORCH: &str = include_str!("../oracle-requirements-torch.txt");

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
        setup::step(
            Command::new("python3")
                .args(["-m", "venv"])
                .arg(environment()),
        )?;
    }
    install("oracle-requirements.txt", "plain.txt", PLAIN)?;
    if with_torch {
        install("oracle-requirements-torch.txt", "torch.txt", TORCH)?;
    }
    Ok(())
}

fn install(list: &str, stamp_name: &str, text: &str) -> Result<()> {
    let mut pip = Command::new(python());
    pip.args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "-r",
    ]);
    setup::step(pip.arg(repo::root().join("xtask").join(list)))?;
    let stamp = stamp(stamp_name);
    fs::write(&stamp, text).with_context(|| format!("{}", stamp.display()))
}

/// The scripts, in order of name.
fn scripts() -> Result<Vec<PathBuf>> {
    let folder = repo::root().join("tests/scripts");
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let mut scripts = Vec::new();
    for entry in folder
        .read_dir()
        .with_context(|| format!("{}", folder.display()))?
    {
        let path = entry?.path();
        if is_check(&path) {
            scripts.push(path);
        }
    }
    scripts.sort();
    Ok(scripts)
}

fn is_check(path: &Path) -> bool {
    let name = path
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or_default();
    name.starts_with("check_") && name.ends_with(".py")
}

/// The stage: builds the command, then runs every script with it.
pub fn stage(stage: &Stage) -> Result<Outcome> {
    let scripts = scripts()?;
    if scripts.is_empty() {
        return Ok(Outcome::Skipped(
            "no tests/scripts/check_*.py yet".to_owned(),
        ));
    }
    if !repo::shared().join("models").is_dir() {
        return Ok(Outcome::Skipped("../shared/models is absent".to_owned()));
    }
    if !is_ready(false)? {
        let reason = "the Python packages are not installed: `cargo xtask setup`";
        return Ok(Outcome::Skipped(reason.to_owned()));
    }
    let mut build = Command::new("cargo");
    build.args([
        "build",
        "--locked",
        "--release",
        "--package",
        "gradgate-cli",
    ]);
    build.current_dir(repo::root());
    let mut commands = vec![build];
    for script in scripts {
        let mut command = Command::new(python());
        command
            .arg(script)
            .arg(repo::shared())
            .arg(repo::target().join("release/gradgate"));
        command.current_dir(repo::root());
        commands.push(command);
    }
    stage.run(&mut commands)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_check_scripts_are_run() {
        let cases = [
            ("a/check_x.py", true),
            ("a/x.py", false),
            ("a/check_x.txt", false),
        ];
        for (path, expected) in cases {
            assert_eq!(is_check(Path::new(path)), expected, "{path}");
        }
    }

    #[test]
    fn every_peer_is_pinned() {
        for line in PLAIN
            .lines()
            .chain(TORCH.lines())
            .filter(|line| !line.starts_with('#'))
        {
            assert!(line.contains("=="), "{line}");
        }
    }
}
