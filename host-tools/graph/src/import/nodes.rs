//! Which operators are supported, and their conversion to graph operations.

mod condition;
mod dense;
mod elementwise;
mod function;
mod movement;
mod normalization;
mod padding;
mod reduction;
mod resample;
mod resize;
mod split;
mod window;

use std::collections::HashSet;

use super::builder::{Builder, folded};
use super::call::{Binding, Call};
use super::error::{Outcome, invalid, unsupported};
use super::fold;
use crate::proto::NodeProto;

/// Operators that are converted when an operand depends on the image.
const CONVERTED: &[&str] = &[
    "Abs",
    "Add",
    "AveragePool",
    "BatchNormalization",
    "Cast",
    "CastLike",
    "Celu",
    "Clip",
    "Concat",
    "Conv",
    "ConvTranspose",
    "DepthToSpace",
    "Div",
    "Dropout",
    "Elu",
    "Erf",
    "Exp",
    "Expand",
    "Flatten",
    "Gather",
    "Gelu",
    "Gemm",
    "GlobalAveragePool",
    "GlobalMaxPool",
    "Greater",
    "GreaterOrEqual",
    "GroupNormalization",
    "HardSigmoid",
    "HardSwish",
    "Identity",
    "InstanceNormalization",
    "LayerNormalization",
    "LeakyRelu",
    "Less",
    "LessOrEqual",
    "Log",
    "LogSoftmax",
    "MatMul",
    "Max",
    "MaxPool",
    "Min",
    "Mish",
    "Mul",
    "Neg",
    "Not",
    "PRelu",
    "Pad",
    "Pow",
    "ReduceL1",
    "ReduceL2",
    "ReduceMax",
    "ReduceMean",
    "ReduceMin",
    "ReduceSum",
    "ReduceSumSquare",
    "Relu",
    "Reshape",
    "Resize",
    "Selu",
    "SequenceAt",
    "Shape",
    "Sigmoid",
    "Size",
    "Slice",
    "Softmax",
    "Softplus",
    "SpaceToDepth",
    "Split",
    "SplitToSequence",
    "Sqrt",
    "Squeeze",
    "Sub",
    "Tanh",
    "Transpose",
    "Unsqueeze",
    "Upsample",
    "Where",
];

/// Further operators that are evaluated when all operands are constants.
const FOLDED: &[&str] = &[
    "And",
    "Ceil",
    "Constant",
    "ConstantOfShape",
    "Equal",
    "Floor",
    "Mod",
    "Or",
    "Range",
    "ReduceProd",
];

/// Refuses operators that are supported nowhere; needs no operands, so that it finds them all.
pub(super) fn check_operator(node: &NodeProto) -> Outcome<()> {
    let default_domain = matches!(node.domain.as_str(), "" | "ai.onnx");
    let op = node.op_type.as_str();
    if !default_domain {
        return unsupported(
            "the operator belongs to another domain than ONNX's own",
            "export the plain float32 model with standard ONNX operators; inline local functions \
             with onnx.inliner.inline_local_functions",
        );
    }
    if CONVERTED.contains(&op) || FOLDED.contains(&op) {
        return Ok(());
    }
    unsupported("the operator is not supported", remedy(op))
}

fn remedy(op: &str) -> String {
    let text = match op {
        "QuantizeLinear"
        | "DequantizeLinear"
        | "QLinearConv"
        | "QLinearMatMul"
        | "ConvInteger"
        | "MatMulInteger"
        | "DynamicQuantizeLinear" => "export the float32 model, not a quantised one",
        "If" | "Loop" | "Scan" => {
            "export the model without control flow (trace it instead of scripting it)"
        }
        "Swish" | "ThresholdedRelu" | "Softsign" | "Shrink" => {
            "use Relu, HardSwish, Gelu, Elu or another supported activation, or write it out: \
             Swish is x * Sigmoid(x)"
        }
        "LRN" | "LpNormalization" | "MeanVarianceNormalization" => {
            "use BatchNormalization, LayerNormalization or GroupNormalization instead"
        }
        "ArgMax" | "TopK" => "choose a value before it as output, such as the logits",
        "LpPool" | "GlobalLpPool" => "use MaxPool, AveragePool or their global forms instead",
        _ => {
            "replace it by supported operators (ResNet, DenseNet, MobileNetV2 style), or choose a \
             value before it as output"
        }
    };
    text.to_owned()
}

