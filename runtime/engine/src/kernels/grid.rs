//! Rows and columns of neighbouring values in a slice, a step apart.

use super::lanes::run;

/// Some neighbouring values at each of `values[row * row_step + column * step ..]`.
#[derive(Clone, Copy)]
pub struct Grid<'a> {
    /// From the first value of the first row and column on.
    pub values: &'a [f32],
    /// Number of rows.
    pub rows: usize,
    /// Number of columns; not 0 unless there are no rows.
    pub columns: usize,
    /// From a column to the next.
    pub step: usize,
    /// From a row to the next.
    pub row_step: usize,
}

impl<'a> Grid<'a> {
    /// Of no rows.
    pub const EMPTY: Grid<'static> =
        Grid { values: &[], rows: 0, columns: 0, step: 0, row_step: 0 };

    /// Whether the slice holds `width` values everywhere.
    #[cfg(any(test, all(target_arch = "arm", target_abi = "eabihf")))]
    #[inline(always)]
    pub fn holds(&self, width: usize) -> bool {
        let along = |count: usize, step: usize| count.checked_sub(1)?.checked_mul(step);
        let last = along(self.rows, self.row_step).zip(along(self.columns, self.step));
        let end = last.and_then(|(row, column)| row.checked_add(column)?.checked_add(width));
        end.is_some_and(|end| end <= self.values.len())
    }

    /// A row but for its last column's `C` values, which come second. Steps of the first begin at a
    /// column's values. `None` where a step has no room for them, or the row ends early.
    #[inline(always)]
    pub fn row<const C: usize>(&self, row: usize) -> Option<(&'a [f32], &'a [f32; C])> {
        if self.step < C.max(1) {
            return None;
        }
        let length = self.columns.checked_sub(1)? * self.step + C;
        run(self.values, row * self.row_step, length)?.split_last_chunk()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grid_is_held_exactly_where_its_last_place_is() {
        for (rows, columns, width, step, row_step) in
            [(1, 1, 4, 4, 4), (3, 2, 4, 8, 20), (2, 5, 1, 3, 1), (4, 4, 4, 4, 16)]
        {
            let end = (rows - 1) * row_step + (columns - 1) * step + width;
            let values = [0.0; 128];
            for (length, held) in [(end - 1, false), (end, true), (end + 1, true)] {
                let grid = Grid { values: &values[..length], rows, columns, step, row_step };
                assert_eq!(grid.holds(width), held, "{rows} {columns} {length}");
            }
            let far = Grid { values: &values, rows, columns: usize::MAX, step, row_step };
            assert!(!far.holds(width) && !Grid::EMPTY.holds(width));
        }
    }
}
