//! The detector's score in f64, with its derivative by every feature.
//!
//! The formula is the engine's. Where that is no slope at all, the attacker takes the one that he
//! can use: a quantile table of the composite rises along straight lines, and where it is flat (in
//! a step, or above its last knot, where any score has the highest level) the slope of the nearest
//! rising line below counts. The predicted class and the order of the logits count as fixed.

use gradgate_bundle::detector::{FeatureShape, Inputs};
use gradgate_detect::file::Model;
use gradgate_detect::file::arrays::{
    CompositeArrays, EnergyNumbers, GaussianArrays, HeadArrays, MlpArrays, PrototypeArrays,
    TableArrays,
};

use crate::attack::loss::argmax;

use super::network::Seen;

/// Squared norms below this count as this, and as constant.
const SMALLEST_NORM: f64 = 1e-30;

/// A score and its derivatives.
#[derive(Clone, Debug, Default)]
pub(crate) struct Score {
    /// The score.
    pub value: f64,
    /// By each squared gradient norm.
    pub norms: Vec<f64>,
    /// By each squared activation norm.
    pub layers: Vec<f64>,
    /// By each logit.
    pub logits: Vec<f64>,
    /// By each element of the penultimate vector.
    pub penultimate: Vec<f64>,
}

/// Score of what the network gave. The detector has no alignments among its inputs.
pub(crate) fn score(model: &Model, shape: &FeatureShape, seen: &Seen) -> Score {
    let order = descending(&seen.logits);
    let raw = raw_inputs(model, shape, seen, &order);
    let standard =
        |at: usize| (raw[at] - f64::from(model.mean[at])) * f64::from(model.inverse_std[at]);
    let x: Vec<f64> = (0..raw.len()).map(standard).collect();
    let mut part = Part::new(x.len(), seen);
    match &model.head {
        HeadArrays::Mlp(head) => mlp(head, &x, &mut part),
        HeadArrays::Gaussian(head) => gaussian(head, class(seen), &x, &mut part),
        HeadArrays::Prototypes(head) => prototypes(head, class(seen), &mut part, seen),
        HeadArrays::Energy(head) => energy_distance(head, seen, &mut part),
        HeadArrays::Composite(head) => composite(head, seen, &x, &mut part),
    }
    let by_raw: Vec<f64> =
        part.x.iter().zip(&model.inverse_std).map(|(d, inverse)| d * f64::from(*inverse)).collect();
    spread(model, shape, seen, &order, &by_raw, part)
}

/// A head's value and its derivatives by the standardised inputs, logits, penultimate vector.
struct Part {
    value: f64,
    x: Vec<f64>,
    logits: Vec<f64>,
    penultimate: Vec<f64>,
}

impl Part {
    fn new(inputs: usize, seen: &Seen) -> Self {
        Self {
            value: 0.0,
            x: vec![0.0; inputs],
            logits: vec![0.0; seen.logits.len()],
            penultimate: vec![0.0; seen.penultimate.len()],
        }
    }

    /// Adds `slope` times a part's derivatives and `level` to the value.
    fn add(&mut self, part: &Part, level: f64, slope: f64) {
        self.value += level;
        let pairs = [
            (&mut self.x, &part.x),
            (&mut self.logits, &part.logits),
            (&mut self.penultimate, &part.penultimate),
        ];
        for (to, from) in pairs {
            to.iter_mut().zip(from).for_each(|(to, from)| *to += slope * from);
        }
    }
}

fn class(seen: &Seen) -> usize {
    match seen.logits[..] {
        [single] => usize::from(single > 0.0),
        _ => argmax(&seen.logits),
    }
}

/// Logits by size, the first of equal ones first.
fn descending(logits: &[f32]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..logits.len()).collect();
    order.sort_by(|&a, &b| logits[b].total_cmp(&logits[a]));
    order
}

