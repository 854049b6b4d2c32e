//! Which calls of a program must come later than others.
//!
//! The search builds these lists thousands of times, so they lie in one vector: a list of its own
//! for every call took more time than all else.

use super::program::{ABSENT, Problem, Program, Work};

/// For every call, those that must come later, ascending.
pub(super) struct Successors {
    /// Where each call's list begins, and the end of the last.
    starts: Vec<u32>,
    list: Vec<u32>,
}

impl Successors {
    pub fn new(problem: &Problem, program: &Program) -> Self {
        let mut edges = Edges::new(program);
        let mut writers = vec![ABSENT; program.elements.len()];
        let mut readers = Readers::new(program.elements.len());
        let mut features = vec![ABSENT; problem.features];
        for index in 0..program.calls.len() as u32 {
            // A feature that a step reads is no operand of its own.
            if let Work::Step(step) = program.calls[index as usize].work {
                let facts = &problem.steps[step as usize];
                if let Some(read) = facts.feature_read {
                    edges.push(features[usize::from(read)], index);
                }
                facts.features.iter().for_each(|&written| features[usize::from(written)] = index);
            }
            for (_, id, role) in program.operands(problem, index as usize) {
                edges.push(writers[id], index);
                if role.writes() {
                    readers.take(id, |reader| edges.push(reader, index));
                    writers[id] = index;
                } else {
                    readers.add(id, index);
                }
            }
        }
        edges.sorted()
    }

    /// Those of one call.
    pub fn of(&self, call: usize) -> &[u32] {
        &self.list[self.starts[call] as usize..self.starts[call + 1] as usize]
    }

    /// How many calls each waits for.
    pub fn waits(&self) -> Vec<u32> {
        let mut waits = vec![0; self.starts.len() - 1];
        self.list.iter().for_each(|&call| waits[call as usize] += 1);
        waits
    }
}

/// Pairs of an earlier and a later call, in the order of the later ones.
struct Edges {
    pairs: Vec<(u32, u32)>,
    counts: Vec<u32>,
    /// The last later call of each earlier one, against repetition.
    last: Vec<u32>,
}

impl Edges {
    fn new(program: &Program) -> Self {
        let calls = program.calls.len();
        Self {
            pairs: Vec::with_capacity(4 * calls),
            counts: vec![0; calls],
            last: vec![ABSENT; calls],
        }
    }

    fn push(&mut self, earlier: u32, later: u32) {
        if earlier == ABSENT || earlier == later || self.last[earlier as usize] == later {
            return;
        }
        self.last[earlier as usize] = later;
        self.counts[earlier as usize] += 1;
        self.pairs.push((earlier, later));
    }

    fn sorted(self) -> Successors {
        let mut starts = Vec::with_capacity(self.counts.len() + 1);
        let mut end = 0;
        for count in self.counts {
            starts.push(end);
            end += count;
        }
        starts.push(end);
        let mut places = starts.clone();
        let mut list = vec![0; self.pairs.len()];
        for (earlier, later) in self.pairs {
            let place = &mut places[earlier as usize];
            list[*place as usize] = later;
            *place += 1;
        }
        Successors { starts, list }
    }
}

/// Calls that read each tensor since it was last written, as linked lists.
struct Readers {
    first: Vec<u32>,
    /// A reader and the place of the next one.
    links: Vec<(u32, u32)>,
}

impl Readers {
    fn new(tensors: usize) -> Self {
        Self { first: vec![ABSENT; tensors], links: Vec::new() }
    }

    fn add(&mut self, tensor: usize, reader: u32) {
        self.links.push((reader, self.first[tensor]));
        self.first[tensor] = (self.links.len() - 1) as u32;
    }

    /// Gives all readers of a tensor and forgets them.
    fn take(&mut self, tensor: usize, mut each: impl FnMut(u32)) {
        let mut at = std::mem::replace(&mut self.first[tensor], ABSENT);
        while at != ABSENT {
            let (reader, next) = self.links[at as usize];
            each(reader);
            at = next;
        }
    }
}
