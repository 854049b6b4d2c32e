//! What decides an attack, on the command line.

use std::str::FromStr;

use gradgate_lab::LabError;
use gradgate_lab::attack::iterative_sign::{Ball, SignZero, Start};
use gradgate_lab::attack::{
    Attack, Choice, CleanWrong, Goal, Labels, Method, Preset, Target, resolve,
};

/// A number, or a fraction as 8/255.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fraction(f64);

impl FromStr for Fraction {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = |word: &str| word.trim().parse::<f64>().ok().filter(|x| x.is_finite());
        let value = match text.split_once('/') {
            None => number(text),
            Some((over, under)) => number(over)
                .zip(number(under).filter(|under| *under != 0.0))
                .map(|(over, under)| over / under),
        };
        value.map(Fraction).ok_or_else(|| "give a number, or a fraction as 8/255".to_owned())
    }
}

/// `semantic` alone is the negative image.
fn method(word: &str) -> Result<Method, LabError> {
    if word == "semantic" { Ok(Method::SemanticNegative) } else { word.parse() }
}

/// Options of all attacks; one that the method does not have is refused.
#[derive(clap::Args, Clone, Debug)]
pub struct OptionArgs {
    /// fgsm, bim, pgd, iterll, cw, semantic (as semantic-negative), semantic-hsv or square
    #[arg(long, value_name = "NAME", value_parser = method)]
    method: Method,
    /// Whose numbers: lab, kurakin, torchattacks3, torchattacks2022, torchattacks2, foolbox3, art
    /// or lee18
    #[arg(long, value_name = "NAME", default_value_t)]
    preset: Preset,
    /// Radius, in pixels of 0..1 [default: 8/255 or the preset's]
    #[arg(long, value_name = "X")]
    eps: Option<Fraction>,
    /// Length of a step, in pixels of 0..1 [default: the preset's]
    #[arg(long, value_name = "X")]
    alpha: Option<Fraction>,
    /// Steps; for cw steps a round, for semantic-hsv trials, for square questions
    #[arg(long, value_name = "N")]
    steps: Option<usize>,
    /// Where the first step starts: clean or uniform
    #[arg(long, value_name = "WORD")]
    start: Option<Start>,
    /// What eps counts from: origin, moving (the image before the step) or none
    #[arg(long, value_name = "WORD")]
    ball: Option<Ball>,
    /// The step where the gradient is zero: zero or plus
    #[arg(long, value_name = "WORD")]
    sign_zero: Option<SignZero>,
    /// cw: rounds of the search for c
    #[arg(long, value_name = "N")]
    searches: Option<usize>,
    /// cw: c of the first round
    #[arg(long, value_name = "X")]
    initial_c: Option<f64>,
    /// cw: Adam's learning rate
    #[arg(long, value_name = "X")]
    learning_rate: Option<f64>,
    /// cw: margin in logits that counts as success
    #[arg(long, value_name = "X")]
    kappa: Option<f64>,
    /// cw: rounds go on though nothing moves
    #[arg(long)]
    no_abort: bool,
    /// The class aimed at: none, least-likely, other-least-likely[:RANK], random or its number
    #[arg(long, value_name = "WORD")]
    targets: Option<Target>,
    /// What counts as success: misclassified or target
    #[arg(long, value_name = "WORD")]
    goal: Option<Goal>,
    /// The class moved away from: given (the frame's label) or own (what the model says of the
    /// clean image)
    #[arg(long, value_name = "WORD", default_value_t)]
    labels: Labels,
    /// Images that are wrong already: leave or attack; neither counts as success
    #[arg(long, value_name = "WORD", default_value_t)]
    clean_wrong: CleanWrong,
    /// Round attacked images to 8 bits, and judge them then
    #[arg(long)]
    round8: bool,
    /// Seed of all random numbers
    #[arg(long, value_name = "N", default_value_t)]
    seed: u64,
}

impl OptionArgs {
    /// The attack.
    pub fn resolve(&self) -> Result<Attack, LabError> {
        let choice = Choice {
            eps: self.eps.map(|eps| eps.0),
            alpha: self.alpha.map(|alpha| alpha.0),
            steps: self.steps,
            start: self.start,
            ball: self.ball,
            sign_zero: self.sign_zero,
            searches: self.searches,
            initial_c: self.initial_c,
            learning_rate: self.learning_rate,
            kappa: self.kappa,
            no_abort: self.no_abort,
            target: self.targets,
            goal: self.goal,
            labels: self.labels,
            clean_wrong: self.clean_wrong,
            round8: self.round8,
            seed: self.seed,
        };
        resolve(self.method, self.preset, &choice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fractions_are_numbers() {
        for (text, value) in [("8/255", 8.0 / 255.0), ("0.3", 0.3), (" 1 / 4 ", 0.25)] {
            assert_eq!(text.parse(), Ok(Fraction(value)), "{text}");
        }
        for text in ["", "x", "1/0", "8/", "nan", "inf"] {
            assert!(text.parse::<Fraction>().is_err(), "{text}");
        }
    }
}
