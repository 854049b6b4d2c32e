//! Operators in forms that cannot be compiled: refused by node name, with a remedy.

mod import_support;

use gradgate_graph::import::ImportError;
use gradgate_graph::proto::{TensorProto, data_type};
use import_support::{
    assert_node_refused, float, floats, import, int, integers, ints, model, node, refused, text,
};

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

/// A window without a pixel of the image has no maximum and no average; a convolution's sum is 0.
#[test]
fn padding_beyond_the_window_is_refused_for_pools() {
    for pads in [[2, 0, 0, 0], [0, 0, 0, 2], [3, 3, 3, 3]] {
        let attributes = || vec![ints("kernel_shape", &[2, 2]), ints("pads", &pads)];
        for op in ["MaxPool", "AveragePool"] {
            let hostile = model(vec![node(op, &["image"], "y", attributes())], "y", vec![]);
            assert_node_refused(op, &hostile, "wholly in the padding");
        }
        let conv = node("Conv", &["image", "w"], "y", attributes());
        let padded = model(vec![conv], "y", vec![floats("w", &[3, 2, 2, 2])]);
        assert!(import(&padded).is_ok(), "{pads:?}");
    }
}

#[test]
fn windows_of_other_ranks_are_refused() {
    let flat = node("Reshape", &["image", "shape"], "flat", vec![]);
    for (shape, weight) in
        [(vec![1, 2, 16], vec![3, 2, 3]), (vec![1, 2, 4, 2, 2], vec![3, 2, 1, 1, 1])]
    {
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
            integers("five", &[5, 2, 4, 4]),
            floats("three", &[3, 1, 1, 1]),
            floats("high", &[1, 1, 2, 4, 4]),
        ]
    };
    for (op, inputs, attributes) in [
        ("Reshape", vec!["image", "all"], vec![]),
        ("Reshape", vec!["image", "split"], vec![]),
        ("Transpose", vec!["image"], vec![]),
        ("Transpose", vec!["image"], vec![ints("perm", &[1, 0, 2, 3])]),
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
        ("ReduceMax", vec!["image"], vec![ints("axes", &[0])]),
        ("ReduceSum", vec!["image", "zero"], vec![]),
        ("Softmax", vec!["image"], vec![int("axis", 0)]),
        ("Split", vec!["image"], vec![int("axis", 0)]),
        ("SplitToSequence", vec!["image"], vec![]),
        ("Expand", vec!["image", "five"], vec![]),
        ("Resize", vec!["image", "", "", "five"], vec![]),
        ("Add", vec!["image", "high"], vec![]),
        ("Add", vec!["image", "three"], vec![]),
    ] {
        let hostile = model(vec![node(op, &inputs, "y", attributes)], "y", stored());
        assert_node_refused(op, &hostile, "ax");
        assert!(refused(&hostile).contains("batch"), "{op}: {}", refused(&hostile));
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
            integers("odd", &[1, 2, 5, 4]),
            integers("twice", &[1, 2, 8, 4]),
            integers("ends", &[i64::MIN]),
            integers("axes", &[3]),
        ]
    };
    for (op, inputs, attributes, part) in [
        ("Gemm", vec!["flat", "w"], vec![int("transA", 1)], "transA"),
        ("Gemm", vec!["flat", "w", "c"], vec![float("beta", 0.5)], "beta is 0.5"),
        ("Gemm", vec!["flat", "flat"], vec![], "only a constant"),
        ("MatMul", vec!["w", "flat"], vec![], "left operand"),
        ("MatMul", vec!["flat", "c"], vec![], "expected a matrix"),
        ("Dropout", vec!["image", "", "true"], vec![], "training mode"),
        ("Slice", vec!["image", "starts", "ends", "axes", "starts"], vec![], "negative"),
        ("Cast", vec!["image"], vec![int("to", 7)], "element type 7"),
        ("Concat", vec!["image", "left"], vec![int("axis", 1)], "batch"),
        ("LSTM", vec!["image"], vec![], "not supported"),
        ("ReduceProd", vec!["image"], vec![], "constants only"),
        ("Gather", vec!["image", "starts"], vec![], "batch"),
        ("ReduceL2", vec!["image"], vec![int("noop_with_empty_axes", 1)], "no axis"),
        (
            "Resize",
            vec!["image", "", "", "odd"],
            vec![text("coordinate_transformation_mode", "tf_crop_and_resize")],
            "tf_crop",
        ),
        ("Resize", vec!["image", "", "", "twice"], vec![text("mode", "cubic")], "cubic"),
        ("Celu", vec!["image"], vec![float("alpha", -1.0)], "alpha"),
        ("Add", vec!["more", "image"], vec![], "comparison"),
        ("Where", vec!["more", "image", "flat"], vec![], "shape"),
        ("Where", vec!["true", "image", "image"], vec![], "condition"),
    ] {
        let more = node("Greater", &["image", "image"], "more", vec![]);
        let nodes = vec![flat(), more, node(op, &inputs, "y", attributes)];
        let hostile = model(nodes, "y", stored());
        assert!(matches!(import(&hostile), Err(ImportError::Unsupported(_))), "{op} {part}");
        assert_node_refused(op, &hostile, part);
    }
}

/// The gradient of a parameter is one sum over all its uses; as two values it would be two norms.
#[test]
fn a_parameter_in_two_shapes_is_refused() {
    let flat = node("Flatten", &["image"], "flat", vec![]);
    let gemm = node("Gemm", &["flat", "w", "b"], "y", vec![]);
    let add = node("Add", &["y", "b"], "z", vec![]);
    let weights = vec![floats("w", &[32, 3]), floats("b", &[1, 3])];
    let twice = model(vec![flat, gemm, add], "z", weights);
    let text = refused(&twice);
    assert!(text.contains("`b`") && text.contains("two shapes"), "{text}");
}
