//! Scores and their slopes beside tests/scripts/adaptive_goldens.py: float64, differentiated twice.

use std::path::Path;
use std::sync::Arc;

use gradgate_detect::Inputs;
use gradgate_detect::file::Model;
use gradgate_detect::file::arrays::{
    CompositeArrays, EnergyNumbers, GaussianArrays, HeadArrays, MlpArrays, PrototypeArrays,
    TableArrays,
};
use gradgate_graph::graph::Graph;
use gradgate_graph::import::import_file;
use safetensors::{Dtype, SafeTensors};

use super::network::Engines;
use super::slope::{PARAMETER_STEP, Slope};
use super::*;
use crate::LabError;
use crate::attack::Subject;
use crate::attack::loss::argmax;

/// The golden file.
pub(super) struct Golden(Vec<u8>);

impl Golden {
    pub fn read() -> Self {
        Self(std::fs::read(folder().join("adaptive.safetensors")).expect("a golden file"))
    }

    fn floats(&self, name: &str) -> Vec<f32> {
        let file = SafeTensors::deserialize(&self.0).expect("safetensors");
        let tensor = file.tensor(name).unwrap_or_else(|error| panic!("{name}: {error}"));
        let data = tensor.data();
        match tensor.dtype() {
            Dtype::U8 => data.iter().map(|&x| f32::from(x)).collect(),
            Dtype::F32 => data.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect(),
            Dtype::F64 => {
                data.as_chunks().0.iter().map(|b| f64::from_le_bytes(*b) as f32).collect()
            }
            other => panic!("{name} holds {other:?}"),
        }
    }

    /// Pixels in 0..1, one image after the other.
    pub fn images(&self) -> Vec<Vec<f32>> {
        let pixels: Vec<f32> = self.floats("images").iter().map(|x| x / 255.0).collect();
        pixels.chunks_exact(192).map(<[f32]>::to_vec).collect()
    }

    /// The detector `norms`, `both` or `composite`.
    pub fn model(&self, name: &str) -> Model {
        let get = |key: &str| self.floats(&format!("{name}.{key}"));
        let table = |part: &str| TableArrays {
            scores: get(&format!("{part}.scores")),
            levels: get(&format!("{part}.levels")),
        };
        let inputs =
            if name == "norms" { Inputs::NORM } else { Inputs::NORM.with(Inputs::FORWARD) };
        let head = if name == "composite" {
            let numbers = get("energy");
            let gaussian = GaussianArrays { means: get("means"), whitening: get("whitening") };
            let prototypes = PrototypeArrays { per_class: 2, vectors: get("vectors") };
            let energy = EnergyNumbers { median: numbers[0], below: numbers[1], above: numbers[2] };
            HeadArrays::Composite(Box::new(CompositeArrays {
                gaussian: Some((gaussian, table("gaussian"))),
                prototypes: Some((prototypes, table("prototypes"))),
                energy: Some((energy, table("energy"))),
                confidence: Some(table("confidence")),
            }))
        } else {
            HeadArrays::Mlp(MlpArrays {
                hidden: 12,
                w1: get("w1"),
                b1: get("b1"),
                w2: get("w2"),
                b2: get("b2")[0],
            })
        };
        Model {
            inputs,
            mean: get("mean"),
            inverse_std: get("inverse_std"),
            head,
            p_values: TableArrays { scores: vec![0.0], levels: vec![0.0] },
            threshold: 0.0,
            caution: None,
        }
    }
}

fn folder() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

pub(super) fn graph() -> Arc<Graph> {
    let path = folder().join("adaptive.onnx");
    Arc::new(import_file(&path, &Default::default()).expect("a model").graph)
}

fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| {
        a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum::<f64>()
    };
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers[numbers.len() / 2]
}

#[test]
fn slopes_are_those_of_differentiating_twice() {
    let golden = Golden::read();
    let network = Network::new(&graph(), &Recipe::default()).expect("a network");
    let engines = network.engines().expect("engines");
    for name in ["norms", "both", "composite"] {
        for step in [0.1 * PARAMETER_STEP, PARAMETER_STEP] {
            let (cosines, lengths) = beside(&golden, &engines, name, step);
            println!("{name} {step}: cosines {cosines:.6?}, lengths {lengths:.4?}");
            assert!(median(cosines.clone()) >= 0.9999, "{name} {step}: {cosines:.6?}");
            assert!((median(lengths.clone()) - 1.0).abs() < 0.01, "{name} {step}: {lengths:.4?}");
            let near = cosines.iter().filter(|&&cosine| cosine >= 0.99).count();
            assert!(near + 1 >= cosines.len(), "{name} {step}: {cosines:.6?}");
        }
    }
}

