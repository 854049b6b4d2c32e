//! Convolution with its epilogue: scale goes into the kernel and shift into the bias, both by
//! rounding that differs from the engine's; skip and activation follow in place.

use gradgate_bundle::op::{Activation, ConvParams};
use gradgate_bundle::shape::ConvShape;

use super::unary::act;
use super::window::Window;
use crate::error::TractError;
use crate::slice_op::SliceOp;
use crate::wires::Site;

/// Adds the convolution.
pub fn wire(site: &mut Site<'_, '_, '_>, p: &ConvParams) -> Result<(), TractError> {
    let s = ConvShape::new(p).map_err(|_| site.unsupported("this geometry"))?;
    let x = site.shaped(0, &[1, s.input[0], s.input[1], s.input[2]])?;
    let blocked = site.constant(1)?;
    let scale = site.optional(2)?;
    let weight = weight(&s, |o, ky, kx, c| {
        let w = blocked.get(s.blocked_index(o, ky, kx, c))?;
        scale.as_ref().map_or(Some(*w), |scale| Some(scale.get(o)? * w))
    });
    let weight = weight.ok_or_else(|| site.unsupported("a weight of this length"))?;
    let shift = site.optional(3)?;
    let window = Window {
        channels: [s.input[2], s.output[2]],
        kernel: s.kernel,
        strides: s.strides,
        dilations: s.dilations,
        before: [s.pads[0], s.pads[1]],
        after: [s.pads[2], s.pads[3]],
        groups: s.groups,
    };
    let mut y = window.wire(site, x, &weight, shift.as_deref())?;
    let act = act(site, p.activation.get().into(), p.low, p.high)?;
    let skip = if site.has(4) { Some(site.value(4)?) } else { None };
    if skip.is_some() || act.kind != Activation::Identity {
        let shape = site.shape(y)?;
        let op = SliceOp::in_place("Epilogue", &shape, move |inputs, y| {
            if let Some(skip) = inputs.first() {
                y.iter_mut().zip(*skip).for_each(|(y, skip)| *y += skip);
            }
            act.apply(y);
            Some(())
        });
        let inputs: Vec<_> = std::iter::once(y).chain(skip).collect();
        y = site.node(op, &inputs)?;
    }
    site.write(5, y);
    Ok(())
}

/// A weight in ONNX order, `[output][input within the group][row][column]`.
fn weight(
    s: &ConvShape,
    at: impl Fn(usize, usize, usize, usize) -> Option<f32>,
) -> Option<Vec<f32>> {
    let mut weight = Vec::with_capacity(s.weight_elements());
    for o in 0..s.output[2] {
        for c in 0..s.group_input {
            for ky in 0..s.kernel[0] {
                for kx in 0..s.kernel[1] {
                    weight.push(at(o, ky, kx, c)?);
                }
            }
        }
    }
    Some(weight)
}
