//! Changes of where samples stand, and sums of frames.

use crate::random::Random;

/// Patches along either side.
const GRID: usize = 4;

/// This share of the patches of a grid take each other's places in turn; what is left over at the
/// right and below stays.
pub(super) fn shuffle_patches(
    pixels: &mut [u8],
    [height, width, channels]: [usize; 3],
    share: f32,
    random: &mut Random,
) {
    let (down, across) = (GRID.min(height), GRID.min(width));
    let (rows, columns) = (height / down, width / across);
    let mut order: Vec<usize> = (0..down * across).collect();
    random.shuffle(&mut order);
    let moved =
        ((share * order.len() as f32 + 0.5) as usize).clamp(2.min(order.len()), order.len());
    let order = &order[..moved];
    let before = pixels.to_vec();
    for (place, to) in order.iter().enumerate() {
        let from = order[(place + 1) % moved];
        let start = |patch: usize, row: usize| {
            let (top, left) = (patch / across * rows, patch % across * columns);
            ((top + row) * width + left) * channels
        };
        for row in 0..rows {
            let (to, from, length) = (start(*to, row), start(from, row), columns * channels);
            pixels[to..to + length].copy_from_slice(&before[from..from + length]);
        }
    }
}

/// Replaces `share` of every sample by the other frame's.
pub(super) fn mix(pixels: &mut [u8], other: &[u8], share: f32) {
    for (sample, other) in pixels.iter_mut().zip(other) {
        let own = f32::from(*sample);
        *sample = (own + (f32::from(*other) - own) * share + 0.5) as u8;
    }
}

/// Averages over areas to sides `factor` times smaller, then interpolates back.
pub(super) fn down_up(pixels: &mut [u8], [height, width, channels]: [usize; 3], factor: f32) {
    let small = |side: usize| ((side as f32 / factor + 0.5) as usize).clamp(1, side);
    let mut samples: Vec<f32> = pixels.iter().map(|&v| f32::from(v)).collect();
    let row = width * channels;
    for line in 0..height * channels {
        let first = line / channels * row + line % channels;
        down_up_line(&mut samples, first, channels, width, small(width));
    }
    for first in 0..row {
        down_up_line(&mut samples, first, row, height, small(height));
    }
    for (sample, value) in pixels.iter_mut().zip(samples) {
        *sample = (value + 0.5) as u8;
    }
}

/// One line of `length` samples, `step` apart from `first` on, by way of `small` ones.
fn down_up_line(samples: &mut [f32], first: usize, step: usize, length: usize, small: usize) {
    let line: Vec<f32> = (0..length).map(|i| samples[first + i * step]).collect();
    let ratio = length as f32 / small as f32;
    let mean = |i: usize| {
        let (from, to) = (i as f32 * ratio, (i + 1) as f32 * ratio);
        let mut sum = 0.0;
        for (j, value) in line.iter().enumerate().skip(from as usize) {
            let overlap = (to.min((j + 1) as f32) - from.max(j as f32)).max(0.0);
            if overlap <= 0.0 {
                break;
            }
            sum += value * overlap;
        }
        sum / ratio
    };
    let shrunk: Vec<f32> = (0..small).map(mean).collect();
    for i in 0..length {
        let at = ((i as f32 + 0.5) / ratio - 0.5).clamp(0.0, (small - 1) as f32);
        let (left, part) = (at as usize, at - (at as usize) as f32);
        let right = (left + 1).min(small - 1);
        samples[first + i * step] = shrunk[left] + (shrunk[right] - shrunk[left]) * part;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patches_are_only_moved() {
        let before: Vec<u8> = (0..9 * 5 * 3).map(|i| i as u8).collect();
        let moved = |share| {
            let mut after = before.clone();
            shuffle_patches(&mut after, [9, 5, 3], share, &mut Random::of(&[1]));
            after
        };
        let after = moved(1.0);
        // The last row and column belong to no patch of 2 x 1; all else is elsewhere.
        for (at, (new, old)) in after.iter().zip(&before).enumerate() {
            assert_eq!(new == old, at >= 8 * 15 || at % 15 >= 12, "{at}");
        }
        let few = moved(0.2);
        let count = few.iter().zip(&before).filter(|(new, old)| new != old).count();
        assert_eq!(count, 3 * 2 * 3, "three patches of sixteen");
        let mut sorted = after.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, before);
    }

    #[test]
    fn down_and_up_by_hand() {
        // Means of pairs are 10 and 50, interpolated a quarter of the way from either.
        let mut line = [0, 20, 40, 60];
        down_up(&mut line, [1, 4, 1], 2.0);
        assert_eq!(line, [10, 20, 40, 50]);
        let mut flat = [77; 49];
        down_up(&mut flat, [7, 7, 1], 3.0);
        assert_eq!(flat, [77; 49]);
    }
}
