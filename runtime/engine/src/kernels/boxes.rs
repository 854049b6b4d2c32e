//! Walking strided boxes: the innermost axis is left to the caller.

use gradgate_bundle::op::BOX_RANK;
use zerocopy::little_endian::U32;

/// Lengths or strides of a box.
pub type Axes = [usize; BOX_RANK];

/// Lengths or strides, as usize; checked to be below 2^28 at load where they matter.
pub fn axes(values: &[U32; BOX_RANK]) -> Axes {
    // Not `map` of the array, which may leave a panic, nor a loop, which may become `memmove`.
    let [a, b, c, d, e, f] = values;
    let axis = |value: &U32| value.get() as usize;
    [axis(a), axis(b), axis(c), axis(d), axis(e), axis(f)]
}

/// Calls `f(row, offsets)` for every index of all axes but the last, in row-major order;
/// `offsets[i]` is `index . strides[i]` and `row` counts the calls.
pub fn rows<const N: usize>(
    dims: &Axes,
    strides: [&Axes; N],
    f: &mut dyn FnMut(usize, [usize; N]) -> Option<()>,
) -> Option<()> {
    let mut index = [0usize; BOX_RANK - 1];
    let mut offsets = [0usize; N];
    let mut row = 0;
    loop {
        f(row, offsets)?;
        row += 1;
        let mut axis = BOX_RANK - 1;
        loop {
            axis = match axis.checked_sub(1) {
                Some(axis) => axis,
                None => return Some(()),
            };
            let (at, length) = (index.get_mut(axis)?, *dims.get(axis)?);
            *at += 1;
            if *at < length {
                for (offset, strides) in offsets.iter_mut().zip(strides) {
                    *offset += strides.get(axis)?;
                }
                break;
            }
            for (offset, strides) in offsets.iter_mut().zip(strides) {
                *offset -= strides.get(axis)? * (length - 1);
            }
            *at = 0;
        }
    }
}

/// The last axis: its length and its strides.
pub fn last<const N: usize>(dims: &Axes, strides: [&Axes; N]) -> (usize, [usize; N]) {
    let end = BOX_RANK - 1;
    let mut steps = [0; N];
    steps.iter_mut().zip(&strides).for_each(|(step, strides)| *step = strides[end]);
    (dims[end], steps)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_visit_every_index_in_order() {
        let dims = [1, 2, 1, 3, 2, 5];
        let strides = [7, 100, 9, 10, 3, 1];
        let mut expected = 0;
        rows(&dims, [&strides, &[0; 6]], &mut |row, [offset, none]| {
            let (a, b, c) = (row / 6, row / 2 % 3, row % 2);
            assert_eq!((row, offset, none), (expected, 100 * a + 10 * b + 3 * c, 0));
            expected += 1;
            Some(())
        })
        .unwrap();
        assert_eq!(expected, 12);
    }
}
