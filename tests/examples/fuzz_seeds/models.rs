//! ONNX models, one for each shape of attack. Models that are accepted are the golden files.

use gradgate_graph::proto::{
    AttributeProto, DimensionProto, FunctionProto, GraphProto, ModelProto, NodeProto,
    OperatorSetIdProto, StringStringEntryProto, TensorProto, TensorShapeProto, TensorTypeProto,
    TypeProto, ValueInfoProto, attribute_type, data_location, data_type,
};
use prost::Message;

use crate::{Seed, seed};

fn node(op: &str, inputs: &[&str], output: &str, attribute: Vec<AttributeProto>) -> NodeProto {
    NodeProto {
        op_type: op.into(),
        input: inputs.iter().map(|&name| name.into()).collect(),
        output: vec![output.into()],
        attribute,
        ..Default::default()
    }
}

fn ints(name: &str, values: &[i64]) -> AttributeProto {
    let (name, ints) = (name.into(), values.to_vec());
    AttributeProto { name, ints, r#type: attribute_type::INTS, ..Default::default() }
}

fn int(name: &str, i: i64) -> AttributeProto {
    AttributeProto { name: name.into(), i, r#type: attribute_type::INT, ..Default::default() }
}

fn integers(name: &str, values: &[i64]) -> TensorProto {
    TensorProto {
        name: name.into(),
        dims: vec![values.len() as i64],
        data_type: data_type::INT64,
        int64_data: values.to_vec(),
        ..Default::default()
    }
}

fn weight() -> TensorProto {
    TensorProto {
        name: "w".into(),
        dims: vec![3, 2, 3, 3],
        data_type: data_type::FLOAT,
        float_data: vec![0.5; 54],
        ..Default::default()
    }
}

fn image() -> ValueInfoProto {
    let axis = |length| DimensionProto { dim_value: Some(length), dim_param: None };
    let shape = Some(TensorShapeProto { dim: [1, 2, 4, 4].map(axis).to_vec() });
    let tensor_type = Some(TensorTypeProto { elem_type: data_type::FLOAT, shape });
    ValueInfoProto { name: "image".into(), r#type: Some(TypeProto { tensor_type }) }
}

/// `image` -> the nodes -> `y` -> Flatten -> `logits`.
fn model(mut nodes: Vec<NodeProto>, initializer: Vec<TensorProto>) -> ModelProto {
    nodes.push(node("Flatten", &["y"], "logits", vec![]));
    let graph = GraphProto {
        node: nodes,
        initializer,
        input: vec![image()],
        output: vec![ValueInfoProto { name: "logits".into(), ..Default::default() }],
        ..Default::default()
    };
    let opset = OperatorSetIdProto { domain: String::new(), version: 18 };
    ModelProto {
        ir_version: 8,
        graph: Some(graph),
        opset_import: vec![opset],
        ..Default::default()
    }
}

fn with_weight(change: impl FnOnce(&mut TensorProto)) -> ModelProto {
    let mut stored = weight();
    change(&mut stored);
    model(vec![node("Conv", &["image", "w"], "y", vec![])], vec![stored])
}

fn with_attribute(attribute: AttributeProto) -> ModelProto {
    model(vec![node("Conv", &["image", "w"], "y", vec![attribute])], vec![weight()])
}

fn external(location: &str) -> ModelProto {
    with_weight(|stored| {
        stored.float_data.clear();
        stored.data_location = data_location::EXTERNAL;
        let entry = |key: &str, value: &str| StringStringEntryProto {
            key: key.into(),
            value: value.into(),
        };
        stored.external_data =
            vec![entry("location", location), entry("offset", "18446744073709551615")];
    })
}

/// Through a reshape whose target a node computes from `list`.
fn computed(op: &str, list: &[i64], attribute: Vec<AttributeProto>) -> ModelProto {
    let inputs: &[&str] = match op {
        "ConstantOfShape" => &["list"],
        _ => &["list", "list"],
    };
    let nodes = vec![
        node(op, inputs, "shape", attribute),
        node("Reshape", &["image", "shape"], "y", vec![]),
    ];
    model(nodes, vec![integers("list", list)])
}

fn wrap(number: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![number << 3 | 2];
    prost::encoding::encode_varint(body.len() as u64, &mut bytes);
    bytes.extend_from_slice(body);
    bytes
}

/// Graphs in attributes of nodes of graphs, deeper than any decoder follows.
fn nested() -> Vec<u8> {
    let inner = (0..120).fold(Vec::new(), |body, _| wrap(1, &wrap(5, &wrap(6, &body))));
    wrap(7, &inner)
}

fn functions() -> ModelProto {
    let calls_itself = FunctionProto { name: "again".into(), domain: "own".into() };
    let mut call = node("again", &["image"], "y", vec![]);
    call.domain = "own".into();
    ModelProto { functions: vec![calls_itself], ..model(vec![call], vec![]) }
}

pub fn seeds() -> Vec<Seed> {
    let relu = |from: &str, to: &str| node("Relu", &[from], to, vec![]);
    let swap = vec![node("Transpose", &["image"], "y", vec![ints("perm", &[0, 1, 1, 3])])];
    let soft = vec![node("Softmax", &["image"], "y", vec![int("axis", i64::MIN)])];
    let models = [
        ("size_overflow", with_weight(|w| w.dims = vec![1 << 32, 1 << 32, 1, 1])),
        ("zero_hides_overflow", with_weight(|w| w.dims = vec![0, i64::MAX, i64::MAX, 2])),
        ("negative_length", with_weight(|w| w.dims[0] = -3)),
        ("short_payload", with_weight(|w| w.float_data.truncate(53))),
        ("raw_not_of_elements", with_weight(|w| w.raw_data = vec![0; 215])),
        ("nan_weight", with_weight(|w| w.float_data[7] = f32::NAN)),
        ("pads_shorter_than_rank", with_attribute(ints("pads", &[1, 1, 1]))),
        ("stride_zero", with_attribute(ints("strides", &[0, 1]))),
        ("pads_overflow", with_attribute(ints("pads", &[i64::MAX; 4]))),
        ("groups_do_not_divide", with_attribute(int("group", 3))),
        ("index_out_of_range", computed("Gather", &[1, -1, 9], vec![])),
        ("computed_bomb", computed("ConstantOfShape", &[1 << 30, 1 << 30], vec![])),
        ("axis_out_of_range", model(soft, vec![])),
        ("permutation_repeats", model(swap, vec![])),
        ("cycle", model(vec![relu("b", "y"), relu("y", "b")], vec![])),
        ("two_producers", model(vec![relu("image", "y"), relu("image", "y")], vec![])),
        ("dangling", model(vec![relu("nowhere", "y")], vec![])),
        ("function_of_itself", functions()),
        ("external_absolute", external("/etc/hostname")),
        ("external_parent", external("sub/../../w.bin")),
        ("tensor_bomb", model(vec![], vec![TensorProto::default(); 500])),
    ];
    let mut seeds: Vec<Seed> = models
        .iter()
        .map(|(name, model)| seed(&format!("attack-{name}.onnx"), model.encode_to_vec()))
        .collect();
    seeds.push(seed("attack-nesting.onnx", nested()));
    seeds.push(seed("attack-node_bomb.onnx", wrap(7, &wrap(1, &[]).repeat(500))));
    seeds.push(seed("attack-length_beyond_the_file.onnx", [0x3a, 0xff, 0xff, 0xff, 0xff, 0x0f]));
    seeds.push(seed("attack-long_number.onnx", [0x3a, 4, 0x08, 0xff, 0xff, 0xff].repeat(3)));
    seeds.push(seed("attack-group_tag.onnx", wrap(7, &[0x0b, 0x0c])));
    seeds
}
