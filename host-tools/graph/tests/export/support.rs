//! What the export tests share: a seeded generator, files of cases, and the onnxruntime oracle.

use std::path::{Path, PathBuf};
use std::process::Command;

/// SplitMix64.
pub struct Rng(pub u64);

impl Rng {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// An integer in `low..=high`.
    pub fn range(&mut self, low: usize, high: usize) -> usize {
        low + (self.next() % (high - low + 1) as u64) as usize
    }

    /// A number in -1..1; every fourth one a multiple of 1/4, so that ties and bounds are met.
    pub fn number(&mut self) -> f32 {
        let x = (self.next() >> 40) as f32 / (1_u64 << 23) as f32 - 1.0;
        if self.range(0, 3) == 0 { (x * 4.0).round() / 4.0 } else { x }
    }
}

/// Writes `NAME.onnx`, `NAME.input` (f32) and `NAME.expected` (f64, all outputs in order).
pub fn write_case(folder: &Path, name: &str, onnx: &[u8], image: &[f32], expected: &[f64]) {
    let input: Vec<u8> = image.iter().flat_map(|x| x.to_le_bytes()).collect();
    let expected: Vec<u8> = expected.iter().flat_map(|x| x.to_le_bytes()).collect();
    for (extension, bytes) in [("onnx", onnx), ("input", &input), ("expected", &expected)] {
        let path = folder.join(format!("{name}.{extension}"));
        std::fs::write(path, bytes).expect("the target folder is writable");
    }
}

/// An empty folder for the files of one test.
pub fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).expect("the target folder is writable");
    folder
}

/// Runs `tests/scripts/check_expanded.py` with the interpreter named by `GRADGATE_PYTHON`
/// (default `python3`); says so and does nothing where that one lacks onnxruntime.
pub fn check(arguments: &[&str]) {
    let python = std::env::var("GRADGATE_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let modules = "import numpy, onnx, onnxruntime, safetensors";
    match Command::new(&python).args(["-c", modules]).output() {
        Ok(output) if output.status.success() => {}
        _ => {
            eprintln!("SKIPPED: {python} has no numpy, onnx, onnxruntime and safetensors");
            eprintln!("         (set GRADGATE_PYTHON to one that has)");
            return;
        }
    }
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/scripts/check_expanded.py");
    let output = Command::new(&python).arg(script).args(arguments).output().expect("starts");
    eprint!("{}", String::from_utf8_lossy(&output.stdout));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "check_expanded.py {arguments:?}:\n{errors}");
}
