//! `cargo xtask no-panic`: in loading a bundle, in making a frame of camera bytes and in judging
//! it, no panic can be reached.
//!
//! firmware/boards/probe holds these paths alone, in two images. The linker drops what nothing
//! reaches, so a panic that is left stands among an image's symbols; its callers are found in the
//! machine code.

use std::fmt::Write;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::stage::{Outcome, Stage};
use crate::{qemu, repo, setup, size, test};

/// The probes' package.
const PACKAGE: &str = "gradgate-probe";
/// An image that is read.
struct Probe {
    binary: &'static str,
    /// Its entries; where one is absent the image is not the probe, or stripped.
    entries: &'static [&'static str],
    /// An image with less code, in bytes, has lost what it is for.
    text_min: u64,
}
const PROBES: [Probe; 2] = [
    Probe {
        binary: "gradgate-probe",
        entries: &["gradgate_probe", "gradgate_probe_load", "gradgate_probe_gate"],
        // A single convolution of the engine takes 2 KiB.
        text_min: 32 * 1024,
    },
    Probe {
        binary: "gradgate-probe-camera",
        entries: &["gradgate_probe_camera", "gradgate_probe_pipeline"],
        text_min: 2 * 1024,
    },
];
/// Parts of the names of what panics, mangled or not; the probe's handler is among them, so that
/// a panic under a new name is found as well.
const PANICS: [&str; 7] = [
    "panic",
    "rust_begin_unwind",
    "unwrap_failed",
    "expect_failed",
    "slice_index_fail",
    "slice_error_fail",
    "mismatch_fail",
];
/// What the linker left.
#[derive(Debug)]
struct Image {
    functions: Vec<Function>,
    /// Address of each caller and of what it calls.
    calls: Vec<(u64, u64)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Function {
    name: String,
    address: u64,
    size: u64,
}

/// The subcommand.
pub fn run(args: &[String]) -> Result<bool> {
    if let Some(arg) = args.first() {
        bail!("no-panic takes no argument, not '{arg}'");
    }
    setup::step(&mut build())?;
    let mut passed = true;
    for probe in &PROBES {
        let (sizes, panics) = inspect(probe)?;
        print!("{}", size::table(probe.binary, sizes));
        for line in &panics {
            println!("{line}");
        }
        println!("panics that can be reached: {}", panics.len());
        let excess = size::excess(sizes);
        if let Some(excess) = &excess {
            println!("FAILED: {excess}");
        }
        passed &= panics.is_empty() && excess.is_none();
    }
    Ok(passed)
}

/// The stage of the test command.
pub fn stage(stage: &Stage) -> Result<Outcome> {
    let outcome = stage.run(&mut [build()])?;
    if outcome != Outcome::Passed {
        return Ok(outcome);
    }
    for probe in &PROBES {
        let (sizes, panics) = inspect(probe)?;
        stage.note(&size::table(probe.binary, sizes))?;
        if !panics.is_empty() {
            let lines = panics.join("\n    ");
            return Ok(Outcome::Failed(format!("can be reached:\n    {lines}")));
        }
        if let Some(excess) = size::excess(sizes) {
            return Ok(Outcome::Failed(excess));
        }
    }
    Ok(Outcome::Passed)
}

fn build() -> Command {
    test::boards_cargo(&["build", "--release", "--locked", "--package", PACKAGE])
}

/// Sizes of an image, and one line for each panic in it.
fn inspect(probe: &Probe) -> Result<(size::Sizes, Vec<String>)> {
    let path = repo::boards_target().join(qemu::TARGET).join("release").join(probe.binary);
    let bytes = std::fs::read(&path).with_context(|| format!("{}", path.display()))?;
    let sizes = size::sum_sections(&bytes).context("not a 32-bit ELF file")?;
    let image = Image::read(&bytes).context("the symbols or the code cannot be read")?;
    for &entry in probe.entries {
        if !image.functions.iter().any(|function| function.name == entry) {
            bail!("{} has no symbol {entry}: nothing was checked", path.display());
        }
    }
    if sizes.text < probe.text_min {
        bail!("{} has lost what it is for: {} bytes of code", path.display(), sizes.text);
    }
    Ok((sizes, image.panics()))
}

/// What may still panic in the image of a whole device: parts of the callers' names, and why they
/// stay. All are in crates of others, and their bounds hold for every input.
const LEFT: [(&str, &str); 5] = [
    ("curve25519_dalek", "signatures: digits of a scalar index tables of their own size"),
    ("sha2", "whole blocks and the 64 or 80 words of a schedule"),
    ("serde_core", "postcard's varints: at most ten bytes of a buffer of ten"),
    ("RangeToInclusive", "a function of core's that the varints alone call"),
    ("RangeFrom", "a function of core's that sha2 alone calls"),
];

/// Callers of panics in the image of a whole device that nobody has looked at, one line each.
pub fn unknown_callers(path: &std::path::Path) -> Result<Vec<String>> {
    let bytes = std::fs::read(path).with_context(|| format!("{}", path.display()))?;
    let image = Image::read(&bytes).context("the symbols or the code cannot be read")?;
    if !image.functions.iter().any(is_panic) {
        bail!("{} has no panic at all: its names are gone", path.display());
    }
    Ok(image.panics().into_iter().filter_map(|line| unknown(&line)).collect())
}

/// The panic and its callers, but for those that are known.
fn unknown(line: &str) -> Option<String> {
    let mut names = line.split(", called by ");
    let panic = names.next()?;
    let ours = |caller: &&str| caller.contains("gradgate") || !is_left(caller);
    let callers: Vec<&str> = names.filter(ours).collect();
    (!callers.is_empty()).then(|| format!("{panic}, called by {}", callers.join(", ")))
}

fn is_left(caller: &str) -> bool {
    LEFT.iter().any(|(part, _)| caller.contains(part))
}

fn is_panic(function: &Function) -> bool {
    PANICS.iter().any(|part| function.name.contains(part))
}

impl Image {
    /// `None` where the file is cut short or not an ELF file of 32 bits.
    fn read(elf: &[u8]) -> Option<Image> {
        const SYMBOLS: u64 = 2;
        const EXECUTABLE: u64 = 4;
        let word = |at: usize| Some(size::number(elf, at, 4)? as usize);
        let mut image = Image { functions: Vec::new(), calls: Vec::new() };
        let sections = size::section_headers(elf)?;
        for &at in &sections {
            if size::number(elf, at + 4, 4)? == SYMBOLS {
                let names = section(elf, *sections.get(word(at + 24)?)?)?;
                image.functions.extend(functions(section(elf, at)?, names)?);
            }
            if size::number(elf, at + 8, 4)? & EXECUTABLE != 0 {
                let address = size::number(elf, at + 12, 4)?;
                image.calls.extend(calls(section(elf, at)?, address));
            }
        }
        Some(image)
    }

