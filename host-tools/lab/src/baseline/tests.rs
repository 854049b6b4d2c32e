//! Scores beside tests/scripts/baseline_goldens.py, which states every formula once more.

use std::path::Path;
use std::sync::Arc;

use gradgate_graph::graph::{Graph, Tensor, ValueId};
use gradgate_graph::ops::{Conv, Op};
use safetensors::{Dtype, SafeTensors};

use super::*;
use crate::baseline::energy::Energy;
use crate::baseline::gran::Gran;
use crate::baseline::knn::Knn;
use crate::baseline::lid::{Lid, Neighbours};
use crate::baseline::logistic::{Logistic, Scaling};
use crate::baseline::mahalanobis::{Mahalanobis, Variant};
use crate::baseline::method::{Fitted, Method};
use crate::baseline::odin::Odin;
use crate::baseline::select::Criterion;
use crate::baseline::vim::Vim;
use crate::{Array, Classifier, Device, device};

/// Scores of an f32 network beside float64: relative to the spread of the scores.
const TOLERANCE: f64 = 1e-4;

struct Golden(Vec<u8>);

impl Golden {
    fn read() -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/baseline.safetensors");
        Self(std::fs::read(path).expect("a golden file"))
    }

    /// Shape and numbers of a tensor.
    fn get(&self, name: &str) -> (Vec<usize>, Vec<f64>) {
        let file = SafeTensors::deserialize(&self.0).expect("safetensors");
        let tensor = file.tensor(name).unwrap_or_else(|e| panic!("{name}: {e}"));
        let data = tensor.data();
        let values: Vec<f64> = match tensor.dtype() {
            Dtype::U8 => data.iter().map(|&x| f64::from(x)).collect(),
            Dtype::F32 => {
                data.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b).into()).collect()
            }
            Dtype::F64 => data.as_chunks().0.iter().map(|b| f64::from_le_bytes(*b)).collect(),
            other => panic!("{name} holds {other:?}"),
        };
        (tensor.shape().to_vec(), values)
    }

    fn values(&self, name: &str) -> Vec<f64> {
        self.get(name).1
    }

    fn rows(&self, name: &str) -> Rows {
        let (shape, values) = self.get(name);
        Rows::new(shape[1], values)
    }

    fn images(&self, name: &str) -> Array {
        let (shape, values) = self.get(&format!("images.{name}"));
        Array::new(shape, values.into_iter().map(|x| (x / 255.0) as f32).collect())
    }

    fn constant(&self, graph: &mut Graph, name: &str) -> ValueId {
        let (shape, values) = self.get(&format!("network.{name}"));
        let data: Vec<f32> = values.into_iter().map(|x| x as f32).collect();
        let id = graph.add_constant(name, Tensor::new(shape, data));
        graph.parameters.push(id);
        id
    }

    /// Three convolutions with activations, pooled, a last layer.
    fn network(&self) -> Box<dyn Classifier> {
        let mut graph = Graph { name: "digits".to_owned(), ..Graph::default() };
        let mut value = graph.add_input("image", [1, 1, 8, 8]);
        for (name, stride) in [("conv1", 1), ("conv2", 2), ("conv3", 2)] {
            let weight = self.constant(&mut graph, &format!("{name}.weight"));
            let bias = self.constant(&mut graph, &format!("{name}.bias"));
            let conv = Conv { strides: [stride; 2], pads: [1; 4], dilations: [1; 2], groups: 1 };
            value = graph.push(name, Op::Conv(conv), &[value, weight, bias]).unwrap();
            value = graph.push(format!("relu.{name}"), Op::Relu, &[value]).unwrap();
        }
        let pool = Op::ReduceMean { axes: vec![2, 3], keep_dims: false };
        value = graph.push("pool", pool, &[value]).unwrap();
        let weight = self.constant(&mut graph, "fc.weight");
        let bias = self.constant(&mut graph, "fc.bias");
        let last = Op::Gemm { transpose_b: true };
        graph.logits = Some(graph.push("logits", last, &[value, weight, bias]).unwrap());
        device::open(Arc::new(graph), Device::Cpu).expect("a classifier")
    }
}

/// All images of the golden file, and the network.
struct World {
    golden: Golden,
    network: Box<dyn Classifier>,
    classes: Vec<usize>,
    reference: Array,
    /// Normal and anomalous images of the training part, the validation part, the queries.
    sets: [[Array; 2]; 3],
}

