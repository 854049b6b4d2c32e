//! What decides the results, with defaults.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::error::LabError;

use super::slope::PARAMETER_STEP;

/// Kinds of attack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Family {
    /// Random signs of length eps: the floor.
    Noise,
    /// To the decision boundary, and beyond it by each kappa.
    Margin,
    /// Misclassified, with the energy of normal images.
    EnergyMatched,
    /// With the logits of a normal image of another class.
    LogitMatched,
    /// Away from the class, and as soon as that is done, down the detector's score.
    Selective,
    /// The same; each step leaves the other aim alone to first order.
    Orthogonal,
    /// Black box: random search on margin and score.
    Square,
}

impl Family {
    /// All of them.
    pub const ALL: [Family; 7] = [
        Family::Noise,
        Family::Margin,
        Family::EnergyMatched,
        Family::LogitMatched,
        Family::Selective,
        Family::Orthogonal,
        Family::Square,
    ];
}

/// An attack.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// See [`Family::Noise`].
    Noise,
    /// Margin of minus kappa, in logits.
    Margin(f64),
    /// See [`Family::EnergyMatched`].
    EnergyMatched,
    /// See [`Family::LogitMatched`].
    LogitMatched,
    /// See [`Family::Selective`].
    Selective,
    /// See [`Family::Orthogonal`].
    Orthogonal,
    /// See [`Family::Square`].
    Square,
}

impl Method {
    /// Whether it asks a detector, so that every detector has an attack of its own.
    pub fn asks_detector(self) -> bool {
        match self {
            Method::Selective | Method::Orthogonal | Method::Square => true,
            Method::Noise | Method::Margin(_) | Method::EnergyMatched | Method::LogitMatched => {
                false
            }
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Method::Noise => f.write_str("noise"),
            Method::Margin(0.0) => f.write_str("zero-margin"),
            Method::Margin(kappa) => write!(f, "kappa-{kappa}"),
            Method::EnergyMatched => f.write_str("energy-matched"),
            Method::LogitMatched => f.write_str("logit-matched"),
            Method::Selective => f.write_str("selective"),
            Method::Orthogonal => f.write_str("orthogonal"),
            Method::Square => f.write_str("square"),
        }
    }
}

/// All choices of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// Radii of the L_inf ball, ascending, in 1/255. Default: 1, 2, 4, 8.
    pub eps: Vec<f64>,
    /// Radius at which every attack must succeed, in 1/255. Default: 127.5, so that every image
    /// can become uniform grey.
    pub sanity_eps: f64,
    /// Images attacked at that radius. Default: 20.
    pub sanity_images: usize,
    /// Which attacks. Default: all.
    pub attacks: Vec<Family>,
    /// Steps of attacks by gradients. Default: 100.
    pub steps: usize,
    /// Starts of attacks by gradients: the clean image, then random ones. Default: 1.
    pub restarts: usize,
    /// Length of the first step over eps. Default: 0.25.
    pub first_step: f64,
    /// Length of the last step over eps; between them lengths fall geometrically. Default: 0.02.
    pub last_step: f64,
    /// Logits by which an image must be misclassified before steps go down the score. Default:
    /// 0.05, as in the published code of orthogonal PGD.
    pub margin: f64,
    /// Margins of misclassification aimed at, beside 0, in logits. Default: 2, 5, 10, 20.
    pub kappas: Vec<f64>,
    /// Questions of the black box for an image. Default: 1000.
    pub queries: usize,
    /// Share of the image that its first squares cover. Default: 0.8.
    pub square_share: f64,
    /// Length of the step in the parameters. Default: 0.01.
    pub parameter_step: f64,
    /// Seed of all random numbers. Default: 0.
    pub seed: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            eps: vec![1.0, 2.0, 4.0, 8.0],
            sanity_eps: 127.5,
            sanity_images: 20,
            attacks: Family::ALL.to_vec(),
            steps: 100,
            restarts: 1,
            first_step: 0.25,
            last_step: 0.02,
            margin: 0.05,
            kappas: vec![2.0, 5.0, 10.0, 20.0],
            queries: 1000,
            square_share: 0.8,
            parameter_step: PARAMETER_STEP,
            seed: 0,
        }
    }
}

