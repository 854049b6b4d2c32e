//! Places every arena tensor of a schedule: lifetimes, then offsets by best fit.
//!
//! 1. A tensor lives from the step that first writes it to the last step that touches it; the
//!    results (features, logits, penultimate vector) live to the end and lie at the front.
//! 2. Tensors are placed from the longest to the shortest, each in the tightest gap among the
//!    placed tensors that live at the same time, else behind them all.
//! 3. `check` looks at the result independently; `draw` shows it.
//!
//! Gradients in place, reordering and recomputation under a RAM budget are not done here.

pub mod check;
pub mod draw;

use std::fmt;
use std::ops::Range;

use gradgate_bundle::shape::operands;

use crate::schedule::{Schedule, Storage, TensorId};

/// Arena offsets are multiples of this many f32 (16 bytes, one vector register).
pub const ALIGN_ELEMENTS: usize = 4;

/// Why a schedule has no plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PlanError {
    /// A tensor is read before any step writes it: a defect in `lower`.
    ReadBeforeWrite(String),
    /// Two tensors that live together overlap: a defect here.
    Overlap(String, String),
    /// The arena is longer than a bundle can state.
    TooLarge,
}

impl fmt::Display for PlanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ReadBeforeWrite(name) => {
                write!(f, "tensor `{name}` is read before it is written")
            }
            Self::Overlap(a, b) => write!(f, "tensors `{a}` and `{b}` overlap while both live"),
            Self::TooLarge => {
                write!(f, "the arena would be larger than 4 GiB; use a smaller model")
            }
        }
    }
}

impl std::error::Error for PlanError {}

/// What a plan may do.
#[derive(Clone, Copy, Debug, Default)]
pub struct PlanOptions {
    /// Elements that the detector needs after the last step.
    pub detector_scratch: usize,
    /// Every tensor keeps a place of its own, so that all values can be read after a run.
    pub keep_all: bool,
}

/// Offsets in f32 elements.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// By tensor; `None` for blobs and tensors that no step touches.
    pub offsets: Vec<Option<usize>>,
    /// Steps during which a tensor lives, by tensor.
    pub lifetimes: Vec<Option<Range<usize>>>,
    /// Length of the arena.
    pub arena_elements: usize,
    /// First feature.
    pub features_offset: usize,
    /// First element that the detector may use when all steps have run.
    pub scratch_offset: usize,
}

impl Plan {
    /// Length of the arena in bytes.
    pub fn arena_bytes(&self) -> usize {
        self.arena_elements * 4
    }
}

/// A plan for `schedule`, checked.
///
/// # Errors
/// See [`PlanError`].
pub fn plan(schedule: &Schedule, options: PlanOptions) -> Result<Plan, PlanError> {
    let lifetimes = lifetimes(schedule, options.keep_all)?;
    let mut offsets = vec![None; schedule.tensors.len()];
    let mut front = round_up(schedule.features);
    for TensorId(id) in results(schedule) {
        if offsets[id].is_none() {
            offsets[id] = Some(front);
            front += round_up(schedule.tensors[id].elements);
        }
    }
    let mut end = front;
    let mut order: Vec<usize> =
        (0..offsets.len()).filter(|&id| offsets[id].is_none() && lifetimes[id].is_some()).collect();
    order.sort_by_key(|&id| (std::cmp::Reverse(schedule.tensors[id].elements), id));
    for id in order {
        let offset = best_fit(schedule, &lifetimes, &offsets, id, front);
        offsets[id] = Some(offset);
        end = end.max(offset + round_up(schedule.tensors[id].elements));
    }
    let arena_elements = end.max(front + round_up(options.detector_scratch));
    if arena_elements > (u32::MAX / 4) as usize {
        return Err(PlanError::TooLarge);
    }
    let plan =
        Plan { offsets, lifetimes, arena_elements, features_offset: 0, scratch_offset: front };
    check::check(schedule, &plan)?;
    Ok(plan)
}

fn round_up(elements: usize) -> usize {
    elements.next_multiple_of(ALIGN_ELEMENTS)
}

fn results(schedule: &Schedule) -> impl Iterator<Item = TensorId> {
    [Some(schedule.logits), schedule.penultimate].into_iter().flatten()
}

fn lifetimes(schedule: &Schedule, keep_all: bool) -> Result<Vec<Option<Range<usize>>>, PlanError> {
    let mut lifetimes: Vec<Option<Range<usize>>> = vec![None; schedule.tensors.len()];
    for (index, step) in schedule.steps.iter().enumerate() {
        for (operand, role) in step.operands.iter().zip(operands(step.opcode)) {
            let Some(TensorId(id)) = *operand else { continue };
            if schedule.tensors[id].storage != Storage::Arena {
                continue;
            }
            match &mut lifetimes[id] {
                Some(lifetime) => lifetime.end = index + 1,
                None if role.writes() => lifetimes[id] = Some(index..index + 1),
                None => return Err(PlanError::ReadBeforeWrite(schedule.tensors[id].name.clone())),
            }
        }
    }
    let end = schedule.steps.len() + 1;
    for TensorId(id) in results(schedule) {
        lifetimes[id].as_mut().into_iter().for_each(|lifetime| lifetime.end = end);
    }
    if keep_all {
        lifetimes.iter_mut().flatten().for_each(|lifetime| *lifetime = 0..end);
    }
    Ok(lifetimes)
}

/// The tightest gap, from `front` on, among the placed tensors that live together with `id`.
fn best_fit(
    schedule: &Schedule,
    lifetimes: &[Option<Range<usize>>],
    offsets: &[Option<usize>],
    id: usize,
    front: usize,
) -> usize {
    let meets = |other: usize| match (&lifetimes[id], &lifetimes[other]) {
        (Some(a), Some(b)) => a.start < b.end && b.start < a.end,
        _ => false,
    };
    let mut taken: Vec<Range<usize>> = (0..offsets.len())
        .filter(|&other| meets(other))
        .filter_map(|other| {
            offsets[other].map(|at| at..at + round_up(schedule.tensors[other].elements))
        })
        .collect();
    taken.sort_by_key(|range| range.start);
    let wanted = round_up(schedule.tensors[id].elements);
    let mut best: Option<Range<usize>> = None;
    let mut end = front;
    for range in taken {
        if range.start >= end + wanted && best.as_ref().is_none_or(|b| range.start - end < b.len())
        {
            best = Some(end..range.start);
        }
        end = end.max(range.end);
    }
    best.map_or(end, |gap| gap.start)
}
