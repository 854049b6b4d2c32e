//! Deviations from normal, a bar for each input, downwards in graph order.

use super::Picture;
use crate::draw::{Axis, RED, SKY, VERMILION, path, text};

/// Height of a bar with its gap.
const PITCH: f64 = 14.0;
const TOP: f64 = 34.0;
const LEFT: f64 = 250.0;
const WIDTH: f64 = 460.0;
/// Letters of a name that are shown.
const NAME_LETTERS: usize = 38;

/// One bar.
#[derive(Clone, Debug, PartialEq)]
pub struct Bar {
    /// In front of it.
    pub name: String,
    /// Its length, to the right when positive; not finite: no bar.
    pub value: f64,
    /// Drawn in a colour that stands out.
    pub marked: bool,
}

/// Bars around zero; `label` says what their length is.
pub fn bars(bars: &[Bar], label: &str) -> Picture {
    let bottom = TOP + PITCH * bars.len() as f64;
    Picture::draw(LEFT + WIDTH + 30.0, bottom + 16.0, |out| {
        let values = bars.iter().map(|bar| bar.value).chain([-1.0, 1.0]);
        let x = Axis::new(values, LEFT, LEFT + WIDTH, 0.04);
        for tick in x.ticks() {
            let at = x.at(tick);
            let colour = if tick == 0.0 { "#888" } else { "#e6e6e6" };
            path(out, &format!("M{at:.1} {TOP}V{bottom:.1}"), &format!(r#"stroke="{colour}""#));
            text(out, (at, TOP - 6.0), r#"text-anchor="middle" font-size="11""#, &x.text(tick));
        }
        text(out, (LEFT, 14.0), r#"font-size="12""#, label);
        let zero = x.at(0.0);
        for (index, bar) in bars.iter().enumerate() {
            let middle = TOP + PITCH * (index as f64 + 0.5);
            let name: String = bar.name.chars().take(NAME_LETTERS).collect();
            let (colour, weight) = if bar.marked { (VERMILION, "bold") } else { (SKY, "normal") };
            let style = format!(r#"text-anchor="end" font-size="11" font-weight="{weight}""#);
            text(out, (LEFT - 6.0, middle + 4.0), &style, &name);
            if bar.value.is_finite() {
                let stroke = format!(r#"stroke="{colour}" stroke-width="{}""#, PITCH - 4.0);
                let end = x.at(bar.value);
                path(out, &format!("M{zero:.1} {middle:.1}H{end:.1}"), &stroke);
            } else {
                text(out, (zero + 4.0, middle + 4.0), &format!(r#"fill="{RED}""#), "not finite");
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_go_both_ways_from_zero_and_names_are_escaped() {
        let bar = |name: &str, value, marked| Bar { name: name.to_owned(), value, marked };
        let all = [bar("a<b>", 2.5, true), bar("c", -1.5, false), bar("d", f64::NAN, false)];
        let svg = bars(&all, "deviation").svg().to_owned();
        assert!(svg.contains("a&lt;b&gt;") && svg.contains("not finite"), "{svg}");
        assert!(!svg.contains("NaN"), "{svg}");
        let ends: Vec<f64> = svg
            .lines()
            .filter_map(|line| line.split_once("H")?.1.split_once('"')?.0.parse().ok())
            .collect();
        let zero: f64 = svg
            .lines()
            .find_map(|line| {
                let (start, _) = line.split_once("H")?;
                start.split_once("d=\"M")?.1.split(' ').next()?.parse().ok()
            })
            .unwrap();
        assert!(ends.len() == 2 && ends[0] > zero && ends[1] < zero, "{ends:?} {zero}");
        assert!(bars(&[], "nothing").svg().ends_with("</svg>\n"));
    }
}
