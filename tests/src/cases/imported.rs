//! The committed ONNX files of single operators, as the importer reads them: what a composition of
//! operations means is asked of its gradients and of every executor, not of its values alone.

use std::path::Path;

use gradgate_graph::import::{ImportOptions, import_file};

use super::Case;

/// Beginnings of their names in tests/golden/onnx; every one must be there.
const FILES: [&str; 7] =
    ["conditions", "function_", "normalisations", "parts_", "pools", "reductions_", "resize_"];

/// All of them, by name.
///
/// # Panics
/// When a file cannot be read or imported, or none begins as listed.
pub fn imported() -> Vec<Case> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/onnx");
    let entries = folder.read_dir().expect("a folder");
    let mut names: Vec<String> = entries
        .map(|entry| entry.expect("readable").file_name().into_string().expect("UTF-8"))
        .filter_map(|name| name.strip_suffix(".onnx").map(str::to_owned))
        .filter(|name| FILES.iter().any(|file| name.starts_with(file)))
        .collect();
    names.sort_unstable();
    for file in FILES {
        assert!(names.iter().any(|name| name.starts_with(file)), "{file} is absent");
    }
    let case = |name: String| {
        let path = folder.join(format!("{name}.onnx"));
        let model = import_file(&path, &ImportOptions::default());
        let graph = model.unwrap_or_else(|error| panic!("{name}: {error}")).graph;
        // Cases have static names; these live as long as the test.
        Case { name: String::leak(name), graph }
    };
    names.into_iter().map(case).collect()
}
