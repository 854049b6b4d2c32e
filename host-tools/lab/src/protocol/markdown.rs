//! The figures of a run as tables of a text file.

use std::fmt::Write as _;

use gradgate_detect::metrics::Interval;

use crate::baseline::LabelBudget;

use super::definition::SetKind;
use super::results::{Comparison, Results};

/// All of it, from results alone.
pub fn text(results: &Results) -> String {
    let mut text = beginning(results);
    sets(results, &mut text);
    for kind in [
        Some(SetKind::Attack),
        Some(SetKind::NearOod),
        Some(SetKind::FarOod),
        Some(SetKind::Fault),
        None,
    ] {
        let of_kind: Vec<&Comparison> =
            results.comparisons.iter().filter(|one| one.kind == kind).collect();
        if !of_kind.is_empty() {
            comparisons(kind.map_or("own errors", SetKind::name), &of_kind, &mut text);
        }
    }
    matched(results, &mut text);
    not_run(results, &mut text);
    controls(results, &mut text);
    adaptive(results, &mut text);
    directions(results, &mut text);
    text
}

fn adaptive(results: &Results, text: &mut String) {
    let Some(found) = &results.adaptive else { return };
    let _ = writeln!(text, "\n## Attacks by somebody who knows the detector\n");
    let _ = writeln!(text, "{}", found.verdict());
    table(text, &strings(crate::adaptive::Row::HEADINGS));
    found.rows.iter().for_each(|one| row(text, &one.cells()));
    table(text, &strings(["must hold", "detector", "holds", "figures"]));
    for check in &found.checks {
        let holds = if check.passed { "yes" } else { "NO" };
        row(text, &strings([&check.name, &check.detector, holds, &check.text]));
    }
}

fn beginning(results: &Results) -> String {
    let Results { definition, model, split_digest, .. } = results;
    format!(
        "# {}\n\n{}\n\nModel {} (SHA-256 {:.16}..), label {}, split seeds {:?}, splits {:.16}... \
         AUROC in percent with 95 % intervals by cluster bootstrap over sources; docs/evaluate.md \
         says how.\n",
        definition.name,
        definition.about,
        model.name,
        model.digest,
        definition.label.name(),
        definition.seeds,
        split_digest
    )
}

fn table(text: &mut String, heading: &[String]) {
    let _ = writeln!(text, "\n| {} |", heading.join(" | "));
    let _ = writeln!(text, "|{}", " --- |".repeat(heading.len()));
}

fn row(text: &mut String, cells: &[String]) {
    let _ = writeln!(text, "| {} |", cells.join(" | "));
}

fn strings<const N: usize>(words: [&str; N]) -> Vec<String> {
    words.map(str::to_owned).to_vec()
}

fn sets(results: &Results, text: &mut String) {
    text.push_str("\n## Frames\n");
    table(
        text,
        &strings(["set", "frames", "sources", "classifier right", "attack succeeds", "L2"]),
    );
    for set in &results.sets {
        let of = |part: usize, all: usize| {
            format!("{:.1} % of {all}", 100.0 * part as f64 / all.max(1) as f64)
        };
        let attack = set.attack.as_ref();
        row(
            text,
            &[
                set.name.clone(),
                set.frames.to_string(),
                set.sources.to_string(),
                set.right.map_or(String::new(), |[right, all]| of(right, all)),
                attack.map_or(String::new(), |facts| of(facts.success, facts.attacked)),
                attack.map_or(String::new(), |facts| format!("{:.3}", facts.mean_l2)),
            ],
        );
    }
}

/// A row a detector, a column a set.
fn comparisons(title: &str, all: &[&Comparison], text: &mut String) {
    let mut names: Vec<&str> = Vec::new();
    let mut rows: Vec<(String, &Comparison)> = Vec::new();
    for one in all {
        if !names.contains(&one.set.as_str()) {
            names.push(&one.set);
        }
        let name = lesson(one);
        if !rows.iter().any(|(other, _)| *other == name) {
            rows.push((name, one));
        }
    }
    let _ = writeln!(text, "\n## AUROC: {title}");
    let mut heading = strings(["detector", "needs"]);
    heading.extend(names.iter().map(|name| (*name).to_owned()));
    table(text, &heading);
    for (name, first) in rows {
        let mut cells = vec![name.clone(), first.label_budget.to_string()];
        for set in &names {
            let found = all.iter().find(|one| one.set == *set && lesson(one) == name);
            cells.push(found.map_or(String::new(), |one| cell(one)));
        }
        row(text, &cells);
    }
    text.push_str(
        "\nIn brackets the interval; then, after Δ, the paired gain over the first of our \
         detectors that asks for as much, bold where its interval excludes 0; `c`: confounded, ten \
         plain image statistics come within two points of the first detector. Detectors of others \
         are tested on the first split and on fewer frames: counts are in results.json.\n",
    );
}

