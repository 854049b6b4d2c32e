//! A classifier in plain Rust whose gradient is written out, and images for it.

use std::sync::Arc;

use gradgate_graph::graph::{Graph, ValueId};
use gradgate_lab::{Array, Classifier, Gradient, LabError};
use gradgate_tests::rng::Rng;

/// Channels, rows, columns.
pub const SHAPE: [usize; 3] = [3, 4, 4];
pub const CLASSES: usize = 5;
const INPUTS: usize = 48;
const HIDDEN: usize = 24;

/// `z = W2 tanh(W1 x + b1)`, rounded to multiples of 2^-12, plus a constant.
///
/// The rounding makes the sum with a constant exact, so that a shift of all logits can be told from
/// a change of their differences.
pub struct TwoLayers {
    graph: Arc<Graph>,
    first: Vec<f32>,
    bias: Vec<f32>,
    second: Vec<f32>,
    constant: f32,
}

impl TwoLayers {
    pub fn new() -> Self {
        Self::shifted(0.0)
    }

    pub fn shifted(constant: f32) -> Self {
        let mut graph = Graph { name: "two-layers".to_owned(), ..Graph::default() };
        graph.logits = Some(graph.add_input("logits", [1, CLASSES]));
        let [channels, rows, columns] = SHAPE;
        graph.add_input("image", [1, channels, rows, columns]);
        let mut rng = Rng(17);
        let mut draw = |n: usize, scale: f32| (0..n).map(|_| rng.unit() * scale).collect();
        Self {
            graph: Arc::new(graph),
            first: draw(HIDDEN * INPUTS, 0.8),
            bias: draw(HIDDEN, 0.2),
            second: draw(CLASSES * HIDDEN, 1.2),
            constant,
        }
    }

    fn hidden(&self, x: &[f32]) -> Vec<f32> {
        let unit = |h: usize| {
            let row = &self.first[h * INPUTS..][..INPUTS];
            let sum: f32 = row.iter().zip(x).map(|(w, x)| w * (x - 0.5)).sum();
            (sum + self.bias[h]).tanh()
        };
        (0..HIDDEN).map(unit).collect()
    }

    pub fn logits_of(&self, x: &[f32]) -> Vec<f32> {
        let hidden = self.hidden(x);
        let rows = self.second.chunks_exact(HIDDEN);
        rows.map(|row| {
            let z: f32 = row.iter().zip(&hidden).map(|(w, h)| w * h).sum();
            (z * 4096.0).round() / 4096.0 + self.constant
        })
        .collect()
    }

    pub fn slope(&self, x: &[f32], cotangent: &[f32]) -> Vec<f32> {
        let hidden = self.hidden(x);
        let mut gradient = vec![0.0; INPUTS];
        for (h, t) in hidden.iter().enumerate() {
            let back: f32 = (0..CLASSES).map(|k| cotangent[k] * self.second[k * HIDDEN + h]).sum();
            let back = back * (1.0 - t * t);
            let row = &self.first[h * INPUTS..][..INPUTS];
            gradient.iter_mut().zip(row).for_each(|(g, w)| *g += back * w);
        }
        gradient
    }
}

impl Classifier for TwoLayers {
    fn graph(&self) -> &Arc<Graph> {
        &self.graph
    }

    fn values(&self, images: &Array, _: &[ValueId]) -> Result<Vec<Array>, LabError> {
        let n = images.frames();
        let logits = (0..n).flat_map(|frame| self.logits_of(images.frame(frame))).collect();
        Ok(vec![Array::new([n, CLASSES], logits)])
    }

    fn gradient(
        &self,
        images: &Array,
        wanted: &[ValueId],
        cotangents: &mut gradgate_lab::classifier::Cotangents<'_>,
    ) -> Result<Gradient, LabError> {
        let mut out = Array::zeros(images.shape());
        let values = self.values(images, wanted)?;
        // Two calls, as a classifier may make.
        let middle = images.frames() / 2;
        for range in [0..middle, middle..images.frames()] {
            if range.is_empty() {
                continue;
            }
            let cotangent = cotangents(&[values[0].slice(range.clone())]).swap_remove(0);
            for frame in range.clone() {
                let slope = self.slope(images.frame(frame), cotangent.frame(frame - range.start));
                out.frame_mut(frame).copy_from_slice(&slope);
            }
        }
        Ok(Gradient { values, images: out })
    }
}
