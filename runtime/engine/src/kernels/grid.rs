//! Rows and columns of neighbouring values in a slice, a step apart: the pixels that a tap meets,
//! or the taps of a window.

/// Some neighbouring values at each of `values[start + row * row_step + column * step ..]`.
#[derive(Clone, Copy)]
pub struct Grid<'a> {
    /// What the values are taken from.
    pub values: &'a [f32],
    /// The first row's first column.
    pub start: usize,
    /// Number of rows.
    pub rows: usize,
    /// Number of columns.
    pub columns: usize,
    /// From a column to the next; below zero where the next lies before it.
    pub step: isize,
    /// From a row to the next.
    pub row_step: isize,
}

impl Grid<'_> {
    /// Whether the slice holds `width` values at every place, of which there is one at least.
    #[inline(always)]
    pub fn holds(&self, width: usize) -> bool {
        self.corners().is_some_and(|[first, last]| {
            let last = usize::try_from(last).ok().and_then(|last| last.checked_add(width));
            first >= 0 && last.is_some_and(|end| end <= self.values.len())
        })
    }

    /// The places of least and of greatest index: rows and columns go straight ahead, so that both
    /// are corners.
    #[inline(always)]
    fn corners(&self) -> Option<[isize; 2]> {
        let along = |count: usize, step: isize| -> Option<isize> {
            isize::try_from(count.checked_sub(1)?).ok()?.checked_mul(step)
        };
        let (down, across) = (along(self.rows, self.row_step)?, along(self.columns, self.step)?);
        let start = isize::try_from(self.start).ok()?;
        let first = start.checked_add(down.min(0))?.checked_add(across.min(0))?;
        let last = start.checked_add(down.max(0))?.checked_add(across.max(0))?;
        Some([first, last])
    }
}

/// A step of `count` times `values`. It counts only where a second place exists, which
/// [`Grid::holds`] then bounds; without one a dilation beyond all memory wraps.
#[inline(always)]
pub fn step_of(count: usize, values: usize) -> isize {
    count.wrapping_mul(values) as isize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grid_is_held_exactly_where_all_its_places_are() {
        let values = [0.0; 64];
        let cases: [([usize; 2], usize, [isize; 2]); 6] = [
            ([1, 1], 4, [4, 4]),
            ([3, 2], 4, [8, 20]),
            ([2, 5], 1, [3, 1]),
            ([3, 3], 4, [-4, -16]),
            ([2, 4], 2, [-3, 12]),
            ([3, 2], 1, [5, -7]),
        ];
        for ([rows, columns], width, [step, row_step]) in cases {
            let places = |start: isize| {
                let of_row = move |row: isize| {
                    (0..columns as isize).map(move |column| start + row * row_step + column * step)
                };
                (0..rows as isize).flat_map(of_row)
            };
            for start in 0..64 {
                let inside = |at: isize| at >= 0 && at as usize + width <= values.len();
                let expected = places(start as isize).all(inside);
                let grid = Grid { values: &values, start, rows, columns, step, row_step };
                assert_eq!(grid.holds(width), expected, "{rows} {columns} from {start}");
            }
            let far = Grid { values: &values, start: 9, rows, columns: usize::MAX, step, row_step };
            let none = Grid { rows: 0, ..far };
            assert!(!far.holds(width) && !none.holds(width));
        }
    }
}
