//! Released bytes keep their meaning, and SPEC.md says what they are.
//!
//! `GRADGATE_BLESS=1` writes the golden file anew; do that only for a new container version.

mod common;

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use common::{changed, key, tiny};
use gradgate_bundle::Bundle;
use gradgate_bundle::align::AlignedBytes;
use gradgate_bundle::manifest::MANIFEST_BYTES;
use gradgate_bundle::op::OpCode;
use gradgate_bundle::read::params_size;
use gradgate_bundle::shape::{self, Role};
use gradgate_bundle::signature::verify;
use gradgate_bundle::write::{sign, write};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn golden(path: &Path) -> AlignedBytes {
    let mut written = write(&tiny()).expect("valid");
    sign(&mut written, &key(1)).expect("long enough");
    if std::env::var_os("GRADGATE_BLESS").is_some() {
        fs::write(path, &written).expect("writable");
    }
    let stored = fs::read(path).expect("tests/golden/v1.gate is committed");
    assert!(stored == written, "the writer no longer makes the bytes of container version 1");
    AlignedBytes::from(&stored[..])
}

#[test]
fn version_1_is_still_read_and_written() {
    let file = golden(&root().join("tests/golden/v1.gate"));
    let public = key(1).verifying_key();
    let bundle = Bundle::from_verified(verify(&file, &public).expect("signed")).expect("valid");
    assert_eq!(bundle.header(), &tiny().header);
    assert_eq!(bundle.tensors(), &tiny().tensors[..]);
    assert_eq!(bundle.steps(), &tiny().steps[..]);
    assert_eq!(bundle.blobs(), &tiny().blobs[..]);
}

fn hexdump(bytes: &[u8]) -> String {
    let mut text = String::new();
    for (row, line) in bytes.chunks(16).enumerate() {
        write!(text, "{:04x} ", row * 16).expect("string");
        for byte in line {
            write!(text, " {byte:02x}").expect("string");
        }
        text.push('\n');
    }
    text
}

#[test]
fn the_worked_example_of_the_specification_is_the_golden_manifest() {
    let spec = fs::read_to_string(root().join("SPEC.md")).expect("SPEC.md");
    let mut file = changed(|_| ());
    sign(&mut file, &key(1)).expect("long enough");
    let dump = hexdump(&file[..MANIFEST_BYTES]);
    assert!(spec.contains(&dump), "SPEC.md lacks this worked example:\n{dump}");
}

/// The last column of an operation's row.
fn operand_names(line: &str) -> impl Iterator<Item = &str> {
    let column = line.trim_end_matches(" |").rsplit(" | ").next();
    column.into_iter().flat_map(|names| names.split(", "))
}

#[test]
fn the_specification_lists_every_operation() {
    let spec = fs::read_to_string(root().join("SPEC.md")).expect("SPEC.md");
    for &opcode in OpCode::ALL {
        let row = format!("| {} | {} | {} |", opcode as u16, opcode.name(), params_size(opcode));
        let line = spec.lines().find(|line| line.starts_with(&row));
        let line = line.unwrap_or_else(|| panic!("SPEC.md lacks: {row}"));
        let optional: Vec<bool> = operand_names(line).map(|name| name.starts_with('[')).collect();
        let roles = shape::operands(opcode).iter().map(|&role| role == Role::ReadOptional);
        assert!(roles.eq(optional), "operands differ: {line}");
    }
}
