//! Batches on the engine and on Burn against the f64 interpreter, over the one suite of cases.

use std::sync::Arc;

use gradgate_graph::graph::Graph;
use gradgate_graph::interp::Interp;
use gradgate_lab::device::Cpu;
use gradgate_lab::engine_classifier::EngineClassifier;
use gradgate_lab::executor::BurnClassifier;
use gradgate_lab::{Array, Classifier, Device, device};
use gradgate_tests::cases::{Case, cases, imported};
use gradgate_tests::rng::Rng;

/// More frames than one internal batch holds.
const FRAMES: usize = 67;

fn images(graph: &Graph, rng: &mut Rng, frames: usize) -> Array {
    let mut shape = graph.shape(graph.input.expect("an image")).to_vec();
    shape[0] = frames;
    let elements = shape.iter().product();
    Array::new(shape, (0..elements).map(|_| rng.unit().abs()).collect())
}

/// The same graph on the engine, where it compiles, and on Burn alone.
fn open(graph: &Graph) -> [Box<dyn Classifier>; 2] {
    let graph = Arc::new(graph.clone());
    let host = device::open(graph.clone(), Device::Cpu);
    let burn = BurnClassifier::<Cpu>::new(graph.clone(), Default::default(), 1);
    [
        host.unwrap_or_else(|error| panic!("{}: {error}", graph.name)),
        Box::new(burn.unwrap_or_else(|error| panic!("{}: {error}", graph.name))),
    ]
}

/// Every case on both, beside its graph.
fn opened(cases: Vec<Case>) -> Vec<(&'static str, Graph, Box<dyn Classifier>)> {
    let pair = |case: Case| open(&case.graph).map(|it| (case.name, case.graph.clone(), it));
    cases.into_iter().flat_map(pair).collect()
}

#[test]
fn the_engine_serves_every_case() {
    for case in all_cases() {
        if let Err(error) = EngineClassifier::new(Arc::new(case.graph)) {
            panic!("{}: {error}", case.name);
        }
    }
}

fn all_cases() -> Vec<Case> {
    cases().into_iter().chain(imported()).collect()
}

fn interpreted(graph: &Graph, image: &[f64]) -> Vec<f64> {
    let values = Interp::new(graph).run(image);
    values.get(graph.logits.expect("logits")).to_vec()
}

fn wide(frame: &[f32]) -> Vec<f64> {
    frame.iter().map(|&x| f64::from(x)).collect()
}

/// Largest difference over the largest magnitude.
fn error(got: &[f32], wanted: &[f64]) -> f64 {
    let scale = wanted.iter().fold(1e-6, |m, x| x.abs().max(m));
    got.iter().zip(wanted).map(|(g, w)| (f64::from(*g) - w).abs() / scale).fold(0.0, f64::max)
}

#[test]
fn logits_are_the_interpreters() {
    for (name, graph, classifier) in opened(all_cases()) {
        let images = images(&graph, &mut Rng(3), 2);
        let logits = classifier.logits(&images).expect(name);
        assert_eq!(logits.frames(), 2, "{name}");
        for frame in 0..2 {
            let wanted = interpreted(&graph, &wide(images.frame(frame)));
            let error = error(logits.frame(frame), &wanted);
            assert!(error < 1e-4, "{name}: frame {frame} is {error:e} off");
        }
    }
}

/// The gradient along a random direction is the difference quotient of the interpreter.
#[test]
fn gradients_are_the_interpreters_slopes() {
    for (name, graph, classifier) in opened(all_cases()) {
        let mut rng = Rng(5);
        let image = images(&graph, &mut rng, 1);
        let logits = graph.logits.expect("logits");
        let weights: Vec<f32> = (0..graph.value(logits).elements()).map(|_| rng.unit()).collect();
        let gradient = classifier
            .gradient(&image, &[logits], &mut |values| {
                vec![Array::new(values[0].shape(), weights.clone())]
            })
            .expect(name);
        let direction: Vec<f64> = (0..image.data().len()).map(|_| f64::from(rng.unit())).collect();
        let at = |step: f64| -> f64 {
            let moved: Vec<f64> =
                wide(image.frame(0)).iter().zip(&direction).map(|(x, d)| x + step * d).collect();
            interpreted(&graph, &moved).iter().zip(&weights).map(|(z, w)| z * f64::from(*w)).sum()
        };
        let step = 1e-7;
        let wanted = (at(step) - at(-step)) / (2.0 * step);
        let got: f64 =
            gradient.images.data().iter().zip(&direction).map(|(g, d)| f64::from(*g) * d).sum();
        let scale: f64 = gradient
            .images
            .data()
            .iter()
            .zip(&direction)
            .map(|(g, d)| (f64::from(*g) * d).abs())
            .sum();
        assert!(
            (got - wanted).abs() <= 1e-4 * scale + 1e-6,
            "{name}: slope {got:e}, interpreter {wanted:e}"
        );
    }
}

/// Attacks and scores may not depend on who else is in the batch.
#[test]
fn a_frame_is_the_same_in_any_batch() {
    for (name, graph, classifier) in opened(cases()) {
        let all = images(&graph, &mut Rng(7), FRAMES);
        let wanted = [graph.logits.expect("logits")];
        let ones = &mut |values: &[Array]| {
            vec![Array::new(values[0].shape(), vec![1.0; values[0].data().len()])]
        };
        let together = classifier.gradient(&all, &wanted, ones).expect(name);
        for frame in [0, 1, FRAMES - 1] {
            let alone = all.slice(frame..frame + 1);
            let alone = classifier.gradient(&alone, &wanted, ones).expect(name);
            assert_eq!(alone.values[0].frame(0), together.values[0].frame(frame), "{name}");
            assert_eq!(alone.images.frame(0), together.images.frame(frame), "{name}");
        }
    }
}

#[test]
fn images_that_do_not_fit_are_refused() {
    let graph = cases().swap_remove(0).graph;
    let mut nan = images(&graph, &mut Rng(1), 2);
    let last = nan.data().len() - 1;
    nan.data_mut()[last] = f32::NAN;
    for (images, says) in [
        (Array::zeros([1, 9, 9, 9]), "do not fit model"),
        (Array::zeros([4]), "do not fit model"),
        (nan, "image 1 holds NaN"),
    ] {
        for classifier in open(&graph) {
            let error = classifier.logits(&images).expect_err(says).to_string();
            assert!(error.contains(says), "{error}");
        }
    }
}
