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
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {} {}" font-family="sans-serif">
<text x="{MARGIN}" y="30">arena {} B, {} steps; across: steps, up: bytes</text>
<rect x="{MARGIN}" y="{MARGIN}" width="{WIDTH}" height="{HEIGHT}" fill="none" stroke="gray"/>
"#,
        WIDTH + 2.0 * MARGIN,
        HEIGHT + 2.0 * MARGIN,
        plan.arena_bytes(),
        schedule.steps.len()
    );
    for (id, tensor) in schedule.tensors.iter().enumerate() {
        let (Some(offset), Some(life)) = (plan.offsets[id], &plan.lifetimes[id]) else { continue };
        let (top, bottom) = (y(offset + tensor.elements), y(offset));
        let _ = writeln!(
            out,
            r##"<rect x="{:.1}" y="{top:.1}" width="{:.1}" height="{:.1}" fill="hsl({},60%,65%)"
 stroke="#333" stroke-width="0.5"><title>{}: {} B at {}, steps {} to {}</title></rect>"##,
            x(life.start),
            x(life.end) - x(life.start),
            bottom - top,
            id * 47 % 360,
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
