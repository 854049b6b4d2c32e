//! Convolution and pooling windows.

use std::rc::Rc;

use super::super::builder::Builder;
use super::super::call::{Binding, Call, natural};
use super::super::constant::Constant;
use super::super::error::{Outcome, invalid, unsupported};
use crate::graph::ValueId;
use crate::ops::{Conv, Op, Pool};

/// Two lengths from an attribute; 1 by default.
fn pair(call: &Call, name: &str) -> Outcome<[usize; 2]> {
    match call.int_list(name)? {
        None => Ok([1, 1]),
        Some(&[rows, columns]) => Ok([natural(name, rows)?, natural(name, columns)?]),
        Some(list) => invalid(format!("attribute `{name}` has {} entries, expected 2", list.len())),
    }
}

fn positive(name: &str, pair: [usize; 2]) -> Outcome<[usize; 2]> {
    if pair.contains(&0) {
        return invalid(format!("attribute `{name}` is {pair:?}"));
    }
    Ok(pair)
}

/// The image-like operand 0 and its height and width.
fn plane(builder: &Builder, call: &Call) -> Outcome<(ValueId, [usize; 2])> {
    let id = call.frame(0)?;
    match *builder.graph.shape(id) {
        [_, _, height, width] => Ok((id, [height, width])),
        ref other => unsupported(
            format!(
                "its input has rank {}, only two-dimensional windows are supported",
                other.len()
            ),
            "use the two-dimensional operator on values of shape [batch, channels, height, width]",
        ),
    }
}

/// A window's geometry, padding made explicit.
struct Window {
    strides: [usize; 2],
    dilations: [usize; 2],
    pads: [usize; 4],
}

fn window(call: &Call, input: [usize; 2], kernel: [usize; 2]) -> Outcome<Window> {
    let strides = positive("strides", pair(call, "strides")?)?;
    let dilations = positive("dilations", pair(call, "dilations")?)?;
    positive("kernel_shape", kernel)?;
    let mode = call.text_or("auto_pad", "NOTSET")?;
    let mut pads = [0; 4];
    match mode {
        "NOTSET" => pads = self::pads(call)?,
        "VALID" => {}
        "SAME_UPPER" | "SAME_LOWER" => {
            for axis in 0..2 {
                let output = input[axis].div_ceil(strides[axis]);
                let reach = (output - 1) * strides[axis] + dilations[axis] * (kernel[axis] - 1) + 1;
                let total = reach.saturating_sub(input[axis]);
                let (less, more) = (total / 2, total - total / 2);
                let upper = mode == "SAME_UPPER";
                (pads[axis], pads[axis + 2]) = if upper { (less, more) } else { (more, less) };
            }
        }
        other => return invalid(format!("attribute `auto_pad` is `{other}`")),
    }
    Ok(Window { strides, dilations, pads })
}

/// Attribute `pads`: top, left, bottom, right; 0 by default.
fn pads(call: &Call) -> Outcome<[usize; 4]> {
    let mut pads = [0; 4];
    match call.int_list("pads")? {
        None => {}
        Some(list) if list.len() == 4 => {
            if list.iter().any(|&pad| pad < 0) {
                return unsupported(
                    format!("negative padding {list:?}"),
                    "crop with a slice instead",
                );
            }
            for (pad, &value) in pads.iter_mut().zip(list) {
                *pad = natural("pads", value)?;
            }
        }
        Some(list) => {
            return invalid(format!("attribute `pads` has {} entries, expected 4", list.len()));
        }
    }
    Ok(pads)
}

/// Rows and columns of a weight, and the length of its second axis.
fn kernel(call: &Call, weight: &Constant) -> Outcome<([usize; 2], usize)> {
    let &[_, second, rows, columns] = weight.shape.as_slice() else {
        return invalid(format!("weight `{}` has shape {:?}", weight.name, weight.shape));
    };
    let kernel = [rows, columns];
    if call.int_list("kernel_shape")?.is_some() && pair(call, "kernel_shape")? != kernel {
        return invalid(format!("attribute `kernel_shape` differs from the weight's {kernel:?}"));
    }
    Ok((kernel, second))
}

/// Conv: input, weight, bias.
pub(super) fn convolution(builder: &mut Builder, call: &Call) -> Outcome<Binding> {
    call.arity(2, 3)?;
    let (input, size) = plane(builder, call)?;
    let weight = call.required_constant(1)?;
    let (kernel, _) = kernel(call, weight)?;
    let Window { strides, dilations, pads } = window(call, size, kernel)?;
    let groups = natural("group", call.int_or("group", 1)?)?;
    let mut operands = vec![input, builder.constant(weight)?];
    operands.extend(builder.bias(call.constant(2)?)?);
    builder.push(call, Op::Conv(Conv { strides, pads, dilations, groups }), &operands)
}

