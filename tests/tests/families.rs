//! The smallest networks of many families, by both PyTorch exporters, against PyTorch's float64
//! features: tests/golden/families, written by `tests/scripts/families.py --goldens`.
//!
//! Whole networks are swept by `cargo xtask families`.

use std::path::{Path, PathBuf};

use gradgate_tests::families::{INTERP_LIMIT, Subject};
use gradgate_tests::reference::Reference;

/// Networks that must be compiled by now; the others are skipped, with what refuses them.
const COMPILED: [&str; 30] = [
    "convnext.dynamo",
    "convnext.torchscript",
    "densenet.dynamo",
    "densenet.torchscript",
    "efficientnet.dynamo",
    "efficientnet.torchscript",
    "googlenet.dynamo",
    "googlenet.torchscript",
    "inception.dynamo",
    "inception.torchscript",
    "mnasnet.dynamo",
    "mnasnet.torchscript",
    "mobilenet_v2.dynamo",
    "mobilenet_v2.torchscript",
    "mobilenet_v3.dynamo",
    "mobilenet_v3.torchscript",
    "regnet_x.dynamo",
    "regnet_x.torchscript",
    "regnet_y.dynamo",
    "regnet_y.torchscript",
    "resnet.dynamo",
    "resnet.torchscript",
    "shufflenet_v2.dynamo",
    "shufflenet_v2.torchscript",
    "squeezenet.dynamo",
    "squeezenet.torchscript",
    "upsampling.dynamo",
    "upsampling.torchscript",
    "vit.dynamo",
    "vit.torchscript",
];

fn models() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/families");
    let entries = folder.read_dir().unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("readable").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "onnx"));
    paths.sort();
    paths
}

/// PyTorch's numbers stand beside, once for both exporters.
fn reference(model: &Path) -> Reference {
    let name = model.file_name().expect("a name").to_string_lossy();
    let network = name.split('.').next().expect("a network");
    Reference::read(&model.with_file_name(format!("{network}.reference.safetensors")))
}

#[test]
fn every_family_gives_pytorchs_features() {
    for model in models() {
        let name = model.file_stem().expect("a name").to_string_lossy().into_owned();
        let reference = reference(&model);
        let subject = match Subject::read(&model, &reference) {
            Ok(subject) => subject,
            Err(reason) if COMPILED.contains(&name.as_str()) => panic!("{name}: {reason}"),
            Err(reason) => {
                let first = reason.lines().nth(1).unwrap_or(&reason).trim();
                eprintln!("SKIPPED: {name}: {first}");
                continue;
            }
        };
        let worst = subject.interpret(usize::MAX);
        assert!(worst <= INTERP_LIMIT, "{name}: the interpreter differs by {worst:.1e}");
        let run = subject.engine();
        assert!(run.parity.holds(), "{name}: {:?}", run.parity);
        subject.to_onnx().unwrap_or_else(|e| panic!("{name}: {e}"));
    }
}

#[test]
fn one_norm_that_is_off_fails_its_network() {
    let model = models().into_iter().find(|m| m.ends_with("mobilenet_v2.dynamo.onnx"));
    let model = model.expect("a golden");
    let mut reference = reference(&model);
    reference.squared_norms[1][0] *= 1.001;
    let subject = Subject::read(&model, &reference).unwrap_or_else(|e| panic!("{e}"));
    assert!(subject.interpret(usize::MAX) > INTERP_LIMIT);
    let parity = subject.engine().parity;
    assert!(!parity.frames_hold() && parity.within + 1 == parity.frames, "{parity:?}");
}

#[test]
fn every_network_that_must_be_compiled_is_there() {
    let names: Vec<String> =
        models().iter().map(|m| m.file_stem().expect("a name").to_string_lossy().into()).collect();
    for name in COMPILED {
        assert!(names.iter().any(|known| known == name), "{name}");
    }
}