/// For each image, the cosine between our slope and the golden one, and the ratio of lengths.
fn beside(golden: &Golden, engines: &Engines<'_>, name: &str, step: f64) -> (Vec<f64>, Vec<f64>) {
    let model = golden.model(name);
    let slope = Slope { model: &model, shape: engines.network.feature_shape(), step };
    let wanted = golden.floats(&format!("{name}.slope"));
    let length = |x: &[f32]| x.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>().sqrt();
    let compare = |(at, image): (usize, &Vec<f32>)| {
        let seen = engines.see(image).expect("features");
        let score = slope.score(&seen);
        let value = f64::from(golden.floats(&format!("{name}.score"))[at]);
        let off = (score.value - value).abs();
        assert!(off < 1e-3 * value.abs().max(1.0), "{name} {at}: {} {value}", score.value);
        let got = slope.gradient(engines, image, &seen, &score).expect("a slope");
        let wanted = &wanted[at * 192..][..192];
        (cosine(&got, wanted), length(&got) / length(wanted))
    };
    golden.images().iter().enumerate().map(compare).unzip()
}

#[test]
fn a_device_gives_the_scores() {
    let golden = Golden::read();
    let network = Network::new(&graph(), &Recipe::default()).expect("a network");
    let engines = network.engines().expect("engines");
    let shape = network.feature_shape();
    for name in ["norms", "both", "composite"] {
        let scorer = gradgate_detect::scorer::Scorer::new(&golden.model(name), shape);
        let scorers = [scorer.expect("a detector")];
        let bytes = golden.floats("images");
        for (at, image) in bytes.chunks_exact(192).enumerate() {
            let interleaved: Vec<u8> =
                (0..192).map(|place| image[place % 3 * 64 + place / 3] as u8).collect();
            let judged = engines.judge(&interleaved, &scorers).expect("a judgement");
            let value = golden.floats(&format!("{name}.score"))[at];
            let got = judged.scores[0].expect("a score");
            assert!((got - value).abs() < 1e-3 * value.abs().max(1.0), "{name} {at}: {got}");
        }
    }
}

/// Labelled images, each of the class that the network sees in it.
fn subjects(golden: &Golden, network: &Network) -> Vec<Subject> {
    let engines = network.engines().expect("engines");
    let subject = |(index, pixels): (usize, Vec<f32>)| {
        let label = Some(argmax(&engines.logits(&pixels).expect("logits")));
        Subject { index: 3 * index, source: index as i64, label, pixels }
    };
    golden.images().into_iter().enumerate().map(subject).collect()
}

/// Detectors that let all but the most anomalous images pass.
fn detectors(golden: &Golden) -> Vec<NamedDetector> {
    let detector = |name: &str| {
        let mut scores = golden.floats(&format!("{name}.score"));
        scores.sort_by(f32::total_cmp);
        let thresholds = vec![
            Threshold { rate: 0.01, score: scores[10] + 1e-3 },
            Threshold { rate: 0.05, score: scores[8] + 1e-3 },
        ];
        let model = golden.model(name);
        NamedDetector { name: name.to_owned(), model, fitted_for: Default::default(), thresholds }
    };
    vec![detector("norms"), detector("composite")]
}

fn small() -> Options {
    Options {
        eps: vec![4.0, 24.0],
        sanity_images: 3,
        kappas: vec![0.5],
        steps: 12,
        queries: 40,
        seed: 7,
        ..Options::default()
    }
}

fn attack(subjects: &[Subject], done: Vec<Finished>) -> (Results, Vec<Finished>) {
    let golden = Golden::read();
    let mut kept = Vec::new();
    let observe = |event: Event<'_>| {
        if let Event::Finished(one) = event {
            kept.push(one.clone());
        }
        Ok::<(), LabError>(())
    };
    let recipe = Recipe::default();
    let results = run(&small(), &graph(), &recipe, subjects, &detectors(&golden), done, observe);
    (results.expect("results"), kept)
}

