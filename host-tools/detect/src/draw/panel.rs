//! The frame of a panel: outline, ticks, labels; and a legend.

use super::{Axis, path, text};

/// Left, top, width, height of a plotting area.
pub(crate) type Place = [f64; 4];

/// What the axes say.
pub(crate) struct Labels<'a> {
    pub across: &'a str,
    pub up: &'a str,
}

const MIDDLE: &str = r#"text-anchor="middle""#;

/// Draws grid, ticks, outline and labels; without an axis across the caller names its places.
pub(crate) fn panel(
    out: &mut String,
    place: Place,
    x: Option<&Axis>,
    y: &Axis,
    labels: &Labels<'_>,
) {
    let [left, top, width, height] = place;
    let bottom = top + height;
    for tick in y.ticks() {
        let at = y.at(tick);
        path(out, &format!("M{left} {at:.1}h{width}"), r##"stroke="#e6e6e6""##);
        text(out, (left - 8.0, at + 4.0), r#"text-anchor="end""#, &y.text(tick));
    }
    for (x, tick) in x.into_iter().flat_map(|x| x.ticks().into_iter().map(move |tick| (x, tick))) {
        let at = x.at(tick);
        path(out, &format!("M{at:.1} {bottom}v5"), r##"stroke="#888""##);
        text(out, (at, bottom + 20.0), MIDDLE, &x.text(tick));
    }
    let outline = format!("M{left} {top}h{width}v{height}h-{width}z");
    path(out, &outline, r##"fill="none" stroke="#888""##);
    text(out, (left + width / 2.0, bottom + 42.0), MIDDLE, labels.across);
    let (at, middle) = (left - 48.0, top + height / 2.0);
    let turned = format!(r#"{MIDDLE} transform="rotate(-90 {at:.1} {middle:.1})""#);
    text(out, (at, middle), &turned, labels.up);
}

/// A line with its style for each entry, downwards from a place.
pub(crate) fn legend(out: &mut String, (left, top): (f64, f64), entries: &[(String, String)]) {
    for (index, (style, name)) in entries.iter().enumerate() {
        let y = top + 20.0 * index as f64;
        path(out, &format!("M{left:.1} {:.1}h26", y - 4.0), style);
        text(out, (left + 34.0, y), "", name);
    }
}
