//! The frontier as a self-contained picture: SVG, or HTML with the table beside it.
//!
//! Up: AUROC on the reporting frames; bars show the paired interval of the gain over the forward
//! pass alone. Across: multiply-adds in the large panel; working memory, file and estimated time in
//! the small ones. Every point has a tooltip.

mod html;
mod marker;

use std::fmt::Write as _;

use super::{Family, FrontierReport, Point};
use crate::draw::{Axis, Labels, Picture, Place, RED, escape, panel, path, ring, text};
use marker::{colour, marker};

pub use html::html;

const WIDTH: f64 = 1180.0;
const HEIGHT: f64 = 900.0;
const GREY: &str = r##"fill="#555""##;
const SMALL_GREY: &str = r##"fill="#555" font-size="12""##;
const DASHES: &str = r##"stroke="#000" stroke-dasharray="6 4""##;

/// What a panel shows across.
struct Panel {
    place: Place,
    label: &'static str,
    across: fn(&Point) -> f64,
    large: bool,
}

const PANELS: [Panel; 4] = [
    Panel {
        place: [80.0, 84.0, 850.0, 430.0],
        label: "million multiply-adds a frame (forward + backward + norms)",
        across: |point| point.cost.macs() as f64 / 1e6,
        large: true,
    },
    Panel {
        place: [80.0, 610.0, 310.0, 210.0],
        label: "arena, KiB",
        across: |point| point.cost.arena_bytes as f64 / 1024.0,
        large: false,
    },
    Panel {
        place: [457.0, 610.0, 310.0, 210.0],
        label: "bundle, KiB",
        across: |point| point.cost.bundle_bytes as f64 / 1024.0,
        large: false,
    },
    Panel {
        place: [834.0, 610.0, 310.0, 210.0],
        label: "estimated time, ms a frame",
        across: |point| point.cost.milliseconds,
        large: false,
    },
];

/// The picture as a file.
pub fn svg(report: &FrontierReport) -> String {
    picture(report).svg().to_owned()
}

