//! The report of a run as one HTML page.

mod figures;

use gradgate_detect::report::{Column, Page, Table};

use crate::error::LabError;

use super::definition::{Question, SetKind};
use super::results::{Comparison, Results, SetFacts};
use super::{Run, markdown};

/// The page.
///
/// # Errors
/// A picture that cannot be encoded.
pub fn html(run: &Run) -> Result<String, LabError> {
    let results = &run.results;
    let mut page = Page::new(&results.definition.name);
    page.heading(1, &results.definition.name);
    if !results.definition.about.is_empty() {
        page.paragraph(&results.definition.about);
    }
    page.paragraph(&basis(results)).table(&sets(results));
    for (kind, title) in SECTIONS {
        let of_kind: Vec<&Comparison> =
            results.comparisons.iter().filter(|one| one.kind == kind).collect();
        if of_kind.is_empty() {
            continue;
        }
        page.heading(2, title);
        if results.definition.question == Question::Unseen {
            matrices(&mut page, &of_kind);
        } else {
            comparisons(&mut page, &of_kind);
        }
        figures::curves(&mut page, run, kind)?;
    }
    matched(&mut page, results);
    if !results.not_run.is_empty() {
        page.heading(2, "Not run").table(&not_run(results));
    }
    if !results.controls.is_empty() {
        page.heading(2, "Harmless changes").paragraph(CONTROLS).table(&controls(results));
    }
    if let Some(found) = &results.adaptive {
        adaptive(&mut page, found);
    }
    page.heading(2, "Norms beside those of normal frames").table(&directions(results));
    figures::profiles(&mut page, results);
    figures::sheets(&mut page, run)?;
    page.heading(2, "How the figures are made").table(&definitions());
    Ok(page.html())
}

const SECTIONS: [(Option<SetKind>, &str); 6] = [
    (Some(SetKind::Attack), "Attacked frames"),
    (Some(SetKind::NearOod), "Unknown classes of the same source"),
    (Some(SetKind::FarOod), "Other sources of images"),
    (Some(SetKind::Fault), "Camera faults"),
    (None, "The classifier's own errors"),
    (Some(SetKind::Control), "Harmless changes as anomalies"),
];

const CONTROLS: &str = "Frames in which nothing changed that matters. `flagged` is the share above \
     the threshold that flags 5 % of the normal validation frames; a detector of attacks should \
     not flag noise of the same size. `against` is the AUROC of the set that was learnt from \
     against the harmless one: near 50 % the detector sees the size of the change, not the attack.";

const ADAPTIVE: &str = "`evades`: of the frames that were right and passed before, the share that \
     the classifier gets wrong and the detector lets pass after the attack, rounded to bytes and \
     judged in the engine's exact numerics; 95 % interval by Clopper and Pearson, median L2 of \
     those that evade. `selective`, `orthogonal` and `square` ask the detector, the others do not.";

fn basis(results: &Results) -> String {
    let Results { model, definition, split_digest, .. } = results;
    format!(
        "Model {} (SHA-256 {:.16}..), {} classes, {} parameter tensors, {} layers{}. Splits by \
         source, 40 % train, 40 % validate, 20 % test, seeds {:?}, digest {:.16}.., the same for \
         all detectors. Figures are means over the seeds in percent with 95 % intervals by cluster \
         bootstrap over sources ({} draws). gradgate {}.",
        model.name,
        model.digest,
        model.classes,
        model.parameters.len(),
        model.layers.len(),
        if model.folded { ", batch normalisation folded by the exporter" } else { "" },
        definition.seeds,
        split_digest,
        definition.resamples,
        results.version
    )
}

fn sets(results: &Results) -> Table {
    use Column::{Code, Number, Text};
    let mut table = Table::new(&[
        (Text, "set"),
        (Text, "sort"),
        (Number, "frames"),
        (Number, "sources"),
        (Number, "classifier right"),
        (Number, "attack succeeds"),
        (Number, "mean L∞, /255"),
        (Number, "mean L2"),
        (Code, "SHA-256 of the pixels"),
    ])
    .caption("Frames");
    for set in &results.sets {
        table.row(&set_row(set));
    }
    table
}

fn set_row(set: &SetFacts) -> [String; 9] {
    let share = |part: usize, all: usize| {
        format!("{:.1} % ({part} of {all})", 100.0 * part as f64 / all.max(1) as f64)
    };
    let attack = set.attack.as_ref();
    [
        set.name.clone(),
        set.kind.map_or("normal", SetKind::name).to_owned(),
        set.frames.to_string(),
        set.sources.to_string(),
        set.right.map_or(String::new(), |[right, known]| share(right, known)),
        attack.map_or(String::new(), |facts| share(facts.success, facts.attacked)),
        attack.map_or(String::new(), |facts| format!("{:.2}", 255.0 * facts.mean_l_inf)),
        attack.map_or(String::new(), |facts| format!("{:.3}", facts.mean_l2)),
        format!("{:.16}", set.digest),
    ]
}

