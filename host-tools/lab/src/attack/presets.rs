//! The numbers of others, each under the name of its source.

use crate::error::LabError;

use super::carlini_wagner::CarliniWagner;
use super::iterative_sign::{Ball, Start};
use super::names::named;
use super::options::{Method, Target};

/// Whose numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Preset {
    /// Ours: torchattacks 3's numbers at its eps, scaled with eps; Carlini and Wagner's own search.
    #[default]
    Lab,
    /// Kurakin, Goodfellow, Bengio 2016 (arXiv 1607.02533).
    Kurakin,
    /// torchattacks 3.5.1 (2023).
    Torchattacks3,
    /// torchattacks 2.11 to 3.2 (2021, 2022): the ball was right, the old numbers stood.
    Torchattacks2022,
    /// torchattacks up to 2.10 (2020): the ball moves with the image.
    Torchattacks2,
    /// foolbox 3.3.4.
    Foolbox3,
    /// Adversarial Robustness Toolbox 1.20.
    Art,
    /// Lee et al. 2018, deep_Mahalanobis_detector.
    Lee18,
}

named!(
    Preset,
    "preset",
    Lab = "lab",
    Kurakin = "kurakin",
    Torchattacks3 = "torchattacks3",
    Torchattacks2022 = "torchattacks2022",
    Torchattacks2 = "torchattacks2",
    Foolbox3 = "foolbox3",
    Art = "art",
    Lee18 = "lee18"
);

/// Length of a step.
#[derive(Clone, Copy)]
pub(super) enum Alpha {
    /// In pixels of 0..1.
    Pixels(f64),
    /// In eps.
    Eps(f64),
}

impl Alpha {
    pub(super) fn pixels(self, eps: f64) -> f64 {
        match self {
            Alpha::Pixels(alpha) => alpha,
            Alpha::Eps(share) => share * eps,
        }
    }
}

/// How many steps.
#[derive(Clone, Copy)]
pub(super) enum Steps {
    Fixed(usize),
    /// min(e + 4, 1.25 e) for e = 255 eps, cut to whole steps as torchattacks does.
    Kurakin,
}

impl Steps {
    pub(super) fn count(self, eps: f64) -> usize {
        match self {
            Steps::Fixed(steps) => steps,
            Steps::Kurakin => {
                // A little above, for an eps of k/255 whose product is a rounding below k.
                let levels = eps * 255.0 + 1e-9;
                ((levels + 4.0).min(1.25 * levels) as usize).max(1)
            }
        }
    }
}

/// One attack by signs of one source.
pub(super) struct Row {
    preset: Preset,
    method: Method,
    /// `None` where the caller has to say.
    pub(super) eps: Option<f64>,
    pub(super) alpha: Alpha,
    pub(super) steps: Steps,
    pub(super) start: Start,
    pub(super) ball: Ball,
    pub(super) target: Target,
}

/// Away from the image's class.
const fn away(
    preset: Preset,
    method: Method,
    eps: Option<f64>,
    alpha: Alpha,
    steps: Steps,
    start: Start,
    ball: Ball,
) -> Row {
    Row { preset, method, eps, alpha, steps, start, ball, target: Target::None }
}

/// IterLL, towards a class, from the clean image.
const fn towards(
    target: Target,
    preset: Preset,
    eps: Option<f64>,
    alpha: Alpha,
    steps: Steps,
    ball: Ball,
) -> Row {
    Row { preset, method: Method::IterLl, eps, alpha, steps, start: Start::Clean, ball, target }
}

const BYTE: f64 = 1.0 / 255.0;
/// Where nobody says otherwise.
pub(super) const EPS: f64 = 8.0 * BYTE;

