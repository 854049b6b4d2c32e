//! Hostile and broken files: every one is refused with a message, none panics.

mod import_support;

use std::path::Path;

use gradgate_graph::import::{ImportError, ImportOptions, Limits, Note, import_bytes};
use gradgate_graph::proto::{
    AttributeProto, GraphProto, ModelProto, NodeProto, SparseTensorProto, TensorProto,
    attribute_type, data_type,
};
use import_support::{
    assert_node_refused, assert_refused, convolution, float, floats, graph, import, int, integers,
    ints, model, node, refused, value,
};
use prost::Message;

#[test]
fn the_base_model_is_accepted() {
    import(&convolution()).expect("valid");
}

#[test]
fn bytes_that_are_no_model_are_refused() {
    for bytes in [&[][..], b"hello", &[0x0a, 0xff], &[0xff; 64], &[0x3a, 0x00]] {
        let result = import_bytes(bytes, None, &ImportOptions::default());
        assert!(matches!(result, Err(ImportError::Malformed(_))), "{bytes:?}");
    }
}

#[test]
fn every_truncation_is_refused() {
    let bytes = convolution().encode_to_vec();
    for length in 0..bytes.len() {
        let result = import_bytes(&bytes[..length], None, &ImportOptions::default());
        assert!(result.is_err(), "{length} of {} bytes", bytes.len());
    }
}

#[test]
fn nested_graphs_are_refused_and_do_not_overflow_the_stack() {
    let mut inner = GraphProto::default();
    for _ in 0..40 {
        let mut attribute = int("body", 0);
        attribute.r#type = attribute_type::GRAPH;
        attribute.g = Some(Box::new(inner));
        inner =
            GraphProto { node: vec![node("If", &[], "y", vec![attribute])], ..Default::default() };
    }
    let text = refused(&ModelProto { graph: Some(inner), ..convolution() });
    assert!(text.contains("depth of messages"), "{text}");
    // Deeper than prost can build: the same nesting written as bytes.
    let mut bytes = Vec::new();
    for tag in [6_u8, 5, 1].iter().cycle().take(3_000) {
        let mut outer = vec![tag << 3 | 2];
        prost::encoding::encode_varint(bytes.len() as u64, &mut outer);
        outer.append(&mut bytes);
        bytes = outer;
    }
    let mut whole = vec![0x3a];
    prost::encoding::encode_varint(bytes.len() as u64, &mut whole);
    whole.append(&mut bytes);
    let error = import_bytes(&whole, None, &ImportOptions::default()).expect_err("nested");
    assert!(error.to_string().contains("depth of messages"), "{error}");
    // Where the limit is lifted, the decoder's own holds.
    let mut options = ImportOptions::default();
    options.limits.nesting = usize::MAX;
    let error = import_bytes(&whole, None, &options).expect_err("nested");
    assert!(error.to_string().contains("recursion"), "{error}");
}

#[test]
fn counts_over_the_limits_are_refused() {
    let bytes = convolution().encode_to_vec();
    type Tighten = fn(&mut Limits);
    let tight: [(&str, Tighten); 6] = [
        ("size in bytes", |limits| limits.file_bytes = 100),
        ("messages", |limits| limits.messages = 5),
        ("packed integers", |limits| limits.packed_bytes = 3),
        ("node count", |limits| limits.nodes = 1),
        ("element count", |limits| limits.elements = 53),
        ("all constants", |limits| limits.total_elements = 53),
    ];
    for (part, tighten) in tight {
        let mut options = ImportOptions::default();
        tighten(&mut options.limits);
        let error = import_bytes(&bytes, None, &options).expect_err(part);
        assert!(matches!(&error, ImportError::Limit { .. }), "{part}: {error}");
        assert!(error.to_string().contains(part), "{part}: {error}");
    }
}

#[test]
fn huge_and_negative_shapes_are_refused_before_memory_is_taken() {
    for dims in
        [vec![1 << 40], vec![i64::MAX, i64::MAX], vec![-1, 2], vec![1; 9], vec![0, i64::MAX]]
    {
        let mut hostile = convolution();
        graph(&mut hostile).initializer[0].dims = dims;
        assert_refused(&hostile, &["`w`"]);
    }
    let mut hostile = convolution();
    graph(&mut hostile).input[0] = value("image", &[1, 2, 1 << 30, 1 << 30]);
    assert_refused(&hostile, &["element count", "limit"]);
}

#[test]
fn computed_constants_cannot_amplify() {
    let big = integers("big", &[1 << 30, 1 << 30]);
    for (op, inputs) in [
        ("ConstantOfShape", vec!["big"]),
        ("Expand", vec!["one", "big"]),
        ("Range", vec!["zero", "far", "one"]),
        ("Pad", vec!["one", "big"]),
    ] {
        let scalar = |name, value| TensorProto { dims: vec![], ..integers(name, &[value]) };
        let one = if op == "Pad" { integers("one", &[1]) } else { scalar("one", 1) };
        let stored = vec![big.clone(), one, scalar("zero", 0), scalar("far", i64::MAX)];
        let nodes =
            vec![node(op, &inputs, "y", vec![]), node("Reshape", &["image", "y"], "z", vec![])];
        let text = refused(&model(nodes, "z", stored));
        assert!(text.contains("node `the_y`") && text.contains("limit"), "{op}: {text}");
    }
}

