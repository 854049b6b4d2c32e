//! Training's hot loops on a CPU, over plain slices: convolution with both its gradients, and
//! normalisation by the statistics of a batch.
//!
//! They know no Burn. Sums are made in a fixed order by one thread, with the engine's lanes and
//! fused multiply-adds: the same numbers give the same bits on the same instruction set.

mod batch_norm;
mod correlate;
mod geometry;
mod layout;
mod products;

pub use batch_norm::{Normalised, normalise, normalise_gradient};
pub use geometry::Geometry;

use gradgate_engine::isa::Isa;
use gradgate_graph::ops::Conv;

use correlate::correlate;
use layout::{Buffer, fill_gradient, fill_input, read_gradient, read_output};
use products::products;

/// A convolution `x [n,C,H,W], w [O,C/g,kh,kw], [b [O]]` -> `[n,O,H',W']` on one thread.
#[derive(Clone, Debug)]
pub struct Convolution {
    geometry: Geometry,
    groups: usize,
    isa: Option<Isa>,
}

impl Convolution {
    /// For frames of `[C, H, W]` and a weight of `[O, C/g, kh, kw]`, which fit each other.
    pub fn new(conv: &Conv, input: [usize; 3], weight: [usize; 4]) -> Self {
        let geometry = Geometry::new(conv, input, weight);
        Self { geometry, groups: conv.groups, isa: Isa::best() }
    }

    /// Rows and columns of the output.
    pub fn output_hw(&self) -> [usize; 2] {
        self.geometry.output
    }

    /// The output, `[n,O,H',W']`.
    ///
    /// # Panics
    /// When a slice has another length than its shape says.
    pub fn forward(&self, x: &[f32], w: &[f32], bias: Option<&[f32]>) -> Vec<f32> {
        let g = &self.geometry;
        let frames = self.frames(x.len(), g.channels * g.input_elements());
        let mut y = vec![0.0; frames * self.groups * g.out * g.output_elements()];
        let offsets = g.input_offsets();
        let chunk = g.chunk(frames);
        let mut from = Buffer::new(g.channels * g.phases(), g.plane(chunk));
        let mut to = Buffer::new(g.out.next_multiple_of(correlate::ROWS), g.plane(chunk));
        for group in 0..self.groups {
            let weights = correlate::pack_forward(g, &w[group * g.weights()..][..g.weights()]);
            for start in (0..frames).step_by(chunk) {
                let count = chunk.min(frames - start);
                fill_input(g, x, (start, count), (group, self.groups), &mut from);
                let length = g.span(count);
                correlate(self.isa, &from, &offsets, &weights, length, &mut to);
                let bias = bias.map(|bias| &bias[group * g.out..][..g.out]);
                read_output(g, &to, bias, (start, count), (group, self.groups), &mut y);
            }
        }
        y
    }

    /// Gradient of the input, `[n,C,H,W]`, from that of the output.
    ///
    /// # Panics
    /// When a slice has another length than its shape says.
    pub fn input_gradient(&self, dy: &[f32], w: &[f32]) -> Vec<f32> {
        let g = &self.geometry;
        let frames = self.frames(dy.len(), g.out * g.output_elements());
        let mut dx = vec![0.0; frames * self.groups * g.channels * g.input_elements()];
        let chunk = g.chunk(frames);
        let mut from = Buffer::new(g.out, g.plane(chunk));
        let mut to = Buffer::new(g.channels.next_multiple_of(correlate::ROWS), g.plane(chunk));
        for group in 0..self.groups {
            let w = &w[group * g.weights()..][..g.weights()];
            let phases: Vec<_> = (0..g.phases())
                .map(|phase| (g.gradient_offsets(phase), correlate::pack_backward(g, w, phase)))
                .collect();
            for start in (0..frames).step_by(chunk) {
                let count = chunk.min(frames - start);
                fill_gradient(g, dy, (start, count), (group, self.groups), &mut from);
                let length = g.span(count);
                for (phase, (offsets, weights)) in phases.iter().enumerate() {
                    if offsets.is_empty() {
                        continue;
                    }
                    correlate(self.isa, &from, offsets, weights, length, &mut to);
                    read_gradient(g, &to, phase, (start, count), (group, self.groups), &mut dx);
                }
            }
        }
        dx
    }

    /// Gradient of the weight, `[O,C/g,kh,kw]`, summed over the frames in order.
    ///
    /// # Panics
    /// When a slice has another length than its shape says.
    pub fn weight_gradient(&self, x: &[f32], dy: &[f32]) -> Vec<f32> {
        let g = &self.geometry;
        let frames = self.frames(x.len(), g.channels * g.input_elements());
        let mut dw = vec![0.0; self.groups * g.weights()];
        let offsets = g.input_offsets();
        let chunk = g.chunk(frames);
        let mut inputs = Buffer::new(g.channels * g.phases(), g.plane(chunk));
        let mut gradients = Buffer::new(g.out, g.plane(chunk));
        for group in 0..self.groups {
            let dw = &mut dw[group * g.weights()..][..g.weights()];
            for start in (0..frames).step_by(chunk) {
                let count = chunk.min(frames - start);
                fill_input(g, x, (start, count), (group, self.groups), &mut inputs);
                fill_gradient(g, dy, (start, count), (group, self.groups), &mut gradients);
                let length = g.span(count);
                let first = g.margin();
                products(self.isa, &gradients, first, &inputs, &offsets, length, dw);
            }
        }
        dw
    }

    /// Gradient of the bias, `[O]`: sums over frames and pixels.
    ///
    /// # Panics
    /// When a slice has another length than its shape says.
    pub fn bias_gradient(&self, dy: &[f32]) -> Vec<f32> {
        let out = self.geometry.out * self.groups;
        let mut db = vec![0.0; out];
        for (plane, pixels) in dy.chunks_exact(self.geometry.output_elements()).enumerate() {
            db[plane % out] += batch_norm::sum(pixels);
        }
        db
    }

    fn frames(&self, elements: usize, of_group: usize) -> usize {
        let frame = of_group * self.groups;
        assert_eq!(elements % frame, 0, "{elements} numbers are no frames of {frame}");
        elements / frame
    }
}

#[cfg(test)]
mod tests;