fn comparisons(page: &mut Page, all: &[&Comparison]) {
    use Column::{Number, Text};
    let mut names: Vec<&str> = all.iter().map(|one| one.set.as_str()).collect();
    names.dedup();
    for name in names {
        let rows: Vec<&&Comparison> = all.iter().filter(|one| one.set == name).collect();
        let Some(first) = rows.first() else { continue };
        page.heading(3, name);
        if first.confounded {
            page.paragraph(
                "Confounded: ten plain image statistics come within two points of the first \
                 detector or beyond it, so this set says little about the classifier.",
            );
        }
        let mut table = Table::new(&[
            (Text, "detector"),
            (Text, "needs"),
            (Text, "budget"),
            (Number, "normal + anomalous"),
            (Number, "AUROC"),
            (Number, "published"),
            (Number, "difference"),
            (Number, "minus first"),
            (Number, "of successes"),
            (Number, "AUPR anomalous"),
            (Number, "AUPR normal"),
            (Number, "FPR95"),
            (Number, "best bal. acc."),
            (Number, "acc. at ½"),
            (Number, "found at 5 %"),
        ])
        .caption(&format!("{}: {}; {} splits", first.detector, first.figures.counts, first.seeds));
        rows.iter().for_each(|one| table.row(&row(one)));
        page.table(&table);
        let notes: Vec<String> = rows.iter().filter_map(|one| note(one)).collect();
        if !notes.is_empty() {
            page.paragraph(&format!("Notes. {}.", notes.join(". ")));
        }
    }
}

fn row(one: &Comparison) -> [String; 15] {
    use gradgate_detect::metrics::Interval;
    let figures = &one.figures;
    let percent = |value: f64| format!("{:.2}", 100.0 * value);
    let wide = |i: Interval| {
        format!("{:.2} [{:.2}, {:.2}]", 100.0 * i.value, 100.0 * i.low, 100.0 * i.high)
    };
    let given = |i: &Option<Interval>| i.map_or(String::new(), wide);
    let published = one.published;
    let difference = published.map(|value| 100.0 * figures.auroc.value - value);
    [
        one.detector.clone(),
        one.label_budget.to_string(),
        one.budget.to_string(),
        format!("{} + {}", figures.counts.normal, figures.counts.anomalous),
        wide(figures.auroc),
        published.map_or("–".to_owned(), |value| format!("{value:.2}")),
        difference.map_or("–".to_owned(), |value| format!("{value:+.2}")),
        given(&one.minus_first),
        given(&one.auroc_of_successes),
        percent(figures.aupr_anomalous.value),
        percent(figures.aupr_normal.value),
        percent(figures.fpr95.value),
        percent(figures.accuracy_best.value),
        one.accuracy_half.map_or(String::new(), percent),
        figures.at.map_or(String::new(), |at| percent(at.tpr.value)),
    ]
}

fn note(one: &Comparison) -> Option<String> {
    let notes = one.notes.join("; ");
    (!notes.is_empty()).then(|| format!("{} ({}): {notes}", one.detector, one.budget))
}

/// AUROC by what was learnt from and what was tested, a table a detector.
fn matrices(page: &mut Page, all: &[&Comparison]) {
    let distinct = |pick: &dyn Fn(&Comparison) -> String| {
        let mut found: Vec<String> = Vec::new();
        for one in all {
            let name = pick(one);
            if !found.contains(&name) {
                found.push(name);
            }
        }
        found
    };
    let sets = distinct(&|one| one.set.clone());
    for detector in distinct(&|one| one.detector.clone()) {
        let lessons = |one: &Comparison| match one.learnt_from.len() {
            0 => "normal frames alone".to_owned(),
            1 => one.learnt_from[0].clone(),
            _ => "all but the tested one".to_owned(),
        };
        let of = |lesson: &str, set: &str| {
            all.iter()
                .find(|one| one.detector == detector && one.set == set && lessons(one) == lesson)
                .map_or(String::new(), |one| format!("{:.1}", 100.0 * one.figures.auroc.value))
        };
        let mut columns = vec![(Column::Text, "learnt from")];
        columns.extend(sets.iter().map(|set| (Column::Number, set.as_str())));
        let mut table = Table::new(&columns).caption(&format!("{detector}: AUROC, %"));
        let mut rows: Vec<String> = Vec::new();
        for one in all.iter().filter(|one| one.detector == detector) {
            let name = lessons(one);
            if !rows.contains(&name) {
                rows.push(name);
            }
        }
        for lesson in rows {
            let mut cells = vec![lesson.clone()];
            cells.extend(sets.iter().map(|set| of(&lesson, set)));
            table.row(&cells);
        }
        page.table(&table);
    }
}

