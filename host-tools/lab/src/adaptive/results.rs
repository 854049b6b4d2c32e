//! What comes of a run: every image's fate, and the table.

use gradgate_detect::binomial::interval;
use serde::{Deserialize, Serialize};

use super::detector::Threshold;
use super::options::{Method, Options};
use super::sanity::{Check, GradientCheck};

/// One attack at one radius, on one detector or on none.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cell {
    /// Which attack.
    pub method: Method,
    /// Radius in 1/255.
    pub eps: f64,
    /// The detector that was asked; without one, the images are judged by all.
    pub detector: Option<String>,
}

/// An image before the attack.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Clean {
    /// Its number.
    pub index: usize,
    /// Image, track or sequence that it belongs to.
    pub source: i64,
    /// Its class.
    pub label: usize,
    /// The class predicted.
    pub predicted: usize,
    /// By detector; `None` where there is no score.
    pub scores: Vec<Option<f32>>,
}

/// An image of bytes after the attack, as a device judges it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fate {
    /// Its number.
    pub index: usize,
    /// The class predicted.
    pub predicted: usize,
    /// Largest difference of a pixel, in 0..1.
    pub l_inf: f32,
    /// Root of the sum of squared differences.
    pub l2: f32,
    /// By detector; `None` where there is no score.
    pub scores: Vec<Option<f32>>,
}

/// A cell with the fate of every image that was attacked in it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Finished {
    /// Which.
    pub cell: Cell,
    /// By index.
    pub fates: Vec<Fate>,
}

/// A detector in the results.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DetectorSummary {
    /// Its name.
    pub name: String,
    /// Its head's name.
    pub head: String,
    /// Rates and scores.
    pub thresholds: Vec<Threshold>,
}

/// One attack on one detector at one false-alarm rate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// The attack's name.
    pub attack: String,
    /// Radius in 1/255.
    pub eps: f64,
    /// The detector that judges.
    pub detector: String,
    /// False-alarm rate of the threshold.
    pub rate: f64,
    /// Images that were right and passed before the attack.
    pub images: usize,
    /// Of these, misclassified after it.
    pub misclassified: usize,
    /// Of these, misclassified and passed.
    pub evades: usize,
    /// Clopper and Pearson's 95 % interval of `evades / images`, by images.
    pub evades_interval: [f64; 2],
    /// Median L2 distance of those that evade.
    pub median_l2: Option<f64>,
}

/// All of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Results {
    /// As chosen.
    pub options: Options,
    /// In the order of all scores.
    pub detectors: Vec<DetectorSummary>,
    /// Every image, by index.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub clean: Vec<Clean>,
    /// In the order of the run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cells: Vec<Finished>,
    /// The table.
    pub rows: Vec<Row>,
    /// How well the attacker's gradients agree with themselves.
    pub gradients: Vec<GradientCheck>,
    /// What must hold for the table to mean anything.
    pub checks: Vec<Check>,
    /// Whether all of it holds.
    pub valid: bool,
    /// What does not.
    pub reasons: Vec<String>,
}

impl Results {
    /// All but the fate of every image.
    pub fn summary(&self) -> Results {
        Results {
            clean: Vec::new(),
            cells: Vec::new(),
            options: self.options.clone(),
            detectors: self.detectors.clone(),
            rows: self.rows.clone(),
            gradients: self.gradients.clone(),
            checks: self.checks.clone(),
            reasons: self.reasons.clone(),
            valid: self.valid,
        }
    }

    /// Whether it means anything, in one line.
    pub fn verdict(&self) -> String {
        match self.valid {
            true => "valid: all sanity checks hold".to_owned(),
            false => format!("VOID, says nothing of the detectors: {}", self.reasons.join("; ")),
        }
    }

    /// Comma-separated values with a heading: every image's fate in every cell, and before all
    /// attacks (`clean`). Cells are empty where a detector has no score.
    pub fn csv(&self) -> String {
        let mut text = "attack,eps,asked,image,source,label,predicted,l_inf,l2".to_owned();
        let score = |score: &Option<f32>| score.map_or(String::new(), |score| score.to_string());
        let mut line = |fixed: String, scores: &[Option<f32>]| {
            text += &fixed;
            scores.iter().for_each(|one| text += &format!(",{}", score(one)));
            text.push('\n');
        };
        let names: Vec<String> = self.detectors.iter().map(|one| quoted(&one.name)).collect();
        line(names.iter().fold(String::new(), |all, name| format!("{all},{name}")), &[]);
        for one in &self.clean {
            let Clean { index, source, label, predicted, scores } = one;
            line(format!("clean,0,,{index},{source},{label},{predicted},0,0"), scores);
        }
        for Finished { cell, fates } in &self.cells {
            let asked = cell.detector.as_ref().map_or(String::new(), |name| quoted(name));
            for fate in fates {
                let Some(clean) = self.clean.iter().find(|clean| clean.index == fate.index) else {
                    continue;
                };
                let Fate { index, predicted, l_inf, l2, scores } = fate;
                let (source, label) = (clean.source, clean.label);
                let known = format!("{index},{source},{label},{predicted},{l_inf},{l2}");
                line(format!("{},{},{asked},{known}", cell.method, cell.eps), scores);
            }
        }
        text
    }
}

fn quoted(name: &str) -> String {
    if name.contains([',', '"']) {
        format!("\"{}\"", name.replace('"', "\"\""))
    } else {
        name.to_owned()
    }
}

