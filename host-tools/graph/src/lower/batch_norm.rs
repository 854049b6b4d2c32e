//! A normalisation that stands alone (not behind a convolution), and its gradients.

use gradgate_bundle::op::{AffineNormParams, AffineParams, NONE, OpCode};

use super::conv::Affine;
use super::{LowerError, Lowering};
use crate::graph::{Node, ValueId};
use crate::ops::Op;

impl Lowering<'_> {
    /// Vectors of a BatchNorm node behind a linear op with the given bias (empty for none), in f64
    /// until the last rounding: scale = gamma / sigma, shift = (bias - mean) * scale + beta.
    pub(super) fn affine(&self, node: &Node, bias: &[f32]) -> Affine {
        let Op::BatchNorm { epsilon } = node.op else {
            unreachable!("fusion pairs with BatchNorm")
        };
        let vector = |place: usize| self.constant(node.inputs[place]);
        let (gamma, beta, mean, variance) = (vector(1), vector(2), vector(3), vector(4));
        let channels = 0..gamma.len();
        let sigma = |c: usize| (f64::from(variance[c]) + epsilon).sqrt();
        let scale = |c: usize| f64::from(gamma[c]) / sigma(c);
        let centred =
            |c: usize| f64::from(bias.get(c).copied().unwrap_or(0.0)) - f64::from(mean[c]);
        let shift = |c: usize| centred(c) * scale(c) + f64::from(beta[c]);
        Affine {
            scale: channels.clone().map(|c| scale(c) as f32).collect(),
            shift: channels.clone().map(|c| shift(c) as f32).collect(),
            inverse_sigma: channels.clone().map(|c| (1.0 / sigma(c)) as f32).collect(),
            bias_minus_mean: channels.map(|c| centred(c) as f32).collect(),
        }
    }

    pub(super) fn batch_norm(&mut self, node: &Node, _epsilon: f64) -> Result<(), LowerError> {
        let params = self.affine_params(node, node.output)?;
        let affine = self.affine(node, &[]);
        let x = self.operand(node.inputs[0]);
        let scale = self.vector(format!("{}:scale", node.name), affine.scale);
        let shift = self.vector(format!("{}:shift", node.name), affine.shift);
        let y = self.arena_for(node.output);
        self.step(
            &node.name,
            OpCode::Affine,
            &params,
            &[Some(x), Some(scale), Some(shift), Some(y)],
            0,
        );
        Ok(())
    }

    /// g times scale. Operands g, scale, variance.
    pub(super) fn batch_norm_input_gradient(
        &mut self,
        node: &Node,
        epsilon: f64,
    ) -> Result<(), LowerError> {
        let params = self.affine_params(node, node.output)?;
        let (gamma, variance) = (self.constant(node.inputs[1]), self.constant(node.inputs[2]));
        let g = self.operand(node.inputs[0]);
        let scale =
            |(&g, &v): (&f32, &f32)| (f64::from(g) / (f64::from(v) + epsilon).sqrt()) as f32;
        let scale = gamma.iter().zip(variance).map(scale).collect();
        let scale = self.vector(format!("{}:scale", node.name), scale);
        let dx = self.arena_for(node.output);
        self.step(&node.name, OpCode::Affine, &params, &[Some(g), Some(scale), None, Some(dx)], 0);
        Ok(())
    }

    /// The norm of the scale's gradient, straight into its feature. Operands x, g, mean, variance.
    pub(super) fn batch_norm_scale_gradient(&mut self, node: &Node) -> Result<(), LowerError> {
        let Op::BatchNormScaleGradient { epsilon } = node.op else { return Ok(()) };
        let feature = match self.features.get(&node.output).map(Vec::as_slice) {
            Some(&[feature]) => feature,
            _ => {
                return Err(self.refuse(node, "a normalisation's scale is shared by several nodes"));
            }
        };
        let affine = self.affine_params(node, node.inputs[0])?;
        let params = AffineNormParams {
            pixels: affine.pixels,
            channels: affine.channels,
            scale: feature.into(),
            shift: NONE.into(),
        };
        let variance = self.constant(node.inputs[3]);
        let (x, g) = (self.operand(node.inputs[0]), self.operand(node.inputs[1]));
        let inverse = |&v: &f32| (1.0 / (f64::from(v) + epsilon).sqrt()) as f32;
        let inverse_sigma = variance.iter().map(inverse).collect();
        let inverse_sigma = self.vector(format!("{}:inverse_sigma", node.name), inverse_sigma);
        let mean = self.operand(node.inputs[2]);
        let scratch =
            self.arena(format!("{}:norms", node.name), 2 * affine.channels.get() as usize);
        let operands = [x, g, inverse_sigma, mean, scratch].map(Some);
        self.step(&node.name, OpCode::AffineNorm, &params, &operands, 0);
        Ok(())
    }

    fn affine_params(&self, node: &Node, value: ValueId) -> Result<AffineParams, LowerError> {
        let &[1, channels, ref pixels @ ..] = self.graph.shape(value) else {
            return Err(self.refuse(node, "has no channel axis"));
        };
        if pixels.len() == 1 {
            return Err(
                self.refuse(node, "normalises a value of rank 3; only ranks 2 and 4 have a kernel")
            );
        }
        Ok(AffineParams {
            pixels: (pixels.iter().product::<usize>() as u32).into(),
            channels: (channels as u32).into(),
            activation: 0.into(),
            low: 0.0.into(),
            high: 0.0.into(),
        })
    }
}
