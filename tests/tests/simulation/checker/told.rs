//! What the device says, as it leaves the port, against what was so.

use gradgate_device::log::LOG_EVENTS;
use gradgate_device::watch::Watch;
use gradgate_gate::Verdict;
use gradgate_link::Telemetry;
use gradgate_link::message::{self, Judged};
use gradgate_link::packet::Packet;

use super::super::ledger::{Deed, Said};
use super::{Checker, Counts};

/// Telemetry that a device may hold back: its queue, its log, and what waits in its sending buffer.
const HELD_BACK: u32 = 16 + LOG_EVENTS as u32 + 3;

impl Checker {
    /// A frame leaves the device.
    ///
    /// # Errors
    /// It says what was not so.
    pub fn device_sent(&mut self, frame: &[u8]) -> Result<(), String> {
        for said in self.ledger.device_sent(frame) {
            match said {
                // Back to no bundle at all is told as the fail state.
                Said::Answer(Some(Deed::Revert), false) if self.running.is_none() => {}
                Said::Answer(Some(deed), false) if deed != Deed::Reboot => {
                    return Err(format!("{deed:?} was answered, and was not done"));
                }
                Said::Answer(deed, refused) => {
                    self.seen.answers += 1;
                    if let (Some(Deed::Provision(number)), false) = (deed, refused) {
                        self.keys.acknowledged(number);
                    }
                }
                Said::Welcome(packet) => {
                    let packet = Packet::parse(&packet).ok_or("a welcome that is none")?;
                    self.keys.welcomed(&packet)?;
                }
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
        if self.counts.doubtful.contains(&judged.frame) {
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
            Telemetry::Judged(judged) => {
                self.judged(judged)?;
                self.counts.told_verdicts += 1;
            }
            Telemetry::Logged(event) => {
                let rest = &self.counts.events[self.counts.told_events..];
                let place = rest.iter().position(|seen| seen == event);
                let place = place.ok_or_else(|| format!("{telemetry:?} was not so"))?;
                self.counts.told_events += place + 1;
                self.counts.told += 1;
            }
            Telemetry::Dropped { count } => {
                if *count <= self.counts.told_dropped {
                    return Err(format!("{telemetry:?} after {}", self.counts.told_dropped));
                }
                self.counts.told_dropped = *count;
            }
        }
        Ok(())
    }

    /// Every change of the gate and every event was told, dropped and counted, or waits.
    ///
    /// # Errors
    /// Some are missing, or more are said to be dropped than there were.
    pub(super) fn add_up(&self, watch: &Watch<'_>) -> Result<(), String> {
        let Counts { told, told_verdicts, changes, events, .. } = &self.counts;
        let dropped = watch.counters().telemetry_dropped;
        let happened = (changes.len() + events.len()) as u32;
        let verdicts = self.counts.passed + self.counts.blocked + self.counts.unknown;
        let missing = happened.saturating_sub(told.saturating_add(dropped));
        let accounted = told + told_verdicts + dropped;
        if missing > HELD_BACK || accounted > happened + verdicts {
            return Err(format!(
                "telemetry: {happened} changes and events, {verdicts} verdicts, {told} and \
                 {told_verdicts} told, {dropped} dropped"
            ));
        }
        Ok(())
    }
}
