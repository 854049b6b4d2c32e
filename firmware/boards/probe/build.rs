//! Tells the linker the probe's entries: it keeps what they reach and no more.

fn main() {
    println!("cargo:rustc-link-arg-bins=--entry=gradgate_probe");
    println!("cargo:rustc-link-arg-bins=--undefined=gradgate_probe_load");
    println!("cargo:rustc-link-arg-bins=--undefined=gradgate_probe_gate");
    println!("cargo:rustc-link-arg-bins=--gc-sections");
    println!("cargo:rerun-if-changed=build.rs");
}
