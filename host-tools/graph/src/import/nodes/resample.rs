//! An axis resampled at places that follow no whole factor: every output is a blend of two inputs,
//! or one of them, with weights that only depend on its index.
//!
//! The weights are those of onnxruntime, in f32 like its own. They are the kernel of a convolution
//! over the axis, which for that takes the place of the channels; it is no parameter.

use super::super::builder::Builder;
use super::super::call::Call;
use super::super::error::{Outcome, invalid, unsupported};
use crate::graph::{Tensor, ValueId};
use crate::ops::{Conv, Op};

/// How an output's place follows from its index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Places {
    /// Index over the scale.
    Corners,
    /// Centres of pixels.
    Centres,
    /// The first and the last elements of both lie on one another.
    Aligned,
}

/// What an axis becomes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Target {
    /// Elements.
    pub length: usize,
    /// Elements for each of before: as the file has it, not always the quotient of the lengths.
    pub scale: f32,
}

/// What an element is made of.
#[derive(Clone, Copy, Debug)]
pub(super) enum Blend {
    /// Of the two inputs around its place.
    Linear,
    /// Of one input, by this rounding of its place.
    Nearest(Rounding),
}

/// How a place becomes an index.
#[derive(Clone, Copy, Debug)]
pub(super) enum Rounding {
    Floor,
    Ceil,
    /// To the nearest, half down.
    PreferFloor,
    /// To the nearest, half up.
    PreferCeil,
}

impl Rounding {
    /// By its name in ONNX.
    pub(super) fn named(name: &str) -> Outcome<Self> {
        match name {
            "floor" => Ok(Self::Floor),
            "ceil" => Ok(Self::Ceil),
            "round_prefer_floor" => Ok(Self::PreferFloor),
            "round_prefer_ceil" => Ok(Self::PreferCeil),
            _ => invalid(format!("attribute `nearest_mode` is `{name}`")),
        }
    }

    fn round(self, place: f32) -> f32 {
        match self {
            Self::Floor => place.floor(),
            Self::Ceil => place.ceil(),
            Self::PreferFloor => (place - 0.5).ceil(),
            Self::PreferCeil => (place + 0.5).floor(),
        }
    }
}

/// The axis resampled.
pub(super) fn resampled(
    builder: &mut Builder,
    call: &Call,
    x: ValueId,
    axis: usize,
    target: Target,
    places: Places,
    blend: Blend,
) -> Outcome<ValueId> {
    let mut shape = builder.shape(x);
    if shape.len() != 4 {
        return unsupported(
            format!("it resizes a value of rank {} by a factor that is not whole", shape.len()),
            "resize values of shape [batch, channels, height, width], or by a whole factor",
        );
    }
    let length = shape[axis];
    shape[axis] = target.length;
    builder.limits.volume(&shape)?;
    builder.charge(length.saturating_mul(target.length))?;
    let kernel = Tensor::new(
        vec![target.length, length, 1, 1],
        kernel(length, target, |index| place(index, length, target, places), blend),
    );
    let name = |what: &str| format!("axis {axis} {what}");
    let kernel = builder.graph.add_constant(format!("{}/{}", call.name(), name("weights")), kernel);
    builder.fixed.insert(kernel);
    let conv = Conv { strides: [1, 1], pads: [0; 4], dilations: [1, 1], groups: 1 };
    if axis == 1 {
        return builder.part(call, &name("blend"), Op::Conv(conv), &[x, kernel]);
    }
    let mut permutation = vec![0, 1, 2, 3];
    permutation.swap(1, axis);
    let exchange = Op::Transpose { permutation };
    let apart = builder.part(call, &name("apart"), exchange.clone(), &[x])?;
    let blend = builder.part(call, &name("blend"), Op::Conv(conv), &[apart, kernel])?;
    builder.part(call, &format!("axis {axis}"), exchange, &[blend])
}

/// Where in the input an output lies.
fn place(index: usize, length: usize, target: Target, places: Places) -> f32 {
    let index = index as f32;
    match places {
        Places::Corners => index / target.scale,
        Places::Centres => (index + 0.5) / target.scale - 0.5,
        Places::Aligned if target.length == 1 => 0.0,
        Places::Aligned => index * (length - 1) as f32 / (target.length - 1) as f32,
    }
}

/// A row of weights for each output.
fn kernel(length: usize, target: Target, place: impl Fn(usize) -> f32, blend: Blend) -> Vec<f32> {
    let mut kernel = vec![0.0; target.length * length];
    let last = (length - 1) as f32;
    for (index, row) in kernel.chunks_mut(length).enumerate() {
        match blend {
            Blend::Nearest(rounding) => {
                row[rounding.round(place(index)).clamp(0.0, last) as usize] = 1.0;
            }
            Blend::Linear => {
                let place = place(index).clamp(0.0, last);
                let below = place as usize;
                let away = place - below as f32;
                row[below] += 1.0 - away;
                row[(below + 1).min(length - 1)] += away;
            }
        }
    }
    kernel
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(length: usize, output: usize, places: Places, blend: Blend) -> Vec<Vec<f32>> {
        let target = Target { length: output, scale: output as f32 / length as f32 };
        let kernel = kernel(length, target, |index| place(index, length, target, places), blend);
        kernel.chunks(length).map(<[f32]>::to_vec).collect()
    }

    #[test]
    fn linear_weights_are_those_of_the_definition() {
        let rows = |places| rows(2, 3, places, Blend::Linear);
        assert_eq!(rows(Places::Aligned), [[1.0, 0.0], [0.5, 0.5], [0.0, 1.0]]);
        assert_eq!(rows(Places::Centres), [[1.0, 0.0], [0.5, 0.5], [0.0, 1.0]]);
        let corners = rows(Places::Corners);
        assert_eq!(corners[0], [1.0, 0.0]);
        assert!((corners[1][1] - 2.0 / 3.0).abs() < 1e-6, "{corners:?}");
        assert!(corners[2] == [0.0, 1.0], "{corners:?}");
    }

    #[test]
    fn the_nearest_is_rounded_as_the_file_says() {
        let taken = |rounding| {
            let rows = rows(4, 2, Places::Centres, Blend::Nearest(rounding));
            rows.iter().map(|row| row.iter().position(|&w| w == 1.0)).collect::<Vec<_>>()
        };
        // The places are 0.5 and 2.5.
        assert_eq!(taken(Rounding::Floor), [Some(0), Some(2)]);
        assert_eq!(taken(Rounding::Ceil), [Some(1), Some(3)]);
        assert_eq!(taken(Rounding::PreferFloor), [Some(0), Some(2)]);
        assert_eq!(taken(Rounding::PreferCeil), [Some(1), Some(3)]);
    }

    #[test]
    fn the_weights_of_an_output_add_up_to_one() {
        for length in 1..7 {
            for output in 1..12 {
                for places in [Places::Corners, Places::Centres, Places::Aligned] {
                    for row in rows(length, output, places, Blend::Linear) {
                        assert!((row.iter().sum::<f32>() - 1.0).abs() < 1e-6, "{row:?}");
                    }
                }
            }
        }
    }
}
