//! Hands the memory map to the linker.

use std::{env, error::Error, fs, path::PathBuf};

fn main() -> Result<(), Box<dyn Error>> {
    let out = PathBuf::from(env::var("OUT_DIR")?);
    // An Armv8-M image is for the mps3-an547, whose memories lie elsewhere.
    let armv8 = env::var("TARGET")?.starts_with("thumbv8m");
    let map = if armv8 { "mps3-an547.x" } else { "memory.x" };
    fs::copy(map, out.join("memory.x"))?;
    println!("cargo:rustc-link-search={}", out.display());
    println!("cargo:rustc-link-arg-bins=-Tlink.x");
    println!("cargo:rerun-if-changed=memory.x");
    println!("cargo:rerun-if-changed=mps3-an547.x");
    println!("cargo:rustc-check-cfg=cfg(mps3_an547)");
    if armv8 {
        println!("cargo:rustc-cfg=mps3_an547");
    }
    println!("cargo:rerun-if-changed=build.rs");
    Ok(())
}
