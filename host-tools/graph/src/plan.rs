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

#[cfg(test)]
mod tests {
    use gradgate_bundle::op::OpCode;

    use super::*;
    use crate::ops::check::Rng;
    use crate::schedule::{ScheduledTensor, Step};

    /// Every step reads one or two earlier tensors and writes a new one; the last is the logits.
    fn random(rng: &mut Rng) -> Schedule {
        let count = rng.range(2, 40);
        let tensor = |rng: &mut Rng| ScheduledTensor {
            name: String::new(),
            elements: rng.range(1, 50),
            storage: Storage::Arena,
        };
        let tensors = (0..count).map(|_| tensor(rng)).collect();
        let step = |id: usize| {
            let (opcode, reads) = match rng.range(0, 1) {
                _ if id == 0 => (OpCode::Preprocess, 0),
                0 => (OpCode::Unary, 1),
                _ => (OpCode::Binary, 2),
            };
            let mut operands: Vec<_> =
                (0..reads).map(|_| Some(TensorId(rng.range(0, id - 1)))).collect();
            operands.push(Some(TensorId(id)));
            Step { name: String::new(), opcode, params: vec![], operands, macs: 0 }
        };
        let steps = (0..count).map(step).collect();
        Schedule {
            tensors,
            steps,
            features: rng.range(0, 9),
            logits: TensorId(count - 1),
            penultimate: (rng.range(0, 1) == 1).then(|| TensorId(rng.range(0, count - 1))),
            input: [1, 1, 1],
            values: vec![],
        }
    }

    /// Elements that live during the fullest step, and of all tensors.
    fn bounds(schedule: &Schedule, plan: &Plan) -> (usize, usize) {
        let size = |id: usize| schedule.tensors[id].elements;
        let lives =
            |id: usize, step| plan.lifetimes[id].as_ref().is_some_and(|l| l.contains(&step));
        let ids = 0..schedule.tensors.len();
        let live = |step| ids.clone().filter(|&id| lives(id, step)).map(size).sum::<usize>();
        let peak = (0..schedule.steps.len()).map(live).max().unwrap_or(0);
        (peak, ids.map(|id| round_up(size(id))).sum())
    }

    #[test]
    fn random_schedules_have_plans_between_the_peak_and_the_sum() {
        let mut rng = Rng(2);
        println!("seed 2");
        for number in 0..500 {
            let schedule = random(&mut rng);
            let plan_of = |keep_all| {
                let options = PlanOptions { keep_all, detector_scratch: 0 };
                plan(&schedule, options).unwrap_or_else(|e| panic!("case {number}: {e}"))
            };
            let (tight, loose) = (plan_of(false), plan_of(true));
            let (peak, sum) = bounds(&schedule, &tight);
            let features = round_up(schedule.features);
            assert!(tight.arena_elements >= peak + schedule.features, "case {number}");
            assert!(tight.arena_elements <= loose.arena_elements, "case {number}");
            assert_eq!(loose.arena_elements, features + sum, "case {number}");
        }
    }

    #[test]
    fn the_detector_works_where_no_result_lies() {
        let schedule = random(&mut Rng(3));
        let options = PlanOptions { detector_scratch: 1000, keep_all: false };
        let plan = plan(&schedule, options).unwrap();
        assert!(plan.arena_elements >= plan.scratch_offset + 1000);
        for TensorId(id) in results(&schedule) {
            let end = plan.offsets[id].unwrap() + schedule.tensors[id].elements;
            assert!(end <= plan.scratch_offset);
        }
    }
}
