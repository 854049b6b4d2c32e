//! Lanes: the 16-lane summation order, and how many the scalar kernels take at once.

/// Lanes of a reduction.
pub const REDUCE_LANES: usize = 16;

/// Folds 16 lanes: 8 + 8, then 4 + 4, 2 + 2, 1 + 1.
pub fn fold(lanes: &[f32; REDUCE_LANES]) -> f32 {
    let mut eight = [0.0; 8];
    let (low, high) = lanes.split_at(8);
    for (sum, (a, b)) in eight.iter_mut().zip(low.iter().zip(high)) {
        *sum = a + b;
    }
    let [a, b, c, d, e, f, g, h] = eight;
    let (a, b, c, d) = (a + e, b + f, c + g, d + h);
    (a + c) + (b + d)
}

/// Sum in the order of the numerics: value i goes to lane i mod 16, lanes start at +0, then
/// [`fold`].
pub fn sum(values: impl Iterator<Item = f32>) -> f32 {
    let mut lanes = [0.0; REDUCE_LANES];
    for (i, value) in values.enumerate() {
        lanes[i % REDUCE_LANES] += value;
    }
    fold(&lanes)
}

/// Sum of squares, in the same order.
pub fn squared_norm(x: &[f32]) -> f32 {
    let mut lanes = [0.0; REDUCE_LANES];
    let (blocks, rest) = x.as_chunks::<REDUCE_LANES>();
    for block in blocks {
        for (lane, v) in lanes.iter_mut().zip(block) {
            *lane += v * v;
        }
    }
    for (lane, v) in lanes.iter_mut().zip(rest) {
        *lane += v * v;
    }
    fold(&lanes)
}

/// Sum of `a_i * b_i` over the shorter of both, in the same order.
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut lanes = [0.0f32; REDUCE_LANES];
    let (a_blocks, a_rest) = a.as_chunks::<REDUCE_LANES>();
    let (b_blocks, b_rest) = b.as_chunks::<REDUCE_LANES>();
    for (a, b) in a_blocks.iter().zip(b_blocks) {
        for lane in 0..REDUCE_LANES {
            lanes[lane] += a[lane] * b[lane];
        }
    }
    for (lane, (a, b)) in lanes.iter_mut().zip(a_rest.iter().zip(b_rest)) {
        *lane += a * b;
    }
    fold(&lanes)
}

/// Sums values as they come, in the same order.
#[derive(Default)]
pub struct Sum {
    lanes: [f32; REDUCE_LANES],
    next: usize,
}

impl Sum {
    /// An empty sum.
    pub fn new() -> Sum {
        Sum::default()
    }

    /// Adds one value.
    pub fn add(&mut self, value: f32) {
        // The remainder on use, not on storing, shows the compiler that no index is out of range.
        let lane = self.next % REDUCE_LANES;
        self.lanes[lane] += value;
        self.next = lane + 1;
    }

    /// The total.
    pub fn total(self) -> f32 {
        fold(&self.lanes)
    }
}

/// Lanes that the convolutions' inner loops keep in registers: 4 pixels (or input channels) by
/// this many: 16 accumulators are half of a Cortex-M4's registers, 32 half of SSE2's.
pub const WIDE: usize = if COMPACT { 4 } else { 8 };

/// Whether to save code: 32-bit Arm means a microcontroller, with flash for tens of kilobytes.
pub const COMPACT: bool = cfg!(target_arch = "arm");

/// Whether so many lanes of so many pixels, or more, are a tile of four pixels. Where code is dear,
/// fewer pixels are one too, with results to drop, but a single lane is none.
pub const fn is_tiled(lanes: usize, pixels: usize) -> bool {
    if COMPACT { lanes > 1 } else { pixels >= 4 }
}

/// Calls `$f::<L>(.., lane)` for L = 8, 4, 2, 1 until `$width` lanes are covered; on 32-bit Arm for
/// 4 and 1, as every width is code in its flash.
macro_rules! each_lanes {
    ($width:expr, |$lane:ident| $object:ident . $method:ident ( $($arg:expr),* )) => {{
        let width: usize = $width;
        let mut $lane = 0;
        while $lane < width {
            let left = width - $lane;
            if left >= 8 && $crate::kernels::lanes::WIDE >= 8 {
                $object.$method::<8>($($arg),*)?;
                $lane += 8;
            } else if left >= 4 {
                $object.$method::<4>($($arg),*)?;
                $lane += 4;
            } else if left >= 2 && $crate::kernels::lanes::WIDE >= 8 {
                $object.$method::<2>($($arg),*)?;
                $lane += 2;
            } else {
                $object.$method::<1>($($arg),*)?;
                $lane += 1;
            }
        }
    }};
}
pub(crate) use each_lanes;

