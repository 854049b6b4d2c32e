//! Everything that decides an attack's results, with names and bounds.

use std::fmt;
use std::str::FromStr;

use gradgate_graph::graph::Graph;

use crate::error::LabError;
use crate::random::Random;

use super::carlini_wagner::CarliniWagner;
use super::iterative_sign::{Ball, IterativeSign, SignZero, Start};
use super::loss::least_likely;
use super::names::named;
use super::presets::Preset;
use super::search::Aim;
use super::semantic::SemanticHsv;
use super::square::Square;

/// An attack by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// One step of eps.
    Fgsm,
    /// Steps from the clean image.
    Bim,
    /// Steps from a random start.
    Pgd,
    /// Steps towards the least likely class.
    IterLl,
    /// Least L2.
    Cw,
    /// `1 - x`.
    SemanticNegative,
    /// Hue and saturation.
    SemanticHsv,
    /// Black box.
    Square,
}

named!(
    Method,
    "method",
    Fgsm = "fgsm",
    Bim = "bim",
    Pgd = "pgd",
    IterLl = "iterll",
    Cw = "cw",
    SemanticNegative = "semantic-negative",
    SemanticHsv = "semantic-hsv",
    Square = "square"
);

named!(Start, "start", Clean = "clean", Uniform = "uniform");
named!(Ball, "ball", Origin = "origin", Moving = "moving", None = "none");
named!(SignZero, "sign of zero", Zero = "zero", Plus = "plus");

/// The class that an attack moves away from, where no target is chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Labels {
    /// The label of the frame.
    #[default]
    Given,
    /// What the classifier says of the clean image: no label leaks into the attack, and none is
    /// needed.
    Own,
}

named!(Labels, "labels", Given = "given", Own = "own");

/// What counts as success.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Goal {
    /// Any other class than the image's.
    Misclassified,
    /// The target class.
    Target,
}

named!(Goal, "goal", Misclassified = "misclassified", Target = "target");

/// What is done with images that the classifier gets wrong without an attack.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CleanWrong {
    /// They stay as they are.
    #[default]
    Leave,
    /// They are attacked like the others, as most libraries do; they never count as success.
    Attack,
}

named!(CleanWrong, "images that are wrong already", Leave = "leave", Attack = "attack");

/// The class that an attack aims at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// None: away from the image's class.
    None,
    /// The least likely class of the clean image, as Kurakin et al. have it.
    LeastLikely,
    /// The least likely class of this rank (from 1), but the image's own, as torchattacks 3.
    OtherLeastLikely(usize),
    /// Any other class, by chance.
    Random,
    /// This class.
    Class(usize),
}

impl FromStr for Target {
    type Err = LabError;

    fn from_str(word: &str) -> Result<Self, LabError> {
        let number = |word: &str| word.parse::<usize>().ok();
        let rank = word.strip_prefix("other-least-likely").map(|rest| match rest {
            "" => Some(1),
            rest => rest.strip_prefix(':').and_then(number).filter(|&rank| rank > 0),
        });
        match (word, rank, number(word)) {
            ("none", ..) => Ok(Target::None),
            ("least-likely", ..) => Ok(Target::LeastLikely),
            ("random", ..) => Ok(Target::Random),
            (_, Some(Some(rank)), _) => Ok(Target::OtherLeastLikely(rank)),
            (_, _, Some(class)) => Ok(Target::Class(class)),
            _ => Err(LabError::Options(format!(
                "target `{word}`: it is none, least-likely, other-least-likely[:RANK], random or \
                 the number of a class"
            ))),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::None => f.write_str("none"),
            Target::LeastLikely => f.write_str("least-likely"),
            Target::OtherLeastLikely(rank) => write!(f, "other-least-likely:{rank}"),
            Target::Random => f.write_str("random"),
            Target::Class(class) => write!(f, "{class}"),
        }
    }
}

/// An algorithm with its numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// FGSM, BIM, PGD, IterLL.
    Sign(IterativeSign),
    /// Least L2.
    CarliniWagner(CarliniWagner),
    /// `1 - x`.
    SemanticNegative,
    /// Hue and saturation.
    SemanticHsv(SemanticHsv),
    /// Black box.
    Square(Square),
}

/// An attack with all that decides its results; made by [`super::resolve`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Attack {
    /// Its name.
    pub method: Method,
    /// Where its numbers come from.
    pub preset: Preset,
    /// Algorithm and numbers.
    pub kind: Kind,
    /// Whose class it moves away from.
    pub labels: Labels,
    /// The class it aims at.
    pub target: Target,
    /// What counts as success.
    pub goal: Goal,
    /// What is done with images that are wrong already.
    pub clean_wrong: CleanWrong,
    /// Round the attacked image to bytes, and judge it then.
    pub round8: bool,
    /// Seed of all random numbers.
    pub seed: u64,
}