fn picture(report: &FrontierReport) -> Picture {
    Picture::draw(WIDTH, HEIGHT, |out| {
        let title = format!("{}: what gradient norms cost and what they tell", report.model);
        text(out, (80.0, 32.0), r#"font-size="20" font-weight="600""#, &title);
        text(out, (80.0, 54.0), GREY, &subtitle(report));
        for panel in &PANELS {
            draw_panel(out, report, panel);
        }
        legend(out, report);
        let footer = format!(
            "Front and knee are chosen on other frames than those drawn, so the front may dip. \
             Time: multiply-adds of each pass times a rate ({}).",
            report.rates.origin
        );
        text(out, (80.0, HEIGHT - 16.0), SMALL_GREY, &footer);
    })
}

fn subtitle(report: &FrontierReport) -> String {
    let names: Vec<&str> = report
        .points
        .first()
        .map(|point| point.sources.iter().map(|source| source.name.as_str()).collect())
        .unwrap_or_default();
    let mean = if names.len() > 1 { " (mean)" } else { "" };
    format!(
        "AUROC{mean} of {} against {}; head {}, inputs {}; {} + {} sources",
        shortened(&names.join(", ")),
        shortened(&report.normal),
        report.head,
        report.inputs,
        report.parts.reporting[0],
        report.parts.reporting[1],
    )
}

fn draw_panel(out: &mut String, report: &FrontierReport, drawn: &Panel) {
    let [left, top, width, height] = drawn.place;
    let x = Axis::new(report.points.iter().map(drawn.across), left, left + width, 0.05);
    let ends = report.points.iter().enumerate().flat_map(|(at, point)| match bar(report, at) {
        Some(ends) if drawn.large => ends,
        _ => [100.0 * point.reported.value; 2],
    });
    let y = Axis::new(ends, top + height, top, 0.06);
    let labels = Labels { across: drawn.label, up: "AUROC, %" };
    panel(out, drawn.place, Some(&x), &y, &labels);
    let base = y.at(100.0 * forward_only(report).reported.value);
    path(out, &format!("M{left} {base:.1}h{width}"), DASHES);
    let place = |point: &Point| (x.at((drawn.across)(point)), y.at(100.0 * point.reported.value));
    if drawn.large {
        guides(out, report, drawn, &x);
        front_line(out, report, &place);
    }
    let size = if drawn.large { 5.0 } else { 3.5 };
    for (at, point) in report.points.iter().enumerate() {
        let (px, py) = place(point);
        let faint = if point.front || at == report.knee { "1" } else { "0.5" };
        let _ = writeln!(out, r#"<g opacity="{faint}"><title>{}</title>"#, tooltip(point));
        if let (Some([low, high]), true) = (bar(report, at), drawn.large) {
            let style = format!(r#"stroke="{}" stroke-opacity="0.6""#, colour(point.family));
            path(out, &format!("M{px:.1} {:.1}V{:.1}", y.at(low), y.at(high)), &style);
        }
        out.push_str(&marker(point.family, px, py, size));
        out.push_str("</g>\n");
    }
    let knee = place(report.knee());
    ring(out, knee, size + 5.0);
    if drawn.large {
        knee_label(out, report, drawn, knee);
    }
}

/// The subset without a backward pass, with which every report begins.
fn forward_only(report: &FrontierReport) -> &Point {
    let found = report.points.iter().find(|point| point.parameters.is_empty());
    found.unwrap_or(&report.points[0])
}

/// Ends of the bar of a point, in percent: the paired interval of its gain, laid on the AUROC of
/// the forward pass alone. Bars of the front and the knee alone: others would hide one another.
fn bar(report: &FrontierReport, at: usize) -> Option<[f64; 2]> {
    let point = &report.points[at];
    let base = forward_only(report).reported.value;
    let shown = (point.front || at == report.knee) && !point.parameters.is_empty();
    shown.then(|| [point.gain.low, point.gain.high].map(|gain| 100.0 * (base + gain)))
}

/// Multiples of the forward pass, and the limit.
fn guides(out: &mut String, report: &FrontierReport, panel: &Panel, x: &Axis) {
    let [left, top, width, height] = panel.place;
    let forward = report.points.first().map_or(0, |point| point.cost.forward) as f64 / 1e6;
    let mut guide = |value: f64, label: &str, colour: &str| {
        if !x.holds(value) {
            return;
        }
        let at = x.at(value);
        let right = at > left + width - 80.0;
        let (anchor, dx) = if right { ("end", -4.0) } else { ("start", 4.0) };
        let dashes = format!(r#"stroke="{colour}" stroke-dasharray="3 4""#);
        path(out, &format!("M{at:.1} {top}v{height}"), &dashes);
        let style = format!(r#"text-anchor="{anchor}" fill="{colour}" font-size="11""#);
        text(out, (at + dx, top + height - 6.0), &style, label);
    };
    for multiple in [1.0, 1.5, 2.0, 2.5, 3.0] {
        guide(forward * multiple, &format!("{multiple} x forward"), "#999");
    }
    if let Some(limit) = report.limit {
        guide(limit as f64 / 1e6, "budget", RED);
    }
}

fn front_line(out: &mut String, report: &FrontierReport, place: &dyn Fn(&Point) -> (f64, f64)) {
    let front = report.points.iter().filter(|point| point.front).map(place);
    let points: Vec<String> = front.map(|(x, y)| format!("{x:.1} {y:.1}")).collect();
    let style = r##"fill="none" stroke="#777" stroke-width="1.2""##;
    path(out, &format!("M{}", points.join("L")), style);
}

/// At the panel's upper edge, where no point is likely, with a line to the knee.
fn knee_label(out: &mut String, report: &FrontierReport, panel: &Panel, (px, py): (f64, f64)) {
    let knee = report.knee();
    let [left, top, width, _] = panel.place;
    let right = px < left + width / 2.0;
    let (anchor, dx) = if right { ("start", 10.0) } else { ("end", -10.0) };
    let stroke = format!(r#"stroke="{RED}""#);
    path(out, &format!("M{px:.1} {:.1}V{:.1}", py - 10.0, top + 10.0), &stroke);
    // A white outline keeps it readable where it crosses a line.
    let style = format!(
        r#"text-anchor="{anchor}" fill="{RED}" font-weight="600" stroke="white" stroke-width="4""#
    );
    let label = format!("knee: {}, {:.2} %", knee.name, 100.0 * knee.reported.value);
    let style = format!(r#"{style} paint-order="stroke""#);
    text(out, (px + dx, top + 24.0), &style, &label);
}

fn legend(out: &mut String, report: &FrontierReport) {
    let (left, mut y) = (955.0, 100.0);
    let present = |family: &Family| report.points.iter().any(|point| point.family == *family);
    for (family, name) in Family::NAMES.iter().filter(|(family, _)| present(family)) {
        out.push_str(&marker(*family, left, y - 4.0, 5.5));
        text(out, (left + 16.0, y), "", name);
        y += 24.0;
    }
    path(out, &format!("M{:.1} {:.1}h16", left - 8.0, y - 4.0), r##"stroke="#777""##);
    text(out, (left + 16.0, y), "", "Pareto front");
    ring(out, (left, y + 20.0), 7.0);
    text(out, (left + 16.0, y + 24.0), "", "knee");
    path(out, &format!("M{:.1} {:.1}h18", left - 8.0, y + 44.0), DASHES);
    text(out, (left + 16.0, y + 48.0), "", "level of forward only");
    for (index, line) in EXPLANATION.iter().enumerate() {
        let at = y + 84.0 + 17.0 * index as f64;
        text(out, (left - 8.0, at), SMALL_GREY, line);
    }
}

const EXPLANATION: [&str; 9] = [
    "Bars: paired 95 % interval of the",
    "difference to forward only. Where",
    "one crosses the dashed line, the",
    "gradients are not shown to help.",
    "",
    "Each point but the greedy ones",
    "is a suffix of layers, from the",
    "output backwards: the further",
    "to the right, the deeper.",
];

fn tooltip(point: &Point) -> String {
    let cost = &point.cost;
    escape(&format!(
        "{} ({})\nAUROC {:.2} % [{:.2}, {:.2}]\nagainst forward only {:+.2} [{:+.2}, {:+.2}]\n\
         {:.2} M multiply-adds: forward {:.2}, backward {:.2}, norms {:.2}\n\
         arena {:.1} KiB, bundle {:.1} KiB, about {:.2} ms\n--taps {}",
        point.name,
        point.family,
        100.0 * point.reported.value,
        100.0 * point.reported.low,
        100.0 * point.reported.high,
        100.0 * point.gain.value,
        100.0 * point.gain.low,
        100.0 * point.gain.high,
        cost.macs() as f64 / 1e6,
        cost.forward as f64 / 1e6,
        cost.backward as f64 / 1e6,
        cost.norms as f64 / 1e6,
        cost.arena_bytes as f64 / 1024.0,
        cost.bundle_bytes as f64 / 1024.0,
        cost.milliseconds,
        point.taps,
    ))
}

fn shortened(text: &str) -> String {
    const KEPT: usize = 40;
    let mut kept: String = text.chars().take(KEPT).collect();
    if kept.len() < text.len() {
        kept.push_str("..");
    }
    kept
}
