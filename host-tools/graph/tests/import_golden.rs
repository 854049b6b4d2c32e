//! Import of the committed golden models: values against onnxruntime, names against the files.
//!
//! The files come from `tests/scripts/make_onnx_goldens.py`.

use std::path::{Path, PathBuf};

use gradgate_graph::import::{
    EXPORT_RECIPE, ImportError, ImportOptions, Imported, Note, import_bytes, import_file, summary,
};
use gradgate_graph::interp::Interp;

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/onnx").join(name)
}

fn import(name: &str) -> Result<Imported, ImportError> {
    import_file(&golden(&format!("{name}.onnx")), &ImportOptions::default())
}

fn imported(name: &str) -> Imported {
    import(name).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn parameters(model: &Imported) -> Vec<&str> {
    let name = |&id| model.graph.value(id).name.as_str();
    model.graph.parameters.iter().map(name).collect()
}

/// One entry of an `.expected.txt` file.
fn expected(name: &str, key: &str) -> Vec<String> {
    let text = std::fs::read_to_string(golden(&format!("{name}.expected.txt"))).expect("readable");
    let line = text.lines().find_map(|line| line.strip_prefix(key)).expect("entry");
    line.split_whitespace().map(str::to_owned).collect()
}

fn numbers(name: &str, key: &str) -> Vec<f64> {
    expected(name, key).iter().map(|word| word.parse().expect("number")).collect()
}

/// Runs the import in the f64 interpreter and compares with onnxruntime's f32 result.
fn assert_values(model: &Imported, case: &str, source: &str) {
    let values = Interp::new(&model.graph).run(&numbers(source, "image "));
    let logits = values.get(model.graph.logits.expect("logits"));
    let wanted = numbers(source, "logits ");
    assert_eq!(logits.len(), wanted.len(), "{case}");
    for (index, (have, want)) in logits.iter().zip(&wanted).enumerate() {
        let tolerance = 1e-5 * want.abs().max(1.0);
        assert!((have - want).abs() <= tolerance, "{case} logit {index}: {have} for {want}");
    }
}

#[test]
fn values_equal_onnxruntime() {
    for name in [
        "operators_9",
        "operators_13",
        "operators_22",
        "shape_chain",
        "folding",
        "types",
        "merged",
        "shared",
        "trailing_softmax",
        "trailing_sigmoid",
        "trailing_logsoftmax",
        "dead_branch",
        "multi",
        "conditions",
        "pools",
        "reductions_11",
        "reductions_18",
        "parts_11",
        "parts_13",
        "parts_18",
        "resize_9",
        "resize_10",
        "resize_13",
        "resize_18",
        "resample_13",
        "normalisations",
    ] {
        assert_values(&imported(name), name, name);
    }
}

/// One golden for every function; those that have parameters keep them.
#[test]
fn functions_equal_onnxruntime() {
    let folder = std::fs::read_dir(golden("")).expect("a folder");
    let mut names: Vec<String> = folder
        .map(|entry| entry.expect("readable").file_name().into_string().expect("UTF-8"))
        .filter_map(|name| name.strip_suffix(".onnx").map(str::to_owned))
        .filter(|name| name.starts_with("function_"))
        .collect();
    names.sort_unstable();
    assert_eq!(names.len(), 26, "{names:?}");
    for name in names {
        let model = imported(&name);
        assert_values(&model, &name, &name);
        let slope = parameters(&model).contains(&"slope");
        assert_eq!(slope, name.contains("prelu"), "{name}: {:?}", parameters(&model));
    }
}

#[test]
fn layers_of_both_exporters_of_pytorch_are_understood() {
    for kind in ["activations", "norms"] {
        for exporter in ["torchscript", "dynamo"] {
            let name = format!("{kind}_{exporter}");
            let model = imported(&name);
            assert_values(&model, &name, kind);
            assert_eq!(parameters(&model), expected(kind, "parameters "), "{name}");
        }
    }
}

#[test]
fn transposed_convolutions_equal_onnxruntime() {
    for (name, has_bias) in [
        ("doubling", true),
        ("beyond", true),
        ("groups", false),
        ("dilated", true),
        ("valid", false),
        ("same_upper", true),
        ("same_lower", true),
        ("shape", false),
    ] {
        let name = format!("transposed_{name}");
        let model = imported(&name);
        assert_values(&model, &name, &name);
        let found = parameters(&model);
        assert!(found.contains(&"up.weight"), "{name}: {found:?}");
        assert_eq!(found.contains(&"up.bias"), has_bias, "{name}: {found:?}");
    }
}

#[test]
fn layer_norms_and_gathers_equal_onnxruntime() {
    for name in ["layer_norm_last", "layer_norm_all", "gather"] {
        assert_values(&imported(name), name, name);
    }
    let scaled = imported("layer_norm_last");
    assert!(parameters(&scaled).contains(&"ln.weight") && parameters(&scaled).contains(&"ln.bias"));
}

/// PyTorch exchanges the axes of batch and tokens, merges the batch with the heads, and comes back.
#[test]
fn transformers_of_both_exporters_of_pytorch_are_understood() {
    for name in ["attention_torchscript", "attention_dynamo"] {
        let model = imported(name);
        assert_values(&model, name, "attention");
        let mut found = parameters(&model);
        let mut wanted = expected("attention", "parameters ");
        found.sort_unstable();
        wanted.sort_unstable();
        assert_eq!(found, wanted, "{name}");
    }
}

#[test]
fn every_operator_keeps_its_parameters_over_all_opsets() {
    for (opset, name) in [(9, "operators_9"), (13, "operators_13"), (22, "operators_22")] {
        let model = imported(name);
        assert_eq!(model.opset, opset);
        assert!(model.normalisation_inside && !model.folded, "{name}");
        let wanted = [
            "conv.weight",
            "conv.bias",
            "bn.weight",
            "bn.bias",
            "depthwise.weight",
            "gamma",
            "matmul.weight",
            "matmul.bias",
            "gemm.weight",
            "gemm.bias",
        ];
        assert_eq!(parameters(&model), wanted, "{name}");
        let figures = summary(&model);
        assert_eq!((figures.input_shape.as_slice(), figures.classes), (&[1, 3, 8, 8][..], 4));
        assert_eq!(figures.parameters[4], ("depthwise.weight".into(), vec![6, 1, 3, 3]));
        // conv 96 * 27, depthwise 96 * 9, MatMul 5 * width, Gemm 4 * 5.
        let width = if opset == 9 { 24 } else { 36 };
        assert_eq!(figures.multiply_accumulates, 96 * 27 + 96 * 9 + 5 * width + 20, "{name}");
    }
}

#[test]
fn shape_arithmetic_vanishes() {
    let model = imported("shape_chain");
    let ops: Vec<&str> = model.graph.nodes.iter().map(|node| node.op.name()).collect();
    assert_eq!(ops, ["Conv", "Pad", "Reshape", "Gemm"]);
}

#[test]
fn external_data_equal_inline_data_and_count_in_the_digest() {
    let (outside, inline) = (imported("external"), imported("external_inline"));
    for (a, b) in outside.graph.parameters.iter().zip(&inline.graph.parameters) {
        assert_eq!(outside.graph.value(*a).constant, inline.graph.value(*b).constant);
    }
    assert_eq!(parameters(&outside), ["conv.weight", "fc.weight", "fc.bias"]);
    assert_ne!(outside.model_digest, inline.model_digest);
    let bytes = std::fs::read(golden("external.onnx")).expect("readable");
    let error = import_bytes(&bytes, None, &ImportOptions::default()).expect_err("no folder");
    assert!(error.to_string().contains("import the model by its path"), "{error}");
}

#[test]
fn an_identity_of_an_initializer_is_a_parameter_of_its_own() {
    let wanted =
        ["conv.weight", "bn1.weight", "bn1.bias", "bn2.weight", "bn2.bias", "fc.weight", "fc.bias"];
    assert_eq!(parameters(&imported("merged")), wanted);
}

#[test]
fn a_shared_weight_and_a_transposed_one_keep_their_stored_names() {
    assert_eq!(parameters(&imported("shared")), ["conv.weight", "fc.weight"]);
}

#[test]
fn a_trailing_activation_is_left_out_and_named() {
    for op in ["Softmax", "Sigmoid", "LogSoftmax"] {
        let model = imported(&format!("trailing_{}", op.to_lowercase()));
        let removed = Note::ActivationRemoved {
            node: "activation".into(),
            op: op.into(),
            logits: "logits".into(),
        };
        assert!(model.notes.contains(&removed), "{:?}", model.notes);
    }
    assert!(imported("merged").notes.is_empty());
}

#[test]
fn training_mode_is_refused_by_node_name_with_a_remedy() {
    for (name, node) in [
        ("training_bn", "bn"),
        ("training_bn_9", "bn"),
        ("tiny_torchscript_training", "/bn1/BatchNormalization"),
    ] {
        let Err(ImportError::Unsupported(nodes)) = import(name) else { panic!("{name} passed") };
        assert_eq!((nodes[0].node.as_str(), nodes[0].op.as_str()), (node, "BatchNormalization"));
        assert!(nodes[0].remedy.contains("model.eval()"), "{}", nodes[0]);
    }
}

#[test]
fn all_unsupported_nodes_are_listed_and_dead_ones_ignored() {
    let Err(ImportError::Unsupported(nodes)) = import("unsupported_two") else { panic!("passed") };
    let found: Vec<(&str, &str)> = nodes.iter().map(|n| (n.node.as_str(), n.op.as_str())).collect();
    assert_eq!(found, [("shrink", "Shrink"), ("soft", "Softsign")]);
    assert!(nodes.iter().all(|node| node.remedy.contains("Relu")));
    let alive = imported("dead_branch");
    assert!(alive.graph.nodes.iter().all(|node| node.name != "dead"));
}

#[test]
fn a_written_batch_size_becomes_one_frame() {
    let model = imported("batch_8");
    assert!(model.notes.contains(&Note::BatchFixed { batch: 8 }));
    let figures = summary(&model);
    assert_eq!((figures.input_shape, figures.classes), (vec![1, 3, 8, 8], 4));
}

#[test]
fn outputs_are_chosen_by_name() {
    assert_eq!(summary(&imported("multi")).classes, 4);
    let error = import("several").expect_err("ambiguous");
    assert!(error.to_string().contains("`flat`, `pooled`"), "{error}");
    let mut options = ImportOptions { output: Some("flat".into()), ..Default::default() };
    let path = golden("several.onnx");
    let model = import_file(&path, &options).expect("output chosen");
    assert_eq!(parameters(&model), ["conv.weight"]);
    options.output = Some("pooled".into());
    let model = import_file(&path, &options).expect("trailing axes of length 1");
    assert!(model.notes.contains(&Note::LogitsFlattened));
    options.output = Some("nonsense".into());
    let error = import_file(&path, &options).expect_err("unknown");
    assert!(error.to_string().contains("no value `nonsense`"), "{error}");
}

#[test]
fn the_image_size_must_not_contradict_the_file() {
    let mut options = ImportOptions { input_hw: Some([8, 8]), ..Default::default() };
    assert!(import_file(&golden("multi.onnx"), &options).is_ok());
    options.input_hw = Some([16, 8]);
    let error = import_file(&golden("multi.onnx"), &options).expect_err("contradiction");
    assert!(error.to_string().contains("has height 8"), "{error}");
}

/// The recipe that the messages show is the one that made `tiny_torchscript_kept`.
#[test]
fn both_exporters_of_pytorch_are_understood() {
    let torch = expected("tiny", "parameters ");
    for (name, kept) in [
        ("tiny_torchscript_kept", true),
        ("tiny_dynamo_kept", true),
        ("tiny_torchscript_folded", false),
        ("tiny_dynamo_folded", false),
    ] {
        let model = imported(name);
        assert_values(&model, name, "tiny");
        assert_eq!(model.folded, !kept, "{name}");
        if kept {
            let mut names = parameters(&model);
            assert_eq!(names, torch, "{name}");
            names.dedup();
            assert_eq!(names.len(), 11, "{name}");
        } else {
            assert_eq!(model.graph.parameters.len(), 8, "{name}: {:?}", parameters(&model));
            let text: Vec<String> = model.notes.iter().map(ToString::to_string).collect();
            assert!(text.iter().any(|note| note.contains(EXPORT_RECIPE)), "{text:?}");
        }
        assert!(!model.normalisation_inside, "{name}");
    }
}

/// Names of the columns that the reference features have.
fn reference_names(path: &Path) -> Vec<String> {
    let bytes = std::fs::read(path).expect("readable");
    let length = u64::from_le_bytes(bytes[..8].try_into().expect("8 bytes")) as usize;
    let header = std::str::from_utf8(&bytes[8..8 + length]).expect("JSON header");
    let start = header.find("\"parameters\":\"").expect("metadata") + 14;
    let end = start + header[start..].find('"').expect("end of string");
    header[start..end].split(',').map(|name| name.trim().to_owned()).collect()
}

#[test]
fn public_networks_have_the_parameters_of_their_reference() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/models");
    if !folder.is_dir() {
        eprintln!("SKIPPED: ../shared/models is absent");
        return;
    }
    for (name, count, macs) in [("resnet20", 59, 40_551_040), ("resnet8", 34, 12_501_632)] {
        let path = folder.join(format!("{name}.onnx"));
        let model = import_file(&path, &ImportOptions::default()).expect(name);
        let wanted = reference_names(&folder.join(format!("{name}.reference.safetensors")));
        assert_eq!(parameters(&model), wanted, "{name}");
        assert_eq!(wanted.len(), count, "{name}");
        assert!(model.normalisation_inside && !model.folded, "{name}");
        assert_eq!(summary(&model).multiply_accumulates, macs, "{name}");
    }
    let path = folder.join("resnet20-folded.onnx");
    let model = import_file(&path, &ImportOptions::default()).expect("folded");
    assert!(model.folded && model.normalisation_inside);
    assert_eq!(model.graph.parameters.len(), 40);
}

/// The goldens script runs this very text with PyTorch; users copy it from the README.
#[test]
fn the_readme_shows_the_export_recipe_that_the_goldens_were_made_with() {
    let readme = concat!(env!("CARGO_MANIFEST_DIR"), "/../../README.md");
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let readme = words(&std::fs::read_to_string(readme).unwrap());
    assert!(readme.contains(&words(gradgate_graph::import::EXPORT_RECIPE)));
}
