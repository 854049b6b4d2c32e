//! Places every arena tensor of a schedule, and changes the schedule where that saves memory.
//!
//! 1. `search` decides what the backward pass computes again rather than keeps, and which gates it
//!    keeps as bit masks; `program` is the schedule with such choices, `order` puts it in order.
//! 2. A tensor lives from the step that first writes it to the last step that touches it
//!    (`lifetimes`); a result may take the interval of an operand that dies with the step
//!    (`in_place`). The results (features, logits, penultimate vector) live to the end and lie at
//!    the front.
//! 3. `offsets` places what lives at the same time apart: best fit, from several orders.
//! 4. `check` looks at the outcome independently; `draw` shows it.
//!
//! Order and place change, a step's own arithmetic never: results keep every bit.

#[cfg(test)]
pub(crate) mod cases;
pub mod check;
pub mod draw;
mod emit;
mod in_place;
mod lifetimes;
mod numbers;
mod offsets;
mod order;
mod program;
mod search;
mod successors;

use std::fmt;
use std::ops::Range;

use gradgate_bundle::shape::operands;

use self::lifetimes::Group;
use self::program::{Choices, Problem, Program};
use self::search::{Arranged, Search};
use crate::schedule::{Schedule, Storage, TensorId};

/// Arena offsets are multiples of this many f32 (16 bytes, one vector register).
pub const ALIGN_ELEMENTS: usize = 4;

/// Limits tried under a budget: what placement wastes is taken off the next one.
const LIMITS_MAX: usize = 8;

/// Why a schedule has no plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PlanError {
    /// A tensor is read before any step writes it: a defect in `lower`.
    ReadBeforeWrite(String),
    /// Two tensors that live together overlap: a defect here.
    Overlap(String, String),
    /// The arena is longer than a bundle can state.
    TooLarge,
    /// No arena within the budget was found.
    Budget {
        /// What may be used, in bytes.
        budget: usize,
        /// The smallest arena found, in bytes.
        smallest: usize,
        /// The arena that costs no further multiply-add, in bytes.
        free: usize,
    },
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
            Self::Budget { budget, smallest, free } => write!(
                f,
                "no arena within {budget} B: the smallest found takes {smallest} B, with layers \
                 computed again, and {free} B without; allow more, select fewer parameters with \
                 --taps, or use a smaller image or model"
            ),
        }
    }
}

impl std::error::Error for PlanError {}

/// What a plan may do.
#[derive(Clone, Copy, Debug, Default)]
pub struct PlanOptions {
    /// Elements that the detector needs after the last step.
    pub detector_scratch: usize,
    /// Every tensor keeps a place of its own, so that all values can be read after a run; the
    /// schedule stays as it is.
    pub keep_all: bool,
    /// Bytes that the arena may take; layers are computed again to stay within them.
    pub budget: Option<usize>,
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

/// A tensor that the backward pass computes again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Again {
    /// Its name.
    pub name: String,
    /// Its length in bytes.
    pub bytes: usize,
    /// Multiply-adds of computing it.
    pub macs: u64,
}

/// A schedule with its plan.
#[derive(Clone, Debug)]
pub struct Planned {
    /// The steps in their final order, recomputation and masks among them.
    pub schedule: Schedule,
    /// Their places.
    pub plan: Plan,
    /// What is computed again.
    pub again: Vec<Again>,
}

impl Planned {
    /// Multiply-adds of what is computed again.
    pub fn extra_macs(&self) -> u64 {
        self.again.iter().map(|again| again.macs).sum()
    }
}

