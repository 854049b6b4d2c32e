//! A plan as a picture: steps from left to right, arena offsets from bottom to top. A result that
//! takes an operand's place begins at a dashed edge.

use std::fmt::Write;

use super::Plan;
use crate::schedule::Schedule;

const WIDTH: f64 = 1200.0;
const HEIGHT: f64 = 700.0;
const MARGIN: f64 = 60.0;

/// The plan as a self-contained SVG; every rectangle has the tensor's name, size and lifetime as
/// title. A tensor in the place of another that dies in the step is dashed and names it.
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
        let taken = taken_over(schedule, plan, id);
        let (dash, place) = match taken {
            Some(other) => {
                let name = escape(&schedule.tensors[other].name);
                (" stroke-dasharray=\"4 2\"", format!(", in place of {name}"))
            }
            None => ("", String::new()),
        };
        let _ = writeln!(
            out,
            r##"<rect x="{:.1}" y="{top:.1}" width="{:.1}" height="{:.1}" fill="hsl({},60%,65%)"
 stroke="#333" stroke-width="0.5"{dash}>
<title>{}: {} B at {}, steps {} to {}{place}</title></rect>"##,
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

/// The tensor whose interval this one takes in the step in which that one dies.
fn taken_over(schedule: &Schedule, plan: &Plan, id: usize) -> Option<usize> {
    let (offset, life) = (plan.offsets[id]?, plan.lifetimes[id].as_ref()?);
    (0..schedule.tensors.len()).find(|&other| {
        let same = schedule.tensors[other].elements == schedule.tensors[id].elements;
        let dies = plan.lifetimes[other].as_ref().is_some_and(|l| l.end == life.start + 1);
        other != id && same && dies && plan.offsets[other] == Some(offset)
    })
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::cases::Builder;
    use crate::plan::{PlanOptions, plan};

    #[test]
    fn a_result_in_place_is_dashed_and_says_so() {
        let mut b = Builder::new();
        let a = b.source(8);
        let x = b.unary(a, 0);
        b.schedule.logits = b.concat(&[x], 8);
        let planned = plan(b.schedule, PlanOptions::default()).unwrap();
        let picture = svg(&planned.schedule, &planned.plan);
        assert_eq!(picture.matches("<title>").count(), 3, "{picture}");
        assert_eq!(picture.matches("stroke-dasharray").count(), 1, "{picture}");
        assert!(picture.contains("steps 1 to 2, in place of t0"), "{picture}");
    }
}