/// What each of a node's outputs stands for; the operands are all known.
pub(super) fn convert_all(
    builder: &mut Builder,
    call: &Call,
    needed: &HashSet<&str>,
) -> Outcome<Vec<Binding>> {
    if call.proto.op_type == "Split" {
        builder.check_wrapped(call)?;
        return split::split(builder, call, needed);
    }
    if let Some(extra) = call.proto.output.iter().skip(1).find(|o| needed.contains(o.as_str())) {
        return unsupported(
            format!("its additional output `{extra}` is used"),
            "export the model in inference mode (model.eval())",
        );
    }
    Ok(vec![convert(builder, call)?])
}

/// Converts or evaluates one node of one output.
fn convert(builder: &mut Builder, call: &Call) -> Outcome<Binding> {
    let constant = |input: &Binding| matches!(input, Binding::Constant(_));
    let depends = !call.inputs.iter().flatten().all(constant);
    if !depends {
        return folded(fold::evaluate(call, &builder.constant_limits)?);
    }
    builder.check_wrapped(call)?;
    match call.proto.op_type.as_str() {
        "Conv" => window::convolution(builder, call),
        "ConvTranspose" => window::transposed(builder, call),
        "MaxPool" | "AveragePool" => window::pool(builder, call),
        "GlobalAveragePool" | "GlobalMaxPool" => reduction::global_pool(builder, call),
        "BatchNormalization" => dense::batch_norm(builder, call),
        "LayerNormalization" => normalization::layer_norm(builder, call),
        "InstanceNormalization" => normalization::instance(builder, call),
        "GroupNormalization" => normalization::group(builder, call),
        "Gemm" => dense::gemm(builder, call),
        "MatMul" => dense::matmul(builder, call),
        "Add" | "Sub" | "Mul" | "Div" => elementwise::binary(builder, call),
        "Relu" | "LeakyRelu" | "Sigmoid" => elementwise::activation(builder, call),
        "Clip" => elementwise::clip(builder, call),
        "Softmax" => elementwise::softmax(builder, call),
        "Exp" | "Log" | "Sqrt" | "Tanh" | "Erf" | "Elu" | "Selu" | "Softplus" | "HardSigmoid"
        | "HardSwish" | "Gelu" => function::function(builder, call),
        "Neg" => function::negation(builder, call),
        "Pow" => function::power(builder, call),
        "Abs" => function::magnitude(builder, call),
        "Celu" => function::celu(builder, call),
        "Max" | "Min" => condition::extreme(builder, call),
        "Mish" => function::mish(builder, call),
        "PRelu" => function::prelu(builder, call),
        "LogSoftmax" => function::log_softmax(builder, call),
        "Greater" | "Less" | "GreaterOrEqual" | "LessOrEqual" => {
            condition::comparison(builder, call)
        }
        "Not" => condition::opposite(call),
        "Where" => condition::select(builder, call),
        "Identity" => call.frame(0).map(Binding::Frame),
        "Dropout" => elementwise::dropout(call),
        "Cast" => elementwise::cast(call),
        "CastLike" => elementwise::cast_like(builder, call),
        "ReduceMean" | "ReduceSum" | "ReduceMax" | "ReduceMin" | "ReduceL1" | "ReduceL2"
        | "ReduceSumSquare" => reduction::reduce(builder, call),
        "Reshape" | "Flatten" | "Squeeze" | "Unsqueeze" => movement::reshape(builder, call),
        "Transpose" => movement::transpose(builder, call),
        "Concat" => movement::concat(builder, call),
        "Slice" => movement::slice(builder, call),
        "Resize" | "Upsample" => resize::resize(builder, call),
        "Pad" => padding::pad(builder, call),
        "SplitToSequence" => split::sequence(builder, call),
        "SequenceAt" => split::element(builder, call),
        "Gather" => movement::gather(builder, call),
        "Expand" => movement::expand(builder, call),
        "DepthToSpace" | "SpaceToDepth" => movement::blocks(builder, call),
        "Shape" => folded(fold::shape_of(call, &builder.shape(call.frame(0)?))?),
        "Size" => {
            let shape = builder.shape(call.frame(0)?);
            folded(fold::scalar_int(builder.limits.volume(&shape)? as i64))
        }
        op if FOLDED.contains(&op) => unsupported(
            "the operator is supported on constants only, but an operand depends on the image",
            remedy(op),
        ),
        op => invalid(format!("operator {op} has no conversion")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fuzzers_words_hold_every_operator() {
        let words = include_str!("../../../../tests/fuzz/onnx.dict");
        for op in CONVERTED.iter().chain(FOLDED) {
            let field = format!("\"\\x22\\x{:02x}{op}\"", op.len());
            assert!(words.lines().any(|line| line == field), "{field}");
        }
    }
}
