//! The shortest globs that select exactly some parameters.

use super::{Taps, glob};
use crate::graph::{Graph, ValueId};

/// Taps as text that `Taps::parse` reads back to the very same selection: `none`, `*`, or names
/// with whole subtrees as globs (`layer3.*,linear.*`).
pub fn describe(graph: &Graph, selected: &[ValueId]) -> String {
    let name = |p: &ValueId| graph.value(*p).name.as_str();
    let all: Vec<&str> = graph.parameters.iter().map(name).collect();
    let taken: Vec<&str> = selected.iter().map(name).collect();
    if taken.is_empty() {
        return "none".to_owned();
    }
    let mut patterns: Vec<String> = Vec::new();
    for name in &taken {
        if patterns.iter().any(|pattern| glob(pattern.as_bytes(), name.as_bytes())) {
            continue;
        }
        let pattern = subtrees(name).find(|pattern| {
            let matching = |name: &&&str| glob(pattern.as_bytes(), name.as_bytes());
            all.iter().filter(matching).all(|other| taken.contains(other))
        });
        patterns.push(pattern.unwrap_or_else(|| (*name).to_owned()));
    }
    patterns.join(",")
}

/// Globs of the subtrees that hold a name, the largest first: `*`, `layer3.*`, `layer3.0.*`.
fn subtrees(name: &str) -> impl Iterator<Item = String> {
    let ends = name.match_indices(['.', '/']).map(|(at, _)| at + 1);
    std::iter::once(0).chain(ends).map(|end| format!("{}*", &name[..end]))
}

impl Taps {
    /// Exactly these parameters; none of them: forward only.
    pub fn exactly(graph: &Graph, parameters: &[ValueId]) -> Taps {
        if parameters.is_empty() {
            return Taps::none();
        }
        let names = parameters.iter().map(|&p| graph.value(p).name.clone());
        Taps { include: names.collect(), ..Taps::default() }
    }
}
