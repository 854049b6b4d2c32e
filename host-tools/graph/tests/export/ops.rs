//! Every op without windows, exported alone, in onnxruntime against the f64 interpreter.

use crate::cases::{Case, Operand, case, constant, frame, run};
use gradgate_graph::ops::{Conv, Function, Op};

fn channel_cases() -> Vec<Case> {
    let positive = |n| Operand::Positive(vec![n]);
    let mut cases = Vec::new();
    for (name, x) in [("image", vec![1, 3, 4, 5]), ("row", vec![1, 6]), ("line", vec![1, 3, 7])] {
        let (c, epsilon, x) = (x[1], 1e-5, Operand::Frame(x));
        let vectors = [constant([c]), constant([c]), constant([c]), positive(c)];
        cases.push(case(
            &format!("batch_norm.{name}"),
            Op::BatchNorm { epsilon },
            [vec![x.clone()], vectors.to_vec()].concat(),
        ));
        cases.push(case(
            &format!("batch_norm_input_gradient.{name}"),
            Op::BatchNormInputGradient { epsilon },
            vec![x.clone(), constant([c]), positive(c)],
        ));
        cases.push(case(
            &format!("batch_norm_scale_gradient.{name}"),
            Op::BatchNormScaleGradient { epsilon },
            vec![x.clone(), x, constant([c]), positive(c)],
        ));
    }
    cases
}

fn gemm_cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (transpose_b, w) in [(false, [4, 3]), (true, [3, 4])] {
        for (name, lead) in [("row", vec![1]), ("rows", vec![1, 5]), ("blocks", vec![1, 2, 3])] {
            let name = format!("{name}{}", u8::from(transpose_b));
            let of = |width: usize| Operand::Frame([lead.as_slice(), &[width]].concat());
            let (x, g) = (of(4), of(3));
            let plain = vec![x.clone(), constant(w)];
            let biased = vec![x.clone(), constant(w), constant([3])];
            let down = vec![g.clone(), constant(w)];
            let input = Op::GemmInputGradient { transpose_b };
            let weight = Op::GemmWeightGradient { transpose_b };
            cases.push(case(&format!("gemm.{name}"), Op::Gemm { transpose_b }, plain));
            cases.push(case(&format!("gemm.{name}_bias"), Op::Gemm { transpose_b }, biased));
            cases.push(case(&format!("gemm_input_gradient.{name}"), input, down));
            cases.push(case(&format!("gemm_weight_gradient.{name}"), weight, vec![x, g]));
        }
    }
    cases
}

/// Random directions are not of length 1, and the norm is any positive number: the op does not
/// mind.
fn alignment_cases() -> Vec<Case> {
    let norm = || Operand::Positive(vec![1]);
    let mut cases = Vec::new();
    for classes in [1, 4] {
        let rows = classes.max(2);
        let logits = || frame([1, classes]);
        for (name, lead) in [("row", vec![1]), ("rows", vec![1, 5]), ("blocks", vec![1, 2, 3])] {
            let of = |width: usize| Operand::Frame([lead.as_slice(), &[width]].concat());
            let factors = [constant([rows, 3]), constant([rows, 6])];
            let operands = [vec![of(6), of(3)], factors.to_vec(), vec![logits(), norm()]].concat();
            let name = format!("gemm_alignment.{name}{classes}");
            cases.push(case(&name, Op::GemmAlignment, operands));
        }
        for (name, groups, out, strides, dilations, pads) in [
            ("plain", 1, 5, [1, 1], [1, 1], [1, 1, 1, 1]),
            ("stride", 1, 4, [2, 3], [1, 1], [0, 1, 1, 0]),
            ("dilated", 1, 3, [1, 1], [2, 1], [2, 0, 1, 2]),
            ("grouped", 2, 6, [1, 2], [1, 1], [1, 1, 0, 1]),
            ("depthwise", 4, 4, [2, 1], [1, 2], [1, 1, 1, 1]),
            ("multiplied", 4, 8, [1, 1], [1, 1], [0, 0, 0, 0]),
        ] {
            let conv = Conv { strides, pads, dilations, groups };
            let [height, width] = conv.output_hw([7, 6], [3, 2]).expect("fits");
            let operands = vec![
                frame([1, 4, 7, 6]),
                frame([1, out, height, width]),
                constant([rows, out]),
                constant([rows, 4, 3, 2]),
                logits(),
                norm(),
            ];
            let name = format!("conv_alignment.{name}{classes}");
            cases.push(case(&name, Op::ConvAlignment(conv), operands));
        }
    }
    cases
}

