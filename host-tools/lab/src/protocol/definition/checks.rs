//! What a protocol is refused for before work begins.

use gradgate_detect::Inputs;
use gradgate_frames::Jpeg;

use crate::error::LabError;

use super::{Definition, GradientLabel, Ours, Question, SetChoice, SetKind};

impl Definition {
    pub(super) fn check(&self) -> Result<(), LabError> {
        let refuse = |text: String| Err(LabError::Options(text));
        let ours = self.ours()?;
        self.methods()?;
        if self.normal.is_empty() {
            return refuse("normal names no frames: name files in the folder of the data".into());
        }
        if self.references.is_some() && self.label != GradientLabel::Ones {
            return refuse("references are fitted for the label ones: leave label out".into());
        }
        if self.seeds.is_empty() {
            return refuse("seeds is empty: name one at least".into());
        }
        let needs_sets = match self.question {
            Question::OwnErrors => false,
            Question::Adaptive => self.check_adaptive()?,
            _ => true,
        };
        if needs_sets && self.sets.iter().all(|set| set.kind == SetKind::Control) {
            return refuse("there is no set of anomalous frames: add a [[set]]".into());
        }
        self.check_codecs()?;
        if self.matched && !ours.contains(&Ours::Statistics) {
            return refuse("matched pairs are alike for `image-statistics`: add it to ours".into());
        }
        let takes = self.sets.iter().map(|set| (set.name.as_str(), &set.take));
        let named = [("normal", &self.normal), ("training", &self.training)];
        for (name, take) in named.into_iter().chain(takes) {
            if take.part.is_some() && !take.frames.is_empty() {
                return refuse(format!("{name}: give frames or a part of the recipe, not both"));
            }
        }
        let native = self.others.budgets.contains(&crate::baseline::Budget::Native);
        if native && !self.others.methods.is_empty() && self.training.is_empty() {
            return refuse(
                "training.frames is empty, and the native budget of others is the classifier's \
                 training frames: name some, or others.budgets = [\"equal\"]"
                    .into(),
            );
        }
        self.sets.iter().enumerate().try_for_each(|(at, set)| self.check_set(at, set))
    }

    /// Codecs that are none, and normal frames of another codec where a detector would see both.
    fn check_codecs(&self) -> Result<(), LabError> {
        let refuse = |set: &SetChoice, text: &str| {
            Err(LabError::Options(format!("set `{}`: {text}", set.name)))
        };
        for set in &self.sets {
            for (key, codec) in [("jpeg_after", &set.jpeg_after), ("normal_jpeg", &set.normal_jpeg)]
            {
                let known = codec.as_deref().map(str::parse::<Jpeg>).transpose();
                if let Err(error) = known {
                    return refuse(set, &format!("{key}: {error}"));
                }
            }
            if set.normal_jpeg.is_none() {
                continue;
            }
            if !matches!(self.question, Question::PerSet | Question::CleanOnly) {
                return refuse(set, "normal_jpeg goes with the questions per-set and clean-only");
            }
            if !self.others.methods.is_empty() {
                return refuse(
                    set,
                    "normal_jpeg: detectors of others see the normal frames as they \
                                    are; leave others.methods or normal_jpeg out",
                );
            }
        }
        Ok(())
    }

    /// Whether a detector learns from anomalous sets.
    fn check_adaptive(&self) -> Result<bool, LabError> {
        let refuse = |text: &str| Err(LabError::Options(text.to_owned()));
        let ours = self.ours()?;
        let known = |ours: &Ours| match ours {
            Ours::Taps(_, inputs) => !inputs.has(Inputs::ALIGNMENT),
            Ours::Statistics => false,
        };
        if ours.is_empty() || !ours.iter().all(known) {
            return refuse("adaptive attacks know heads on norm and forward: choose ours so");
        }
        if self.label == GradientLabel::Predicted {
            return refuse("adaptive attacks know the labels ones and zeros");
        }
        let rates = &self.adaptive.rates;
        if rates.is_empty() || !rates.iter().all(|rate| *rate > 0.0 && *rate < 1.0) {
            return refuse("adaptive.rates: at least one, between 0 and 1");
        }
        if self.adaptive.images == 0 {
            return refuse("adaptive.images 0: at least 1");
        }
        self.adaptive.attack.check()?;
        Ok(ours.iter().any(|ours| ours.is_supervised()))
    }

    fn check_set(&self, at: usize, set: &SetChoice) -> Result<(), LabError> {
        let refuse = |text: String| Err(LabError::Options(format!("set `{}`: {text}", set.name)));
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if set.name.is_empty() || !set.name.chars().all(plain) {
            return refuse("its name is made of letters, digits, `-`, `_` and `.`".into());
        }
        let before = &self.sets[..at];
        if before.iter().any(|other| other.name == set.name) || set.name == "normal" {
            return refuse("another set has this name".into());
        }
        match (&set.attack, &set.noise_like) {
            (Some(_), Some(_)) => refuse("give attack or noise_like, not both".into()),
            (Some(attack), None) => attack.resolve().map(|_| ()),
            (None, Some(like)) if !before.iter().any(|set| set.name == *like) => {
                refuse(format!("noise_like = `{like}` names no set that stands before it"))
            }
            (None, Some(_)) if !set.take.is_empty() => {
                refuse("noise_like changes the frames of that set's originals: no frames".into())
            }
            _ => Ok(()),
        }
    }
}
