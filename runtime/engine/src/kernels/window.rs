//! Which taps of a window, or which outputs of a tap, meet the input.

/// The indices `i` of `0..count` with `pad <= fixed + i * step < pad + input`, as `first..end`.
///
/// With `fixed = o * stride, step = dilation, count = kernel` these are the taps of output o that
/// lie in the input; with `fixed = k * dilation, step = stride, count = outputs` the outputs of
/// tap k.
pub fn valid(fixed: usize, step: usize, count: usize, pad: usize, input: usize) -> (usize, usize) {
    let end = count.min(divide_up((pad + input).saturating_sub(fixed), step));
    (end.min(divide_up(pad.saturating_sub(fixed), step)), end)
}

/// Taps of an axis that bring an input index to outputs: every `tap_step`-th one from `tap` on, to
/// outputs that lie `output_step` apart, backwards from `output`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reached {
    /// The first tap.
    pub tap: usize,
    /// From a tap to the next.
    pub tap_step: usize,
    /// The first tap's output; outside where the tap lies in the padding of another.
    pub output: isize,
    /// From a tap's output back to the next one's.
    pub output_step: usize,
    /// Number of taps.
    pub count: usize,
}

/// The taps, of `kernel`, that bring input index `i` to outputs within or outside of the output:
/// those with `i + pad = output * stride + tap * dilation`.
pub fn reached(i: usize, stride: usize, dilation: usize, pad: usize, kernel: usize) -> Reached {
    let at = i + pad;
    let common = greatest_common_divisor(stride, dilation);
    let (tap_step, output_step) = (quotient(stride, common), quotient(dilation, common));
    let of = |tap: usize| at as isize - (tap * dilation) as isize;
    let is_reached = |tap: usize| of(tap).checked_rem_euclid(stride as isize) == Some(0);
    match (0..tap_step.min(kernel)).find(|&tap| is_reached(tap)) {
        Some(tap) => {
            let output = of(tap).checked_div_euclid(stride as isize).unwrap_or(0);
            let count = divide_up(kernel - tap, tap_step);
            Reached { tap, tap_step, output, output_step, count }
        }
        None => Reached { tap: 0, tap_step, output: 0, output_step, count: 0 },
    }
}

impl Reached {
    /// Those alone that bring it to one of `0..outputs`.
    pub fn inside(self, outputs: usize) -> Reached {
        let beyond = (self.output + 1).checked_sub_unsigned(outputs).unwrap_or(0).max(0);
        let skipped = divide_up(beyond as usize, self.output_step).min(self.count);
        let output = self.output - (skipped * self.output_step) as isize;
        let left = divide_up((output + 1).max(0) as usize, self.output_step);
        let count = left.min(self.count - skipped);
        Reached { tap: self.tap + skipped * self.tap_step, output, count, ..self }
    }

    /// Every tap and its output.
    #[inline(always)]
    pub fn each(self) -> impl Iterator<Item = (usize, isize)> {
        (0..self.count).map(move |n| {
            (self.tap + n * self.tap_step, self.output - (n * self.output_step) as isize)
        })
    }
}

fn greatest_common_divisor(mut a: usize, mut b: usize) -> usize {
    while let Some(rest) = a.checked_rem(b) {
        (a, b) = (b, rest);
    }
    a
}

/// The divisor is positive in every checked geometry.
fn quotient(value: usize, divisor: usize) -> usize {
    value.checked_div(divisor).unwrap_or(0)
}

/// Ceiling of the quotient; the divisor is positive in every checked geometry.
fn divide_up(value: usize, divisor: usize) -> usize {
    match value.checked_sub(1) {
        Some(below) => below.checked_div(divisor).map_or(0, |q| q + 1),
        None => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::{reached, valid};

    #[test]
    fn taps_that_reach_an_index_equal_the_definition() {
        for (stride, dilation) in [(1, 1), (2, 1), (1, 3), (2, 2), (2, 3), (3, 2), (4, 6), (6, 4)] {
            for (pad, kernel, outputs) in [(0, 1, 5), (1, 3, 4), (2, 5, 3), (7, 4, 9), (3, 3, 1)] {
                for i in 0..24usize {
                    let at = |tap: usize| (i + pad) as isize - (tap * dilation) as isize;
                    let of = |tap: usize| {
                        (at(tap) % stride as isize == 0).then(|| (tap, at(tap) / stride as isize))
                    };
                    let all = (0..kernel).filter_map(of);
                    let found = reached(i, stride, dilation, pad, kernel);
                    let case = [i, stride, dilation, pad, kernel, outputs];
                    assert!(found.each().eq(all.clone()), "{case:?}: {found:?}");
                    let inside = all.filter(|(_, o)| (0..outputs as isize).contains(o));
                    let found = found.inside(outputs);
                    assert!(found.each().eq(inside), "{case:?}: {found:?}");
                }
            }
        }
    }

    #[test]
    fn equals_the_definition() {
        for fixed in 0..9 {
            for (step, count, pad, input) in
                [(1, 3, 1, 4), (2, 3, 2, 5), (3, 5, 0, 1), (1, 1, 7, 2)]
            {
                let (first, end) = valid(fixed, step, count, pad, input);
                for i in 0..count {
                    let at = fixed + i * step;
                    let inside = pad <= at && at < pad + input;
                    assert_eq!(
                        inside,
                        first <= i && i < end,
                        "{fixed} {step} {count} {pad} {input} {i}"
                    );
                }
            }
        }
    }
}
