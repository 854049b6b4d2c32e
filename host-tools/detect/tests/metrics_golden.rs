//! Figures against scikit-learn's, and the conventions against the rules of published code
//! restated in numpy: golden/metrics.json, made and checked by tests/scripts/metrics_golden.py.

use std::collections::BTreeMap;

use gradgate_detect::metrics::{Convention, Curve, DEFINITIONS, Figures};
use gradgate_detect::random::Random;
use serde::Deserialize;

/// Ours against scikit-learn.
const TOLERANCE: f64 = 1e-12;
/// Conventions: long plain sums, by us as by them.
const TOLERANCE_PUBLISHED: f64 = 1e-9;

#[derive(Deserialize)]
struct Golden {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    scores: Scores,
    threshold: f64,
    /// In the order of `DEFINITIONS`.
    figures: Vec<f64>,
    roc_points: usize,
    /// Index, threshold, FPR, TPR.
    roc: Vec<(usize, f64, f64, f64)>,
    published: BTreeMap<String, BTreeMap<String, f64>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Scores {
    Written { normal: Vec<f64>, anomalous: Vec<f64> },
    Drawn(Recipe),
}

#[derive(Deserialize)]
struct Recipe {
    seed: u64,
    normal: usize,
    anomalous: usize,
    spread: f64,
    shift: f64,
    levels: u32,
    single: bool,
}

impl Recipe {
    fn draw(&self) -> [Vec<f64>; 2] {
        let mut random = Random::new(self.seed, "metrics golden");
        let mut score = |spread: f64, shift: f64| {
            let sum = random.uniform() + random.uniform() + random.uniform() - 1.5;
            let score = sum * spread + shift;
            let levels = f64::from(self.levels);
            if self.levels == 0 { score } else { (score * levels).floor() / levels }
        };
        let normal = (0..self.normal).map(|_| score(1.0, 0.0)).collect();
        [normal, (0..self.anomalous).map(|_| score(self.spread, self.shift)).collect()]
    }
}

impl Scores {
    fn curve(&self) -> Curve {
        match self {
            Scores::Written { normal, anomalous } => Curve::new(normal, anomalous).unwrap(),
            Scores::Drawn(recipe) => {
                let [normal, anomalous] = recipe.draw();
                if !recipe.single {
                    return Curve::new(&normal, &anomalous).unwrap();
                }
                let [normal, anomalous] = [normal, anomalous]
                    .map(|all| all.iter().map(|score| *score as f32).collect::<Vec<f32>>());
                Curve::new(&normal, &anomalous).unwrap()
            }
        }
    }
}

fn golden() -> Vec<Case> {
    let golden: Golden = serde_json::from_str(include_str!("golden/metrics.json")).unwrap();
    golden.cases
}

/// Relative above 1: scores of the curve may be large.
fn near(got: f64, wanted: f64, tolerance: f64) -> bool {
    (got - wanted).abs() <= tolerance * wanted.abs().max(1.0)
}

#[test]
fn figures_equal_scikit_learn() {
    for case in golden() {
        let curve = case.scores.curve();
        let got = Figures::new(&curve, Some(case.threshold)).unwrap().values();
        assert_eq!((got.len(), case.figures.len()), (DEFINITIONS.len(), DEFINITIONS.len()));
        for ((got, wanted), definition) in got.iter().zip(&case.figures).zip(&DEFINITIONS) {
            let name = definition.name;
            assert!(near(*got, *wanted, TOLERANCE), "{}, {name}: {got} {wanted}", case.name);
        }
        let roc = curve.roc();
        assert_eq!(roc.len(), case.roc_points, "{}", case.name);
        assert_eq!((roc[0].fpr, roc[0].tpr), (0.0, 0.0));
        for (index, threshold, fpr, tpr) in case.roc {
            let got = roc[index];
            let fits = near(got.threshold, threshold, TOLERANCE)
                && near(got.fpr, fpr, TOLERANCE)
                && near(got.tpr, tpr, TOLERANCE);
            assert!(fits, "{}, point {index}: {got:?}", case.name);
        }
    }
}

#[test]
fn conventions_equal_the_published_rules() {
    for case in golden() {
        let curve = case.scores.curve();
        assert_eq!(case.published.len(), Convention::NAMES.len());
        for (convention, name) in Convention::NAMES {
            let wanted = &case.published[name];
            let got = convention.figures(&curve);
            assert_eq!(got.len(), wanted.len(), "{name}");
            for (figure, got) in got {
                let wanted = wanted[figure];
                let fits = near(got, wanted, TOLERANCE_PUBLISHED);
                assert!(fits, "{}, {name} {figure}: {got} {wanted}", case.name);
            }
        }
    }
}
