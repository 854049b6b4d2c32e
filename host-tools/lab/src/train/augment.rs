//! What is done to an image before it is learnt from.

use serde::{Deserialize, Serialize};

use crate::random::Random;

/// What a shift uncovers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Border {
    /// Black, as by the CIFAR recipes.
    #[default]
    Black,
    /// The nearest pixel.
    Edge,
}

/// Random changes of an image; the defaults change nothing.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Augmentation {
    /// Shifts by up to so many pixels both ways: the usual "pad and crop". Default 0.
    pub crop: usize,
    /// What a shift uncovers. Default black.
    pub border: Border,
    /// Half of the images are mirrored left to right. Default false.
    pub flip: bool,
    /// Pixels are multiplied by 1 - b to 1 + b. Default 0.
    pub brightness: f64,
    /// Distances from the image's mean are multiplied by 1 - c to 1 + c. Default 0.
    pub contrast: f64,
    /// Mixes two images of a batch by a share from the distribution beta(m, m) (Zhang et al. 2018).
    /// Default 0: off.
    pub mixup: f64,
}

impl Augmentation {
    /// What is wrong with it, if anything.
    pub(super) fn fault(&self) -> Option<String> {
        for (name, value) in [("brightness", self.brightness), ("contrast", self.contrast)] {
            if !(0.0..1.0).contains(&value) {
                return Some(format!("augmentation.{name} is 0 to below 1, not {value}"));
            }
        }
        if !(0.0..=10.0).contains(&self.mixup) {
            return Some(format!("augmentation.mixup is 0 to 10, not {}", self.mixup));
        }
        None
    }

    /// Writes the changed image, `[C, H, W]` in 0..1, from its bytes.
    ///
    /// # Panics
    /// When `from` and `to` are no images of `[channels, height, width]`.
    pub fn apply(
        &self,
        from: &[u8],
        [channels, height, width]: [usize; 3],
        random: &mut Random,
        to: &mut [f32],
    ) {
        assert!(from.len() == to.len() && to.len() == channels * height * width);
        let reach = 2 * self.crop + 1;
        let shift = [random.below(reach), random.below(reach)].map(|n| n as isize);
        let [down, right] = shift.map(|n| n - self.crop as isize);
        let flip = random.bits() >> 63 == 1 && self.flip;
        let gain = random.between(1.0 - self.brightness, 1.0 + self.brightness);
        let slope = random.between(1.0 - self.contrast, 1.0 + self.contrast);
        for (plane, pixels) in from.chunks_exact(height * width).enumerate() {
            let out = &mut to[plane * height * width..][..height * width];
            for (y, row) in out.chunks_exact_mut(width).enumerate() {
                let source = self.place(y as isize - down, height);
                for (x, pixel) in row.iter_mut().enumerate() {
                    let x = if flip { width - 1 - x } else { x };
                    let at = source.zip(self.place(x as isize - right, width));
                    *pixel = at.map_or(0.0, |(y, x)| f32::from(pixels[y * width + x]) / 255.0);
                }
            }
        }
        if self.brightness > 0.0 || self.contrast > 0.0 {
            light(to, gain as f32, slope as f32);
        }
    }

    /// Where to take a pixel from, if anywhere.
    fn place(&self, at: isize, length: usize) -> Option<usize> {
        let last = length as isize - 1;
        match self.border {
            Border::Edge => Some(at.clamp(0, last) as usize),
            Border::Black => (0..=last).contains(&at).then_some(at as usize),
        }
    }
}

fn light(image: &mut [f32], gain: f32, slope: f32) {
    let mean = image.iter().map(|x| f64::from(*x)).sum::<f64>() / image.len() as f64;
    let mean = mean as f32;
    for pixel in image {
        *pixel = (((*pixel - mean) * slope + mean) * gain).clamp(0.0, 1.0);
    }
}

/// A share from beta(m, m), by two gamma variates of Marsaglia and Tsang 2000.
pub(super) fn share(m: f64, random: &mut Random) -> f64 {
    let (a, b) = (gamma(m, random), gamma(m, random));
    if a + b > 0.0 { a / (a + b) } else { 0.5 }
}