/// A plan for `schedule`, checked. Deterministic.
///
/// # Errors
/// See [`PlanError`].
pub fn plan(schedule: Schedule, options: PlanOptions) -> Result<Planned, PlanError> {
    let front = Front::new(&schedule);
    let problem = Problem::new(&schedule);
    refuse_unwritten(&schedule)?;
    let (program, placed) = match options.keep_all {
        true => kept_apart(&problem),
        false => search(&problem, &front, options)?,
    };
    let again = emit::again(&schedule, &problem, &program);
    let mut offsets = vec![None; program.elements.len()];
    let mut lifetimes = vec![None; program.elements.len()];
    let lives = lifetimes::lifetimes(&problem, &program);
    for (group, offset) in placed.groups.iter().zip(&placed.offsets) {
        for &id in &group.tensors {
            offsets[id] = Some(front.end + offset);
            lifetimes[id] =
                if options.keep_all { Some(group.life.clone()) } else { lives[id].clone() };
        }
    }
    for &(TensorId(id), offset) in &front.results {
        if lives[id].is_some() {
            (offsets[id], lifetimes[id]) = (Some(offset), lives[id].clone());
        }
    }
    let arena_elements = front.arena(placed.end, options);
    if arena_elements > (u32::MAX / 4) as usize {
        return Err(PlanError::TooLarge);
    }
    let plan =
        Plan { offsets, lifetimes, arena_elements, features_offset: 0, scratch_offset: front.end };
    let schedule = emit::schedule(schedule, &program);
    check::check(&schedule, &plan)?;
    Ok(Planned { schedule, plan, again })
}

/// What lies before everything else: features, logits, penultimate vector.
struct Front {
    results: Vec<(TensorId, usize)>,
    end: usize,
}

impl Front {
    fn new(schedule: &Schedule) -> Self {
        let mut front = Self { results: Vec::new(), end: round_up(schedule.features) };
        for id in results(schedule) {
            if front.results.iter().all(|(known, _)| *known != id) {
                front.results.push((id, front.end));
                front.end += round_up(schedule.tensors[id.0].elements);
            }
        }
        front
    }

    fn arena(&self, end: usize, options: PlanOptions) -> usize {
        self.end + end.max(round_up(options.detector_scratch))
    }
}

/// Groups with their offsets behind the front, and the end of the last.
struct Placed {
    groups: Vec<Group>,
    offsets: Vec<usize>,
    end: usize,
}

impl Placed {
    fn of(problem: &Problem, arranged: &Arranged) -> Self {
        let is_result = |group: &Group| arranged.program.results[group.tensors[0]];
        let mut groups = lifetimes::groups(problem, &arranged.program);
        groups.retain(|group| !is_result(group));
        let (offsets, end) = offsets::place(&groups, arranged.peak());
        Self { groups, offsets, end }
    }
}

/// Every tensor at a place of its own.
fn kept_apart(problem: &Problem) -> (Program, Placed) {
    let program = Program::new(problem, &Choices::none(problem));
    let lives = lifetimes::lifetimes(problem, &program);
    let life = 0..program.calls.len() + 1;
    let touched = (0..lives.len()).filter(|&id| lives[id].is_some() && !program.results[id]);
    let groups: Vec<Group> = touched
        .map(|id| Group { elements: program.room(id), life: life.clone(), tensors: vec![id] })
        .collect();
    let mut end = 0;
    let next = |group: &Group| {
        end += group.elements;
        end - group.elements
    };
    let offsets = groups.iter().map(next).collect();
    (program, Placed { groups, offsets, end })
}

/// The lowest arena without further multiply-adds, or one within the budget.
fn search(
    problem: &Problem,
    front: &Front,
    options: PlanOptions,
) -> Result<(Program, Placed), PlanError> {
    let mut search = Search::new(problem);
    let free = search.free();
    let placed = Placed::of(problem, &free);
    let Some(budget) = options.budget else { return Ok((free.program, placed)) };
    let bytes = |placed: &Placed| 4 * front.arena(placed.end, options);
    if bytes(&placed) <= budget {
        return Ok((free.program, placed));
    }
    let free_bytes = bytes(&placed);
    let mut smallest = free_bytes;
    let mut limit = (budget / 4).saturating_sub(front.end);
    for _ in 0..LIMITS_MAX {
        let found = search.within(limit, free.clone());
        let placed = Placed::of(problem, &found);
        if bytes(&placed) <= budget {
            return Ok((found.program, placed));
        }
        smallest = smallest.min(bytes(&placed));
        let waste = placed.end.saturating_sub(found.peak());
        if found.peak() > limit || waste == 0 {
            break;
        }
        limit = limit.saturating_sub(waste);
    }
    Err(PlanError::Budget { budget, smallest, free: free_bytes })
}

