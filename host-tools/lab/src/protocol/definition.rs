//! A protocol as its file says it. Keys that do not exist are refused; every default is here.

mod checks;

use std::path::Path;

use gradgate_detect::Inputs;
use gradgate_detect::fit::options::{HeadKind, input_names, parse_inputs};
use serde::{Deserialize, Serialize};

use crate::baseline::Method;
use crate::error::LabError;

use super::attacked::AttackChoice;

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Question {
    /// A detector for each set, fitted on a part of that very set: the paper's tables.
    PerSet,
    /// A detector for each set, tested on every other; then one for all sets but one, tested on
    /// that one.
    Unseen,
    /// Detectors that have seen normal frames alone.
    CleanOnly,
    /// As `per-set`; then how often the same detectors flag frames of the sets of kind `control`,
    /// which change nothing that matters, at the threshold that flags 5 % of the normal ones.
    Controls,
    /// Normal frames that the classifier gets wrong against those that it gets right.
    OwnErrors,
    /// Whether somebody who knows the detectors gets past them: they are fitted on the first split,
    /// on all anomalous sets at once, and attacked on its normal test frames.
    Adaptive,
    /// No detector: which tensors' norms are larger than on normal frames, and the norms layer by
    /// layer.
    Profile,
}

/// What the backward pass starts from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum GradientLabel {
    /// All classes at once: the paper's confounding label.
    #[default]
    Ones,
    /// No class at all.
    Zeros,
    /// The class that the classifier predicts, alone.
    Predicted,
}

impl GradientLabel {
    /// Its name in files.
    pub fn name(self) -> &'static str {
        match self {
            GradientLabel::Ones => "ones",
            GradientLabel::Zeros => "zeros",
            GradientLabel::Predicted => "predicted",
        }
    }
}

/// What sort of anomaly a set is; tables are grouped by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SetKind {
    /// Attacked frames.
    Attack,
    /// Other things, from another source of images.
    FarOod,
    /// Unknown classes of the same source.
    NearOod,
    /// Camera faults.
    Fault,
    /// Harmless changes.
    Control,
}

impl SetKind {
    /// Its name in files.
    pub fn name(self) -> &'static str {
        match self {
            SetKind::Attack => "attack",
            SetKind::FarOod => "far-ood",
            SetKind::NearOod => "near-ood",
            SetKind::Fault => "fault",
            SetKind::Control => "control",
        }
    }
}

/// A part of the frames of a recipe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RecipePart {
    /// What the classifier learnt from.
    Train,
    /// Frames of other sources that it did not learn from.
    Validation,
    /// Frames of other files.
    Test,
}

/// Which frames.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct FramesChoice {
    /// FRAMES: files and folders in the folder of the data, or `signs:` sets.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub frames: Vec<String>,
    /// Instead of `frames`: a part of those that the classifier's own recipe names. Its file
    /// `recipe.toml`, as `gradgate train` writes it, lies beside the model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<RecipePart>,
    /// At most so many, after `stride`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
    /// Every so manieth. Default 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stride: Option<usize>,
    /// So many consecutive frames share a source (a track or sequence).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<usize>,
    /// A pass through JPEG at the final size, as `75` or `75:444`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jpeg: Option<String>,
    /// Camera faults, as `fog:4`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<String>,
    /// Only frames with these labels.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<usize>,
    /// Frames with these labels are left out, and the others' labels numbered anew in order, as
    /// the recipe's `held_out`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub held_out: Vec<usize>,
}

impl FramesChoice {
    /// Whether neither files nor a part of a recipe are named.
    pub fn is_empty(&self) -> bool {
        self.frames.is_empty() && self.part.is_none()
    }

    /// The normal frames with this choice's codec and faults, where it has some.
    pub(super) fn changed(&self, definition: &Definition) -> Option<FramesChoice> {
        let some = self.jpeg.is_some() || !self.faults.is_empty();
        some.then(|| FramesChoice {
            limit: self.limit.or(definition.normal.limit),
            jpeg: self.jpeg.clone(),
            faults: self.faults.clone(),
            ..definition.normal.clone()
        })
    }
}

