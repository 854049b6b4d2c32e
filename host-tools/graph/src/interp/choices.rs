//! Choices at kinks: which units pass, which element of a window is the largest.
//!
//! Two legitimate orders of one sum in f32 can put a value near a kink on different sides. An
//! executor is compared with the interpreter on the executor's side, and [`Interp::kinks`] tells
//! how near to a kink the two parted.

use std::collections::HashMap;

use super::{Interp, Values, max_pool};
use crate::graph::{Node, ValueId};
use crate::ops::{Op, Pool};

/// An executor's choices, in place of the interpreter's own.
#[derive(Clone, Debug, Default)]
pub struct Choices {
    /// Which units pass: of a Relu by its output, of a Clip by its output and, for the gradient, by
    /// what it clips.
    pub passed: HashMap<ValueId, Vec<bool>>,
    /// By the operand of a MaxPool, the numbers that it compares: of each window, the element that
    /// is the first maximum among these is taken.
    pub compared: HashMap<ValueId, Vec<f64>>,
}

/// Choices that differ from the interpreter's own.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Kinks {
    /// How many.
    pub count: usize,
    /// The farthest of them from its kink: how far a unit is from its bound, or the element taken
    /// from the window's maximum, relative to the largest magnitude of that operand.
    pub farthest: f64,
}

impl Choices {
    /// None: the interpreter decides.
    pub fn new() -> Self {
        Self::default()
    }

    /// What a node is told of its units.
    pub(super) fn of_units(&self, node: &Node) -> Option<&Vec<bool>> {
        match node.op {
            Op::Relu | Op::Clip { .. } => self.passed.get(&node.output),
            Op::ReluGradient | Op::ClipGradient { .. } => self.passed.get(&node.inputs[0]),
            _ => None,
        }
    }
}

impl Kinks {
    fn add(&mut self, distance: f64, largest: f64) {
        self.count += 1;
        // Written so that NaN counts as far.
        let relative = if largest > 0.0 { distance / largest } else { f64::INFINITY };
        self.farthest = if relative <= self.farthest { self.farthest } else { relative };
    }
}

impl Interp<'_> {
    /// Where these choices differ from those of a run of the interpreter.
    pub fn kinks(&self, values: &Values, choices: &Choices) -> Kinks {
        let mut kinks = Kinks::default();
        for node in &self.graph.nodes {
            let (min, max) = match &node.op {
                Op::MaxPool(pool) => {
                    self.windows_apart(node, pool, values, choices, &mut kinks);
                    continue;
                }
                Op::Relu => (0.0, f64::INFINITY),
                Op::Clip { min, max } => (f64::from(*min), f64::from(*max)),
                _ => continue,
            };
            let Some(passed) = choices.passed.get(&node.output) else { continue };
            let x = values.get(node.inputs[0]);
            for (&x_i, &passes) in x.iter().zip(passed) {
                if passes != (x_i > min && x_i < max) {
                    kinks.add((x_i - min).abs().min((x_i - max).abs()), largest(x));
                }
            }
        }
        kinks
    }

    fn windows_apart(
        &self,
        node: &Node,
        pool: &Pool,
        values: &Values,
        choices: &Choices,
        kinks: &mut Kinks,
    ) {
        let Some(compared) = choices.compared.get(&node.inputs[0]) else { return };
        let x = values.get(node.inputs[0]);
        let (input, output) = (self.graph.shape(node.inputs[0]), self.graph.shape(node.output));
        max_pool::for_each_window(pool, input, output, |_, window| {
            let best = |of: &[f64]| max_pool::first_maximum(window, of);
            if let (Some(own), Some(theirs)) = (best(x), best(compared))
                && own != theirs
            {
                kinks.add(x[own] - x[theirs], largest(x));
            }
        });
    }
}

fn largest(values: &[f64]) -> f64 {
    values.iter().fold(0.0, |most, value| value.abs().max(most))
}

/// What a unit that does not pass gives: the bound that is nearer, or no gradient.
pub(super) fn held(op: &Op, x: f64) -> f64 {
    match *op {
        Op::Clip { min, max } => {
            let (min, max) = (f64::from(min), f64::from(max));
            if (x - min).abs() <= (x - max).abs() { min } else { max }
        }
        _ => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Graph;

    /// Relu, then the maximum of each row of two.
    fn graph() -> (Graph, [ValueId; 4]) {
        let mut graph = Graph::default();
        let x = graph.add_input("x", vec![1, 1, 2, 2]);
        let y = graph.push("relu", Op::Relu, &[x]).expect("fits");
        let pool = Pool {
            kernel: [1, 2],
            strides: [1, 1],
            pads: [0; 4],
            dilations: [1, 1],
            ceil_mode: false,
            count_include_pad: false,
        };
        let z = graph.push("pool", Op::MaxPool(pool.clone()), &[y]).expect("fits");
        let dy = graph.push("gradient", Op::MaxPoolGradient(pool), &[y, z]).expect("fits");
        (graph, [x, y, z, dy])
    }

    #[test]
    fn given_choices_replace_the_interpreters_own() {
        let (graph, [_, y, z, dy]) = graph();
        let interp = Interp::new(&graph);
        let image = [-0.25, 4.0, 3.0, 2.0];
        let own = interp.run(&image);
        assert_eq!(own.get(z), [4.0, 3.0]);
        assert_eq!(own.get(dy), [0.0, 4.0, 3.0, 0.0]);
        let mut choices = Choices::new();
        assert_eq!(interp.kinks(&own, &choices), Kinks::default());
        choices.passed.insert(y, vec![true, true, true, true]);
        choices.compared.insert(y, vec![0.0, 1.0, 2.0, 2.5]);
        let theirs = interp.run_given(&image, &choices);
        assert_eq!(theirs.get(y), image);
        assert_eq!(theirs.get(z), [4.0, 2.0]);
        assert_eq!(theirs.get(dy), [0.0, 4.0, 0.0, 2.0]);
        // The unit is 0.25 of 4 from its bound, the element taken 1 of 4 from the maximum.
        assert_eq!(interp.kinks(&own, &choices), Kinks { count: 2, farthest: 0.25 });
    }

    #[test]
    fn a_unit_of_a_clip_has_two_bounds() {
        let mut graph = Graph::default();
        let x = graph.add_input("x", vec![1, 2]);
        let y = graph.push("clip", Op::Clip { min: 0.0, max: 6.0 }, &[x]).expect("fits");
        let interp = Interp::new(&graph);
        let own = interp.run(&[8.0, 5.0]);
        let passed = HashMap::from([(y, vec![true, false])]);
        let choices = Choices { passed, ..Choices::new() };
        assert_eq!(interp.run_given(&[8.0, 5.0], &choices).get(y), [8.0, 6.0]);
        assert_eq!(interp.kinks(&own, &choices), Kinks { count: 2, farthest: 0.25 });
    }
}
