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

/// Ceiling of the quotient; the divisor is positive in every checked geometry.
fn divide_up(value: usize, divisor: usize) -> usize {
    match value.checked_sub(1) {
        Some(below) => below.checked_div(divisor).map_or(0, |q| q + 1),
        None => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::valid;

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
