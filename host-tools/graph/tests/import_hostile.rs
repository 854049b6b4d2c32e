//! Hostile and broken models: every one is refused with a message, none panics.

use std::path::{Path, PathBuf};

use gradgate_graph::import::{ImportError, ImportOptions, Limits, import_bytes, import_file};
use gradgate_graph::proto::{
    AttributeProto, DimensionProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto,
    SparseTensorProto, StringStringEntryProto, TensorProto, TensorShapeProto, TensorTypeProto,
    TypeProto, ValueInfoProto, attribute_type, data_location, data_type,
};
use prost::Message;

fn floats(name: &str, dims: &[i64]) -> TensorProto {
    let count = dims.iter().product::<i64>() as usize;
    TensorProto {
        name: name.into(),
        dims: dims.to_vec(),
        data_type: data_type::FLOAT,
        float_data: vec![0.5; count],
        ..Default::default()
    }
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

fn ints(name: &str, values: &[i64]) -> AttributeProto {
    let (name, ints) = (name.into(), values.to_vec());
    AttributeProto {
        name,
        ints,
        r#type: attribute_type::INTS,
        ..Default::default()
    }
}

fn int(name: &str, i: i64) -> AttributeProto {
    AttributeProto {
        name: name.into(),
        i,
        r#type: attribute_type::INT,
        ..Default::default()
    }
}

fn float(name: &str, f: f32) -> AttributeProto {
    AttributeProto {
        name: name.into(),
        f,
        r#type: attribute_type::FLOAT,
        ..Default::default()
    }
}

fn node(op: &str, inputs: &[&str], output: &str, attribute: Vec<AttributeProto>) -> NodeProto {
    NodeProto {
        name: format!("the_{output}"),
        op_type: op.into(),
        input: inputs.iter().map(|&name| name.into()).collect(),
        output: vec![output.into()],
        attribute,
        ..Default::default()
    }
}

fn value(name: &str, lengths: &[i64]) -> ValueInfoProto {
    let dim = lengths
        .iter()
        .map(|&length| DimensionProto {
            dim_value: (length >= 0).then_some(length),
            dim_param: None,
        })
        .collect();
    let shape = Some(TensorShapeProto { dim });
    let tensor_type = Some(TensorTypeProto {
        elem_type: data_type::FLOAT,
        shape,
    });
    ValueInfoProto {
        name: name.into(),
        r#type: Some(TypeProto { tensor_type }),
    }
}

/// `image [1, 2, 4, 4]` -> the nodes -> Flatten -> `logits`; `last` feeds the Flatten.
fn model(nodes: Vec<NodeProto>, last: &str, initializer: Vec<TensorProto>) -> ModelProto {
    let mut all = nodes;
    all.push(node("Flatten", &[last], "logits", vec![]));
    let graph = GraphProto {
        node: all,
        initializer,
        input: vec![value("image", &[-1, 2, 4, 4])],
        output: vec![ValueInfoProto {
            name: "logits".into(),
            ..Default::default()
        }],
        ..Default::default()
    };
    let opset_import = vec![OperatorSetIdProto {
        domain: String::new(),
        version: 17,
    }];
    ModelProto {
        ir_version: 8,
        graph: Some(graph),
        opset_import,
        ..Default::default()
    }
}

/// A valid model: one convolution.
fn convolution() -> ModelProto {
    let conv = node("Conv", &["image", "w"], "y", vec![]);
    model(vec![conv], "y", vec![floats("w", &[3, 2, 3, 3])])
}

fn graph(model: &mut ModelProto) -> &mut GraphProto {
    model.graph.as_mut().expect("graph")
}

fn import(model: &ModelProto) -> Result<(), ImportError> {
    import_bytes(&model.encode_to_vec(), None, &ImportOptions::default()).map(drop)
}

fn refused(model: &ModelProto) -> String {
    import(model).expect_err("must be refused").to_string()
}

fn assert_refused(model: &ModelProto, parts: &[&str]) {
    let text = refused(model);
    for part in parts {
        assert!(text.contains(part), "`{part}` is not in: {text}");
    }
}

/// Refused by node `the_y` with these words.
fn assert_node_refused(op: &str, model: &ModelProto, part: &str) {
    assert_refused(model, &[&format!("node `the_y` ({op})"), part]);
}

#[test]
fn the_base_model_is_accepted() {
    import(&convolution()).expect("valid");
}

#[test]
fn bytes_that_are_no_model_are_refused() {
    for bytes in [&[][..], b"hello", &[0x0a, 0xff], &[0xff; 64], &[0x3a, 0x00]] {
        let result = import_bytes(bytes, None, &ImportOptions::default());
        assert!(
            matches!(result, Err(ImportError::Malformed(_))),
            "{bytes:?}"
        );
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
fn a_thousand_nested_graphs_do_not_overflow_the_stack() {
    let mut inner = GraphProto::default();
    for _ in 0..40 {
        let mut attribute = int("body", 0);
        attribute.r#type = attribute_type::GRAPH;
        attribute.g = Some(Box::new(inner));
        inner = GraphProto {
            node: vec![node("If", &[], "y", vec![attribute])],
            ..Default::default()
        };
    }
    let text = refused(&ModelProto {
        graph: Some(inner),
        ..convolution()
    });
    assert!(
        text.contains("recursion") || text.contains("no output"),
        "{text}"
    );
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
    assert!(error.to_string().contains("recursion"), "{error}");
}

#[test]
fn counts_over_the_limits_are_refused() {
    let bytes = convolution().encode_to_vec();
    let tight: [(&str, fn(&mut Limits)); 6] = [
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
        assert!(
            matches!(&error, ImportError::Limit { .. }),
            "{part}: {error}"
        );
        assert!(error.to_string().contains(part), "{part}: {error}");
    }
}

#[test]
fn huge_and_negative_shapes_are_refused_before_memory_is_taken() {
    for dims in [
        vec![1 << 40],
        vec![i64::MAX, i64::MAX],
        vec![-1, 2],
        vec![1; 9],
        vec![0, i64::MAX],
    ] {
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
        let scalar = |name, value| TensorProto {
            dims: vec![],
            ..integers(name, &[value])
        };
        let one = if op == "Pad" {
            integers("one", &[1])
        } else {
            scalar("one", 1)
        };
        let stored = vec![big.clone(), one, scalar("zero", 0), scalar("far", i64::MAX)];
        let nodes = vec![
            node(op, &inputs, "y", vec![]),
            node("Reshape", &["image", "y"], "z", vec![]),
        ];
        let text = refused(&model(nodes, "z", stored));
        assert!(
            text.contains("node `the_y`") && text.contains("limit"),
            "{op}: {text}"
        );
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
    assert_refused(&output, &["nowhere"]);
}

#[test]
fn cycles_and_wrong_order_are_refused() {
    let cycle = model(
        vec![
            node("Add", &["image", "b"], "a", vec![]),
            node("Relu", &["a"], "b", vec![]),
        ],
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
    graph(&mut sparse)
        .sparse_initializer
        .push(SparseTensorProto {
            values,
            dims: vec![9],
        });
    assert_refused(&sparse, &["tensor `s`", "dense"]);
}

#[test]
fn attribute_lengths_must_fit_the_rank() {
    for (attribute, part) in [
        (ints("pads", &[1, 1, 1]), "`pads` has 3 entries"),
        (ints("strides", &[1]), "`strides` has 1 entries"),
        (ints("strides", &[0, 1]), "`strides`"),
        (ints("dilations", &[1, 1, 1]), "`dilations` has 3 entries"),
        (ints("kernel_shape", &[3, 5]), "`kernel_shape` differs"),
        (ints("pads", &[-1, 0, 0, 0]), "negative padding"),
        (ints("pads", &[i64::MAX; 4]), "pads is"),
        (ints("strides", &[i64::MIN; 2]), "strides is"),
        (int("group", 0), "group"),
        (int("group", -1), "group is -1"),
        (int("group", 3), "groups"),
        (int("pads", 1), "of another type"),
        (ints("pads", &[1 << 30; 4]), "limit"),
    ] {
        let conv = node("Conv", &["image", "w"], "y", vec![attribute]);
        let hostile = model(vec![conv], "y", vec![floats("w", &[3, 2, 3, 3])]);
        assert_node_refused("Conv", &hostile, part);
    }
}

#[test]
fn windows_of_other_ranks_are_refused() {
    let flat = node("Reshape", &["image", "shape"], "flat", vec![]);
    for (shape, weight) in [
        (vec![1, 2, 16], vec![3, 2, 3]),
        (vec![1, 2, 4, 2, 2], vec![3, 2, 1, 1, 1]),
    ] {
        let conv = node("Conv", &["flat", "w"], "y", vec![]);
        let stored = vec![integers("shape", &shape), floats("w", &weight)];
        let hostile = model(vec![flat.clone(), conv], "y", stored);
        assert_node_refused("Conv", &hostile, "only two-dimensional");
    }
}

#[test]
fn nothing_may_touch_the_batch_axis() {
    let stored = || {
        vec![
            integers("all", &[-1]),
            integers("split", &[2, 4, 4]),
            integers("pads", &[1, 0, 0, 0, 0, 0, 0, 0]),
            integers("zero", &[0]),
            integers("one", &[1]),
            floats("three", &[3, 1, 1, 1]),
            floats("high", &[1, 1, 2, 4, 4]),
        ]
    };
    for (op, inputs, attributes) in [
        ("Reshape", vec!["image", "all"], vec![]),
        ("Reshape", vec!["image", "split"], vec![]),
        ("Transpose", vec!["image"], vec![]),
        (
            "Transpose",
            vec!["image"],
            vec![ints("perm", &[1, 0, 2, 3])],
        ),
        ("Flatten", vec!["image"], vec![int("axis", 0)]),
        ("Flatten", vec!["image"], vec![int("axis", 2)]),
        ("Squeeze", vec!["image"], vec![]),
        ("Squeeze", vec!["image", "zero"], vec![]),
        ("Unsqueeze", vec!["image", "zero"], vec![]),
        ("Concat", vec!["image", "image"], vec![int("axis", 0)]),
        ("Slice", vec!["image", "one", "one"], vec![]),
        ("Pad", vec!["image", "pads"], vec![]),
        ("ReduceMean", vec!["image"], vec![]),
        ("ReduceMean", vec!["image"], vec![ints("axes", &[0, 2])]),
        ("Softmax", vec!["image"], vec![int("axis", 0)]),
        ("Add", vec!["image", "high"], vec![]),
        ("Add", vec!["image", "three"], vec![]),
    ] {
        let hostile = model(vec![node(op, &inputs, "y", attributes)], "y", stored());
        assert_node_refused(op, &hostile, "ax");
        assert!(
            refused(&hostile).contains("batch"),
            "{op}: {}",
            refused(&hostile)
        );
    }
}

#[test]
fn forms_that_are_not_compiled_are_refused_with_a_remedy() {
    let flat = || node("Flatten", &["image"], "flat", vec![]);
    let stored = || {
        vec![
            floats("w", &[32, 3]),
            floats("c", &[3]),
            floats("left", &[3, 2, 4, 4]),
            TensorProto {
                dims: vec![],
                data_type: data_type::BOOL,
                int32_data: vec![1],
                int64_data: vec![],
                ..integers("true", &[])
            },
            integers("starts", &[-1]),
            integers("ends", &[i64::MIN]),
            integers("axes", &[3]),
        ]
    };
    for (op, inputs, attributes, part) in [
        ("Gemm", vec!["flat", "w"], vec![int("transA", 1)], "transA"),
        (
            "Gemm",
            vec!["flat", "w", "c"],
            vec![float("beta", 0.5)],
            "beta is 0.5",
        ),
        ("Gemm", vec!["flat", "flat"], vec![], "only a constant"),
        ("MatMul", vec!["w", "flat"], vec![], "left operand"),
        ("MatMul", vec!["flat", "c"], vec![], "expected a matrix"),
        (
            "Dropout",
            vec!["image", "", "true"],
            vec![],
            "training mode",
        ),
        (
            "Slice",
            vec!["image", "starts", "ends", "axes", "starts"],
            vec![],
            "negative",
        ),
        ("Cast", vec!["image"], vec![int("to", 7)], "element type 7"),
        (
            "Concat",
            vec!["image", "left"],
            vec![int("axis", 1)],
            "constant",
        ),
        ("LSTM", vec!["image"], vec![], "not supported"),
        ("Gather", vec!["image", "starts"], vec![], "constants only"),
    ] {
        let nodes = vec![flat(), node(op, &inputs, "y", attributes)];
        let hostile = model(nodes, "y", stored());
        assert!(
            matches!(import(&hostile), Err(ImportError::Unsupported(_))),
            "{op} {part}"
        );
        assert_node_refused(op, &hostile, part);
    }
}

#[test]
fn other_operator_sets_and_domains_are_refused() {
    for (version, ok) in [
        (8, false),
        (9, true),
        (22, true),
        (23, false),
        (i64::MIN, false),
    ] {
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
    let kind = graph(&mut bytes).input[0]
        .r#type
        .as_mut()
        .and_then(|t| t.tensor_type.as_mut());
    kind.expect("tensor").elem_type = data_type::UINT8;
    assert_refused(&bytes, &["element type 2"]);
    let mut two = convolution();
    graph(&mut two).input.push(value("w2", &[1]));
    graph(&mut two)
        .node
        .insert(1, node("Add", &["y", "w2"], "y2", vec![]));
    graph(&mut two).node[2].input[0] = "y2".into();
    assert_refused(&two, &["depend on 2 inputs"]);
    let mut none = convolution();
    graph(&mut none).node[1].input[0] = "w".into();
    assert_refused(&none, &["depend on 0 inputs"]);
}

fn external(location: &str, offset: &str, length: &str) -> ModelProto {
    let mut model = convolution();
    let tensor = &mut graph(&mut model).initializer[0];
    tensor.float_data.clear();
    tensor.data_location = data_location::EXTERNAL;
    tensor.external_data = [
        ("location", location),
        ("offset", offset),
        ("length", length),
    ]
    .iter()
    .filter(|(_, value)| !value.is_empty())
    .map(|(key, value)| StringStringEntryProto {
        key: (*key).into(),
        value: (*value).into(),
    })
    .collect();
    model
}

/// A folder of its own with `w.bin` of 216 bytes inside and `outside.bin` beside it.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let root = std::env::temp_dir().join(format!("gradgate-{name}-{}", std::process::id()));
        std::fs::create_dir_all(root.join("model/sub")).expect("folder");
        std::fs::write(root.join("outside.bin"), [0; 216]).expect("file");
        std::fs::write(root.join("model/w.bin"), [0; 216]).expect("file");
        std::fs::write(root.join("model/sub/w.bin"), [0; 216]).expect("file");
        Self(root)
    }

    fn import(&self, model: &ModelProto) -> Result<(), ImportError> {
        let path = self.0.join("model/model.onnx");
        std::fs::write(&path, model.encode_to_vec()).expect("file");
        import_file(&path, &ImportOptions::default()).map(drop)
    }

    fn assert_refused(&self, model: &ModelProto, part: &str) {
        let text = self.import(model).expect_err(part).to_string();
        assert!(
            text.contains("`w`") && text.contains(part),
            "{part}: {text}"
        );
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn external_data_stay_inside_the_models_folder() {
    let folder = Folder::new("inside");
    folder.import(&external("w.bin", "", "")).expect("inside");
    folder
        .import(&external("sub/w.bin", "0", "216"))
        .expect("in a sub-folder");
    let absolute = folder.0.join("outside.bin").display().to_string();
    for location in [
        "../outside.bin",
        "sub/../../outside.bin",
        absolute.as_str(),
        "./w.bin",
    ] {
        folder.assert_refused(&external(location, "", ""), "own folder");
    }
    for location in ["", "sub\\w.bin"] {
        folder.assert_refused(&external(location, "", ""), "no usable location");
    }
    folder.assert_refused(&external("absent.bin", "", ""), "cannot be opened");
    folder.assert_refused(&external("sub", "", ""), "not a regular file");
}

#[test]
fn external_ranges_are_checked() {
    let folder = Folder::new("ranges");
    for (offset, length, part) in [
        ("1", "", "lie outside"),
        ("217", "", "lie outside"),
        ("18446744073709551615", "", "lie outside"),
        ("0", "215", "asks for 216"),
        ("0", "18446744073709551615", "asks for 216"),
        ("-1", "", "no byte count"),
        ("99999999999999999999999", "", "no byte count"),
    ] {
        folder.assert_refused(&external("w.bin", offset, length), part);
    }
    let mut options = ImportOptions::default();
    options.limits.external_bytes = 215;
    let path = folder.0.join("model/model.onnx");
    std::fs::write(&path, external("w.bin", "", "").encode_to_vec()).expect("file");
    let error = import_file(&path, &options).expect_err("limit");
    assert!(
        matches!(error, ImportError::Limit { limit: 215, .. }),
        "{error}"
    );
}

#[cfg(unix)]
#[test]
fn links_out_of_the_folder_are_refused() {
    let folder = Folder::new("links");
    let (outside, inside) = (folder.0.join("outside.bin"), folder.0.join("model"));
    std::os::unix::fs::symlink(&outside, inside.join("soft.bin")).expect("link");
    std::os::unix::fs::symlink(&folder.0, inside.join("up")).expect("link");
    folder.assert_refused(&external("soft.bin", "", ""), "symbolic link");
    folder.assert_refused(&external("up/outside.bin", "", ""), "symbolic link");
    std::fs::hard_link(&outside, inside.join("hard.bin")).expect("link");
    folder.assert_refused(&external("hard.bin", "", ""), "hard links");
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
    for name in [
        "operators_9",
        "operators_22",
        "shape_chain",
        "tiny_dynamo_kept",
        "types",
    ] {
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