#[test]
fn a_name_with_two_producers_is_refused() {
    let mut twice = convolution();
    let copy = graph(&mut twice).node[0].clone();
    graph(&mut twice).node.insert(1, copy);
    assert_refused(&twice, &["`y` is defined a second time"]);
    let mut shadow = convolution();
    graph(&mut shadow).node[0].output[0] = "w".into();
    assert_refused(&shadow, &["`w` is defined a second time"]);
    let mut stored = convolution();
    let copy = graph(&mut stored).initializer[0].clone();
    graph(&mut stored).initializer.push(copy);
    assert_refused(&stored, &["`w`", "stored twice"]);
    let mut inputs = convolution();
    let copy = graph(&mut inputs).input[0].clone();
    graph(&mut inputs).input.push(copy);
    assert_refused(&inputs, &["`image` is listed twice"]);
}

#[test]
fn dangling_names_are_refused() {
    let mut dangling = convolution();
    graph(&mut dangling).node[0].input[1] = "nowhere".into();
    assert_refused(&dangling, &["the_y", "`nowhere`, which is not defined"]);
    let mut output = convolution();
    graph(&mut output).output[0].name = "nowhere".into();
    assert_refused(&output, &["output `nowhere` is not defined"]);
}

#[test]
fn cycles_and_wrong_order_are_refused() {
    let cycle = model(
        vec![node("Add", &["image", "b"], "a", vec![]), node("Relu", &["a"], "b", vec![])],
        "b",
        vec![],
    );
    assert_refused(&cycle, &["the_a", "cycle or is not in topological order"]);
    let own = model(vec![node("Add", &["image", "y"], "y", vec![])], "y", vec![]);
    assert_refused(&own, &["the_y", "cycle"]);
    let mut unsorted = convolution();
    graph(&mut unsorted).node.swap(0, 1);
    assert_refused(&unsorted, &["`y`, which only a later node computes"]);
}

#[test]
fn a_wrong_raw_length_is_refused() {
    for length in [1, 53 * 4, 54 * 4 - 1, 54 * 4 + 1, 55 * 4] {
        let mut wrong = convolution();
        let tensor = &mut graph(&mut wrong).initializer[0];
        tensor.float_data.clear();
        tensor.raw_data = vec![0; length];
        assert_refused(&wrong, &["tensor `w`", "its shape and type ask for 216"]);
    }
}

#[test]
fn weights_that_are_not_finite_are_refused_by_name() {
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let mut wrong = convolution();
        graph(&mut wrong).initializer[0].float_data[7] = bad;
        assert_refused(&wrong, &["tensor `w`", &format!("holds {bad}")]);
    }
}

#[test]
fn doubles_and_sparse_tensors_are_refused_with_a_remedy() {
    let mut double = convolution();
    let tensor = &mut graph(&mut double).initializer[0];
    tensor.data_type = data_type::DOUBLE;
    tensor.double_data = vec![0.1; 54];
    assert_refused(&double, &["tensor `w`", "model.float()"]);
    let mut sparse = convolution();
    let values = Some(floats("s", &[1]));
    graph(&mut sparse).sparse_initializer.push(SparseTensorProto { values, dims: vec![9] });
    assert_refused(&sparse, &["tensor `s`", "dense"]);
}

#[test]
fn other_operator_sets_and_domains_are_refused() {
    for (version, ok) in [(8, false), (9, true), (22, true), (23, false), (i64::MIN, false)] {
        let mut other = convolution();
        other.opset_import[0].version = version;
        assert_eq!(import(&other).is_ok(), ok, "{version}");
    }
    let mut ai = convolution();
    ai.opset_import[0].domain = "ai.onnx".into();
    import(&ai).expect("the default domain's long name");
    ai.opset_import.clear();
    assert_refused(&ai, &["no version"]);
    let mut custom = convolution();
    graph(&mut custom).node[0].domain = "com.microsoft".into();
    assert_refused(&custom, &["com.microsoft::Conv", "another domain"]);
}

#[test]
fn inputs_that_are_no_single_image_are_refused() {
    for (lengths, part) in [
        (vec![-1, 8], "2 axes"),
        (vec![-1, -1, 4, 4], "channel count"),
        (vec![-1, 2, -1, 4], "height"),
        (vec![-1, 2, 4, 0], "width"),
        (vec![], "0 axes"),
    ] {
        let mut other = convolution();
        graph(&mut other).input[0] = value("image", &lengths);
        assert_refused(&other, &["`image`", part]);
    }
    let mut bytes = convolution();
    let kind = graph(&mut bytes).input[0].r#type.as_mut().and_then(|t| t.tensor_type.as_mut());
    kind.expect("tensor").elem_type = data_type::UINT8;
    assert_refused(&bytes, &["element type 2"]);
    let mut two = convolution();
    graph(&mut two).input.push(value("w2", &[1]));
    graph(&mut two).node.insert(1, node("Add", &["y", "w2"], "y2", vec![]));
    graph(&mut two).node[2].input[0] = "y2".into();
    assert_refused(&two, &["depend on 2 inputs"]);
    let mut none = convolution();
    graph(&mut none).node[1].input[0] = "w".into();
    assert_refused(&none, &["depend on 0 inputs"]);
}

