//! Tells the linker where the probe starts, so that it keeps what is reached from there and no more.

fn main() {
    println!("cargo:rustc-link-arg-bins=--entry=gradgate_probe");
    println!("cargo:rustc-link-arg-bins=--gc-sections");
    println!("cargo:rerun-if-changed=build.rs");
}
