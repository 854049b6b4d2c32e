//! `cargo xtask setup`: finds what a bare Debian machine lacks and installs it.
//!
//! Looks first and does nothing when nothing is missing, so it needs no network then. System
//! packages need root: without it the exact command is printed and the run fails. Installing needs
//! the network.

use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::{oracle, process, repo};

/// A Debian package and how to see that it is there.
struct Package {
    name: &'static str,
    present: fn() -> bool,
    reason: &'static str,
}

/// What this machine lacks.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Missing {
    packages: Vec<(&'static str, &'static str)>,
    components: Vec<String>,
    targets: Vec<String>,
    oracle: bool,
}

const PACKAGES: &[Package] = &[
    Package { name: "gcc", present: || process::is_installed("cc"), reason: "links host programs" },
    Package {
        name: "qemu-system-arm",
        present: || process::is_installed("qemu-system-arm"),
        reason: "emulates the Cortex-M4F board",
    },
    Package {
        name: "qemu-user",
        present: || process::is_installed("qemu-aarch64"),
        reason: "runs tests for Arm on this machine",
    },
    Package {
        name: "gcc-aarch64-linux-gnu",
        present: || process::is_installed("aarch64-linux-gnu-gcc"),
        reason: "links aarch64 tests",
    },
    Package {
        name: "libc6-dev-arm64-cross",
        present: || std::path::Path::new("/usr/aarch64-linux-gnu/include/stdio.h").is_file(),
        reason: "the C library of aarch64 tests",
    },
    Package {
        name: "gcc-arm-linux-gnueabihf",
        present: || process::is_installed("arm-linux-gnueabihf-gcc"),
        reason: "links 32-bit Arm tests",
    },
    Package {
        name: "libc6-dev-armhf-cross",
        present: || std::path::Path::new("/usr/arm-linux-gnueabihf/include/stdio.h").is_file(),
        reason: "the C library of 32-bit Arm tests",
    },
    Package {
        name: "python3",
        present: || process::is_installed("python3"),
        reason: "runs the checks against onnxruntime",
    },
    Package {
        name: "python3-venv",
        present: || process::succeeds(Command::new("python3").args(["-c", "import ensurepip"])),
        reason: "keeps the oracle packages apart from the system's",
    },
];

/// Programs that make things nicer, never installed from here.
const OPTIONAL: &[(&str, &str)] = &[
    ("cargo-nextest", "faster test runs; else `cargo test`"),
    ("cargo-fuzz", "`cargo xtask fuzz`"),
    ("cargo-deny", "licence and advisory checks; else that stage is skipped"),
    ("valgrind", "counts instructions for `cargo xtask kernel-counts`"),
];

/// The subcommand.
pub fn run(args: &[String]) -> Result<bool> {
    let (mut check, mut with_torch) = (false, false);
    for arg in args {
        match arg.as_str() {
            "--check" => check = true,
            "--with-torch" => with_torch = true,
            other => bail!("setup takes --check and --with-torch, not '{other}'"),
        }
    }
    let missing = Missing::find(with_torch)?;
    print!("{}", missing.describe());
    for (program, use_) in OPTIONAL {
        if !process::is_installed(program) {
            println!("optional, not installed: {program} ({use_})");
        }
    }
    match (missing.is_empty(), check) {
        (true, _) => Ok(true),
        (false, true) => Ok(false),
        (false, false) => install(&missing, with_torch),
    }
}

impl Missing {
    /// Looks, changes nothing.
    pub fn find(with_torch: bool) -> Result<Self> {
        let packages: Vec<_> = PACKAGES
            .iter()
            .filter(|package| !(package.present)())
            .map(|package| (package.name, package.reason))
            .collect();
        Ok(Self {
            packages,
            components: missing_components(),
            targets: missing_targets()?,
            oracle: !oracle::is_ready(with_torch)?,
        })
    }

    /// Whether nothing is missing.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// A line per missing thing.
    pub fn describe(&self) -> String {
        if self.is_empty() {
            return "nothing is missing\n".to_owned();
        }
        let mut text = String::new();
        for (name, reason) in &self.packages {
            text += &format!("missing: Debian package {name} ({reason})\n");
        }
        for name in &self.components {
            text += &format!("missing: Rust component {name}\n");
        }
        for name in &self.targets {
            text += &format!("missing: Rust target {name}\n");
        }
        if self.oracle {
            text += "missing: Python packages that the checks compare with\n";
        }
        text
    }
}

