//! Exact binomial statements: how many alarms a promise allows, and what a count says of the rate.

/// `ln(n!)` for any n: exact sums to 256, Stirling's series above (error below 1e-13 relative).
pub(crate) fn ln_factorial(n: u64) -> f64 {
    if n <= 256 {
        return (2..=n).map(|k| (k as f64).ln()).sum();
    }
    let x = n as f64 + 1.0;
    let series = (1.0 / 12.0 - (1.0 / 360.0 - 1.0 / 1260.0 / (x * x)) / (x * x)) / x;
    (x - 0.5) * x.ln() - x + 0.5 * std::f64::consts::TAU.ln() + series
}

fn ln_choose(n: u64, k: u64) -> f64 {
    ln_factorial(n) - ln_factorial(k) - ln_factorial(n - k)
}

/// P(X <= k) for X binomial with n trials of probability p, 0 < p < 1.
pub fn cumulative(n: u64, p: f64, k: u64) -> f64 {
    if k >= n {
        return 1.0;
    }
    let (n_f, odds) = (n as f64, (1.0 - p) / p);
    let ln_top = ln_choose(n, k) + k as f64 * p.ln() + (n - k) as f64 * (-p).ln_1p();
    if (k as f64) <= n_f * p {
        let (mut term, mut sum) = (1.0, 1.0);
        for i in (1..=k).rev() {
            term *= i as f64 * odds / (n_f - i as f64 + 1.0);
            sum += term;
            if term < sum * 1e-17 {
                break;
            }
        }
        return (ln_top + sum.ln()).exp().min(1.0);
    }
    // Above the mean: one minus the upper tail, which starts at k + 1.
    let mut term = (n_f - k as f64) / ((k as f64 + 1.0) * odds);
    let mut tail = 0.0;
    for i in k + 1..=n {
        tail += term;
        term *= (n_f - i as f64) / ((i as f64 + 1.0) * odds);
        if term < tail * 1e-17 {
            break;
        }
    }
    (1.0 - ln_top.exp() * tail).clamp(0.0, 1.0)
}

/// Largest number of alarms among n normal units so that, with this confidence, the true rate is
/// at most `rate`; `None` when even 0 alarms do not show it.
pub fn allowed_alarms(n: u64, rate: f64, confidence: f64) -> Option<u64> {
    let risk = 1.0 - confidence;
    // A hair of slack against rounding in 1 - confidence.
    let holds = |k| cumulative(n, rate, k) <= risk * (1.0 + 1e-12);
    if n == 0 || !holds(0) {
        return None;
    }
    let (mut low, mut high) = (0, n);
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        if holds(middle) { low = middle } else { high = middle }
    }
    Some(low)
}

/// Fewest units with which a rate can be shown at this confidence (no alarm among them).
pub fn units_needed(rate: f64, confidence: f64) -> u64 {
    let mut need = ((1.0 - confidence).ln() / (-rate).ln_1p()).floor().max(1.0) as u64;
    while allowed_alarms(need, rate, confidence).is_none() {
        need += 1;
    }
    need
}

/// Clopper and Pearson's two-sided interval of a rate, from `alarms` of `n`.
pub fn interval(alarms: u64, n: u64, confidence: f64) -> (f64, f64) {
    let risk = (1.0 - confidence) / 2.0;
    let low =
        if alarms == 0 { 0.0 } else { bisect(|p| 1.0 - cumulative(n, p, alarms - 1) >= risk) };
    let high = if alarms >= n { 1.0 } else { bisect(|p| cumulative(n, p, alarms) <= risk) };
    (low, high)
}

/// Smallest p for which a monotone condition holds.
fn bisect(holds: impl Fn(f64) -> bool) -> f64 {
    let (mut low, mut high) = (0.0, 1.0);
    for _ in 0..60 {
        let middle = 0.5 * (low + high);
        if holds(middle) { high = middle } else { low = middle }
    }
    high
}

