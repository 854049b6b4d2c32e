//! Many frames to one set of features, as they are or with an anomaly made of each.

use std::collections::HashSet;

use anyhow::{Context, Result, anyhow};
use gradgate_detect::features::Kinds;
use gradgate_detect::image_statistics::image_statistics;
use gradgate_detect::{FeatureSet, Metadata};
use gradgate_frames::builtin::{Anomalies, AnomalyKind, Made};
use gradgate_frames::{Frame, Frames, Pixels};

use crate::executor::{Executor, FrameFeatures, usable};
use crate::image_slopes::ImageSlopes;
use crate::{parallel, progress, references};

/// What one frame gave.
struct Found {
    features: FrameFeatures,
    label: i64,
    source: i64,
    time_ns: Option<i64>,
    /// Of its pixels; empty where a side is too short.
    statistics: Vec<f32>,
    /// Kind and severity.
    made: Option<(usize, u8)>,
}

impl Found {
    fn new(features: FrameFeatures, frame: &Frame, shape: [usize; 3]) -> Found {
        Found {
            features,
            label: frame.label.unwrap_or(-1),
            source: frame.source,
            time_ns: frame.time_ns,
            statistics: statistics(&frame.pixels, shape),
            made: None,
        }
    }
}

/// Runs all frames but those with a fingerprint in `seen`, which fitted the references; the result
/// does not depend on the number of threads.
pub fn feature_set(
    executor: &Executor<'_>,
    frames: &Frames,
    metadata: Metadata,
    threads: usize,
    seen: &HashSet<i64>,
) -> Result<FeatureSet> {
    let bar = progress::over(frames, "features");
    let mut set = FeatureSet { metadata, ..FeatureSet::default() };
    let mut left_out = 0;
    let shape = frames.shape();
    parallel::for_each(
        frames,
        threads,
        &bar,
        || executor.worker(),
        |worker, frame| {
            let frame = frame?;
            if !seen.is_empty() && seen.contains(&references::fingerprint(&frame.pixels)) {
                return Ok(None);
            }
            let features = usable(worker)?.features(&frame.pixels)?;
            Ok(Some(Found::new(features, &frame, shape)))
        },
        |_, found| {
            match found {
                Some(found) => push(&mut set, frames, found),
                None => left_out += 1,
            }
            Ok(())
        },
    )?;
    if left_out > 0 {
        eprintln!("note: {left_out} frames fitted the references and are left out");
    }
    Ok(set)
}

/// As [`feature_set`], of what `anomalies` make of each frame, so many of each; `slopes` are for
/// kinds that need a network.
pub fn made_set(
    executor: &Executor<'_>,
    frames: &Frames,
    metadata: Metadata,
    threads: usize,
    seen: &HashSet<i64>,
    (anomalies, copies, slopes): (&Anomalies, usize, Option<&ImageSlopes>),
) -> Result<FeatureSet> {
    let count = frames.len().saturating_mul(copies);
    let bar = progress::frames(count, "anomalies");
    let names = |kinds: &mut dyn Iterator<Item = &AnomalyKind>| -> Vec<String> {
        kinds.map(|kind| kind.name().to_owned()).collect()
    };
    let all = anomalies.kinds();
    let kinds = Kinds {
        names: names(&mut all.iter()),
        in_time: names(&mut all.iter().filter(|kind| kind.needs_time())),
        ..Kinds::default()
    };
    let mut text = format!("{} {}", metadata.frames, anomalies.describe());
    if copies > 1 {
        text.push_str(&format!(" copies={copies}"));
    }
    let metadata = Metadata { frames: text, ..metadata };
    let mut set = FeatureSet { metadata, kinds, ..FeatureSet::default() };
    let mut left_out = 0;
    let shape = frames.shape();
    parallel::for_each_place(
        threads,
        &bar,
        || (executor.worker(), slopes.map(ImageSlopes::session)),
        |(worker, session), number| {
            let mut one = || -> Result<Option<Found>> {
                let spared = |frame: Frame| references::fingerprint(&frame.pixels);
                if !seen.is_empty() && seen.contains(&spared(frames.get(number % frames.len())?)) {
                    return Ok(None);
                }
                let Some(mut made) = anomalies.make(frames, number)? else { return Ok(None) };
                if let AnomalyKind::Synthetic(kind) = all[made.kind]
                    && kind.needs_network()
                {
                    let session = session.as_mut().context("no model for its gradients")?;
                    attack(session.as_mut().map_err(|error| anyhow!("{error:#}"))?, &mut made)?;
                }
                let features = usable(worker)?.features(&made.frame.pixels)?;
                let made_of = Some((made.kind, made.severity));
                Ok(Some(Found { made: made_of, ..Found::new(features, &made.frame, shape) }))
            };
            (number < count).then(|| one().with_context(|| format!("frame {number}")))
        },
        |_, found| {
            match found {
                Some(found) => push(&mut set, frames, found),
                None => left_out += 1,
            }
            Ok(())
        },
    )?;
    if left_out > 0 {
        eprintln!(
            "note: {left_out} frames are left out: nothing changes in them, they fitted the \
             references, or no frame of their source comes before them to freeze"
        );
    }
    Ok(set)
}

fn attack(session: &mut crate::image_slopes::Session<'_>, made: &mut Made) -> Result<()> {
    let mut pixels = made.frame.pixels.to_u8();
    let mut look = |samples: &[f32], cotangent: &[f32]| session.look(samples, cotangent);
    gradgate_frames::synthetic::random_target(made.severity, &mut pixels, made.seed, &mut look)
        .map_err(anyhow::Error::msg)?;
    made.frame.pixels = Pixels::U8(pixels);
    Ok(())
}

/// The ten statistics; grey counts as three equal colours.
fn statistics(pixels: &Pixels, [height, width, channels]: [usize; 3]) -> Vec<f32> {
    let mut bytes = pixels.to_u8();
    if channels == 1 {
        bytes = bytes.into_iter().flat_map(|grey| [grey; 3]).collect();
    }
    let found = image_statistics(&bytes, height, width);
    found.map(|values| values.map(|value| value as f32).to_vec()).unwrap_or_default()
}

fn push(set: &mut FeatureSet, frames: &Frames, found: Found) {
    let features = found.features;
    set.classes = features.logits.len();
    set.penultimate_length = features.penultimate.len();
    set.logits.extend(features.logits);
    set.squared_norms.extend(features.squared_norms);
    set.activation_norms.extend(features.activation_norms);
    set.penultimate.extend(features.penultimate);
    set.alignments.extend(features.alignments);
    set.image_statistics.extend(found.statistics);
    if let Some((kind, severity)) = found.made {
        set.kinds.of_frame.push(kind as i64);
        set.kinds.severities.push(i64::from(severity));
    }
    set.labels.push(found.label);
    let id = frames.source_id(found.source);
    if let Some(name) = frames.sequence(found.source) {
        set.sequences.insert(id, name);
    }
    set.push_time(found.time_ns);
    set.source.push(id);
}
