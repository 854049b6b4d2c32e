//! The main job on real input: a pretrained network's gradient norms tell traffic signs from its
//! own
//! test images, and the promise holds over re-splits.

use gradgate_detect::resplit::resplit;
use gradgate_detect::{FitOptions, Inputs};
use gradgate_tests::evaluation::{Extractor, by_inputs, records};
use gradgate_tests::shared;

#[test]
fn gradient_norms_of_resnet20_tell_signs_from_cifar() {
    let Some(model) = shared("models/resnet20.onnx") else { return };
    let Some(normal) = shared("data/cifar10-lossless/test.bin") else { return };
    let Some(signs) = shared("data/gtsrb/test.bin") else { return };
    let extractor = Extractor::new(&model);
    let normal = extractor.features(&records(&normal, 1017), 0);
    let signs = extractor.features(&records(&signs, 1017), 1_000_000);
    let found = by_inputs(&normal, &signs, Inputs::NORM).unwrap();
    println!("AUROC of the MLP on gradient norms, mean over 5 folds: {:.4}", found.mean);
    assert!(found.mean >= 0.96, "AUROC {:.4}", found.mean);

    let report = resplit(&normal, &FitOptions::default(), 200).unwrap();
    println!("{report:?}");
    assert!(report.exceeded <= report.allowed, "{report:?}");
}
