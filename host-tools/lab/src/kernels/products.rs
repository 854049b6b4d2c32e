//! Products of runs: the gradient of a convolution's weight.

use gradgate_engine::isa::{Isa, Kernel, Numerics, Simd};

use super::geometry::LANES;
use super::layout::Buffer;

/// Output channels and columns of a register tile.
const ROWS: usize = 2;
const COLUMNS: usize = 3;

/// `dw[r][i] += sum over p below length of gradients[r][first + p] * inputs[plane_i][p + shift_i]`.
pub(super) fn products(
    isa: Option<Isa>,
    gradients: &Buffer,
    first: usize,
    inputs: &Buffer,
    offsets: &[(usize, usize)],
    length: usize,
    dw: &mut [f32],
) {
    let offsets: Vec<usize> =
        offsets.iter().map(|(plane, shift)| plane * inputs.plane + shift).collect();
    let kernel = Products {
        gradients: &gradients.data[first..],
        plane: gradients.plane,
        inputs: &inputs.data,
        offsets: &offsets,
        length,
        dw,
    };
    if let Some(isa) = isa {
        isa.run(Numerics::Fast, kernel);
    }
}

struct Products<'a> {
    gradients: &'a [f32],
    plane: usize,
    inputs: &'a [f32],
    offsets: &'a [usize],
    length: usize,
    dw: &'a mut [f32],
}

impl Kernel for Products<'_> {
    type Output = ();

    #[inline(always)]
    fn call<S: Simd>(self, simd: S) {
        let columns = self.offsets.len();
        for (block, dw) in self.dw.chunks_mut(ROWS * columns).enumerate() {
            let rows = dw.len() / columns;
            // A row or column beyond the last is the last once more, and not kept.
            let row = |r: usize| {
                &self.gradients[(block * ROWS + r.min(rows - 1)) * self.plane..][..self.length]
            };
            let gradients: [&[f32]; ROWS] = std::array::from_fn(row);
            for start in (0..columns).step_by(COLUMNS) {
                let column = |c: usize| {
                    &self.inputs[self.offsets[(start + c).min(columns - 1)]..][..self.length]
                };
                let sums = tile(simd, gradients, std::array::from_fn(column));
                for (r, sums) in sums.into_iter().enumerate().take(rows) {
                    for (c, sum) in sums.into_iter().enumerate().take(columns - start) {
                        dw[r * columns + start + c] += sum;
                    }
                }
            }
        }
    }
}

#[inline(always)]
fn tile<S: Simd>(
    simd: S,
    gradients: [&[f32]; ROWS],
    inputs: [&[f32]; COLUMNS],
) -> [[f32; COLUMNS]; ROWS] {
    let mut sums = [[simd.splat(0.0); COLUMNS]; ROWS];
    let length = gradients[0].len();
    for start in (0..length).step_by(LANES) {
        let mut x = [simd.splat(0.0); COLUMNS];
        for c in 0..COLUMNS {
            let Some(from) = inputs[c][start..].first_chunk() else { break };
            x[c] = simd.load(from);
        }
        for r in 0..ROWS {
            let Some(from) = gradients[r][start..].first_chunk() else { break };
            let g = simd.load(from);
            for c in 0..COLUMNS {
                sums[r][c] = simd.multiply_add(sums[r][c], g, x[c]);
            }
        }
    }
    let mut out = [[0.0; COLUMNS]; ROWS];
    for r in 0..ROWS {
        for c in 0..COLUMNS {
            let mut lanes = [0.0; LANES];
            simd.store(sums[r][c], &mut lanes);
            out[r][c] = fold(lanes);
        }
    }
    out
}

/// Sum of sixteen lanes, halves first.
#[inline(always)]
pub(super) fn fold(mut lanes: [f32; LANES]) -> f32 {
    let mut half = LANES / 2;
    while half > 0 {
        for i in 0..half {
            lanes[i] += lanes[i + half];
        }
        half /= 2;
    }
    lanes[0]
}
