//! Rain in front of a camera: weather that a robot drives through, and no fault.

use crate::random::Random;

/// Draws streaks of rain over 8-bit samples (rows, columns, channels) in place. Streaks are short,
/// slanted and let the picture through; each seed has other ones.
pub fn rain(pixels: &mut [u8], [height, width, channels]: [usize; 3], seed: u64) {
    if height == 0 || width == 0 || pixels.len() != height * width * channels {
        return;
    }
    let mut random = Random::of(&[seed, 0x7261_696e]);
    let length = (height / 8).max(2);
    for _ in 0..(width / 4).max(1) {
        let (top, left) = (random.below(height), random.below(width));
        for step in 0..length {
            let (row, column) = (top + step, left + step / 3);
            if row < height && column < width {
                let pixel = (row * width + column) * channels;
                for sample in &mut pixels[pixel..pixel + channels] {
                    // A quarter of a bright grey over three quarters of what is behind.
                    *sample = (u16::from(*sample) * 3 / 4 + 220 / 4) as u8;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rain_touches_few_samples_and_follows_its_seed() {
        let drawn = |seed: u64| {
            let mut pixels = vec![40; 32 * 32 * 3];
            rain(&mut pixels, [32, 32, 3], seed);
            pixels
        };
        let wet = drawn(3).iter().filter(|sample| **sample != 40).count();
        assert!(wet > 30 && wet < 32 * 32 * 3 / 20, "{wet}");
        assert_eq!(drawn(3), drawn(3));
        assert_ne!(drawn(3), drawn(4));
        rain(&mut [], [0, 0, 3], 1);
        rain(&mut [1, 2, 3], [2, 2, 3], 1);
    }
}
