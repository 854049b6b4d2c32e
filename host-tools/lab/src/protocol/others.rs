//! Detectors of others on the parts of a split, in the budget of labels of their source and in
//! ours.

use crate::array::Array;
use crate::baseline::method::Scores;
use crate::baseline::msp::argmax;
use crate::baseline::{Budget, Contrast, FitData, Method, Observed, Reference, Twins};
use crate::classifier::Classifier;
use crate::error::LabError;

use super::parts::{Parts, spread};
use super::sets::ImageSet;

/// Share of a set that a source gives for fitting and choosing, half of it each (Lee et al. 2018:
/// a tenth of an attacked set).
const NATIVE_SHARE: f64 = 0.1;
/// Frames of each kind that heads and their choice of options need at least.
const NATIVE_LEAST: usize = 10;

/// Frames as the classifier sees them, with what detectors of others have computed of them.
pub struct Seen<'a> {
    /// The frames.
    pub set: &'a ImageSet,
    /// Digest of their pixels.
    pub digest: String,
    /// What the classifier computes.
    pub observed: Observed<'a>,
}

impl<'a> Seen<'a> {
    /// Computes what most detectors read, once for all parts of all splits.
    ///
    /// # Errors
    /// When the images do not fit the classifier, or a value is not finite.
    pub fn new(classifier: &'a dyn Classifier, set: &'a ImageSet) -> Result<Seen<'a>, LabError> {
        let observed = Observed::new(classifier, &set.images)?;
        observed.logits()?;
        Ok(Seen { set, digest: set.digest(), observed })
    }
}

/// The frames that a detector may be fitted and tested on.
pub struct Trial<'a> {
    /// Normal frames with their parts.
    pub normal: (&'a Seen<'a>, Parts),
    /// Anomalous frames with their parts.
    pub anomalous: (&'a Seen<'a>, Parts),
    /// Frames that the classifier was trained on.
    pub training: Option<&'a Seen<'a>>,
}

/// What a detector said of the tested frames, normal and anomalous ones.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Said {
    /// Of normal frames that validate; a threshold comes from them.
    pub validation: Vec<f64>,
    /// Of tested normal frames.
    pub normal: Scores,
    /// Of tested anomalous frames.
    pub anomalous: Scores,
}

/// A detector steps images: some hundred forward passes an image.
pub fn is_costly(method: &Method) -> bool {
    use crate::baseline::mahalanobis::Variant;
    match method {
        Method::Odin(_) => true,
        Method::Mahalanobis(m) => matches!(m.variant, Variant::P | Variant::PFe),
        _ => false,
    }
}

/// A detector reads every block, not the end of the network alone.
pub fn reads_blocks(method: &Method) -> bool {
    use crate::baseline::mahalanobis::Variant;
    matches!(method, Method::Mahalanobis(m) if matches!(m.variant, Variant::Fe | Variant::PFe))
}

/// A detector compares an image with its own clean original: only frames made from normal ones
/// have one.
pub fn needs_originals(method: &Method) -> bool {
    use crate::baseline::lid::Neighbours;
    matches!(method, Method::Lid(lid) if matches!(lid.neighbours, Neighbours::Twins { .. }))
}

/// Whether the source's own budget is another than ours: a detector that needs nothing has one.
pub fn budgets(method: &Method, wanted: &[Budget]) -> Vec<Budget> {
    use crate::baseline::LabelBudget;
    match method.baseline().label_budget() {
        LabelBudget::None => wanted.iter().copied().take(1).collect(),
        _ => wanted.to_vec(),
    }
}

/// Arrays that views of a set borrow.
struct Views {
    parts: [(Array, Vec<usize>); 3],
}

impl Views {
    fn new(seen: &Seen<'_>, parts: &Parts) -> Views {
        let view = |part: &Vec<usize>| (seen.set.images.select(part), part.clone());
        Views { parts: [view(&parts.train), view(&parts.validation), view(&parts.test)] }
    }

