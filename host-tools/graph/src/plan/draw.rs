//! A plan as a picture: steps from left to right, arena offsets from bottom to top.

use std::fmt::Write;

use super::Plan;
use crate::schedule::Schedule;

const WIDTH: f64 = 1200.0;
const HEIGHT: f64 = 700.0;
const MARGIN: f64 = 60.0;

/// The plan as a self-contained SVG; every rectangle has the tensor's name, size and lifetime as
/// title.
pub fn svg(schedule: &Schedule, plan: &Plan) -> String {
    let steps = schedule.steps.len().max(1) as f64;
    let arena = plan.arena_elements.max(1) as f64;
    let x = |step: usize| MARGIN + step as f64 / (steps + 1.0) * WIDTH;
    let y = |element: usize| MARGIN + HEIGHT - element as f64 / arena * HEIGHT;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {} {}\" font-family=\"sans-serif\" \
         font-size=\"12\">\n<text x=\"{MARGIN}\" y=\"30\">arena {} B, {} steps; \
         across: steps, up: bytes</text>\n",
        WIDTH + 2.0 * MARGIN,
        HEIGHT + 2.0 * MARGIN,
        plan.arena_bytes(),
        schedule.steps.len()
    );
    let _ = writeln!(
        out,
        "<rect x=\"{MARGIN}\" y=\"{MARGIN}\" width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#f4f4f4\"/>"
    );
    for (id, tensor) in schedule.tensors.iter().enumerate() {
        let (Some(offset), Some(life)) = (plan.offsets[id], &plan.lifetimes[id]) else { continue };
        let hue = id * 47 % 360;
        let _ = writeln!(
            out,
            "<rect x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{:.1}\" fill=\"hsl({hue},60%,65%)\" \
             stroke=\"#333\" stroke-width=\"0.5\"><title>{}: {} B at {}, steps {} to {}</title></rect>",
            x(life.start),
            y(offset + tensor.elements),
            x(life.end) - x(life.start),
            y(offset) - y(offset + tensor.elements),
            escape(&tensor.name),
            tensor.elements * 4,
            offset * 4,
            life.start,
            life.end - 1
        );
    }
    out.push_str("</svg>\n");
    out
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