/// Installs everything that can be; whether nothing is left.
pub fn install(missing: &Missing, with_torch: bool) -> Result<bool> {
    let mut complete = install_packages(&missing.packages)?;
    if !missing.components.is_empty() {
        step(Command::new("rustup").args(["component", "add"]).args(&missing.components))?;
    }
    if !missing.targets.is_empty() {
        step(Command::new("rustup").args(["target", "add"]).args(&missing.targets))?;
    }
    if missing.oracle {
        let blocked = missing.packages.iter().any(|(name, _)| name.starts_with("python3"));
        if blocked && !complete {
            println!("left for later: the Python packages need python3-venv first");
        } else {
            oracle::create(with_torch)?;
        }
    }
    let left = Missing::find(with_torch)?;
    complete &= left.is_empty();
    if !left.is_empty() {
        print!("after setup, {}", left.describe());
    }
    Ok(complete)
}

fn install_packages(packages: &[(&str, &str)]) -> Result<bool> {
    if packages.is_empty() {
        return Ok(true);
    }
    let names: Vec<&str> = packages.iter().map(|(name, _)| *name).collect();
    if !process::is_installed("apt-get") {
        println!("this machine has no apt-get: install the equivalents of {}", names.join(" "));
        return Ok(false);
    }
    if process::output(Command::new("id").arg("-u"))?.trim() != "0" {
        println!("system packages need root; run this, then `cargo xtask setup` again:");
        println!("  sudo apt-get update && sudo apt-get install -y {}", names.join(" "));
        return Ok(false);
    }
    step(Command::new("apt-get").args(["update", "-q"]))?;
    let mut apt = Command::new("apt-get");
    apt.env("DEBIAN_FRONTEND", "noninteractive");
    step(apt.args(["install", "-y", "-q", "--no-install-recommends"]).args(names))?;
    Ok(true)
}

/// Says what it runs, runs it, and names it when it fails.
pub fn step(command: &mut Command) -> Result<()> {
    let line = process::line(command);
    println!("$ {line}");
    if command.get_current_dir().is_none() {
        command.current_dir(repo::root());
    }
    let status = command.status().with_context(|| line.clone())?;
    if !status.success() {
        bail!("{line}: {status}");
    }
    Ok(())
}

fn missing_components() -> Vec<String> {
    let present = |tool: &str| process::succeeds(Command::new("cargo").args([tool, "--version"]));
    let tools = [("fmt", "rustfmt"), ("clippy", "clippy")];
    tools.iter().filter(|(tool, _)| !present(tool)).map(|(_, name)| (*name).to_owned()).collect()
}

fn missing_targets() -> Result<Vec<String>> {
    let file = repo::root().join("rust-toolchain.toml");
    let text = std::fs::read_to_string(&file).with_context(|| format!("{}", file.display()))?;
    let wanted = list_of_strings(&text, "targets").context("rust-toolchain.toml has no targets")?;
    // The sysroot holds one folder a target; this also works where rustup is not in charge.
    let mut rustc = Command::new("rustc");
    rustc.args(["--print", "sysroot"]).current_dir(repo::root());
    let sysroot = process::output(&mut rustc)?;
    let libraries = std::path::Path::new(sysroot.trim()).join("lib/rustlib");
    let absent = |target: &String| !libraries.join(target).join("lib").is_dir();
    Ok(wanted.into_iter().filter(absent).collect())
}

/// The strings of `key = ["a", "b"]`, which may span lines; enough TOML for our own file.
fn list_of_strings(text: &str, key: &str) -> Option<Vec<String>> {
    let starts =
        |line: &str| line.strip_prefix(key).is_some_and(|r| r.trim_start().starts_with('='));
    let at: usize = text.split_inclusive('\n').take_while(|line| !starts(line)).map(str::len).sum();
    let (_, rest) = text.get(at..)?.split_once('[')?;
    let (list, _) = rest.split_once(']')?;
    let quoted = list.split(',').map(|item| item.trim().trim_matches('"').to_owned());
    Some(quoted.filter(|item| !item.is_empty()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_read_from_the_toolchain_file() {
        let text = "[toolchain]\ncomponents = [\"a\"]\ntargets = [\n  \"x-y\",\n  \"z\",\n]\n";
        assert_eq!(list_of_strings(text, "targets"), Some(vec!["x-y".to_owned(), "z".to_owned()]));
        assert_eq!(list_of_strings(text, "components"), Some(vec!["a".to_owned()]));
        assert_eq!(list_of_strings(text, "profile"), None);
    }

    #[test]
    fn what_is_missing_is_named() {
        let missing = Missing {
            packages: vec![("qemu-user", "runs tests")],
            targets: vec!["thumb".to_owned()],
            ..Missing::default()
        };
        let text = missing.describe();
        assert!(text.contains("qemu-user (runs tests)") && text.contains("target thumb"));
        assert!(!missing.is_empty());
        assert_eq!(Missing::default().describe(), "nothing is missing\n");
    }
}
