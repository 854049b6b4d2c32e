//! Detection on real data with the baselines beside it: `evaluate [TORCH_NORMAL TORCH_ANOMALOUS]`.
//!
//! ResNet-20 on CIFAR-10 test originals against German traffic signs, 1,017 frames each. The two
//! optional
//! files are features of the same frames from PyTorch (tests/scripts/torch_features.py): the same
//! fit on them
//! shows whether our features lose anything.

use std::path::PathBuf;

use gradgate_detect::resplit::resplit;
use gradgate_detect::{FeatureSet, FitOptions, Inputs};
use gradgate_tests::evaluation::{Extractor, by_image_statistics, by_inputs, records};
use gradgate_tests::shared;

const FRAMES: usize = 1017;

fn main() {
    let (Some(model), Some(normal), Some(signs)) = (
        shared("models/resnet20.onnx"),
        shared("data/cifar10-lossless/test.bin"),
        shared("data/gtsrb/test.bin"),
    ) else {
        return;
    };
    let extractor = Extractor::new(&model);
    let frames = [records(&normal, FRAMES), records(&signs, FRAMES)];
    let ours = [extractor.features(&frames[0], 0), extractor.features(&frames[1], 1_000_000)];
    let both = Inputs::NORM.with(Inputs::FORWARD);
    let kinds = [("norm", Inputs::NORM), ("forward", Inputs::FORWARD), ("norm,forward", both)];
    println!("MLP, 5 folds by source, {FRAMES} + {FRAMES} frames: mean AUROC %, pooled [95 %]");
    for (name, inputs) in kinds {
        print(name, by_inputs(&ours[0], &ours[1], inputs));
    }
    let sources = [ours[0].source.as_slice(), &ours[1].source];
    print("image statistics", by_image_statistics(&frames[0], &frames[1], sources));
    let files: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    if let [normal, anomalous] = &files[..] {
        let read = |path| FeatureSet::read(path).unwrap_or_else(|e| panic!("{e}"));
        let torch = [read(normal), read(anomalous)];
        print("norm (PyTorch)", by_inputs(&torch[0], &torch[1], Inputs::NORM));
    }
    let report = resplit(&ours[0], &FitOptions::default(), 200).unwrap_or_else(|e| panic!("{e}"));
    println!("composite on normal frames only, 200 re-splits: {report:?}");
}

fn print<E: std::fmt::Display>(
    name: &str,
    found: Result<gradgate_detect::matrix_fit::CrossValidation, E>,
) {
    match found {
        Ok(cv) => println!(
            "{name:18} {:6.2}   {:6.2} [{:.2}, {:.2}]",
            100.0 * cv.mean,
            100.0 * cv.pooled.value,
            100.0 * cv.pooled.low,
            100.0 * cv.pooled.high
        ),
        Err(error) => println!("{name:18} {error}"),
    }
}
