//! The outcome of a suite as one HTML page that opens offline.

use anyhow::Result;
use gradgate_detect::report::{Column, Page, Table, Thumbnail};
use gradgate_field::hil::junit::log_line;
use gradgate_field::hil::{Outcome, Ran, Report};
use gradgate_frames::{Pixels, png};

use crate::output::plain;

/// Longest log that is shown of a case.
const LOG_LINES: usize = 64;

/// The page; `shape` is the model's frame.
pub fn page(report: &Report, shape: [usize; 3]) -> Result<String> {
    let [passed, failed, errors, skipped] = report.counts();
    let mut page = Page::new(&format!("{}: {passed} passed", report.suite));
    page.heading(1, &format!("Suite {} on hardware", report.suite));
    page.paragraph(&format!(
        "{passed} passed, {failed} failed, {errors} errors, {skipped} skipped. A failure: the \
         device says something else than expected. An error: it judged nothing (UNKNOWN), or did \
         not answer."
    ));
    let mut properties = Table::new(&[(Column::Text, "what"), (Column::Code, "is")]);
    for (name, value) in &report.properties {
        properties.row(&[name, value]);
    }
    page.table(&properties);
    page.heading(2, "Cases").table(&cases(report));
    for case in &report.cases {
        details(&mut page, case, shape)?;
    }
    Ok(page.html())
}

fn cases(report: &Report) -> Table {
    let mut table = Table::new(&[
        (Column::Text, "case"),
        (Column::Text, "outcome"),
        (Column::Number, "frames"),
        (Column::Number, "PASS"),
        (Column::Number, "BLOCK"),
        (Column::Number, "UNKNOWN"),
        (Column::Number, "s"),
        (Column::Text, "why"),
    ]);
    for case in &report.cases {
        let [pass, block, unknown] = case.verdicts.map(|count| count.to_string());
        let seconds = format!("{:.1}", case.milliseconds as f64 / 1000.0);
        let row = [
            plain(&case.name),
            case.outcome.word().to_owned(),
            case.frames().to_string(),
            pass,
            block,
            unknown,
            seconds,
            plain(case.outcome.text()),
        ];
        match case.outcome {
            Outcome::Failed(_) | Outcome::Error(_) => table.marked_row(&row),
            Outcome::Passed | Outcome::Skipped(_) => table.row(&row),
        }
    }
    table
}

fn details(page: &mut Page, case: &Ran, shape: [usize; 3]) -> Result<()> {
    if case.mismatches.is_empty() && case.notes.is_empty() && case.log.is_empty() {
        return Ok(());
    }
    page.heading(2, &case.name);
    for note in &case.notes {
        page.paragraph(note);
    }
    if !case.mismatches.is_empty() {
        let mut table = Table::new(&[
            (Column::Number, "frame"),
            (Column::Text, "name"),
            (Column::Text, "device instead of host"),
            (Column::Text, "where"),
        ]);
        let mut images = Vec::new();
        for one in &case.mismatches {
            let row =
                [one.index.to_string(), plain(&one.name), one.what.join(", "), plain(&one.tensor)];
            table.row(&row);
            if let Ok(image) = png(&Pixels::U8(one.picture.clone()), shape) {
                images.push((image, format!("frame {}", one.index)));
            }
        }
        let shown = images.iter().map(|(png, caption)| Thumbnail { png, caption });
        page.table(&table).pictures(&shown.collect::<Vec<_>>())?;
    }
    if !case.log.is_empty() {
        let mut log = Table::new(&[(Column::Code, "log of the device")]);
        for event in case.log.iter().take(LOG_LINES) {
            log.row(&[log_line(event).trim_end()]);
        }
        page.table(&log);
    }
    Ok(())
}
