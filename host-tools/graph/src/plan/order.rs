//! The order of a program's calls: late where a call grows the arena, at once where it does not.
//!
//! 1. A call whose result is larger than what dies with it sinks to just before its first reader.
//! 2. A call that needs no memory, above all a weight norm, runs as soon as its operands exist.
//!
//! Only the order changes, within what the operands allow.

use gradgate_bundle::shape::Role;

use super::lifetimes::lifetimes;
use super::numbers::Numbers;
use super::program::{Problem, Program};
use super::successors::Successors;

/// Moves calls that grow the arena to just before the first call that needs them; whether any did.
pub(super) fn sink(problem: &Problem, program: &mut Program) -> bool {
    let lifetimes = lifetimes(problem, program);
    let successors = Successors::new(problem, program);
    let size = |id: usize| program.room(id) as isize;
    let grows = |call: usize| {
        let first = successors.of(call).first().map_or(usize::MAX, |&next| next as usize);
        let growth: isize = program
            .operands(problem, call)
            .map(|(_, id, role)| match (role, &lifetimes[id]) {
                (Role::Write, Some(life)) if life.start == call => size(id),
                (Role::Read | Role::ReadOptional, Some(life)) if life.end <= first => -size(id),
                _ => 0,
            })
            .sum();
        growth > 0
    };
    // From the last call to the first: the end of the list is what runs first.
    let mut order: Vec<u32> = Vec::with_capacity(program.calls.len());
    for call in (0..program.calls.len()).rev() {
        let first = |&later: &u32| successors.of(call).binary_search(&later).is_ok();
        let place = match grows(call) {
            true => order.iter().rposition(first).map_or(order.len(), |at| at + 1),
            false => order.len(),
        };
        order.insert(place, call as u32);
    }
    if order.iter().rev().enumerate().all(|(place, &call)| call as usize == place) {
        return false;
    }
    program.calls = order.iter().rev().map(|&call| program.calls[call as usize]).collect();
    true
}

/// Runs calls that need no memory as soon as they can.
pub(super) fn hasten(problem: &Problem, program: &mut Program) {
    let successors = Successors::new(problem, program);
    let mut state = Hasten::new(problem, program, &successors);
    let mut order = Vec::with_capacity(program.calls.len());
    while let Some(call) = state.next() {
        order.push(program.calls[call as usize]);
        state.run(call);
    }
    debug_assert_eq!(order.len(), program.calls.len());
    program.calls = order;
}

struct Hasten<'p> {
    problem: &'p Problem,
    program: &'p Program,
    successors: &'p Successors,
    waits: Vec<u32>,
    ready: Numbers,
    /// Ready calls whose balance may have become favourable.
    fresh: Numbers,
    started: Vec<bool>,
    /// Calls left that touch a tensor: their number, and the sum of their indices.
    left: Vec<(u32, u64)>,
}

impl<'p> Hasten<'p> {
    fn new(problem: &'p Problem, program: &'p Program, successors: &'p Successors) -> Self {
        let waits = successors.waits();
        let mut left = vec![(0, 0); program.elements.len()];
        for call in 0..program.calls.len() {
            for (_, id, _) in touched(problem, program, call) {
                left[id].0 += 1;
                left[id].1 += call as u64;
            }
        }
        let mut ready = Numbers::below(waits.len());
        let free = (0..waits.len() as u32).filter(|&call| waits[call as usize] == 0);
        free.for_each(|call| ready.insert(call));
        let started = vec![false; program.elements.len()];
        let fresh = ready.clone();
        Self { problem, program, successors, waits, ready, fresh, started, left }
    }

    /// The first ready call that needs no memory, else the first ready call.
    fn next(&mut self) -> Option<u32> {
        while let Some(call) = self.fresh.pop_first() {
            if self.ready.contains(call) && self.is_free(call) {
                return Some(call);
            }
        }
        self.ready.first()
    }

    /// Whether the arena is no fuller after the call, nor much fuller during it.
    fn is_free(&self, call: u32) -> bool {
        let (mut taken, mut given) = (0, 0);
        for (_, id, role) in touched(self.problem, self.program, call as usize) {
            let elements = self.program.room(id);
            if role == Role::Scratch || self.program.results[id] {
                continue;
            }
            taken += if self.started[id] { 0 } else { elements };
            given += if self.left[id].0 == 1 { elements } else { 0 };
        }
        given > taken || (given == taken && taken == 0)
    }

    fn run(&mut self, call: u32) {
        self.ready.remove(call);
        for (_, id, _) in touched(self.problem, self.program, call as usize) {
            self.started[id] = true;
            self.left[id].0 -= 1;
            self.left[id].1 -= u64::from(call);
            if self.left[id].0 == 1 {
                self.fresh.insert(self.left[id].1 as u32);
            }
        }
        for &next in self.successors.of(call as usize) {
            self.waits[next as usize] -= 1;
            if self.waits[next as usize] == 0 {
                self.ready.insert(next);
                self.fresh.insert(next);
            }
        }
    }
}

/// Operands of a call, each tensor once.
fn touched<'a>(
    problem: &'a Problem,
    program: &'a Program,
    call: usize,
) -> impl Iterator<Item = (usize, usize, Role)> + 'a {
    let operands = &program.calls[call].operands;
    program
        .operands(problem, call)
        .filter(move |&(place, id, _)| !operands[..place].contains(&(id as u32)))
}
