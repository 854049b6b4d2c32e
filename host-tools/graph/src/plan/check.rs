//! An independent look at a plan: replays the steps and keeps who owns which interval of the arena.
//!
//! Shares no code with the planner. A read must find the elements that the tensor's own steps
//! wrote, untouched by any other tensor. A result may take the interval of an operand, exactly and
//! only where the kernel allows it; that operand is gone afterwards.

use std::collections::BTreeMap;
use std::ops::Range;

use gradgate_bundle::shape::{Parameters, operands};

use super::{Plan, PlanError};
use crate::schedule::{Schedule, Step, Storage, TensorId};

/// Disjoint intervals by their start: end, and the tensor that wrote them last.
#[derive(Default)]
struct Owners(BTreeMap<usize, (usize, usize)>);

impl Owners {
    /// Gives an interval to a tensor.
    fn write(&mut self, range: &Range<usize>, id: usize) {
        if range.is_empty() {
            return;
        }
        // Nothing overlaps from before the last interval that begins before the range.
        let from = self.0.range(..range.start).next_back().map_or(range.start, |(&start, _)| start);
        let met: Vec<_> = self.0.range(from..range.end).map(|(&s, &(e, o))| (s, e, o)).collect();
        for (start, end, owner) in met.into_iter().filter(|(_, end, _)| *end > range.start) {
            self.0.remove(&start);
            if start < range.start {
                self.0.insert(start, (range.start, owner));
            }
            if end > range.end {
                self.0.insert(range.end, (end, owner));
            }
        }
        self.0.insert(range.start, (range.end, id));
    }

    /// The first owner in a range other than `id`; `Some(None)` where nobody wrote.
    fn stranger(&self, range: &Range<usize>, id: usize) -> Option<Option<usize>> {
        let mut at = range.start;
        while at < range.end {
            match self.0.range(..=at).next_back() {
                Some((_, &(end, owner))) if end > at => {
                    if owner != id {
                        return Some(Some(owner));
                    }
                    at = end;
                }
                _ => return Some(None),
            }
        }
        None
    }
}

/// A replay under way.
struct Replay<'s> {
    schedule: &'s Schedule,
    plan: &'s Plan,
    owners: Owners,
}

/// Replays `schedule` over `plan`.
///
/// # Errors
/// The first read that finds another tensor's elements, or elements that nothing wrote.
pub fn check(schedule: &Schedule, plan: &Plan) -> Result<(), PlanError> {
    let mut replay = Replay { schedule, plan, owners: Owners::default() };
    schedule.steps.iter().try_for_each(|step| replay.step(step))?;
    [Some(schedule.logits), schedule.penultimate]
        .into_iter()
        .flatten()
        .try_for_each(|id| replay.read(id.0))
}

