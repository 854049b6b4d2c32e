//! How a device was left by an errand that somebody ended.

use super::{Flash, Phase};
use crate::device::Slots;
use crate::error::Error;

impl Flash<'_> {
    /// The error with how the device was left, where the errand was ended from outside.
    pub fn stopped(&self, error: Error) -> Error {
        match error {
            Error::Stopped { .. } => Error::Stopped { left: self.left() },
            other => other,
        }
    }

    fn left(&self) -> String {
        let now = self.progress();
        let runs = runs(self.slots());
        let again = "run the same command to go on";
        match self.phase() {
            Phase::Check => "nothing was sent: the board is as it was".to_owned(),
            Phase::Erase => {
                format!("the board empties the slot that does not run; {runs}; {again}")
            }
            Phase::Upload => {
                format!("upload kept at {} of {} bytes, {again}; {runs}", now.sent, now.total)
            }
            Phase::Verify => format!("the bundle is on the board, not started; {runs}; {again}"),
            Phase::Activate => {
                "it was asked to start the bundle on trial: `gradgate slots` shows whether it did, \
                 then `confirm` or `revert`"
                    .to_owned()
            }
            Phase::Trial => format!(
                "the bundle runs on trial, {} of {} verdicts in: `gradgate confirm` goes on, \
                 `gradgate revert` ends it; left alone it is given up after its third start",
                now.judged, now.wanted
            ),
            Phase::Confirm => {
                "it was asked to keep the bundle: `gradgate slots` shows whether it did".to_owned()
            }
            Phase::Revert => {
                "it was asked to give the bundle up: `gradgate slots` shows whether it did"
                    .to_owned()
            }
            Phase::Done => format!("all was done; {runs}"),
        }
    }
}

fn runs(slots: Option<&Slots>) -> &'static str {
    match slots.and_then(|slots| slots.active) {
        Some(_) => "the board runs the bundle that it had",
        None => "no bundle runs, as before",
    }
}
