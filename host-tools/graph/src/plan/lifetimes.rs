//! When each tensor of a program lives, and how full the arena is at every call.

use std::ops::Range;

use super::in_place;
use super::program::{Problem, Program};

/// Calls during which each tensor lives; `None` for constants and tensors that nothing touches.
/// Results live past the last call.
pub(super) fn lifetimes(problem: &Problem, program: &Program) -> Vec<Option<Range<usize>>> {
    let mut lifetimes: Vec<Option<Range<usize>>> = vec![None; program.elements.len()];
    for call in 0..program.calls.len() {
        for (_, id, _) in program.operands(problem, call) {
            lifetimes[id].get_or_insert(call..call + 1).end = call + 1;
        }
    }
    let end = program.calls.len() + 1;
    for (lifetime, result) in lifetimes.iter_mut().zip(&program.results) {
        if let (Some(lifetime), true) = (lifetime, *result) {
            lifetime.end = end;
        }
    }
    lifetimes
}

/// Tensors that share one interval of the arena, one after the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Group {
    pub elements: usize,
    pub life: Range<usize>,
    /// In order of their lives.
    pub tensors: Vec<usize>,
}

/// All tensors in groups, results among them.
pub(super) fn groups(problem: &Problem, program: &Program) -> Vec<Group> {
    let lifetimes = lifetimes(problem, program);
    let takes = in_place::shares(problem, program, &lifetimes);
    let mut group_of = vec![usize::MAX; lifetimes.len()];
    let mut groups: Vec<Group> = Vec::new();
    let mut order: Vec<usize> =
        (0..lifetimes.len()).filter(|&id| lifetimes[id].is_some()).collect();
    order.sort_by_key(|&id| (lifetimes[id].as_ref().map_or(0, |life| life.start), id));
    for id in order {
        let Some(life) = lifetimes[id].clone() else { continue };
        match takes[id] {
            Some(source) => {
                let group = &mut groups[group_of[source]];
                group.life.end = life.end;
                group.tensors.push(id);
                group_of[id] = group_of[source];
            }
            None => {
                group_of[id] = groups.len();
                groups.push(Group { elements: program.room(id), life, tensors: vec![id] });
            }
        }
    }
    groups
}

/// Elements that live at each call, results aside: what no placement can get below. As of the
/// groups, which the search need not build.
pub(super) fn profile(problem: &Problem, program: &Program) -> Vec<usize> {
    let lifetimes = lifetimes(problem, program);
    let takes = in_place::shares(problem, program, &lifetimes);
    let calls = program.calls.len();
    let mut change = vec![0_isize; calls + 2];
    for (id, life) in lifetimes.iter().enumerate() {
        let Some(life) = life.as_ref().filter(|_| !program.results[id]) else { continue };
        let room = program.room(id) as isize;
        change[life.start] += room;
        change[life.end] -= room;
        // Both live at the call in which one takes the other's interval: counted once.
        if let Some(source) = takes[id] {
            change[life.start] -= room;
            change[life.start + 1] += room;
            debug_assert_eq!(program.room(source), program.room(id));
        }
    }
    let mut live = 0;
    let total = change.iter().take(calls).map(|change| {
        live += change;
        live as usize
    });
    total.collect()
}
