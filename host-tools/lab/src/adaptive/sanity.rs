//! Whether a table means anything: checks without which a weak attack would look like a strong
//! detector.
//!
//! After Carlini et al. 2019 (arXiv 1902.06705): success rises with the radius and becomes certain
//! where anything is allowed, gradients beat blind search, noise does next to nothing.

use serde::{Deserialize, Serialize};

use super::options::{Method, Options};
use super::results::Row;

/// Evasion that an unbounded attack must reach.
const CERTAIN: f64 = 0.95;
/// Noise may reach this share of what the white box reaches.
const NOISE_SHARE: f64 = 0.5;
/// Images below which nothing is said.
const FEWEST_IMAGES: usize = 20;
/// Median cosine between gradients of a whole and of half a parameter step.
const AGREEMENT: f64 = 0.95;

/// One condition, on one detector.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Check {
    /// What must hold.
    pub name: String,
    /// For which detector.
    pub detector: String,
    /// Whether it holds.
    pub passed: bool,
    /// The figures.
    pub text: String,
}

/// The gradient of a detector's score, at clean images.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GradientCheck {
    /// The detector.
    pub detector: String,
    /// How many images.
    pub images: usize,
    /// Median cosine between gradients of the whole and of half the parameter step.
    pub cosine: Option<f64>,
    /// Images whose score falls by a step of 1/2550 down the gradient's signs.
    pub falls: usize,
}

/// All checks of a detector, at its highest false-alarm rate. What was left out of the run is not
/// checked, and said so.
pub(crate) fn checks(
    detector: &str,
    rows: &[Row],
    gradient: &GradientCheck,
    options: &Options,
) -> Vec<Check> {
    let own = rows.iter().filter(|row| row.detector == detector);
    let rate = own.clone().map(|row| row.rate).fold(0.0, f64::max);
    let rows = Rows(own.filter(|row| row.rate == rate).collect());
    let check = |name: &str, (passed, text): (bool, String)| Check {
        name: name.to_owned(),
        detector: detector.to_owned(),
        passed,
        text,
    };
    vec![
        check("enough images", rows.enough(options)),
        check("success rises with eps", rows.rises(options)),
        check("success is certain without a bound", rows.certain(options)),
        check("white box beats black box", rows.beats_black_box(options)),
        check("noise is far below", rows.beats_noise(options)),
        check("gradients agree", agree(gradient)),
    ]
}

fn agree(gradient: &GradientCheck) -> (bool, String) {
    let GradientCheck { images, cosine, falls, .. } = gradient;
    let text = format!(
        "median cosine {} between a parameter step and half of it; a small step down lowers the \
         score of {falls} of {images} images",
        cosine.map_or("unknown".to_owned(), |cosine| format!("{cosine:.4}")),
    );
    (cosine.is_some_and(|cosine| cosine >= AGREEMENT) && 2 * falls >= *images, text)
}

/// Rows of one detector at one rate.
struct Rows<'r>(Vec<&'r Row>);

