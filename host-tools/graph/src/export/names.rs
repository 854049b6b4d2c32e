//! What is written, and under which names.

use super::builder::Builder;
use super::{ExportError, ExportOutput, Source, detector};
use crate::graph::Graph;

/// Which values the outputs need; the image always.
pub(super) fn live_values(graph: &Graph, outputs: &[ExportOutput]) -> Vec<bool> {
    let mut live = vec![false; graph.values.len()];
    for value in outputs.iter().flat_map(ExportOutput::values).chain(&graph.input) {
        live[value.0 as usize] = true;
    }
    for node in graph.nodes.iter().rev() {
        if live[node.output.0 as usize] {
            for input in &node.inputs {
                live[input.0 as usize] = true;
            }
        }
    }
    live
}

/// A unique ONNX name for every live value, empty for the others. The image and the outputs
/// choose first: another value that bears the name of an output gives it up.
pub(super) fn assign_names(
    graph: &Graph,
    live: &[bool],
    outputs: &[ExportOutput],
    score: bool,
    builder: &mut Builder,
) -> Result<Vec<String>, ExportError> {
    let mut names = vec![String::new(); graph.values.len()];
    if let Some(input) = graph.input {
        names[input.0 as usize] = claim(&graph.value(input).name, "image", builder);
    }
    let score = score.then_some(detector::SCORE);
    for name in outputs.iter().map(|output| output.name.as_str()).chain(score) {
        if !builder.claim_value(name) {
            let reason = "the name is empty, or the image or another output has it; rename one";
            return Err(ExportError::Output { name: name.to_owned(), reason });
        }
    }
    for output in outputs {
        if let Source::Value(id) = output.source {
            let value = graph.value(id);
            if value.name == output.name && value.is_frame() {
                names[id.0 as usize].clone_from(&output.name);
            }
        }
    }
    for (index, value) in graph.values.iter().enumerate() {
        if live[index] && names[index].is_empty() {
            names[index] = claim(&value.name, "value", builder);
        }
    }
    Ok(names)
}

/// The name as it stands where nothing has it yet.
fn claim(name: &str, otherwise: &str, builder: &mut Builder) -> String {
    match builder.claim_value(name) {
        true => name.to_owned(),
        false => builder.fresh(if name.is_empty() { otherwise } else { name }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::Op;

    #[test]
    fn names_of_the_model_are_kept_where_they_can_be() {
        let mut graph = Graph::default();
        let image = graph.add_input("image", [1, 2]);
        let clash = graph.push("logits", Op::Relu, &[image]).expect("fits");
        let twin = graph.push("relu", Op::Relu, &[clash]).expect("fits");
        let unnamed = graph.push_named("relu", "", Op::Relu, &[twin]).expect("fits");
        let same = graph.push("relu", Op::Relu, &[unnamed]).expect("fits");
        let dead = graph.push("dead", Op::Relu, &[image]).expect("fits");
        let last = graph.push("penultimate", Op::Relu, &[same]).expect("fits");
        let outputs =
            [ExportOutput::value("logits", same), ExportOutput::value("penultimate", last)];
        let live = live_values(&graph, &outputs);
        assert!(!live[dead.0 as usize]);
        let mut builder = Builder::new(17);
        let names = assign_names(&graph, &live, &outputs, true, &mut builder).expect("unique");
        let expected = [
            "image",
            "gradgate/logits",
            "relu",
            "gradgate/value",
            "gradgate/relu",
            "",
            "penultimate",
        ];
        assert_eq!(names, expected);
    }

    #[test]
    fn output_names_are_not_shared() {
        let mut graph = Graph::default();
        let image = graph.add_input("score", [1, 2]);
        let y = graph.push("y", Op::Relu, &[image]).expect("fits");
        for (names, score, refused) in [
            (["a", "b"], false, false),
            (["a", "a"], false, true),
            (["a", ""], false, true),
            (["a", "score"], false, true),
            (["a", "b"], true, true),
        ] {
            let outputs = names.map(|name| ExportOutput::value(name, y));
            let live = live_values(&graph, &outputs);
            let got = assign_names(&graph, &live, &outputs, score, &mut Builder::new(17));
            assert_eq!(got.is_err(), refused, "{names:?} {score}");
        }
    }
}
