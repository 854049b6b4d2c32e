//! Geometry that the exported window pools share: `ceil_mode` turned into plain padding.

use crate::ops::Pool;

/// Padding and divisors of a pool over one input.
pub(super) struct Geometry {
    /// Top, left, bottom, right; the far side grown so that the last window fits.
    pub(super) pads: [usize; 4],
    /// Input rows and columns behind the last window.
    pub(super) rest: [usize; 2],
    /// Whether the last window reaches behind the pool's own padding.
    pub(super) grown: bool,
    counts: [Vec<f32>; 2],
}

impl Geometry {
    /// `input` and `output` are the pool's, of rank 4.
    pub(super) fn new(pool: &Pool, input: &[usize], output: &[usize]) -> Self {
        let mut geometry =
            Self { pads: pool.pads, rest: [0; 2], grown: false, counts: [vec![], vec![]] };
        for axis in 0..2 {
            let (length, near) = (input[axis + 2], pool.pads[axis]);
            let window = pool.dilations[axis] * (pool.kernel[axis] - 1) + 1;
            let covered = (output[axis + 2] - 1) * pool.strides[axis] + window;
            let far = covered.saturating_sub(length + near).max(pool.pads[axis + 2]);
            geometry.grown |= far > pool.pads[axis + 2];
            geometry.pads[axis + 2] = far;
            geometry.rest[axis] = length + near + far - covered;
            geometry.counts[axis] =
                (0..output[axis + 2]).map(|index| count(pool, axis, length, index)).collect();
        }
        geometry
    }

    /// What each window's sum is divided by, row-major.
    pub(super) fn divisors(&self) -> Vec<f32> {
        let [rows, columns] = &self.counts;
        rows.iter().flat_map(|row| columns.iter().map(move |column| row * column)).collect()
    }
}

/// Taps of window `index` that fall on the input, or on the padded input where padding counts.
/// What `ceil_mode` adds behind the padding never counts.
fn count(pool: &Pool, axis: usize, length: usize, index: usize) -> f32 {
    let (near, far) = (pool.pads[axis], pool.pads[axis + 2]);
    let counted = match pool.count_include_pad {
        true => 0..near + length + far,
        false => near..near + length,
    };
    let first = index * pool.strides[axis];
    let taps = (0..pool.kernel[axis]).map(|tap| first + tap * pool.dilations[axis]);
    taps.filter(|position| counted.contains(position)).count() as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn padding_and_divisors() {
        let base = Pool {
            kernel: [3, 3],
            strides: [2, 2],
            pads: [1, 0, 1, 0],
            dilations: [1, 1],
            ceil_mode: true,
            count_include_pad: false,
        };
        let geometry = Geometry::new(&base, &[1, 1, 5, 6], &[1, 1, 3, 3]);
        assert_eq!((geometry.pads, geometry.rest, geometry.grown), ([1, 0, 1, 1], [0, 0], true));
        assert_eq!(geometry.divisors(), [6., 6., 4., 9., 9., 6., 6., 6., 4.]);
        let padded = Pool { count_include_pad: true, ..base };
        let geometry = Geometry::new(&padded, &[1, 1, 5, 6], &[1, 1, 3, 3]);
        assert_eq!(geometry.divisors(), [9., 9., 6., 9., 9., 6., 9., 9., 6.]);
    }
}
