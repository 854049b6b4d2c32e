//! Products with a constant matrix, and batch normalisation.

use std::rc::Rc;

use super::super::builder::Builder;
use super::super::call::{Binding, Call};
use super::super::constant::Constant;
use super::super::error::{Outcome, invalid, unsupported};
use super::normalization::epsilon;
use crate::graph::{Tensor, ValueId};
use crate::ops::Op;

const TRANSPOSED: &str = "exchange the operands' axes in the model, or use Linear layers";

/// The matrix operand: a constant of rank 2; its transpose is undone, so that the parameter keeps
/// the name and shape under which it is stored.
fn matrix(builder: &mut Builder, call: &Call, transposed: bool) -> Outcome<(ValueId, bool)> {
    let constant = call.required_constant(1)?;
    if constant.shape.len() != 2 {
        return unsupported(
            format!("its constant operand has shape {:?}, expected a matrix", constant.shape),
            "use a Linear layer",
        );
    }
    match &constant.transpose_of {
        Some(original) => Ok((builder.constant(original)?, !transposed)),
        None => Ok((builder.constant(constant)?, transposed)),
    }
}

/// Gemm: A, B, C with alpha * A * B + beta * C.
pub(super) fn gemm(builder: &mut Builder, call: &Call) -> Outcome<Binding> {
    call.arity(2, 3)?;
    let mut x = call.frame(0)?;
    let shape = builder.shape(x);
    if shape.len() != 2 {
        return invalid(format!("its input has shape {shape:?}, expected rank 2"));
    }
    if call.flag("transA", false)? {
        return unsupported("transA = 1 exchanges the batch and feature axes", TRANSPOSED);
    }
    let (alpha, beta) = (call.float_or("alpha", 1.0)?, call.float_or("beta", 1.0)?);
    if beta != 0.0 && beta != 1.0 && call.input(2).is_some() {
        return unsupported(format!("beta is {beta}"), "multiply the bias by beta in the model");
    }
    let (weight, transpose_b) = matrix(builder, call, call.flag("transB", false)?)?;
    if alpha != 1.0 {
        let name = format!("{}/alpha", call.name());
        let factor = builder.graph.add_constant(name.clone(), Tensor::scalar(alpha));
        x = builder.push_as(name.clone(), format!("{name}/scaled"), Op::Mul, &[x, factor])?;
    }
    let outputs = builder.graph.shape(weight)[usize::from(!transpose_b)];
    let bias = call.constant(2)?.filter(|_| beta == 1.0);
    let op = Op::Gemm { transpose_b };
    match bias.map(|bias| bias.shape.clone()).as_deref() {
        None => builder.push(call, op, &[x, weight]),
        Some(&[n] | &[1, n]) if n == outputs => {
            let bias = bias.map(|bias| Rc::new(bias.with_shape(vec![n])));
            let mut operands = vec![x, weight];
            operands.extend(builder.bias(bias.as_ref())?);
            builder.push(call, op, &operands)
        }
        Some([] | [1] | [1, 1]) => scalar_bias(builder, call, op, &[x, weight], bias),
        Some(other) => invalid(format!("bias of shape {other:?} for {outputs} outputs")),
    }
}

/// A bias of one element for several outputs becomes an addition; it stays a parameter.
fn scalar_bias(
    builder: &mut Builder,
    call: &Call,
    op: Op,
    operands: &[ValueId],
    bias: Option<&Rc<Constant>>,
) -> Outcome<Binding> {
    let name = format!("{}/product", call.name());
    let product = builder.push_as(name.clone(), name, op, operands)?;
    match builder.bias(bias)? {
        None => Ok(Binding::Frame(product)),
        Some(bias) => {
            builder.biases.insert(bias);
            builder.push(call, Op::Add, &[product, bias])
        }
    }
}

/// MatMul by a constant matrix on the right, or of two frame values.
pub(super) fn matmul(builder: &mut Builder, call: &Call) -> Outcome<Binding> {
    call.arity(2, 2)?;
    if matches!(call.input(0), Some(Binding::Constant(_))) {
        return unsupported("its left operand is the constant one", TRANSPOSED);
    }
    let x = call.frame(0)?;
    if let Some(&Binding::Frame(y)) = call.input(1) {
        let op = Op::MatMul { transpose_a: false, transpose_b: false };
        let mut operands = [x, y];
        builder.alike(call, &mut operands)?;
        let [a, b] = operands.map(|id| builder.shape(id));
        let outer = |shape: &[usize]| shape[..shape.len().saturating_sub(2)].to_vec();
        if a.len() < 2 || a.len() != b.len() || outer(&a) != outer(&b) {
            return unsupported(
                format!("it multiplies {a:?} and {b:?}, whose axes before the matrices differ"),
                "expand both operands to the same axes in the model",
            );
        }
        return builder.push(call, op, &operands);
    }
    let (weight, transpose_b) = matrix(builder, call, false)?;
    if builder.graph.shape(x).len() < 2 {
        return unsupported("its input has no feature axis", "keep the batch on axis 0");
    }
    builder.push(call, Op::Gemm { transpose_b }, &[x, weight])
}

/// BatchNormalization in inference mode: input, scale, shift, mean, variance.
pub(super) fn batch_norm(builder: &mut Builder, call: &Call) -> Outcome<Binding> {
    call.arity(5, 5)?;
    let training = call.opset >= 14 && call.flag("training_mode", false)?;
    if training || (1..5).any(|index| call.has_output(index)) {
        return unsupported(
            "it is in training mode, where a frame's result depends on the other frames",
            "call model.eval() and export with training=torch.onnx.TrainingMode.PRESERVE",
        );
    }
    let mut operands = vec![call.frame(0)?];
    for index in 1..5 {
        operands.push(builder.constant(call.required_constant(index)?)?);
    }
    let variance = call.required_constant(4)?;
    let epsilon = epsilon(call)?;
    if variance.floats()?.iter().any(|&v| f64::from(v) + f64::from(epsilon) <= 0.0) {
        return invalid(format!("`{}` + epsilon is not positive everywhere", variance.name));
    }
    builder.push(call, Op::BatchNorm { epsilon: f64::from(epsilon) }, &operands)
}
