//! Our detectors, fitted on parts of a split.

use gradgate_bundle::detector::Inputs;
use gradgate_detect::FeatureSet;
use gradgate_detect::file::Model;
use gradgate_detect::file::arrays::HeadArrays;
use gradgate_detect::fit::options::{FitOptions, HeadKind};
use gradgate_detect::heads::mlp::{Rows, Training, balanced_weights, train};
use gradgate_detect::heads::{Part, Scaling, clean};
use gradgate_detect::image_statistics::image_statistics;
use gradgate_detect::scorer::Scorer;
use rayon::prelude::*;

use crate::error::LabError;

use super::definition::Ours;
use super::sets::ImageSet;

/// A set with everything that our detectors read of it.
pub struct Measured {
    /// The frames.
    pub images: ImageSet,
    /// What the classifier gives for them.
    pub features: FeatureSet,
    /// `[n][10]`, see [`image_statistics`].
    pub statistics: Vec<f32>,
}

impl Measured {
    /// With the statistics of its pictures.
    ///
    /// # Errors
    /// Pictures under 3 pixels.
    pub fn new(images: ImageSet, features: FeatureSet) -> Result<Measured, LabError> {
        let of = |at: usize| statistics(&images, at);
        let rows: Vec<[f64; 10]> =
            (0..images.len()).into_par_iter().map(of).collect::<Result<_, _>>()?;
        let statistics = rows.iter().flatten().map(|&value| value as f32).collect();
        Ok(Measured { images, features, statistics })
    }
}

/// Of an RGB picture of whole grey levels; a grey one counts as three equal channels.
fn statistics(images: &ImageSet, at: usize) -> Result<[f64; 10], LabError> {
    let &[_, channels, height, width] = images.images.shape() else {
        return Err(LabError::Data(format!("set `{}` holds no images", images.name)));
    };
    let rgb = bytes(images, at);
    image_statistics(&rgb, height, width).map_err(|error| {
        LabError::Data(format!("set `{}`: {error} ({channels} channels)", images.name))
    })
}

/// A frame's pixels, rows of RGB bytes.
pub fn bytes(images: &ImageSet, at: usize) -> Vec<u8> {
    let frame = images.images.frame(at);
    let channels = images.images.shape()[1];
    let plane = frame.len() / channels;
    let sample = |pixel: usize, channel: usize| frame[channel.min(channels - 1) * plane + pixel];
    let byte = |pixel, channel| (sample(pixel, channel) * 255.0 + 0.5) as u8;
    (0..plane).flat_map(|pixel| [0, 1, 2].map(|channel| byte(pixel, channel))).collect()
}

/// Frames of a set.
#[derive(Clone, Copy)]
pub struct Chosen<'a> {
    /// The set.
    pub set: &'a Measured,
    /// Which of its frames.
    pub frames: &'a [usize],
}

/// What a detector is fitted on; anomalous frames by group, none for detectors of normal frames.
#[derive(Clone)]
pub struct FitParts<'a> {
    /// Normal frames that fit weights, and those that stop early or give quantile tables.
    pub normal: [Chosen<'a>; 2],
    /// The same of each anomalous set.
    pub anomalous: Vec<[Chosen<'a>; 2]>,
}

/// A detector that can score.
pub enum Fitted {
    /// Through the engine's own code.
    Taps(Scorer, Box<Model>),
    /// Standardised statistics through the network.
    Statistics(Scaling, Box<gradgate_detect::file::arrays::MlpArrays>),
}

impl Ours {
    /// Fits the detector.
    ///
    /// # Errors
    /// Features that are not there, too few frames.
    pub fn fit(self, parts: &FitParts<'_>, seed: u64) -> Result<Fitted, LabError> {
        match self {
            Ours::Statistics => {
                let columns = gradgate_detect::image_statistics::NAMES.len();
                let row = |chosen: &Chosen<'_>| Ok(statistic_rows(chosen, columns));
                let (scaling, mlp) = fit_mlp(parts, columns, seed, &row)?;
                Ok(Fitted::Statistics(scaling, Box::new(mlp)))
            }
            Ours::Taps(HeadKind::Mlp, inputs) => {
                let columns = columns(parts.normal[0].set, inputs)?;
                let rows = |chosen: &Chosen<'_>| part(chosen).rows(inputs).map_err(unfit);
                let (scaling, mlp) = fit_mlp(parts, columns, seed, &rows)?;
                scored(scaling.model(inputs, HeadArrays::Mlp(mlp)), parts)
            }
            Ours::Taps(head, inputs) => fit_clean(head, inputs, parts, seed),
        }
    }
}

fn scored(model: Model, parts: &FitParts<'_>) -> Result<Fitted, LabError> {
    let shape = parts.normal[0].set.features.shape();
    Ok(Fitted::Taps(Scorer::new(&model, shape).map_err(unfit)?, Box::new(model)))
}

fn unfit(error: gradgate_detect::DetectError) -> LabError {
    LabError::Data(error.to_string())
}

fn part<'a>(chosen: &Chosen<'a>) -> Part<'a> {
    Part { set: &chosen.set.features, frames: chosen.frames }
}

