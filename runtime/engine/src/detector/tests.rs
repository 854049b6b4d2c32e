//! Each head against plain f64 formulas; every bad value and every overflow ends as a fault.

extern crate std;
use std::vec;
use std::vec::Vec;

use gradgate_bundle::detector::{
    Composite, Detector, Energy, FeatureShape, Gaussian, Head, Mlp, Prototypes, Table,
};
use gradgate_bundle::header::BlobRef;

use super::*;

const SHAPE: FeatureShape =
    FeatureShape { norms: 5, layers: 2, alignments: 3, classes: 3, penultimate: 4 };
/// 5 norms, 2 activation norms, 3 logits, energy, 3 alignments.
const INPUTS: usize = 14;

/// Arrays of a detector under construction, and made-up numbers for them.
struct Pool {
    values: Vec<f32>,
    state: u64,
}

impl Pool {
    fn new(seed: u64) -> Pool {
        Pool { values: vec![], state: seed }
    }

    fn number(&mut self) -> f32 {
        self.state = self.state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        ((self.state >> 40) as f32 / (1u64 << 24) as f32) * 2.0 - 1.0
    }

    fn add(&mut self, values: &[f32]) -> BlobRef {
        let at = BlobRef { offset: 4 * self.values.len() as u32, elements: values.len() as u32 };
        self.values.extend_from_slice(values);
        at
    }

    fn random(&mut self, count: usize) -> BlobRef {
        let values: Vec<f32> = (0..count).map(|_| self.number()).collect();
        self.add(&values)
    }

    fn table(&mut self) -> Table {
        Table { scores: self.add(&[0.0, 1.0, 40.0]), levels: self.add(&[0.0, 0.5, 9.0]) }
    }

    fn get(&self, at: BlobRef) -> &[f32] {
        &self.values[at.offset as usize / 4..][..at.elements as usize]
    }

    fn detector(&mut self, kind: usize) -> Detector {
        let mean = self.random(INPUTS);
        let inverse_std = self.add(&[1.5; INPUTS]);
        let gaussian = Gaussian {
            means: self.random(3 * INPUTS),
            whitening: self.random(INPUTS * (INPUTS + 1) / 2),
        };
        let prototypes = Prototypes { per_class: 2, vectors: self.random(3 * 2 * 4) };
        let energy = Energy { median: 1.0, below: 2.0, above: 3.0 };
        let head = match kind {
            0 => Head::Mlp(Mlp {
                hidden: 7,
                w1: self.random(7 * INPUTS),
                b1: self.random(7),
                w2: self.random(7),
                b2: 0.25,
            }),
            1 => Head::Gaussian(gaussian),
            2 => Head::Prototypes(prototypes),
            3 => Head::Energy(energy),
            _ => Head::Composite(Composite {
                gaussian: Some((gaussian, self.table())),
                prototypes: Some((prototypes, self.table())),
                energy: Some((energy, self.table())),
                confidence: Some(self.table()),
            }),
        };
        let inputs = Inputs::NORM.with(Inputs::FORWARD).with(Inputs::ALIGNMENT);
        let p_values = self.table();
        let (threshold, caution) = (1.0, None);
        Detector { inputs, shape: SHAPE, mean, inverse_std, head, p_values, threshold, caution }
    }

    fn view(&self, detector: &Detector) -> DetectorView<'_> {
        DetectorView::new(detector, &SHAPE, &mut |at| Some(self.get(at))).unwrap()
    }
}

/// One frame: norms, activation norms, logits, penultimate, alignments.
type Frame = [Vec<f32>; 5];

fn frame(pool: &mut Pool) -> Frame {
    let mut values = |count: usize, offset: f32| -> Vec<f32> {
        (0..count).map(|_| pool.number() + offset).collect()
    };
    [values(5, 2.0), values(2, 2.0), values(3, 0.0), values(4, 0.5), values(3, 0.0)]
}

fn judge(detector: &Detector, pool: &Pool, frame: &Frame) -> Result<Judgement, Fault> {
    let view = pool.view(detector);
    let [norms, layers, logits, penultimate, alignments] = frame;
    let features = FrameFeatures { norms, layers, logits, penultimate, alignments };
    evaluate(&view, &features, &mut vec![f32::NAN; detector.scratch_elements().unwrap()])
}

fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().map(|value| f64::from(*value)).collect()
}

/// The input vector in f64.
fn reference_inputs(detector: &Detector, pool: &Pool, frame: &Frame) -> Vec<f64> {
    let mut x: Vec<f64> = wide(&frame[0]).into_iter().chain(wide(&frame[1])).map(f64::ln).collect();
    let mut sorted = wide(&frame[2]);
    sorted.sort_by(|a, b| b.total_cmp(a));
    x.extend(&sorted);
    x.push(sorted.iter().map(|z| z.exp()).sum::<f64>().ln());
    x.extend(wide(&frame[4]));
    let (mean, inverse) = (wide(pool.get(detector.mean)), wide(pool.get(detector.inverse_std)));
    x.iter()
        .zip(mean.iter().zip(inverse))
        .map(|(x, (mean, inverse))| (x - mean) * inverse)
        .collect()
}

