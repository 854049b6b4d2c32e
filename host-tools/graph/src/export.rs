//! Writes a Graph, forward and backward alike, as standard ONNX that any runtime executes.
//!
//! Only operators of the default domain are used; each op's spelling is in the file of its name.
//! Names of the model's nodes, values and initializers are kept; what is added begins with
//! `gradgate/`. Nodes that no output needs are left out. The frame axis has length 1.

mod alignment;
mod average_pool;
mod batch_norm;
pub mod builder;
mod concat;
mod conv;
mod detector;
mod elementwise;
mod error;
mod function;
mod gemm;
mod mat_mul;
mod max_pool;
mod names;
mod output;
mod pad;
mod pool;
mod reduce;
mod reshape;
mod site;
mod slice;
mod softmax;
mod squared_norm;
mod table;
mod transpose;
mod unary;

use std::ops::RangeInclusive;

use prost::Message;

pub use builder::{Attribute, Builder};
pub use detector::{DetectorExport, FeatureNames};
pub use error::ExportError;
pub use output::{ExportOutput, Source};

use crate::graph::Graph;
use crate::proto::{
    GraphProto, ModelProto, OperatorSetIdProto, StringStringEntryProto, ValueInfoProto,
};
use builder::value_info;
use names::{assign_names, live_values};
use site::Site;

/// Operator sets that can be written: ScatterElements adds from 16 on, and each of these is tested.
pub const OPSETS: RangeInclusive<i64> = 17..=22;

/// Bytes of constants beyond which a model would need external data: protobuf ends at 2 GiB.
pub const MAX_CONSTANT_BYTES: u64 = 1_900_000_000;

/// How the file is written and what it says about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportOptions {
    /// Version of the default operator set, one of [`OPSETS`].
    pub opset: i64,
    /// Version of the tool that writes the file.
    pub producer_version: String,
    /// `metadata_props`: label, schema, digests; written in this order.
    pub metadata: Vec<(String, String)>,
}

impl Default for ExportOptions {
    fn default() -> Self {
        let producer_version = env!("CARGO_PKG_VERSION").to_owned();
        Self { opset: 17, producer_version, metadata: Vec::new() }
    }
}

/// Encodes `graph` as an ONNX file with the given outputs and, with a detector, `score` `[1]`.
///
/// # Errors
/// See [`ExportError`].
pub fn export(
    graph: &Graph,
    outputs: &[ExportOutput],
    detector: Option<&dyn DetectorExport>,
    options: &ExportOptions,
) -> Result<Vec<u8>, ExportError> {
    Ok(model(graph, outputs, detector, options)?.encode_to_vec())
}

/// As [`export`], before encoding.
pub(crate) fn model(
    graph: &Graph,
    outputs: &[ExportOutput],
    detector: Option<&dyn DetectorExport>,
    options: &ExportOptions,
) -> Result<ModelProto, ExportError> {
    if !OPSETS.contains(&options.opset) {
        return Err(ExportError::Opset(options.opset));
    }
    let input = graph.input.ok_or(ExportError::NoInput)?;
    if let Some(output) = outputs.iter().find(|output| output.values().is_empty()) {
        let reason = "there is nothing to join";
        return Err(ExportError::Output { name: output.name.clone(), reason });
    }
    let live = live_values(graph, outputs);
    check_size(graph, &live)?;
    let mut builder = Builder::new(options.opset);
    let names = assign_names(graph, &live, outputs, detector.is_some(), &mut builder)?;
    let mut message = GraphProto { name: graph.name.clone(), ..GraphProto::default() };
    write_constants(graph, &live, &names, &mut builder);
    write_nodes(graph, &live, &names, &mut builder);
    let mut features = FeatureNames::default();
    for output in outputs {
        let shape = output::write(graph, output, &names, &mut builder);
        message.output.push(value_info(&output.name, &shape));
        features.add(&output.name, &shape);
    }
    if let Some(detector) = detector {
        detector::write(detector, &features, &mut builder)?;
        message.output.push(value_info(detector::SCORE, &[1]));
    }
    message.input.push(value_info(&names[input.0 as usize], graph.shape(input)));
    message.value_info = inner_types(graph, &live, &names, &message);
    (message.node, message.initializer) = (builder.nodes, builder.initializers);
    Ok(wrap(message, options))
}

fn wrap(mut graph: GraphProto, options: &ExportOptions) -> ModelProto {
    // The checker refuses a graph without a name.
    if graph.name.is_empty() {
        graph.name = "gradgate".to_owned();
    }
    let property = |(key, value): &(String, String)| StringStringEntryProto {
        key: key.clone(),
        value: value.clone(),
    };
    // The first file format whose specification lists the operator set.
    let ir_version = match options.opset {
        ..=18 => 8,
        19..=20 => 9,
        _ => 10,
    };
    ModelProto {
        ir_version,
        producer_name: "gradgate".to_owned(),
        producer_version: options.producer_version.clone(),
        graph: Some(graph),
        opset_import: vec![OperatorSetIdProto { domain: String::new(), version: options.opset }],
        metadata_props: options.metadata.iter().map(property).collect(),
        ..ModelProto::default()
    }
}

fn check_size(graph: &Graph, live: &[bool]) -> Result<(), ExportError> {
    let constants =
        graph.values.iter().zip(live).filter(|(value, live)| **live && !value.is_frame());
    let bytes = constants.map(|(value, _)| 4 * value.elements() as u64).sum();
    if bytes > MAX_CONSTANT_BYTES {
        return Err(ExportError::TooLarge { bytes });
    }
    Ok(())
}

