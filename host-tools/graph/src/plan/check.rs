//! An independent look at a plan: replays the steps with an owner per arena element.
//!
//! Shares no code with the planner. A read must find the elements that the tensor's own steps
//! wrote,
//! untouched by any other tensor.

use gradgate_bundle::shape::{Parameters, operands};

use super::{Plan, PlanError};
use crate::schedule::{Schedule, Storage, TensorId};

/// Owner of an element that nothing wrote. Owners are tensor numbers in 32 bits: a large network's
/// arena has tens of millions of elements.
const NOBODY: u32 = u32::MAX;

/// Replays `schedule` over `plan`.
///
/// # Errors
/// The first read that finds another tensor's elements, or elements that nothing wrote.
pub fn check(schedule: &Schedule, plan: &Plan) -> Result<(), PlanError> {
    let mut owners = vec![NOBODY; plan.arena_elements];
    let features = plan.features_offset..plan.features_offset + schedule.features;
    let span = |id: usize| plan.offsets[id].map(|at| at..at + schedule.tensors[id].elements);
    let name = |id: usize| schedule.tensors[id].name.clone();
    let read = |owners: &[u32], id: usize| {
        let range = span(id).ok_or_else(|| PlanError::ReadBeforeWrite(name(id)))?;
        let slots = owners.get(range).ok_or(PlanError::TooLarge)?;
        match slots.iter().find(|&&owner| owner != id as u32) {
            None => Ok(()),
            Some(&NOBODY) => Err(PlanError::ReadBeforeWrite(name(id))),
            Some(&other) => Err(PlanError::Overlap(name(id), name(other as usize))),
        }
    };
    for step in &schedule.steps {
        let arena = |operand: &Option<TensorId>| {
            operand
                .map(|TensorId(id)| id)
                .filter(|&id| schedule.tensors[id].storage == Storage::Arena)
        };
        let roles = operands(step.opcode);
        for (operand, role) in step.operands.iter().zip(roles) {
            if let (Some(id), false) = (arena(operand), role.writes()) {
                read(&owners, id)?;
            }
        }
        for (operand, role) in step.operands.iter().zip(roles) {
            let (Some(id), true) = (arena(operand), role.writes()) else { continue };
            let range = span(id).ok_or_else(|| PlanError::ReadBeforeWrite(name(id)))?;
            if range.start < features.end && features.start < range.end {
                return Err(PlanError::Overlap(name(id), "features".into()));
            }
            let slots = owners.get_mut(range).ok_or(PlanError::TooLarge)?;
            slots.fill(id as u32);
        }
        // An output destroys no input of its step, but for one that its kernel overwrites in place.
        let parameters = Parameters::decode(step.opcode, &step.params);
        let output = step.operands.iter().zip(roles).find(|(_, role)| role.writes());
        let output = output.and_then(|(operand, _)| arena(operand)).and_then(span);
        for (place, (operand, role)) in step.operands.iter().zip(roles).enumerate() {
            let (Some(id), false) = (arena(operand), role.writes()) else { continue };
            let taken = parameters.is_some_and(|p| p.in_place(place)) && span(id) == output;
            if !taken {
                read(&owners, id)?;
            }
        }
    }
    [Some(schedule.logits), schedule.penultimate]
        .into_iter()
        .flatten()
        .try_for_each(|id| read(&owners, id.0))
}

#[cfg(test)]
mod tests {
    use gradgate_bundle::op::{BinaryParams, OpCode, UnaryParams};
    use zerocopy::{FromZeros, IntoBytes};

    use super::*;
    use crate::plan::{PlanOptions, plan};
    use crate::schedule::{ScheduledTensor, Step};

