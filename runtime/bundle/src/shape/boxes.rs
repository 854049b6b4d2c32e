//! Strided boxes: element counts, how far they reach, and whether they cover a tensor exactly.

use zerocopy::little_endian::U32;

use super::{ELEMENT_LIMIT, ShapeError, places, product};
use crate::op::{BOX_RANK, CopyParams, MatMulParams, ReduceParams};
use crate::record::OPERANDS;

/// Number of indices of a box; every length must be positive.
pub fn box_elements(dims: &[U32; BOX_RANK]) -> Result<usize, ShapeError> {
    product(dims)
}

/// One past the largest element that `offset + i . strides` touches over the box, in elements.
pub fn box_reach(
    offset: u32,
    dims: &[U32; BOX_RANK],
    strides: &[U32; BOX_RANK],
) -> Result<usize, ShapeError> {
    box_elements(dims)?;
    let mut last = u64::from(offset);
    for (dim, stride) in dims.iter().zip(strides) {
        // Below 2^28 * 2^32 each, and at most 6 of them: no overflow of 64 bits.
        last += u64::from(dim.get() - 1) * u64::from(stride.get());
    }
    match usize::try_from(last + 1) {
        Ok(reach) if reach < ELEMENT_LIMIT => Ok(reach),
        _ => Err(ShapeError::TooLarge),
    }
}

/// Whether the box touches each of `elements` elements exactly once: its strides are those of a
/// dense tensor, in any order of axes.
pub fn covers_exactly(
    offset: u32,
    dims: &[U32; BOX_RANK],
    strides: &[U32; BOX_RANK],
    elements: u32,
) -> bool {
    let mut covered = 1;
    let mut used = [false; BOX_RANK];
    for _ in 0..BOX_RANK {
        let next = (0..BOX_RANK).find(|&axis| {
            !used[axis] && dims[axis].get() > 1 && u64::from(strides[axis].get()) == covered
        });
        let Some(axis) = next else { break };
        used[axis] = true;
        covered = covered.saturating_mul(dims[axis].get().into());
    }
    let complete = (0..BOX_RANK).all(|axis| used[axis] || dims[axis].get() == 1);
    offset == 0 && complete && covered == u64::from(elements)
}

/// Operands of a reduction.
pub(super) fn reduce(p: &ReduceParams) -> Result<[usize; OPERANDS], ShapeError> {
    if p.kind.get() > 1 {
        return Err(ShapeError::Number);
    }
    let kept = box_reach(0, &p.kept, &p.kept_strides)?;
    let reduced = box_reach(0, &p.reduced, &p.reduced_strides)?;
    let reach = kept.checked_add(reduced).and_then(|n| n.checked_sub(1));
    let x = reach.filter(|&n| n < ELEMENT_LIMIT).ok_or(ShapeError::TooLarge)?;
    let (y, summands) = (box_elements(&p.kept)?, box_elements(&p.reduced)?);
    // Strides of zero would let a few elements be summed for hours.
    y.checked_mul(summands).filter(|&n| n <= x).ok_or(ShapeError::Box)?;
    Ok(places(&[x, y]))
}

/// Operands of a product of matrices.
pub(super) fn mat_mul(p: &MatMulParams) -> Result<[usize; OPERANDS], ShapeError> {
    let last = u64::from(p.inner.get()).checked_sub(1).ok_or(ShapeError::Zero)?;
    // Or a few bytes could ask for any number of terms.
    if last > 0 && (p.a_step.get() == 0 || p.b_step.get() == 0) {
        return Err(ShapeError::Box);
    }
    let reach = |strides: &[U32; BOX_RANK], step: U32| {
        let line = box_reach(0, &p.dims, strides)? as u64;
        // Below 2^28 + 2^64 - 2^33: no overflow.
        match usize::try_from(line + last * u64::from(step.get())) {
            Ok(reach) if reach < ELEMENT_LIMIT => Ok(reach),
            _ => Err(ShapeError::TooLarge),
        }
    };
    let (a, b) = (reach(&p.a_strides, p.a_step)?, reach(&p.b_strides, p.b_step)?);
    Ok(places(&[a, b, box_elements(&p.dims)?]))
}

