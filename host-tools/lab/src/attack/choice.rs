//! What a user chooses instead of a preset's numbers, and what is refused.

use crate::error::LabError;

use super::carlini_wagner::CarliniWagner;
use super::iterative_sign::{Ball, IterativeSign, SignZero, Start};
use super::options::{Attack, CleanWrong, Goal, Kind, Labels, Method, Target};
use super::presets::{self, EPS, Preset};
use super::semantic::SemanticHsv;
use super::square::Square;

/// What a user chooses instead of the preset's numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Choice {
    /// Radius in pixels of 0..1.
    pub eps: Option<f64>,
    /// Length of a step in pixels of 0..1.
    pub alpha: Option<f64>,
    /// Steps, steps a round (cw), trials (semantic-hsv) or questions (square).
    pub steps: Option<usize>,
    /// Where the first step starts.
    pub start: Option<Start>,
    /// What eps counts from.
    pub ball: Option<Ball>,
    /// The step where the gradient is zero.
    pub sign_zero: Option<SignZero>,
    /// Rounds of the search for c.
    pub searches: Option<usize>,
    /// c of the first round.
    pub initial_c: Option<f64>,
    /// Adam's learning rate.
    pub learning_rate: Option<f64>,
    /// Margin that counts as success.
    pub kappa: Option<f64>,
    /// Rounds go on though nothing moves.
    pub no_abort: bool,
    /// The class aimed at.
    pub target: Option<Target>,
    /// What counts as success.
    pub goal: Option<Goal>,
    /// Whose class it moves away from.
    pub labels: Labels,
    /// What is done with images that are wrong already.
    pub clean_wrong: CleanWrong,
    /// Round to bytes.
    pub round8: bool,
    /// Seed of all random numbers.
    pub seed: u64,
}

/// An attack with the numbers of `preset` where `choice` has none.
///
/// # Errors
/// When a number is out of its range, the preset has no such attack, or the attack has no such
/// option.
pub fn resolve(method: Method, preset: Preset, choice: &Choice) -> Result<Attack, LabError> {
    check_taken(method, choice)?;
    check_ranges(choice)?;
    let (kind, target) = match method {
        Method::Fgsm | Method::Bim | Method::Pgd | Method::IterLl => sign(method, preset, choice)?,
        Method::Cw => (carlini_wagner(preset, choice)?, Target::None),
        Method::SemanticNegative => (Kind::SemanticNegative, Target::None),
        Method::SemanticHsv => {
            let trials = choice.steps.unwrap_or(1000);
            (Kind::SemanticHsv(SemanticHsv { trials }), Target::None)
        }
        Method::Square => {
            let eps = choice.eps.unwrap_or(EPS);
            // AutoAttack's.
            let queries = choice.steps.unwrap_or(5000);
            (Kind::Square(Square { eps, queries, share: 0.8 }), Target::None)
        }
    };
    let target = choice.target.unwrap_or(target);
    let goal = goal(method, target, choice.goal)?;
    let Choice { labels, clean_wrong, round8, seed, .. } = *choice;
    Ok(Attack { method, preset, kind, labels, target, goal, clean_wrong, round8, seed })
}

/// A step of signs towards the least likely class is there to make the class wrong; other targets
/// are meant.
fn goal(method: Method, target: Target, chosen: Option<Goal>) -> Result<Goal, LabError> {
    let least = matches!(target, Target::LeastLikely | Target::OtherLeastLikely(_));
    match chosen {
        Some(Goal::Target) if target == Target::None => {
            Err(LabError::Options("goal `target` needs a target: name one, as `random`".to_owned()))
        }
        Some(goal) => Ok(goal),
        None if target == Target::None || (least && method == Method::IterLl) => {
            Ok(Goal::Misclassified)
        }
        None => Ok(Goal::Target),
    }
}

fn sign(method: Method, preset: Preset, choice: &Choice) -> Result<(Kind, Target), LabError> {
    let row = presets::sign(method, preset)?;
    let start = choice.start.unwrap_or(row.start);
    let ball = choice.ball.unwrap_or(row.ball);
    let eps = match choice.eps.or(row.eps) {
        Some(eps) => eps,
        // Bounds nothing, so none is needed.
        None if ball == Ball::None && start == Start::Clean => 1.0,
        None => {
            let text = format!("preset {preset} leaves eps to you: choose it, as 8/255");
            return Err(LabError::Options(text));
        }
    };
    let alpha = choice.alpha.unwrap_or(row.alpha.pixels(eps));
    let steps = choice.steps.unwrap_or(row.steps.count(eps));
    let default = if preset == Preset::Lee18 { SignZero::Plus } else { SignZero::Zero };
    let sign_zero = choice.sign_zero.unwrap_or(default);
    Ok((Kind::Sign(IterativeSign { eps, alpha, steps, start, ball, sign_zero }), row.target))
}

