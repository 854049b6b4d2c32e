//! The paper's two-layer network: deterministic training in plain f32.
//!
//! Binary cross-entropy, Adam, weight decay added to the gradient, mini-batches; the weights of
//! the epoch with the best AUROC on the early-stop part are kept.

use gradgate_engine::math;

use crate::file::arrays::MlpArrays;
use crate::metrics::{MetricsError, auroc};
use crate::random::Random;

/// How to train.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Training {
    /// Hidden units.
    pub hidden: usize,
    /// Passes over the training part at most.
    pub epochs: usize,
    /// Epochs without a better early-stop AUROC after which training ends.
    pub patience: usize,
    /// Frames of a step.
    pub batch: usize,
    /// Adam's step size.
    pub rate: f32,
    /// Weight decay.
    pub decay: f32,
    /// Seed of the start weights and of the order of frames.
    pub seed: u64,
}

impl Default for Training {
    fn default() -> Training {
        Training {
            hidden: 64,
            epochs: 200,
            patience: 40,
            batch: 256,
            rate: 1e-3,
            decay: 1e-4,
            seed: 0,
        }
    }
}

/// Standardised rows with their targets.
#[derive(Clone, Debug, Default)]
pub struct Rows {
    /// `[n][columns]`
    pub values: Vec<f32>,
    /// Whether a row is anomalous.
    pub anomalous: Vec<bool>,
    /// Weight of a row in the loss.
    pub weights: Vec<f32>,
}

/// The network; weights of the first layer by input (`[columns][hidden]`), so that one input's
/// row is added to all hidden units at once.
#[derive(Clone)]
struct Network {
    hidden: usize,
    w1: Vec<f32>,
    b1: Vec<f32>,
    w2: Vec<f32>,
    b2: f32,
}

impl Network {
    fn start(columns: usize, hidden: usize, random: &mut Random) -> Network {
        let mut draw = |count: usize, fan_in: usize| -> Vec<f32> {
            let bound = 1.0 / (fan_in as f64).sqrt();
            (0..count).map(|_| (bound * (2.0 * random.uniform() - 1.0)) as f32).collect()
        };
        let (w1, b1) = (draw(columns * hidden, columns), draw(hidden, columns));
        let (w2, b2) = (draw(hidden, hidden), draw(1, hidden)[0]);
        Network { hidden, w1, b1, w2, b2 }
    }

    fn zeros(columns: usize, hidden: usize) -> Network {
        let (w1, b1, w2) = (vec![0.0; columns * hidden], vec![0.0; hidden], vec![0.0; hidden]);
        Network { hidden, w1, b1, w2, b2: 0.0 }
    }

    /// Hidden values into `hidden`; returns the output logit.
    fn forward(&self, row: &[f32], hidden: &mut [f32]) -> f32 {
        hidden.copy_from_slice(&self.b1);
        for (value, weights) in row.iter().zip(self.w1.chunks_exact(self.hidden)) {
            add_scaled(hidden, weights, *value);
        }
        let mut sum = self.b2;
        for (value, weight) in hidden.iter_mut().zip(&self.w2) {
            *value = if *value <= 0.0 { 0.0 } else { *value };
            sum += *value * weight;
        }
        sum
    }

    /// Adds one row's gradient; `slope` is the loss's derivative by the output.
    fn backward(&self, row: &[f32], hidden: &mut [f32], slope: f32, gradient: &mut Network) {
        gradient.b2 += slope;
        add_scaled(&mut gradient.w2, hidden, slope);
        for (value, weight) in hidden.iter_mut().zip(&self.w2) {
            *value = if *value > 0.0 { slope * weight } else { 0.0 };
        }
        add_scaled(&mut gradient.b1, hidden, 1.0);
        for (value, sums) in row.iter().zip(gradient.w1.chunks_exact_mut(self.hidden)) {
            add_scaled(sums, hidden, *value);
        }
    }

    fn scores(&self, rows: &[f32], columns: usize) -> Vec<f32> {
        let mut hidden = vec![0.0; self.hidden];
        rows.chunks_exact(columns).map(|row| self.forward(row, &mut hidden)).collect()
    }

    fn arrays(&mut self) -> [&mut [f32]; 4] {
        [&mut self.w1, &mut self.b1, &mut self.w2, std::slice::from_mut(&mut self.b2)]
    }
}

fn add_scaled(sums: &mut [f32], values: &[f32], factor: f32) {
    for (sum, value) in sums.iter_mut().zip(values) {
        *sum += factor * value;
    }
}

