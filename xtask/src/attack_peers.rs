//! `cargo xtask attack-peers`: `gradgate attack` beside the libraries of others on resnet20.
//!
//! tests/scripts/attack_peers.py does the comparing and says what holds. It takes tens of minutes:
//! the short form, against files that the same script wrote, is a test of gradgate-lab.

use std::process::Command;

use anyhow::{Result, bail};

use crate::{oracle, repo, setup};

/// Pinned libraries; installed without what they depend on, as one of them wants an old `requests`.
const LIST: &str = "xtask/oracle-requirements-attacks.txt";

/// The subcommand; arguments go to the script.
pub fn run(args: &[String]) -> Result<bool> {
    let (models, data) = (repo::shared().join("models"), repo::shared().join("data"));
    if !models.is_dir() || !data.is_dir() {
        bail!("../shared/models and ../shared/data are absent: there is nothing to attack");
    }
    if !oracle::is_ready(true)? {
        bail!("PyTorch is not installed: `cargo xtask setup --with-torch`");
    }
    let mut pip = Command::new(oracle::python());
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "-r"]);
    setup::step(pip.arg(repo::root().join(LIST)))?;
    let mut cargo = Command::new("cargo");
    cargo.args(["build", "--locked", "--package=gradgate-cli", "--features=lab"]);
    setup::step(cargo.current_dir(repo::root()))?;
    let mut script = Command::new(oracle::python());
    script.args(["tests/scripts/attack_peers.py", "compare"]);
    script.arg(repo::target().join("debug/gradgate"));
    script.arg(models.join("resnet20.onnx")).arg(data.join("cifar10-lossless/test.bin"));
    script.arg(repo::target().join("attack-peers")).args(args);
    Ok(script.current_dir(repo::root()).status()?.success())
}