impl World {
    fn new() -> Self {
        let golden = Golden::read();
        let set = |name: &str| {
            ["normal", "anomalous"].map(|side| golden.images(&format!("{name}.{side}")))
        };
        Self {
            network: golden.network(),
            classes: golden.values("labels").into_iter().map(|x| x as usize).collect(),
            reference: golden.images("reference"),
            sets: ["train", "validation", "queries"].map(set),
            golden,
        }
    }

    fn observe<'a>(&'a self, images: &'a Array) -> Observed<'a> {
        Observed::new(self.network.as_ref(), images).expect("features")
    }

    /// Fits on the parts named, stores and reads the fit, scores the queries.
    fn run(&self, method: Method, with: Parts) -> Result<(Method, Vec<f64>), LabError> {
        let fitted = self.fit(method, with)?;
        let twins: Vec<usize> = (0..self.sets[2][0].frames()).collect();
        let twins = Twins { clean: &self.sets[2][0], of: &twins };
        let mut scores = Vec::new();
        for queries in &self.sets[2] {
            let queries = self.observe(queries).with_twins(twins)?;
            scores.extend(fitted.score(&queries)?.values);
        }
        Ok((fitted.method, scores))
    }

    fn fit(&self, method: Method, with: Parts) -> Result<Fitted, LabError> {
        let twins: Vec<usize> = (0..self.sets[0][0].frames()).collect();
        let [train, validation, _] = &self.sets;
        let seen = [train, validation].map(|[clean, anomalous]| {
            [clean, anomalous].map(|images| {
                let of = &twins[..images.frames()];
                self.observe(images).with_twins(Twins { clean, of }).expect("twins")
            })
        });
        let contrast = |set: usize| Contrast { normal: &seen[set][0], anomalous: &seen[set][1] };
        let reference = self.observe(&self.reference);
        let data = FitData {
            budget: Budget::Native,
            normal: Reference { images: &reference, classes: &self.classes },
            train: (with != Parts::Normal).then(|| contrast(0)),
            validation: (with != Parts::Normal).then(|| contrast(1)),
        };
        let fitted = method.fit(&data)?;
        let text = serde_json::to_string(&fitted).expect("stored");
        Ok(serde_json::from_str(&text).expect("read"))
    }

    fn check(&self, name: &str, method: Method, with: Parts) -> Method {
        let (method, scores) = self.run(method, with).unwrap_or_else(|e| panic!("{name}: {e}"));
        let wanted = self.golden.values(&format!("scores.{name}"));
        assert_close(name, &scores, &wanted, TOLERANCE);
        method
    }
}

/// What a fit is given.
#[derive(Clone, Copy, PartialEq)]
enum Parts {
    Normal,
    All,
}

fn assert_close(name: &str, found: &[f64], wanted: &[f64], tolerance: f64) {
    assert_eq!(found.len(), wanted.len(), "{name}");
    let scale = wanted.iter().fold(0.0, |m: f64, x| m.max(x.abs()));
    for (place, (a, b)) in found.iter().zip(wanted).enumerate() {
        assert!((a - b).abs() <= tolerance * scale, "{name} {place}: {a} beside {b}");
    }
}

#[test]
fn scores_without_a_fit_are_those_of_the_formulas() {
    let world = World::new();
    world.check("msp", Method::named("msp").unwrap(), Parts::Normal);
    world.check("energy", Method::named("energy").unwrap(), Parts::Normal);
    world.check("energy.2", Method::Energy(Energy { temperature: 2.0 }), Parts::Normal);
    world.check("gradnorm", Method::named("gradnorm").unwrap(), Parts::Normal);
    world.check("odin.fixed", Method::named("odin").unwrap(), Parts::Normal);
}

#[test]
fn odin_chooses_what_the_script_chooses() {
    let world = World::new();
    let odin = Odin { epsilons: vec![0.0, 0.0014, 0.01, 0.05], ..Odin::default() };
    let Method::Odin(odin) = world.check("odin", Method::Odin(odin), Parts::All) else {
        panic!("another method")
    };
    let chosen = [odin.setting.temperature, odin.setting.epsilon];
    assert_eq!(chosen[..], world.golden.values("chosen.odin"));
    assert!(odin.notes()[0].contains("chosen on the set"));
}

