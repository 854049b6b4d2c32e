//! Curves, profiles over the layers, and frames.

use gradgate_detect::metrics::Curve;
use gradgate_detect::report::{Layers, Page, Series, Thumbnail, histogram, roc};
use gradgate_frames::{Pixels, png};

use crate::error::LabError;
use crate::protocol::Run;
use crate::protocol::compare::Scores;
use crate::protocol::definition::SetKind;
use crate::protocol::examined::predicted;
use crate::protocol::ours::{Measured, bytes};
use crate::protocol::results::{Direction, Results};

/// Curves in one picture.
const CURVES: usize = 8;
/// Sets in one profile.
const PROFILES: usize = 7;
/// Frames of a row of a sheet.
const FRAMES: usize = 8;

/// ROC curves of the detectors on each set, and the first one's scores.
pub fn curves(page: &mut Page, run: &Run, kind: Option<SetKind>) -> Result<(), LabError> {
    for set in sets_of(run, kind) {
        let scores: Vec<&Scores> = run
            .scores
            .iter()
            .filter(|one| one.set == set && is_own_lesson(one))
            .take(CURVES)
            .collect();
        let curves: Vec<(String, Curve)> = scores
            .iter()
            .filter_map(|one| Some((one.who.detector.clone(), first_curve(one)?)))
            .collect();
        let named: Vec<(&str, &Curve)> =
            curves.iter().map(|(name, curve)| (name.as_str(), curve)).collect();
        let Some((name, curve)) = named.first() else { continue };
        page.picture(&roc(&named), &format!("{set}: ROC curves, first split"));
        let threshold = scores.first().and_then(|one| one.splits.first()).map(|s| s.threshold());
        let caption = format!(
            "{set}: scores of {name}, first split; the threshold flags 5 % of the normal \
             validation frames"
        );
        page.picture(&histogram(curve, threshold), &caption);
    }
    Ok(())
}

fn sets_of(run: &Run, kind: Option<SetKind>) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for one in run.scores.iter().filter(|one| one.kind == kind) {
        if !names.contains(&one.set) {
            names.push(one.set.clone());
        }
    }
    names
}

/// Detectors that learnt from the tested set or from no anomaly.
fn is_own_lesson(one: &Scores) -> bool {
    one.who.learnt_from.iter().all(|set| *set == one.set)
}

fn first_curve(one: &Scores) -> Option<Curve> {
    let split = one.splits.first()?;
    Curve::new(&split.normal, &split.anomalous).ok()
}

/// Gradient norms and activation norms by layer, normal frames beside the others: figure 3 of Lee
/// et al. (2022).
pub fn profiles(page: &mut Page, results: &Results) {
    let Some((normal, others)) = results.directions.split_first() else { return };
    for part in others.chunks(PROFILES - 1) {
        let all: Vec<&Direction> = std::iter::once(normal).chain(part).collect();
        let series = |pick: fn(&Direction) -> &Vec<[f64; 3]>| -> Vec<Series<'_>> {
            all.iter().map(|one| Series { name: &one.set, quartiles: pick(one).clone() }).collect()
        };
        let (norms, activations) =
            (series(|one| &one.norm_quartiles), series(|one| &one.activation_quartiles));
        let (parameters, layers) = (&results.model.parameters, &results.model.layers);
        let label = "squared gradient norm";
        page.picture(
            &Layers { names: parameters, label, series: &norms }.picture(),
            "Medians and quartiles of squared gradient norms, parameter by parameter",
        );
        let label = "squared activation norm";
        page.picture(
            &Layers { names: layers, label, series: &activations }.picture(),
            "The same of squared activation norms, layer by layer",
        );
    }
}

/// The frames that the first detector finds most and least anomalous.
pub fn sheets(page: &mut Page, run: &Run) -> Result<(), LabError> {
    let Some(first) = run.results.definition.ours.first() else { return Ok(()) };
    let mine = |one: &&Scores| one.who.detector == *first && is_own_lesson(one);
    let shown: Vec<&Scores> = run.scores.iter().filter(mine).collect();
    if shown.is_empty() {
        return Ok(());
    }
    page.heading(2, "Frames that stand out").paragraph(&format!(
        "The most and the least anomalous tested frames of the first split by {first}: score, \
         label → predicted class."
    ));
    if let Some(one) = shown.first() {
        let set = run.sets.iter().position(|set| set.images.name == one.set);
        let normal = set.map_or(&run.normal, |at| run.normal_of(at));
        rows(page, one, normal, false, &format!("normal frames (against {})", one.set))?;
    }
    for one in shown {
        let set = run.sets.iter().find(|set| set.images.name == one.set);
        if let Some(set) = set {
            rows(page, one, set, true, &one.set)?;
        }
    }
    Ok(())
}

fn rows(
    page: &mut Page,
    scores: &Scores,
    set: &Measured,
    anomalous: bool,
    title: &str,
) -> Result<(), LabError> {
    let Some(split) = scores.splits.first() else { return Ok(()) };
    let (frames, values) = match anomalous {
        true => (&split.anomalous_frames, &split.anomalous),
        false => (&split.normal_frames, &split.normal),
    };
    let mut order: Vec<usize> = (0..frames.len()).collect();
    order.sort_by(|&a, &b| values[b].total_cmp(&values[a]));
    let count = FRAMES.min(order.len());
    let ends = [("most anomalous", &order[..count]), ("least", &order[order.len() - count..])];
    for (end, places) in ends {
        page.heading(3, &format!("{title}: {end}"));
        sheet(page, set, places.iter().map(|&at| (frames[at], values[at])))?;
    }
    Ok(())
}

fn sheet(
    page: &mut Page,
    set: &Measured,
    frames: impl Iterator<Item = (usize, f64)>,
) -> Result<(), LabError> {
    let &[_, _, height, width] = set.images.images.shape() else { return Ok(()) };
    let mut images: Vec<(Vec<u8>, String)> = Vec::new();
    for (frame, score) in frames {
        let pixels = Pixels::U8(bytes(&set.images, frame));
        let file = png(&pixels, [height, width, 3]).map_err(LabError::Data)?;
        let label = set.images.labels[frame].map_or("?".to_owned(), |label| label.to_string());
        let class = predicted(&set.features, frame);
        images.push((file, format!("{score:.2}, {label} → {class}, frame {frame}")));
    }
    let thumbnails: Vec<Thumbnail<'_>> =
        images.iter().map(|(png, caption)| Thumbnail { png, caption }).collect();
    page.sheet(&thumbnails).map_err(|error| LabError::Data(error.to_string()))?;
    Ok(())
}
