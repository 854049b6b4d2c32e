//! Sums of the detector, in the engine's fixed order: 16 lanes (index mod 16), folded 8-4-2-1.

use crate::kernels::lanes::{REDUCE_LANES as LANES, fold};

/// `sum a_i b_i` over the shorter of both.
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut lanes = [0.0f32; LANES];
    let (a_blocks, a_rest) = a.as_chunks::<LANES>();
    let (b_blocks, b_rest) = b.as_chunks::<LANES>();
    for (a, b) in a_blocks.iter().zip(b_blocks) {
        for lane in 0..LANES {
            lanes[lane] += a[lane] * b[lane];
        }
    }
    for (lane, (a, b)) in lanes.iter_mut().zip(a_rest.iter().zip(b_rest)) {
        *lane += a * b;
    }
    fold(&lanes)
}

/// Sums values as they come, in the same order as [`dot`].
pub struct Sum {
    lanes: [f32; LANES],
    next: usize,
}

impl Sum {
    /// An empty sum.
    pub fn new() -> Sum {
        Sum { lanes: [0.0; LANES], next: 0 }
    }

    /// Adds one value.
    pub fn add(&mut self, value: f32) {
        // The remainder on use, not on storing, shows the compiler that no index is out of range.
        let lane = self.next % LANES;
        self.lanes[lane] += value;
        self.next = lane + 1;
    }

    /// The total.
    pub fn total(self) -> f32 {
        fold(&self.lanes)
    }
}
