//! Two plain detectors that a gate could use instead: how sure the classifier is, and how ordinary
//! the picture is.

use anyhow::{Context, Result};
use gradgate_detect::calibrate::plain_quantile;
use gradgate_detect::image_statistics::{StatisticsGaussian, image_statistics};

/// Maximum softmax and image statistics, with thresholds.
pub struct Rivals {
    statistics: StatisticsGaussian,
    /// Of softmax and statistics: a score above it is a BLOCK.
    pub thresholds: [f32; 2],
}

/// What the rivals say of one frame; larger is more anomalous.
pub fn softmax_score(logits: &[f32]) -> f32 {
    let top = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f32 = logits.iter().map(|logit| (logit - top).exp()).sum();
    // A single logit: the distance from the middle says how sure it is.
    if logits.len() == 1 { -top.abs() } else { 1.0 - 1.0 / sum }
}

/// The statistics of a frame; grey counts as three equal channels.
pub fn statistics(pixels: &[u8], [height, width, channels]: [usize; 3]) -> Result<[f64; 10]> {
    if channels == 3 {
        return Ok(image_statistics(pixels, height, width)?);
    }
    let rgb: Vec<u8> = pixels.iter().flat_map(|sample| [*sample; 3]).collect();
    Ok(image_statistics(&rgb, height, width)?)
}

impl Rivals {
    /// Fitted on statistics of ordinary frames, with thresholds such that of other normal frames,
    /// known by `softmax` and `statistics`, each rival blocks the share `rate`.
    pub fn at_rate(
        ordinary: &[[f64; 10]],
        softmax: &[f32],
        statistics: &[[f64; 10]],
        rate: f64,
    ) -> Result<Rivals> {
        let gaussian = StatisticsGaussian::fit(ordinary).context("statistics of normal frames")?;
        let scores: Vec<f32> = statistics.iter().map(|row| gaussian.score(row)).collect();
        let thresholds = [plain_quantile(softmax, rate), plain_quantile(&scores, rate)];
        Ok(Rivals { statistics: gaussian, thresholds })
    }

    /// Scores of a frame: softmax, statistics.
    pub fn scores(&self, softmax: f32, statistics: &[f64; 10]) -> [f32; 2] {
        [softmax, self.statistics.score(statistics)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_less_sure_the_higher_the_score() {
        let sure = softmax_score(&[9.0, 0.0, 0.0]);
        let unsure = softmax_score(&[1.0, 0.9, 0.8]);
        assert!(sure < 0.01 && unsure > 0.6, "{sure} {unsure}");
        assert!(softmax_score(&[0.1]) > softmax_score(&[4.0]));
        assert!(softmax_score(&[f32::NAN, 0.0]).is_nan());
    }

    #[test]
    fn thresholds_leave_the_rate() {
        let softmax: Vec<f32> = (0..1_000).map(|n| n as f32 / 1_000.0).collect();
        let rows: Vec<[f64; 10]> = (0..1_000)
            .map(|n| core::array::from_fn(|at| ((n * (at + 3)) % 97) as f64 / 97.0))
            .collect();
        let rivals = Rivals::at_rate(&rows, &softmax, &rows, 0.02).unwrap();
        let above = softmax.iter().filter(|score| **score > rivals.thresholds[0]).count();
        assert!((18..=20).contains(&above), "{above}");
        let far = [5.0; 10];
        assert!(rivals.scores(0.0, &far)[1] > rivals.thresholds[1]);
    }
}
