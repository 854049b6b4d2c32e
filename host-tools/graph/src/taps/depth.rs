//! Layers of parameters in the order of the network, subsets of them, and the deepest suffix that
//! a budget allows.
//!
//! Backpropagation stops at the deepest tap, so what a verdict costs is decided by how far back the
//! tapped layers reach: a suffix of layers, counted from the output, is the natural choice.

use std::fmt;

use super::Taps;
use crate::alignment::Reference;
use crate::cost::{CostError, MacBudget, Macs};
use crate::graph::{Graph, ValueId};
use crate::lower::Products;
use crate::ops::Op;

/// Parameters that one layer holds: a Conv or Gemm with its bias and the normalisation and scaling
/// that directly follow it; or a normalisation that follows none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer {
    /// Name of its first parameter without the last part: `layer3.0.conv1`.
    pub name: String,
    /// In graph order.
    pub parameters: Vec<ValueId>,
}

/// Which of a layer's parameters are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Every one.
    All,
    /// All but the scales of normalisations, whose norms need the whole weight gradient where a
    /// weight's may go by pixel Grams.
    WithoutScales,
    /// Weights of Conv and Gemm.
    Weights,
    /// Scale and shift of normalisations.
    Normalisation,
    /// Shifts and biases: sums of the cotangent, without a multiply-add of their own.
    Shifts,
}

impl Kind {
    /// All kinds with their names.
    pub const NAMES: [(Kind, &'static str); 5] = [
        (Kind::All, "all"),
        (Kind::WithoutScales, "without scales"),
        (Kind::Weights, "weights"),
        (Kind::Normalisation, "normalisation"),
        (Kind::Shifts, "shifts"),
    ];

    /// Parameters of this kind, in graph order.
    pub fn select(self, graph: &Graph, layers: &[Layer]) -> Vec<ValueId> {
        let chosen: Vec<ValueId> =
            layers.iter().flat_map(|layer| layer.parameters.iter().copied()).collect();
        let taken = |p: &ValueId| chosen.contains(p) && self.takes(role(graph, *p));
        graph.parameters.iter().copied().filter(taken).collect()
    }

    fn takes(self, role: Role) -> bool {
        match self {
            Kind::All => true,
            Kind::WithoutScales => role != Role::Scale,
            Kind::Weights => role == Role::Weight,
            Kind::Normalisation => role == Role::Scale || role == Role::Shift,
            Kind::Shifts => role == Role::Shift || role == Role::Bias,
        }
    }
}

/// What a parameter is to the node that reads it first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Weight,
    Bias,
    Scale,
    Shift,
}

fn role(graph: &Graph, parameter: ValueId) -> Role {
    let reads = |inputs: &[ValueId]| inputs.iter().position(|&input| input == parameter);
    let first = graph.nodes.iter().find_map(|node| Some((&node.op, reads(&node.inputs)?)));
    match first {
        Some((Op::BatchNorm { .. }, 1)) => Role::Scale,
        Some((Op::BatchNorm { .. }, _)) => Role::Shift,
        Some((Op::Conv(_) | Op::Gemm { .. }, 1)) => Role::Weight,
        Some((Op::Conv(_) | Op::Gemm { .. } | Op::Add | Op::Sub, _)) => Role::Bias,
        _ => Role::Weight,
    }
}

/// All layers that hold parameters, from the image to the logits.
pub fn layers(graph: &Graph) -> Vec<Layer> {
    let mut layers: Vec<Layer> = Vec::new();
    let mut layer_of = vec![None; graph.values.len()];
    let mut taken = vec![false; graph.values.len()];
    let parameters: Vec<usize> = graph.parameters.iter().map(|p| p.0 as usize).collect();
    for node in &graph.nodes {
        let linear = super::is_linear(&node.op);
        let follows = node.inputs.iter().find_map(|input| layer_of[input.0 as usize]);
        let mut own = Vec::new();
        for &input in &node.inputs {
            let index = input.0 as usize;
            if parameters.contains(&index) && !taken[index] {
                taken[index] = true;
                own.push(input);
            }
        }
        let layer = match (follows, linear) {
            (Some(layer), false) if !own.is_empty() => Some(layer),
            _ if own.is_empty() => None,
            _ => {
                layers.push(Layer { name: stem(graph, own[0]), parameters: Vec::new() });
                Some(layers.len() - 1)
            }
        };
        if let Some(layer) = layer {
            layers[layer].parameters.extend(own);
            layer_of[node.output.0 as usize] = Some(layer);
        }
    }
    for layer in &mut layers {
        layer.parameters.sort_by_key(|p| graph.parameters.iter().position(|other| other == p));
    }
    layers
}

fn stem(graph: &Graph, parameter: ValueId) -> String {
    let name = &graph.value(parameter).name;
    name.rsplit_once('.').map_or(name.as_str(), |(stem, _)| stem).to_owned()
}

/// A subset worth measuring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// For a table.
    pub name: String,
    /// Which parameters of the layers.
    pub kind: Kind,
    /// In graph order; empty: forward only.
    pub parameters: Vec<ValueId>,
}