/// Adam's moments.
struct Adam {
    first: Network,
    second: Network,
    /// The moments' decay factors to the power of the steps so far.
    left: (f32, f32),
}

impl Adam {
    fn update(&mut self, network: &mut Network, gradient: &mut Network, training: &Training) {
        const BETA: (f32, f32) = (0.9, 0.999);
        const EPSILON: f32 = 1e-8;
        self.left = (self.left.0 * BETA.0, self.left.1 * BETA.1);
        let rate = training.rate / (1.0 - self.left.0);
        let correction = 1.0 - self.left.1;
        let all = network.arrays().into_iter().zip(gradient.arrays());
        let moments = self.first.arrays().into_iter().zip(self.second.arrays());
        for ((weights, slopes), (first, second)) in all.zip(moments) {
            for index in 0..weights.len() {
                let slope = slopes[index] + training.decay * weights[index];
                first[index] = BETA.0 * first[index] + (1.0 - BETA.0) * slope;
                second[index] = BETA.1 * second[index] + (1.0 - BETA.1) * slope * slope;
                let root = (second[index] / correction).sqrt() + EPSILON;
                weights[index] -= rate * first[index] / root;
            }
        }
    }
}

/// Weights so that normal and anomalous rows count the same in all, and every group of anomalous
/// rows the same. Group 0 is normal; each row's weight is about 1 on average.
pub fn balanced_weights(groups: &[usize]) -> Vec<f32> {
    let count = groups.iter().max().map_or(0, |last| last + 1);
    let mut sizes = vec![0usize; count];
    groups.iter().for_each(|group| sizes[*group] += 1);
    let kinds = sizes.iter().skip(1).filter(|size| **size > 0).count().max(1);
    let total = groups.len() as f64;
    let weight = |group: usize| {
        let share = if group == 0 { 0.5 } else { 0.5 / kinds as f64 };
        (share * total / sizes[group] as f64) as f32
    };
    groups.iter().map(|group| weight(*group)).collect()
}

/// Trains; rows are standardised. Without early-stop rows of both kinds the last epoch's weights
/// are kept.
pub fn train(train: &Rows, early: &Rows, columns: usize, training: &Training) -> MlpArrays {
    let mut random = Random::new(training.seed, "mlp");
    let mut network = Network::start(columns, training.hidden, &mut random);
    let mut adam = Adam {
        first: Network::zeros(columns, training.hidden),
        second: Network::zeros(columns, training.hidden),
        left: (1.0, 1.0),
    };
    let mut best = (f64::NEG_INFINITY, 0, network.clone());
    let mut order: Vec<usize> = (0..train.anomalous.len()).collect();
    for epoch in 0..training.epochs {
        random.shuffle(&mut order);
        for batch in order.chunks(training.batch) {
            step(&mut network, &mut adam, train, columns, batch, training);
        }
        let score = separation(&network, early, columns);
        if score.is_nan() || score > best.0 {
            best = (score, epoch, network.clone());
        } else if epoch - best.1 >= training.patience {
            break;
        }
    }
    finish(&best.2, columns)
}

fn step(
    network: &mut Network,
    adam: &mut Adam,
    rows: &Rows,
    columns: usize,
    batch: &[usize],
    training: &Training,
) {
    let mut gradient = Network::zeros(columns, training.hidden);
    let mut hidden = vec![0.0; training.hidden];
    for &index in batch {
        let row = &rows.values[index * columns..(index + 1) * columns];
        let output = network.forward(row, &mut hidden);
        let target = if rows.anomalous[index] { 1.0 } else { 0.0 };
        let slope = (math::sigmoid(output) - target) * rows.weights[index] / batch.len() as f32;
        network.backward(row, &mut hidden, slope, &mut gradient);
    }
    adam.update(network, &mut gradient, training);
}

/// AUROC on the early-stop part, NaN without rows of both kinds; a network that has diverged is the
/// worst.
fn separation(network: &Network, early: &Rows, columns: usize) -> f64 {
    let scores = network.scores(&early.values, columns);
    let of = |kind: bool| -> Vec<f32> {
        let all = scores.iter().zip(&early.anomalous);
        all.filter(|(_, anomalous)| **anomalous == kind).map(|(score, _)| *score).collect()
    };
    match auroc(&of(false), &of(true)) {
        Ok(value) => value,
        Err(MetricsError::NotFinite { .. }) => f64::NEG_INFINITY,
        Err(_) => f64::NAN,
    }
}