/// A set of anomalous frames: files, or normal frames that something was done to.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct SetChoice {
    /// Its name in tables and files.
    pub name: String,
    /// What sort of anomaly.
    pub kind: SetKind,
    /// Which frames; without `frames` the normal ones, of which `limit` takes the first, through
    /// `jpeg` and `faults`: they keep their sources, and so never stand apart from their originals
    /// in a split.
    #[serde(default)]
    pub take: FramesChoice,
    /// Attacks these frames.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attack: Option<AttackChoice>,
    /// Adds random signs of exactly the largest and the mean square difference that the set of
    /// this name has, frame by frame.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub noise_like: Option<String>,
    /// A pass of the finished frames through JPEG, after the attack or the noise, as `75`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jpeg_after: Option<String>,
    /// The same pass of the normal frames that this set is told apart from; detectors are fitted
    /// on them, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub normal_jpeg: Option<String>,
    /// The published figure that stands beside ours, AUROC in percent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub published: Option<f64>,
}

/// One of our detectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ours {
    /// A head on taps of the classifier.
    Taps(HeadKind, Inputs),
    /// The paper's network on ten plain statistics of the picture: the control.
    Statistics,
}

impl Ours {
    /// The detector of a name, such as `mlp:norm,forward`.
    ///
    /// # Errors
    /// When there is none.
    pub fn parse(name: &str) -> Result<Ours, LabError> {
        if name == "image-statistics" {
            return Ok(Ours::Statistics);
        }
        let wrong = |text: String| LabError::Options(format!("detector `{name}`: {text}"));
        let Some((head, inputs)) = name.split_once(':') else {
            let advice = "ours are HEAD:INPUTS as `mlp:norm,forward`, or `image-statistics`";
            return Err(wrong(advice.to_owned()));
        };
        let head = HeadKind::parse(head).map_err(|error| wrong(error.to_string()))?;
        let inputs = parse_inputs(inputs).map_err(|error| wrong(error.to_string()))?;
        Ok(Ours::Taps(head, inputs))
    }

    /// Its name.
    pub fn name(self) -> String {
        match self {
            Ours::Taps(head, inputs) => format!("{}:{}", head.name(), input_names(inputs)),
            Ours::Statistics => "image-statistics".to_owned(),
        }
    }

    /// Whether it learns from anomalous frames.
    pub fn is_supervised(self) -> bool {
        matches!(self, Ours::Statistics | Ours::Taps(HeadKind::Mlp, _))
    }
}

/// Detectors of others.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Others {
    /// Names; none by default.
    pub methods: Vec<String>,
    /// `native`, `equal` or both, in which case each stands twice.
    pub budgets: Vec<crate::baseline::Budget>,
    /// Only the first so many split seeds. Default 1.
    pub seeds: usize,
    /// At most so many frames of each part of a split. Default 400.
    pub limit: usize,
    /// The same for methods that step images, some hundred times as costly. Default 60.
    pub limit_steps: usize,
}

impl Default for Others {
    fn default() -> Others {
        use crate::baseline::Budget;
        Others {
            methods: Vec::new(),
            budgets: vec![Budget::Native, Budget::Equal],
            seeds: 1,
            limit: 400,
            limit_steps: 60,
        }
    }
}

/// How detectors are attacked by somebody who knows them.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct AdaptiveChoice {
    /// At most so many normal test frames that the classifier is right about. Default 200.
    pub images: usize,
    /// False-alarm rates, each with the threshold that so many normal validation frames lie above.
    /// Default 1 % and 5 %.
    pub rates: Vec<f64>,
    /// The attacks.
    pub attack: crate::adaptive::Options,
}

impl Default for AdaptiveChoice {
    fn default() -> AdaptiveChoice {
        AdaptiveChoice { images: 200, rates: vec![0.01, 0.05], attack: Default::default() }
    }
}

