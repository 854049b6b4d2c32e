//! The wide check: torchvision networks exported by both PyTorch exporters.
//!
//! Runs over the folder named by `IMPORT_WIDE`, which `tests/scripts/export_torchvision.py` fills.

use std::path::Path;

use gradgate_graph::import::{ImportOptions, import_file, summary};
use gradgate_graph::interp::Interp;

fn entry<'t>(text: &'t str, key: &str) -> Vec<&'t str> {
    let line = text.lines().find_map(|line| line.strip_prefix(key)).expect("entry");
    line.split_whitespace().collect()
}

fn numbers(text: &str, key: &str) -> Vec<f64> {
    entry(text, key).iter().map(|word| word.parse().expect("number")).collect()
}

/// Imports one file and compares names with PyTorch's `named_parameters` and logits with PyTorch's.
fn check(path: &Path) {
    let name = path.file_stem().expect("name").to_string_lossy();
    let text = std::fs::read_to_string(path.with_extension("expected.txt")).expect("readable");
    let model = import_file(path, &ImportOptions::default())
        .unwrap_or_else(|error| panic!("{name}: {error}"));
    let figures = summary(&model);
    let names: Vec<&str> = figures.parameters.iter().map(|(name, _)| name.as_str()).collect();
    let kept = entry(&text, "kept ") == ["1"];
    if kept {
        assert_same_names(&name, &names, &entry(&text, "parameters "));
    }
    assert_eq!(model.folded, !kept, "{name}");
    let values = Interp::new(&model.graph).run(&numbers(&text, "image "));
    let logits = values.get(model.graph.logits.expect("logits"));
    let wanted = numbers(&text, "logits ");
    let scale = wanted.iter().fold(0.0_f64, |a, &b| if b.abs() > a { b.abs() } else { a });
    let worst = logits
        .iter()
        .zip(&wanted)
        .map(|(a, b)| (a - b).abs() / scale)
        .fold(0.0, |a: f64, b| if b > a || b.is_nan() { b } else { a });
    eprintln!(
        "{name}: opset {}, {} parameters, {} nodes, {} MAC, folded {}, worst logit {worst:.1e}",
        model.opset,
        names.len(),
        figures.nodes,
        figures.multiply_accumulates,
        model.folded
    );
    assert!(worst < 1e-4, "{name}: {worst}");
}

/// The same names; the order is that of first use, which a downsampling branch may exchange.
fn assert_same_names(case: &str, names: &[&str], torch: &[&str]) {
    let (mut have, mut want) = (names.to_vec(), torch.to_vec());
    have.sort_unstable();
    want.sort_unstable();
    assert_eq!(have, want, "{case}");
}

#[test]
fn torchvision_networks_keep_their_parameters() {
    let Some(folder) = std::env::var_os("IMPORT_WIDE") else {
        eprintln!("SKIPPED: IMPORT_WIDE names no folder of exported networks");
        return;
    };
    let mut count = 0;
    for entry in std::fs::read_dir(&folder).expect("folder") {
        let path = entry.expect("entry").path();
        if path.extension().is_some_and(|extension| extension == "onnx") {
            check(&path);
            count += 1;
        }
    }
    assert!(count > 0, "no model in {folder:?}");
}
