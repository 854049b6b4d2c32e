//! The linker's memory map and the firmware's constants, from board.toml.

use std::error::Error;
use std::fmt::Write as _;
use std::{env, fs, path::PathBuf};

use toml::{Table, Value};

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=board.toml");
    println!("cargo:rerun-if-changed=build.rs");
    let board: Table = fs::read_to_string("board.toml")?.parse()?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out.join("memory.x"), memory_map(&board)?)?;
    fs::write(out.join("budget.rs"), constants(&board)?)?;
    println!("cargo:rustc-link-search={}", out.display());
    println!("cargo:rustc-link-arg-bins=-Tlink.x");
    Ok(())
}

fn number(board: &Table, section: &str, name: &str) -> Result<i64, String> {
    let value = board.get(section).and_then(|section| section.get(name));
    let number = value.and_then(Value::as_integer).filter(|number| *number >= 0);
    number.ok_or_else(|| format!("board.toml: [{section}] {name} is no number"))
}

/// The image's region is its budget, so the linker refuses what is larger.
fn memory_map(board: &Table) -> Result<String, Box<dyn Error>> {
    let get = |section, name| number(board, section, name);
    let (stack, handlers) = (get("ram", "stack_bytes")?, get("ram", "handler_stack_bytes")?);
    let (origin, bytes) = (get("ram", "origin")?, get("ram", "bytes")?);
    let below = stack + handlers;
    let (image, image_bytes) = (get("image", "origin")?, get("image", "bytes")?);
    let (ram, ram_bytes) = (origin + below, bytes - below);
    let mut text = String::from("MEMORY {\n");
    writeln!(text, "FLASH : ORIGIN = {image:#x}, LENGTH = {image_bytes:#x}")?;
    writeln!(text, "RAM : ORIGIN = {ram:#x}, LENGTH = {ram_bytes:#x}\n}}")?;
    // Handlers have a stack of their own, so that they run when the other one is at its end.
    writeln!(text, "_thread_stack_end = {origin:#x};")?;
    writeln!(text, "_thread_stack_start = {:#x};", origin + stack)?;
    writeln!(text, "_stack_start = {:#x};", origin + below)?;
    writeln!(text, "_stack_end = {:#x};", origin + stack)?;
    Ok(text)
}

fn constants(board: &Table) -> Result<String, Box<dyn Error>> {
    let mut text = String::new();
    for (section, values) in board {
        for name in values.as_table().into_iter().flat_map(Table::keys) {
            let value = number(board, section, name)?;
            let (section, name) = (section.to_uppercase(), name.to_uppercase());
            writeln!(text, "/// `[{section}] {name}` of board.toml.\n#[allow(dead_code)]")?;
            writeln!(text, "pub const {section}_{name}: u32 = {value:#x};")?;
        }
    }
    Ok(text)
}
