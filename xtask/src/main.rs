//! Repository chores, one module a subcommand.
//!
//! `cargo xtask test` is the one test command: continuous integration checks the same.
//! Depends on no crate of the workspace, so that it builds when they do not.

mod attack_peers;
mod device;
mod families;
mod fuzz;
mod golden;
mod kernel_counts;
mod no_panic;
mod oracle;
mod page;
mod peers;
mod process;
mod qemu;
mod repo;
mod setup;
mod size;
mod skips;
mod stage;
mod suite;
mod test;
mod tidy;

use std::process::ExitCode;

use anyhow::Result;

/// A subcommand: its name, its arguments, what it does, and the function behind it.
struct Command {
    name: &'static str,
    arguments: &'static str,
    about: &'static str,
    run: fn(&[String]) -> Result<bool>,
}

const COMMANDS: &[Command] = &[
    Command {
        name: "setup",
        arguments: "[--check] [--with-torch]",
        about: "install what this machine lacks (--check: only report it)",
        run: setup::run,
    },
    Command {
        name: "test",
        arguments: "[--quick | --only STAGE]",
        about: "the one test command (--quick: no cross builds, no QEMU)",
        run: test::run,
    },
    Command {
        name: "tidy",
        arguments: "",
        about: "the rules of STYLE.md and ARCHITECTURE.md that a machine can check",
        run: tidy::run,
    },
    Command {
        name: "qemu",
        arguments: "[--device [--flash F] | --bits N | --bundle B.gate]",
        about: "boards under QEMU: bits beside the host's, or the whole device by hand",
        run: qemu::run,
    },
    Command {
        name: "fuzz",
        arguments: "[TARGET ..] [--runs N] [--seconds N] | --seeds",
        about: "search the doors of untrusted bytes for what breaks them",
        run: fuzz::run,
    },
    Command { name: "golden", arguments: "", about: "regenerate golden files", run: golden::run },
    Command {
        name: "size",
        arguments: "",
        about: "code, constants and static data of the board image, in bytes",
        run: size::run,
    },
    Command {
        name: "bench-peers",
        arguments: "[--quick | --only NETWORK]",
        about: "time beside onnxruntime, tract and PyTorch; writes docs/performance.md",
        run: peers::run,
    },
    Command {
        name: "families",
        arguments: "[--resume] [NETWORK ..]",
        about: "many families against PyTorch's float64 features; writes docs/families.md",
        run: families::run,
    },
    Command {
        name: "attack-peers",
        arguments: "[--images N] [--least N] [--searches N] [--steps N]",
        about: "`gradgate attack` beside torchattacks, foolbox, ART and cleverhans on resnet20",
        run: attack_peers::run,
    },
    Command {
        name: "kernel-counts",
        arguments: "",
        about: "instructions per multiply-add of each kernel; writes docs/performance.md",
        run: kernel_counts::run,
    },
    Command {
        name: "no-panic",
        arguments: "",
        about: "that no panic can be reached in loading a bundle and judging a frame",
        run: no_panic::run,
    },
];

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let name = args.next().unwrap_or_default();
    let rest: Vec<String> = args.collect();
    let Some(command) = COMMANDS.iter().find(|command| command.name == name) else {
        eprint!("{}", usage());
        let asked = matches!(name.as_str(), "" | "help" | "-h" | "--help");
        return if asked { ExitCode::SUCCESS } else { ExitCode::from(2) };
    };
    match (command.run)(&rest) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn usage() -> String {
    let mut text = String::from("usage: cargo xtask COMMAND\n");
    for command in COMMANDS {
        let call = format!("{} {}", command.name, command.arguments);
        text += &format!("  {call:<46} {}\n", command.about);
    }
    text
}