/// Forward only, and of every suffix of layers each kind of parameters; at most `depths` suffixes,
/// evenly spread, the shortest and the longest among them.
pub fn candidates(graph: &Graph, depths: usize) -> Vec<Candidate> {
    let layers = layers(graph);
    let mut candidates: Vec<Candidate> =
        vec![Candidate { name: "forward only".into(), kind: Kind::All, parameters: vec![] }];
    for count in spread(layers.len(), depths) {
        let suffix = &layers[layers.len() - count..];
        for (kind, what) in Kind::NAMES {
            let parameters = kind.select(graph, suffix);
            // A suffix may add nothing of a kind to a shorter one, or hold nothing else.
            if parameters.is_empty() || candidates.iter().any(|c| c.parameters == parameters) {
                continue;
            }
            let name = match kind {
                Kind::All => format!("from {}", suffix[0].name),
                _ => format!("from {}, {what}", suffix[0].name),
            };
            candidates.push(Candidate { name, kind, parameters });
        }
    }
    candidates
}

/// Parameters that a greedy choice may add together: of every layer each kind.
pub fn additions(graph: &Graph, depths: usize) -> Vec<Vec<ValueId>> {
    let layers = layers(graph);
    let mut additions: Vec<Vec<ValueId>> = Vec::new();
    for count in spread(layers.len(), depths) {
        let layer = std::slice::from_ref(&layers[layers.len() - count]);
        for (kind, _) in Kind::NAMES {
            let parameters = kind.select(graph, layer);
            if !parameters.is_empty() && !additions.contains(&parameters) {
                additions.push(parameters);
            }
        }
    }
    additions
}

/// At most `most` numbers of 1..=count, evenly spread, both ends among them.
fn spread(count: usize, most: usize) -> Vec<usize> {
    if count <= most {
        return (1..=count).collect();
    }
    let at = |index: usize| 1 + index * (count - 1) / most.saturating_sub(1).max(1);
    match most {
        0 | 1 => vec![count; most],
        _ => (0..most).map(at).collect(),
    }
}

/// Taps that a budget chose.
#[derive(Clone, Debug)]
pub struct Chosen {
    /// The very parameters, by name.
    pub taps: Taps,
    /// The same, in graph order.
    pub parameters: Vec<ValueId>,
    /// The deepest layer with taps; `None`: forward only.
    pub deepest: Option<String>,
    /// What the verdict costs.
    pub macs: Macs,
}

/// Why a budget chooses nothing.
#[derive(Clone, Debug, PartialEq)]
pub enum ChoiceError {
    /// Not even the forward pass keeps within it.
    Budget {
        /// What was allowed.
        limit: u64,
        /// The least that is possible.
        forward: u64,
    },
    /// A cost is not known.
    Cost(CostError),
}

impl fmt::Display for ChoiceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ChoiceError::Budget { limit, forward } => write!(
                f,
                "{limit} multiply-adds are allowed, but the forward pass alone takes {forward}: \
                 the smallest budget is {forward}, or 1x"
            ),
            ChoiceError::Cost(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for ChoiceError {}

impl From<CostError> for ChoiceError {
    fn from(error: CostError) -> Self {
        ChoiceError::Cost(error)
    }
}

/// The largest suffix of layers, from the output backwards, whose verdict keeps within the budget:
/// all parameters of these layers are tapped, and the weights that have a reference are aligned.
/// With no such suffix, forward only.
///
/// # Errors
/// When the forward pass alone exceeds the budget.
pub fn choose(
    graph: &Graph,
    budget: MacBudget,
    references: &[Reference],
    products: Products,
) -> Result<Chosen, ChoiceError> {
    let layers = layers(graph);
    let forward = Macs::with_taps(graph, &Taps::none(), &[], products)?;
    let limit = budget.limit(forward.forward);
    if forward.total() > limit {
        return Err(ChoiceError::Budget { limit, forward: forward.total() });
    }
    let mut best = Chosen { taps: Taps::none(), parameters: vec![], deepest: None, macs: forward };
    // A suffix costs at least what a shorter one costs.
    let (mut fits, mut exceeds) = (0, layers.len() + 1);
    while exceeds - fits > 1 {
        let count = fits + (exceeds - fits) / 2;
        let suffix = &layers[layers.len() - count..];
        let parameters = Kind::All.select(graph, suffix);
        let taps = Taps::exactly(graph, &parameters);
        let macs = Macs::with_taps(graph, &taps, references, products)?;
        if macs.total() > limit {
            exceeds = count;
            continue;
        }
        fits = count;
        best = Chosen { taps, parameters, deepest: Some(suffix[0].name.clone()), macs };
    }
    Ok(best)
}

#[cfg(test)]
mod tests {
    use super::spread;

    #[test]
    fn depths_are_spread_evenly() {
        let cases: [(usize, usize, &[usize]); 5] = [
            (3, 5, &[1, 2, 3]),
            (10, 4, &[1, 4, 7, 10]),
            (10, 2, &[1, 10]),
            (10, 1, &[10]),
            (0, 4, &[]),
        ];
        for (count, most, wanted) in cases {
            assert_eq!(spread(count, most), wanted, "{count} {most}");
        }
    }
}
