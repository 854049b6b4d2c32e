//! The suite of tests/hil on the whole device in QEMU, by the commands that a bench would type:
//! keys, provisioning, flashing, frames, reports.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result};

use crate::qemu::EMULATOR;
use crate::stage::{Outcome, Stage};
use crate::{device, process, repo};

/// The suite, from the repository's root.
const SUITE: &str = "tests/hil/signs.toml";
/// The policy with which the gate is timed, as an emulated verdict takes longer than the lease.
const POLICY: &str = "tests/hil/emulated.toml";
/// The bundle's normal frames: a pin may follow their promise on this bench.
const FRAMES: &str = "signs:calibration:n=6000";

/// A running emulator, which ends with it.
struct Emulated(Child);

impl Drop for Emulated {
    fn drop(&mut self) {
        // It may have ended by itself; the stage tells what it did not do.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The stage of the test command.
pub fn stage(stage: &Stage) -> Result<Outcome> {
    if !process::is_installed(EMULATOR) {
        return Ok(Outcome::Skipped(format!("no {EMULATOR}: run `cargo xtask setup`")));
    }
    let mut command_line = Command::new("cargo");
    command_line.args(["build", "--locked", "--package", "gradgate-cli"]);
    command_line.current_dir(repo::root());
    let outcome = stage.run(&mut [device::build(&[]), command_line])?;
    if outcome != Outcome::Passed {
        return Ok(outcome);
    }
    let folder = repo::target().join("suite");
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("{}", folder.display()))?;
    }
    fs::create_dir_all(&folder).with_context(|| format!("{}", folder.display()))?;
    let (flash, port) = (folder.join("flash.bin"), device::free_port()?);
    device::write_erased(&flash)?;
    let mut emulator = device::emulator(&device::image(), &flash, port);
    // QEMU ends when its monitor's input does.
    emulator.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let emulated = Emulated(emulator.spawn().context(EMULATOR)?);
    let outcome = stage.run(&mut typed(&folder, &format!("tcp://127.0.0.1:{port}")));
    drop(emulated);
    outcome
}

/// What somebody at a bench types, in order. A part of the suite, as the rest takes minutes; but
/// the gate is timed, by the board's clock.
fn typed(folder: &Path, address: &str) -> [Command; 6] {
    let file = |name: &str| folder.join(name).display().to_string();
    let (signer, public, site) = (file("signer"), file("signer.pub"), file("site.key"));
    let (junit, html, times) = (file("hil.xml"), file("hil.html"), file("gate.xml"));
    let device = ["--device", address, "--patience", "60"];
    let of = |words: &[&str]| {
        let mut command = Command::new(repo::target().join("debug").join("gradgate"));
        command.args(words).current_dir(repo::root());
        command
    };
    let provision = ["provision", "--name", "qemu", "--key", &public, "--site-key", &site];
    let hil = ["hil", SUITE, "--sign", &signer, "--site-key", &site, "--no-skips"];
    let signs = ["--flash", "--only", "signs*", "--junit", &junit, "--html", &html];
    let camera = ["--only", "frames of a camera"];
    let gate = ["--flash", "--only", "the gate*", "--junit", &times];
    let policy = ["--policy", POLICY, "--enforce-on-dataset", FRAMES];
    [
        of(&["keygen", "-o", &signer]),
        of(&["keygen", "--site", "-o", &site]),
        of(&[&provision[..], &device[..]].concat()),
        of(&[&hil[..], &signs[..], &device[..]].concat()),
        of(&[&hil[..], &camera[..], &device[..]].concat()),
        of(&[&hil[..], &gate[..], &policy[..], &device[..]].concat()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_suite_is_there_and_every_command_names_the_device_or_makes_a_key() {
        assert!([SUITE, POLICY].iter().all(|file| repo::root().join(file).is_file()));
        for command in typed(Path::new("folder"), "tcp://127.0.0.1:4711") {
            let line = process::line(&command);
            assert!(line.contains("keygen") || line.contains("tcp://127.0.0.1:4711"), "{line}");
        }
    }
}
