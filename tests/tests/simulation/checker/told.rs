//! What the device says, as it leaves the port, against what was so.

use gradgate_gate::Verdict;
use gradgate_link::Telemetry;
use gradgate_link::message::{self, Judged};

use super::super::ledger::{Deed, Said};
use super::Checker;

impl Checker {
    /// A frame leaves the device.
    ///
    /// # Errors
    /// It says what was not so.
    pub fn device_sent(&mut self, frame: &[u8]) -> Result<(), String> {
        for said in self.ledger.device_sent(frame) {
            match said {
                Said::Answer(Some(deed), false) if deed != Deed::Reboot => {
                    return Err(format!("{deed:?} was answered, and was not done"));
                }
                Said::Answer(..) => self.seen.answers += 1,
                Said::Judged(judged) => self.judged(&judged)?,
                Said::Telemetry(number, telemetry) => self.told(number, &telemetry)?,
            }
        }
        Ok(())
    }

    fn judged(&self, judged: &Judged) -> Result<(), String> {
        let verdict = |verdict: Verdict| match verdict {
            Verdict::Pass => message::Verdict::Pass,
            Verdict::Block => message::Verdict::Block,
            Verdict::Unknown { .. } => message::Verdict::Unknown,
        };
        let unfit = judged.verdict == message::Verdict::Unknown && judged.score.is_nan();
        if unfit && self.counts.missed > 0 {
            return Ok(());
        }
        let said = (judged.frame, judged.verdict, judged.score.to_bits());
        let mut all = self.counts.judged.iter();
        match all.any(|&(frame, seen, score)| (frame, verdict(seen), score) == said) {
            true => Ok(()),
            false => Err(format!("{judged:?} was not so")),
        }
    }

    fn told(&mut self, number: u32, telemetry: &Telemetry) -> Result<(), String> {
        self.seen.telemetry += 1;
        if number != self.counts.told_number + 1 {
            return Err(format!("telemetry {number} follows {}", self.counts.told_number));
        }
        self.counts.told_number = number;
        match telemetry {
            Telemetry::Gate { time_us, open, .. } => {
                let rest = &self.counts.changes[self.counts.told_changes..];
                let place = rest.iter().position(|change| *change == (*time_us, *open));
                let place = place.ok_or_else(|| format!("{telemetry:?} was not so"))?;
                self.counts.told_changes += place + 1;
                self.counts.told += 1;
            }
            Telemetry::Judged(judged) => self.judged(judged)?,
            Telemetry::Dropped { .. } | Telemetry::Logged(_) => {}
        }
        Ok(())
    }
}