    /// `preprocess -> a; a -> b; a, b -> logits`, with a feature of b.
    fn schedule() -> Schedule {
        let tensor = |name: &str| ScheduledTensor {
            name: name.to_owned(),
            elements: 8,
            storage: Storage::Arena,
        };
        let step = |opcode, operands: &[usize]| Step {
            name: "step".into(),
            opcode,
            params: vec![],
            operands: operands.iter().map(|&id| Some(TensorId(id))).collect(),
            macs: 0,
        };
        Schedule {
            tensors: ["a", "b", "logits"].map(tensor).to_vec(),
            steps: vec![
                step(OpCode::Preprocess, &[0]),
                step(OpCode::Unary, &[0, 1]),
                step(OpCode::SquaredNorm, &[1]),
                step(OpCode::Binary, &[0, 1, 2]),
            ],
            features: 1,
            logits: TensorId(2),
            penultimate: None,
            input: [1, 1, 8],
            values: vec![],
        }
    }

    fn found(schedule: &Schedule, change: impl FnOnce(&mut Plan)) -> Result<(), PlanError> {
        let mut plan = plan(schedule, PlanOptions::default()).unwrap();
        change(&mut plan);
        check(schedule, &plan)
    }

    fn overlap(a: &str, b: &str) -> Result<(), PlanError> {
        Err(PlanError::Overlap(a.into(), b.into()))
    }

    #[test]
    fn planted_overlaps_are_found() {
        let s = schedule();
        assert_eq!(found(&s, |_| ()), Ok(()));
        assert_eq!(found(&s, |p| p.offsets[1] = p.offsets[0]), overlap("a", "b"));
        assert_eq!(found(&s, |p| p.offsets[1] = p.offsets[0].map(|at| at + 7)), overlap("a", "b"));
        assert_eq!(found(&s, |p| p.offsets[2] = p.offsets[1]), overlap("b", "logits"));
        assert_eq!(found(&s, |p| p.offsets[1] = Some(0)), overlap("b", "features"));
        assert_eq!(found(&s, |p| p.arena_elements -= 1), Err(PlanError::TooLarge));
    }

    #[test]
    fn a_step_may_overwrite_what_dies_in_it_index_by_index() {
        let mut s = schedule();
        let mut unary = UnaryParams::new_zeroed();
        unary.elements = 8.into();
        s.steps[1].params = unary.as_bytes().to_vec();
        let mut binary = BinaryParams::new_zeroed();
        binary.dims = [1, 1, 1, 1, 1, 8].map(Into::into);
        (binary.a_strides, binary.b_strides) = ([1.into(); 6], [1.into(); 6]);
        s.steps[3].params = binary.as_bytes().to_vec();
        // Still needed behind the step.
        assert_eq!(found(&s, |p| p.offsets[1] = p.offsets[0]), overlap("a", "b"));
        assert_eq!(found(&s, |p| p.offsets[2] = p.offsets[1]), Ok(()));
        assert_eq!(found(&s, |p| p.offsets[2] = p.offsets[0]), Ok(()));
        let shifted = |p: &mut Plan| {
            p.offsets[2] = p.offsets[1].map(|at| at + 1);
            p.arena_elements += 8;
        };
        assert_eq!(found(&s, shifted), overlap("b", "logits"));
        binary.b_strides[5] = 0.into();
        s.steps[3].params = binary.as_bytes().to_vec();
        assert_eq!(found(&s, |p| p.offsets[2] = p.offsets[1]), overlap("b", "logits"));
    }

    #[test]
    fn reads_before_writes_are_found() {
        let unwritten = |name: &str| Err(PlanError::ReadBeforeWrite(name.into()));
        let mut early = schedule();
        let good = plan(&early, PlanOptions::default()).unwrap();
        early.steps.swap(1, 2);
        assert_eq!(check(&early, &good), unwritten("b"));
        assert_eq!(plan(&early, PlanOptions::default()).map(|_| ()), unwritten("b"));
        let mut endless = schedule();
        endless.steps.pop();
        assert_eq!(check(&endless, &good), unwritten("logits"));
        assert_eq!(found(&schedule(), |p| p.offsets[0] = None), unwritten("a"));
    }

    #[test]
    fn results_outlive_every_step() {
        let mut s = schedule();
        s.penultimate = Some(TensorId(0));
        let mut plan = plan(&s, PlanOptions::default()).unwrap();
        assert_eq!(check(&s, &plan), Ok(()));
        plan.offsets[0] = plan.offsets[2];
        assert!(check(&s, &plan).is_err());
    }
}