/// ConvTranspose: input, weight, bias. It is the input gradient of a convolution from its result to
/// its input.
pub(super) fn transposed(builder: &mut Builder, call: &Call) -> Outcome<Binding> {
    call.arity(2, 3)?;
    let (input, size) = plane(builder, call)?;
    let weight = call.required_constant(1)?;
    let (kernel, per_group) = kernel(call, weight)?;
    positive("kernel_shape", kernel)?;
    let strides = positive("strides", pair(call, "strides")?)?;
    let dilations = positive("dilations", pair(call, "dilations")?)?;
    let groups = natural("group", call.int_or("group", 1)?)?;
    let beyond = match call.int_list("output_padding")? {
        None => [0, 0],
        Some(_) => pair(call, "output_padding")?,
    };
    let reach = |axis: usize| {
        let steps = (size[axis] - 1).checked_mul(strides[axis])?;
        let window = dilations[axis].checked_mul(kernel[axis] - 1)?;
        steps.checked_add(window)?.checked_add(1)?.checked_add(beyond[axis])
    };
    let (Some(height), Some(width)) = (reach(0), reach(1)) else {
        return invalid("its result has too many rows or columns");
    };
    let (output, pads) = transposed_output(call, [height, width], size, strides)?;
    builder.limits.volume(&[1, per_group.saturating_mul(groups), output[0], output[1]])?;
    let op =
        Op::ConvInputGradient { conv: Conv { strides, pads, dilations, groups }, input_hw: output };
    let (channels, weight) = (per_group * groups, builder.constant(weight)?);
    let column = match call.constant(2)? {
        Some(bias) if bias.shape != [channels] => {
            return invalid(format!("bias of shape {:?} for {channels} outputs", bias.shape));
        }
        bias => bias.map(|bias| Rc::new(bias.with_shape(vec![channels, 1, 1]))),
    };
    let Some(bias) = builder.bias(column.as_ref())? else {
        return builder.push(call, op, &[input, weight]);
    };
    let product = builder.part(call, "product", op, &[input, weight])?;
    builder.biases.insert(bias);
    builder.push(call, Op::Add, &[product, bias])
}

/// Rows and columns of a transposed convolution's result, of which so many are reached, and what
/// the convolution pads there.
fn transposed_output(
    call: &Call,
    reached: [usize; 2],
    size: [usize; 2],
    strides: [usize; 2],
) -> Outcome<([usize; 2], [usize; 4])> {
    let mode = call.text_or("auto_pad", "NOTSET")?;
    let given = call.int_list("output_shape")?.is_some();
    if !given && matches!(mode, "NOTSET" | "VALID") {
        let pads = if mode == "VALID" { [0; 4] } else { pads(call)? };
        let left = |axis: usize| reached[axis].checked_sub(pads[axis] + pads[axis + 2]);
        return match (left(0), left(1)) {
            (Some(height), Some(width)) if height > 0 && width > 0 => Ok(([height, width], pads)),
            _ => invalid(format!("pads {pads:?} leave nothing of {reached:?}")),
        };
    }
    let output = match given {
        true => pair(call, "output_shape")?,
        false => [size[0].saturating_mul(strides[0]), size[1].saturating_mul(strides[1])],
    };
    let mut pads = [0; 4];
    for axis in 0..2 {
        let Some(total) = reached[axis].checked_sub(output[axis]) else {
            return unsupported(
                format!("its result of {output:?} is larger than what {reached:?} it reaches"),
                "pad the result in the model",
            );
        };
        let (less, more) = (total / 2, total - total / 2);
        let upper = mode == "SAME_UPPER";
        (pads[axis], pads[axis + 2]) = if upper { (less, more) } else { (more, less) };
    }
    Ok((output, pads))
}

/// MaxPool and AveragePool.
pub(super) fn pool(builder: &mut Builder, call: &Call) -> Outcome<Binding> {
    call.arity(1, 1)?;
    let (input, size) = plane(builder, call)?;
    if call.int_list("kernel_shape")?.is_none() {
        return invalid("attribute `kernel_shape` is missing");
    }
    let kernel = pair(call, "kernel_shape")?;
    let Window { strides, dilations, pads } = window(call, size, kernel)?;
    let ceil_mode = call.flag("ceil_mode", false)?;
    let average = call.proto.op_type == "AveragePool";
    let count_include_pad = average && call.flag("count_include_pad", false)?;
    let mut pool = Pool { kernel, strides, pads, dilations, ceil_mode, count_include_pad };
    if ceil_mode && call.text_or("auto_pad", "NOTSET")? != "NOTSET" {
        // Runtimes disagree on what a last, cut window is then: accepted where there is none.
        let rounded = pool.output_hw(size);
        pool.ceil_mode = false;
        if pool.output_hw(size) != rounded {
            return unsupported("ceil_mode together with auto_pad", "give explicit pads");
        }
    }
    let op = if average { Op::AveragePool(pool) } else { Op::MaxPool(pool) };
    builder.push(call, op, &[input])
}
