//! FGSM, BIM, PGD and IterLL: steps along the sign of the gradient of the cross-entropy.
//!
//! Sources: Goodfellow et al. 2014 (FGSM), Kurakin et al. 2016 (BIM, IterLL), Madry et al. 2017
//! (PGD). What the libraries do differently is an option.

use crate::random::Random;

use super::loss::cross_entropy_direction;
use super::search::{Aim, Search};

/// Where the first step starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// At the clean image.
    Clean,
    /// Uniform within eps of it, cut to 0..1.
    Uniform,
}

/// What keeps the image within eps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ball {
    /// The clean image.
    Origin,
    /// The image before each step, as in torchattacks before 2.11: no bound on the whole.
    Moving,
    /// Nothing but 0..1, as in Lee et al. 2018.
    None,
}

/// The step where the gradient is exactly zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignZero {
    /// None, as torch.sign.
    Zero,
    /// Up, as `(g >= 0) * 2 - 1` of ODIN and Lee et al.
    Plus,
}

/// The options of one attack by signs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct IterativeSign {
    /// Radius of the ball in pixels of 0..1.
    pub eps: f64,
    /// Length of a step in pixels of 0..1.
    pub alpha: f64,
    /// How many steps.
    pub steps: usize,
    /// Where the first step starts.
    pub start: Start,
    /// What eps counts from.
    pub ball: Ball,
    /// The step where the gradient is zero.
    pub sign_zero: SignZero,
}

impl IterativeSign {
    /// The image where the first step starts, for the image `index` of a set.
    pub fn first(&self, clean: &[f32], seed: u64, index: u64) -> Vec<f32> {
        match self.start {
            Start::Clean => clean.to_vec(),
            Start::Uniform => {
                let mut random = Random::new(seed, "start", index);
                let moved =
                    |&x: &f32| clamp(x + random.between(-self.eps, self.eps) as f32, 0.0, 1.0);
                clean.iter().map(moved).collect()
            }
        }
    }

    /// One step. `direction` is 1 up the gradient, -1 down.
    ///
    /// In f32, in the order of the libraries: the step, the ball, then 0..1.
    pub fn step(&self, clean: &[f32], image: &mut [f32], gradient: &[f32], direction: f32) {
        let (eps, step) = (self.eps as f32, self.alpha as f32 * direction);
        for ((x, &clean), &g) in image.iter_mut().zip(clean).zip(gradient) {
            let moved = *x + step * self.sign(g);
            *x = match self.ball {
                Ball::Origin => within(moved, clean, eps),
                Ball::Moving => within(moved, *x, eps),
                Ball::None => clamp(moved, 0.0, 1.0),
            };
        }
    }

    fn sign(&self, g: f32) -> f32 {
        match (g > 0.0, g < 0.0, self.sign_zero) {
            (true, ..) | (false, false, SignZero::Plus) => 1.0,
            (false, true, _) => -1.0,
            (false, false, SignZero::Zero) => 0.0,
        }
    }
}

fn within(x: f32, centre: f32, eps: f32) -> f32 {
    clamp(clamp(x, centre - eps, centre + eps), 0.0, 1.0)
}

fn clamp(x: f32, low: f32, high: f32) -> f32 {
    if x <= low {
        low
    } else if x >= high {
        high
    } else {
        x
    }
}

/// One image on its way.
pub struct SignSearch {
    options: IterativeSign,
    aim: Aim,
    clean: Vec<f32>,
    image: Vec<f32>,
    left: usize,
}

impl SignSearch {
    /// Begins for the image `index` of a set.
    pub fn new(options: IterativeSign, aim: Aim, clean: &[f32], seed: u64, index: u64) -> Self {
        let image = options.first(clean, seed, index);
        Self { options, aim, clean: clean.to_vec(), image, left: options.steps }
    }
}

impl Search for SignSearch {
    fn image(&self) -> &[f32] {
        &self.image
    }

    fn cotangent(&self, logits: &[f32], cotangent: &mut [f32]) {
        cross_entropy_direction(logits, self.aim.class(), cotangent);
    }

    fn advance(&mut self, _: &[f32], gradient: &[f32]) -> bool {
        let direction = match self.aim {
            Aim::From(_) => 1.0,
            Aim::To(_) => -1.0,
        };
        self.options.step(&self.clean, &mut self.image, gradient, direction);
        self.left -= 1;
        self.left == 0
    }

    fn finish(self: Box<Self>) -> Option<Vec<f32>> {
        Some(self.image)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: IterativeSign = IterativeSign {
        eps: 0.1,
        alpha: 0.07,
        steps: 3,
        start: Start::Clean,
        ball: Ball::Origin,
        sign_zero: SignZero::Zero,
    };

    fn walk(options: IterativeSign, direction: f32) -> Vec<f32> {
        let clean = [0.5, 0.5, 0.5, 0.02, 0.98];
        let gradient = [2.0, -3.0, 0.0, -1.0, 1.0];
        let mut image = options.first(&clean, 0, 0);
        for _ in 0..options.steps {
            options.step(&clean, &mut image, &gradient, direction);
        }
        image
    }

    fn assert_near(got: &[f32], wanted: &[f32], what: &str) {
        let near = got.iter().zip(wanted).all(|(g, w)| (g - w).abs() < 1e-6);
        assert!(near && got.len() == wanted.len(), "{what}: {got:?}, not {wanted:?}");
    }

    #[test]
    fn balls_and_zeros_are_as_they_are_named() {
        let cases = [
            ("origin", PLAIN, 1.0, [0.6, 0.4, 0.5, 0.0, 1.0]),
            ("down", PLAIN, -1.0, [0.4, 0.6, 0.5, 0.12, 0.88]),
            ("one step", IterativeSign { steps: 1, ..PLAIN }, 1.0, [0.57, 0.43, 0.5, 0.0, 1.0]),
            ("none", IterativeSign { ball: Ball::None, ..PLAIN }, 1.0, [0.71, 0.29, 0.5, 0.0, 1.0]),
            (
                "moving",
                IterativeSign { ball: Ball::Moving, eps: 0.05, ..PLAIN },
                1.0,
                [0.65, 0.35, 0.5, 0.0, 1.0],
            ),
            (
                "plus",
                IterativeSign { sign_zero: SignZero::Plus, ..PLAIN },
                1.0,
                [0.6, 0.4, 0.6, 0.0, 1.0],
            ),
        ];
        for (what, options, direction, wanted) in cases {
            assert_near(&walk(options, direction), &wanted, what);
        }
    }

    #[test]
    fn a_uniform_start_fills_the_ball_and_stays_in_range() {
        let options = IterativeSign { start: Start::Uniform, ..PLAIN };
        let clean = [[0.5; 500], [0.05; 500]].concat();
        let image = options.first(&clean, 3, 9);
        assert_ne!(image, options.first(&clean, 3, 10));
        let (low, high) = image[..500].iter().fold((1f32, 0f32), |(l, h), &x| (l.min(x), h.max(x)));
        assert!((0.4..0.405).contains(&low) && (0.595..0.6001).contains(&high), "{low} {high}");
        let at_zero = image[500..].iter().filter(|&&x| x == 0.0).count();
        assert!((80..170).contains(&at_zero), "a quarter of them is cut: {at_zero}");
    }
}