fn pointwise_cases() -> Vec<Case> {
    let x = || frame([1, 3, 4, 5]);
    let mut cases = vec![
        case("div.broadcast", Op::Div, vec![x(), Operand::Positive(vec![3, 1, 1])]),
        case("relu.plain", Op::Relu, vec![x()]),
        case("relu_gradient.plain", Op::ReluGradient, vec![x(), x()]),
        case("leaky_relu.plain", Op::LeakyRelu { alpha: 0.2 }, vec![x()]),
        case("leaky_relu_gradient.plain", Op::LeakyReluGradient { alpha: 0.2 }, vec![x(), x()]),
        case("sigmoid.plain", Op::Sigmoid, vec![x()]),
        case("sigmoid_gradient.plain", Op::SigmoidGradient, vec![x(), x()]),
    ];
    for (name, op) in [("add", Op::Add), ("sub", Op::Sub), ("mul", Op::Mul)] {
        cases.push(case(&format!("{name}.same"), op.clone(), vec![x(), x()]));
        cases.push(case(&format!("{name}.channel"), op.clone(), vec![x(), constant([3, 1, 1])]));
        cases.push(case(&format!("{name}.scalar"), op.clone(), vec![constant([]), x()]));
        cases.push(case(&format!("{name}.pixel"), op, vec![frame([1, 3, 1, 1]), x()]));
    }
    cases
}

/// Clip, its gradient, and Softmax with its gradient.
fn bounded_cases() -> Vec<Case> {
    let x = || frame([1, 3, 4, 5]);
    let (below, above) = (f32::NEG_INFINITY, f32::INFINITY);
    let mut cases = Vec::new();
    for (name, min, max) in
        [("both", -0.5, 0.25), ("low", 0.0, above), ("high", below, 0.5), ("none", below, above)]
    {
        cases.push(case(&format!("clip.{name}"), Op::Clip { min, max }, vec![x()]));
        let gradient = Op::ClipGradient { min, max };
        cases.push(case(&format!("clip_gradient.{name}"), gradient, vec![x(), x()]));
    }
    for axis in 1..4 {
        cases.push(case(&format!("softmax.{axis}"), Op::Softmax { axis }, vec![x()]));
        let gradient = Op::SoftmaxGradient { axis };
        cases.push(case(&format!("softmax_gradient.{axis}"), gradient, vec![x(), x()]));
    }
    cases
}

/// All transpositions of a product of two frame values.
fn product_cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (name, transpose_a, transpose_b) in [
        ("plain", false, false),
        ("left", true, false),
        ("right", false, true),
        ("both", true, true),
    ] {
        let a = if transpose_a { [1, 2, 5, 3] } else { [1, 2, 3, 5] };
        let b = if transpose_b { [1, 2, 4, 5] } else { [1, 2, 5, 4] };
        let op = Op::MatMul { transpose_a, transpose_b };
        cases.push(case(&format!("mat_mul.{name}"), op, vec![frame(a), frame(b)]));
    }
    let op = Op::MatMul { transpose_a: false, transpose_b: true };
    cases.push(case("mat_mul.rank_3", op, vec![frame([1, 3, 5]), frame([1, 4, 5])]));
    cases
}

/// Slopes above 1 carry the operands, which are in -1..1, past the bounds.
fn function_cases() -> Vec<Case> {
    let x = || frame([1, 3, 4, 5]);
    let positive = || Operand::Positive(vec![1, 3, 4, 5]);
    let mut cases = Vec::new();
    for (name, function, of) in [
        ("plain", Function::Exp, x()),
        ("plain", Function::Log, positive()),
        ("plain", Function::Sqrt, positive()),
        ("plain", Function::Tanh, x()),
        ("plain", Function::Erf, x()),
        ("plain", Function::Elu { alpha: 0.7, gamma: 1.0 }, x()),
        ("selu", Function::Elu { alpha: 1.67, gamma: 1.05 }, x()),
        ("plain", Function::Softplus, x()),
        ("plain", Function::HardSigmoid { alpha: 0.2, beta: 0.5 }, x()),
        ("steep", Function::HardSigmoid { alpha: 3.0, beta: 0.25 }, x()),
        ("plain", Function::HardSwish, x()),
        ("plain", Function::Gelu, x()),
        ("plain", Function::GeluTanh, x()),
        ("cube", Function::Pow { exponent: 3.0 }, x()),
        ("root", Function::Pow { exponent: 0.3 }, positive()),
        ("inverse", Function::Pow { exponent: -2.0 }, positive()),
    ] {
        let lower = function.name().to_lowercase();
        let value = Op::Function(function);
        cases.push(case(&format!("{lower}.{name}"), value, vec![of.clone()]));
        let gradient = Op::FunctionGradient(function);
        cases.push(case(&format!("{lower}_gradient.{name}"), gradient, vec![of, x()]));
    }
    cases
}