#[test]
fn a_run_finds_evading_images_and_repeats_itself() {
    let golden = Golden::read();
    let network = Network::new(&graph(), &Recipe::default()).expect("a network");
    let mut subjects = subjects(&golden, &network);
    let (results, kept) = attack(&subjects, Vec::new());
    assert_eq!(results.cells, kept);
    for finished in &results.cells {
        for fate in &finished.fates {
            let bound = finished.cell.eps / 255.0 + 1e-6;
            assert!(f64::from(fate.l_inf) <= bound, "{finished:?}");
        }
    }
    let evades = |attack: &str, eps: f64, detector: &str| {
        let all = results.rows.iter().filter(|row| row.attack == attack && row.eps == eps);
        let own = all.filter(|row| row.detector == detector && row.rate == 0.05);
        own.map(|row| (row.evades, row.images)).next().expect("a row")
    };
    for detector in ["norms", "composite"] {
        let (white, images) = evades("selective", 24.0, detector);
        let (noise, _) = evades("noise", 24.0, detector);
        assert!(images == 9 && white > noise && 2 * white >= images, "{white} {noise} {images}");
        let (certain, of) = evades("selective", 127.5, detector);
        assert!(certain == of && of > 0, "{certain} of {of}");
    }
    assert!(
        !results.valid && results.reasons[0].contains("enough images"),
        "{:?}",
        results.reasons
    );
    // Order and threads change nothing; finished cells are taken over; a file holds all of it.
    subjects.reverse();
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a pool");
    let half = kept[..kept.len() / 2].to_vec();
    let (again, rest) = pool.install(|| attack(&subjects, half));
    assert_eq!(again, results);
    assert_eq!(rest[..], kept[kept.len() / 2..]);
    let text = serde_json::to_string(&results).expect("JSON");
    assert_eq!(serde_json::from_str::<Results>(&text).expect("results"), results);
}

#[test]
fn what_does_not_fit_is_refused() {
    let golden = Golden::read();
    let network = Network::new(&graph(), &Recipe::default()).expect("a network");
    let good = subjects(&golden, &network);
    type Change = fn(&mut Vec<Subject>, &mut Vec<NamedDetector>, &mut Options);
    let cases: [(&str, Change); 9] = [
        ("label 4", |subjects, _, _| subjects[0].label = Some(4)),
        ("no label", |subjects, _, _| subjects[0].label = None),
        ("pixels are 0 to 1", |subjects, _, _| subjects[0].pixels[3] = 255.0),
        ("samples", |subjects, _, _| subjects[0].pixels.truncate(5)),
        ("two images", |subjects, _, _| subjects[0].index = subjects[1].index),
        ("two detectors", |_, detectors, _| detectors[1].name = detectors[0].name.clone()),
        ("thresholds", |_, detectors, _| detectors[0].thresholds[1].score = 1e9),
        ("alignments", |_, detectors, _| {
            detectors[0].model.inputs = Inputs::NORM.with(Inputs::ALIGNMENT);
        }),
        ("eps", |_, _, options| options.eps = vec![0.0]),
    ];
    for (wanted, change) in cases {
        let (mut subjects, mut detectors, mut options) =
            (good.clone(), detectors(&golden), small());
        change(&mut subjects, &mut detectors, &mut options);
        let recipe = Recipe::default();
        let found = run(&options, &graph(), &recipe, &subjects, &detectors, Vec::new(), |_| {
            Err(LabError::Data("it began".to_owned()))
        });
        let error = found.expect_err(wanted).to_string();
        assert!(error.contains(wanted), "{wanted}: {error}");
    }
}

#[test]
fn an_observer_ends_a_run() {
    let golden = Golden::read();
    let network = Network::new(&graph(), &Recipe::default()).expect("a network");
    let subjects = subjects(&golden, &network);
    let mut heard = 0;
    let stopped = run(
        &small(),
        &graph(),
        &Recipe::default(),
        &subjects,
        &detectors(&golden),
        Vec::new(),
        |event| match event {
            Event::Finished(_) => Err(LabError::Data("enough".to_owned())),
            Event::Progress { .. } => {
                heard += 1;
                Ok(())
            }
        },
    );
    assert_eq!(stopped.expect_err("stopped").to_string(), "enough");
    assert!(heard > 0);
}
