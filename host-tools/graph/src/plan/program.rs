//! Steps and tensors as the planner moves them: numbers alone, cheap to rearrange.
//!
//! A [`Problem`] holds what stays true of a schedule; a [`Program`] is one way to run it: the same
//! steps, with some of them run again for the backward pass and some gates kept as bit masks. No
//! step's own arithmetic changes, so no result changes a bit.

use gradgate_bundle::op::{Activation, MASK_BITS, NONE};
use gradgate_bundle::record::OPERANDS;
use gradgate_bundle::shape::{Parameters, Role, in_place, operands};

use super::round_up;
use crate::schedule::{Schedule, Step, Storage, TensorId};

/// An operand that is absent or a constant.
pub(super) const ABSENT: u32 = u32::MAX;

/// What the planner knows of a step.
#[derive(Clone, Debug)]
pub(super) struct Facts {
    pub roles: &'static [Role],
    /// Operands whose interval the result may take.
    pub in_place: Vec<usize>,
    /// Whether it depends on the logits.
    pub backward: bool,
    /// Writes nothing but its result, so that it may run twice.
    pub repeatable: bool,
    /// Features that it writes.
    pub features: Vec<u16>,
    /// The feature that it reads.
    pub feature_read: Option<u16>,
    /// Operand that only decides where a ReLU passes its gradient: a bit an element would do.
    pub gate: Option<usize>,
    /// Multiply-adds, and elements that it touches.
    pub cost: Cost,
}

/// Price of running steps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Cost {
    pub macs: u64,
    pub elements: u64,
}

impl Cost {
    pub fn plus(self, other: Cost) -> Cost {
        Cost { macs: self.macs + other.macs, elements: self.elements + other.elements }
    }

    /// One number to compare by: moving an element costs about as much as a multiply-add.
    pub fn work(self) -> u64 {
        self.macs + self.elements
    }
}

/// A schedule in numbers.
#[derive(Debug)]
pub(super) struct Problem {
    pub steps: Vec<Facts>,
    /// How many features the steps write.
    pub features: usize,
    /// Arena operands of each step by place.
    pub operands: Vec<[u32; OPERANDS]>,
    /// Elements of each tensor; 0 for constants.
    pub elements: Vec<usize>,
    /// Steps that write each tensor.
    pub writers: Vec<Vec<u32>>,
    /// Tensors that live past the last step.
    pub results: Vec<bool>,
    /// Tensors that the backward pass reads.
    pub read: Vec<bool>,
    /// Tensors that can be computed again: forward, by steps that write nothing else.
    pub repeatable: Vec<bool>,
}

impl Problem {
    pub fn new(schedule: &Schedule) -> Self {
        let count = schedule.tensors.len();
        let mut results = vec![false; count];
        super::results(schedule).for_each(|TensorId(id)| results[id] = true);
        let arena = |id: usize| schedule.tensors[id].storage == Storage::Arena;
        let elements = |id: usize| match arena(id) {
            true => schedule.tensors[id].elements,
            false => 0,
        };
        let places = |step: &Step| {
            let mut places = [ABSENT; OPERANDS];
            for (place, operand) in places.iter_mut().zip(&step.operands) {
                *place = operand.filter(|id| arena(id.0)).map_or(ABSENT, |id| id.0 as u32);
            }
            places
        };
        let mut problem = Self {
            steps: schedule.steps.iter().map(|step| facts(schedule, step)).collect(),
            features: schedule.features,
            operands: schedule.steps.iter().map(places).collect(),
            elements: (0..count).map(elements).collect(),
            writers: vec![Vec::new(); count],
            results,
            read: vec![false; count],
            repeatable: vec![false; count],
        };
        problem.link(schedule.logits);
        problem.repeatable = (0..count).map(|id| problem.is_repeatable(id)).collect();
        problem
    }

    /// Finds writers, what depends on the logits, and what such steps read.
    fn link(&mut self, logits: TensorId) {
        let mut backward = vec![false; self.elements.len()];
        for (index, facts) in self.steps.iter_mut().enumerate() {
            let of = |writes: bool| {
                let operands = self.operands[index].iter().zip(facts.roles);
                operands.filter(move |(id, role)| **id != ABSENT && role.writes() == writes)
            };
            facts.backward =
                of(false).any(|(&id, _)| backward[id as usize] || id as usize == logits.0);
            if facts.backward {
                of(false).for_each(|(&id, _)| self.read[id as usize] = true);
            }
            for (&id, _) in of(true) {
                backward[id as usize] |= facts.backward;
                self.writers[id as usize].push(index as u32);
            }
        }
    }

    fn is_repeatable(&self, tensor: usize) -> bool {
        let step = |&writer: &u32| {
            let facts = &self.steps[writer as usize];
            facts.repeatable && !facts.backward
        };
        !self.results[tensor]
            && !self.writers[tensor].is_empty()
            && self.writers[tensor].iter().all(step)
    }