/// `N` runs of `length` values, which begin at `at`; four are written out as in [`add_scaled`].
#[inline(always)]
pub fn runs<const N: usize>(values: &[f32], at: [usize; N], length: usize) -> Option<[&[f32]; N]> {
    let mut runs = [&[][..]; N];
    match (&mut runs[..], &at[..]) {
        ([r0, r1, r2, r3], [a0, a1, a2, a3]) => {
            *r0 = run(values, *a0, length)?;
            *r1 = run(values, *a1, length)?;
            *r2 = run(values, *a2, length)?;
            *r3 = run(values, *a3, length)?;
        }
        (runs, at) => {
            for (one, at) in runs.iter_mut().zip(at) {
                *one = run(values, *at, length)?;
            }
        }
    }
    Some(runs)
}

/// The value at `at` of every row, times `scale`.
#[inline(always)]
pub fn column<const N: usize>(rows: &[&[f32]; N], at: usize, scale: f32) -> Option<[f32; N]> {
    let mut column = [0.0; N];
    match (&mut column[..], &rows[..]) {
        ([c0, c1, c2, c3], [r0, r1, r2, r3]) => {
            *c0 = *r0.get(at)? * scale;
            *c1 = *r1.get(at)? * scale;
            *c2 = *r2.get(at)? * scale;
            *c3 = *r3.get(at)? * scale;
        }
        (column, rows) => {
            for (c, row) in column.iter_mut().zip(rows) {
                *c = *row.get(at)? * scale;
            }
        }
    }
    Some(column)
}

/// `L` neighbours from `at` on.
#[inline(always)]
pub fn take<const L: usize>(values: &[f32], at: usize) -> Option<&[f32; L]> {
    values.get(at..)?.first_chunk::<L>()
}

/// `L` neighbours from `at` on, to be written.
#[inline(always)]
pub fn take_mut<const L: usize>(values: &mut [f32], at: usize) -> Option<&mut [f32; L]> {
    values.get_mut(at..)?.first_chunk_mut::<L>()
}

/// `length` neighbours from `start` on.
#[inline(always)]
pub fn run(values: &[f32], start: usize, length: usize) -> Option<&[f32]> {
    values.get(start..)?.get(..length)
}

/// `acc[l] += a * row[l]`, multiplied, then added.
///
/// Four lanes are written out: a compiler told to save space leaves loops as they are, and then the
/// sums, which a loop indexes, live in memory.
#[inline(always)]
pub fn add_scaled<const L: usize>(acc: &mut [f32; L], a: f32, row: &[f32; L]) {
    match (&mut acc[..], &row[..]) {
        ([s0, s1, s2, s3], [w0, w1, w2, w3]) => {
            *s0 += a * w0;
            *s1 += a * w1;
            *s2 += a * w2;
            *s3 += a * w3;
        }
        (acc, row) => acc.iter_mut().zip(row).for_each(|(acc, w)| *acc += a * w),
    }
}

/// `acc[l] += a[l] * b[l]`; four lanes are written out as in [`add_scaled`].
#[inline(always)]
pub fn add_products(acc: &mut [f32], a: &[f32], b: &[f32]) {
    match (acc, a, b) {
        ([s0, s1, s2, s3], [a0, a1, a2, a3], [b0, b1, b2, b3]) => {
            *s0 += a0 * b0;
            *s1 += a1 * b1;
            *s2 += a2 * b2;
            *s3 += a3 * b3;
        }
        (acc, a, b) => acc.iter_mut().zip(a.iter().zip(b)).for_each(|(acc, (a, b))| *acc += a * b),
    }
}

/// `acc[c][l] += x[c] * row[l]`; four rows are written out as in [`add_scaled`].
#[inline(always)]
pub fn add_outer<const C: usize, const L: usize>(
    acc: &mut [[f32; L]; C],
    x: [f32; C],
    row: &[f32; L],
) {
    match (&mut acc[..], &x[..]) {
        ([s0, s1, s2, s3], [x0, x1, x2, x3]) => {
            add_scaled(s0, *x0, row);
            add_scaled(s1, *x1, row);
            add_scaled(s2, *x2, row);
            add_scaled(s3, *x3, row);
        }
        (acc, x) => acc.iter_mut().zip(x).for_each(|(acc, x)| add_scaled(acc, *x, row)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_follow_the_sixteen_lane_order() {
        let values: [f32; 37] = core::array::from_fn(|i| 1.0 / (i as f32 + 0.7));
        let mut lanes = [0f32; 16];
        for (i, v) in values.iter().enumerate() {
            lanes[i & 15] += v;
        }
        let mut width = 8;
        while width >= 1 {
            for i in 0..width {
                lanes[i] += lanes[i + width];
            }
            width /= 2;
        }
        assert_eq!(sum(values.iter().copied()).to_bits(), lanes[0].to_bits());
        let squares = sum(values.iter().map(|v| v * v));
        assert_eq!(squared_norm(&values).to_bits(), squares.to_bits());
        assert_eq!(sum([].into_iter()).to_bits(), 0);
        assert!(squared_norm(&[1.0, f32::NAN]).is_nan());
    }
}