#[test]
fn channels_last_with_a_transpose_become_channels_first() {
    let swap = node("Transpose", &["image"], "nchw", vec![ints("perm", &[0, 3, 1, 2])]);
    let conv = node("Conv", &["nchw", "w"], "y", vec![]);
    let mut last = model(vec![swap, conv], "y", vec![floats("w", &[3, 2, 3, 3])]);
    graph(&mut last).input[0] = value("image", &[-1, 4, 6, 2]);
    let options = ImportOptions::default();
    let imported = import_bytes(&last.encode_to_vec(), None, &options).expect("channels last");
    let input = imported.graph.input.expect("input");
    assert_eq!(imported.graph.shape(input), [1, 2, 4, 6]);
    assert_eq!(imported.notes, [Note::ChannelsLast]);
    assert_eq!(imported.graph.nodes.len(), 2);
}

#[test]
fn an_epsilon_that_is_no_number_is_refused() {
    let vectors = ["v", "v", "v", "v"];
    let operators: [(&str, usize, Vec<AttributeProto>); 4] = [
        ("BatchNormalization", 4, vec![]),
        ("LayerNormalization", 2, vec![int("axis", 1)]),
        ("InstanceNormalization", 2, vec![]),
        ("GroupNormalization", 2, vec![int("num_groups", 1)]),
    ];
    for (op, count, attributes) in operators {
        let with = |epsilon: f32| {
            let inputs = [&["image"], &vectors[..count]].concat();
            let attributes = [attributes.clone(), vec![float("epsilon", epsilon)]].concat();
            let shape: &[i64] = if op == "LayerNormalization" { &[2, 4, 4] } else { &[2] };
            let mut model =
                model(vec![node(op, &inputs, "y", attributes)], "y", vec![floats("v", shape)]);
            model.opset_import[0].version = 21;
            model
        };
        for epsilon in [f32::NAN, f32::INFINITY, -1.0] {
            assert_node_refused(op, &with(epsilon), &format!("attribute `epsilon` is {epsilon}"));
        }
        import(&with(0.5)).unwrap_or_else(|error| panic!("{op}: {error}"));
    }
}

#[test]
fn many_axes_and_many_reads_cost_bounded_time() {
    let many = integers("many", &(0..200_000).collect::<Vec<_>>());
    let grow = node("Unsqueeze", &["one", "many"], "y", vec![]);
    let add = node("Add", &["image", "y"], "z", vec![]);
    let hostile = model(vec![grow, add], "z", vec![floats("one", &[1]), many]);
    assert_node_refused("Unsqueeze", &hostile, "axes are added");
    let mut options = ImportOptions::default();
    options.limits.total_elements = 1_100;
    let reduce = |i: usize| node("ReduceMin", &["long"], &format!("r{i}"), vec![]);
    let mut nodes: Vec<NodeProto> = (0..20).map(reduce).collect();
    let names: Vec<String> = (0..20).map(|i| format!("r{i}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    nodes.push(node("Concat", &names, "shape", vec![int("axis", 0)]));
    nodes.push(node("Reshape", &["image", "shape"], "y", vec![]));
    let hostile = model(nodes, "y", vec![integers("long", &vec![1; 1_000])]);
    let error = import_bytes(&hostile.encode_to_vec(), None, &options).expect_err("work");
    assert!(error.to_string().contains("all constant operands"), "{error}");
}

/// SplitMix64 (Steele et al. 2014).
fn random(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[test]
fn mutated_models_never_panic() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/onnx");
    let mut options = ImportOptions::default();
    (options.limits.elements, options.limits.total_elements) = (1 << 16, 1 << 18);
    let seed = 7;
    let mut state = seed;
    let mut accepted = 0;
    for name in ["operators_9", "operators_22", "shape_chain", "tiny_dynamo_kept", "types"] {
        let original = std::fs::read(folder.join(format!("{name}.onnx"))).expect("readable");
        for round in 0..3_000 {
            let mut bytes = original.clone();
            for _ in 0..=random(&mut state) % 4 {
                let index = random(&mut state) as usize % bytes.len();
                bytes[index] = random(&mut state) as u8;
            }
            let result = std::panic::catch_unwind(|| import_bytes(&bytes, None, &options).is_ok());
            match result {
                Ok(ok) => accepted += usize::from(ok),
                Err(_) => panic!("{name}, seed {seed}, round {round}: the import panicked"),
            }
        }
    }
    // Most mutations hit weights; were none accepted, the test would not reach the nodes.
    assert!(accepted > 3_000, "{accepted}");
}
