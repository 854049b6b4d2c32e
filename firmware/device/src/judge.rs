//! A bundle that runs: its engine, and the verdict on one frame.

use gradgate_bundle::detector::Reason;
use gradgate_bundle::read::Bundle;
use gradgate_bundle::signature::Verified;
use gradgate_engine::{Engine, Features, Frame};
use gradgate_gate as gate;
use gradgate_gate::{Cause, Limits};
use gradgate_link::message::{Judged, Verdict};

use crate::board::Board;
use crate::unfit::Unfit;
use crate::watch::{Outcome, Watch};

/// A reason's number on the link: the picture itself is unusable.
const SENSOR: u8 = 1;
/// The numbers of the frame, the bundle or the device are at fault.
const FAULT: u8 = 4;

/// A loaded bundle.
pub struct Running<'a> {
    engine: Engine<'a>,
    limits: Option<Limits>,
    bytes: &'a [u8],
}

impl<'a> Running<'a> {
    /// Loads verified bytes; `None` where the engine refuses them.
    pub fn load(verified: Verified<'a>) -> Option<Self> {
        let engine = Engine::load(Bundle::from_verified(verified).ok()?).ok()?;
        let limits = engine.bundle().header().detector.as_ref().map(Limits::from);
        Some(Self { engine, limits, bytes: verified.bytes() })
    }

    /// The engine.
    pub fn engine(&self) -> &Engine<'a> {
        &self.engine
    }

    /// The bundle's bytes, as they lie in memory.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Scores above it are BLOCK; not a number without a detector.
    pub fn threshold(&self) -> f32 {
        self.limits.map_or(f32::NAN, |limits| limits.threshold)
    }

    /// Judges one frame of the model's size. Any doubt is UNKNOWN.
    pub fn judge<'m>(
        &self,
        number: u32,
        frame: &[u8],
        arena: &'m mut [f32],
    ) -> (Outcome, Option<Features<'m>>) {
        let Ok((features, judgement)) = self.engine.judge(Frame::U8(frame), arena) else {
            return (unknown(number, Cause::Judgement), None);
        };
        let (Some(judgement), Some(limits)) = (judgement, self.limits) else {
            return (unknown(number, Cause::NoDetector), Some(features));
        };
        let verdict = gate::decide(&judgement, &limits);
        let outcome = match judgement {
            Err(_) => Outcome { verdict, ..unknown(number, Cause::Judgement) },
            Ok(judgement) => Outcome {
                verdict,
                judged: Judged {
                    frame: number,
                    time_us: 0,
                    class: u16::try_from(judgement.class).unwrap_or(u16::MAX),
                    verdict: said(verdict),
                    reason: match (verdict, judgement.reason) {
                        (gate::Verdict::Pass, _) => 0,
                        (_, Reason::Sensor) => SENSOR,
                        (_, Reason::Shift) => 2,
                        (_, Reason::Doubt) => 3,
                    },
                    score: judgement.score,
                    p_value: judgement.p_value,
                },
            },
        };
        (outcome, Some(features))
    }
}

/// UNKNOWN, without a score.
pub fn unknown(frame: u32, cause: Cause) -> Outcome {
    let verdict = gate::Verdict::Unknown { cause };
    let (class, reason) = (0, if cause.is_fault() { FAULT } else { SENSOR });
    let (score, p_value) = (f32::NAN, f32::NAN);
    let said = said(verdict);
    Outcome {
        verdict,
        judged: Judged { frame, time_us: 0, class, verdict: said, reason, score, p_value },
    }
}

fn said(verdict: gate::Verdict) -> Verdict {
    match verdict {
        gate::Verdict::Pass => Verdict::Pass,
        gate::Verdict::Block => Verdict::Block,
        gate::Verdict::Unknown { .. } => Verdict::Unknown,
    }
}

/// Judges a frame of the model's size, and lets the gate and the pin follow.
pub fn judge_frame<B: Board>(
    board: &mut B,
    watch: &mut Watch<'_>,
    (running, arena): (&Running<'_>, &mut [f32]),
    number: u32,
    frame: &[u8],
) -> Judged {
    let started_us = board.now_us();
    let (mut outcome, features) = running.judge(number, frame, arena);
    let now_us = board.now_us();
    outcome.judged.time_us = now_us;
    let parts = features.map_or([&[][..]; 5], |seen| {
        let Features { logits, squared_norms, activation_norms, penultimate, alignments } = seen;
        [logits, squared_norms, activation_norms, penultimate, alignments]
    });
    let took_us = now_us.saturating_sub(started_us);
    watch.judged(now_us, outcome, took_us, parts.into_iter().flatten(), frame);
    board.set_pin(watch.level());
    outcome.judged
}

/// Takes a frame that the network must not see: UNKNOWN.
pub fn judge_unfit<B: Board>(
    board: &mut B,
    watch: &mut Watch<'_>,
    number: u32,
    unfit: Unfit,
) -> Judged {
    let mut outcome = unknown(number, Cause::Sensor);
    outcome.judged.time_us = board.now_us();
    watch.unfit(outcome.judged.time_us, outcome, u32::from(unfit.code()));
    board.set_pin(watch.level());
    outcome.judged
}
