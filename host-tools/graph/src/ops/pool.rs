//! What the window pools share: attributes and geometry.

use super::arity;

/// Attributes of a window pool. Padding is explicit (auto_pad is resolved at import).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pool {
    /// Rows and columns of the window.
    pub kernel: [usize; 2],
    /// Rows and columns between windows.
    pub strides: [usize; 2],
    /// Padding: top, left, bottom, right.
    pub pads: [usize; 4],
    /// Rows and columns between taps.
    pub dilations: [usize; 2],
    /// Whether a last window may begin inside and end outside the padded input.
    pub ceil_mode: bool,
    /// AveragePool: whether padding counts in the divisor.
    pub count_include_pad: bool,
}

impl Pool {
    /// Height and width of the output, or `None` when the window does not fit.
    /// With `ceil_mode`, a last window that would begin in the far padding is left out.
    pub fn output_hw(&self, input_hw: [usize; 2]) -> Option<[usize; 2]> {
        let mut output = [0; 2];
        for axis in 0..2 {
            let padded = input_hw[axis] + self.pads[axis] + self.pads[axis + 2];
            let window = self.dilations[axis] * self.kernel[axis].checked_sub(1)? + 1;
            let room = padded.checked_sub(window)?;
            output[axis] = room / self.strides[axis] + 1;
            let last = output[axis] * self.strides[axis];
            if self.ceil_mode
                && room % self.strides[axis] != 0
                && last < input_hw[axis] + self.pads[axis]
            {
                output[axis] += 1;
            }
        }
        Some(output)
    }
}

/// Shape rule of MaxPool and AveragePool.
pub fn shape(pool: &Pool, s: &[&[usize]]) -> Result<Vec<usize>, String> {
    arity(s, 1, 1)?;
    let &[1, channels, h, w] = s[0] else {
        return Err(format!("input {:?} is not of rank 4", s[0]));
    };
    if pool.strides.contains(&0) || pool.dilations.contains(&0) || pool.kernel.contains(&0) {
        return Err(format!("zero kernel, stride or dilation in {pool:?}"));
    }
    let [oh, ow] = pool.output_hw([h, w]).ok_or_else(|| {
        format!("window {:?} does not fit the padded input {h} x {w}", pool.kernel)
    })?;
    if (0..2).any(|axis| !every_window_sees(pool, axis, [h, w][axis], [oh, ow][axis])) {
        return Err(format!("a window of {pool:?} lies wholly in the padding of {h} x {w}"));
    }
    Ok(vec![1, channels, oh, ow])
}

/// Whether every window has a tap inside the image along one axis; without one a maximum would be
/// -inf and an average 0 / 0.
fn every_window_sees(pool: &Pool, axis: usize, input: usize, output: usize) -> bool {
    let inside = pool.pads[axis]..pool.pads[axis] + input;
    (0..output).all(|o| {
        let position = |k: usize| o * pool.strides[axis] + k * pool.dilations[axis];
        (0..pool.kernel[axis]).any(|k| inside.contains(&position(k)))
    })
}

/// A random pool with an input that it accepts.
#[cfg(test)]
pub(super) fn random(rng: &mut super::check::Rng) -> (Pool, [usize; 4]) {
    loop {
        let pool = Pool {
            kernel: [rng.range(1, 3), rng.range(1, 3)],
            strides: [rng.range(1, 3), rng.range(1, 2)],
            pads: [rng.range(0, 1), rng.range(0, 1), rng.range(0, 1), rng.range(0, 1)],
            dilations: [rng.range(1, 2), 1],
            ceil_mode: rng.range(0, 1) == 1,
            count_include_pad: rng.range(0, 1) == 1,
        };
        let input = [1, rng.range(1, 2), rng.range(1, 6), rng.range(1, 6)];
        if shape(&pool, &[&input]).is_ok() {
            return (pool, input);
        }
    }
}
