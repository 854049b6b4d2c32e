//! Offsets by best fit, from several orders: the lowest arena wins.
//!
//! Groups are placed one by one, each in the tightest gap among the placed ones that live at the
//! same time, else behind them. Which comes first decides how well it fits: by size, by area and by
//! start are tried, then the best order with the topmost group moved forward, from a fixed seed.

use std::cmp::Reverse;
use std::ops::Range;

use super::lifetimes::Group;

/// Work of the search in pairs of groups looked at: some tens of milliseconds.
const PAIRS_MAX: usize = 24_000_000;
/// Attempts, at most, however small the problem.
const ATTEMPTS_MAX: usize = 150;

/// Offsets of all groups from 0 on, and the end of the highest; `floor` is the least possible.
pub(super) fn place(groups: &[Group], floor: usize) -> (Vec<usize>, usize) {
    let mut best: Option<(Vec<usize>, usize, Vec<usize>)> = None;
    for order in first_orders(groups) {
        let (offsets, end) = fit(groups, &order);
        if best.as_ref().is_none_or(|(_, lowest, _)| end < *lowest) {
            best = Some((offsets, end, order));
        }
    }
    let Some((mut offsets, mut end, mut order)) = best else { return (Vec::new(), 0) };
    let attempts = (PAIRS_MAX / (groups.len() * groups.len()).max(1)).min(ATTEMPTS_MAX);
    let mut random = Random(0x6772_6164);
    for _ in 0..attempts {
        if end <= floor {
            break;
        }
        let mut changed = order.clone();
        let top = |&at: &usize| offsets[changed[at]] + groups[changed[at]].elements == end;
        let highest: Vec<usize> = (0..changed.len()).filter(top).collect();
        let from = highest[random.below(highest.len())];
        let group = changed.remove(from);
        changed.insert(random.below(from + 1), group);
        let (a, b) = (random.below(changed.len()), random.below(changed.len()));
        changed.swap(a, b);
        let (tried, tried_end) = fit(groups, &changed);
        if tried_end <= end {
            (offsets, end, order) = (tried, tried_end, changed);
        }
    }
    (offsets, end)
}

fn first_orders(groups: &[Group]) -> [Vec<usize>; 3] {
    let sorted = |key: &dyn Fn(&Group) -> Reverse<usize>| {
        let mut order: Vec<usize> = (0..groups.len()).collect();
        order.sort_by_key(|&at| (key(&groups[at]), groups[at].life.start));
        order
    };
    [
        sorted(&|group| Reverse(group.elements)),
        sorted(&|group| Reverse(group.elements * group.life.len())),
        sorted(&|group| Reverse(usize::MAX - group.life.start)),
    ]
}

/// Best fit in the given order.
fn fit(groups: &[Group], order: &[usize]) -> (Vec<usize>, usize) {
    let mut offsets = vec![0; groups.len()];
    let mut end = 0;
    let mut taken: Vec<Range<usize>> = Vec::new();
    for (place, &at) in order.iter().enumerate() {
        let group = &groups[at];
        taken.clear();
        for &other in &order[..place] {
            let life = &groups[other].life;
            if life.start < group.life.end && group.life.start < life.end {
                taken.push(offsets[other]..offsets[other] + groups[other].elements);
            }
        }
        taken.sort_unstable_by_key(|range| range.start);
        offsets[at] = tightest(&taken, group.elements);
        end = end.max(offsets[at] + group.elements);
    }
    (offsets, end)
}

/// Where the smallest gap that holds `wanted` begins.
fn tightest(taken: &[Range<usize>], wanted: usize) -> usize {
    let mut best: Option<Range<usize>> = None;
    let mut end = 0;
    for range in taken {
        let gap = range.start.saturating_sub(end);
        if gap >= wanted && best.as_ref().is_none_or(|best| gap < best.len()) {
            best = Some(end..range.start);
        }
        end = end.max(range.end);
    }
    best.map_or(end, |gap| gap.start)
}

/// SplitMix64: the same plan every time.
struct Random(u64);

impl Random {
    /// A number below `limit`, 0 when there is none.
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) % limit.max(1) as u64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(elements: usize, life: Range<usize>) -> Group {
        Group { elements, life, tensors: vec![0] }
    }

    #[test]
    fn gaps_by_table() {
        let list = |pairs: &[(usize, usize)]| pairs.iter().map(|&(a, b)| a..b).collect::<Vec<_>>();
        for (taken, wanted, expected) in [
            (&[][..], 4, 0),
            (&[(0, 4)], 4, 4),
            (&[(4, 8)], 4, 0),
            (&[(4, 8)], 5, 8),
            (&[(0, 4), (10, 12), (16, 20)], 4, 12),
            (&[(0, 4), (10, 12), (16, 20)], 6, 4),
            (&[(0, 8), (2, 4), (12, 16)], 4, 8),
        ] {
            assert_eq!(tightest(&list(taken), wanted), expected, "{taken:?} {wanted}");
        }
    }

    #[test]
    fn restarts_find_the_floor_where_the_largest_first_does_not() {
        // 4 + 4 live with 6, then 6 with 2 + 4; by size alone an 8 is wasted.
        let groups = [
            group(4, 0..2),
            group(6, 1..4),
            group(6, 3..6),
            group(4, 5..8),
            group(8, 7..9),
            group(2, 2..5),
        ];
        let floor = 14;
        let (offsets, end) = place(&groups, floor);
        assert_eq!(end, floor, "{offsets:?}");
        assert_eq!(place(&groups, floor), (offsets, end));
    }
}