/// To the engine's order of weights.
fn finish(network: &Network, columns: usize) -> MlpArrays {
    let hidden = network.hidden;
    let mut w1 = vec![0.0; columns * hidden];
    for unit in 0..hidden {
        for column in 0..columns {
            w1[unit * columns + column] = network.w1[column * hidden + unit];
        }
    }
    MlpArrays {
        hidden: hidden as u32,
        w1,
        b1: network.b1.clone(),
        w2: network.w2.clone(),
        b2: network.b2,
    }
}

/// Output logits of a trained network for standardised rows, in training's own order of sums.
pub fn outputs(mlp: &MlpArrays, rows: &[f32], columns: usize) -> Vec<f32> {
    let score = |row: &[f32]| {
        let mut sum = mlp.b2;
        for (unit, weights) in mlp.w1.chunks_exact(columns).enumerate() {
            let products = weights.iter().zip(row).map(|(weight, value)| weight * value);
            let value = mlp.b1[unit] + products.sum::<f32>();
            sum += if value <= 0.0 { 0.0 } else { value * mlp.w2[unit] };
        }
        sum
    };
    rows.chunks_exact(columns).map(score).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Anomalous rows lie outside a ball, so that no straight line tells them apart.
    fn rings(n: usize, columns: usize, seed: u64) -> Rows {
        let mut random = Random::new(seed, "rings");
        let mut rows = Rows::default();
        for index in 0..n {
            let anomalous = index % 3 == 0;
            let scale = if anomalous { 2.5 } else { 1.0 };
            let values = (0..columns).map(|at| {
                let scale = if at < 2 { scale } else { 1.0 };
                (scale * random.normal()) as f32
            });
            rows.values.extend(values);
            rows.anomalous.push(anomalous);
            rows.weights.push(if anomalous { 1.5 } else { 0.75 });
        }
        rows
    }

    #[test]
    fn a_ring_is_learned_and_a_seed_repeats() {
        let (rows, early) = (rings(1_500, 6, 1), rings(600, 6, 2));
        let training = Training { hidden: 32, seed: 5, ..Training::default() };
        let mlp = train(&rows, &early, 6, &training);
        let test = rings(600, 6, 3);
        let scores = outputs(&mlp, &test.values, 6);
        let of = |kind| -> Vec<f32> {
            let all = scores.iter().zip(&test.anomalous);
            all.filter(|(_, a)| **a == kind).map(|(score, _)| *score).collect()
        };
        let found = auroc(&of(false), &of(true)).unwrap();
        assert!(found > 0.8, "{found}");
        assert_eq!(train(&rows, &early, 6, &training), mlp);
        assert_ne!(train(&rows, &early, 6, &Training { seed: 6, ..training }), mlp);
    }

    #[test]
    fn a_diverged_network_is_never_the_best() {
        let (rows, early) = (rings(300, 6, 1), rings(200, 6, 2));
        let training = Training { epochs: 5, rate: 1e38, ..Training::default() };
        let mlp = train(&rows, &early, 6, &training);
        let scores = outputs(&mlp, &early.values, 6);
        assert!(scores.iter().all(|score| score.is_finite()), "{:?}", &scores[..4]);
    }

    #[test]
    fn weights_balance_kinds_and_sources() {
        let weights = balanced_weights(&[0, 0, 0, 0, 1, 1, 1, 2]);
        let sum = |range: std::ops::Range<usize>| weights[range].iter().sum::<f32>();
        assert_eq!((sum(0..4), sum(4..7), sum(7..8)), (4.0, 2.0, 2.0));
    }

    #[test]
    fn gradients_match_finite_differences() {
        let columns = 5;
        let mut random = Random::new(9, "gradient");
        let network = Network::start(columns, 7, &mut random);
        let row: Vec<f32> = (0..columns).map(|_| random.normal() as f32).collect();
        let mut hidden = vec![0.0; 7];
        network.forward(&row, &mut hidden);
        let mut gradient = Network::zeros(columns, 7);
        network.backward(&row, &mut hidden, 1.0, &mut gradient);
        for array in 0..4 {
            for index in 0..network.clone().arrays()[array].len() {
                let shifted = |by: f32| {
                    let mut other = network.clone();
                    other.arrays()[array][index] += by;
                    other.forward(&row, &mut [0.0; 7])
                };
                let slope = (shifted(1e-2) - shifted(-1e-2)) / 2e-2;
                let got = gradient.arrays()[array][index];
                assert!((slope - got).abs() < 1e-3, "{array} {index}: {slope} {got}");
            }
        }
    }
}