fn reduction_cases() -> Vec<Case> {
    let x = || frame([1, 3, 4, 5]);
    let mut cases = Vec::new();
    for keep_dims in [false, true] {
        for (number, axes) in [vec![1], vec![2, 3], vec![1, 2, 3], vec![]].into_iter().enumerate() {
            let name = format!("{number}{}", u8::from(keep_dims));
            let mean = Op::ReduceMean { axes: axes.clone(), keep_dims };
            cases.push(case(&format!("reduce_mean.{name}"), mean, vec![x()]));
            let sum = Op::ReduceSum { axes, keep_dims };
            cases.push(case(&format!("reduce_sum.{name}"), sum, vec![x()]));
        }
    }
    let shapes = [
        ("image", vec![1, 3, 4, 5]),
        ("row", vec![1, 7]),
        ("weight", vec![1, 2, 3, 2, 2]),
        ("million", vec![1, 1280, 960]),
    ];
    for (name, shape) in shapes {
        let x = Operand::Frame(shape);
        cases.push(case(&format!("squared_norm.{name}"), Op::SquaredNorm, vec![x]));
    }
    let expand = Op::Expand { shape: vec![1, 3, 4, 5] };
    cases.push(case("expand.image", expand, vec![frame([1, 3, 1, 1])]));
    cases
}

fn slice_cases() -> Vec<Case> {
    let x = || frame([1, 3, 4, 5]);
    let mut cases = Vec::new();
    let slices = [
        ("whole", [0, 0, 0, 0], [1, 3, 4, 5], [1, 1, 1, 1]),
        ("window", [0, 1, 2, 0], [1, 2, 1, 3], [1, 1, 1, 1]),
        ("every_second", [0, 0, 0, 0], [1, 3, 2, 3], [1, 1, 2, 2]),
        ("late_start", [0, 0, 1, 1], [1, 3, 2, 2], [1, 1, 2, 3]),
        ("channels", [0, 2, 0, 0], [1, 1, 4, 5], [1, 2, 1, 1]),
    ];
    for (name, starts, lengths, steps) in slices {
        let (starts, steps) = (starts.to_vec(), steps.to_vec());
        let gradient = Op::SliceGradient {
            starts: starts.clone(),
            steps: steps.clone(),
            input_shape: vec![1, 3, 4, 5],
        };
        let slice = Op::Slice { starts, lengths: lengths.to_vec(), steps };
        cases.push(case(&format!("slice.{name}"), slice, vec![x()]));
        cases.push(case(&format!("slice_gradient.{name}"), gradient, vec![frame(lengths)]));
    }
    cases
}

fn layout_cases() -> Vec<Case> {
    let x = || frame([1, 3, 4, 5]);
    let mut cases = Vec::new();
    let three = vec![x(), frame([1, 2, 4, 5]), x()];
    cases.push(case("concat.channels", Op::Concat { axis: 1 }, three));
    cases.push(case("concat.columns", Op::Concat { axis: 3 }, vec![x(), frame([1, 3, 4, 2])]));
    for (name, before, after, value) in [
        ("channels", vec![0, 2, 0, 0], vec![0, 1, 0, 0], 0.0),
        ("rows", vec![0, 0, 1, 0], vec![0, 0, 0, 3], -1.5),
    ] {
        cases.push(case(&format!("pad.{name}"), Op::Pad { before, after, value }, vec![x()]));
    }
    let transpose = Op::Transpose { permutation: vec![0, 2, 3, 1] };
    cases.push(case("transpose.nhwc", transpose, vec![x()]));
    cases.push(case("reshape.flat", Op::Reshape { shape: vec![1, 60] }, vec![x()]));
    cases
}

#[test]
fn in_onnxruntime() {
    let cases = [
        channel_cases(),
        gemm_cases(),
        pointwise_cases(),
        bounded_cases(),
        function_cases(),
        product_cases(),
        reduction_cases(),
        slice_cases(),
        layout_cases(),
        alignment_cases(),
    ]
    .concat();
    for opset in 17..=22 {
        run("export_ops", opset, &cases);
    }
}
