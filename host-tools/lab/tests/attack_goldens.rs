//! What torchattacks, foolbox and cleverhans make of the images of a small network, against ours.
//!
//! `tests/scripts/attack_peers.py golden` wrote the files; its long form compares on a whole
//! network.

use std::path::PathBuf;
use std::sync::Arc;

use gradgate_graph::import::{ImportOptions, import_file};
use gradgate_lab::attack::{
    self, Choice, Labels, Method, Outcome, Preset, Status, Subject, resolve, semantic,
};
use gradgate_lab::{Classifier, Device, LabError, device};
use safetensors::SafeTensors;

/// A sign that differs moves a pixel by 2/255 or more.
const EQUAL: f32 = 1e-6;

fn file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

fn classifier() -> Box<dyn Classifier> {
    let options = ImportOptions::default();
    let imported = import_file(&file("attacks.onnx"), &options).expect("imports");
    device::open(Arc::new(imported.graph), Device::Cpu).expect("opens")
}

/// A tensor's rows.
fn rows(name: &str) -> Vec<Vec<f32>> {
    let bytes = std::fs::read(file("attacks.safetensors")).expect("goldens");
    let file = SafeTensors::deserialize(&bytes).expect("goldens");
    let tensor = file.tensor(name).expect(name);
    let numbers: Vec<f32> =
        tensor.data().as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect();
    let rows = tensor.shape()[0];
    numbers.chunks_exact(numbers.len() / rows).map(<[f32]>::to_vec).collect()
}

fn attacked(method: Method, choice: &Choice) -> Vec<Outcome> {
    let choice = Choice { labels: Labels::Own, ..*choice };
    let attack = resolve(method, Preset::Torchattacks3, &choice);
    let attack = attack.or_else(|_| resolve(method, Preset::Lab, &choice)).expect("resolves");
    let subject = |(index, pixels)| Ok(Subject { index, source: 0, label: None, pixels });
    let subjects = rows("images").into_iter().enumerate().map(subject);
    let mut all = Vec::new();
    let emit = |outcome| {
        all.push(outcome);
        Ok::<(), LabError>(())
    };
    let classifier = classifier();
    attack::run(classifier.as_ref(), &attack, subjects, 64, emit, |_| Ok(())).expect("runs");
    all.sort_by_key(|outcome: &Outcome| outcome.index);
    all
}

#[test]
fn steps_along_the_sign_are_the_peers() {
    let none = Choice::default();
    let plain = Choice { target: Some("least-likely".parse().expect("a target")), ..none };
    let cases = [
        ("fgsm", Method::Fgsm, none),
        ("bim", Method::Bim, none),
        ("pgd", Method::Pgd, none),
        ("iterll", Method::IterLl, plain),
    ];
    for (name, method, choice) in cases {
        let wanted = rows(name);
        for (outcome, wanted) in attacked(method, &choice).iter().zip(&wanted) {
            let differ = outcome.pixels.iter().zip(wanted).filter(|(a, b)| (*a - *b).abs() > EQUAL);
            assert_eq!(differ.count(), 0, "{name}, image {}", outcome.index);
        }
    }
}

#[test]
fn least_l2_is_no_longer_than_the_best_peers() {
    let mean = |lengths: &[f32]| lengths.iter().sum::<f32>() / lengths.len() as f32;
    let peers = ["l2_foolbox", "l2_cleverhans"].map(|name| mean(&rows(name).concat()));
    let best = peers[0].min(peers[1]);
    let choice =
        Choice { searches: Some(9), initial_c: Some(1e-3), steps: Some(300), ..Choice::default() };
    let ours = attacked(Method::Cw, &choice);
    assert!(ours.iter().all(|outcome| outcome.status == Status::Success));
    let lengths: Vec<f32> = ours.iter().map(|outcome| outcome.l2).collect();
    assert!(mean(&lengths) <= 1.03 * best, "{lengths:?}, the best of {peers:?}");
}

#[test]
fn colours_are_shifted_as_by_colorsys() {
    let shifted = semantic::shift(&rows("images")[0], 0.3, -0.25);
    for (at, (got, wanted)) in shifted.iter().zip(rows("hsv").concat()).enumerate() {
        assert!((got - wanted).abs() < EQUAL, "sample {at}: {got}, not {wanted}");
    }
}