fn raw_inputs(model: &Model, shape: &FeatureShape, seen: &Seen, order: &[usize]) -> Vec<f64> {
    let logarithm = |norm: f64| norm.max(SMALLEST_NORM).ln();
    let mut raw = Vec::new();
    if model.inputs.has(Inputs::NORM) {
        raw.extend(seen.norms.iter().map(|&norm| logarithm(norm)));
    }
    if model.inputs.has(Inputs::FORWARD) {
        raw.extend(seen.layers.iter().map(|&norm| logarithm(norm.into())));
        let sorted = order.iter().take(shape.sorted_logits() as usize);
        raw.extend(sorted.map(|&at| f64::from(seen.logits[at])));
        raw.push(energy(&seen.logits));
    }
    raw
}

/// From derivatives by the raw inputs to derivatives by the features.
fn spread(
    model: &Model,
    shape: &FeatureShape,
    seen: &Seen,
    order: &[usize],
    by_raw: &[f64],
    part: Part,
) -> Score {
    let by_norm = |(&by, norm): (&f64, f64)| if norm <= SMALLEST_NORM { 0.0 } else { by / norm };
    let mut score = Score {
        value: part.value,
        norms: vec![0.0; seen.norms.len()],
        layers: vec![0.0; seen.layers.len()],
        logits: part.logits,
        penultimate: part.penultimate,
    };
    let mut rest = by_raw;
    if model.inputs.has(Inputs::NORM) {
        let (own, behind) = rest.split_at(seen.norms.len());
        score.norms = own.iter().zip(seen.norms.iter().copied()).map(by_norm).collect();
        rest = behind;
    }
    if model.inputs.has(Inputs::FORWARD) {
        let (own, behind) = rest.split_at(seen.layers.len());
        let layers = seen.layers.iter().map(|&norm| f64::from(norm));
        score.layers = own.iter().zip(layers).map(by_norm).collect();
        let sorted = order.iter().take(shape.sorted_logits() as usize);
        let (own, behind) = behind.split_at(sorted.len());
        sorted.zip(own).for_each(|(&at, by)| score.logits[at] += by);
        for (to, share) in score.logits.iter_mut().zip(softmax(&seen.logits)) {
            *to += behind[0] * share;
        }
    }
    score
}

fn mlp(head: &MlpArrays, x: &[f64], part: &mut Part) {
    part.value = f64::from(head.b2);
    for (unit, weights) in head.w1.chunks_exact(x.len().max(1)).enumerate() {
        let products = weights.iter().zip(x).map(|(&weight, value)| f64::from(weight) * value);
        let sum = products.sum::<f64>() + f64::from(head.b1[unit]);
        if sum <= 0.0 {
            continue;
        }
        let by = f64::from(head.w2[unit]);
        part.value += by * sum;
        part.x.iter_mut().zip(weights).for_each(|(to, &weight)| *to += by * f64::from(weight));
    }
}

fn gaussian(head: &GaussianArrays, class: usize, x: &[f64], part: &mut Part) {
    let means = &head.means[class * x.len()..][..x.len()];
    let difference: Vec<f64> = x.iter().zip(means).map(|(x, &mean)| x - f64::from(mean)).collect();
    let mut rest = &head.whitening[..];
    for row in 1..=x.len() {
        let (weights, behind) = rest.split_at(row);
        rest = behind;
        let products = weights.iter().zip(&difference).map(|(&w, d)| f64::from(w) * d);
        let whitened: f64 = products.sum();
        part.value += whitened * whitened;
        for (to, &weight) in part.x.iter_mut().zip(weights) {
            *to += 2.0 * whitened * f64::from(weight);
        }
    }
}

