//! The committed ONNX files of single operators, as the importer reads them: what a composition of
//! operations means is asked of its gradients and of every executor, not of its values alone.

use std::path::{Path, PathBuf};

use gradgate_graph::import::{ImportOptions, import_file};

use super::Case;

/// Beginnings of the names of single operators in tests/golden/onnx; every one must be there.
const SINGLE: [&str; 7] =
    ["conditions", "function_", "normalisations", "parts_", "pools", "reductions_", "resize_"];

/// The same of models in which operators work together. Left out are networks of many layers in
/// which differences of the loss see only rounding (activations_) or fast numerics exceed what a
/// layer keeps (norms_).
const COMPOSED: [&str; 8] = [
    "attention_",
    "gather",
    "layer_norm_",
    "operators_",
    "resample_",
    "shape_chain",
    "shared",
    "transposed_",
];

/// The files of single operators, by name.
///
/// # Panics
/// When a file cannot be read or imported, or none begins as listed.
pub fn imported() -> Vec<Case> {
    read(&SINGLE)
}

/// The files in which operators work together, by name.
///
/// # Panics
/// As [`imported`].
pub fn composed() -> Vec<Case> {
    read(&COMPOSED)
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/onnx")
}

fn read(beginnings: &[&str]) -> Vec<Case> {
    let case = |name: String| {
        let path = folder().join(format!("{name}.onnx"));
        let model = import_file(&path, &ImportOptions::default());
        let graph = model.unwrap_or_else(|error| panic!("{name}: {error}")).graph;
        // Cases have static names; these live as long as the test.
        Case { name: String::leak(name), graph }
    };
    names(beginnings).into_iter().map(case).collect()
}

/// Names of the files that begin so, without their ending, sorted.
fn names(beginnings: &[&str]) -> Vec<String> {
    let entries = folder().read_dir().expect("a folder");
    let mut names: Vec<String> = entries
        .map(|entry| entry.expect("readable").file_name().into_string().expect("UTF-8"))
        .filter_map(|name| name.strip_suffix(".onnx").map(str::to_owned))
        .filter(|name| beginnings.iter().any(|beginning| name.starts_with(beginning)))
        .collect();
    names.sort_unstable();
    for beginning in beginnings {
        assert!(names.iter().any(|name| name.starts_with(beginning)), "{beginning} is absent");
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Operators that are evaluated on constants alone: no gradient passes them.
    const CONSTANT: [&str; 7] = ["And", "Ceil", "Floor", "Or", "Range", "ReduceProd", "Size"];

    /// Every operator of the importer: the fuzzer's words name them all, each as the field of a
    /// node, and a test of the importer holds them to it.
    fn operators() -> impl Iterator<Item = &'static str> {
        let words = include_str!("../../fuzz/onnx.dict").lines();
        let words = words.skip_while(|line| *line != "# Operators.").skip(1);
        let words = words.take_while(|line| !line.starts_with('#'));
        words.map(|word| word["\"\\x22\\x00".len()..].trim_end_matches('"'))
    }

    #[test]
    fn every_operator_is_in_a_case() {
        let read = |name: String| std::fs::read(folder().join(name + ".onnx")).expect("readable");
        let names = [names(&SINGLE), names(&COMPOSED)].concat();
        let files: Vec<Vec<u8>> = names.into_iter().map(read).collect();
        assert!(operators().count() > 80);
        for name in operators() {
            let field = [&[0x22, name.len() as u8], name.as_bytes()].concat();
            let has = |file: &Vec<u8>| file.windows(field.len()).any(|part| part == field);
            assert_eq!(files.iter().any(has), !CONSTANT.contains(&name), "{name}");
        }
    }
}