fn lesson(one: &Comparison) -> String {
    match one.learnt_from.as_slice() {
        [] if one.label_budget == LabelBudget::None => one.detector.clone(),
        [] => format!("{} ({})", one.detector, one.budget),
        [own] if *own == one.set => one.detector.clone(),
        [other] => format!("{}, learnt from {other}", one.detector),
        _ => format!("{}, learnt from all others", one.detector),
    }
}

fn cell(one: &Comparison) -> String {
    let percent = |i: Interval| [i.value, i.low, i.high].map(|value| 100.0 * value);
    let [value, low, high] = percent(one.figures.auroc);
    let mut text = format!("{value:.2} [{low:.2}, {high:.2}]");
    if let Some(gain) = one.minus_first {
        let [value, low, high] = percent(gain);
        let shown = low > 0.0 || high < 0.0;
        let bold = if shown { "**" } else { "" };
        let _ = write!(text, " Δ {bold}{value:+.2}{bold}");
    }
    if one.confounded {
        text.push_str(" c");
    }
    text
}

fn matched(results: &Results, text: &mut String) {
    let rows = rows_of_pairs(results);
    let Some((heading, rows)) = rows.split_first() else { return };
    text.push_str("\n## AUROC over matched pairs\n");
    table(text, heading);
    rows.iter().for_each(|cells| row(text, cells));
    let _ = writeln!(text, "\n{PAIRS}");
}

/// What pairs are.
pub const PAIRS: &str = "Tested normal and anomalous frames in pairs that are nearest in ten plain \
     image statistics, and to which the network on these statistics gives scores within 0.2 \
     standard deviations; the more of a figure is left, the less of it is owed to such statistics.";

/// A heading, then a row a detector: its AUROC over pairs of each set; nothing where there is none.
pub fn rows_of_pairs(results: &Results) -> Vec<Vec<String>> {
    let with = |one: &&Comparison| one.matched.is_some();
    let mut sets: Vec<(&str, usize)> = Vec::new();
    let mut detectors: Vec<String> = Vec::new();
    for one in results.comparisons.iter().filter(with) {
        let pairs = one.matched.map_or(0, |matched| matched.pairs);
        if !sets.iter().any(|(name, _)| *name == one.set) {
            sets.push((&one.set, pairs));
        }
        if !detectors.contains(&lesson(one)) {
            detectors.push(lesson(one));
        }
    }
    if sets.is_empty() {
        return Vec::new();
    }
    let mut heading = vec!["detector".to_owned()];
    heading.extend(sets.iter().map(|(name, pairs)| format!("{name}, {pairs} pairs")));
    let mut rows = vec![heading];
    for detector in detectors {
        let cell = |set: &str| {
            let mut own = results.comparisons.iter().filter(|one| one.set == set);
            let found = own.find(|one| lesson(one) == detector)?.matched?.auroc;
            let [value, low, high] = [found.value, found.low, found.high].map(|x| 100.0 * x);
            Some(format!("{value:.2} [{low:.2}, {high:.2}]"))
        };
        let cells = sets.iter().map(|(set, _)| cell(set).unwrap_or_default());
        rows.push(std::iter::once(detector.clone()).chain(cells).collect());
    }
    rows
}

fn not_run(results: &Results, text: &mut String) {
    if results.not_run.is_empty() {
        return;
    }
    text.push_str("\n## Not run\n");
    table(text, &strings(["detector", "set", "what it lacked"]));
    for one in &results.not_run {
        let detector = format!("{} ({})", one.detector, one.budget);
        row(text, &[detector, one.set.clone(), one.reason.clone()]);
    }
}

fn controls(results: &Results, text: &mut String) {
    if results.controls.is_empty() {
        return;
    }
    text.push_str("\n## Harmless changes flagged\n");
    let heading =
        ["harmless set", "detector", "learnt from", "flagged", "normal flagged", "against"];
    table(text, &strings(heading));
    for one in &results.controls {
        let percent = |value: f64| format!("{:.1} %", 100.0 * value);
        row(
            text,
            &[
                one.control.clone(),
                one.detector.clone(),
                one.learnt_from.join(" "),
                format!("{} of {}", percent(one.flagged), one.frames),
                percent(one.normal_flagged),
                one.anomalous_against_control.map_or(String::new(), percent),
            ],
        );
    }
    text.push_str(
        "\n`flagged` at the score that 5 % of the normal validation frames lie above; `against` is \
         the AUROC of the set that was learnt from against the harmless one.\n",
    );
}

fn directions(results: &Results, text: &mut String) {
    text.push_str("\n## Norms beside those of normal frames\n");
    let heading = ["set", "gradient norms above", "activation norms above", "frames above, mean"];
    table(text, &strings(heading));
    for one in results.directions.iter().skip(1) {
        row(
            text,
            &[
                one.set.clone(),
                format!("{} of {}", one.norms_above[0], one.norms_above[1]),
                format!("{} of {}", one.activations_above[0], one.activations_above[1]),
                format!("{:.1} %", 100.0 * one.mean_share_above),
            ],
        );
    }
    text.push_str("\nTensors whose median is above that of the normal frames, of all.\n");
}