impl Options {
    /// Refuses numbers out of their range.
    ///
    /// # Errors
    /// Names the option.
    pub fn check(&self) -> Result<(), LabError> {
        let refuse = |text: String| Err(LabError::Options(text));
        let positive = |x: f64| x > 0.0 && x.is_finite();
        let radius = |x: f64| positive(x) && x <= 255.0;
        if self.eps.is_empty() || !self.eps.iter().all(|&x| radius(x)) {
            return refuse(format!("eps {:?}: numbers above 0, up to 255, in 1/255", self.eps));
        }
        if !self.eps.is_sorted_by(|a, b| a < b) {
            return refuse(format!("eps {:?}: they ascend, each once", self.eps));
        }
        if !radius(self.sanity_eps) || self.eps.iter().any(|&eps| eps >= self.sanity_eps) {
            return refuse(format!("sanity_eps {}: larger than all of eps", self.sanity_eps));
        }
        if self.attacks.is_empty() {
            return refuse("attacks: name at least one".to_owned());
        }
        if let Some(kappa) = self.kappas.iter().find(|&&kappa| !positive(kappa)) {
            return refuse(format!("kappas: {kappa} is not above 0 (0 is always there)"));
        }
        let counts = [
            ("steps", self.steps),
            ("restarts", self.restarts),
            ("queries", self.queries),
            ("sanity_images", self.sanity_images),
        ];
        if let Some((name, _)) = counts.iter().find(|(_, count)| *count == 0) {
            return refuse(format!("{name} 0: at least 1"));
        }
        let shares = [
            ("first_step", self.first_step),
            ("last_step", self.last_step),
            ("square_share", self.square_share),
        ];
        if let Some((name, share)) = shares.iter().find(|(_, x)| !positive(*x) || *x > 1.0) {
            return refuse(format!("{name} {share}: above 0, up to 1"));
        }
        if !positive(self.parameter_step) {
            return refuse(format!("parameter_step {}: above 0", self.parameter_step));
        }
        if !(self.margin >= 0.0 && self.margin.is_finite()) {
            return refuse(format!("margin {}: 0 or above", self.margin));
        }
        Ok(())
    }

    /// Length of a step over eps.
    pub(crate) fn step_share(&self, step: usize) -> f64 {
        let last = self.steps.saturating_sub(1).max(1) as f64;
        self.first_step * (self.last_step / self.first_step).powf(step as f64 / last)
    }

    /// The attacks, in order.
    pub(crate) fn methods(&self) -> Vec<Method> {
        let of = |family: &Family| match family {
            Family::Noise => vec![Method::Noise],
            Family::Margin => {
                let kappas = self.kappas.iter().map(|&kappa| Method::Margin(kappa));
                [Method::Margin(0.0)].into_iter().chain(kappas).collect()
            }
            Family::EnergyMatched => vec![Method::EnergyMatched],
            Family::LogitMatched => vec![Method::LogitMatched],
            Family::Selective => vec![Method::Selective],
            Family::Orthogonal => vec![Method::Orthogonal],
            Family::Square => vec![Method::Square],
        };
        self.attacks.iter().flat_map(of).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_out_of_their_range_are_refused() {
        Options::default().check().expect("the defaults");
        type Change = fn(&mut Options);
        let cases: [(&str, Change); 9] = [
            ("eps", |o| o.eps.clear()),
            ("eps", |o| o.eps = vec![2.0, 1.0]),
            ("eps", |o| o.eps = vec![f64::NAN]),
            ("sanity_eps", |o| o.sanity_eps = 8.0),
            ("steps", |o| o.steps = 0),
            ("first_step", |o| o.first_step = 1.5),
            ("kappas", |o| o.kappas = vec![0.0]),
            ("parameter_step", |o| o.parameter_step = 0.0),
            ("margin", |o| o.margin = -1.0),
        ];
        for (name, change) in cases {
            let mut options = Options::default();
            change(&mut options);
            let error = options.check().expect_err(name).to_string();
            assert!(error.starts_with(name), "{error}");
        }
    }

    #[test]
    fn steps_fall_from_the_first_to_the_last() {
        let options = Options { steps: 11, ..Options::default() };
        let shares: Vec<f64> = (0..11).map(|step| options.step_share(step)).collect();
        assert!((shares[0] - 0.25).abs() < 1e-12 && (shares[10] - 0.02).abs() < 1e-12);
        assert!(shares.is_sorted_by(|a, b| a > b), "{shares:?}");
        let names: Vec<String> = options.methods().iter().map(Method::to_string).collect();
        assert_eq!(names[..3], ["noise", "zero-margin", "kappa-2"]);
    }

    #[test]
    fn a_file_names_only_what_differs() {
        let read = |text: &str| toml::from_str::<Options>(text);
        let some = read("eps = [4.0]\nattacks = [\"selective\"]").expect("options");
        assert_eq!((some.eps[0], some.steps, some.attacks[0]), (4.0, 100, Family::Selective));
        assert!(read("epsilon = 4.0").is_err());
    }
}
