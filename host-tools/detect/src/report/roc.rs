//! ROC curves of several detectors on the same frames.

use super::Picture;
use crate::draw::{Axis, Labels, Place, legend, line, panel, path, series};
use crate::metrics::Curve;

const PLACE: Place = [70.0, 20.0, 420.0, 420.0];
const ROW: f64 = 20.0;

/// Curves with their names, each with its AUROC in the legend; the dashed diagonal is chance.
pub fn roc(curves: &[(&str, &Curve)]) -> Picture {
    let [left, top, width, height] = PLACE;
    let (right, bottom) = (left + width, top + height);
    let legend_top = bottom + 72.0;
    Picture::draw(right + 20.0, legend_top + ROW * curves.len() as f64, |out| {
        let share = || [0.0, 100.0].into_iter();
        let (x, y) = (Axis::new(share(), left, right, 0.0), Axis::new(share(), bottom, top, 0.0));
        let labels =
            Labels { across: "normal frames flagged, %", up: "anomalous frames flagged, %" };
        panel(out, PLACE, Some(&x), &y, &labels);
        path(
            out,
            &format!("M{left} {bottom}L{right} {top}"),
            r##"stroke="#999" stroke-dasharray="3 4""##,
        );
        let mut entries = vec![];
        for (index, (name, curve)) in curves.iter().enumerate() {
            let (colour, dashes) = series(index);
            let style = format!(
                r#"fill="none" stroke="{colour}" stroke-width="1.8" stroke-dasharray="{dashes}""#
            );
            let points = curve.roc();
            let points =
                points.iter().map(|point| (x.at(100.0 * point.fpr), y.at(100.0 * point.tpr)));
            line(out, &thinned(points), &style);
            entries.push((style, format!("{name}: AUROC {:.2} %", 100.0 * curve.auroc())));
        }
        legend(out, (left, legend_top), &entries);
    })
}

/// Points half a unit apart or more, and the last: a million steps look the same and weigh less.
fn thinned(points: impl Iterator<Item = (f64, f64)>) -> Vec<(f64, f64)> {
    let mut kept: Vec<(f64, f64)> = vec![];
    let mut last = None;
    for point in points {
        let far = |from: &(f64, f64)| (point.0 - from.0).abs().max((point.1 - from.1).abs()) >= 0.5;
        if kept.last().is_none_or(far) {
            kept.push(point);
        }
        last = Some(point);
    }
    match (kept.last(), last) {
        (Some(end), Some(last)) if *end != last => kept.push(last),
        _ => {}
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_curve_goes_through_its_points() {
        // (0, 0), (0, 1/2), (1/2, 1/2), (1/2, 1), (1, 1)
        let curve = Curve::new(&[0.1, 0.4], &[0.35, 0.8]).unwrap();
        let picture = roc(&[("ours", &curve)]);
        let wanted = "M70.0 440.0L70.0 230.0L280.0 230.0L280.0 20.0L490.0 20.0";
        assert!(picture.svg().contains(wanted), "{}", picture.svg());
        assert!(picture.svg().contains("ours: AUROC 75.00 %"));
    }

    #[test]
    fn many_points_are_thinned_to_what_is_seen() {
        let ramp = (0..100_000).map(|k| (f64::from(k) * 0.0042, 0.0));
        let kept = thinned(ramp);
        assert!(kept.len() > 500 && kept.len() < 1_000, "{}", kept.len());
        assert_eq!(kept.last(), Some(&(99_999.0 * 0.0042, 0.0)));
        assert!(thinned(std::iter::empty()).is_empty());
    }
}