fn carlini_wagner(preset: Preset, choice: &Choice) -> Result<Kind, LabError> {
    let row = presets::carlini_wagner(preset)?;
    Ok(Kind::CarliniWagner(CarliniWagner {
        searches: choice.searches.unwrap_or(row.searches),
        initial_c: choice.initial_c.unwrap_or(row.initial_c),
        steps: choice.steps.unwrap_or(row.steps),
        learning_rate: choice.learning_rate.unwrap_or(row.learning_rate),
        kappa: choice.kappa.unwrap_or(row.kappa),
        abort_early: row.abort_early && !choice.no_abort,
    }))
}

/// Refuses options that would do nothing.
fn check_taken(method: Method, choice: &Choice) -> Result<(), LabError> {
    use Method::{Bim, Cw, Fgsm, IterLl, Pgd, SemanticHsv, SemanticNegative, Square};
    let iterative: &[Method] = &[Bim, Pgd, IterLl];
    let eps: &[Method] = &[Fgsm, Bim, Pgd, IterLl, Square];
    let steps: &[Method] = &[Bim, Pgd, IterLl, Cw, SemanticHsv, Square];
    let aimed: &[Method] = &[Fgsm, Bim, Pgd, IterLl, Cw, SemanticHsv, Square];
    let signs: &[Method] = &[Fgsm, Bim, Pgd, IterLl];
    let given = [
        ("eps", choice.eps.is_some(), eps),
        ("alpha", choice.alpha.is_some(), iterative),
        ("steps", choice.steps.is_some(), steps),
        ("start", choice.start.is_some(), iterative),
        ("ball", choice.ball.is_some(), iterative),
        ("sign-zero", choice.sign_zero.is_some(), signs),
        ("searches", choice.searches.is_some(), &[Cw]),
        ("initial-c", choice.initial_c.is_some(), &[Cw]),
        ("learning-rate", choice.learning_rate.is_some(), &[Cw]),
        ("kappa", choice.kappa.is_some(), &[Cw]),
        ("no-abort", choice.no_abort, &[Cw]),
        ("targets", choice.target.is_some_and(|target| target != Target::None), aimed),
    ];
    debug_assert!(!aimed.contains(&SemanticNegative));
    match given.iter().find(|(_, given, takers)| *given && !takers.contains(&method)) {
        None => Ok(()),
        Some((name, _, takers)) => {
            let takers: Vec<&str> = takers.iter().map(|taker| taker.name()).collect();
            let takers = takers.join(", ");
            let text = format!("{method} has no option `{name}`; these have: {takers}");
            Err(LabError::Options(text))
        }
    }
}

fn check_ranges(choice: &Choice) -> Result<(), LabError> {
    let refuse = |text: String| Err(LabError::Options(text));
    for (name, value) in [("eps", choice.eps), ("alpha", choice.alpha)] {
        if let Some(value) = value.filter(|value| !(*value > 0.0 && *value <= 1.0)) {
            return refuse(format!(
                "{name} {value}: pixels are 0 to 1, so it is above 0 and at most 1; grey levels \
                 are written as 8/255"
            ));
        }
    }
    if choice.steps == Some(0) || choice.searches == Some(0) {
        return refuse("steps and searches begin at 1".to_owned());
    }
    for (name, value) in [("initial-c", choice.initial_c), ("learning-rate", choice.learning_rate)]
    {
        if let Some(value) = value.filter(|value| !(*value > 0.0 && value.is_finite())) {
            return refuse(format!("{name} {value}: it is above 0 and finite"));
        }
    }
    match choice.kappa {
        Some(kappa) if !(kappa >= 0.0 && kappa.is_finite()) => {
            refuse(format!("kappa {kappa}: it is 0 or more, in logits"))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_makes_no_sense_is_refused() {
        let none = Choice::default();
        use Method::{Bim, Cw, Fgsm, Pgd, SemanticNegative};
        let cases = [
            (Bim, Preset::Kurakin, none, "leaves eps to you"),
            (Pgd, Preset::Lee18, none, "lee18 has no pgd; these have: lab, torch"),
            (Cw, Preset::Art, none, "art has no cw"),
            (Pgd, Preset::Lab, Choice { eps: Some(8.0), ..none }, "written as 8/255"),
            (Pgd, Preset::Lab, Choice { eps: Some(0.0), ..none }, "above 0"),
            (Pgd, Preset::Lab, Choice { alpha: Some(f64::NAN), ..none }, "alpha NaN"),
            (Pgd, Preset::Lab, Choice { steps: Some(0), ..none }, "begin at 1"),
            (Fgsm, Preset::Lab, Choice { steps: Some(2), ..none }, "fgsm has no option `steps`"),
            (Pgd, Preset::Lab, Choice { kappa: Some(1.0), ..none }, "no option `kappa`"),
            (Cw, Preset::Lab, Choice { kappa: Some(-1.0), ..none }, "0 or more"),
            (Cw, Preset::Lab, Choice { initial_c: Some(0.0), ..none }, "initial-c 0"),
            (SemanticNegative, Preset::Lab, Choice { eps: Some(0.1), ..none }, "no option `eps`"),
            (Pgd, Preset::Lab, Choice { goal: Some(Goal::Target), ..none }, "needs a target"),
        ];
        for (method, preset, choice, says) in cases {
            let error = resolve(method, preset, &choice).expect_err(says).to_string();
            assert!(error.contains(says), "{error}");
        }
    }
}