#[test]
fn mahalanobis_distances_are_those_of_scikit_learn() {
    let world = World::new();
    let of = |variant, criterion| {
        let epsilons = vec![0.0, 0.01, 0.005, 0.002];
        Method::Mahalanobis(Mahalanobis { criterion, epsilons, ..Mahalanobis::new(variant) })
    };
    world.check("mahalanobis-v", of(Variant::V, Criterion::Tnr95), Parts::Normal);
    let fe = world.check("mahalanobis-fe", of(Variant::Fe, Criterion::Tnr95), Parts::All);
    assert!(fe.baseline().notes()[0].starts_with("3 blocks"), "{:?}", fe.baseline().notes());
    for (name, variant, criterion) in [
        ("mahalanobis-p", Variant::P, Criterion::Tnr95),
        ("mahalanobis-p.auroc", Variant::P, Criterion::Auroc),
        ("mahalanobis-p-fe", Variant::PFe, Criterion::Tnr95),
    ] {
        let method = world.check(name, of(variant, criterion), Parts::All);
        let chosen = world.golden.values(&format!("chosen.{name}"))[0];
        assert_eq!(method.baseline().notes()[0], format!("epsilon {chosen}"), "{name}");
    }
}

#[test]
fn neighbours_are_those_of_all_distances() {
    let world = World::new();
    let knn = |k| Method::Knn(Knn { neighbours: vec![k], ..Knn::default() });
    world.check("knn", knn(5), Parts::Normal);
    for k in [0, 201] {
        let error = world.run(knn(k), Parts::Normal).unwrap_err().to_string();
        assert!(error.contains("1 to 200"), "{error}");
    }
}

#[test]
fn what_a_method_lacks_is_named() {
    let world = World::new();
    let error = world.run(Method::named("mahalanobis-p").unwrap(), Parts::Normal).unwrap_err();
    assert!(error.to_string().contains("share of the set"), "{error}");
    let error = Method::named("maximum").unwrap_err().to_string();
    assert!(error.contains("msp") && error.contains("maximum"), "{error}");
    let queries = world.observe(&world.reference);
    for method in Method::all() {
        let name = method.baseline().name();
        if method.baseline().label_budget() != LabelBudget::None && name != "odin" {
            let error = method.baseline().score(&queries).unwrap_err().to_string();
            assert!(error.contains("not fitted"), "{error}");
        }
    }
}

#[test]
fn logistic_regression_is_that_of_scikit_learn() {
    let golden = Golden::read();
    let (normal, anomalous) = (golden.rows("logistic.normal"), golden.rows("logistic.anomalous"));
    let head = Logistic::fit(&normal, &anomalous, Scaling::None).unwrap();
    let wanted = golden.values("logistic.weights");
    let (weights, intercept) = head.weights();
    let found: Vec<f64> = weights.iter().copied().chain([intercept, head.strength()]).collect();
    assert_eq!(found.len(), wanted.len());
    for (a, b) in found.iter().zip(&wanted) {
        assert!((a - b).abs() <= 1e-6 * b.abs(), "{found:?} beside {wanted:?}");
    }
}

#[test]
fn local_dimensions_are_those_of_all_distances() {
    let world = World::new();
    let fixed =
        |count| Lid { neighbours: Neighbours::Fixed { count }, k: vec![6], ..Lid::deployable() };
    world.check("lid", Method::Lid(fixed(50)), Parts::All);
    for (count, k) in [(201, 6), (6, 6)] {
        let lid = Lid { k: vec![k], ..fixed(count) };
        let error = world.run(Method::Lid(lid), Parts::All).unwrap_err().to_string();
        assert!(error.contains("200 normal images"), "{error}");
    }
    let original =
        Lid { neighbours: Neighbours::Twins { batch: 16 }, k: vec![6], ..Lid::original() };
    let method = world.check("lid-original", Method::Lid(original.clone()), Parts::All);
    assert!(method.baseline().notes().iter().any(|note| note.starts_with("leak")));
    let Method::Lid(fitted) = method else { panic!("another method") };
    let without = world.observe(&world.sets[2][1]);
    let error = fitted.score(&without).unwrap_err().to_string();
    assert!(error.contains("clean original"), "{error}");
    let error = world.run(Method::Lid(original), Parts::Normal).unwrap_err().to_string();
    assert!(error.contains("training part"), "{error}");
}

#[test]
fn boundaries_and_residuals_are_those_of_the_formulas() {
    let world = World::new();
    world.check("fdbd", Method::named("fdbd").unwrap(), Parts::Normal);
    let vim = world.check("vim", Method::named("vim").unwrap(), Parts::Normal);
    assert!(vim.baseline().notes()[0].starts_with("6 of 12"), "{:?}", vim.baseline().notes());
    for dimension in [0, 12] {
        let vim = Method::Vim(Vim { dimension: Some(dimension), fitted: None });
        let error = world.run(vim, Parts::Normal).unwrap_err().to_string();
        assert!(error.contains("1 to 11"), "{error}");
    }
}