    /// Multiply-adds of computing a tensor again, with what nothing else keeps for it.
    pub fn macs_again(&self, tensor: usize) -> u64 {
        let (mut macs, mut seen, mut next) = (0, vec![tensor], 0);
        while let Some(&id) = seen.get(next) {
            next += 1;
            macs += self.own_macs(id);
            for input in self.inputs(id) {
                if self.is_passing(input) && !seen.contains(&input) {
                    seen.push(input);
                }
            }
        }
        macs
    }

    /// What a tensor is computed from.
    pub fn inputs(&self, tensor: usize) -> impl Iterator<Item = usize> + '_ {
        self.writers[tensor].iter().flat_map(|&writer| {
            let operands = self.operands[writer as usize].iter();
            operands
                .zip(self.steps[writer as usize].roles)
                .filter(|(id, role)| **id != ABSENT && !role.writes())
                .map(|(&id, _)| id as usize)
        })
    }

    /// Whether only forward steps read the tensor, and it costs no multiply-add: what is computed
    /// again from it computes it too.
    fn is_passing(&self, tensor: usize) -> bool {
        self.repeatable[tensor] && !self.read[tensor] && self.own_macs(tensor) == 0
    }

    /// Multiply-adds of the steps that write a tensor.
    pub fn own_macs(&self, tensor: usize) -> u64 {
        self.writers[tensor].iter().map(|&writer| self.steps[writer as usize].cost.macs).sum()
    }
}

fn facts(schedule: &Schedule, step: &Step) -> Facts {
    let roles = operands(step.opcode);
    let elements = |id: &TensorId| schedule.tensors[id.0].elements as u64;
    let scratch = roles.contains(&Role::Scratch);
    let touched = match step.macs {
        0 => step.operands.iter().flatten().map(elements).sum(),
        _ => 0,
    };
    let parameters = Parameters::decode(step.opcode, &step.params);
    let may_take = |place: &usize| parameters.is_some_and(|p| p.in_place(*place));
    Facts {
        roles,
        in_place: in_place(step.opcode).iter().copied().filter(may_take).collect(),
        backward: false,
        repeatable: !scratch && roles.iter().any(|role| role.writes()),
        features: parameters.map_or(Vec::new(), |p| {
            p.features().into_iter().filter(|&feature| feature != NONE).collect()
        }),
        feature_read: parameters.and_then(|p| p.feature_read()),
        gate: parameters.and_then(|p| gate(&p)),
        cost: Cost { macs: step.macs, elements: touched },
    }
}

/// The operand that a ReLU's gradient looks at.
fn gate(parameters: &Parameters<'_>) -> Option<usize> {
    let (kind, place) = match parameters {
        Parameters::UnaryGradient(p) => (p.kind.get(), 0),
        Parameters::ConvInputGradient(p) => (p.activation.get().into(), 4),
        _ => return None,
    };
    (kind == Activation::Relu as u32).then_some(place)
}

/// What a call runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Work {
    /// A step of the schedule.
    Step(u32),
    /// The bit mask of operand 0.
    Mask,
}

/// One step of a program.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call {
    pub work: Work,
    /// Whether the step ran before.
    pub again: bool,
    pub operands: [u32; OPERANDS],
}

/// Where a program's tensor comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    Schedule,
    /// The tensor, computed again.
    Again(u32),
    /// The bits of a tensor.
    Mask(u32),
}

/// A way to run a problem.
#[derive(Clone, Debug)]
pub(super) struct Program {
    pub calls: Vec<Call>,
    pub elements: Vec<usize>,
    pub origins: Vec<Origin>,
    pub results: Vec<bool>,
}

/// How the backward pass gets a tensor of the forward pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Supply {
    /// It is kept.
    Kept,
    /// It is computed again, once.
    Again,
    /// It is computed again for the steps that read it, and once more for each tensor that is
    /// computed again from it, so that it need not live in between.
    Apart,
}

/// How each tensor is supplied, and which gates are kept as masks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Choices {
    pub supply: Vec<Supply>,
    pub masked: Vec<bool>,
}

impl Choices {
    pub fn none(problem: &Problem) -> Self {
        let count = problem.elements.len();
        Self { supply: vec![Supply::Kept; count], masked: vec![false; count] }
    }
}

const MASK_ROLES: &[Role] = &[Role::Read, Role::Write];

impl Program {
    /// The schedule with what the choices add, each addition just before its first reader.
    pub fn new(problem: &Problem, choices: &Choices) -> Self {
        let count = problem.elements.len();
        let program = Program {
            calls: Vec::with_capacity(problem.steps.len() + 16),
            elements: problem.elements.clone(),
            origins: vec![Origin::Schedule; count],
            results: problem.results.clone(),
        };
        let none = vec![ABSENT; count];
        let reread = reread(problem, choices);
        let mut builder = Builder {
            problem,
            choices,
            program,
            reread,
            again: none.clone(),
            passing: none.clone(),
            passed: Vec::new(),
            masks: none,
        };
        for step in 0..problem.steps.len() {
            builder.step(step as u32);
        }
        builder.program
    }

