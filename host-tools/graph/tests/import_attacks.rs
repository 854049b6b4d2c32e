//! Shapes of attack on model importers that have been seen in the wild, each refused by name.
//!
//! What is broken rather than hostile is in import_hostile.rs.

mod import_support;

use std::path::Path;

use gradgate_graph::import::{ImportError, ImportOptions, Limits, import_bytes, import_file};
use gradgate_graph::proto::{
    FunctionProto, GraphProto, ModelProto, NodeProto, TensorProto, data_type,
};
use import_support::{
    assert_node_refused, assert_refused, convolution, floats, graph, int, integers, ints, model,
    node, refused, value,
};
use prost::Message;

fn refused_bytes(bytes: &[u8], options: &ImportOptions) -> ImportError {
    import_bytes(bytes, None, options).expect_err("must be refused")
}

/// A length-delimited field.
fn wrap(number: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![number << 3 | 2];
    prost::encoding::encode_varint(body.len() as u64, &mut bytes);
    bytes.extend_from_slice(body);
    bytes
}

#[test]
fn index_tensors_out_of_range_are_refused() {
    for index in [3, -4, i64::MAX, i64::MIN] {
        let nodes = vec![
            node("Gather", &["list", "at"], "y", vec![]),
            node("Reshape", &["image", "y"], "z", vec![]),
        ];
        let stored = vec![integers("list", &[1, 2, 16]), integers("at", &[0, index])];
        let text = refused(&model(nodes, "z", stored));
        assert!(
            text.contains("node `the_y` (Gather)") && text.contains("outside axis 0"),
            "{text}"
        );
    }
}

#[test]
fn weights_of_a_resize_are_counted_before_they_are_made() {
    for (rows, columns) in [(4, 300_001), (300_001, 4)] {
        let sizes = integers("sizes", &[1, 2, rows, columns]);
        let resize = node("Resize", &["image", "", "", "sizes"], "y", vec![]);
        assert_node_refused("Resize", &model(vec![resize], "y", vec![sizes]), "constants");
    }
    for scale in [f32::NAN, f32::INFINITY, -1.0, 0.0, 0.1, 1e30] {
        let mut scales = floats("scales", &[4]);
        scales.float_data = vec![1.0, 1.0, 1.0, scale];
        let resize = node("Resize", &["image", "", "scales"], "y", vec![]);
        let text = refused(&model(vec![resize], "y", vec![scales]));
        assert!(text.contains("the_y"), "{text}");
    }
}

#[test]
fn axes_out_of_range_and_permutations_with_repeats_are_refused() {
    for axis in [4, -5, i64::MAX, i64::MIN] {
        for op in ["Softmax", "Flatten", "Concat"] {
            // A Flatten may also end behind the last axis.
            if (op, axis) != ("Flatten", 4) {
                let hostile = node(op, &["image"], "y", vec![int("axis", axis)]);
                assert_node_refused(op, &model(vec![hostile], "y", vec![]), "axis");
            }
        }
        let mean = node("ReduceMean", &["image"], "y", vec![ints("axes", &[axis])]);
        assert_node_refused("ReduceMean", &model(vec![mean], "y", vec![]), "axis");
    }
    for (order, part) in [
        (vec![0, 1, 1, 3], "listed twice"),
        (vec![0, -1, 2, 3], "listed twice"),
        (vec![0, 1, 2], "does not permute 4 axes"),
        (vec![0, 1, 2, 4], "axis 4 of a value of rank 4"),
    ] {
        let swap = node("Transpose", &["image"], "y", vec![ints("perm", &order)]);
        let relu = node("Relu", &["y"], "z", vec![]);
        assert_node_refused("Transpose", &model(vec![swap, relu], "z", vec![]), part);
    }
    let twice = node("ReduceMean", &["image"], "y", vec![ints("axes", &[2, -2])]);
    assert_node_refused("ReduceMean", &model(vec![twice], "y", vec![]), "twice");
}

#[test]
fn every_limit_is_named_with_what_was_found() {
    type Tighten = fn(&mut Limits);
    let cases: [(Tighten, &str); 8] = [
        (|l| l.nodes = 1, "the graph's node count is 2, over the limit of 1"),
        (
            |l| l.operands = 2,
            "node `the_y`: count of operands and outputs is 3, over the limit of 2",
        ),
        (|l| l.attributes = 0, "node `the_y`: attribute count is 1, over the limit of 0"),
        (|l| l.name_bytes = 5, "length in bytes of `logits..` is 6, over the limit of 5"),
        (|l| l.elements = 53, "tensor `w`: element count of a value of shape [3, 2, 3, 3] is 54"),
        (|l| l.total_elements = 53, "element count of all constants is 54, over the limit of 53"),
        (|l| l.rank = 3, "rank of a value is 4, over the limit of 3"),
        (|l| l.nesting = 6, "depth of messages inside one another"),
    ];
    let mut hostile = convolution();
    graph(&mut hostile).node[0].attribute.push(int("group", 1));
    for (tighten, part) in cases {
        let mut options = ImportOptions::default();
        tighten(&mut options.limits);
        let error = refused_bytes(&hostile.encode_to_vec(), &options);
        assert!(matches!(error, ImportError::Limit { .. }), "{error}");
        assert!(error.to_string().contains(part), "`{part}` is not in: {error}");
    }
}

#[test]
fn a_million_nodes_are_refused() {
    let opset = wrap(8, &[0x10, 18]);
    let bytes = [opset, wrap(7, &wrap(1, &[]).repeat(1_000_000))].concat();
    let error = refused_bytes(&bytes, &ImportOptions::default());
    assert_eq!(error.to_string(), "the graph's node count is 1000000, over the limit of 100000");
}