/// What is measured, on what.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Definition {
    /// Names the report.
    pub name: String,
    /// What a reader should know first.
    #[serde(default)]
    pub about: String,
    /// What is asked.
    pub question: Question,
    /// The classifier, beside this file or given by the command line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// References for alignments, as `gradgate references` writes them, beside the model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub references: Option<String>,
    /// What gradients start from. Default ones.
    #[serde(default)]
    pub label: GradientLabel,
    /// Seeds of the splits; a figure is the mean over them. Default 0 to 4.
    #[serde(default = "default_seeds")]
    pub seeds: Vec<u64>,
    /// Draws behind each interval. Default 200.
    #[serde(default = "default_resamples")]
    pub resamples: usize,
    /// Whether AUROC is also measured over pairs of a normal and an anomalous frame that are alike
    /// in ten plain image statistics. Default false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub matched: bool,
    /// Frames that the classifier is there for.
    pub normal: FramesChoice,
    /// Frames that it was trained on, for detectors of others in their native budget.
    #[serde(default)]
    pub training: FramesChoice,
    /// Anomalous and harmless frames.
    #[serde(default, rename = "set")]
    pub sets: Vec<SetChoice>,
    /// Ours. The first is what the others are compared with, draw by draw.
    #[serde(default = "default_ours")]
    pub ours: Vec<String>,
    /// Detectors of others.
    #[serde(default)]
    pub others: Others,
    /// For the question `adaptive`.
    #[serde(default)]
    pub adaptive: AdaptiveChoice,
}

fn default_seeds() -> Vec<u64> {
    (0..5).collect()
}
fn default_resamples() -> usize {
    200
}
fn default_ours() -> Vec<String> {
    ["mlp:norm", "mlp:forward", "mlp:norm,forward", "composite:norm,forward", "image-statistics"]
        .map(str::to_owned)
        .to_vec()
}

impl Definition {
    /// Reads a protocol and checks it.
    ///
    /// # Errors
    /// A key that does not exist or is missing, a value out of its range; the text names it.
    pub fn parse(text: &str) -> Result<Self, LabError> {
        let definition: Definition =
            toml::from_str(text).map_err(|error| LabError::Options(error.to_string()))?;
        definition.check()?;
        Ok(definition)
    }

    /// As [`Definition::parse`], from a file, whose name errors begin with.
    ///
    /// # Errors
    /// Also when the file cannot be read.
    pub fn read(path: &Path) -> Result<Self, LabError> {
        let name = path.display();
        let text = std::fs::read_to_string(path)
            .map_err(|error| LabError::File(format!("cannot read protocol {name}: {error}")))?;
        Self::parse(&text).map_err(|error| LabError::Options(format!("protocol {name}: {error}")))
    }

    /// Our detectors.
    ///
    /// # Errors
    /// As [`Ours::parse`].
    pub fn ours(&self) -> Result<Vec<Ours>, LabError> {
        self.ours.iter().map(|name| Ours::parse(name)).collect()
    }

    /// Detectors of others.
    ///
    /// # Errors
    /// As [`Method::named`].
    pub fn methods(&self) -> Result<Vec<Method>, LabError> {
        self.others.methods.iter().map(|name| Method::named(name)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shipped_protocols_are_read_and_written_back() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/protocols");
        let mut count = 0;
        for entry in std::fs::read_dir(folder).expect("protocols") {
            let path = entry.expect("an entry").path();
            let read = Definition::read(&path).unwrap_or_else(|error| panic!("{error}"));
            let text = toml::to_string(&read).expect("writes");
            assert_eq!(Definition::parse(&text).expect("its own"), read, "{}", path.display());
            assert_eq!(path.file_stem().and_then(|s| s.to_str()), Some(read.name.as_str()));
            count += 1;
        }
        assert!(count >= 8, "{count}");
    }

    #[test]
    fn detectors_have_names() {
        for name in ["mlp:norm", "composite:norm,forward", "energy:forward", "image-statistics"] {
            assert_eq!(Ours::parse(name).expect(name).name(), name);
        }
        for name in ["mlp", "mlp:", "svm:norm", "mlp:norms"] {
            assert!(Ours::parse(name).is_err(), "{name}");
        }
    }
}
