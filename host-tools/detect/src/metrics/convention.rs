//! Figures by the rules of published code, for setting ours beside published tables and for nothing
//! else: names and positive classes are theirs.

use super::curve::{Curve, Step, share};

/// Whose rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Convention {
    /// OpenOOD 1.5: scikit-learn's curves, AUPR as trapezoid, so that equal scores of equal sets
    /// have 0.75; FPR with anomalous frames positive, at a point that `roc_curve` kept.
    OpenOod,
    /// The code of Lee et al. 2018 (Mahalanobis): frames one by one, a normal frame before an
    /// anomalous one of equal score, so that equal scores have an AUROC of 0; TNR where the share
    /// of normal frames that pass is nearest to 95 %; trapezoids with set ends.
    Lee18,
    /// The code of Liu et al. 2020 (energy): normal frames positive, FPR where their share is
    /// nearest to 95 %, AUPR as average precision. It sets one anomalous image against five normal
    /// ones: give it such sets.
    Energy,
}

impl Convention {
    /// All, with the names by which they are chosen.
    pub const NAMES: [(Convention, &'static str); 3] = [
        (Convention::OpenOod, "openood"),
        (Convention::Lee18, "lee18"),
        (Convention::Energy, "energy"),
    ];

    /// Figures under the names that they have there.
    pub fn figures(self, curve: &Curve) -> Vec<(&'static str, f64)> {
        match self {
            Convention::OpenOod => openood(curve),
            Convention::Lee18 => lee18(curve),
            Convention::Energy => energy(curve),
        }
    }
}

fn openood(curve: &Curve) -> Vec<(&'static str, f64)> {
    vec![
        ("FPR@95", fpr_at_kept_points(curve)),
        ("AUROC", curve.auroc()),
        ("AUPR_IN", precision_trapezoid(&curve.flipped())),
        ("AUPR_OUT", precision_trapezoid(curve)),
    ]
}

/// `roc_curve` drops points on a straight line between their neighbours, and with it perhaps the
/// first that reaches 95 %.
fn fpr_at_kept_points(curve: &Curve) -> f64 {
    let steps = curve.steps();
    let (normal, anomalous) = curve.totals();
    let move_to = |index: usize| {
        let (from, to) = (&steps[index - 1], &steps[index]);
        (to.normal - from.normal, to.anomalous - from.anomalous)
    };
    let kept = |index: usize| {
        index == 0 || index + 1 == steps.len() || move_to(index) != move_to(index + 1)
    };
    let mut points = (0..steps.len()).filter(|index| kept(*index)).map(|index| &steps[index]);
    let enough = points.find(|step| share(step.anomalous, anomalous) >= 0.95);
    enough.map_or(1.0, |step| share(step.normal, normal))
}

/// Trapezoid under the precision-recall curve, which starts at recall 0 with precision 1.
fn precision_trapezoid(curve: &Curve) -> f64 {
    let positives = curve.totals().1;
    let points = curve.steps().iter().map(|step| {
        let precision = share(step.anomalous, step.normal + step.anomalous);
        (share(step.anomalous, positives), precision)
    });
    trapezoid(std::iter::once((0.0, 1.0)).chain(points))
}

/// Area under points (x, y) in order.
fn trapezoid(points: impl Iterator<Item = (f64, f64)>) -> f64 {
    let mut area = 0.0;
    let mut last: Option<(f64, f64)> = None;
    for (x, y) in points {
        area += last.map_or(0.0, |(x0, y0)| (x - x0) * (y + y0) / 2.0);
        last = Some((x, y));
    }
    area
}

/// Frames that pass, (normal, anomalous), as the threshold falls past one frame after the other.
fn one_by_one(curve: &Curve) -> Vec<(u64, u64)> {
    let (normal, anomalous) = curve.totals();
    let mut passing = vec![(normal, anomalous)];
    let mut last = (0, 0);
    for step in curve.steps() {
        let left = (normal - last.0, anomalous - last.1);
        let (n, a) = (step.normal - last.0, step.anomalous - last.1);
        passing.extend((1..=n).map(|k| (left.0 - k, left.1)));
        passing.extend((1..=a).map(|k| (left.0 - n, left.1 - k)));
        last = (step.normal, step.anomalous);
    }
    passing
}

fn lee18(curve: &Curve) -> Vec<(&'static str, f64)> {
    let (normal, anomalous) = curve.totals();
    let passing = one_by_one(curve);
    let tpr = |at: &(u64, u64)| share(at.0, normal);
    let fpr = |at: &(u64, u64)| share(at.1, anomalous);
    let tnr = 1.0 - fpr(nearest(&passing, tpr));
    let accuracy = passing.iter().map(|at| (tpr(at) + 1.0 - fpr(at)) / 2.0);
    let ends = |first, middle: Vec<(f64, f64)>, last| {
        trapezoid([first].into_iter().chain(middle).chain([last]))
    };
    let roc = passing.iter().map(|at| (tpr(at), 1.0 - fpr(at))).collect();
    let kept = passing.iter().filter(|at| at.0 + at.1 > 0);
    let precision_in = kept.map(|at| (tpr(at), share(at.0, at.0 + at.1))).collect();
    let flagged = passing.iter().map(|at| (normal - at.0, anomalous - at.1));
    let flagged = flagged.filter(|at| at.0 + at.1 > 0);
    let precision_out = flagged.map(|at| (share(at.1, anomalous), share(at.1, at.0 + at.1)));
    vec![
        ("TNR", tnr),
        // The share that passes falls: areas are negative.
        ("AUROC", -ends((1.0, 0.0), roc, (0.0, 1.0))),
        ("DTACC", accuracy.fold(0.5, |best, value| if value > best { value } else { best })),
        ("AUIN", -ends((1.0, 0.5), precision_in, (0.0, 0.0))),
        ("AUOUT", ends((0.0, 0.0), precision_out.collect(), (1.0, 0.5))),
    ]
}

/// The first of the points whose value is nearest to 0.95.
fn nearest<T>(points: &[T], value: impl Fn(&T) -> f64) -> &T {
    let mut best = &points[0];
    for point in points {
        if (value(point) - 0.95).abs() < (value(best) - 0.95).abs() {
            best = point;
        }
    }
    best
}

fn energy(curve: &Curve) -> Vec<(&'static str, f64)> {
    let flipped = curve.flipped();
    let (anomalous, normal) = flipped.totals();
    let recall = |step: &Step| share(step.anomalous, normal);
    // From the first step with all positives backwards, so that of two equally near the larger
    // recall counts.
    let mut steps: Vec<Step> = flipped.steps().to_vec();
    let full = steps.partition_point(|step| step.anomalous < normal);
    steps.truncate(full + 1);
    steps.reverse();
    vec![
        ("FPR95", share(nearest(&steps, recall).normal, anomalous)),
        ("AUROC", curve.auroc()),
        ("AUPR", flipped.average_precision()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure(convention: Convention, curve: &Curve, name: &str) -> f64 {
        let found = convention.figures(curve);
        found.iter().find(|(other, _)| *other == name).unwrap().1
    }

    #[test]
    fn equal_scores_show_what_tells_the_codes_apart() {
        let curve = Curve::new(&[1.0; 20], &[1.0; 20]).unwrap();
        let cases = [
            (Convention::OpenOod, "AUROC", 0.5),
            (Convention::OpenOod, "AUPR_IN", 0.75),
            (Convention::OpenOod, "AUPR_OUT", 0.75),
            (Convention::OpenOod, "FPR@95", 1.0),
            (Convention::Lee18, "AUROC", 0.0),
            (Convention::Lee18, "DTACC", 0.5),
            (Convention::Lee18, "TNR", 0.0),
            (Convention::Energy, "AUROC", 0.5),
            (Convention::Energy, "AUPR", 0.5),
            (Convention::Energy, "FPR95", 1.0),
        ];
        for (convention, name, wanted) in cases {
            let got = figure(convention, &curve, name);
            assert!((got - wanted).abs() < 1e-15, "{convention:?} {name}: {got}");
        }
    }

    #[test]
    fn nearest_and_at_least_differ() {
        // 19 of 20 normal frames below 1; a tie of half the anomalous ones with the last.
        let normal: Vec<f64> = (0..20).map(f64::from).collect();
        let mut anomalous = vec![18.0; 10];
        anomalous.extend([30.0; 10]);
        let curve = Curve::new(&normal, &anomalous).unwrap();
        // 95 % of the normal frames pass only together with the ten at 18.
        assert_eq!(figure(Convention::Energy, &curve, "FPR95"), 0.5);
        let curve = Curve::new(&normal[..18], &anomalous).unwrap();
        // 17 of 18 is nearer to 95 % than 18 of 18.
        assert_eq!(figure(Convention::Energy, &curve, "FPR95"), 0.0);
    }

    #[test]
    fn names_are_unique() {
        for (index, (convention, name)) in Convention::NAMES.iter().enumerate() {
            assert!(Convention::NAMES[..index].iter().all(|(a, b)| a != convention && b != name));
        }
    }
}
