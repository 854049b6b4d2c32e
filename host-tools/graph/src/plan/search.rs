//! Which tensors to compute again and which gates to keep as masks.
//!
//! Without a budget only what costs no multiply-add is tried, and kept where it lowers the arena.
//! Under a budget, layers are added one by one, each time the one that takes the most from what is
//! above the budget for its work, until nothing is; then those that are not needed after all go.

use super::lifetimes::profile;
use super::order::{hasten, sink};
use super::program::{Choices, Cost, Problem, Program, Supply};

/// Steps walked while searching, so that a large network stays within seconds.
const STEPS_MAX: usize = 3_000_000;

/// A program in its order, with what it needs.
#[derive(Clone, Debug)]
pub(super) struct Arranged {
    pub choices: Choices,
    pub program: Program,
    /// Elements that live at each call, results aside.
    pub profile: Vec<usize>,
    /// What the choices cost.
    pub added: Cost,
}

impl Arranged {
    pub fn new(problem: &Problem, choices: Choices) -> Self {
        let program = Program::new(problem, &choices);
        let added = program.added(problem);
        let mut sunk = program.clone();
        let moved = sink(problem, &mut sunk);
        let hastened = Self::ordered(problem, choices, program, added);
        if !moved {
            return hastened;
        }
        let sunk = Self::ordered(problem, Choices::default(), sunk, added);
        match sunk.peak() < hastened.peak() {
            true => Self { choices: hastened.choices, ..sunk },
            false => hastened,
        }
    }

    fn ordered(problem: &Problem, choices: Choices, mut program: Program, added: Cost) -> Self {
        hasten(problem, &mut program);
        let profile = profile(problem, &program);
        Self { choices, program, profile, added }
    }

    /// Elements at the fullest call.
    pub fn peak(&self) -> usize {
        self.profile.iter().copied().max().unwrap_or(0)
    }

    /// Elements above `limit`, summed over the calls.
    fn excess(&self, limit: usize) -> usize {
        self.profile.iter().map(|live| live.saturating_sub(limit)).sum()
    }

    fn rank(&self) -> (usize, u64) {
        (self.peak(), self.added.work())
    }
}

/// One thing to change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    /// Keep a tensor's signs as a mask, or no longer.
    Mask(usize),
    /// Compute a tensor again, or keep it after all.
    Again(usize),
    /// Compute a tensor again, and what it is computed from apart.
    Apart(usize),
}

impl Change {
    fn applied(self, problem: &Problem, choices: &Choices) -> Choices {
        let mut choices = choices.clone();
        match self {
            Change::Mask(id) => choices.masked[id] ^= true,
            Change::Again(id) => {
                choices.supply[id] = match choices.supply[id] {
                    Supply::Kept => Supply::Again,
                    Supply::Again | Supply::Apart => Supply::Kept,
                };
            }
            Change::Apart(id) => {
                choices.supply[id] = choices.supply[id].max(Supply::Again);
                for input in problem.inputs(id) {
                    choices.supply[input] = match choices.supply[input] {
                        // Kept for this alone, it would take as much room as what it saves.
                        Supply::Kept if !problem.read[input] && problem.repeatable[input] => {
                            Supply::Again
                        }
                        Supply::Kept => Supply::Kept,
                        Supply::Again | Supply::Apart => Supply::Apart,
                    };
                }
            }
        }
        choices
    }

    /// Whether applying it would undo it.
    fn is_made(self, choices: &Choices) -> bool {
        match self {
            Change::Mask(id) => choices.masked[id],
            Change::Again(id) => choices.supply[id] != Supply::Kept,
            Change::Apart(_) => false,
        }
    }
}

/// The search over one problem.
pub(super) struct Search<'p> {
    problem: &'p Problem,
    /// Changes without a multiply-add, then the others.
    free: Vec<Change>,
    costly: Vec<Change>,
    steps_left: usize,
}