#[test]
fn parameter_norms_are_those_of_automatic_differentiation() {
    let world = World::new();
    world.check("grad-uncertainty", Method::named("grad-uncertainty").unwrap(), Parts::Normal);
    world.check("gran", Method::named("gran").unwrap(), Parts::All);
    let logarithm = Method::Gran(Gran { logarithm: true, ..Gran::default() });
    let (method, scores) = world.run(logarithm, Parts::All).unwrap();
    assert!(scores.iter().all(|score| score.is_finite()));
    assert!(method.baseline().notes()[0].starts_with("8 norms"), "{:?}", method.baseline().notes());
}

/// Every method with options that fit the small sets.
fn small(method: Method) -> Method {
    match method {
        Method::Lid(lid) => {
            let neighbours = match lid.neighbours {
                Neighbours::Twins { .. } => Neighbours::Twins { batch: 20 },
                Neighbours::Fixed { .. } => Neighbours::Fixed { count: 50 },
            };
            Method::Lid(Lid { neighbours, k: vec![5, 6], ..lid })
        }
        Method::Odin(odin) => Method::Odin(Odin { epsilons: vec![0.0, 0.01], ..odin }),
        other => other,
    }
}

#[test]
fn a_score_depends_on_its_image_alone() {
    let world = World::new();
    let [clean, anomalous] = &world.sets[2];
    let image = 13;
    let alone = anomalous.slice(image..image + 1);
    let twins: Vec<usize> = (0..clean.frames()).collect();
    for method in Method::all() {
        let fitted = world.fit(small(method), Parts::All).unwrap();
        let all = world.observe(anomalous).with_twins(Twins { clean, of: &twins }).unwrap();
        let all = fitted.score(&all).unwrap();
        assert_eq!(all.values.len(), anomalous.frames());
        assert_eq!(all.budget, Budget::Native);
        let of = [image];
        let one = world.observe(&alone).with_twins(Twins { clean, of: &of }).unwrap();
        let one = fitted.score(&one).unwrap();
        assert_eq!(one.values, [all.values[image]], "{}", all.method);
    }
}

#[test]
fn an_image_of_the_neighbours_is_not_its_own() {
    let world = World::new();
    let lid = Lid { neighbours: Neighbours::Fixed { count: 40 }, k: vec![6], ..Lid::deployable() };
    let reference = world.sets[0][0].clone();
    let normal = world.observe(&reference);
    let anomalous = world.observe(&world.sets[0][1]);
    let classes = vec![0; reference.frames()];
    let data = FitData {
        budget: Budget::Equal,
        normal: Reference { images: &normal, classes: &classes },
        train: Some(Contrast { normal: &normal, anomalous: &anomalous }),
        validation: None,
    };
    let fixed = Method::Lid(lid.clone()).fit(&data).unwrap().score(&anomalous).unwrap();
    assert_eq!(fixed.budget, Budget::Equal);
    // The same neighbours, the nearest passed over, is what the leaking form does to clean images.
    let of: Vec<usize> = (0..reference.frames()).collect();
    let leaking = Lid { neighbours: Neighbours::Twins { batch: 40 }, ..lid.clone() };
    let references = super::lid::References::default();
    let seen = world.observe(&reference).with_twins(Twins { clean: &reference, of: &of }).unwrap();
    let wanted = leaking.estimates(&seen, &references, 6).unwrap();
    let references = lid.references(&data).unwrap();
    assert_eq!(lid.estimates(&normal, &references, 6).unwrap(), wanted);
}

#[test]
fn features_that_are_no_numbers_are_named() {
    let mut graph = Graph { name: "overflow".to_owned(), ..Graph::default() };
    let image = graph.add_input("image", [1, 1, 1, 1]);
    graph.push("flat", Op::Reshape { shape: vec![1, 1] }, &[image]).unwrap();
    let gemm = Op::Gemm { transpose_b: true };
    for (name, width) in [("hidden", 1), ("logits", 2)] {
        let from = graph.nodes.last().unwrap().output;
        let weight = Tensor::new([width, 1], vec![3e38; width]);
        let weight = graph.add_constant(format!("{name}.weight"), weight);
        graph.logits = Some(graph.push(name, gemm.clone(), &[from, weight]).unwrap());
    }
    let network = device::open(Arc::new(graph), Device::Cpu).unwrap();
    let images = Array::new([3, 1, 1, 1], vec![0.0, 0.0, 1.0]);
    let queries = Observed::new(network.as_ref(), &images).unwrap();
    let error = Method::named("msp").unwrap().baseline().score(&queries).unwrap_err().to_string();
    assert!(error.contains("image 2") && error.contains("logits"), "{error}");
}