impl Rows<'_> {
    fn at(&self, method: Method, eps: f64) -> Option<&Row> {
        let name = method.to_string();
        self.0.iter().copied().find(|row| row.attack == name && row.eps == eps && row.images > 0)
    }

    /// The better of the two attacks by gradients.
    fn white_box(&self, eps: f64) -> Option<&Row> {
        let both = [Method::Selective, Method::Orthogonal];
        both.iter().filter_map(|&method| self.at(method, eps)).max_by_key(|row| row.evades)
    }

    fn enough(&self, options: &Options) -> (bool, String) {
        let images =
            options.eps.iter().filter_map(|&eps| self.white_box(eps)).map(|row| row.images).min();
        let images = images.unwrap_or(0);
        let text = format!("{images} images were right and passed; {FEWEST_IMAGES} are needed");
        (images >= FEWEST_IMAGES, text)
    }

    fn rises(&self, options: &Options) -> (bool, String) {
        let rows: Vec<&Row> = options.eps.iter().filter_map(|&eps| self.white_box(eps)).collect();
        let rises = |pair: &[&Row]| pair[1].evades + tolerance(pair[1]) >= pair[0].evades;
        let text = rows.iter().map(|row| format!("{:.1} %", 100.0 * row.evades_share()));
        let text = text.collect::<Vec<_>>().join(", ");
        (!rows.is_empty() && rows.windows(2).all(rises), format!("white box evades: {text}"))
    }

    fn certain(&self, options: &Options) -> (bool, String) {
        match self.white_box(options.sanity_eps) {
            None => (false, "the white box was not run there".to_owned()),
            Some(row) => {
                let share = row.evades_share();
                let counts = format!("{} of {}", row.evades, row.images);
                (share >= CERTAIN, format!("{counts} evade at eps {}/255", row.eps))
            }
        }
    }

    fn beats_black_box(&self, options: &Options) -> (bool, String) {
        let mut texts = Vec::new();
        let mut passed = true;
        for &eps in &options.eps {
            let (Some(white), Some(black)) = (self.white_box(eps), self.at(Method::Square, eps))
            else {
                return (false, "white box or black box was not run".to_owned());
            };
            passed &= white.evades + tolerance(white) >= black.evades;
            texts.push(format!("{} against {} at {eps}/255", white.evades, black.evades));
        }
        (passed, texts.join(", "))
    }

    fn beats_noise(&self, options: &Options) -> (bool, String) {
        let largest = options.eps.last().copied().unwrap_or(0.0);
        let (Some(white), Some(noise)) = (self.white_box(largest), self.at(Method::Noise, largest))
        else {
            return (false, "white box or noise was not run".to_owned());
        };
        let counts = format!("{} against {} of noise at {largest}/255", white.evades, noise.evades);
        (noise.evades as f64 <= NOISE_SHARE * white.evades as f64 && white.evades > 0, counts)
    }
}

/// Images by which one count may fall behind another: 2 in 100, and at least 1.
fn tolerance(row: &Row) -> usize {
    (row.images / 50).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(method: Method, eps: f64, evades: usize) -> Row {
        Row {
            attack: method.to_string(),
            eps,
            detector: "d".to_owned(),
            rate: 0.05,
            images: 100,
            misclassified: 100,
            evades,
            evades_interval: [0.0, 1.0],
            median_l2: None,
        }
    }

    fn failed(change: impl Fn(&mut Vec<Row>)) -> Vec<String> {
        let options = Options { eps: vec![1.0, 8.0], ..Options::default() };
        let mut rows = vec![
            row(Method::Noise, 8.0, 1),
            row(Method::Selective, 1.0, 40),
            row(Method::Orthogonal, 1.0, 30),
            row(Method::Square, 1.0, 20),
            row(Method::Selective, 8.0, 90),
            row(Method::Square, 8.0, 70),
            row(Method::Selective, 127.5, 100),
        ];
        change(&mut rows);
        let gradient =
            GradientCheck { detector: "d".to_owned(), images: 8, cosine: Some(0.9999), falls: 7 };
        let checks = checks("d", &rows, &gradient, &options);
        checks.into_iter().filter(|check| !check.passed).map(|check| check.name).collect()
    }

    #[test]
    fn each_condition_can_fail() {
        assert!(failed(|_| ()).is_empty());
        type Change = fn(&mut Vec<Row>);
        let cases: [(&str, Change); 6] = [
            ("success is certain without a bound", |rows| rows[6].evades = 80),
            ("success is certain without a bound", |rows| rows.truncate(6)),
            ("white box beats black box", |rows| rows[3].evades = 60),
            ("noise is far below", |rows| rows[0].evades = 60),
            ("success rises with eps", |rows| {
                rows[4].evades = 30;
                rows[5].evades = 30;
            }),
            ("enough images", |rows| rows[1].images = 5),
        ];
        for (wanted, change) in cases {
            assert!(failed(change).iter().any(|name| name == wanted), "{wanted}");
        }
        assert!(!failed(|rows| rows.clear()).is_empty());
    }
}