fn columns(set: &Measured, inputs: Inputs) -> Result<usize, LabError> {
    let shape = set.features.shape();
    if inputs.has(Inputs::ALIGNMENT) && shape.alignments == 0 {
        return Err(LabError::Options(
            "a detector reads alignments, and there are no references: name them, or leave the \
             detector out"
                .to_owned(),
        ));
    }
    shape
        .inputs(inputs)
        .map(|columns| columns as usize)
        .filter(|columns| *columns > 0)
        .ok_or_else(|| LabError::Model("no feature of this kind, or too many".to_owned()))
}

fn statistic_rows(chosen: &Chosen<'_>, columns: usize) -> Vec<f32> {
    let row = |&at: &usize| &chosen.set.statistics[at * columns..][..columns];
    chosen.frames.iter().flat_map(row).copied().collect()
}

fn fit_mlp(
    parts: &FitParts<'_>,
    columns: usize,
    seed: u64,
    rows: &dyn Fn(&Chosen<'_>) -> Result<Vec<f32>, LabError>,
) -> Result<(Scaling, gradgate_detect::file::arrays::MlpArrays), LabError> {
    if parts.anomalous.is_empty() {
        let text = "an mlp learns from anomalous frames, and this question gives none";
        return Err(LabError::Options(text.to_owned()));
    }
    let gather = |which: usize| {
        let mut values = rows(&parts.normal[which])?;
        let mut groups = vec![0_usize; parts.normal[which].frames.len()];
        for (group, chosen) in parts.anomalous.iter().enumerate() {
            values.extend(rows(&chosen[which])?);
            groups.resize(groups.len() + chosen[which].frames.len(), group + 1);
        }
        let anomalous = groups.iter().map(|group| *group > 0).collect();
        Ok::<Rows, LabError>(Rows { values, anomalous, weights: balanced_weights(&groups) })
    };
    let (mut fit, mut early) = (gather(0)?, gather(1)?);
    let scaling = Scaling::fit(&fit.values, columns);
    scaling.apply(&mut fit.values);
    scaling.apply(&mut early.values);
    let mlp = train(&fit, &early, columns, &Training { seed, ..Training::default() });
    Ok((scaling, mlp))
}

fn fit_clean(
    head: HeadKind,
    inputs: Inputs,
    parts: &FitParts<'_>,
    seed: u64,
) -> Result<Fitted, LabError> {
    let inputs = head.narrow(inputs);
    let columns = columns(parts.normal[0].set, inputs)?;
    let (fit, early) = (part(&parts.normal[0]), part(&parts.normal[1]));
    let options = FitOptions { seed, inputs, ..FitOptions::default() };
    let mut rows = fit.rows(inputs).map_err(unfit)?;
    let scaling = Scaling::fit(&rows, columns);
    scaling.apply(&mut rows);
    let arrays = match head {
        HeadKind::Gaussian => {
            clean::gaussian(&fit, &rows, columns, options.ridge).map(HeadArrays::Gaussian)
        }
        HeadKind::Prototypes => clean::prototype_arrays(&fit, &options).map(HeadArrays::Prototypes),
        HeadKind::Energy => Ok(HeadArrays::Energy(clean::energy_numbers(&fit))),
        HeadKind::Composite | HeadKind::Mlp => {
            clean::composite(&fit, &early, inputs, &scaling, &rows, &options)
        }
    };
    scored(scaling.model(inputs, arrays.map_err(unfit)?), parts)
}

impl Fitted {
    /// Scores of frames, larger for more anomalous ones; of a network its output before the
    /// sigmoid, 0 where it holds both kinds for equally likely.
    ///
    /// # Errors
    /// A frame without a score.
    pub fn scores(&self, chosen: &Chosen<'_>) -> Result<Vec<f64>, LabError> {
        let scores = match self {
            Fitted::Taps(scorer, _) => {
                scorer.scores(&chosen.set.features, chosen.frames).map_err(unfit)?
            }
            Fitted::Statistics(scaling, mlp) => {
                let columns = scaling.mean.len();
                let mut rows = statistic_rows(chosen, columns);
                scaling.apply(&mut rows);
                gradgate_detect::heads::mlp::outputs(mlp, &rows, columns)
            }
        };
        Ok(scores.into_iter().map(f64::from).collect())
    }
}