fn prototypes(head: &PrototypeArrays, class: usize, part: &mut Part, seen: &Seen) {
    let vector: Vec<f64> = seen.penultimate.iter().map(|&x| f64::from(x)).collect();
    let square: f64 = vector.iter().map(|x| x * x).sum();
    part.value = 1.0;
    if square <= SMALLEST_NORM {
        return;
    }
    let length = square.sqrt();
    let block = head.per_class as usize * vector.len();
    let cosine = |prototype: &[f32]| {
        prototype.iter().zip(&vector).map(|(&p, x)| f64::from(p) * x).sum::<f64>() / length
    };
    let own = head.vectors[class * block..][..block].chunks_exact(vector.len());
    let best = own.map(|p| (cosine(p), p)).max_by(|a, b| a.0.total_cmp(&b.0));
    let Some((cosine, prototype)) = best else { return };
    part.value = 1.0 - cosine;
    for ((to, &p), x) in part.penultimate.iter_mut().zip(prototype).zip(&vector) {
        *to = cosine * x / square - f64::from(p) / length;
    }
}

fn energy_distance(head: &EnergyNumbers, seen: &Seen, part: &mut Part) {
    let distance = energy(&seen.logits) - f64::from(head.median);
    let slope = if distance <= 0.0 { -f64::from(head.below) } else { f64::from(head.above) };
    part.value = distance * slope;
    let shares = softmax(&seen.logits);
    part.logits.iter_mut().zip(shares).for_each(|(to, share)| *to = slope * share);
}

/// Minus the logarithm of the largest softmax probability; a single logit stands against 0.
fn doubt(seen: &Seen, part: &mut Part) {
    let class = class(seen);
    if let [single] = seen.logits[..] {
        let magnitude = f64::from(single).abs();
        part.value = (-magnitude).exp().ln_1p();
        part.logits[0] = -f64::from(single).signum() / (1.0 + magnitude.exp());
        return;
    }
    part.value = energy(&seen.logits) - f64::from(seen.logits[class]);
    part.logits = softmax(&seen.logits);
    part.logits[class] -= 1.0;
}

fn composite(head: &CompositeArrays, seen: &Seen, x: &[f64], total: &mut Part) {
    let new = || Part::new(x.len(), seen);
    let mut add = |table: &TableArrays, part: &Part| {
        let (level, slope) = level(table, part.value);
        total.add(part, level, slope);
    };
    if let Some((head, table)) = &head.gaussian {
        let mut part = new();
        gaussian(head, class(seen), x, &mut part);
        add(table, &part);
    }
    if let Some((head, table)) = &head.prototypes {
        let mut part = new();
        prototypes(head, class(seen), &mut part, seen);
        add(table, &part);
    }
    if let Some((head, table)) = &head.energy {
        let mut part = new();
        energy_distance(head, seen, &mut part);
        add(table, &part);
    }
    if let Some(table) = &head.confidence {
        let mut part = new();
        doubt(seen, &mut part);
        add(table, &part);
    }
}

/// Level of a score, and the slope that the attacker takes.
fn level(table: &TableArrays, score: f64) -> (f64, f64) {
    let knot = |at: usize| (f64::from(table.scores[at]), f64::from(table.levels[at]));
    let last = table.scores.len() - 1;
    let above = table.scores.partition_point(|&knot| f64::from(knot) <= score);
    if above == 0 {
        return (knot(0).1, 0.0);
    }
    let rising = |at: usize| {
        let ((x0, y0), (x1, y1)) = (knot(at), knot(at + 1));
        (y1 - y0) / (x1 - x0)
    };
    let level = if above > last {
        knot(last).1
    } else {
        let (start, level) = knot(above - 1);
        level + (score - start) * rising(above - 1)
    };
    let below = (0..above.min(last)).rev().map(rising);
    (level, below.into_iter().find(|&slope| slope > 0.0).unwrap_or(0.0))
}

/// `ln(sum exp(z))`
pub(crate) fn energy(logits: &[f32]) -> f64 {
    let top = logits.iter().fold(f64::NEG_INFINITY, |top, &z| top.max(z.into()));
    top + logits.iter().map(|&z| (f64::from(z) - top).exp()).sum::<f64>().ln()
}

/// The energy's derivative.
pub(crate) fn softmax(logits: &[f32]) -> Vec<f64> {
    let energy = energy(logits);
    logits.iter().map(|&z| (f64::from(z) - energy).exp()).collect()
}