fn gamma(shape: f64, random: &mut Random) -> f64 {
    // Below 1 their method takes shape + 1 and a power of a uniform number.
    let boost = if shape < 1.0 { (1.0 - random.uniform()).powf(1.0 / shape) } else { 1.0 };
    let d = if shape < 1.0 { shape + 1.0 } else { shape } - 1.0 / 3.0;
    let c = 1.0 / (9.0 * d).sqrt();
    loop {
        let x = random.normal();
        let v = (1.0 + c * x).powi(3);
        let u = 1.0 - random.uniform();
        if v > 0.0 && u.ln() < 0.5 * x * x + d - d * v + d * v.ln() {
            return d * v * boost;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: [usize; 3] = [1, 3, 4];
    const IMAGE: [u8; 12] = [255, 0, 0, 0, 0, 255, 0, 0, 0, 0, 255, 0];

    fn applied(augmentation: &Augmentation, index: u64) -> Vec<f32> {
        let mut out = vec![9.0; 12];
        augmentation.apply(&IMAGE, SHAPE, &mut Random::new(1, "augment", index), &mut out);
        out
    }

    #[test]
    fn the_default_changes_nothing() {
        let plain: Vec<f32> = IMAGE.iter().map(|&x| f32::from(x) / 255.0).collect();
        assert_eq!(applied(&Augmentation::default(), 3), plain);
    }

    /// All nine shifts by one pixel occur, and all their mirror images; nothing else does.
    #[test]
    fn shifts_and_mirrors_are_whole_images() {
        let augmentation = Augmentation { crop: 1, flip: true, ..Augmentation::default() };
        let mut wanted = Vec::new();
        for (down, right, flip) in (0..18).map(|n| (n % 3 - 1, n / 3 % 3 - 1, n / 9 == 1)) {
            let pixel = |n: i32| {
                let (y, x) = (n / 4 - down, if flip { 3 - n % 4 } else { n % 4 } - right);
                let inside = (0..3).contains(&y) && (0..4).contains(&x);
                if inside { f32::from(IMAGE[(y * 4 + x) as usize]) / 255.0 } else { 0.0 }
            };
            wanted.push((0..12).map(pixel).collect::<Vec<f32>>());
        }
        let mut seen = vec![false; wanted.len()];
        for index in 0..600 {
            let image = applied(&augmentation, index);
            let at = wanted.iter().position(|wanted| *wanted == image);
            seen[at.expect("a shift, perhaps mirrored")] = true;
        }
        // Mirrored and plain may coincide.
        let missing = wanted.iter().zip(&seen).filter(|(image, seen)| {
            !**seen && wanted.iter().filter(|other| other == image).count() == 1
        });
        assert_eq!(missing.count(), 0);
    }

    #[test]
    fn an_edge_is_drawn_out() {
        let augmentation =
            Augmentation { crop: 2, border: Border::Edge, ..Augmentation::default() };
        let mut out = vec![0.0; 12];
        for index in 0..50 {
            augmentation.apply(&[255; 12], SHAPE, &mut Random::new(1, "a", index), &mut out);
            assert!(out.iter().all(|&x| x == 1.0));
        }
    }

    #[test]
    fn light_stays_in_range_and_varies() {
        let augmentation =
            Augmentation { brightness: 0.5, contrast: 0.5, ..Augmentation::default() };
        let sums: Vec<f32> = (0..40).map(|n| applied(&augmentation, n).iter().sum()).collect();
        assert!((0..40).all(|n| applied(&augmentation, n).iter().all(|x| (0.0..=1.0).contains(x))));
        assert!(sums.iter().any(|s| *s < 2.5) && sums.iter().any(|s| *s > 3.2), "{sums:?}");
    }

    /// Mean 1/2 and variance 1 / (4 (2 m + 1)) of beta(m, m).
    #[test]
    fn shares_follow_beta() {
        for m in [0.2, 1.0, 3.0] {
            let drawn: Vec<f64> =
                (0..20_000).map(|n| share(m, &mut Random::new(2, "mixup", n))).collect();
            let mean = drawn.iter().sum::<f64>() / 20_000.0;
            let variance = drawn.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 20_000.0;
            let wanted = 1.0 / (4.0 * (2.0 * m + 1.0));
            assert!((mean - 0.5).abs() < 0.01, "{m}: {mean}");
            assert!((variance / wanted - 1.0).abs() < 0.05, "{m}: {variance} {wanted}");
        }
    }
}
