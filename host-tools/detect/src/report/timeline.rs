//! Several states over the same time, a row each: was it right, was the gate open.

use super::Picture;
use crate::draw::{path, text};

const LEFT: f64 = 130.0;
const WIDTH: f64 = 960.0;
const ROW: f64 = 18.0;
const GAP: f64 = 4.0;
/// Of the names of stretches, which stand upright over the rows.
const NAMES: f64 = 190.0;
const LEGEND: f64 = 26.0;

/// What a state looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look<'a> {
    /// In the legend.
    pub name: &'a str,
    /// As in `#009E73`.
    pub colour: &'a str,
}

/// A row: an index into the looks for every frame.
#[derive(Clone, Debug)]
pub struct Row<'a> {
    /// In front of it.
    pub name: &'a str,
    /// One a frame.
    pub states: Vec<usize>,
}

/// A stretch of frames with its name.
#[derive(Clone, Debug)]
pub struct Span<'a> {
    /// Above it.
    pub name: &'a str,
    /// Number of frames.
    pub frames: usize,
    /// Its name stands out.
    pub marked: bool,
}

/// Rows over stretches; states beyond the looks are left white.
pub fn timeline(looks: &[Look<'_>], rows: &[Row<'_>], spans: &[Span<'_>]) -> Picture {
    let frames: usize = spans.iter().map(|span| span.frames).sum();
    let bottom = NAMES + (ROW + GAP) * rows.len() as f64;
    let x = |frame: usize| LEFT + WIDTH * frame as f64 / frames.max(1) as f64;
    Picture::draw(LEFT + WIDTH + 20.0, bottom + LEGEND + 14.0, |out| {
        for (index, row) in rows.iter().enumerate() {
            let middle = NAMES + (ROW + GAP) * index as f64 + ROW / 2.0;
            text(out, (LEFT - 8.0, middle + 4.0), r#"text-anchor="end""#, row.name);
            let mut start = 0;
            for run in row.states.chunk_by(|a, b| a == b) {
                if let Some(look) = looks.get(run[0]) {
                    let stroke = format!(r#"stroke="{}" stroke-width="{ROW}""#, look.colour);
                    let (from, to) = (x(start), x(start + run.len()));
                    path(out, &format!("M{from:.2} {middle:.1}H{to:.2}"), &stroke);
                }
                start += run.len();
            }
        }
        let mut start = 0;
        for span in spans {
            let at = x(start);
            path(
                out,
                &format!("M{at:.2} {NAMES}V{bottom}"),
                r##"stroke="#fff" stroke-width="1.5""##,
            );
            let place = (x(start) + (x(start + span.frames) - at) / 2.0 + 4.0, NAMES - 6.0);
            let weight = if span.marked { "bold" } else { "normal" };
            let style = format!(
                r#"font-size="11" font-weight="{weight}" transform="rotate(-60 {:.1} {:.1})""#,
                place.0, place.1
            );
            text(out, place, &style, span.name);
            start += span.frames;
        }
        for (index, look) in looks.iter().enumerate() {
            let left = LEFT + WIDTH * index as f64 / looks.len() as f64;
            let y = bottom + LEGEND - 4.0;
            let stroke = format!(r#"stroke="{}" stroke-width="12""#, look.colour);
            path(out, &format!("M{left:.1} {y}h18"), &stroke);
            text(out, (left + 24.0, y + 4.0), r#"font-size="12""#, look.name);
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_neighbours_are_one_piece() {
        let looks =
            [Look { name: "open", colour: "#0a0" }, Look { name: "closed", colour: "#a00" }];
        let rows = [Row { name: "gate <1>", states: vec![0, 0, 1, 1, 1, 0] }];
        let spans = [
            Span { name: "calm", frames: 2, marked: false },
            Span { name: "fog", frames: 4, marked: true },
        ];
        let picture = timeline(&looks, &rows, &spans);
        let svg = picture.svg();
        // Two pieces and a mark in the legend; one and a mark.
        assert_eq!(svg.matches(r##"stroke="#0a0""##).count(), 3, "{svg}");
        assert_eq!(svg.matches(r##"stroke="#a00""##).count(), 2, "{svg}");
        assert!(svg.contains("gate &lt;1&gt;") && svg.contains("bold"), "{svg}");
        let third = LEFT + WIDTH / 3.0;
        assert!(svg.contains(&format!("M{third:.2} ")), "{svg}");
        assert!(timeline(&looks, &[], &[]).svg().contains("</svg>"));
    }
}