    /// A line for each panic that is called from elsewhere; for every one if none is found called.
    fn panics(&self) -> Vec<String> {
        let (mut called, mut all) = (Vec::new(), Vec::new());
        for panic in self.functions.iter().filter(|function| is_panic(function)) {
            let mut line = panic.name.clone();
            for caller in self.functions.iter().filter(|function| !is_panic(function)) {
                let inside = caller.address..caller.address + caller.size;
                let mut calls = self.calls.iter();
                if calls.any(|(from, to)| *to == panic.address && inside.contains(from)) {
                    let _ = write!(line, ", called by {}", caller.name);
                }
            }
            if line != panic.name {
                called.push(line.clone());
            }
            all.push(line);
        }
        if called.is_empty() { all } else { called }
    }
}

/// Bytes of the section whose header lies at `at`.
fn section(elf: &[u8], at: usize) -> Option<&[u8]> {
    let start = size::number(elf, at + 16, 4)? as usize;
    elf.get(start..)?.get(..size::number(elf, at + 20, 4)? as usize)
}

/// The functions of a symbol table.
fn functions(table: &[u8], names: &[u8]) -> Option<Vec<Function>> {
    const FUNCTION: u64 = 2;
    let mut found = Vec::new();
    for entry in table.chunks_exact(16) {
        let number = |at, length| size::number(entry, at, length);
        if number(12, 1)? & 15 == FUNCTION {
            let name = names.get(number(0, 4)? as usize..)?.split(|byte| *byte == 0).next()?;
            let name = String::from_utf8_lossy(name).into_owned();
            // The lowest bit says that it is Thumb code.
            found.push(Function { name, address: number(4, 4)? & !1, size: number(8, 4)? });
        }
    }
    Some(found)
}

/// Addresses of all `BL` and wide `B` instructions and of what they lead to. Data between the
/// functions may look like one; it does not lead to a panic's first byte but by rare accident.
fn calls(code: &[u8], address: u64) -> Vec<(u64, u64)> {
    let mut found = Vec::new();
    for at in (0..code.len().saturating_sub(3)).step_by(2) {
        let high = u64::from(u16::from_le_bytes([code[at], code[at + 1]]));
        let low = u64::from(u16::from_le_bytes([code[at + 2], code[at + 3]]));
        if high >> 11 != 0b11110 || low & 0x9000 != 0x9000 {
            continue;
        }
        // Encodings T1 of BL and T4 of B, Arm v7-M Architecture Reference Manual A7.7.
        let sign = high >> 10 & 1;
        let top = |bit: u64| 1 ^ (low >> bit & 1) ^ sign;
        let offset = top(13) << 23 | top(11) << 22 | (high & 0x3ff) << 12 | (low & 0x7ff) << 1;
        let from = address + at as u64;
        let to = (from + 4 + offset).wrapping_sub(sign << 24);
        found.push((from, to));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn function(name: &str, address: u64, size: u64) -> Function {
        Function { name: name.to_owned(), address, size }
    }

    #[test]
    fn a_panic_is_named_with_its_callers() {
        let mangled = "_RNvNtCs7ldSeZOOJos_4core9panicking18panic_bounds_check";
        let functions = vec![
            function("gradgate_probe", 0x100, 8),
            function("_ZN15gradgate_engine4fold17h0E", 0x108, 8),
            function(mangled, 0x110, 4),
            function("gradgate_panicked", 0x114, 4),
        ];
        let calls = vec![(0x100, 0x108), (0x10c, 0x110), (0x110, 0x114)];
        let image = Image { functions, calls };
        let caller = "_ZN15gradgate_engine4fold17h0E";
        assert_eq!(image.panics(), [format!("{mangled}, called by {caller}")]);
        let unknown = Image { calls: Vec::new(), ..image };
        assert_eq!(unknown.panics(), [mangled, "gradgate_panicked"]);
    }

    #[test]
    fn callers_of_ours_are_never_known() {
        let line = |caller| format!("core::panicking::panic_fmt, called by {caller}");
        assert_eq!(unknown(&line("_ZN4sha26sha25611compress25617h0E")), None);
        for caller in ["_ZN15gradgate_device4core17h0E", "_ZN8postcard3ser17h0E"] {
            assert_eq!(unknown(&line(caller)), Some(line(caller)));
        }
    }

    #[test]
    fn names_of_panics_are_known_in_every_spelling() {
        let panics = [
            "core::panicking::panic_fmt",
            "_ZN4core5slice5index16slice_index_fail17h0123456789abcdefE",
            "_RNvNtCs7ldSeZOOJos_4core6option13unwrap_failed",
            "_RNvCsfLfy6EI15iL_7___rustc17rust_begin_unwind",
            "gradgate_panicked",
        ];
        for name in panics {
            assert!(is_panic(&function(name, 0, 0)), "{name}");
        }
        for name in ["gradgate_probe", "memcpy", "_ZN15gradgate_engine5check17h0E"] {
            assert!(!is_panic(&function(name, 0, 0)), "{name}");
        }
    }

    #[test]
    fn branches_are_decoded() {
        // Assembled by `llvm-mc -triple thumbv7em -show-encoding`: bl and b.w, ahead and back.
        let cases: [([u8; 4], u64); 4] = [
            ([0x00, 0xf0, 0x02, 0xf8], 0x1008),
            ([0xff, 0xf7, 0xfe, 0xff], 0x1000),
            ([0x00, 0xf0, 0x00, 0xb8], 0x1004),
            ([0xff, 0xf7, 0x7e, 0xbf], 0xf00),
        ];
        for (bytes, to) in cases {
            assert_eq!(calls(&bytes, 0x1000), [(0x1000, to)], "{bytes:x?}");
        }
        assert_eq!(calls(&[0x00, 0xbf, 0x00, 0xbf, 0x70], 0x1000), []);
    }

    #[test]
    fn a_cut_symbol_table_is_no_panic_here() {
        let table = [1, 0, 0, 0, 0x11, 1, 0, 0, 6, 0, 0, 0, 2, 0, 1, 0];
        let names = b"\0gradgate_probe\0";
        assert_eq!(functions(&table, names), Some(vec![function("gradgate_probe", 0x110, 6)]));
        assert_eq!(functions(&table, b""), None);
        assert_eq!(section(&table, 8), None);
    }
}
