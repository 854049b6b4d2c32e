//! Profiles over layers or parameters: medians of several sets with their quartiles, on a
//! logarithmic axis, since norms differ by orders of magnitude from layer to layer.

use super::Picture;
use crate::draw::{Axis, Labels, Place, legend, line, panel, path, series, text};

const PLACE: Place = [84.0, 20.0, 450.0, 320.0];
/// Room of a name along the axis.
const NAME_WIDTH: f64 = 12.0;
/// Letters of a name that are shown.
const NAME_LETTERS: usize = 28;

/// One set of frames.
#[derive(Clone, Debug)]
pub struct Series<'a> {
    /// For the legend.
    pub name: &'a str,
    /// Lower quartile, median, upper quartile of each layer, in the order of the names.
    pub quartiles: Vec<[f64; 3]>,
}

/// What is drawn.
#[derive(Clone, Debug)]
pub struct Layers<'a> {
    /// Along the axis, in graph order.
    pub names: &'a [String],
    /// What is measured, with its unit.
    pub label: &'a str,
    /// Sets of frames.
    pub series: &'a [Series<'a>],
}

/// Lower quartile, median and upper quartile of each column of `[frames][columns]`; nearest ranks,
/// so that every one is a measured value. Empty without frames.
pub fn quartiles<S: Copy + Into<f64>>(values: &[S], columns: usize) -> Vec<[f64; 3]> {
    let frames = values.len().checked_div(columns).unwrap_or(0);
    if frames == 0 {
        return vec![];
    }
    let of = |column: usize| {
        let mut all: Vec<f64> =
            (0..frames).map(|frame| values[frame * columns + column].into()).collect();
        all.sort_by(f64::total_cmp);
        [1, 2, 3].map(|quarter| all[(frames - 1) * quarter / 4])
    };
    (0..columns).map(of).collect()
}

impl Layers<'_> {
    /// The picture; values that are not positive have no place on it.
    pub fn picture(&self) -> Picture {
        let [left, top, width, height] = PLACE;
        let (right, bottom) = (left + width, top + height);
        let room = self.names.iter().map(|name| name.chars().count()).max().unwrap_or(0);
        let room = 24.0 + 6.2 * room.min(NAME_LETTERS) as f64;
        let below = 20.0 * self.series.len() as f64;
        Picture::draw(right + 20.0, bottom + room + below + 16.0, |out| {
            let values = self.series.iter().flat_map(|set| set.quartiles.iter().flatten().copied());
            let y = Axis::logarithmic(values, bottom, top);
            panel(out, PLACE, None, &y, &Labels { across: "", up: self.label });
            let count = self.names.len().max(1) as f64;
            let x = |layer: usize| left + width * (layer as f64 + 0.5) / count;
            self.name_layers(out, &x);
            let mut entries = vec![];
            for (index, set) in self.series.iter().enumerate() {
                let (colour, dashes) = series(index);
                let stroke =
                    format!(r#"stroke="{colour}" stroke-width="1.8" stroke-dasharray="{dashes}""#);
                draw(out, set, &x, &y, colour, &stroke);
                entries.push((stroke, set.name.to_owned()));
            }
            legend(out, (left, bottom + room + 14.0), &entries);
        })
    }

    fn name_layers(&self, out: &mut String, x: &dyn Fn(usize) -> f64) {
        let [_, top, width, height] = PLACE;
        let every = (NAME_WIDTH * self.names.len() as f64 / width).ceil().max(1.0) as usize;
        for (layer, name) in self.names.iter().enumerate().step_by(every) {
            let (at, under) = (x(layer), top + height);
            path(out, &format!("M{at:.1} {under}v5"), r##"stroke="#888""##);
            let name: String = name.chars().take(NAME_LETTERS).collect();
            let place = (at + 4.0, under + 10.0);
            let turned = format!(
                r#"text-anchor="end" font-size="11" transform="rotate(-90 {:.1} {:.1})""#,
                place.0, place.1
            );
            text(out, place, &turned, &name);
        }
    }
}

/// The band between the quartiles and the line of the medians, interrupted where a value has no
/// logarithm.
fn draw(
    out: &mut String,
    set: &Series<'_>,
    x: &dyn Fn(usize) -> f64,
    y: &Axis,
    colour: &str,
    stroke: &str,
) {
    let all: Vec<(usize, [f64; 3])> = set.quartiles.iter().copied().enumerate().collect();
    let shown = |(_, values): &(usize, [f64; 3])| values.iter().all(|value| y.holds(*value));
    for run in all.chunk_by(|a, b| shown(a) == shown(b)).filter(|run| shown(&run[0])) {
        let points = |which: usize| run.iter().map(move |(at, of)| (x(*at), y.at(of[which])));
        let band: Vec<(f64, f64)> =
            points(0).chain(points(2).collect::<Vec<_>>().into_iter().rev()).collect();
        line(out, &band, &format!(r#"fill="{colour}" fill-opacity="0.15""#));
        let medians: Vec<(f64, f64)> = points(1).collect();
        line(out, &medians, &format!(r#"fill="none" {stroke}"#));
        for (at, place) in medians {
            path(
                out,
                &format!("M{at:.1} {place:.1}h0"),
                &format!(r#"stroke="{colour}" stroke-width="5" stroke-linecap="round""#),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quartiles_by_hand() {
        // Columns 1..5 and their squares, frames out of order.
        let values: Vec<f64> = [3.0, 1.0, 5.0, 2.0, 4.0].iter().flat_map(|v| [*v, v * v]).collect();
        assert_eq!(quartiles(&values, 2), [[2.0, 3.0, 4.0], [4.0, 9.0, 16.0]]);
        assert_eq!(quartiles(&[7.0f32], 1), [[7.0; 3]]);
        assert!(quartiles::<f32>(&[], 3).is_empty() && quartiles(&[1.0], 0).is_empty());
    }

    #[test]
    fn lines_break_where_there_is_no_logarithm() {
        let names: Vec<String> = (0..4).map(|layer| format!("layer<{layer}>")).collect();
        let of = |medians: [f64; 4]| medians.map(|median| [median / 2.0, median, median * 2.0]);
        let series = [
            Series { name: "clean", quartiles: of([1.0, 10.0, 100.0, 1e-4]).to_vec() },
            Series { name: "attacked", quartiles: of([2.0, 0.0, 50.0, 1e-3]).to_vec() },
        ];
        let picture = Layers { names: &names, label: "norm", series: &series }.picture();
        let svg = picture.svg();
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        assert!(svg.contains("layer&lt;3&gt;"), "{svg}");
        // One run of the first series, two of the second, a band and a line each.
        assert_eq!(svg.matches("fill-opacity=\"0.15\"").count(), 3);
        assert_eq!(svg.matches("stroke-linecap").count(), 7);
    }

    #[test]
    fn many_names_are_thinned() {
        let names: Vec<String> = (0..300).map(|layer| format!("parameter {layer}")).collect();
        let series = [Series { name: "one", quartiles: vec![[1.0, 2.0, 3.0]; 300] }];
        let picture = Layers { names: &names, label: "norm", series: &series }.picture();
        let shown = picture.svg().matches("parameter").count();
        assert!(shown > 25 && shown < 40, "{shown}");
    }
}