fn reference_level(score: f64) -> f64 {
    if score <= 1.0 { 0.5 * score.max(0.0) } else { 0.5 + 8.5 * (score.min(40.0) - 1.0) / 39.0 }
}

/// The score in f64.
fn reference(head: &Head, pool: &Pool, frame: &Frame, x: &[f64]) -> f64 {
    let class = predicted(&frame[2]) as usize;
    let (logits, vector) = (wide(&frame[2]), wide(&frame[3]));
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let total = logits.iter().map(|z| z.exp()).sum::<f64>().ln();
    match head {
        Head::Mlp(mlp) => {
            let w1 = wide(pool.get(mlp.w1));
            let hidden: Vec<f64> = w1
                .chunks(INPUTS)
                .zip(wide(pool.get(mlp.b1)))
                .map(|(row, bias)| (dot(row, x) + bias).max(0.0))
                .collect();
            dot(&wide(pool.get(mlp.w2)), &hidden) + f64::from(mlp.b2)
        }
        Head::Gaussian(part) => {
            let means = wide(pool.get(part.means));
            let mean = &means[class * INPUTS..];
            let difference: Vec<f64> = x.iter().zip(mean).map(|(x, mean)| x - mean).collect();
            let lower = wide(pool.get(part.whitening));
            let row = |i: usize| dot(&lower[i * (i + 1) / 2..][..=i], &difference);
            (0..INPUTS).map(|i| row(i).powi(2)).sum()
        }
        Head::Prototypes(part) => {
            let all = wide(pool.get(part.vectors));
            let length = dot(&vector, &vector).sqrt();
            let cosine = |at: usize| dot(&all[(class * 2 + at) * 4..][..4], &vector) / length;
            1.0 - cosine(0).max(cosine(1))
        }
        Head::Energy(part) => {
            let over = total - f64::from(part.median);
            if over <= 0.0 { -over * f64::from(part.below) } else { over * f64::from(part.above) }
        }
        Head::Composite(all) => {
            let (gaussian, _) = all.gaussian.clone().unwrap();
            let (prototypes, _) = all.prototypes.clone().unwrap();
            let (energy, _) = all.energy.unwrap();
            let parts =
                [Head::Gaussian(gaussian), Head::Prototypes(prototypes), Head::Energy(energy)];
            let doubt = total - logits.iter().copied().fold(f64::MIN, f64::max);
            let scores = parts.iter().map(|part| reference(part, pool, frame, x));
            scores.chain([doubt]).map(reference_level).sum()
        }
    }
}

#[test]
fn heads_match_plain_formulas() {
    for kind in 0..5 {
        for seed in 0..50 {
            let mut pool = Pool::new(seed * 7 + 1);
            let detector = pool.detector(kind);
            let frame = frame(&mut pool);
            let x = reference_inputs(&detector, &pool, &frame);
            let wanted = reference(&detector.head, &pool, &frame, &x);
            let got = judge(&detector, &pool, &frame).unwrap();
            let error = (f64::from(got.score) - wanted).abs();
            assert!(
                error < 2e-5 * (1.0 + wanted.abs()),
                "head {kind} seed {seed}: {got:?} {wanted}"
            );
            assert!((0.0..=1.0).contains(&got.p_value));
        }
    }
}

#[test]
fn every_bad_input_is_a_named_fault() {
    let faults: [fn(u32) -> Fault; 5] =
        [Fault::Norm, Fault::Activation, Fault::Logit, Fault::Penultimate, Fault::Alignment];
    for kind in 0..5 {
        let mut pool = Pool::new(3);
        let detector = pool.detector(kind);
        let good = frame(&mut pool);
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            for array in 0..5 {
                for index in 0..good[array].len() {
                    let mut frame = good.clone();
                    frame[array][index] = bad;
                    let wanted = Err(faults[array](index as u32));
                    assert_eq!(judge(&detector, &pool, &frame), wanted, "head {kind}");
                }
            }
        }
    }
}