impl Attack {
    /// Refuses a classifier that cannot be attacked so.
    ///
    /// # Errors
    /// Names what does not fit.
    pub fn check(&self, graph: &Graph) -> Result<(), LabError> {
        let name = &graph.name;
        let shape = graph.input.map(|id| graph.shape(id)).unwrap_or_default();
        let &[1, channels, ..] = shape else {
            return Err(LabError::Model(format!("model `{name}` takes {shape:?}, no image")));
        };
        let classes = graph.logits.map_or(0, |id| graph.value(id).elements());
        if classes < 2 {
            return Err(LabError::Model(format!(
                "model `{name}` has {classes} logits; an attack needs two classes or more"
            )));
        }
        if matches!(self.kind, Kind::SemanticHsv(_)) && channels != 3 {
            return Err(LabError::Options(format!(
                "semantic-hsv shifts colours, model `{name}` takes {channels} channels: choose \
                 semantic-negative"
            )));
        }
        match self.target {
            Target::Class(class) if class >= classes => Err(LabError::Options(format!(
                "target class {class}: model `{name}` has classes 0 to {}",
                classes - 1
            ))),
            Target::OtherLeastLikely(rank) if rank >= classes => Err(LabError::Options(format!(
                "rank {rank}: model `{name}` has {} other classes",
                classes - 1
            ))),
            _ => Ok(()),
        }
    }

    /// Questions to the classifier for one image, at most.
    pub fn image_steps(&self) -> u64 {
        let steps = match self.kind {
            Kind::Sign(sign) => sign.steps,
            Kind::CarliniWagner(cw) => cw.searches * cw.steps,
            Kind::SemanticNegative => 0,
            Kind::SemanticHsv(hsv) => hsv.trials,
            Kind::Square(square) => square.queries,
        };
        steps as u64
    }

    /// Whether it needs gradients, or only logits.
    pub fn needs_gradients(&self) -> bool {
        matches!(self.kind, Kind::Sign(_) | Kind::CarliniWagner(_))
    }

    /// What it moves away from or towards, for an image of class `class`.
    pub fn aim(&self, logits: &[f32], class: usize, index: usize) -> Aim {
        match self.target {
            Target::None => Aim::From(class),
            Target::LeastLikely => Aim::To(least_likely(logits, 1, None)),
            Target::OtherLeastLikely(rank) => Aim::To(least_likely(logits, rank, Some(class))),
            Target::Random => {
                let mut random = Random::new(self.seed, "target", index as u64);
                let other = random.below(logits.len() - 1);
                Aim::To(if other < class { other } else { other + 1 })
            }
            Target::Class(target) => Aim::To(target),
        }
    }

    /// Every option by name, for files and reports.
    pub fn options(&self) -> Vec<(&'static str, String)> {
        let mut all =
            vec![("method", self.method.to_string()), ("preset", self.preset.to_string())];
        let mut add = |name, value: &dyn fmt::Display| all.push((name, value.to_string()));
        match &self.kind {
            Kind::Sign(sign) => {
                add("eps", &sign.eps);
                add("alpha", &sign.alpha);
                add("steps", &sign.steps);
                add("start", &sign.start);
                add("ball", &sign.ball);
                add("sign_zero", &sign.sign_zero);
            }
            Kind::CarliniWagner(cw) => {
                add("searches", &cw.searches);
                add("initial_c", &cw.initial_c);
                add("steps", &cw.steps);
                add("learning_rate", &cw.learning_rate);
                add("kappa", &cw.kappa);
                add("abort_early", &cw.abort_early);
            }
            Kind::SemanticNegative => {}
            Kind::SemanticHsv(hsv) => add("trials", &hsv.trials),
            Kind::Square(square) => {
                add("eps", &square.eps);
                add("queries", &square.queries);
                add("share", &square.share);
            }
        }
        add("labels", &self.labels);
        add("target", &self.target);
        add("goal", &self.goal);
        add("clean_wrong", &self.clean_wrong);
        add("round8", &self.round8);
        add("seed", &self.seed);
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_and_others_refused() {
        for method in Method::ALL {
            assert_eq!(method.name().parse::<Method>().expect("its name"), *method);
        }
        let error = "mobius".parse::<Ball>().expect_err("no ball").to_string();
        assert_eq!(error, "ball `mobius`: it is one of origin, moving, none");
        let targets = ["none", "least-likely", "other-least-likely:2", "random", "7"];
        for word in targets {
            assert_eq!(word.parse::<Target>().expect(word).to_string(), word);
        }
        let rank = "other-least-likely".parse::<Target>().expect("a target");
        assert_eq!(rank, Target::OtherLeastLikely(1));
        for word in ["", "-1", "other-least-likely:0", "other-least-likelyx", "cat"] {
            assert!(word.parse::<Target>().is_err(), "{word}");
        }
    }
}