#[test]
fn tensor_count_bombs_are_refused() {
    let bytes = wrap(7, &wrap(5, &[]).repeat(2_000_000));
    let error = refused_bytes(&bytes, &ImportOptions::default());
    assert!(error.to_string().contains("messages and strings in the file is 2000001"), "{error}");
    let many = vec![TensorProto::default(); 2];
    let hostile = ModelProto {
        graph: Some(GraphProto { initializer: many, ..Default::default() }),
        ..convolution()
    };
    assert_refused(&hostile, &["stored twice"]);
}

#[test]
fn endless_names_and_lists_are_refused() {
    let long = "é".repeat(3_000);
    type Spoil = fn(&mut GraphProto, &str);
    let spoils: [Spoil; 9] = [
        |g, long| g.name = long.into(),
        |g, long| g.node[0].name = long.into(),
        |g, long| g.node[0].output[0] = long.into(),
        |g, long| g.node[0].input[1] = long.into(),
        |g, long| g.node[0].op_type = long.into(),
        |g, long| g.node[0].domain = long.into(),
        |g, long| g.node[0].attribute.push(int(long, 1)),
        |g, long| g.initializer[0].name = long.into(),
        |g, long| g.input[0].name = long.into(),
    ];
    for spoil in spoils {
        let mut hostile = convolution();
        spoil(graph(&mut hostile), &long);
        let text = refused(&hostile);
        assert!(text.contains("is 6000, over the limit of 4096") && text.len() < 300, "{text}");
    }
    let mut hostile = convolution();
    graph(&mut hostile).node[0].attribute = vec![int("group", 1); 65];
    assert_refused(&hostile, &["node `the_y`: attribute count is 65, over the limit of 64"]);
    graph(&mut hostile).node[0].input = vec!["image".into(); 5_000];
    assert_refused(&hostile, &["node `the_y`: count of operands and outputs is 5001"]);
}

#[test]
fn a_function_that_calls_itself_is_refused() {
    let mut call = node("again", &["image"], "y", vec![]);
    call.domain = "own".into();
    let own = FunctionProto { name: "again".into(), domain: "own".into() };
    let hostile = ModelProto { functions: vec![own], ..model(vec![call], "y", vec![]) };
    assert_refused(&hostile, &["node `the_y` (own::again)", "inline"]);
}

#[test]
fn lengths_and_numbers_that_lie_are_refused() {
    let dims = |body: &[u8]| wrap(7, &wrap(5, body));
    let packed = [wrap(1, &[0xff; 9]), vec![0x0a, 0xff, 0xff, 0xff, 0xff, 0x7f]];
    let cases = [
        ("a length beyond the file", vec![0x3a, 0xff, 0xff, 0xff, 0xff, 0x0f]),
        ("a length of 64 bits", [&[0x3a][..], &[0xff; 9], &[0x01]].concat()),
        ("a length of more than ten bytes", [&[0x3a][..], &[0xff; 11], &[0x01]].concat()),
        ("a packed number without an end", dims(&packed[0])),
        ("a packed list beyond the file", dims(&packed[1])),
        ("a group", wrap(7, &[0x0b, 0x0c])),
        ("an end of a group", wrap(7, &[0x0c])),
        ("field number 0", wrap(7, &[0x02, 0x00])),
        ("a wire type that does not exist", wrap(7, &[0x0e])),
    ];
    for (what, bytes) in cases {
        let error = refused_bytes(&bytes, &ImportOptions::default());
        assert!(matches!(error, ImportError::Malformed(_)), "{what}: {error}");
    }
}

#[test]
fn computed_constants_cannot_outgrow_the_file() {
    let nodes = vec![
        node("ConstantOfShape", &["size"], "y", vec![]),
        node("Reshape", &["image", "y"], "z", vec![]),
    ];
    let hostile = model(nodes, "z", vec![integers("size", &[1 << 22])]);
    assert_node_refused("ConstantOfShape", &hostile, "is 4194304, over the limit of 104");
}

/// Walking them would be 2^20 empty blocks for each of 4,000 parts.
#[test]
fn joining_nothing_costs_nothing() {
    let empty = TensorProto {
        name: "empty".into(),
        dims: vec![1 << 20, 0],
        data_type: data_type::INT64,
        ..Default::default()
    };
    let nodes = vec![
        node("Concat", &["empty"; 4_000], "y", vec![int("axis", 1)]),
        node("Reshape", &["image", "y"], "z", vec![]),
    ];
    assert_refused(&model(nodes, "z", vec![empty]), &["the_z", "cannot become []"]);
}

#[test]
fn devices_are_no_models() {
    for device in ["/dev/null", "/dev/zero", "/dev/stdin", "."] {
        if Path::new(device).exists() {
            let error = import_file(Path::new(device), &ImportOptions::default());
            let text = error.expect_err(device).to_string();
            assert!(text.contains("regular file") || text.contains("not a valid"), "{text}");
        }
    }
}

#[test]
fn shapes_that_contradict_one_another_are_refused() {
    let nodes: Vec<NodeProto> = vec![node("Conv", &["image", "w"], "y", vec![])];
    for dims in [vec![3, 3, 3, 3], vec![3, 2, 5, 5], vec![0, 2, 3, 3], vec![3, 2, 3]] {
        let hostile = model(nodes.clone(), "y", vec![floats("w", &dims)]);
        refused(&hostile);
    }
    let mut hostile = convolution();
    graph(&mut hostile).input[0] = value("image", &[-1, 2, i64::MAX, 4]);
    assert_refused(&hostile, &["`image`", "height"]);
}