#[rustfmt::skip]
const SIGNS: &[Row] = {
    use Alpha::{Eps, Pixels};
    use Ball::{Moving, Origin};
    use Method::{Bim, Fgsm, Pgd};
    use Preset::*;
    use Start::{Clean, Uniform};
    use Steps::{Fixed, Kurakin as ByEps};
    use Target::LeastLikely;
    const LEAST_OTHER: Target = Target::OtherLeastLikely(1);
    &[
        away(Lab, Fgsm, Some(EPS), Eps(1.0), Fixed(1), Clean, Origin),
        away(Lab, Bim, Some(EPS), Eps(0.25), Fixed(10), Clean, Origin),
        away(Lab, Pgd, Some(EPS), Eps(0.25), Fixed(10), Uniform, Origin),
        towards(LeastLikely, Lab, Some(EPS), Eps(0.25), Fixed(10), Origin),
        // Section 2: steps of one grey level, as many as reach the edge and a few more.
        away(Kurakin, Fgsm, None, Eps(1.0), Fixed(1), Clean, Origin),
        away(Kurakin, Bim, None, Pixels(BYTE), ByEps, Clean, Origin),
        towards(LeastLikely, Kurakin, None, Pixels(BYTE), ByEps, Origin),
        // attacks/fgsm.py, bim.py, pgd.py of 3.5.1; IterLL is BIM with
        // set_mode_targeted_least_likely().
        away(Torchattacks3, Fgsm, Some(EPS), Eps(1.0), Fixed(1), Clean, Origin),
        away(Torchattacks3, Bim, Some(EPS), Pixels(2.0 * BYTE), Fixed(10), Clean, Origin),
        away(Torchattacks3, Pgd, Some(EPS), Pixels(2.0 * BYTE), Fixed(10), Uniform, Origin),
        towards(LEAST_OTHER, Torchattacks3, Some(EPS), Pixels(2.0 * BYTE), Fixed(10), Origin),
        // The same files until autumn 2022. IterLL was no attack of its own any more.
        away(Torchattacks2022, Fgsm, Some(0.007), Eps(1.0), Fixed(1), Clean, Origin),
        away(Torchattacks2022, Bim, Some(4.0 * BYTE), Pixels(BYTE), ByEps, Clean, Origin),
        away(Torchattacks2022, Pgd, Some(0.3), Pixels(2.0 * BYTE), Fixed(40), Uniform, Origin),
        towards(LEAST_OTHER, Torchattacks2022, Some(4.0 * BYTE), Pixels(BYTE), ByEps, Origin),
        // bim.py, stepll.py up to 2.10: clipped around the image before the step; PGD without
        // random start.
        away(Torchattacks2, Fgsm, Some(0.007), Eps(1.0), Fixed(1), Clean, Origin),
        away(Torchattacks2, Bim, Some(4.0 * BYTE), Pixels(BYTE), ByEps, Clean, Moving),
        away(Torchattacks2, Pgd, Some(0.3), Pixels(2.0 * BYTE), Fixed(40), Clean, Origin),
        towards(LeastLikely, Torchattacks2, Some(4.0 * BYTE), Pixels(BYTE), ByEps, Moving),
        // attacks/gradient_descent_base.py, basic_iterative_method.py,
        // projected_gradient_descent.py: rel_stepsize 0.2, and 0.01 / 0.3.
        away(Foolbox3, Fgsm, None, Eps(1.0), Fixed(1), Clean, Origin),
        away(Foolbox3, Bim, None, Eps(0.2), Fixed(10), Clean, Origin),
        away(Foolbox3, Pgd, None, Eps(1.0 / 30.0), Fixed(40), Uniform, Origin),
        towards(LeastLikely, Foolbox3, None, Eps(0.2), Fixed(10), Origin),
        // evasion/fast_gradient.py, basic_iterative_method.py, projected_gradient_descent:
        // num_random_init is 0.
        away(Art, Fgsm, Some(0.3), Eps(1.0), Fixed(1), Clean, Origin),
        away(Art, Bim, Some(0.3), Pixels(0.1), Fixed(100), Clean, Origin),
        away(Art, Pgd, Some(0.3), Pixels(0.1), Fixed(100), Clean, Origin),
        towards(LeastLikely, Art, Some(0.3), Pixels(0.1), Fixed(100), Origin),
        // ADV_Generate_CIFAR.py, lib/adversary.py. The first of the original's steps is shorter
        // by the channel's standard deviation, which lies inside our models: not reproduced.
        away(Lee18, Fgsm, Some(0.05), Eps(1.0), Fixed(1), Clean, Origin),
        away(Lee18, Bim, None, Pixels(0.01), Fixed(6), Clean, Ball::None),
    ]
};

