//! Which results take the very interval of an operand that dies with the step.

use std::ops::Range;

use gradgate_bundle::shape::Role;

use super::program::{Origin, Problem, Program, Work};

/// For every tensor the one whose interval it takes over.
pub(super) fn shares(
    problem: &Problem,
    program: &Program,
    lifetimes: &[Option<Range<usize>>],
) -> Vec<Option<usize>> {
    let mut takes = vec![None; lifetimes.len()];
    for (index, call) in program.calls.iter().enumerate() {
        let Work::Step(step) = call.work else { continue };
        let places = &problem.steps[step as usize].in_place;
        if places.is_empty() {
            continue;
        }
        let mut operands = program.operands(problem, index);
        let begins = |id: usize| lifetimes[id].as_ref().is_some_and(|life| life.start == index);
        let written = operands.find(|&(_, id, role)| role == Role::Write && begins(id));
        let Some((_, result, _)) = written.filter(|&(_, id, _)| !program.results[id]) else {
            continue;
        };
        let dies = |id: usize| lifetimes[id].as_ref().is_some_and(|life| life.end == index + 1);
        let once = |id: usize| call.operands.iter().filter(|&&o| o as usize == id).count() == 1;
        takes[result] = program
            .operands(problem, index)
            .filter(|(place, id, role)| {
                // A mask is no index of the result.
                let fits = program.elements[*id] == program.elements[result]
                    && !matches!(program.origins[*id], Origin::Mask(_));
                places.contains(place) && !role.writes() && fits && dies(*id) && once(*id)
            })
            .map(|(_, id, _)| id)
            .next();
    }
    takes
}