/// Operands of a copy.
pub(super) fn copy(p: &CopyParams) -> Result<[usize; OPERANDS], ShapeError> {
    if p.fills.get() > 1 {
        return Err(ShapeError::Number);
    }
    let (x, y) = (product(&[p.x_elements])?, product(&[p.y_elements])?);
    let reads = box_reach(p.x_offset.get(), &p.dims, &p.x_strides)?;
    let writes = box_reach(p.y_offset.get(), &p.dims, &p.y_strides)?;
    if reads > x || writes > y || box_elements(&p.dims)? > y {
        return Err(ShapeError::Box);
    }
    Ok(places(&[x, y]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(values: [u32; BOX_RANK]) -> [U32; BOX_RANK] {
        values.map(U32::new)
    }

    #[test]
    fn exact_cover_is_recognised() {
        let dims = [1, 1, 1, 2, 3, 4];
        let cases = [
            (0, dims, [0, 0, 0, 12, 4, 1], 24, true),
            (0, dims, [0, 0, 0, 1, 2, 6], 24, true),
            (0, dims, [7, 7, 7, 3, 1, 6], 24, true),
            (0, dims, [0, 0, 0, 12, 4, 1], 25, false),
            (1, dims, [0, 0, 0, 12, 4, 1], 24, false),
            (0, dims, [0, 0, 0, 12, 1, 1], 24, false),
            (0, dims, [0, 0, 0, 12, 4, 0], 24, false),
            (0, [1; 6], [0; 6], 1, true),
            (0, [1; 6], [0; 6], 2, false),
        ];
        for (offset, dims, strides, elements, expected) in cases {
            let covers = covers_exactly(offset, &words(dims), &words(strides), elements);
            assert_eq!(covers, expected, "{offset} {dims:?} {strides:?} {elements}");
        }
    }

    #[test]
    fn boxes_with_more_indices_than_elements_are_refused() {
        let (rows, columns) = (words([1, 1, 1, 1, 1, 4]), words([1, 1, 1, 1, 1, 3]));
        let (dense, wide, none) = (words([1; 6]), words([4; 6]), words([0; 6]));
        let long = words([1, 1, 1, 1, 1 << 27, 1]);
        let cases = [
            (rows, dense, columns, wide, true),
            (columns, wide, rows, dense, true),
            (rows, dense, columns, none, false),
            (rows, dense, long, none, false),
            (long, none, rows, dense, false),
            (rows, dense, columns, dense, false),
        ];
        for (kept, kept_strides, reduced, reduced_strides, expected) in cases {
            let p = ReduceParams { kind: 0.into(), kept, kept_strides, reduced, reduced_strides };
            let error = reduce(&p).err();
            assert_eq!(error, (!expected).then_some(ShapeError::Box), "{p:?}");
        }
        for (dims, y_strides, expected) in [(rows, dense, true), (long, none, false)] {
            let p = CopyParams {
                fills: 0.into(),
                fill: 0.0.into(),
                dims,
                x_offset: 0.into(),
                x_strides: none,
                y_offset: 0.into(),
                y_strides,
                x_elements: 1.into(),
                y_elements: 4.into(),
            };
            assert_eq!(copy(&p).err(), (!expected).then_some(ShapeError::Box), "{p:?}");
        }
    }

    #[test]
    fn products_reach_to_the_last_term() {
        let mut p: MatMulParams = zerocopy::FromZeros::new_zeroed();
        p.dims = words([1, 1, 1, 1, 2, 3]);
        (p.a_strides, p.b_strides) = (words([0, 0, 0, 0, 4, 0]), words([0, 0, 0, 0, 0, 1]));
        (p.inner, p.a_step, p.b_step) = (4.into(), 1.into(), 3.into());
        assert_eq!(mat_mul(&p).unwrap()[..3], [8, 12, 6]);
        p.inner = 0.into();
        assert_eq!(mat_mul(&p), Err(ShapeError::Zero));
        (p.inner, p.b_step) = (u32::MAX.into(), u32::MAX.into());
        assert_eq!(mat_mul(&p), Err(ShapeError::TooLarge));
        p.b_step = 0.into();
        assert_eq!(mat_mul(&p), Err(ShapeError::Box));
    }

    #[test]
    fn reach_is_checked() {
        let dims = words([1, 1, 1, 2, 3, 4]);
        assert_eq!(box_reach(5, &dims, &words([9, 9, 9, 12, 4, 1])), Ok(29));
        assert_eq!(box_reach(0, &words([0; 6]), &words([0; 6])), Err(ShapeError::Zero));
        let far = words([u32::MAX; 6]);
        assert_eq!(box_reach(0, &dims, &far), Err(ShapeError::TooLarge));
        assert_eq!(box_reach(u32::MAX, &dims, &words([0; 6])), Err(ShapeError::TooLarge));
        assert_eq!(box_reach(0, &far, &far), Err(ShapeError::TooLarge));
    }
}
