//! Small ONNX models built in memory, and what the hostile tests ask of them.

#![allow(dead_code)] // every test file uses a part

use gradgate_graph::import::{ImportError, ImportOptions, import_bytes};
use gradgate_graph::proto::{
    AttributeProto, DimensionProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto,
    TensorProto, TensorShapeProto, TensorTypeProto, TypeProto, ValueInfoProto, attribute_type,
    data_type,
};
use prost::Message;

pub fn floats(name: &str, dims: &[i64]) -> TensorProto {
    let count = dims.iter().product::<i64>() as usize;
    TensorProto {
        name: name.into(),
        dims: dims.to_vec(),
        data_type: data_type::FLOAT,
        float_data: vec![0.5; count],
        ..Default::default()
    }
}

pub fn integers(name: &str, values: &[i64]) -> TensorProto {
    TensorProto {
        name: name.into(),
        dims: vec![values.len() as i64],
        data_type: data_type::INT64,
        int64_data: values.to_vec(),
        ..Default::default()
    }
}

pub fn ints(name: &str, values: &[i64]) -> AttributeProto {
    let (name, ints) = (name.into(), values.to_vec());
    AttributeProto { name, ints, r#type: attribute_type::INTS, ..Default::default() }
}

pub fn int(name: &str, i: i64) -> AttributeProto {
    AttributeProto { name: name.into(), i, r#type: attribute_type::INT, ..Default::default() }
}

pub fn float(name: &str, f: f32) -> AttributeProto {
    AttributeProto { name: name.into(), f, r#type: attribute_type::FLOAT, ..Default::default() }
}

pub fn text(name: &str, s: &str) -> AttributeProto {
    let (name, s) = (name.into(), s.as_bytes().to_vec());
    AttributeProto { name, s, r#type: attribute_type::STRING, ..Default::default() }
}

pub fn node(op: &str, inputs: &[&str], output: &str, attribute: Vec<AttributeProto>) -> NodeProto {
    NodeProto {
        name: format!("the_{output}"),
        op_type: op.into(),
        input: inputs.iter().map(|&name| name.into()).collect(),
        output: vec![output.into()],
        attribute,
        ..Default::default()
    }
}

pub fn value(name: &str, lengths: &[i64]) -> ValueInfoProto {
    let dim = lengths
        .iter()
        .map(|&length| DimensionProto {
            dim_value: (length >= 0).then_some(length),
            dim_param: None,
        })
        .collect();
    let shape = Some(TensorShapeProto { dim });
    let tensor_type = Some(TensorTypeProto { elem_type: data_type::FLOAT, shape });
    ValueInfoProto { name: name.into(), r#type: Some(TypeProto { tensor_type }) }
}

/// `image [1, 2, 4, 4]` -> the nodes -> Flatten -> `logits`; `last` feeds the Flatten.
pub fn model(nodes: Vec<NodeProto>, last: &str, initializer: Vec<TensorProto>) -> ModelProto {
    let mut all = nodes;
    all.push(node("Flatten", &[last], "logits", vec![]));
    let graph = GraphProto {
        node: all,
        initializer,
        input: vec![value("image", &[-1, 2, 4, 4])],
        output: vec![ValueInfoProto { name: "logits".into(), ..Default::default() }],
        ..Default::default()
    };
    let opset_import = vec![OperatorSetIdProto { domain: String::new(), version: 17 }];
    ModelProto { ir_version: 8, graph: Some(graph), opset_import, ..Default::default() }
}

/// A valid model: one convolution.
pub fn convolution() -> ModelProto {
    let conv = node("Conv", &["image", "w"], "y", vec![]);
    model(vec![conv], "y", vec![floats("w", &[3, 2, 3, 3])])
}

pub fn graph(model: &mut ModelProto) -> &mut GraphProto {
    model.graph.as_mut().expect("graph")
}

pub fn import(model: &ModelProto) -> Result<(), ImportError> {
    import_bytes(&model.encode_to_vec(), None, &ImportOptions::default()).map(drop)
}

pub fn refused(model: &ModelProto) -> String {
    import(model).expect_err("must be refused").to_string()
}

pub fn assert_refused(model: &ModelProto, parts: &[&str]) {
    let text = refused(model);
    for part in parts {
        assert!(text.contains(part), "`{part}` is not in: {text}");
    }
}

/// Refused by node `the_y` with these words.
pub fn assert_node_refused(op: &str, model: &ModelProto, part: &str) {
    assert_refused(model, &[&format!("node `the_y` ({op})"), part]);
}
