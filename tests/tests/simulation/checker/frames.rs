//! Verdicts: which there may be, and what they must be.

use gradgate_device::log::Code;
use gradgate_device::watch::Watch;
use gradgate_gate::{Cause, Verdict};
use gradgate_link::message::Event;

use super::super::Flaw;
use super::super::board::SimBoard;
use super::super::camera::{CAMERA_BIT, Fault};
use super::super::catalog::Expected;
use super::super::errand::picture;
use super::super::ledger::Deed;
use super::{Checker, Counts, Running};

impl Checker {
    /// The verdict of this round, as it must be; of a bundle with a wrong bit, as it is. `polled`:
    /// the camera was asked in this round.
    pub(super) fn verdict(
        &mut self,
        board: &SimBoard,
        watch: &Watch<'_>,
        polled: bool,
        events: &[Event],
    ) -> Result<Option<Verdict>, String> {
        let found = watch.counters();
        let Counts { passed, blocked, unknown, missed, .. } = self.counts;
        let new = [found.passed - passed, found.blocked - blocked, found.unknown - unknown];
        match new.iter().sum() {
            0 => return Ok(None),
            1 => {}
            count => return Err(format!("{count} verdicts in a round")),
        }
        let verdict = if found.missed == missed && self.damage.is_some() {
            self.doubt(board, polled)?;
            said(new, events)
        } else if found.missed == missed {
            self.judge(board, watch)?
        } else {
            self.miss(board, polled)?;
            Verdict::Unknown { cause: Cause::Sensor }
        };
        let count = match verdict {
            Verdict::Pass => &mut self.counts.passed,
            Verdict::Block => &mut self.counts.blocked,
            Verdict::Unknown { .. } => &mut self.counts.unknown,
        };
        *count += 1;
        self.seen.verdicts += 1;
        Ok(Some(verdict))
    }

    /// A frame was judged: one that may be, and that somebody sent.
    fn judge(&mut self, board: &SimBoard, watch: &Watch<'_>) -> Result<Verdict, String> {
        let running = self.running.as_ref().ok_or("a verdict, and nothing runs")?;
        let (frame, ..) = watch.history.features(0, 0).ok_or("a verdict on nothing")?;
        let Expected { verdict, score } = self.item(running.item).expected[picture(frame)];
        if frame & CAMERA_BIT != 0 {
            self.fit(board, running, frame)?;
            self.seen.camera_verdicts += 1;
        } else {
            let started = self.ledger.started.get(&frame);
            let late = |age_us: u32| self.flaw == Flaw::NoAge && age_us > 0;
            if let Some(started) = started.filter(|it| it.is_unfit || late(it.age_us)) {
                return Err(format!("a frame was judged with {started:?}"));
            }
            self.seen.started += u64::from(started.is_some());
            self.ledger.spend(Deed::Judge(frame))?;
        }
        self.counts.judged.push((frame, verdict, score));
        Ok(verdict)
    }

    /// A frame was judged by a bundle with a wrong bit, which may give no features at all.
    fn doubt(&mut self, board: &SimBoard, polled: bool) -> Result<(), String> {
        let frame = match polled {
            true => board.camera.number(),
            false => self.ledger.judging().ok_or("a verdict on a frame that nobody sent")?,
        };
        if !polled {
            self.ledger.spend(Deed::Judge(frame))?;
        }
        self.counts.doubtful.push(frame);
        Ok(())
    }

    /// A frame was unfit: the camera's, or one that a host began.
    fn miss(&mut self, board: &SimBoard, polled: bool) -> Result<(), String> {
        if !polled {
            let frame = self.ledger.begun().ok_or("a frame that nobody began is unfit")?;
            self.ledger.spend(Deed::Judge(frame))?;
        } else if board.camera.faults.is_empty() {
            return Err("a frame of no camera is unfit".into());
        }
        self.counts.missed += 1;
        self.seen.unfit += 1;
        Ok(())
    }

    /// Whether the network may see that frame of the camera.
    fn fit(&self, board: &SimBoard, running: &Running, frame: u32) -> Result<(), String> {
        let sent = board.camera.faults.get(&frame).ok_or("a frame that no camera sent")?;
        // A frame cannot be compared with one before the bundle, or before a host's frames.
        let alone = sent.since_us > running.began_us && sent.since_us > board.read_us;
        let policy = self.item(running.item).policy;
        let unfit = match sent.fault {
            Fault::None => false,
            Fault::Frozen(times) => alone && times >= u32::from(policy.frozen_frames),
            Fault::Duplicate | Fault::OutOfOrder => alone,
            Fault::Constant
            | Fault::Short
            | Fault::Long
            | Fault::Geometry
            | Fault::Late
            | Fault::Future
            | Fault::Error => true,
        };
        if unfit { Err(format!("a frame was judged with {sent:?}")) } else { Ok(()) }
    }
}

/// The verdict by what the device counted and logged.
fn said(new: [u32; 3], events: &[Event]) -> Verdict {
    let fault = events.iter().any(|event| event.code == Code::Fault as u16);
    match new {
        [1, 0, 0] => Verdict::Pass,
        [0, 1, 0] => Verdict::Block,
        _ if fault => Verdict::Unknown { cause: Cause::Judgement },
        _ => Verdict::Unknown { cause: Cause::Caution },
    }
}
