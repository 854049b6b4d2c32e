//! The Pareto front and the knee of costs and gains.

/// Which points no other beats: none is at most as dear and at least as good, and better in one.
/// Of equal points the first counts.
pub(super) fn pareto(points: &[(u64, f64)]) -> Vec<bool> {
    let beaten = |(at, point): (usize, &(u64, f64))| {
        points.iter().enumerate().any(|(index, other)| {
            let as_good = other.0 <= point.0 && other.1 >= point.1;
            as_good && (other != point || index < at)
        })
    };
    points.iter().enumerate().map(|point| !beaten(point)).collect()
}

/// The cheapest point, among equally cheap ones the best, that is not shown to be worse than the
/// best; `worse(best, other)` says whether it is. `None` without points.
pub(super) fn knee(
    points: &[(u64, f64)],
    worse: impl Fn(usize, usize) -> bool,
) -> Option<(usize, usize)> {
    let order = |a: &usize, b: &usize| {
        let (a, b) = (points[*a], points[*b]);
        b.1.total_cmp(&a.1).then(a.0.cmp(&b.0))
    };
    let best = (0..points.len()).min_by(order)?;
    let cheapest = (0..points.len())
        .filter(|&other| other == best || !worse(best, other))
        .min_by(|a, b| points[*a].0.cmp(&points[*b].0).then(order(a, b)))?;
    Some((best, cheapest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fronts_by_table() {
        type Case = (&'static [(u64, f64)], &'static [bool]);
        let cases: [Case; 5] = [
            (&[], &[]),
            (&[(1, 0.5), (2, 0.6), (3, 0.55)], &[true, true, false]),
            (&[(1, 0.5), (1, 0.6), (1, 0.6)], &[false, true, false]),
            (&[(3, 0.9), (2, 0.9), (1, 0.1)], &[false, true, true]),
            (&[(5, 0.5)], &[true]),
        ];
        for (points, wanted) in cases {
            assert_eq!(pareto(points), wanted, "{points:?}");
        }
    }

    #[test]
    fn knees_by_table() {
        let points = [(1, 0.70), (2, 0.80), (3, 0.89), (3, 0.895), (9, 0.90)];
        let cases = [(0.0, 4), (0.006, 3), (0.02, 3), (0.1, 1), (0.5, 0)];
        for (slack, wanted) in cases {
            let worse = |best: usize, other: usize| points[best].1 - points[other].1 > slack;
            assert_eq!(knee(&points, worse), Some((4, wanted)), "{slack}");
        }
        assert_eq!(knee(&[], |_, _| true), None);
        // Equal points: the cheaper is the best already.
        assert_eq!(knee(&[(2, 0.5), (1, 0.5)], |_, _| true), Some((1, 1)));
    }
}
