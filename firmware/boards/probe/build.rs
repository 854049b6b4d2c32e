//! Tells the linker the probes' entries: it keeps what they reach and no more.

/// A binary, and its entries; the first is the image's.
const PROBES: [(&str, &[&str]); 2] = [
    ("gradgate-probe", &["gradgate_probe", "gradgate_probe_load", "gradgate_probe_gate"]),
    ("gradgate-probe-camera", &["gradgate_probe_camera", "gradgate_probe_pipeline"]),
];

fn main() {
    for (binary, entries) in PROBES {
        println!("cargo:rustc-link-arg-bin={binary}=--entry={}", entries[0]);
        for entry in &entries[1..] {
            println!("cargo:rustc-link-arg-bin={binary}=--undefined={entry}");
        }
    }
    println!("cargo:rustc-link-arg-bins=--gc-sections");
    println!("cargo:rerun-if-changed=build.rs");
}
