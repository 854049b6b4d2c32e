//! Images whose meaning stays while every pixel changes.
//!
//! `semantic-negative`: Hosseini et al. 2017 (arXiv 1703.06857), `1 - x`.
//! `semantic-hsv`: Hosseini and Poovendran 2018 (arXiv 1804.00499), random shifts of hue and
//! saturation; the value stays.

use crate::random::Random;

use super::search::{Aim, Search};

/// `1 - x`.
pub fn negative(pixels: &[f32]) -> Vec<f32> {
    pixels.iter().map(|x| 1.0 - x).collect()
}

/// Shifts hue and saturation of an RGB image (planes): hue modulo 1, saturation cut to 0..1.
pub fn shift(pixels: &[f32], hue: f64, saturation: f64) -> Vec<f32> {
    let plane = pixels.len() / 3;
    let mut out = vec![0.0; pixels.len()];
    for at in 0..plane {
        let rgb = [0, 1, 2].map(|c| f64::from(pixels[c * plane + at]));
        let [h, s, v] = to_hsv(rgb);
        let shifted = [(h + hue).rem_euclid(1.0), (s + saturation).clamp(0.0, 1.0), v];
        for (c, x) in to_rgb(shifted).into_iter().enumerate() {
            out[c * plane + at] = x as f32;
        }
    }
    out
}

/// Each in 0..1; grey has hue 0.
fn to_hsv([r, g, b]: [f64; 3]) -> [f64; 3] {
    let (high, low) = (r.max(g).max(b), r.min(g).min(b));
    let span = high - low;
    if span == 0.0 {
        return [0.0, 0.0, high];
    }
    let sixths = if high == r {
        (g - b) / span
    } else if high == g {
        2.0 + (b - r) / span
    } else {
        4.0 + (r - g) / span
    };
    [(sixths / 6.0).rem_euclid(1.0), span / high, high]
}

fn to_rgb([h, s, v]: [f64; 3]) -> [f64; 3] {
    // How far each primary lies from the hue, in sixths of the circle, says how much it keeps.
    [5.0, 3.0, 1.0].map(|primary| {
        let k = (primary + h * 6.0) % 6.0;
        v - v * s * k.min(4.0 - k).clamp(0.0, 1.0)
    })
}

/// The options of `semantic-hsv`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SemanticHsv {
    /// Shifts that are tried; the first that succeeds is kept.
    pub trials: usize,
}

/// One image on its way.
pub struct HsvSearch {
    options: SemanticHsv,
    aim: Aim,
    clean: Vec<f32>,
    image: Vec<f32>,
    random: Random,
    trial: usize,
    found: bool,
}

impl HsvSearch {
    /// Begins for the RGB image `index` of a set.
    pub fn new(options: SemanticHsv, aim: Aim, clean: &[f32], seed: u64, index: u64) -> Self {
        let random = Random::new(seed, "hsv", index);
        let mut search = Self {
            options,
            aim,
            clean: clean.to_vec(),
            image: vec![],
            random,
            trial: 0,
            found: false,
        };
        search.propose();
        search
    }

    /// Hue anywhere, saturation the further away the later the trial.
    fn propose(&mut self) {
        let reach = self.trial as f64 / self.options.trials as f64;
        let hue = self.random.uniform();
        let saturation = self.random.between(-1.0, 1.0) * reach;
        self.image = shift(&self.clean, hue, saturation);
    }
}

impl Search for HsvSearch {
    fn image(&self) -> &[f32] {
        &self.image
    }

    fn cotangent(&self, _: &[f32], _: &mut [f32]) {}

    fn advance(&mut self, logits: &[f32], _: &[f32]) -> bool {
        self.found = self.aim.distance(logits) < 0.0;
        self.trial += 1;
        if self.found || self.trial == self.options.trials {
            return true;
        }
        self.propose();
        false
    }

    fn finish(self: Box<Self>) -> Option<Vec<f32>> {
        self.found.then_some(self.image)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_have_their_hues() {
        let cases = [
            ([1.0, 0.0, 0.0], [0.0, 1.0, 1.0]),
            ([0.0, 0.5, 0.0], [1.0 / 3.0, 1.0, 0.5]),
            ([0.2, 0.2, 0.8], [2.0 / 3.0, 0.75, 0.8]),
            ([1.0, 1.0, 0.0], [1.0 / 6.0, 1.0, 1.0]),
            ([1.0, 0.0, 0.5], [11.0 / 12.0, 1.0, 1.0]),
            ([0.3, 0.3, 0.3], [0.0, 0.0, 0.3]),
            ([0.0, 0.0, 0.0], [0.0, 0.0, 0.0]),
        ];
        let near = |a: [f64; 3], b: [f64; 3]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-12);
        for (rgb, hsv) in cases {
            assert!(near(to_hsv(rgb), hsv), "{rgb:?} -> {:?}", to_hsv(rgb));
            assert!(near(to_rgb(hsv), rgb), "{hsv:?} -> {:?}", to_rgb(hsv));
        }
    }

    #[test]
    fn shifts_turn_colours_and_leave_the_value() {
        let red = [1.0, 0.0, 0.0];
        assert_eq!(shift(&red, 1.0 / 3.0, 0.0), [0.0, 1.0, 0.0]);
        assert_eq!(shift(&red, 0.0, -1.0), [1.0, 1.0, 1.0]);
        assert_eq!(shift(&[0.25; 3], 0.7, 0.0), [0.25; 3]);
        assert_eq!(negative(&[0.0, 0.25, 1.0]), [1.0, 0.75, 0.0]);
    }
}
