//! Two plain detectors that a gate could use instead: how sure the classifier is, and how ordinary
//! the picture is.

use anyhow::{Context, Result};
use gradgate_detect::calibrate::plain_quantile;
use gradgate_detect::image_statistics::image_statistics;
use gradgate_detect::plain::{StatisticsGaussian, largest_probability};

/// Maximum softmax and image statistics, with thresholds.
pub struct Rivals {
    statistics: StatisticsGaussian,
    /// Of softmax and statistics: a score above it is a BLOCK.
    pub thresholds: [f32; 2],
}

/// How unsure the classifier is: one minus its largest probability.
pub fn softmax_score(logits: &[f32]) -> f32 {
    1.0 - largest_probability(logits)
}

/// The statistics of a frame; grey counts as three equal channels.
pub fn statistics(pixels: &[u8], [height, width, channels]: [usize; 3]) -> Result<[f32; 10]> {
    let row = match channels {
        3 => image_statistics(pixels, height, width)?,
        _ => {
            let rgb: Vec<u8> = pixels.iter().flat_map(|sample| [*sample; 3]).collect();
            image_statistics(&rgb, height, width)?
        }
    };
    Ok(row.map(|value| value as f32))
}

impl Rivals {
    /// Fitted on statistics of ordinary frames, with thresholds such that of other normal frames,
    /// known by `softmax` and `statistics`, each rival blocks the share `rate`.
    pub fn at_rate(
        ordinary: &[[f32; 10]],
        softmax: &[f32],
        statistics: &[[f32; 10]],
        rate: f64,
    ) -> Result<Rivals> {
        let gaussian = StatisticsGaussian::fit(ordinary.as_flattened())
            .context("statistics of normal frames")?;
        let scores = gaussian.scores(statistics.as_flattened());
        let thresholds = [plain_quantile(softmax, rate), plain_quantile(&scores, rate)];
        Ok(Rivals { statistics: gaussian, thresholds })
    }

    /// Scores of a frame: softmax, statistics.
    pub fn scores(&self, softmax: f32, statistics: &[f32; 10]) -> [f32; 2] {
        let distance = self.statistics.scores(statistics);
        [softmax, distance.first().copied().unwrap_or(f32::NAN)]
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
        let rows: Vec<[f32; 10]> = (0..1_000)
            .map(|n| core::array::from_fn(|at| ((n * (at + 3)) % 97) as f32 / 97.0))
            .collect();
        let rivals = Rivals::at_rate(&rows, &softmax, &rows, 0.02).unwrap();
        let above = softmax.iter().filter(|score| **score > rivals.thresholds[0]).count();
        assert!((18..=20).contains(&above), "{above}");
        let far = [5.0; 10];
        assert!(rivals.scores(0.0, &far)[1] > rivals.thresholds[1]);
    }
}
