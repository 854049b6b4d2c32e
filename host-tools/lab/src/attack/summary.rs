//! What an attack achieved, in counts.

use std::fmt;

use super::subject::{Outcome, Status};

/// Counts of a run. What was wrong before the attack is never a success.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Summary {
    /// Images.
    pub images: usize,
    /// Images by status, in the order of [`Status::ALL`].
    pub by_status: [usize; 4],
    /// Images with a label that is predicted after the attack.
    pub right_after: usize,
    /// Images with a label.
    pub labelled: usize,
    l_inf: f64,
    l2: f64,
}

impl Summary {
    /// Counts an outcome.
    pub fn add(&mut self, outcome: &Outcome) {
        self.images += 1;
        self.by_status[usize::from(outcome.status.code())] += 1;
        self.labelled += usize::from(outcome.label.is_some());
        self.right_after += usize::from(outcome.label == Some(outcome.predicted_after));
        if outcome.status == Status::Success {
            self.l_inf += f64::from(outcome.l_inf);
            self.l2 += f64::from(outcome.l2);
        }
    }

    /// How many images have a status.
    pub fn count(&self, status: Status) -> usize {
        self.by_status[usize::from(status.code())]
    }

    /// Images that were attacked and right before.
    pub fn attacked(&self) -> usize {
        self.count(Status::Success) + self.count(Status::Failed)
    }

    /// Share of successes among those; `None` without any.
    pub fn success(&self) -> Option<f64> {
        let attacked = self.attacked();
        (attacked > 0).then(|| self.count(Status::Success) as f64 / attacked as f64)
    }

    /// Share of labelled images that are right after the attack; `None` without labels.
    pub fn accuracy(&self) -> Option<f64> {
        (self.labelled > 0).then(|| self.right_after as f64 / self.labelled as f64)
    }

    /// Share of labelled images that were right before; `None` without labels.
    pub fn clean_accuracy(&self) -> Option<f64> {
        let right = self.labelled - self.count(Status::CleanWrong);
        (self.labelled > 0).then(|| right as f64 / self.labelled as f64)
    }

    /// Mean L_inf and L2 of successes, in pixels of 0..1; `None` without any.
    pub fn distortion(&self) -> Option<(f64, f64)> {
        let successes = self.count(Status::Success) as f64;
        (successes > 0.0).then(|| (self.l_inf / successes, self.l2 / successes))
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = |share: Option<f64>| match share {
            Some(share) => format!("{:.2} %", 100.0 * share),
            None => "-".to_owned(),
        };
        writeln!(f, "images              {}", self.images)?;
        for status in Status::ALL {
            writeln!(f, "{:<20}{}", status.name(), self.count(status))?;
        }
        writeln!(f, "clean accuracy      {}", percent(self.clean_accuracy()))?;
        writeln!(f, "accuracy attacked   {}", percent(self.accuracy()))?;
        let of = self.attacked();
        writeln!(f, "success             {} of the {of} attacked", percent(self.success()))?;
        match self.distortion() {
            None => writeln!(f, "distortion          -"),
            Some((l_inf, l2)) => writeln!(
                f,
                "distortion          L_inf {l_inf:.5} ({:.2}/255), L2 {l2:.4}, means of successes",
                255.0 * l_inf
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_ones_are_no_success_and_failures_have_no_distortion() {
        let outcome = |status, after, l2| Outcome {
            index: 0,
            source: 0,
            label: Some(1),
            status,
            predicted_before: 1,
            predicted_after: after,
            target: None,
            l_inf: l2 / 2.0,
            l2,
            pixels: vec![],
        };
        let mut summary = Summary::default();
        for outcome in [
            outcome(Status::CleanWrong, 0, 0.0),
            outcome(Status::Success, 2, 1.0),
            outcome(Status::Success, 0, 3.0),
            outcome(Status::Failed, 1, 100.0),
        ] {
            summary.add(&outcome);
        }
        assert_eq!(summary.success(), Some(2.0 / 3.0));
        assert_eq!((summary.accuracy(), summary.clean_accuracy()), (Some(0.25), Some(0.75)));
        assert_eq!(summary.distortion(), Some((1.0, 2.0)));
        assert_eq!(Summary::default().success(), None);
    }
}