impl Row {
    /// Names of [`Row::cells`].
    pub const HEADINGS: [&str; 8] = [
        "attack",
        "eps /255",
        "detector",
        "false alarms",
        "misclassified",
        "evades",
        "95 % interval",
        "median L2",
    ];

    /// Share of images that are misclassified and pass; NaN without images.
    pub fn evades_share(&self) -> f64 {
        self.evades as f64 / self.images as f64
    }

    /// Share of images that are misclassified; NaN without images.
    pub fn misclassified_share(&self) -> f64 {
        self.misclassified as f64 / self.images as f64
    }

    /// As text, in the order of [`Row::HEADINGS`].
    pub fn cells(&self) -> [String; 8] {
        let share = |count: usize, share: f64| {
            if self.images == 0 {
                return "no images".to_owned();
            }
            format!("{:.1} % ({count}/{})", 100.0 * share, self.images)
        };
        let [low, high] = self.evades_interval;
        [
            self.attack.clone(),
            self.eps.to_string(),
            self.detector.clone(),
            format!("{} %", 100.0 * self.rate),
            share(self.misclassified, self.misclassified_share()),
            share(self.evades, self.evades_share()),
            format!("{:.1} to {:.1} %", 100.0 * low, 100.0 * high),
            self.median_l2.map_or("-".to_owned(), |l2| format!("{l2:.3}")),
        ]
    }
}

/// The rows of a cell: of its detector, or of all.
pub(crate) fn rows(
    finished: &Finished,
    clean: &[Clean],
    detectors: &[DetectorSummary],
) -> Vec<Row> {
    let asked = finished.cell.detector.as_ref();
    let mut rows = Vec::new();
    for (at, detector) in detectors.iter().enumerate() {
        if asked.is_some_and(|name| *name != detector.name) {
            continue;
        }
        let row = |threshold| row(finished, clean, at, &detector.name, threshold);
        rows.extend(detector.thresholds.iter().map(row));
    }
    rows
}

fn row(finished: &Finished, clean: &[Clean], at: usize, name: &str, threshold: &Threshold) -> Row {
    let passes = |scores: &[Option<f32>]| scores[at].is_some_and(|score| score <= threshold.score);
    let before = |fate: &Fate| clean.iter().find(|clean| clean.index == fate.index);
    let eligible = |fate: &&Fate| {
        before(fate).is_some_and(|clean| clean.predicted == clean.label && passes(&clean.scores))
    };
    let fates: Vec<&Fate> = finished.fates.iter().filter(eligible).collect();
    let wrong = |fate: &&&Fate| before(fate).is_some_and(|clean| clean.label != fate.predicted);
    let evading: Vec<&&Fate> =
        fates.iter().filter(|fate| wrong(fate) && passes(&fate.scores)).collect();
    let (low, high) = match fates.len() {
        0 => (0.0, 1.0),
        images => interval(evading.len() as u64, images as u64, 0.95),
    };
    Row {
        attack: finished.cell.method.to_string(),
        eps: finished.cell.eps,
        detector: name.to_owned(),
        rate: threshold.rate,
        images: fates.len(),
        misclassified: fates.iter().filter(wrong).count(),
        evades: evading.len(),
        evades_interval: [low, high],
        median_l2: median(evading.iter().map(|fate| f64::from(fate.l2)).collect()),
    }
}

/// Mean of the two middle ones where their number is even.
pub(crate) fn median(mut numbers: Vec<f64>) -> Option<f64> {
    numbers.sort_by(f64::total_cmp);
    let middle = numbers.len() / 2;
    match numbers.len() {
        0 => None,
        length if length % 2 == 1 => Some(numbers[middle]),
        _ => Some(0.5 * (numbers[middle - 1] + numbers[middle])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_count_only_what_was_right_and_passed() {
        let clean = |index, predicted, score| Clean {
            index,
            source: 0,
            label: 1,
            predicted,
            scores: vec![score],
        };
        let fate = |index, predicted, score, l2| Fate {
            index,
            predicted,
            l_inf: 0.0,
            l2,
            scores: vec![score],
        };
        let clean = [
            clean(0, 1, Some(0.0)),
            clean(1, 1, Some(0.0)),
            clean(2, 1, Some(1.5)),
            clean(3, 0, Some(0.0)),
            clean(4, 1, Some(0.0)),
            clean(5, 1, None),
        ];
        let fates = vec![
            fate(0, 2, Some(0.5), 1.0),
            fate(1, 2, Some(1.2), 3.0),
            fate(2, 2, Some(0.5), 9.0),
            fate(3, 2, Some(0.5), 9.0),
            fate(4, 1, Some(0.5), 9.0),
            fate(5, 2, Some(0.5), 9.0),
        ];
        let cell = Cell { method: Method::Noise, eps: 1.0, detector: None };
        let thresholds =
            vec![Threshold { rate: 0.05, score: 1.0 }, Threshold { rate: 0.01, score: 2.0 }];
        let detector = DetectorSummary { name: "d".to_owned(), head: "mlp".to_owned(), thresholds };
        let rows = rows(&Finished { cell, fates }, &clean, &[detector]);
        let counts: Vec<[usize; 3]> =
            rows.iter().map(|row| [row.images, row.misclassified, row.evades]).collect();
        assert_eq!(counts, [[3, 2, 1], [4, 3, 3]]);
        assert_eq!((rows[0].median_l2, rows[1].median_l2), (Some(1.0), Some(3.0)));
        assert_eq!(rows[0].cells()[5], "33.3 % (1/3)");
    }
}