fn write_constants(graph: &Graph, live: &[bool], names: &[String], builder: &mut Builder) {
    for (index, value) in graph.values.iter().enumerate() {
        if let (true, Some(tensor)) = (live[index], &value.constant) {
            builder.constant_f32(&names[index], &tensor.shape, &tensor.data);
        }
    }
}

fn write_nodes(graph: &Graph, live: &[bool], names: &[String], builder: &mut Builder) {
    let nodes: Vec<_> = graph.nodes.iter().filter(|node| live[node.output.0 as usize]).collect();
    let node_names: Vec<String> = nodes.iter().map(|node| builder.claim_node(&node.name)).collect();
    for (node, name) in nodes.into_iter().zip(&node_names) {
        builder.scope(name);
        table::emit(&node.op, &mut Site { graph, node, names, name, builder });
    }
    builder.scope("");
}

/// Types of the Graph's own inner values, so that tools without shape inference read the file.
fn inner_types(
    graph: &Graph,
    live: &[bool],
    names: &[String],
    message: &GraphProto,
) -> Vec<ValueInfoProto> {
    let computed = graph.nodes.iter().map(|node| node.output.0 as usize).filter(|&v| live[v]);
    computed
        .filter(|&value| message.output.iter().all(|output| output.name != names[value]))
        .map(|value| value_info(&names[value], &graph.values[value].shape))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{Tensor, ValueId};
    use crate::ops::Op;

    /// image -> sub (logits); relu is an extra output; a dead node stays out.
    fn graph() -> (Graph, ValueId, ValueId) {
        let mut graph = Graph { name: "net".into(), ..Graph::default() };
        let image = graph.add_input("image", [1, 3]);
        let mean = graph.add_constant("mean", Tensor::new([3], vec![1.0, 2.0, 3.0]));
        let y = graph.push_named("centre", "centred", Op::Sub, &[image, mean]).expect("fits");
        graph.push("dead", Op::Sigmoid, &[y]).expect("fits");
        let z = graph.push("relu", Op::Relu, &[y]).expect("fits");
        graph.logits = Some(y);
        (graph, y, z)
    }

    struct Sum;

    impl DetectorExport for Sum {
        fn emit(
            &self,
            builder: &mut Builder,
            features: &FeatureNames,
        ) -> Result<String, ExportError> {
            let axes: Vec<usize> = (0..features.shape("norms")?.len()).collect();
            Ok(builder.reduce("ReduceSum", "norms", &axes, false))
        }
    }

    #[test]
    fn names_order_and_header() {
        let (graph, y, z) = graph();
        let outputs = [ExportOutput::value("logits", y), ExportOutput::row("norms", [y, z])];
        let metadata = vec![("label".to_owned(), "ones".to_owned())];
        let options = ExportOptions { metadata, ..ExportOptions::default() };
        let model = model(&graph, &outputs, Some(&Sum), &options).expect("exports");
        assert_eq!((model.ir_version, model.opset_import[0].version), (8, 17));
        assert_eq!(model.producer_name, "gradgate");
        assert_eq!(model.metadata_props[0].value, "ones");
        let message = model.graph.as_ref().expect("a graph");
        let ops: Vec<&str> = message.node.iter().map(|node| node.op_type.as_str()).collect();
        let expected = "Sub Relu Identity Reshape Reshape Concat Reshape ReduceSum Reshape";
        assert_eq!(ops.join(" "), expected);
        assert_eq!(message.node[0].name, "centre");
        assert_eq!(
            (message.node[0].input.join(" "), &message.node[0].output[0]),
            ("image mean".into(), &"centred".into())
        );
        let outputs: Vec<&str> = message.output.iter().map(|output| output.name.as_str()).collect();
        assert_eq!(outputs, ["logits", "norms", "score"]);
        assert_eq!(message.initializer[0].name, "mean");
        assert_eq!(message.initializer[0].raw_data[4..8], 2.0_f32.to_le_bytes());
        assert_eq!(ModelProto::decode(model.encode_to_vec().as_slice()), Ok(model));
    }

    #[test]
    fn refusals_name_the_cause() {
        let (graph, y, _) = graph();
        let logits = [ExportOutput::value("logits", y)];
        let with = |outputs: &[ExportOutput], detector: Option<&dyn DetectorExport>, opset| {
            let options = ExportOptions { opset, ..ExportOptions::default() };
            export(&graph, outputs, detector, &options).expect_err("refused").to_string()
        };
        assert!(with(&logits, None, 16).contains("17 to 22"));
        assert!(with(&logits, Some(&Sum), 17).contains("`norms`"));
        assert!(with(&[ExportOutput::row("norms", [])], None, 17).contains("nothing to join"));
        let empty = export(&Graph::default(), &[], None, &ExportOptions::default());
        assert_eq!(empty, Err(ExportError::NoInput));
    }

    #[test]
    fn constants_beyond_one_file_are_refused() {
        let (mut graph, y, _) = graph();
        // The size comes from the shape, so that the test need not hold two gigabytes.
        let values = &mut graph.values;
        values[1].shape = vec![MAX_CONSTANT_BYTES as usize / 4 + 1];
        let outputs = [ExportOutput::value("y", y)];
        let error = export(&graph, &outputs, None, &ExportOptions::default());
        assert!(
            matches!(error, Err(ExportError::TooLarge { bytes }) if bytes > MAX_CONSTANT_BYTES)
        );
    }
}
