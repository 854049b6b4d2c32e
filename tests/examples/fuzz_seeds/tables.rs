//! Feature files, references and detector files.

use gradgate_detect::references::{LayerReference, LayerShape, References, ReferencesFor};
use gradgate_detect::{FeatureSet, FitOptions, Inputs, Metadata, fit};
use gradgate_tests::rng::Rng;

use crate::{Seed, seed};

/// Normal frames of a made-up network of three classes, two parameters, two layers.
fn frames(n: usize) -> FeatureSet {
    let names = |kind: &str| vec![format!("{kind}1"), format!("{kind}2")];
    let mut rng = Rng(3);
    let mut positive =
        |n: usize| -> Vec<f64> { (0..n).map(|_| (f64::from(rng.unit()) * 2.0).exp()).collect() };
    let (squared_norms, activation_norms) = (positive(2 * n), positive(2 * n));
    let mut signed = |n: usize| -> Vec<f32> { (0..n).map(|_| rng.unit()).collect() };
    FeatureSet {
        metadata: Metadata {
            parameters: names("weight"),
            layers: names("layer"),
            alignments: names("weight"),
            preprocessing: "range=0,1".into(),
            label: "ones".into(),
            executor: "engine".into(),
            numerics: "exact".into(),
            model_digest: "aa".into(),
            schema_digest: "bb".into(),
            references_digest: "cc".into(),
            frames: "seed".into(),
        },
        classes: 3,
        penultimate_length: 4,
        logits: signed(3 * n),
        penultimate: signed(4 * n),
        alignments: signed(2 * n),
        squared_norms,
        activation_norms,
        labels: vec![-1; n],
        source: (0..n as i64).collect(),
        ..FeatureSet::default()
    }
}

fn references() -> References {
    let shape = LayerShape { parameter: "weight1".into(), outputs: 2, groups: 1, inputs: 3 };
    let (u, v) = (vec![0.5; 6], vec![0.25; 9]);
    References {
        fitted_for: ReferencesFor {
            model_digest: "aa".into(),
            label: "ones".into(),
            preprocessing: "range=0,1".into(),
        },
        frames: "seed".into(),
        counts: vec![1, 2, 3],
        seen: vec![7, 8, 9, 10, 11, 12],
        layers: vec![LayerReference { shape, u, v }],
    }
}

/// A file that is right but for one text in its header, of the same length.
fn changed(file: &[u8], from: &str, to: &str) -> Vec<u8> {
    let at = file.windows(from.len()).position(|part| part == from.as_bytes());
    let at = at.unwrap_or_else(|| panic!("{from} is not in the file"));
    [&file[..at], to.as_bytes(), &file[at + from.len()..]].concat()
}

pub fn features() -> Vec<Seed> {
    let file = frames(5).to_bytes().expect("features");
    let directions = references().to_bytes().expect("references");
    let mut nan = file.clone();
    let last = nan.len() - 4;
    nan[last..].copy_from_slice(&f32::NAN.to_le_bytes());
    vec![
        seed("valid-features.safetensors", file.clone()),
        seed("valid-references.safetensors", directions.clone()),
        seed("attack-nan.safetensors", nan),
        seed("attack-rows.safetensors", changed(&file, "[5,3]", "[3,5]")),
        seed("attack-truncated.safetensors", &file[..file.len() - 1]),
        seed("attack-header_beyond_the_file.safetensors", [&[0xff; 8][..], b"{}"].concat()),
        seed(
            "attack-groups.safetensors",
            changed(&directions, "\"groups\":\"1\"", "\"groups\":\"0\""),
        ),
    ]
}

pub fn detectors() -> Vec<Seed> {
    let set = frames(120);
    let mut seeds = Vec::new();
    let kinds = [Inputs::NORM, Inputs::NORM.with(Inputs::FORWARD).with(Inputs::ALIGNMENT)];
    for (inputs, name) in kinds.into_iter().zip(["norm", "all"]) {
        let options = FitOptions { confidence: 0.5, inputs, ..FitOptions::default() };
        let fitted = fit(&set, &[], &options).unwrap_or_else(|e| panic!("fit: {e}"));
        let text = fitted.detector.to_json().expect("a detector");
        seeds.push(seed(&format!("valid-{name}.json"), text));
    }
    let text = String::from_utf8(seeds[0].1.clone()).expect("JSON");
    let (before, after) = text.split_once("\"threshold\":").expect("a threshold");
    let after = &after[after.find(',').expect("more")..];
    for (name, value) in [("absent", "null"), ("nan", "NaN"), ("infinite", "1e999")] {
        let bytes = format!("{before}\"threshold\":{value}{after}");
        seeds.push(seed(&format!("attack-threshold_{name}.json"), bytes));
    }
    let deep = format!("{{\"format\":1,\"fitted_for\":{}", "[".repeat(4_000));
    seeds.push(seed("attack-deep_nesting.json", deep));
    seeds
}