/// P(more than `limit` of `m` fresh scores lie above the threshold that left `k` of n calibration
/// scores above it): beta-binomial, for exchangeable continuous scores.
pub fn fresh_alarms_exceed(n: u64, k: u64, m: u64, limit: u64) -> f64 {
    if k >= n {
        return if limit >= m { 0.0 } else { 1.0 };
    }
    // The true rate is Beta(k + 1, n - k); sum the beta-binomial masses of 0..=limit.
    let (a, b) = (k + 1, n - k);
    let ln_beta =
        |a: u64, b: u64| ln_factorial(a - 1) + ln_factorial(b - 1) - ln_factorial(a + b - 1);
    let mass = |j: u64| (ln_choose(m, j) + ln_beta(j + a, m - j + b) - ln_beta(a, b)).exp();
    (1.0 - (0..=limit.min(m)).map(mass).sum::<f64>()).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cumulative_matches_direct_sums() {
        for (n, p) in [(1u64, 0.5), (10, 0.3), (60, 0.05), (300, 0.9)] {
            let mut sum = 0.0;
            for k in 0..n {
                let choose: f64 =
                    (0..k).map(|i| ((n - i) as f64 / (i + 1) as f64).ln()).sum::<f64>();
                sum += (choose + k as f64 * f64::ln(p) + (n - k) as f64 * f64::ln(1.0 - p)).exp();
                assert!((cumulative(n, p, k) - sum).abs() < 1e-11, "{n} {p} {k}");
            }
            assert_eq!(cumulative(n, p, n), 1.0);
        }
    }

    #[test]
    fn allowed_alarms_match_the_published_table() {
        let impossible = None;
        let table = [
            (500, [Some(13), Some(0), impossible]),
            (1_000, [Some(34), Some(2), impossible]),
            (2_000, [Some(77), Some(9), impossible]),
            (5_000, [Some(214), Some(33), Some(0)]),
            (10_000, [Some(449), Some(77), Some(2)]),
            (50_000, [Some(2_386), Some(448), Some(33)]),
            (100_000, [Some(4_839), Some(927), Some(77)]),
        ];
        for (n, wanted) in table {
            for (rate, wanted) in [0.05, 0.01, 0.001].into_iter().zip(wanted) {
                assert_eq!(allowed_alarms(n, rate, 0.99), wanted, "{n} at {rate}");
            }
        }
        // Order statistics 962, 996, 4776, 4962 of 1,000 and 5,000 at 95 %.
        for (n, rate, order) in [(1_000, 0.05, 962), (1_000, 0.01, 996), (5_000, 0.05, 4_776)] {
            assert_eq!(allowed_alarms(n, rate, 0.95), Some(n - order), "{n} at {rate}");
        }
        assert_eq!(allowed_alarms(5_000, 0.01, 0.95), Some(5_000 - 4_962));
    }

    #[test]
    fn needed_units_are_the_rule_of_three() {
        assert_eq!(units_needed(0.05, 0.95), 59);
        assert_eq!(units_needed(0.01, 0.99), 459);
        assert_eq!(units_needed(0.001, 0.95), 2_995);
        assert_eq!(units_needed(0.0001, 0.95), 29_956);
        assert!(allowed_alarms(58, 0.05, 0.95).is_none());
    }

    #[test]
    fn intervals_match_known_values() {
        let cases =
            [(0, 10, 0.0, 0.308_497_1), (5, 10, 0.187_086, 0.812_914), (10, 10, 0.691_502_9, 1.0)];
        for (alarms, n, low, high) in cases {
            let (a, b) = interval(alarms, n, 0.95);
            assert!((a - low).abs() < 1e-5 && (b - high).abs() < 1e-5, "{alarms}/{n}: {a} {b}");
        }
    }

    #[test]
    fn beta_binomial_adds_up() {
        // With n = 1, k = 0 the rate is uniform, so every count of m is equally likely.
        for limit in 0..5 {
            let wanted = 1.0 - (limit + 1) as f64 / 6.0;
            assert!((fresh_alarms_exceed(1, 0, 5, limit) - wanted).abs() < 1e-12);
        }
    }
}
