//! The report of a drive: one page that opens offline.

use anyhow::Result;
use gradgate_detect::report::{Column, Look, Page, Row, Span, Table, Thumbnail, timeline};
use gradgate_frames::{Pixels, png};

use super::drive::Stretch;
use super::judged::{JUDGES, Normal, Played};
use super::text::{Totals, notes, outcome, right, rows};

const LOOKS: [Look<'static>; 6] = [
    Look { name: "class right", colour: "#009E73" },
    Look { name: "class wrong", colour: "#000000" },
    Look { name: "gate open", colour: "#56B4E9" },
    Look { name: "gate closed", colour: "#D55E00" },
    Look { name: "picture unusable", colour: "#999999" },
    Look { name: "truth unknown", colour: "#dddddd" },
];

/// The page; `about` says what was judged by what.
pub fn page(
    about: &str,
    shape: [usize; 3],
    stretches: &[Stretch],
    played: &[Played],
    normal: &Normal,
) -> Result<String> {
    let totals = Totals::of(stretches, played);
    let mut page = Page::new("gradgate: a drive");
    page.heading(1, "A drive, and who closed the gate");
    page.paragraph(about);
    page.picture(&picture(stretches, played), "Every frame of the drive; planted events in bold.");
    let mut table = Table::new(&[
        (Column::Text, "counted"),
        (Column::Number, JUDGES[0]),
        (Column::Number, JUDGES[1]),
        (Column::Number, JUDGES[2]),
    ]);
    for (what, [ours, softmax, statistics]) in rows(&totals, normal) {
        table.row(&[what, ours, softmax, statistics]);
    }
    page.table(&table);
    for line in notes(&totals, normal).lines() {
        page.paragraph(line);
    }
    page.heading(2, "Stretch by stretch");
    page.table(&by_stretch(stretches, played));
    page.heading(2, "What the camera saw");
    sheet(&mut page, shape, stretches)?;
    Ok(page.html())
}

/// Truth and three gates over the frames of the drive.
fn picture(stretches: &[Stretch], played: &[Played]) -> gradgate_detect::report::Picture {
    let frames = || played.iter().flat_map(|played| &played.frames);
    let truth = |frame: &super::Judged| match frame.is_right() {
        Some(true) => 0,
        Some(false) => 1,
        None => 5,
    };
    let truth = frames().map(truth).collect();
    let mut all = vec![Row { name: "classifier", states: truth }];
    for (judge, name) in JUDGES.iter().enumerate() {
        let state = |frame: &super::Judged| match (&frame.sensor, frame.open[judge]) {
            (Some(_), false) => 4,
            (_, true) => 2,
            (None, false) => 3,
        };
        all.push(Row { name, states: frames().map(state).collect() });
    }
    let span = |stretch: &Stretch| -> (String, usize, bool) {
        (stretch.what.clone(), stretch.frames.len(), !stretch.kind.should_pass())
    };
    let spans: Vec<(String, usize, bool)> = stretches.iter().map(span).collect();
    let spans: Vec<Span<'_>> = spans
        .iter()
        .map(|(name, frames, marked)| Span { name, frames: *frames, marked: *marked })
        .collect();
    timeline(&LOOKS, &all, &spans)
}

fn by_stretch(stretches: &[Stretch], played: &[Played]) -> Table {
    let mut table = Table::new(&[
        (Column::Text, "stretch"),
        (Column::Text, "kind"),
        (Column::Text, "classifier"),
        (Column::Text, JUDGES[0]),
        (Column::Text, JUDGES[1]),
        (Column::Text, JUDGES[2]),
    ]);
    for (stretch, played) in stretches.iter().zip(played) {
        let [ours, softmax, statistics] =
            [0, 1, 2].map(|judge| outcome(stretch.kind, played, judge));
        table.row(&[
            stretch.what.clone(),
            stretch.kind.name().to_owned(),
            right(played),
            ours,
            softmax,
            statistics,
        ]);
    }
    table
}

/// The middle frame of every stretch.
fn sheet(page: &mut Page, shape: [usize; 3], stretches: &[Stretch]) -> Result<()> {
    let mut images = vec![];
    for stretch in stretches {
        let Some(frame) = stretch.frames.get(stretch.frames.len() / 2) else { continue };
        let file = png(&Pixels::U8(frame.pixels.clone()), shape).map_err(anyhow::Error::msg)?;
        images.push((file, stretch.what.clone()));
    }
    let images: Vec<Thumbnail<'_>> =
        images.iter().map(|(png, caption)| Thumbnail { png, caption }).collect();
    page.sheet(&images)?;
    Ok(())
}
