//! The f32 executors against float64 features on real networks, with ReLU kinks in mind.
//!
//! Two legitimate f32 orders can put a unit near zero on different sides. So: the median over
//! frames of the worst relative error is at most 1e-5, at least 29 of 32 frames are within 1e-4,
//! and every other frame shows such a unit and agrees within 1e-4 once the interpreter is given the
//! executor's signs.

use gradgate_bundle::Bundle;
use gradgate_engine::compute::Compute;
use gradgate_engine::isa::{Isa, Numerics};
use gradgate_engine::{Engine, Frame};
use gradgate_graph::expand::{Expanded, Label, expand};
use gradgate_graph::graph::ValueId;
use gradgate_graph::import::{ImportOptions, import_file};
use gradgate_graph::interp::{Choices, Features, Interp};
use gradgate_graph::ops::Op;
use gradgate_graph::taps::Taps;
use gradgate_tests::executor::run_engine_with;
use gradgate_tests::reference::Reference;
use gradgate_tests::{Compiled, compile, shared};

fn worst(expected: &[f64], got: &[f64]) -> f64 {
    let error = |(e, g): (&f64, &f64)| (e - g).abs() / e.abs();
    expected.iter().zip(got).map(error).fold(0.0, f64::max)
}

/// Values of Relu outputs, channels first.
type Relus = Vec<(ValueId, Vec<f32>)>;

/// A network in both plans: as shipped, and with every tensor in a place of its own.
struct Network {
    expanded: Expanded,
    compiled: Compiled,
    kept: Compiled,
}

/// An executor on one network.
struct Subject<'s> {
    name: &'s str,
    features: &'s dyn Fn(&[u8]) -> Features,
    relus: &'s dyn Fn(&[u8]) -> Relus,
}

impl Network {
    /// Relu outputs and the tensors that hold them.
    fn relu_tensors(&self) -> Vec<(ValueId, usize)> {
        let relus = self.expanded.graph.nodes.iter().filter(|n| n.op == Op::Relu);
        let tensor = |value| self.kept.schedule.values.iter().find(|v| v.0 == value).unwrap().1.0;
        relus.map(|node| (node.output, tensor(node.output))).collect()
    }

    fn channels_first(&self, value: ValueId, values: &[f32]) -> (ValueId, Vec<f32>) {
        let channels = self.expanded.graph.shape(value)[1];
        let pixels = values.len() / channels;
        let at = |i: usize| values[i % pixels * channels + i / pixels];
        (value, (0..values.len()).map(at).collect())
    }

    fn engine_relus(&self, frame: &[u8], compute: Compute<'_>) -> Relus {
        let engine = Engine::load(Bundle::parse(&self.kept.bytes).unwrap()).unwrap();
        let engine = engine.with_compute(compute).unwrap();
        let mut arena = vec![0.0; engine.arena_elements()];
        engine.run(Frame::U8(frame), &mut arena).unwrap();
        let values = |tensor: usize| {
            let offset = self.kept.plan.offsets[tensor].unwrap();
            &arena[offset..][..self.kept.schedule.tensors[tensor].elements]
        };
        let relus = self.relu_tensors().into_iter();
        relus.map(|(value, tensor)| self.channels_first(value, values(tensor))).collect()
    }
}

/// The networks of the shared folder with their float64 features; `None` where they are absent.
fn network(name: &str) -> Option<(Network, Reference)> {
    let model = shared(&format!("models/{name}.onnx"))?;
    let file = shared(&format!("models/{name}.reference.safetensors"))?;
    let imported = import_file(&model, &ImportOptions::default()).unwrap();
    let expanded = expand(&imported.graph, &Label::Ones, &Taps::all()).unwrap();
    let (compiled, kept) = (compile(&expanded, false), compile(&expanded, true));
    Some((Network { expanded, compiled, kept }, Reference::read(&file)))
}

