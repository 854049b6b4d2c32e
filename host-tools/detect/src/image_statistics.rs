//! Ten plain statistics of a picture: the control that shows how much a far simpler detector
//! would see.
//!
//! Where a small network on these ten numbers comes close to gradient norms, a set of anomalies
//! is confounded with brightness, texture or compression, and says little about the classifier.

use crate::DetectError;

/// Names of the statistics, in order.
pub const NAMES: [&str; 10] = [
    "mean red",
    "mean green",
    "mean blue",
    "std red",
    "std green",
    "std blue",
    "total variation",
    "high band",
    "blockiness 8x8",
    "saturated share",
];

/// Statistics of an 8-bit RGB picture, rows top to bottom, three bytes a pixel: mean and standard
/// deviation per channel (0..1), mean absolute step between neighbours, mean square of the
/// Laplacian, steps across the 8 x 8 grid over other steps, share of channel values at 0 or 255.
/// Luma is the mean of the channels.
///
/// # Errors
/// A buffer of another length than `3 * height * width`, or a side under 3 pixels.
pub fn image_statistics(rgb: &[u8], height: usize, width: usize) -> Result<[f64; 10], DetectError> {
    if height < 3
        || width < 3
        || height.checked_mul(width).and_then(|n| n.checked_mul(3)) != Some(rgb.len())
    {
        return Err(DetectError::Data(format!(
            "{} bytes are no RGB picture of {height} x {width} pixels of at least 3 x 3",
            rgb.len()
        )));
    }
    let mut statistics = [0.0; 10];
    let pixels = (height * width) as f64;
    for channel in 0..3 {
        let values = || rgb.iter().skip(channel).step_by(3).map(|byte| f64::from(*byte) / 255.0);
        let mean = values().sum::<f64>() / pixels;
        let variance = values().map(|value| (value - mean).powi(2)).sum::<f64>() / pixels;
        statistics[channel] = mean;
        statistics[3 + channel] = variance.sqrt();
    }
    let luma: Vec<f64> = rgb
        .chunks_exact(3)
        .map(|pixel| pixel.iter().map(|byte| f64::from(*byte)).sum::<f64>() / 765.0)
        .collect();
    let (variation, blockiness) = steps(&luma, height, width);
    statistics[6] = variation;
    statistics[7] = laplacian(&luma, height, width);
    statistics[8] = blockiness;
    let saturated = rgb.iter().filter(|byte| matches!(**byte, 0 | 255)).count();
    statistics[9] = saturated as f64 / rgb.len() as f64;
    Ok(statistics)
}

/// Mean absolute step, and steps across the 8 x 8 grid relative to the others.
fn steps(luma: &[f64], height: usize, width: usize) -> (f64, f64) {
    let (mut on, mut off) = ((0.0, 0usize), (0.0, 0usize));
    let mut add = |position: usize, step: f64| {
        let place = if position.is_multiple_of(8) { &mut on } else { &mut off };
        place.0 += step.abs();
        place.1 += 1;
    };
    for row in 0..height {
        for column in 0..width {
            let here = luma[row * width + column];
            if column > 0 {
                add(column, here - luma[row * width + column - 1]);
            }
            if row > 0 {
                add(row, here - luma[(row - 1) * width + column]);
            }
        }
    }
    let mean = |sum: (f64, usize)| sum.0 / sum.1.max(1) as f64;
    let variation = (on.0 + off.0) / (on.1 + off.1) as f64;
    (variation, (mean(on) + 1e-6) / (mean(off) + 1e-6))
}

/// Mean square of the five-point Laplacian over inner pixels.
fn laplacian(luma: &[f64], height: usize, width: usize) -> f64 {
    let mut sum = 0.0;
    for row in 1..height - 1 {
        for column in 1..width - 1 {
            let at = row * width + column;
            let around = luma[at - 1] + luma[at + 1] + luma[at - width] + luma[at + width];
            sum += (around - 4.0 * luma[at]).powi(2);
        }
    }
    sum / ((height - 2) * (width - 2)) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(height: usize, width: usize, pixel: impl Fn(usize, usize) -> [u8; 3]) -> [f64; 10] {
        let mut rgb = vec![];
        for row in 0..height {
            for column in 0..width {
                rgb.extend(pixel(row, column));
            }
        }
        image_statistics(&rgb, height, width).unwrap()
    }

    #[test]
    fn known_pictures() {
        let flat = picture(16, 16, |_, _| [255, 51, 0]);
        let wanted = [1.0, 0.2, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 2.0 / 3.0];
        for (index, (got, wanted)) in flat.iter().zip(wanted).enumerate() {
            assert!((got - wanted).abs() < 1e-12, "{}: {got}", NAMES[index]);
        }
        // A step of 1 at every 8th column: only on the grid.
        let blocks = picture(16, 16, |_, column| if column < 8 { [0; 3] } else { [255; 3] });
        assert!(blocks[8] > 1e4 && (blocks[6] - 16.0 / 480.0).abs() < 1e-12, "{blocks:?}");
        // A checkerboard has the largest Laplacian there is.
        let board = picture(9, 9, |row, column| [((row + column) % 2 * 255) as u8; 3]);
        assert!((board[7] - 16.0).abs() < 1e-9 && (board[6] - 1.0).abs() < 1e-12);
        assert!((board[8] - 1.0).abs() < 1e-9 && board[9] == 1.0);
    }

    #[test]
    fn wrong_lengths_are_refused() {
        assert!(image_statistics(&[0; 27], 3, 3).is_ok());
        assert!(image_statistics(&[0; 26], 3, 3).is_err());
        assert!(image_statistics(&[], 0, 0).is_err());
        assert!(image_statistics(&[0; 12], 2, 2).is_err());
        assert!(image_statistics(&[0; 12], usize::MAX, 2).is_err());
    }
}
