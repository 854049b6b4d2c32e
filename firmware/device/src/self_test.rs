//! The self-test that decides whether a bundle may run: its own frame through this device's
//! engine, and every bit that the host recorded.
//!
//! The bytes come from flash through the digests ([`SlotBundle::load`]), so a wrong bit here means
//! other arithmetic than the host's: another float mode, a compiler that fuses, memory that fails.
//! Such a device gives other scores than those the threshold was fitted on, and no bundle runs.
//!
//! A bundle without a self-test is refused: only the recorded bits tie the promise of its evidence
//! to this device's arithmetic, and a signer who left them out would be the only one to vouch for
//! it. The host's own tools and emulators may run such a bundle; a device does not.

use gradgate_bundle::Bundle;
use gradgate_bundle::detector::Fault;
use gradgate_bundle::error::ParseError;
use gradgate_engine::{Engine, Features, Frame, LoadError, RunError};

use crate::flash::Flash;
use crate::verify::{Refusal, SelfTest, SlotBundle};

/// Why a bundle failed its self-test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SelfTestFault {
    /// It could not be copied into the memory given, or the copy is not the bundle.
    Load(Refusal),
    /// Its records are wrong, or the memory given begins at no multiple of 16 bytes.
    Parse(ParseError),
    /// The engine refuses its plan.
    Engine(LoadError),
    /// It has no self-test.
    Absent,
    /// The arena given is shorter than this many elements, or the frame of another length.
    Run(RunError),
    /// Its own frame gave a value that is not finite.
    Judge(Fault),
    /// It yields another number of values than were recorded.
    Length {
        /// How many were recorded.
        recorded: usize,
    },
    /// Another bit; `index` counts logits, squared norms, activation norms, alignments, the score.
    Bits {
        /// The first value that differs.
        index: usize,
    },
}

/// Runs self-tests in given memory; what was in it is overwritten.
#[derive(Debug)]
pub struct EngineTest<'m> {
    bundle: &'m mut [u8],
    arena: &'m mut [f32],
    fault: Option<SelfTestFault>,
}

impl<'m> EngineTest<'m> {
    /// `bundle`: as long as the longest bundle, beginning at a multiple of 16 bytes; `arena`: as
    /// many elements as the largest plan wants.
    pub fn new(bundle: &'m mut [u8], arena: &'m mut [f32]) -> Self {
        Self { bundle, arena, fault: None }
    }

    /// Why the last bundle failed; `None` after one that passed.
    pub fn fault(&self) -> Option<SelfTestFault> {
        self.fault
    }

    fn run<F: Flash>(&mut self, slot: &mut SlotBundle<'_, F>) -> Result<(), SelfTestFault> {
        let verified = slot.load(self.bundle).map_err(SelfTestFault::Load)?;
        let bundle = Bundle::from_verified(verified).map_err(SelfTestFault::Parse)?;
        let engine = Engine::load(bundle).map_err(SelfTestFault::Engine)?;
        let (frame, recorded) = engine.bundle().self_test().ok_or(SelfTestFault::Absent)?;
        let (features, judgement) =
            engine.judge(Frame::U8(frame), self.arena).map_err(SelfTestFault::Run)?;
        let judgement = judgement.transpose().map_err(SelfTestFault::Judge)?;
        compare(&features, judgement.map(|seen| seen.score), recorded)
    }
}

impl SelfTest for EngineTest<'_> {
    fn passes<F: Flash>(&mut self, bundle: &mut SlotBundle<'_, F>) -> bool {
        self.fault = self.run(bundle).err();
        self.fault.is_none()
    }
}

fn compare(
    features: &Features<'_>,
    score: Option<f32>,
    recorded: &[f32],
) -> Result<(), SelfTestFault> {
    let other_length = SelfTestFault::Length { recorded: recorded.len() };
    let parts =
        [features.logits, features.squared_norms, features.activation_norms, features.alignments];
    let mut seen = parts.into_iter().flatten().copied().chain(score);
    for (index, recorded) in recorded.iter().enumerate() {
        let seen = seen.next().ok_or(other_length)?;
        if seen.to_bits() != recorded.to_bits() {
            return Err(SelfTestFault::Bits { index });
        }
    }
    if seen.next().is_some() { Err(other_length) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn features() -> Features<'static> {
        Features {
            logits: &[1.0, 0.0],
            squared_norms: &[3.0],
            activation_norms: &[4.0],
            penultimate: &[9.0],
            alignments: &[-0.5],
        }
    }

    #[test]
    fn every_bit_and_the_number_of_values_count() {
        let right = [1.0, 0.0, 3.0, 4.0, -0.5, 2.5];
        let length = |recorded| Err(SelfTestFault::Length { recorded });
        let compare = |recorded: &[f32]| compare(&features(), Some(2.5), recorded);
        assert_eq!(compare(&right), Ok(()));
        for index in 0..right.len() {
            let mut wrong = right;
            wrong[index] = f32::from_bits(right[index].to_bits() ^ 1);
            assert_eq!(compare(&wrong), Err(SelfTestFault::Bits { index }));
        }
        let mut negative_zero = right;
        negative_zero[1] = -0.0;
        assert_eq!(compare(&negative_zero), Err(SelfTestFault::Bits { index: 1 }));
        assert_eq!(compare(&right[..5]), length(5));
        assert_eq!(compare(&[]), length(0));
        let mut long = right.to_vec();
        long.push(0.0);
        assert_eq!(compare(&long), length(7));
    }

    #[test]
    fn without_a_detector_there_is_no_score() {
        let recorded = [1.0, 0.0, 3.0, 4.0, -0.5, 2.5];
        assert_eq!(compare(&features(), None, &recorded[..5]), Ok(()));
        assert_eq!(
            compare(&features(), None, &recorded),
            Err(SelfTestFault::Length { recorded: 6 })
        );
    }
}
