//! Cutting the one arena into what a step writes and what it may read, without unsafe code.

/// An interval of the arena, in f32 elements.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Interval {
    /// First element.
    pub start: usize,
    /// One past the last element.
    pub end: usize,
}

impl Interval {
    /// `length` elements from `start` on; `None` on overflow.
    pub fn new(start: usize, length: usize) -> Option<Interval> {
        Some(Interval { start, end: start.checked_add(length)? })
    }

    /// Whether the two share an element.
    pub fn overlaps(self, other: Interval) -> bool {
        self.start < other.end && other.start < self.end
    }

    /// Length in elements.
    pub fn length(self) -> usize {
        self.end.saturating_sub(self.start)
    }
}

/// What is left of the arena to read while two intervals are written.
#[derive(Clone, Copy, Debug)]
pub struct Readable<'m> {
    pieces: [(usize, &'m [f32]); 3],
}

impl<'m> Readable<'m> {
    /// An interval, if it lies outside what is written.
    pub fn get(&self, interval: Interval) -> Option<&'m [f32]> {
        self.pieces.iter().find_map(|(start, piece)| {
            let from = interval.start.checked_sub(*start)?;
            piece.get(from..)?.get(..interval.length())
        })
    }
}

/// Takes two disjoint intervals out of the arena for writing, an empty one anywhere; `None` when
/// they
/// overlap or leave the arena.
pub fn cut(
    arena: &mut [f32],
    first: Interval,
    second: Interval,
) -> Option<(Readable<'_>, &mut [f32], &mut [f32])> {
    let swapped = second < first;
    let (low, high) = if swapped { (second, first) } else { (first, second) };
    let (before, rest) = arena.split_at_mut_checked(low.start)?;
    let (written_low, rest) = rest.split_at_mut_checked(low.length())?;
    let (between, rest) = rest.split_at_mut_checked(high.start.checked_sub(low.end)?)?;
    let (written_high, after) = rest.split_at_mut_checked(high.length())?;
    let pieces = [(0, &*before), (low.end, &*between), (high.end, &*after)];
    let (a, b) = if swapped { (written_high, written_low) } else { (written_low, written_high) };
    Some((Readable { pieces }, a, b))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interval(start: usize, end: usize) -> Interval {
        Interval { start, end }
    }

    #[test]
    fn pieces_are_disjoint_and_complete() {
        let mut arena = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        for (first, second) in
            [((1, 3), (4, 5)), ((4, 5), (1, 3)), ((1, 3), (0, 0)), ((0, 2), (2, 7))]
        {
            let (first, second) = (interval(first.0, first.1), interval(second.0, second.1));
            let (readable, a, b) = cut(&mut arena, first, second).unwrap();
            assert_eq!((a.len(), b.len()), (first.length(), second.length()));
            assert!(a.iter().enumerate().all(|(i, v)| *v == (first.start + i) as f32));
            assert!(b.iter().enumerate().all(|(i, v)| *v == (second.start + i) as f32));
            for i in 0..7 {
                let one = interval(i, i + 1);
                let taken = one.overlaps(first) || one.overlaps(second);
                assert_eq!(readable.get(one).is_none(), taken, "{i} {first:?} {second:?}");
            }
        }
    }

    #[test]
    fn overlap_and_overrun_are_refused() {
        let mut arena = [0.0; 4];
        assert!(cut(&mut arena, interval(0, 3), interval(2, 4)).is_none());
        assert!(cut(&mut arena, interval(0, 3), interval(3, 5)).is_none());
        assert!(cut(&mut arena, interval(5, 6), interval(0, 0)).is_none());
        let (readable, ..) = cut(&mut arena, interval(1, 2), interval(0, 0)).unwrap();
        assert!(readable.get(interval(0, 2)).is_none() && readable.get(interval(3, 5)).is_none());
    }
}