const fn least_l2(searches: usize, initial_c: f64, steps: usize) -> CarliniWagner {
    let (learning_rate, kappa, abort_early) = (1e-2, 0.0, true);
    CarliniWagner { searches, initial_c, steps, learning_rate, kappa, abort_early }
}

const CARLINI_WAGNER: &[(Preset, CarliniWagner)] = &[
    // nn_robust_attacks, l2_attack.py, as LID and foolbox have it.
    (Preset::Lab, least_l2(9, 1e-3, 1000)),
    // attacks/cw.py: one c; the original ends a whole batch early, which is not reproduced.
    (Preset::Torchattacks3, least_l2(1, 1.0, 50)),
    (Preset::Torchattacks2022, least_l2(1, 1e-4, 1000)),
    (Preset::Torchattacks2, least_l2(1, 1e-4, 1000)),
    // attacks/carlini_wagner.py
    (Preset::Foolbox3, least_l2(9, 1e-3, 10_000)),
];

/// The row of a preset.
pub(super) fn sign(method: Method, preset: Preset) -> Result<&'static Row, LabError> {
    let found = SIGNS.iter().find(|row| row.preset == preset && row.method == method);
    let having = SIGNS.iter().filter(|row| row.method == method).map(|row| row.preset);
    found.ok_or_else(|| no_such(method, preset, having))
}

/// The numbers of a preset.
pub(super) fn carlini_wagner(preset: Preset) -> Result<CarliniWagner, LabError> {
    let found = CARLINI_WAGNER.iter().find(|row| row.0 == preset);
    let having = CARLINI_WAGNER.iter().map(|row| row.0);
    found.map(|row| row.1).ok_or_else(|| no_such(Method::Cw, preset, having))
}

fn no_such(method: Method, preset: Preset, having: impl Iterator<Item = Preset>) -> LabError {
    let having: Vec<&str> = having.map(Preset::name).collect();
    let having = having.join(", ");
    LabError::Options(format!("preset {preset} has no {method}; these have: {having}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attack::{Choice, Kind, resolve};

    fn numbers(method: Method, preset: Preset, eps: Option<f64>) -> [f64; 3] {
        let choice = Choice { eps, ..Choice::default() };
        match resolve(method, preset, &choice).expect("a row").kind {
            Kind::Sign(sign) => [sign.eps, sign.alpha, sign.steps as f64],
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn presets_have_their_sources_numbers() {
        use Method::{Bim, Fgsm, IterLl, Pgd};
        use Preset::{Art, Foolbox3, Kurakin, Lab, Lee18, Torchattacks3, Torchattacks2022};
        let b = BYTE;
        let cases = [
            (Pgd, Lab, Some(4.0 * b), [4.0 * b, b, 10.0]),
            (Bim, Kurakin, Some(16.0 * b), [16.0 * b, b, 20.0]),
            (Bim, Kurakin, Some(8.0 * b), [8.0 * b, b, 10.0]),
            (IterLl, Torchattacks2022, None, [4.0 * b, b, 5.0]),
            (Pgd, Torchattacks2022, None, [0.3, 2.0 * b, 40.0]),
            (Pgd, Torchattacks3, Some(0.1), [0.1, 2.0 * b, 10.0]),
            (Pgd, Foolbox3, Some(0.3), [0.3, 0.01, 40.0]),
            (Fgsm, Art, None, [0.3, 0.3, 1.0]),
            (Bim, Lee18, None, [1.0, 0.01, 6.0]),
        ];
        for (method, preset, eps, wanted) in cases {
            let got = numbers(method, preset, eps);
            let near = got.iter().zip(wanted).all(|(g, w)| (g - w).abs() < 1e-12);
            assert!(near, "{preset} {method}: {got:?}, not {wanted:?}");
        }
    }
}
