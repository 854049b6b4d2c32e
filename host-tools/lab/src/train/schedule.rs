//! The learning rate, step by step.

use serde::{Deserialize, Serialize};

/// How the rate falls after the warm-up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Half a cosine down to 0 (Loshchilov and Hutter 2017, without restarts).
    #[default]
    Cosine,
    /// By a factor at given epochs.
    Step,
}

/// A learning rate over all steps of a run.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Schedule {
    /// Highest rate. Default 0.1.
    pub rate: f64,
    /// Default cosine.
    pub kind: Kind,
    /// Epochs over which the rate rises from 0 in a line; may be a fraction. Default 0.
    pub warm_up: f64,
    /// `step` only: epochs at whose beginning the rate is multiplied by `factor`. Default none.
    pub at: Vec<f64>,
    /// `step` only. Default 0.1.
    pub factor: f64,
}

impl Default for Schedule {
    fn default() -> Self {
        Self { rate: 0.1, kind: Kind::Cosine, warm_up: 0.0, at: Vec::new(), factor: 0.1 }
    }
}

impl Schedule {
    /// Rate of step `step` of `steps` in all, `of_epoch` an epoch.
    pub fn rate(&self, step: usize, steps: usize, of_epoch: usize) -> f64 {
        let warm = self.warm_up * of_epoch as f64;
        let now = step as f64;
        if now < warm {
            return self.rate * (now + 1.0) / (warm + 1.0);
        }
        match self.kind {
            Kind::Cosine => {
                let progress = (now - warm) / (steps as f64 - warm).max(1.0);
                self.rate * 0.5 * (1.0 + (std::f64::consts::PI * progress).cos())
            }
            Kind::Step => {
                let epoch = now / of_epoch as f64;
                let passed = self.at.iter().filter(|at| epoch >= **at).count();
                self.rate * self.factor.powi(passed as i32)
            }
        }
    }

    /// What is wrong with it, if anything.
    pub(super) fn fault(&self, epochs: usize) -> Option<String> {
        let Schedule { rate, kind, warm_up, at, factor } = self;
        let length = epochs as f64;
        if !(rate.is_finite() && *rate > 0.0) {
            return Some(format!("schedule.rate is a number above 0, not {rate}"));
        }
        if !(0.0..length.max(f64::MIN_POSITIVE)).contains(warm_up) {
            return Some(format!("schedule.warm_up is 0 to below {epochs} epochs, not {warm_up}"));
        }
        if *kind == Kind::Cosine && !at.is_empty() {
            return Some("schedule.at is for kind = \"step\" only".to_owned());
        }
        if at.iter().any(|at| !(0.0..length).contains(at)) {
            return Some(format!("schedule.at holds epochs from 0 to below {epochs}, not {at:?}"));
        }
        if !(factor.is_finite() && *factor > 0.0 && *factor <= 1.0) {
            return Some(format!("schedule.factor is above 0 to 1, not {factor}"));
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(got: f64, wanted: f64) -> bool {
        (got - wanted).abs() < 1e-12
    }

    #[test]
    fn cosine_with_warm_up() {
        let schedule = Schedule { rate: 0.4, warm_up: 1.0, ..Schedule::default() };
        let rate = |step| schedule.rate(step, 50, 10);
        assert!(close(rate(0), 0.4 / 11.0) && close(rate(9), 4.0 / 11.0), "{}", rate(0));
        assert!(close(rate(10), 0.4), "the highest rate follows the warm-up");
        assert!(close(rate(30), 0.2), "half way down in the middle");
        assert!(rate(49) > 0.0 && rate(49) < 0.001);
    }

    #[test]
    fn steps_divide_at_the_beginning_of_an_epoch() {
        let schedule = Schedule { kind: Kind::Step, at: vec![2.0, 3.0], ..Schedule::default() };
        for (step, wanted) in [(0, 0.1), (19, 0.1), (20, 0.01), (29, 0.01), (30, 0.001)] {
            assert!(close(schedule.rate(step, 40, 10), wanted), "step {step}");
        }
    }

    #[test]
    fn numbers_out_of_range_are_named() {
        let good = Schedule::default();
        for (schedule, says) in [
            (Schedule { rate: 0.0, ..good.clone() }, "rate"),
            (Schedule { rate: f64::NAN, ..good.clone() }, "rate"),
            (Schedule { warm_up: 5.0, ..good.clone() }, "warm_up"),
            (Schedule { at: vec![1.0], ..good.clone() }, "at"),
            (Schedule { kind: Kind::Step, at: vec![9.0], ..good.clone() }, "at"),
            (Schedule { factor: 2.0, ..good.clone() }, "factor"),
        ] {
            assert!(schedule.fault(5).expect(says).contains(says));
        }
        assert_eq!(good.fault(5), None);
    }
}