fn matched(page: &mut Page, results: &Results) {
    let rows = markdown::rows_of_pairs(results);
    let Some((heading, rows)) = rows.split_first() else { return };
    let kind = |at: usize| if at == 0 { Column::Text } else { Column::Number };
    let columns: Vec<(Column, &str)> =
        heading.iter().enumerate().map(|(at, name)| (kind(at), name.as_str())).collect();
    let mut table = Table::new(&columns);
    rows.iter().for_each(|cells| table.row(cells));
    page.heading(2, "AUROC over matched pairs").paragraph(markdown::PAIRS).table(&table);
}

fn not_run(results: &Results) -> Table {
    use Column::Text;
    let mut table = Table::new(&[
        (Text, "detector"),
        (Text, "budget"),
        (Text, "set"),
        (Text, "what it lacked"),
    ]);
    for one in &results.not_run {
        table.row(&[&one.detector, &one.budget.to_string(), &one.set, &one.reason]);
    }
    table
}

/// What somebody who knows the detectors gets past them.
fn adaptive(page: &mut Page, found: &crate::adaptive::Results) {
    use Column::{Number, Text};
    page.heading(2, "Attacks by somebody who knows the detector").paragraph(ADAPTIVE);
    page.paragraph(&found.verdict());
    let kinds = [Text, Number, Text, Number, Number, Number, Number, Number];
    let columns: Vec<(Column, &str)> =
        kinds.into_iter().zip(crate::adaptive::Row::HEADINGS).collect();
    let mut table = Table::new(&columns);
    found.rows.iter().for_each(|row| table.row(&row.cells()));
    page.table(&table);
    let mut table =
        Table::new(&[(Text, "must hold"), (Text, "detector"), (Text, "holds"), (Text, "figures")])
            .caption("Sanity checks, at the highest false-alarm rate");
    for check in &found.checks {
        let holds = if check.passed { "yes" } else { "NO" };
        table.row(&[check.name.as_str(), &check.detector, holds, &check.text]);
    }
    page.table(&table);
}

fn controls(results: &Results) -> Table {
    use Column::{Number, Text};
    let mut table = Table::new(&[
        (Text, "harmless set"),
        (Text, "detector"),
        (Text, "learnt from"),
        (Number, "frames"),
        (Number, "flagged, %"),
        (Number, "normal flagged, %"),
        (Number, "against, %"),
    ]);
    for row in &results.controls {
        table.row(&[
            row.control.clone(),
            row.detector.clone(),
            row.learnt_from.join(" "),
            row.frames.to_string(),
            format!("{:.1}", 100.0 * row.flagged),
            format!("{:.1}", 100.0 * row.normal_flagged),
            row.anomalous_against_control.map_or(String::new(), |a| format!("{:.1}", 100.0 * a)),
        ]);
    }
    table
}

fn directions(results: &Results) -> Table {
    use Column::{Number, Text};
    let mut table = Table::new(&[
        (Text, "set"),
        (Number, "gradient norms above"),
        (Number, "activation norms above"),
        (Number, "mean share of frames above, %"),
    ])
    .caption(
        "Tensors whose median is larger than on normal frames, of all; share of frames above \
              the normal median, averaged over tensors (50 % is no change)",
    );
    for one in results.directions.iter().skip(1) {
        table.row(&[
            one.set.clone(),
            format!("{} of {}", one.norms_above[0], one.norms_above[1]),
            format!("{} of {}", one.activations_above[0], one.activations_above[1]),
            format!("{:.1}", 100.0 * one.mean_share_above),
        ]);
    }
    table
}

fn definitions() -> Table {
    use Column::Text;
    let mut table = Table::new(&[(Text, "figure"), (Text, "positive"), (Text, "rule")]);
    for one in &gradgate_detect::metrics::DEFINITIONS {
        table.row(&[one.name, one.positive, one.rule]);
    }
    let more = [
        (
            "needs",
            "",
            "what a detector's source fits it on: nothing, normal frames, or normal and \
          anomalous frames of this very set",
        ),
        (
            "budget",
            "",
            "what it was fitted on here: `native` as in its source, `equal` the train \
          and validation parts that ours are given",
        ),
        (
            "normal + anomalous",
            "",
            "tested frames, over all splits: detectors of others see the first split alone, and \
             fewer frames of it where they are costly",
        ),
        (
            "minus first",
            "anomalous",
            "AUROC less that of the first of our detectors that asks for as much (anomalies or \
             none), both on the same draws; a detector tested on other frames has none",
        ),
        (
            "of successes",
            "anomalous",
            "AUROC of frames that the attack made wrong against those \
          that the classifier is right about",
        ),
        (
            "acc. at ½",
            "anomalous",
            "frames judged rightly where the network says more or less \
          than ½, in the proportion of the sets",
        ),
        (
            "found at 5 %",
            "anomalous",
            "anomalous frames above the score that 5 % of the normal \
          validation frames lie above",
        ),
    ];
    more.iter().for_each(|(name, positive, rule)| table.row(&[*name, *positive, *rule]));
    table
}
