//! The images that an attacker may show: bytes within eps of the clean image.

use crate::attack::iterative_sign::{Ball as Bound, IterativeSign, SignZero, Start};
use crate::random::Random;

/// The L_inf ball around an image.
#[derive(Clone, Copy)]
pub(crate) struct Ball<'c> {
    /// Pixels in 0..1.
    pub clean: &'c [f32],
    /// In pixels of 0..1.
    pub eps: f64,
}

/// How far, in 1/255, rounding may make an eps of whole bytes look smaller.
const SLACK: f64 = 1e-3;

impl Ball<'_> {
    /// Where a walk begins: the clean image, then by chance.
    pub fn start(&self, restart: usize, seed: u64, index: u64) -> Vec<f32> {
        let start = if restart == 0 { Start::Clean } else { Start::Uniform };
        let seed = seed.wrapping_add(restart as u64);
        IterativeSign { start, ..self.steps(0.0) }.first(self.clean, seed, index)
    }

    /// Steps by `length` down the gradient's signs.
    pub fn descend(&self, image: &mut [f32], gradient: &[f32], length: f64) {
        self.steps(length).step(self.clean, image, gradient, -1.0);
    }

    fn steps(&self, alpha: f64) -> IterativeSign {
        IterativeSign {
            eps: self.eps,
            alpha,
            steps: 1,
            start: Start::Clean,
            ball: Bound::Origin,
            sign_zero: SignZero::Zero,
        }
    }

    /// Every pixel at the ball's edge, up or down by chance.
    pub fn noise(&self, seed: u64, index: u64) -> Vec<f32> {
        let mut random = Random::new(seed, "noise", index);
        let eps = self.eps as f32;
        self.clean.iter().map(|&x| (x + eps * random.sign()).clamp(0.0, 1.0)).collect()
    }

    /// An image as a device would see it: [`Ball::bytes`] in pixels of 0..1.
    pub fn shown(&self, image: &[f32]) -> Vec<f32> {
        pixels(&self.bytes(image))
    }

    /// The nearest bytes within the ball; where it holds none, the nearest to it.
    pub fn bytes(&self, image: &[f32]) -> Vec<u8> {
        let byte = |(&x, &clean): (&f32, &f32)| {
            let (level, clean) = (f64::from(x) * 255.0, f64::from(clean) * 255.0);
            let eps = self.eps * 255.0 + SLACK;
            let (low, high) = ((clean - eps).ceil(), (clean + eps).floor());
            let nearest = level.round();
            let within = if low <= high { nearest.clamp(low, high) } else { clean.round() };
            within.clamp(0.0, 255.0) as u8
        };
        image.iter().zip(self.clean).map(byte).collect()
    }
}

/// Pixels in 0..1 of bytes.
pub(crate) fn pixels(bytes: &[u8]) -> Vec<f32> {
    bytes.iter().map(|&byte| f32::from(byte) / 255.0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_stay_in_the_ball() {
        let clean = [10.0, 10.0, 10.4, 254.0, 10.5].map(|x: f32| x / 255.0);
        let image = [11.0, 10.4, 11.4, 256.0, 10.9].map(|x: f32| x / 255.0);
        let cases = [(1.0, [11, 10, 11, 255, 11]), (0.45, [10, 10, 10, 254, 11])];
        for (eps, wanted) in cases {
            let ball = Ball { clean: &clean, eps: eps / 255.0 };
            assert_eq!(ball.bytes(&image), wanted, "{eps}");
        }
    }

    #[test]
    fn noise_lies_on_the_edge() {
        let clean = vec![0.5; 400];
        let ball = Ball { clean: &clean, eps: 2.0 / 255.0 };
        let noise = ball.noise(3, 5);
        assert_ne!(noise, ball.noise(3, 6));
        let up = noise.iter().filter(|&&x| x > 0.5).count();
        assert!((150..250).contains(&up), "{up}");
        assert!(noise.iter().all(|x| ((x - 0.5).abs() - 2.0 / 255.0).abs() < 1e-6));
    }
}
