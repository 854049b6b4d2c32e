//! One subset of the features under one head: how well it tells on the frames that choose between
//! subsets, and on other frames, which are reported.

use super::{Anomalous, Data, FitOptions, HeadKind};
use crate::heads::Part;
use crate::metrics::{Interval, Resampled, Scored};
use crate::scorer::Scorer;
use crate::split::count_sources;
use crate::{DetectError, FeatureSet, Inputs};

/// Fewer sources give no interval worth drawing.
const SOURCES_MIN: usize = 10;

/// What a subset tells.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    /// Normal calibration frames against anomalous frames: chooses.
    pub choice: Resampled,
    /// Normal audit frames against anomalous test frames: reported, chooses nothing.
    pub report: Resampled,
    /// The same for each anomalous source.
    pub sources: Vec<Interval>,
    /// What the detector adds to a bundle.
    pub detector_bytes: u64,
}

/// Scores with the source of each.
struct Owned {
    scores: Vec<f32>,
    sources: Vec<i64>,
}

impl Owned {
    fn borrow(&self) -> Scored<'_> {
        Scored { scores: &self.scores, sources: &self.sources }
    }
}

/// Fits a head on the train and early-stop parts, then scores the others. Parts depend on sources
/// and seed alone, so that every subset of the same frames has the same.
pub(crate) fn tell(
    normal: &FeatureSet,
    anomalous: &[Anomalous],
    kind: HeadKind,
    options: &FitOptions,
    confidence: f64,
) -> Result<Told, DetectError> {
    let data = Data::new(normal, anomalous, options)?;
    let inputs = inputs_of(normal, options.inputs);
    let model = data.fit_model(kind, inputs, options, None)?;
    let scorer = Scorer::new(&model, normal.shape())?;
    let scored = |part: Part<'_>| -> Result<Owned, DetectError> {
        Ok(Owned { scores: scorer.scores(part.set, part.frames)?, sources: part.source() })
    };
    let all = |normal: &[usize], frames: &dyn Fn(usize) -> Vec<usize>| {
        let normal = scored(Part { set: data.normal, frames: normal })?;
        let others = anomalous
            .iter()
            .enumerate()
            .map(|(index, other)| scored(Part { set: &other.set, frames: &frames(index) }));
        Ok::<_, DetectError>((normal, others.collect::<Result<Vec<_>, _>>()?))
    };
    let choice = all(&data.parts.calibration, &|index| data.choice_frames(index, kind))?;
    let report = all(&data.parts.audit, &|index| data.anomalous_parts[index].test.clone())?;
    let how = options.resampling(confidence);
    let resample = |normal: &Owned, others: &[Owned]| {
        let others: Vec<Scored<'_>> = others.iter().map(Owned::borrow).collect();
        Resampled::new(normal.borrow(), &others, &how)
    };
    let of_source = |other: &Owned| {
        let one = resample(&report.0, std::slice::from_ref(other))?;
        Ok::<_, DetectError>(one.interval(confidence))
    };
    Ok(Told {
        choice: resample(&choice.0, &choice.1)?,
        report: resample(&report.0, &report.1)?,
        sources: report.1.iter().map(of_source).collect::<Result<_, _>>()?,
        detector_bytes: scorer.bytes(),
    })
}

/// What a detector on a subset reads: the forward pass alone where nothing is tapped, and no
/// alignments where no tapped weight has one.
fn inputs_of(normal: &FeatureSet, wanted: Inputs) -> Inputs {
    let shape = normal.shape();
    let kinds = Inputs::NAMES.iter().map(|&(kind, _)| kind);
    match (shape.norms, shape.alignments) {
        (0, _) => Inputs::FORWARD,
        (_, 0) => kinds
            .filter(|&kind| wanted.has(kind) && kind != Inputs::ALIGNMENT)
            .fold(Inputs::default(), Inputs::with),
        _ => wanted,
    }
}

/// Refuses sets whose parts hold too few sources.
pub(crate) fn check_sizes(
    normal: &FeatureSet,
    anomalous: &[Anomalous],
    kind: HeadKind,
    options: &FitOptions,
) -> Result<Sizes, DetectError> {
    let data = Data::new(normal, anomalous, options)?;
    let mut sizes = Sizes {
        choice: [count_sources(&normal.source, &data.parts.calibration), usize::MAX],
        report: [count_sources(&normal.source, &data.parts.audit), usize::MAX],
    };
    for (index, other) in anomalous.iter().enumerate() {
        let count = |frames: &[usize]| count_sources(&other.set.source, frames);
        let found =
            [count(&data.choice_frames(index, kind)), count(&data.anomalous_parts[index].test)];
        for (size, found) in [&mut sizes.choice[1], &mut sizes.report[1]].into_iter().zip(found) {
            *size = (*size).min(found);
        }
    }
    let named = [
        (sizes.choice[0], "normal", "choosing"),
        (sizes.report[0], "normal", "reporting"),
        (sizes.choice[1], "anomalous", "choosing"),
        (sizes.report[1], "anomalous", "reporting"),
    ];
    for (have, which, purpose) in named {
        if have < SOURCES_MIN {
            return Err(DetectError::TooFew {
                purpose: format!("the part of {which} frames for {purpose}"),
                have,
                need: SOURCES_MIN,
                unit: "different sources",
            });
        }
    }
    Ok(sizes)
}

/// Sources of the smallest normal and anomalous parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sizes {
    /// Normal, anomalous.
    pub choice: [usize; 2],
    /// Normal, anomalous.
    pub report: [usize; 2],
}

impl Data<'_> {
    /// Anomalous frames to choose by: none that are reported, nor any that trained an MLP.
    fn choice_frames(&self, index: usize, kind: HeadKind) -> Vec<usize> {
        let parts = &self.anomalous_parts[index];
        let mut frames = parts.early.clone();
        if kind != HeadKind::Mlp {
            frames.extend(&parts.train);
            frames.sort_unstable();
        }
        frames
    }
}