/// Refuses a schedule that reads what no earlier step wrote.
fn refuse_unwritten(schedule: &Schedule) -> Result<(), PlanError> {
    let mut written = vec![false; schedule.tensors.len()];
    for step in &schedule.steps {
        for (operand, role) in step.operands.iter().zip(operands(step.opcode)) {
            let Some(TensorId(id)) = *operand else { continue };
            let tensor = &schedule.tensors[id];
            if !role.writes() && !written[id] && tensor.storage == Storage::Arena {
                return Err(PlanError::ReadBeforeWrite(tensor.name.clone()));
            }
            written[id] |= role.writes();
        }
    }
    Ok(())
}

fn round_up(elements: usize) -> usize {
    elements.next_multiple_of(ALIGN_ELEMENTS)
}

fn results(schedule: &Schedule) -> impl Iterator<Item = TensorId> {
    [Some(schedule.logits), schedule.penultimate].into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::check::Rng;

    fn sum(schedule: &Schedule) -> usize {
        schedule.tensors.iter().map(|tensor| round_up(tensor.elements)).sum()
    }

    fn planned(schedule: &Schedule, options: PlanOptions) -> Planned {
        plan(schedule.clone(), options).unwrap_or_else(|error| panic!("{error}"))
    }

    /// `check` runs inside: intervals never overlap.
    #[test]
    fn random_schedules_have_plans_under_any_budget_that_can_be_met() {
        let mut rng = Rng(2);
        println!("seed 2");
        let (mut met, mut refused) = (0, 0);
        for number in 0..300 {
            let schedule = cases::random(&mut rng);
            let loose =
                planned(&schedule, PlanOptions { keep_all: true, ..PlanOptions::default() });
            let tight = planned(&schedule, PlanOptions::default());
            assert_eq!(loose.plan.arena_elements, round_up(schedule.features) + sum(&schedule));
            assert!(tight.plan.arena_elements <= loose.plan.arena_elements, "case {number}");
            assert_eq!(tight.extra_macs(), 0, "case {number}");
            let budget = tight.plan.arena_bytes() * rng.range(50, 99) / 100;
            let options = PlanOptions { budget: Some(budget), ..PlanOptions::default() };
            match plan(schedule.clone(), options) {
                Ok(within) => {
                    assert!(within.plan.arena_bytes() <= budget, "case {number}");
                    let macs = schedule.macs() + within.extra_macs();
                    assert_eq!(within.schedule.macs(), macs, "case {number}");
                    met += 1;
                }
                Err(PlanError::Budget { smallest, free, .. }) => {
                    assert_eq!(free, tight.plan.arena_bytes(), "case {number}");
                    assert!(budget < smallest && smallest <= free, "case {number}");
                    refused += 1;
                }
                Err(error) => panic!("case {number}: {error}"),
            }
        }
        println!("{met} budgets met, {refused} refused");
        assert!(met > 30 && refused > 30, "{met} {refused}");
    }

    #[test]
    fn the_detector_works_where_no_result_lies() {
        let schedule = cases::random(&mut Rng(3));
        let options = PlanOptions { detector_scratch: 1000, ..PlanOptions::default() };
        let Planned { schedule, plan, .. } = planned(&schedule, options);
        assert!(plan.arena_elements >= plan.scratch_offset + 1000);
        for TensorId(id) in results(&schedule) {
            let end = plan.offsets[id].unwrap() + schedule.tensors[id].elements;
            assert!(end <= plan.scratch_offset);
        }
    }
}