impl<'p> Search<'p> {
    pub fn new(problem: &'p Problem) -> Self {
        let (mut free, mut costly) = (Vec::new(), Vec::new());
        let mut gates = vec![false; problem.elements.len()];
        for (facts, operands) in problem.steps.iter().zip(&problem.operands) {
            if let Some(place) = facts.gate.filter(|_| facts.backward) {
                gates.get_mut(operands[place] as usize).into_iter().for_each(|gate| *gate = true);
            }
        }
        for id in 0..gates.len() {
            if gates[id] && !problem.results[id] {
                free.push(Change::Mask(id));
            }
            if problem.read[id] && problem.repeatable[id] {
                let list = if problem.macs_again(id) == 0 { &mut free } else { &mut costly };
                list.push(Change::Again(id));
                // From an unread costly input, apart is not free.
                let inputs_free =
                    problem.inputs(id).all(|i| problem.read[i] || problem.own_macs(i) == 0);
                if inputs_free { list } else { &mut costly }.push(Change::Apart(id));
            } else if problem.repeatable[id] && problem.own_macs(id) > 0 {
                costly.push(Change::Again(id));
            }
        }
        Self { problem, free, costly, steps_left: STEPS_MAX }
    }

    fn try_out(&mut self, choices: Choices) -> Option<Arranged> {
        let steps = self.problem.steps.len() + 1;
        self.steps_left = self.steps_left.checked_sub(steps)?;
        Some(Arranged::new(self.problem, choices))
    }

    /// The lowest peak that costs no multiply-add.
    pub fn free(&mut self) -> Arranged {
        let none = Choices::none(self.problem);
        let all = |choices: Choices, change: &Change| match change {
            Change::Apart(_) => choices,
            change => change.applied(self.problem, &choices),
        };
        let all = self.free.iter().fold(none.clone(), all);
        let changes = self.free.clone();
        let (none, all) = (Arranged::new(self.problem, none), Arranged::new(self.problem, all));
        let start = if all.rank() < none.rank() { all } else { none };
        self.improve(start, &changes)
    }

    /// Makes or undoes one change after another while that lowers the peak, or the work at the same
    /// peak; two rounds, or until every change has failed on the same arrangement.
    fn improve(&mut self, mut best: Arranged, changes: &[Change]) -> Arranged {
        let mut failed = 0;
        for change in changes.iter().chain(changes) {
            if failed == changes.len() {
                break;
            }
            failed += 1;
            let choices = change.applied(self.problem, &best.choices);
            if choices == best.choices {
                continue;
            }
            let Some(tried) = self.try_out(choices) else { return best };
            if tried.rank() < best.rank() {
                (best, failed) = (tried, 0);
            }
        }
        best
    }

    /// From `start` to a peak of at most `limit` for little work; else the lowest that was found.
    pub fn within(&mut self, limit: usize, start: Arranged) -> Arranged {
        let changes = [self.free.as_slice(), &self.costly].concat();
        let mut best = start;
        while best.excess(limit) > 0 {
            match self.best_addition(limit, &best, &changes) {
                Some(better) => best = better,
                None => break,
            }
        }
        if best.excess(limit) > 0 {
            return self.improve(best, &changes);
        }
        self.pruned(limit, best, &changes)
    }

    /// The addition that takes the most excess away for its work.
    fn best_addition(
        &mut self,
        limit: usize,
        from: &Arranged,
        changes: &[Change],
    ) -> Option<Arranged> {
        let excess = from.excess(limit);
        let mut best: Option<(f64, Arranged)> = None;
        for change in changes.iter().filter(|change| !change.is_made(&from.choices)) {
            let choices = change.applied(self.problem, &from.choices);
            if choices == from.choices {
                continue;
            }
            let tried = self.try_out(choices)?;
            let gain = excess.saturating_sub(tried.excess(limit));
            let work = tried.added.work().saturating_sub(from.added.work()).max(1);
            let value = gain as f64 / work as f64;
            if gain > 0 && best.as_ref().is_none_or(|(most, _)| value > *most) {
                best = Some((value, tried));
            }
        }
        best.map(|(_, arranged)| arranged)
    }

    /// Without the additions that the limit does not need.
    fn pruned(&mut self, limit: usize, mut best: Arranged, changes: &[Change]) -> Arranged {
        for change in changes.iter().rev() {
            if !change.is_made(&best.choices) {
                continue;
            }
            let choices = change.applied(self.problem, &best.choices);
            let Some(tried) = self.try_out(choices) else { return best };
            if tried.excess(limit) == 0 && tried.added.work() < best.added.work() {
                best = tried;
            }
        }
        best
    }
}
