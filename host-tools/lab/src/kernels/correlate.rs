//! Sums of shifted runs: the convolution itself, and the gradient of its input.

use gradgate_engine::isa::{Isa, Kernel, Numerics, Simd};

use super::geometry::{Geometry, LANES};
use super::layout::Buffer;

/// Output channels of a register tile of [`LANES`] pixels.
pub(super) const ROWS: usize = 4;

/// `to[r][p] = sum over i of weights[r][i] * from[plane_i][p + shift_i]` for `p` below `length`;
/// weights are packed by [`pack_forward`] or [`pack_backward`].
pub(super) fn correlate(
    isa: Option<Isa>,
    from: &Buffer,
    offsets: &[(usize, usize)],
    weights: &[f32],
    length: usize,
    to: &mut Buffer,
) {
    let offsets: Vec<usize> =
        offsets.iter().map(|(plane, shift)| plane * from.plane + shift).collect();
    let plane = to.plane;
    let kernel =
        Correlate { from: &from.data, offsets: &offsets, weights, length, to: &mut to.data, plane };
    if let Some(isa) = isa {
        isa.run(Numerics::Fast, kernel);
    }
}

struct Correlate<'a> {
    from: &'a [f32],
    offsets: &'a [usize],
    weights: &'a [f32],
    length: usize,
    to: &'a mut [f32],
    plane: usize,
}

impl Kernel for Correlate<'_> {
    type Output = ();

    #[inline(always)]
    fn call<S: Simd>(self, simd: S) {
        let blocks = self.weights.chunks_exact(ROWS * self.offsets.len());
        for (weights, to) in blocks.zip(self.to.chunks_mut(ROWS * self.plane)) {
            for start in (0..self.length).step_by(LANES) {
                let tile = tile(simd, &self.from[start..], self.offsets, weights);
                for (row, lanes) in tile.into_iter().enumerate() {
                    let to = to[row * self.plane + start..].first_chunk_mut();
                    to.into_iter().for_each(|to| simd.store(lanes, to));
                }
            }
        }
    }
}

#[inline(always)]
fn tile<S: Simd>(simd: S, from: &[f32], offsets: &[usize], weights: &[f32]) -> [S::Lanes; ROWS] {
    let mut sums = [simd.splat(0.0); ROWS];
    for (&offset, weights) in offsets.iter().zip(weights.chunks_exact(ROWS)) {
        let Some(x) = from[offset..].first_chunk() else { break };
        let x = simd.load(x);
        for row in 0..ROWS {
            sums[row] = simd.multiply_add(sums[row], x, simd.splat(weights[row]));
        }
    }
    sums
}

/// Weights `[O, C, taps]` of a group as `[O / 4][C, taps][4]`, filled up with zeros.
pub(super) fn pack_forward(g: &Geometry, w: &[f32]) -> Vec<f32> {
    let inner = g.channels * g.taps();
    pack(g.out, inner, |row, column| w[row * inner + column])
}

/// The same weights for the gradient of a phase of the input: `[C / 4][O, taps of the phase][4]`.
pub(super) fn pack_backward(g: &Geometry, w: &[f32], phase: usize) -> Vec<f32> {
    let taps = g.taps_of(phase);
    pack(g.channels, g.out * taps.len(), |row, column| {
        let (out, tap) = (column / taps.len(), taps[column % taps.len()]);
        w[(out * g.channels + row) * g.taps() + tap]
    })
}

fn pack(rows: usize, columns: usize, weight: impl Fn(usize, usize) -> f32) -> Vec<f32> {
    let mut packed = vec![0.0; rows.next_multiple_of(ROWS) * columns];
    for row in 0..rows {
        for column in 0..columns {
            let block = row / ROWS * columns + column;
            packed[block * ROWS + row % ROWS] = weight(row, column);
        }
    }
    packed
}