fn check(network: &Network, reference: &Reference, subject: &Subject<'_>) {
    let name = subject.name;
    let mut errors = Vec::new();
    let mut beyond = 0;
    for (index, frame) in reference.frames.iter().enumerate() {
        let got = (subject.features)(frame);
        let error = worst(&reference.squared_norms[index], &got.squared_norms);
        errors.push(error);
        if error > 1e-4 {
            beyond += 1;
            let relus = (subject.relus)(frame);
            let frame = format!("{name} frame {index}: {error:.2e}");
            explain(&frame, network, &reference.images[index], &got, relus);
        }
    }
    errors.sort_by(f64::total_cmp);
    let median = (errors[errors.len() / 2 - 1] + errors[errors.len() / 2]) / 2.0;
    println!(
        "{name}: median of worst relative errors {median:.2e}, {beyond} of {} beyond 1e-4",
        errors.len()
    );
    assert!(median <= 1e-5, "{name}: median {median:.2e}");
    assert!(errors.len() - beyond >= 29, "{name}: {beyond} frames beyond 1e-4");
}

/// A frame beyond the tolerance shows a kink, and agrees on the executor's side of it.
fn explain(frame: &str, network: &Network, image: &[f64], got: &Features, relus: Relus) {
    let interp = Interp::new(&network.expanded.graph);
    let values = interp.run(image);
    let mut choices = Choices::new();
    let mut kinks = 0;
    for (value, theirs) in relus {
        let own = values.get(value);
        let largest = own.iter().fold(0.0, |a: f64, &b| a.max(b));
        let flipped = |(t, o): (&f32, &f64)| (*t > 0.0) != (*o > 0.0);
        for (t, o) in theirs.iter().zip(own).filter(|&pair| flipped(pair)) {
            assert!(f64::from(*t).max(*o) <= 1e-6 * largest, "{frame}: {t} against {o}");
            kinks += 1;
        }
        choices.passed.insert(value, theirs.iter().map(|&x| x > 0.0).collect());
    }
    let masked = interp.features(&network.expanded, image, &choices);
    let again = worst(&masked.squared_norms, &got.squared_norms);
    println!("{frame}, {kinks} kinks, {again:.2e} with the executor's signs");
    assert!(kinks > 0 && again <= 1e-4, "{frame}: no kink explains it");
}

/// The scalar kernels, whose bits all exact kernels give, and fast numerics.
fn check_engine(name: &str) {
    let Some((network, reference)) = network(name) else { return };
    for (isa, numerics) in [(None, Numerics::Exact), (Isa::best(), Numerics::Fast)] {
        let features = |frame: &[u8]| {
            let got = run_engine_with(&network.compiled, frame, isa, numerics);
            let kept = run_engine_with(&network.kept, frame, isa, numerics);
            assert_eq!(got, kept, "{name}: a plan must not change a bit");
            got
        };
        let compute = Compute { isa, numerics, ..Compute::default() };
        let relus = |frame: &[u8]| network.engine_relus(frame, compute);
        let name = &format!("engine, {numerics:?}, {name}");
        check(&network, &reference, &Subject { name, features: &features, relus: &relus });
    }
}

#[test]
fn resnet20_agrees_with_float64() {
    check_engine("resnet20");
}

#[test]
fn resnet8_agrees_with_float64() {
    check_engine("resnet8");
}

#[cfg(feature = "tract")]
mod tract {
    use std::cell::RefCell;

    use gradgate_tests::executor::{tract_model, wide};

    use super::*;

    fn check_tract(name: &str) {
        let Some((network, reference)) = network(name) else { return };
        let tensors = network.relu_tensors();
        let indices: Vec<usize> = tensors.iter().map(|(_, tensor)| *tensor).collect();
        let (model, observed) =
            (tract_model(&network.compiled, &[]), tract_model(&network.kept, &indices));
        let session = RefCell::new(model.session().unwrap());
        let features = |frame: &[u8]| wide(&session.borrow_mut().run(Frame::U8(frame)).unwrap());
        let relus = |frame: &[u8]| {
            let mut session = observed.session().unwrap();
            session.run(Frame::U8(frame)).unwrap();
            let values = tensors.iter().zip(session.observed());
            values.map(|((value, _), shown)| network.channels_first(*value, shown)).collect()
        };
        let subject =
            Subject { name: &format!("tract, {name}"), features: &features, relus: &relus };
        check(&network, &reference, &subject);
    }

    #[test]
    fn resnet20_agrees_with_float64() {
        check_tract("resnet20");
    }

    #[test]
    fn resnet8_agrees_with_float64() {
        check_tract("resnet8");
    }
}
