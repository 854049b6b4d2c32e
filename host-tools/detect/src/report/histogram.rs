//! Scores of normal and of anomalous frames, one over the other.

use super::Picture;
use crate::draw::{Axis, BLUE, Labels, Place, RED, VERMILION, legend, line, panel, path};
use crate::metrics::{Curve, Step};

const PLACE: Place = [70.0, 20.0, 480.0, 300.0];
const BINS: usize = 60;
/// This share of all frames may lie beyond either end; the outermost bins hold them.
const TAIL: f64 = 0.005;

/// Share of each kind in each of the bins, and the bins' edges.
struct Bins {
    edges: Vec<f64>,
    normal: Vec<f64>,
    anomalous: Vec<f64>,
}

impl Bins {
    fn new(curve: &Curve) -> Bins {
        let (high, low) = (beyond(curve.steps(), TAIL), beyond(curve.steps(), 1.0 - TAIL));
        // Equal scores: one bin in the middle of some width.
        let (low, high) = if high > low { (low, high) } else { (low - 0.5, low + 0.5) };
        let width = high / BINS as f64 - low / BINS as f64;
        let edges: Vec<f64> = (0..=BINS).map(|bin| low + width * bin as f64).collect();
        let (normal, anomalous) = curve.totals();
        let mut bins = Bins { edges, normal: vec![], anomalous: vec![] };
        let mut last = (normal, anomalous);
        for bin in 0..BINS {
            // What lies above the bin; nothing lies above the last one.
            let above = match bin + 1 {
                BINS => (0, 0),
                next => above(curve.steps(), bins.edges[next]),
            };
            bins.normal.push((last.0 - above.0) as f64 / normal as f64);
            bins.anomalous.push((last.1 - above.1) as f64 / anomalous as f64);
            last = above;
        }
        bins
    }
}

/// Highest score that this share of all frames reaches.
fn beyond(steps: &[Step], share: f64) -> f64 {
    let all = steps.last().map_or(0, |step| step.normal + step.anomalous) as f64;
    let enough =
        steps.partition_point(|step| ((step.normal + step.anomalous) as f64) < share * all);
    steps.get(enough).or(steps.last()).map_or(0.0, |step| step.score)
}

/// Normal and anomalous frames scoring this or more.
fn above(steps: &[Step], score: f64) -> (u64, u64) {
    let count = steps.partition_point(|step| step.score >= score);
    count.checked_sub(1).map_or((0, 0), |at| (steps[at].normal, steps[at].anomalous))
}

/// Histogram of the two sets, each as shares of itself, with a threshold if there is one.
pub fn histogram(curve: &Curve, threshold: Option<f64>) -> Picture {
    let bins = Bins::new(curve);
    let [left, top, width, height] = PLACE;
    let (right, bottom) = (left + width, top + height);
    Picture::draw(right + 20.0, bottom + 120.0, |out| {
        let x = Axis::new(bins.edges.iter().copied(), left, right, 0.0);
        // With some air above the highest bar.
        let shares = bins.normal.iter().chain(&bins.anomalous).map(|share| 105.0 * share);
        let y = Axis::new(shares.chain([0.0]), bottom, top, 0.0);
        let labels = Labels { across: "score", up: "frames, % of their kind" };
        panel(out, PLACE, Some(&x), &y, &labels);
        let (normal, anomalous) = curve.totals();
        let sets = [
            (BLUE, "none", &bins.normal, format!("{normal} normal frames")),
            (VERMILION, "6 2", &bins.anomalous, format!("{anomalous} anomalous frames")),
        ];
        let mut entries = vec![];
        for (colour, dashes, shares, name) in sets {
            let outline: Vec<(f64, f64)> = stairs(&bins.edges, shares)
                .into_iter()
                .map(|(score, share)| (x.at(score), y.at(100.0 * share)))
                .collect();
            let stroke =
                format!(r#"stroke="{colour}" stroke-width="1.5" stroke-dasharray="{dashes}""#);
            line(out, &outline, &format!(r#"fill="{colour}" fill-opacity="0.25" {stroke}"#));
            entries.push((stroke, name));
        }
        if let Some(threshold) = threshold.filter(|threshold| x.holds(*threshold)) {
            let stroke = format!(r#"stroke="{RED}" stroke-width="1.5""#);
            path(out, &format!("M{:.1} {top}v{height}", x.at(threshold)), &stroke);
            entries.push((stroke, format!("threshold {threshold}")));
        }
        legend(out, (left, bottom + 68.0), &entries);
    })
}

/// The outline of bars from the ground up and back to it.
fn stairs(edges: &[f64], shares: &[f64]) -> Vec<(f64, f64)> {
    let mut points = vec![(edges[0], 0.0)];
    for (bin, share) in shares.iter().enumerate() {
        points.extend([(edges[bin], *share), (edges[bin + 1], *share)]);
    }
    points.push((edges[shares.len()], 0.0));
    points
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bins_hold_every_frame_once() {
        let normal: Vec<f64> = (0..600).map(|k| f64::from(k) / 10.0).collect();
        let cases: [(&[f64], usize); 4] = [
            (&[0.0, 30.0, 59.9, 30.04], 3),
            (&[-1e9, 1e9], 2),
            (&[5.0; 7], 1),
            (&[59.9, 60.0, 1e300], 1),
        ];
        for (anomalous, filled) in cases {
            let bins = Bins::new(&Curve::new(&normal, anomalous).unwrap());
            for shares in [&bins.normal, &bins.anomalous] {
                assert!((shares.iter().sum::<f64>() - 1.0).abs() < 1e-12, "{anomalous:?}");
            }
            let got = bins.anomalous.iter().filter(|share| **share > 0.0).count();
            assert_eq!(got, filled, "{anomalous:?} {:?}", bins.anomalous);
            assert!(bins.normal.iter().all(|share| *share < 0.03), "{:?}", bins.normal);
        }
    }

    #[test]
    fn equal_scores_have_a_picture() {
        let curve = Curve::new(&[2.0f32; 5], &[2.0; 3]).unwrap();
        let svg = histogram(&curve, Some(2.0)).svg().to_owned();
        assert!(svg.contains("threshold 2") && svg.contains("5 normal frames"), "{svg}");
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        assert!(!histogram(&curve, Some(99.0)).svg().contains("threshold"));
    }
}