    fn observed<'b>(
        &'b self,
        which: usize,
        seen: &Seen<'b>,
        clean: Option<&'b Array>,
        twins: &'b [usize],
    ) -> Result<Observed<'b>, LabError> {
        let (images, numbers) = &self.parts[which];
        let part = seen.observed.part(images, numbers);
        match clean {
            Some(clean) if twins.len() == numbers.len() => {
                part.with_twins(Twins { clean, of: twins })
            }
            _ => Ok(part),
        }
    }
}

/// For each frame of each part, the normal frame that it is or came from; empty where unknown.
fn twins(set: &ImageSet, parts: &Parts, is_normal: bool) -> [Vec<usize>; 3] {
    let of = |part: &Vec<usize>| match (&set.twins, is_normal) {
        (Some(twins), _) => part.iter().map(|&at| twins[at]).collect(),
        (None, true) => part.clone(),
        (None, false) => Vec::new(),
    };
    [of(&parts.train), of(&parts.validation), of(&parts.test)]
}

/// As many frames of the parts as a source would be given for fitting and choosing.
fn native(parts: &Parts) -> Parts {
    let all = parts.train.len() + parts.validation.len() + parts.test.len();
    let half = ((all as f64 * NATIVE_SHARE / 2.0).ceil() as usize).max(NATIVE_LEAST);
    let cut = |part: &Vec<usize>| spread(part, half);
    Parts { train: cut(&parts.train), validation: cut(&parts.validation), test: parts.test.clone() }
}

impl Trial<'_> {
    /// Fits a detector in a budget and scores what is tested.
    ///
    /// # Errors
    /// What the detector says.
    pub fn run(&self, method: &Method, budget: Budget) -> Result<Said, LabError> {
        let (normal, normal_parts) = (self.normal.0, &self.normal.1);
        let (anomalous, anomalous_parts) = (self.anomalous.0, &self.anomalous.1);
        let fit_parts = |parts: &Parts| match budget {
            Budget::Native => native(parts),
            Budget::Equal => parts.clone(),
        };
        let (normal_fit, anomalous_fit) = (fit_parts(normal_parts), fit_parts(anomalous_parts));
        let views = [Views::new(normal, &normal_fit), Views::new(anomalous, &anomalous_fit)];
        let clean = Some(&normal.set.images);
        let of =
            [twins(normal.set, &normal_fit, true), twins(anomalous.set, &anomalous_fit, false)];
        let look = |side: usize, which: usize| {
            let seen = [normal, anomalous][side];
            views[side].observed(which, seen, clean, &of[side][which])
        };
        let sides =
            [[look(0, 0)?, look(1, 0)?], [look(0, 1)?, look(1, 1)?], [look(0, 2)?, look(1, 2)?]];
        let contrast =
            |which: usize| Contrast { normal: &sides[which][0], anomalous: &sides[which][1] };
        let own = classes(normal.set, &normal_fit.train, &sides[0][0])?;
        let known;
        let normal_reference = match (budget, self.training) {
            (Budget::Native, Some(training)) => {
                let all: Vec<usize> = (0..training.set.len()).collect();
                known = classes(training.set, &all, &training.observed)?;
                Reference { images: &training.observed, classes: &known }
            }
            _ => Reference { images: &sides[0][0], classes: &own },
        };
        let data = FitData {
            budget,
            normal: normal_reference,
            train: Some(contrast(0)),
            validation: Some(contrast(1)),
        };
        let fitted = method.clone().fit(&data)?;
        Ok(Said {
            validation: fitted.score(&sides[1][0])?.values,
            normal: fitted.score(&sides[2][0])?,
            anomalous: fitted.score(&sides[2][1])?,
        })
    }
}

/// The classes of frames: their labels, or where one has none what the classifier says.
fn classes(
    set: &ImageSet,
    numbers: &[usize],
    observed: &Observed<'_>,
) -> Result<Vec<usize>, LabError> {
    let logits = observed.logits()?;
    let label = |(row, &at): (&[f64], &usize)| set.labels[at].unwrap_or_else(|| argmax(row));
    Ok(logits.iter().zip(numbers).map(label).collect())
}