impl Replay<'_> {
    fn step(&mut self, step: &Step) -> Result<(), PlanError> {
        let roles = operands(step.opcode);
        let arena = |(place, operand): (usize, &Option<TensorId>)| {
            let TensorId(id) = (*operand)?;
            let in_arena = self.schedule.tensors[id].storage == Storage::Arena;
            in_arena.then_some((place, id, roles.get(place)?.writes()))
        };
        let operands: Vec<_> = step.operands.iter().enumerate().filter_map(arena).collect();
        let parameters = Parameters::decode(step.opcode, &step.params);
        let reads = || operands.iter().filter(|(_, _, writes)| !writes);
        reads().try_for_each(|&(_, id, _)| self.read(id))?;
        for &(_, id, _) in operands.iter().filter(|(_, _, writes)| *writes) {
            let range = self.range(id)?;
            if !parameters.is_some_and(|p| p.writes_in_full()) {
                self.read(id)?;
            }
            self.keeps_features(id, &range)?;
            // An operand that the kernel cannot overwrite must survive the step.
            for &(place, other, _) in reads() {
                let taken = self.range(other)?;
                let apart = taken.end <= range.start || range.end <= taken.start;
                let may_take = parameters.is_some_and(|p| p.in_place(place));
                let taken_over = other != id && taken == range && may_take;
                if !apart && !taken_over {
                    return Err(PlanError::Overlap(self.name(other), self.name(id)));
                }
            }
            self.owners.write(&range, id);
        }
        Ok(())
    }

    fn name(&self, id: usize) -> String {
        self.schedule.tensors[id].name.clone()
    }

    /// Where a tensor lies, inside the arena.
    fn range(&self, id: usize) -> Result<Range<usize>, PlanError> {
        let at = self.plan.offsets[id].ok_or_else(|| PlanError::ReadBeforeWrite(self.name(id)))?;
        let range = at..at + self.schedule.tensors[id].elements;
        if range.end > self.plan.arena_elements { Err(PlanError::TooLarge) } else { Ok(range) }
    }

    fn read(&self, id: usize) -> Result<(), PlanError> {
        match self.owners.stranger(&self.range(id)?, id) {
            None => Ok(()),
            Some(None) => Err(PlanError::ReadBeforeWrite(self.name(id))),
            Some(Some(other)) => Err(PlanError::Overlap(self.name(id), self.name(other))),
        }
    }

    fn keeps_features(&self, id: usize, range: &Range<usize>) -> Result<(), PlanError> {
        let first = self.plan.features_offset;
        if range.start < first + self.schedule.features && first < range.end {
            return Err(PlanError::Overlap(self.name(id), "features".into()));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::cases::Builder;
    use crate::plan::{PlanOptions, plan};

    /// `source -> t0; t0 -> t1; t0, t1 -> t2`, the logits, with a feature of t1.
    fn schedule() -> Schedule {
        let mut b = Builder::new();
        let a = b.source(8);
        let x = b.unary(a, 0);
        b.norm(x);
        b.schedule.logits = b.add(a, x);
        b.schedule
    }

    fn found(schedule: &Schedule, change: impl FnOnce(&mut Plan)) -> Result<(), PlanError> {
        let mut planned = plan(schedule.clone(), PlanOptions::default()).unwrap();
        change(&mut planned.plan);
        check(&planned.schedule, &planned.plan)
    }

    fn overlap(a: &str, b: &str) -> Result<(), PlanError> {
        Err(PlanError::Overlap(a.into(), b.into()))
    }

    fn unwritten(name: &str) -> Result<(), PlanError> {
        Err(PlanError::ReadBeforeWrite(name.into()))
    }

    #[test]
    fn planted_overlaps_are_found() {
        let s = schedule();
        assert_eq!(found(&s, |_| ()), Ok(()));
        assert_eq!(found(&s, |p| p.offsets[1] = p.offsets[0]), overlap("t0", "t1"));
        assert_eq!(
            found(&s, |p| p.offsets[1] = p.offsets[0].map(|at| at + 7)),
            overlap("t0", "t1")
        );
        assert_eq!(found(&s, |p| p.offsets[1] = Some(0)), overlap("t1", "features"));
        assert_eq!(found(&s, |p| p.arena_elements -= 1), Err(PlanError::TooLarge));
    }

    #[test]
    fn a_result_takes_a_dying_operand_exactly_or_not_at_all() {
        let s = schedule();
        // An addition may write over either operand; neither is read again.
        assert_eq!(found(&s, |p| p.offsets[2] = p.offsets[1]), Ok(()));
        assert_eq!(found(&s, |p| p.offsets[2] = p.offsets[0]), Ok(()));
        let shifted = |p: &mut Plan| p.offsets[2] = p.offsets[1].map(|at| at + 4);
        assert!(matches!(found(&s, shifted), Err(PlanError::Overlap(..) | PlanError::TooLarge)));
        // A copy may not write over what it reads.
        let mut b = Builder::new();
        let a = b.source(8);
        b.schedule.logits = b.concat(&[a], 8);
        assert_eq!(found(&b.schedule, |p| p.offsets[1] = p.offsets[0]), overlap("t0", "t1"));
    }

    #[test]
    fn reads_before_writes_are_found() {
        let mut early = schedule();
        let good = plan(early.clone(), PlanOptions::default()).unwrap().plan;
        early.steps.swap(1, 2);
        assert_eq!(check(&early, &good), unwritten("t1"));
        assert_eq!(plan(early, PlanOptions::default()).map(|_| ()), unwritten("t1"));
        let mut endless = schedule();
        endless.steps.pop();
        assert_eq!(check(&endless, &good), unwritten("t2"));
        assert_eq!(found(&schedule(), |p| p.offsets[0] = None), unwritten("t0"));
    }

    #[test]
    fn a_copy_that_leaves_a_part_needs_what_was_there() {
        let mut b = Builder::new();
        let a = b.source(4);
        b.schedule.logits = b.concat(&[a, a], 8);
        assert_eq!(found(&b.schedule, |_| ()), Ok(()));
        b.schedule.steps.remove(1);
        let keep_all = PlanOptions { keep_all: true, ..PlanOptions::default() };
        assert_eq!(plan(b.schedule, keep_all).map(|_| ()), unwritten("t1"));
    }

    #[test]
    fn results_outlive_every_step() {
        let mut s = schedule();
        s.penultimate = Some(TensorId(0));
        let mut planned = plan(s, PlanOptions::default()).unwrap();
        assert_eq!(check(&planned.schedule, &planned.plan), Ok(()));
        planned.plan.offsets[0] = planned.plan.offsets[2];
        assert!(check(&planned.schedule, &planned.plan).is_err());
    }

    /// Owners by element, as plain as can be, against the intervals.
    #[test]
    fn intervals_keep_what_an_owner_per_element_keeps() {
        let mut rng = crate::ops::check::Rng(4);
        println!("seed 4");
        for _ in 0..200 {
            let (mut owners, mut plain) = (Owners::default(), [None; 40]);
            for id in 0..20 {
                let start = rng.range(0, 39);
                let range = start..start + rng.range(0, 40 - start);
                owners.write(&range, id);
                plain[range].fill(Some(id));
                let start = rng.range(0, 39);
                let range = start..start + rng.range(0, 40 - start);
                let found = owners.stranger(&range, id);
                let expected = plain[range].iter().find(|&&owner| owner != Some(id)).copied();
                assert_eq!(found, expected);
            }
        }
    }
}