#[test]
fn overflow_inside_is_a_fault_not_a_score() {
    let huge = f32::MAX;
    // A hidden unit at -Inf, which a ReLU would turn into 0.
    let mut pool = Pool::new(3);
    let detector = pool.detector(0);
    let good = frame(&mut pool);
    let Head::Mlp(mlp) = &detector.head else { unreachable!() };
    let start = mlp.w1.offset as usize / 4;
    pool.values[start..start + INPUTS].fill(-huge);
    assert_eq!(judge(&detector, &pool, &good), Err(Fault::Intermediate));
    // A penultimate vector whose square overflows, which would have cosine 0.
    let mut pool = Pool::new(3);
    let detector = pool.detector(2);
    let mut frame = frame(&mut pool);
    frame[3].fill(huge);
    assert_eq!(judge(&detector, &pool, &frame), Err(Fault::Intermediate));
    frame[3].fill(0.0);
    assert_eq!(judge(&detector, &pool, &frame).unwrap().score, 1.0);
    // A whitened square that overflows.
    let mut pool = Pool::new(3);
    let detector = pool.detector(1);
    let Head::Gaussian(part) = &detector.head else { unreachable!() };
    let start = part.whitening.offset as usize / 4;
    pool.values[start] = huge;
    assert_eq!(judge(&detector, &pool, &good), Err(Fault::Score));
    // The same inside a composite.
    let mut pool = Pool::new(3);
    let detector = pool.detector(4);
    let Head::Composite(all) = &detector.head else { unreachable!() };
    let whitening = all.gaussian.as_ref().unwrap().0.whitening;
    let start = whitening.offset as usize / 4;
    pool.values[start] = huge;
    pool.values[start + 1] = huge;
    assert_eq!(judge(&detector, &pool, &good), Err(Fault::Intermediate));
}

#[test]
fn dead_norms_and_extreme_finite_values_are_defined() {
    for kind in 0..5 {
        let mut pool = Pool::new(9);
        let detector = pool.detector(kind);
        let good = frame(&mut pool);
        for value in [0.0, -0.0, f32::from_bits(1), f32::MAX, -1.0] {
            let mut frame = good.clone();
            frame[0].fill(value);
            frame[1].fill(value);
            assert!(judge(&detector, &pool, &frame).unwrap().score.is_finite(), "{kind} {value}");
        }
        let mut frame = good.clone();
        frame[2] = vec![3e38, -3e38, 0.0];
        let judged = judge(&detector, &pool, &frame);
        assert!(judged.is_err() || judged.unwrap().score.is_finite());
    }
}

#[test]
fn lengths_must_fit() {
    let mut pool = Pool::new(5);
    let detector = pool.detector(4);
    let good = frame(&mut pool);
    for array in 0..5 {
        let mut frame = good.clone();
        frame[array].pop();
        assert_eq!(judge(&detector, &pool, &frame), Err(Fault::Length));
        frame[array].clear();
        assert_eq!(judge(&detector, &pool, &frame), Err(Fault::Length));
    }
    let view = pool.view(&detector);
    let [norms, layers, logits, penultimate, alignments] = &good;
    let features = FrameFeatures { norms, layers, logits, penultimate, alignments };
    for length in 0..detector.scratch_elements().unwrap() {
        assert_eq!(evaluate(&view, &features, &mut vec![0.0; length]), Err(Fault::Length));
    }
}

#[test]
fn reasons_follow_the_strongest_component() {
    let mut pool = Pool::new(5);
    let detector = pool.detector(3);
    let mut frame = frame(&mut pool);
    frame[2] = vec![-2.0, -2.0, -2.0];
    assert_eq!(judge(&detector, &pool, &frame).unwrap().reason, Reason::Doubt);
    frame[2] = vec![9.0, -2.0, -2.0];
    assert_eq!(judge(&detector, &pool, &frame).unwrap().reason, Reason::Shift);
}

#[test]
fn the_largest_logits_come_sorted() {
    let shape = FeatureShape { classes: 40, ..SHAPE };
    let mut pool = Pool::new(8);
    let mut logits: Vec<f32> = (0..40).map(|_| pool.number()).collect();
    logits[7] = logits[3];
    let mut x = [0.0; 33];
    let [norms, layers] = [[]; 2];
    let features = FrameFeatures {
        norms: &norms,
        layers: &layers,
        logits: &logits,
        ..FrameFeatures::default()
    };
    raw_inputs(Inputs::FORWARD, &FeatureShape { layers: 0, ..shape }, &features, &mut x).unwrap();
    let mut sorted = logits.clone();
    sorted.sort_by(|a, b| b.total_cmp(a));
    assert_eq!(x[..32], sorted[..32]);
    assert!((x[32] - energy(&logits)).abs() == 0.0 && largest(&logits) == sorted[0]);
}

#[test]
fn classes_are_the_first_largest_logit() {
    let cases: [(&[f32], u32); 5] =
        [(&[0.0, 1.0, 1.0], 1), (&[2.0, 1.0], 0), (&[0.5], 1), (&[0.0], 0), (&[-3.0], 0)];
    for (logits, wanted) in cases {
        assert_eq!(predicted(logits), wanted, "{logits:?}");
    }
}
