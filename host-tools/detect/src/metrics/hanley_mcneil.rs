//! Standard error of an AUROC from its value and the counts alone (Hanley and McNeil, Radiology
//! 143, 1982), for independent frames; frames that share sources want the bootstrap.

use std::f64::consts::TAU;

use super::bootstrap::Interval;

/// Standard error of an AUROC over so many frames; 0 at an AUROC of 0 or 1, where it says nothing.
pub fn hanley_mcneil(auroc: f64, normal: u64, anomalous: u64) -> f64 {
    let square = auroc * auroc;
    // Chances that two anomalous frames both score above one normal frame, and that one anomalous
    // frame scores above two normal ones, for exponentially distributed scores.
    let both = auroc / (2.0 - auroc) - square;
    let over = 2.0 * square / (1.0 + auroc) - square;
    let (n, a) = (normal as f64, anomalous as f64);
    let variance = (auroc * (1.0 - auroc) + (a - 1.0) * both + (n - 1.0) * over) / (n * a);
    // Rounding may leave a hair below 0.
    variance.max(0.0).sqrt()
}

/// AUROC with the normal interval of this standard error, cut at 0 and 1; `confidence` above 0
/// and below 1.
pub fn hanley_mcneil_interval(
    auroc: f64,
    normal: u64,
    anomalous: u64,
    confidence: f64,
) -> Interval {
    let reach = two_sided_quantile(confidence) * hanley_mcneil(auroc, normal, anomalous);
    Interval { value: auroc, low: (auroc - reach).max(0.0), high: (auroc + reach).min(1.0) }
}

/// z so that a standard normal variable lies in -z..z with this probability.
fn two_sided_quantile(probability: f64) -> f64 {
    let (mut low, mut high) = (0.0, 9.0);
    for _ in 0..60 {
        let middle = 0.5 * (low + high);
        if two_sided(middle) < probability { low = middle } else { high = middle }
    }
    high
}

/// Probability that a standard normal variable lies in -z..z, z from 0 to 9.
fn two_sided(z: f64) -> f64 {
    // Twice the density times z + z^3 / 3 + z^5 / (3 * 5) + ..: all terms positive.
    let (mut term, mut sum, mut divisor) = (z, z, 1.0);
    while term > sum * 1e-17 {
        divisor += 2.0;
        term *= z * z / divisor;
        sum += term;
    }
    2.0 * sum * (-0.5 * z * z).exp() / TAU.sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_match_known_values() {
        // 0.28, 0.50 and 0.16 points at 2,000 and 2,000 frames; then what can be said by hand.
        let cases = [
            (0.97, 2_000, 2_000, 0.0028),
            (0.90, 2_000, 2_000, 0.0050),
            (0.99, 2_000, 2_000, 0.0016),
            (1.0, 10, 10, 0.0),
            (0.0, 10, 10, 0.0),
            (0.5, 1, 1, 0.5),
        ];
        for (auroc, normal, anomalous, wanted) in cases {
            let got = hanley_mcneil(auroc, normal, anomalous);
            assert!((got - wanted).abs() < 5.1e-5, "{auroc}: {got}");
        }
    }

    #[test]
    fn quantiles_match_tables() {
        let cases = [(0.6826894921370859, 1.0), (0.95, 1.959963984540054), (0.99, 2.5758293035489)];
        for (probability, wanted) in cases {
            assert!((two_sided_quantile(probability) - wanted).abs() < 1e-12, "{probability}");
        }
        let interval = hanley_mcneil_interval(0.99, 20, 20, 0.95);
        assert!(interval.high == 1.0 && interval.low < 0.99 && interval.low > 0.9);
    }
}
