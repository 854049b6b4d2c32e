//! Which parameters and layers become features.
//!
//! Patterns are globs over parameter names (`*` any run, `?` one character), comma-separated; a
//! leading `!` leaves out. Without an including pattern everything is included.
//! `depth` orders parameters by layer and fits a choice to a budget; `describe` names a choice.

pub mod depth;
mod describe;

pub use describe::describe;

use crate::graph::{Graph, NodeId, ValueId};
use crate::ops::Op;

/// A selection of parameters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Taps {
    include: Vec<String>,
    exclude: Vec<String>,
    forward_only: bool,
}

impl Taps {
    /// Every trainable parameter.
    pub fn all() -> Self {
        Self::default()
    }

    /// No parameter: the schema holds forward taps alone and the backward pass is left out.
    pub fn none() -> Self {
        Self { forward_only: true, ..Self::default() }
    }

    /// Reads comma-separated globs, `none` for no parameter.
    pub fn parse(text: &str) -> Self {
        if text == "none" {
            return Self::none();
        }
        let mut taps = Self::default();
        for pattern in text.split(',').map(str::trim).filter(|p| !p.is_empty()) {
            match pattern.strip_prefix('!') {
                Some(pattern) => taps.exclude.push(pattern.to_owned()),
                None => taps.include.push(pattern.to_owned()),
            }
        }
        taps
    }

    /// Whether a parameter is tapped.
    pub fn selects(&self, graph: &Graph, parameter: ValueId) -> bool {
        let name = graph.value(parameter).name.as_bytes();
        let any = |patterns: &[String]| patterns.iter().any(|p| glob(p.as_bytes(), name));
        !self.forward_only && (self.include.is_empty() || any(&self.include)) && !any(&self.exclude)
    }

    /// Whether the backward pass is left out.
    pub fn forward_only(&self) -> bool {
        self.forward_only
    }

    /// Patterns that match no parameter of the graph: most likely a mistake of the user's.
    pub fn unmatched(&self, graph: &Graph) -> Vec<String> {
        let matches = |pattern: &String| {
            graph
                .parameters
                .iter()
                .any(|&p| glob(pattern.as_bytes(), graph.value(p).name.as_bytes()))
        };
        self.include.iter().chain(&self.exclude).filter(|p| !matches(p)).cloned().collect()
    }
}

/// Iterative glob match; backtracks to the last `*` only.
fn glob(pattern: &[u8], name: &[u8]) -> bool {
    let (mut p, mut n, mut star) = (0, 0, None);
    while n < name.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(&c) if c == b'?' || c == name[n] => (p, n) = (p + 1, n + 1),
            _ => match star {
                Some((sp, sn)) => {
                    (p, n) = (sp + 1, sn + 1);
                    star = Some((sp, sn + 1));
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|&c| c == b'*')
}

/// Whether a forward op has a weight of its own: a convolution, its transposed form, a product.
pub(crate) fn is_linear(op: &Op) -> bool {
    matches!(op, Op::Conv(_) | Op::ConvInputGradient { .. } | Op::Gemm { .. })
}

/// Layer outputs whose squared norm is a forward feature: for each convolution, transposed ones
/// too, and each Gemm, the value at the end of its chain of sole consumers through normalisation,
/// activation and residual addition. The logits are left out (they are features themselves); a
/// value reached twice is listed once.
pub fn layers(graph: &Graph) -> Vec<ValueId> {
    let consumers = graph.consumers();
    let mut layers = Vec::new();
    for node in &graph.nodes {
        if !is_linear(&node.op) {
            continue;
        }
        let mut value = node.output;
        while let [NodeId(only)] = consumers[value.0 as usize][..] {
            let next = &graph.nodes[only as usize];
            let continues = matches!(
                next.op,
                Op::BatchNorm { .. }
                    | Op::Add
                    | Op::Relu
                    | Op::LeakyRelu { .. }
                    | Op::Clip { .. }
                    | Op::Sigmoid
                    | Op::Function(_)
            );
            if !continues {
                break;
            }
            value = next.output;
        }
        if graph.logits != Some(value) && !layers.contains(&value) {
            layers.push(value);
        }
    }
    layers
}

/// The vector that the last Gemm turns into logits, when it has shape `[1, d]`.
pub fn penultimate(graph: &Graph) -> Option<ValueId> {
    let producers = graph.producers();
    let mut value = graph.logits?;
    loop {
        let node = &graph.nodes[producers[value.0 as usize]?.0 as usize];
        match node.op {
            Op::Gemm { .. } => {
                let input = node.inputs[0];
                return (graph.shape(input).len() == 2).then_some(input);
            }
            Op::Add | Op::Mul | Op::Reshape { .. } => {
                value = *node.inputs.iter().find(|&&input| graph.value(input).is_frame())?;
            }
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests;
