//! The whole device in QEMU: board mps2-an500 by hand, and the stage that provokes its faults.
//!
//! The tests' program `device_in_qemu` does the talking, as this crate knows no bundle and no link.
//! A second image can be made to fail; it has the feature `provoke` and another name.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::qemu::EMULATOR;
use crate::stage::{Outcome, Stage};
use crate::{no_panic, process, qemu, repo, setup, size, test};

/// The board's package and binary.
pub const PACKAGE: &str = "gradgate-mps2-an500";
/// Length of the emulated flash: all of the board's PSRAM.
const FLASH_BYTES: usize = 16 * 1024 * 1024;
/// The program that provokes the faults, built as the tests are.
const PROGRAM: [&str; 6] = [
    "run",
    "--locked",
    "--profile=test",
    "--package=gradgate-tests",
    "--example=device_in_qemu",
    "--",
];

/// By hand: boots the board and waits for its end. `flash` survives; without one nothing does.
pub fn boot(flash: Option<&Path>) -> Result<bool> {
    setup::step(&mut build(&[]))?;
    let folder = repo::target().join("xtask");
    fs::create_dir_all(&folder).with_context(|| format!("{}", folder.display()))?;
    let temporary = folder.join(format!("flash-{}", std::process::id()));
    let flash = flash.unwrap_or(&temporary);
    if !flash.exists() {
        write_erased(flash)?;
    }
    let port = free_port()?;
    println!("{}", greeting(port, flash));
    let ended = emulator(&image(), flash, port).status();
    if flash == temporary {
        // Best effort: a file in the build folder harms nobody.
        let _ = fs::remove_file(flash);
    }
    Ok(ended.with_context(|| EMULATOR)?.success())
}

/// Flash as it leaves its factory.
pub fn write_erased(flash: &Path) -> Result<()> {
    fs::write(flash, vec![0xFF; FLASH_BYTES]).with_context(|| format!("{}", flash.display()))
}

fn greeting(port: u16, flash: &Path) -> String {
    format!(
        "the board answers at tcp://127.0.0.1:{port} and keeps its flash in {}\n\
         look:     gradgate devices tcp://127.0.0.1:{port}\n\
         keys:     gradgate provision --device tcp://127.0.0.1:{port} --name NAME --key KEY.pub \
         --site-key SITE\n\
         flash:    gradgate flash BUNDLE --device tcp://127.0.0.1:{port} --site-key SITE --confirm \
         --after-frames 0\n\
         QEMU's monitor is here: `xp /1wx 0x40028000` shows the pin (0 closed; 1 open, or idle \
         of a bundle that monitors), `system_reset` starts anew\n\
         stop:     `quit`, or ctrl-c",
        flash.display()
    )
}

/// QEMU with the whole device; its monitor is on standard input.
pub fn emulator(image: &Path, flash: &Path, port: u16) -> Command {
    let memory = format!(
        "memory-backend-file,id=mps.ram,size={FLASH_BYTES},mem-path={},share=on",
        // A comma parts QEMU's options; a doubled one is a comma.
        flash.display().to_string().replace(',', ",,")
    );
    let mut emulator = Command::new(EMULATOR);
    // The board's time goes with its instructions: on a busy host it is slow, no watchdog bites.
    emulator.args(["-icount", "shift=3"]);
    emulator.args(["-M", "mps2-an500", "-display", "none", "-monitor", "stdio"]);
    emulator.arg("-serial");
    emulator.arg(format!("tcp:127.0.0.1:{port},server=on,wait=off,nodelay=on"));
    emulator.args(["-object", &memory, "-machine", "memory-backend=mps.ram", "-kernel"]);
    emulator.arg(image);
    emulator
}

/// A port that was free a moment ago.
pub fn free_port() -> Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0").context("no free port")?;
    Ok(listener.local_addr()?.port())
}

/// The stage of the test command.
pub fn stage(stage: &Stage) -> Result<Outcome> {
    if !process::is_installed(EMULATOR) {
        return Ok(Outcome::Skipped(format!("no {EMULATOR}: run `cargo xtask setup`")));
    }
    let outcome = stage.run(&mut [build(&["--features", "provoke"])])?;
    if outcome != Outcome::Passed {
        return Ok(outcome);
    }
    // Both builds put their image in one place.
    fs::copy(image(), provoke_image()).with_context(|| format!("{}", image().display()))?;
    let outcome = stage.run(&mut [build(&[])])?;
    if outcome != Outcome::Passed {
        return Ok(outcome);
    }
    stage.note(&size::table(PACKAGE, size::read(&image())?))?;
    let panics = no_panic::unknown_callers(&image())?;
    if !panics.is_empty() {
        return Ok(Outcome::Failed(format!("can panic:\n    {}", panics.join("\n    "))));
    }
    let mut commands = Vec::from_iter(qemu::missing_cases());
    let mut program = Command::new("cargo");
    program.args(PROGRAM).arg(image()).arg(provoke_image()).arg(qemu::cases_folder());
    program.current_dir(repo::root());
    commands.push(program);
    stage.run(&mut commands)
}

/// Compares the bits of so many real frames, and nothing else.
pub fn bits(frames: &str) -> Result<bool> {
    if frames.parse::<u32>().is_err() {
        bail!("--bits wants a number of frames, not '{frames}'");
    }
    setup::step(&mut build(&[]))?;
    if let Some(mut command) = qemu::missing_cases() {
        setup::step(&mut command)?;
    }
    let mut program = Command::new("cargo");
    // The bits alone need no image that fails.
    program.args(PROGRAM).arg(image()).arg(image()).arg(qemu::cases_folder());
    program.args(["--only", "bits", "--frames", frames]).current_dir(repo::root());
    Ok(program.status().context("cargo")?.success())
}

/// Builds the board's image.
pub fn build(features: &[&str]) -> Command {
    let mut words = vec!["build", "--release", "--locked", "--package", PACKAGE];
    words.extend(features);
    test::boards_cargo(&words)
}

/// The image that is released.
pub fn image() -> PathBuf {
    repo::boards_target().join(qemu::TARGET).join("release").join(PACKAGE)
}

fn provoke_image() -> PathBuf {
    image().with_file_name(format!("{PACKAGE}-provoke"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_board_by_hand_says_how_to_talk_to_it() {
        let text = greeting(4711, Path::new("flash.bin"));
        assert!(text.contains("tcp://127.0.0.1:4711") && text.contains("flash.bin"), "{text}");
        let line = process::line(&emulator(Path::new("image"), Path::new("a,b"), 4711));
        assert!(line.contains("mem-path=a,,b,") && line.ends_with("-kernel image"), "{line}");
    }
}
