//! The frontier as a self-contained picture: SVG, or HTML with the table beside it.
//!
//! Up: AUROC on the reporting frames; bars show the paired interval of the gain over the forward
//! pass alone. Across: multiply-adds in the large panel; working memory, file and estimated time in
//! the small ones. Every point has a tooltip.

mod axis;
mod html;
mod marker;

use std::fmt::Write as _;

use super::{Family, FrontierReport, Point};
use axis::Axis;
use marker::{colour, marker};

pub use html::html;

const WIDTH: f64 = 1180.0;
const HEIGHT: f64 = 900.0;

/// What a panel shows across.
struct Panel {
    /// Left, top, width, height of the plotting area.
    place: [f64; 4],
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

/// The picture.
pub fn svg(report: &FrontierReport) -> String {
    let mut out = format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" font-family="system-ui, 'DejaVu Sans', sans-serif" font-size="13" fill="#222">
<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>
<text x="80" y="32" font-size="20" font-weight="600">{}: what gradient norms cost and what they tell</text>
<text x="80" y="54" fill="#555">{}</text>
"##,
        escape(&report.model),
        escape(&subtitle(report)),
    );
    for panel in &PANELS {
        draw_panel(&mut out, report, panel);
    }
    legend(&mut out, report);
    let _ = writeln!(
        out,
        r##"<text x="80" y="{:.0}" fill="#555" font-size="12">Front and knee are chosen on other frames than those drawn, so the front may dip. Time: multiply-adds of each pass times a rate ({}).</text>
</svg>"##,
        HEIGHT - 16.0,
        escape(&report.rates.origin),
    );
    out
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

fn draw_panel(out: &mut String, report: &FrontierReport, panel: &Panel) {
    let [left, top, width, height] = panel.place;
    let x = Axis::new(report.points.iter().map(panel.across), left, left + width, 0.05);
    let ends = report.points.iter().enumerate().flat_map(|(at, point)| match bar(report, at) {
        Some(ends) if panel.large => ends,
        _ => [100.0 * point.reported.value; 2],
    });
    let y = Axis::new(ends, top + height, top, 0.06);
    frame(out, panel, &x, &y);
    let base = y.at(100.0 * forward_only(report).reported.value);
    let _ = writeln!(
        out,
        r##"<path d="M{left} {base:.1}h{width}" stroke="#000" stroke-dasharray="6 4"/>"##
    );
    let place = |point: &Point| (x.at((panel.across)(point)), y.at(100.0 * point.reported.value));
    if panel.large {
        guides(out, report, panel, &x);
        front_line(out, report, &place);
    }
    let size = if panel.large { 5.0 } else { 3.5 };
    for (at, point) in report.points.iter().enumerate() {
        let (px, py) = place(point);
        let faint = if point.front || at == report.knee { "1" } else { "0.5" };
        let _ = writeln!(out, r#"<g opacity="{faint}"><title>{}</title>"#, tooltip(point));
        if let (Some([low, high]), true) = (bar(report, at), panel.large) {
            let (low, high, colour) = (y.at(low), y.at(high), colour(point.family));
            let _ = writeln!(
                out,
                r#"<path d="M{px:.1} {low:.1}V{high:.1}" stroke="{colour}" stroke-opacity="0.6"/>"#
            );
        }
        out.push_str(&marker(point.family, px, py, size));
        out.push_str("</g>\n");
    }
    let (px, py) = place(report.knee());
    let _ = writeln!(
        out,
        r##"<circle cx="{px:.1}" cy="{py:.1}" r="{:.1}" fill="none" stroke="#d00" stroke-width="2"/>"##,
        size + 5.0
    );
    if panel.large {
        knee_label(out, report, panel, (px, py));
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

fn frame(out: &mut String, panel: &Panel, x: &Axis, y: &Axis) {
    let [left, top, width, height] = panel.place;
    let bottom = top + height;
    for tick in y.ticks() {
        let at = y.at(tick);
        let _ = writeln!(
            out,
            r##"<path d="M{left} {at:.1}h{width}" stroke="#e6e6e6"/><text x="{:.1}" y="{:.1}" text-anchor="end">{}</text>"##,
            left - 8.0,
            at + 4.0,
            y.text(tick)
        );
    }
    for tick in x.ticks() {
        let at = x.at(tick);
        let _ = writeln!(
            out,
            r##"<path d="M{at:.1} {bottom}v5" stroke="#888"/><text x="{at:.1}" y="{:.1}" text-anchor="middle">{}</text>"##,
            bottom + 20.0,
            x.text(tick)
        );
    }
    let middle = top + height / 2.0;
    let _ = writeln!(
        out,
        r##"<rect x="{left}" y="{top}" width="{width}" height="{height}" fill="none" stroke="#888"/>
<text x="{:.1}" y="{:.1}" text-anchor="middle">{}</text>
<text transform="translate({:.1} {middle:.1}) rotate(-90)" text-anchor="middle">AUROC, %</text>"##,
        left + width / 2.0,
        bottom + 42.0,
        panel.label,
        left - 48.0,
    );
}

/// Multiples of the forward pass, and the limit.
fn guides(out: &mut String, report: &FrontierReport, panel: &Panel, x: &Axis) {
    let [left, top, width, height] = panel.place;
    let forward = report.points.first().map_or(0, |point| point.cost.forward) as f64 / 1e6;
    let mut guide = |value: f64, text: &str, colour: &str| {
        if !x.holds(value) {
            return;
        }
        let at = x.at(value);
        let right = at > left + width - 80.0;
        let (anchor, dx) = if right { ("end", -4.0) } else { ("start", 4.0) };
        let _ = writeln!(
            out,
            r##"<path d="M{at:.1} {top}v{height}" stroke="{colour}" stroke-dasharray="3 4"/><text x="{:.1}" y="{:.1}" text-anchor="{anchor}" fill="{colour}" font-size="11">{text}</text>"##,
            at + dx,
            top + height - 6.0,
        );
    };
    for multiple in [1.0, 1.5, 2.0, 2.5, 3.0] {
        guide(forward * multiple, &format!("{multiple} x forward"), "#999");
    }
    if let Some(limit) = report.limit {
        guide(limit as f64 / 1e6, "budget", "#d00");
    }
}

fn front_line(out: &mut String, report: &FrontierReport, place: &dyn Fn(&Point) -> (f64, f64)) {
    let front = report.points.iter().filter(|point| point.front).map(place);
    let points: Vec<String> = front.map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
    let _ = writeln!(
        out,
        r##"<polyline points="{}" fill="none" stroke="#777" stroke-width="1.2"/>"##,
        points.join(" ")
    );
}

/// At the panel's upper edge, where no point is likely, with a line to the knee.
fn knee_label(out: &mut String, report: &FrontierReport, panel: &Panel, (px, py): (f64, f64)) {
    let knee = report.knee();
    let [left, top, width, _] = panel.place;
    let right = px < left + width / 2.0;
    let (anchor, dx) = if right { ("start", 10.0) } else { ("end", -10.0) };
    let y = top + 24.0;
    let text = format!("knee: {}, {:.2} %", knee.name, 100.0 * knee.reported.value);
    let _ = writeln!(
        out,
        r##"<path d="M{px:.1} {:.1}V{:.1}" stroke="#d00" stroke-width="1"/><text x="{:.1}" y="{y:.1}" text-anchor="{anchor}" fill="#d00" font-weight="600" stroke="white" stroke-width="4" paint-order="stroke">{}</text>"##,
        py - 10.0,
        top + 10.0,
        px + dx,
        escape(&text),
    );
}

fn legend(out: &mut String, report: &FrontierReport) {
    let (left, mut y) = (955.0, 100.0);
    let present = |family: &Family| report.points.iter().any(|point| point.family == *family);
    for (family, name) in Family::NAMES.iter().filter(|(family, _)| present(family)) {
        out.push_str(&marker(*family, left, y - 4.0, 5.5));
        let _ = writeln!(out, r#"<text x="{:.1}" y="{y:.1}">{name}</text>"#, left + 16.0);
        y += 24.0;
    }
    let _ = writeln!(
        out,
        r##"<path d="M{:.1} {:.1}h16" stroke="#777"/><text x="{:.1}" y="{y:.1}">Pareto front</text>
<circle cx="{left}" cy="{:.1}" r="7" fill="none" stroke="#d00" stroke-width="2"/><text x="{:.1}" y="{:.1}">knee</text>
<path d="M{:.1} {:.1}h18" stroke="#000" stroke-dasharray="6 4"/><text x="{:.1}" y="{:.1}">forward only</text>"##,
        left - 8.0,
        y - 4.0,
        left + 16.0,
        y + 20.0,
        left + 16.0,
        y + 24.0,
        left - 8.0,
        y + 44.0,
        left + 16.0,
        y + 48.0,
    );
    let lines = [
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
    for (index, line) in lines.iter().enumerate() {
        let at = y + 84.0 + 17.0 * index as f64;
        let _ = writeln!(
            out,
            r##"<text x="{:.1}" y="{at:.1}" fill="#555" font-size="12">{line}</text>"##,
            left - 8.0
        );
    }
}

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

/// Text inside markup; control characters are dropped, since XML cannot hold them.
fn escape(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' => out.push_str("&#10;"),
            c if c.is_control() => {}
            c => out.push(c),
        }
    }
    out
}
