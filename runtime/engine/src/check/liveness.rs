//! Arena use over time: nothing is read before it was written, nothing needed is overwritten.
//!
//! An input's last step may put its result exactly where the input lies, if its kernel can.
//! Tensors are taken in blocks of 64, whose lives fit the stack, so that no memory is needed and
//! the
//! work stays quadratic in blocks times steps.

use gradgate_bundle::Bundle;
use gradgate_bundle::op::OpCode;
use gradgate_bundle::record::StepRecord;
use gradgate_bundle::shape::{Parameters, Role, operands};

use super::{arena_interval, features_interval, first_feature};
use crate::arena::Interval;
use crate::error::{LoadError, OperandFault};

const BLOCK: usize = 64;

/// From the first write to the last use, in steps; results live past the last step.
#[derive(Clone, Copy, Debug, Default)]
struct Life {
    interval: Interval,
    first: usize,
    last: usize,
    written: bool,
}

impl Life {
    fn clashes(&self, other: &Life) -> bool {
        let together = self.first <= other.last && other.first <= self.last;
        self.written && other.written && together && self.interval.overlaps(other.interval)
    }
}

/// Checks all arena tensors, pairwise and against the features.
pub fn check(bundle: &Bundle<'_>) -> Result<(), LoadError> {
    let blocks = bundle.tensors().len().div_ceil(BLOCK);
    for a in 0..blocks {
        let lives = block(bundle, a * BLOCK)?;
        check_features(bundle, a * BLOCK, &lives)?;
        for b in a..blocks {
            let others = if a == b { lives } else { block(bundle, b * BLOCK)? };
            for (i, life) in lives.iter().enumerate() {
                for (j, other) in others.iter().enumerate() {
                    let (first, second) = (a * BLOCK + i, b * BLOCK + j);
                    if first < second && life.clashes(other) {
                        let taken = hands_over(bundle, (first, life), (second, other))
                            || hands_over(bundle, (second, other), (first, life));
                        if !taken {
                            return Err(LoadError::Overlap { first, second });
                        }
                    }
                }
            }
        }
    }
    Ok(())
}

/// Whether one tensor's life ends in the step that writes the other over it, which that step can
/// do in place wherever it reads the first one.
fn hands_over(
    bundle: &Bundle<'_>,
    (giver, from): (usize, &Life),
    (taker, to): (usize, &Life),
) -> bool {
    if from.interval != to.interval || from.last != to.first {
        return false;
    }
    let record = bundle.steps().get(to.first);
    let Some((record, parameters)) = record.and_then(|r| Some((r, Parameters::of(bundle, r)?)))
    else {
        return false;
    };
    let roles = operands(parameters.opcode());
    let mut places = roles.iter().zip(&record.operands).enumerate();
    places.all(|(place, (role, operand))| match usize::from(operand.get()) {
        tensor if tensor == giver => parameters.in_place(place),
        tensor if tensor == taker => role.writes(),
        _ => true,
    })
}

/// Features live from the first step that writes one to the end.
fn check_features(
    bundle: &Bundle<'_>,
    start: usize,
    lives: &[Life; BLOCK],
) -> Result<(), LoadError> {
    let (Some(first), Some(interval)) = (first_feature(bundle), features_interval(bundle)) else {
        return Ok(());
    };
    let features = Life { interval, first, last: usize::MAX, written: true };
    match lives.iter().position(|life| life.clashes(&features)) {
        Some(at) => Err(LoadError::FeatureOverlap { tensor: start + at }),
        None => Ok(()),
    }
}

/// Lives of the tensors from `start` on.
fn block(bundle: &Bundle<'_>, start: usize) -> Result<[Life; BLOCK], LoadError> {
    let mut lives = [Life::default(); BLOCK];
    let mut in_arena = [false; BLOCK];
    let tensors = bundle.tensors().iter().skip(start);
    for ((life, in_arena), tensor) in lives.iter_mut().zip(&mut in_arena).zip(tensors) {
        if let Some(interval) = arena_interval(tensor) {
            (life.interval, *in_arena) = (interval, true);
        }
    }
    for (step, record) in bundle.steps().iter().enumerate() {
        walk(bundle, step, record, |place, role, full, tensor| {
            let Some(at) = tensor.checked_sub(start).filter(|&at| at < BLOCK && in_arena[at])
            else {
                return Ok(());
            };
            let life = &mut lives[at];
            let completes = role == Role::Scratch || (role == Role::Write && full);
            if !life.written && !completes {
                let fault = OperandFault::Unwritten;
                return Err(LoadError::Operand { step, place, fault });
            }
            if !life.written {
                (life.first, life.written) = (step, true);
            }
            life.last = step;
            Ok(())
        })?;
    }
    keep_results(bundle, start, &mut lives)?;
    Ok(lives)
}

/// Calls `f(place, role, whether the step writes in full, tensor)` for the step's operands.
fn walk(
    bundle: &Bundle<'_>,
    step: usize,
    record: &StepRecord,
    mut f: impl FnMut(usize, Role, bool, usize) -> Result<(), LoadError>,
) -> Result<(), LoadError> {
    let known = OpCode::from_number(record.opcode.get()).zip(Parameters::of(bundle, record));
    let Some((opcode, parameters)) = known else {
        let fault = OperandFault::Missing;
        return Err(LoadError::Operand { step, place: 0, fault });
    };
    let full = parameters.writes_in_full();
    for (place, (role, operand)) in operands(opcode).iter().zip(&record.operands).enumerate() {
        // NONE is past every tensor: a bundle holds at most 65,535 of them.
        if operand.get() != gradgate_bundle::op::NONE {
            f(place, *role, full, usize::from(operand.get()))?;
        }
    }
    Ok(())
}

/// Logits and penultimate live past the last step and must have been written.
fn keep_results(
    bundle: &Bundle<'_>,
    start: usize,
    lives: &mut [Life; BLOCK],
) -> Result<(), LoadError> {
    let layout = &bundle.header().layout;
    let results = [
        (layout.logits, "the logits are never written"),
        (layout.penultimate, "the penultimate vector is never written"),
    ];
    for (tensor, what) in results {
        let at = usize::from(tensor).checked_sub(start);
        let Some(life) = at.and_then(|at| lives.get_mut(at)) else {
            continue;
        };
        if tensor == gradgate_bundle::op::NONE {
            continue;
        }
        if !life.written {
            return Err(LoadError::Layout(what));
        }
        life.last = usize::MAX;
    }
    Ok(())
}
