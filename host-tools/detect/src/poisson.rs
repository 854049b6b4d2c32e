//! Exact Poisson statements: what a count of events says of the number to be expected.
//!
//! By the relation of Poisson and gamma distribution (Garwood 1936) the upper bound after k events
//! is the quantile of a gamma distribution of shape k + 1, half a chi-square quantile of 2 k + 2
//! degrees of freedom. It is found here from the Poisson sum itself.

use crate::binomial::ln_factorial;

/// P(X <= events) for a Poisson variable of this mean.
pub fn cumulative(events: u64, mean: f64) -> f64 {
    if mean <= 0.0 {
        return 1.0;
    }
    let ln_term = |k: u64| k as f64 * mean.ln() - mean - ln_factorial(k);
    let (mut term, mut sum) = (1.0, 0.0);
    if (events as f64) <= mean {
        for k in (0..=events).rev() {
            sum += term;
            term *= k as f64 / mean;
            if term < sum * 1e-17 {
                break;
            }
        }
        return (ln_term(events).exp() * sum).min(1.0);
    }
    // Above the mean: one minus the upper tail, which starts at the next count.
    let mut k = events as f64 + 1.0;
    while term > sum * 1e-17 {
        sum += term;
        k += 1.0;
        term *= mean / k;
    }
    (1.0 - ln_term(events + 1).exp() * sum).clamp(0.0, 1.0)
}

/// The mean that, with this confidence, is not exceeded, after so many events.
pub fn upper(events: u64, confidence: f64) -> f64 {
    // P(X <= events) falls with the mean, and is far below any risk in use at this one.
    let far = 40.0 + 4.0 * events as f64;
    bisect(far, |mean| cumulative(events, mean) <= 1.0 - confidence)
}

/// The mean that, with this confidence, is reached, after so many events.
pub fn lower(events: u64, confidence: f64) -> f64 {
    let Some(fewer) = events.checked_sub(1) else { return 0.0 };
    bisect(events as f64 + 1.0, |mean| 1.0 - cumulative(fewer, mean) >= 1.0 - confidence)
}

/// Smallest mean below `far` for which a monotone condition holds.
fn bisect(far: f64, holds: impl Fn(f64) -> bool) -> f64 {
    let (mut low, mut high) = (0.0, far);
    for _ in 0..80 {
        let middle = 0.5 * (low + high);
        if holds(middle) { high = middle } else { low = middle }
    }
    high
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `[events, confidence, lower, upper]` by scipy, made and checked by
    /// tests/scripts/poisson_golden.py.
    const GOLDEN: &str = include_str!("../tests/golden/poisson.json");

    #[test]
    fn bounds_are_scipys() {
        let rows: Vec<[f64; 4]> = serde_json::from_str(GOLDEN).unwrap();
        assert!(rows.len() > 40);
        for [events, confidence, below, above] in rows {
            let (events, near) =
                (events as u64, |a: f64, b: f64| (a - b).abs() <= 1e-9 * (1.0 + b));
            let (low, high) = (lower(events, confidence), upper(events, confidence));
            assert!(near(low, below) && near(high, above), "{events} {confidence}: {low} {high}");
        }
    }

    #[test]
    fn no_event_leaves_the_rule_of_three() {
        assert!((upper(0, 0.95) + 0.05f64.ln()).abs() < 1e-12);
        assert_eq!(lower(0, 0.95), 0.0);
    }

    #[test]
    fn the_sum_is_the_sum() {
        for mean in [0.01, 1.0, 3.7, 60.0, 900.0] {
            let mut term = f64::exp(-mean);
            let mut sum = 0.0;
            for k in 0..1_200 {
                sum += term;
                // Rounding of a thousand terms, and exp(-900) is 0.
                if mean < 700.0 {
                    assert!((cumulative(k, mean) - sum).abs() < 1e-11, "{mean} {k}");
                }
                term *= mean / (k + 1) as f64;
            }
        }
        assert_eq!(cumulative(3, 0.0), 1.0);
        assert!((cumulative(900, 900.0) - 0.5088).abs() < 1e-3);
    }
}
