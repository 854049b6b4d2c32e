//! An independent look at a plan: replays the steps with an owner per arena element.
//!
//! Shares no code with the planner. A read must find the elements that the tensor's own steps
//! wrote,
//! untouched by any other tensor.

use gradgate_bundle::shape::operands;

use super::{Plan, PlanError};
use crate::schedule::{Schedule, Storage, TensorId};

/// Replays `schedule` over `plan`.
///
/// # Errors
/// The first read that finds another tensor's elements, or elements that nothing wrote.
pub fn check(schedule: &Schedule, plan: &Plan) -> Result<(), PlanError> {
    let mut owners: Vec<Option<usize>> = vec![None; plan.arena_elements];
    let features = plan.features_offset..plan.features_offset + schedule.features;
    let span = |id: usize| plan.offsets[id].map(|at| at..at + schedule.tensors[id].elements);
    let name = |id: usize| schedule.tensors[id].name.clone();
    let read = |owners: &[Option<usize>], id: usize| {
        let range = span(id).ok_or_else(|| PlanError::ReadBeforeWrite(name(id)))?;
        let slots = owners.get(range).ok_or(PlanError::TooLarge)?;
        match slots.iter().find(|&&owner| owner != Some(id)) {
            None => Ok(()),
            Some(None) => Err(PlanError::ReadBeforeWrite(name(id))),
            Some(&Some(other)) => Err(PlanError::Overlap(name(id), name(other))),
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
            slots.iter_mut().for_each(|owner| *owner = Some(id));
        }
        // An output may not destroy an input of the same step: no kernel works in place yet.
        for (operand, role) in step.operands.iter().zip(roles) {
            if let (Some(id), false) = (arena(operand), role.writes()) {
                read(&owners, id)?;
            }
        }
    }
    [Some(schedule.logits), schedule.penultimate]
        .into_iter()
        .flatten()
        .try_for_each(|id| read(&owners, id.0))
}