    /// Arena operands of a call with their roles.
    pub fn operands<'a>(
        &'a self,
        problem: &'a Problem,
        call: usize,
    ) -> impl Iterator<Item = (usize, usize, Role)> + 'a {
        let call = &self.calls[call];
        let roles = match call.work {
            Work::Step(step) => problem.steps[step as usize].roles,
            Work::Mask => MASK_ROLES,
        };
        call.operands.iter().zip(roles).enumerate().filter_map(|(place, (&id, &role))| {
            (id != ABSENT).then_some((place, id as usize, role))
        })
    }

    /// Elements that a tensor takes in the arena.
    pub fn room(&self, id: usize) -> usize {
        round_up(self.elements[id])
    }

    /// What the additions cost.
    pub fn added(&self, problem: &Problem) -> Cost {
        let cost = |call: &Call| match call.work {
            Work::Step(step) if call.again => problem.steps[step as usize].cost,
            Work::Step(_) => Cost::default(),
            Work::Mask => {
                Cost { macs: 0, elements: self.elements[call.operands[0] as usize] as u64 }
            }
        };
        self.calls.iter().map(cost).fold(Cost::default(), Cost::plus)
    }
}

/// Tensors that the backward pass reads other than as a masked gate.
fn reread(problem: &Problem, choices: &Choices) -> Vec<bool> {
    let mut reread = vec![false; problem.elements.len()];
    for (facts, operands) in problem.steps.iter().zip(&problem.operands) {
        for (place, (&id, role)) in operands.iter().zip(facts.roles).enumerate() {
            if !facts.backward || id == ABSENT || role.writes() {
                continue;
            }
            reread[id as usize] |= facts.gate != Some(place) || !choices.masked[id as usize];
        }
    }
    reread
}

struct Builder<'p> {
    problem: &'p Problem,
    choices: &'p Choices,
    program: Program,
    reread: Vec<bool>,
    /// Tensors computed again for good, and those only for what is being computed now.
    again: Vec<u32>,
    passing: Vec<u32>,
    passed: Vec<u32>,
    masks: Vec<u32>,
}

impl Builder<'_> {
    fn step(&mut self, step: u32) {
        let facts = &self.problem.steps[step as usize];
        let mut operands = self.problem.operands[step as usize];
        if facts.backward {
            for (place, role) in facts.roles.iter().enumerate() {
                let id = operands[place];
                if id == ABSENT || role.writes() {
                    continue;
                }
                let masked = facts.gate == Some(place) && self.choices.masked[id as usize];
                operands[place] = if masked { self.mask(id) } else { self.latest(id) };
            }
        }
        self.program.calls.push(Call { work: Work::Step(step), again: false, operands });
    }

    /// The tensor as a backward step reads it.
    fn latest(&mut self, id: u32) -> u32 {
        let at = id as usize;
        if self.choices.supply[at] == Supply::Kept {
            return id;
        }
        if self.again[at] == ABSENT {
            self.again[at] = self.compute(id);
            for id in std::mem::take(&mut self.passed) {
                self.passing[id as usize] = ABSENT;
            }
        }
        self.again[at]
    }

    /// The tensor as a step that is run again reads it.
    fn source(&mut self, id: u32) -> u32 {
        let at = id as usize;
        let apart = self.choices.supply[at] == Supply::Apart || self.problem.is_passing(at);
        match self.choices.supply[at] {
            Supply::Again if self.again[at] == ABSENT => {
                self.again[at] = self.compute(id);
                self.again[at]
            }
            Supply::Again => self.again[at],
            _ if !apart => id,
            _ => {
                if self.passing[at] == ABSENT {
                    self.passing[at] = self.compute(id);
                    self.passed.push(id);
                }
                self.passing[at]
            }
        }
    }

    /// Runs the steps again that write a tensor.
    fn compute(&mut self, id: u32) -> u32 {
        let copy = self.tensor(self.program.elements[id as usize], Origin::Again(id));
        for &writer in &self.problem.writers[id as usize] {
            let mut operands = self.problem.operands[writer as usize];
            for (place, role) in self.problem.steps[writer as usize].roles.iter().enumerate() {
                if operands[place] == ABSENT {
                    continue;
                }
                operands[place] = if role.writes() { copy } else { self.source(operands[place]) };
            }
            self.program.calls.push(Call { work: Work::Step(writer), again: true, operands });
        }
        copy
    }

    /// The mask of a tensor: of the forward pass's own where nothing else reads it backward, so
    /// that it need not be computed again.
    fn mask(&mut self, id: u32) -> u32 {
        if self.masks[id as usize] == ABSENT {
            let source = if self.reread[id as usize] { self.latest(id) } else { id };
            let words = self.program.elements[id as usize].div_ceil(MASK_BITS);
            let mask = self.tensor(words, Origin::Mask(id));
            self.masks[id as usize] = mask;
            let mut operands = [ABSENT; OPERANDS];
            (operands[0], operands[1]) = (source, mask);
            self.program.calls.push(Call { work: Work::Mask, again: false, operands });
        }
        self.masks[id as usize]
    }

    fn tensor(&mut self, elements: usize, origin: Origin) -> u32 {
        self.program.elements.push(elements);
        self.program.origins.push(origin);
        self.program.results.push(false);
        (self.program.elements.len() - 1) as u32
    }
}
