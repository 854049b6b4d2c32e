//! A normalisation that stands alone (not behind a convolution), and its gradients.

use gradgate_bundle::op::{
    AffineNormParams, AffineParams, BinaryKind, BinaryParams, NONE, OpCode, ReduceParams,
};

use super::conv::{Affine, activation_of};
use super::layout::Box;
use super::{LowerError, Lowering};
use crate::graph::{Node, ValueId};
use crate::ops::Op;
use crate::schedule::TensorId;

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

    /// A normalisation, with the activation behind it if that is given.
    pub(super) fn batch_norm(
        &mut self,
        node: &Node,
        activation: Option<&Node>,
    ) -> Result<(), LowerError> {
        let mut params = self.affine_params(node, node.output)?;
        if let Some(activation) = activation {
            let (kind, low, high) = activation_of(&activation.op);
            params.activation = (kind as u32).into();
            (params.low, params.high) = (low.into(), high.into());
        }
        let affine = self.affine(node, &[]);
        let x = self.operand(node.inputs[0]);
        let scale = self.vector(format!("{}:scale", node.name), affine.scale);
        let shift = self.vector(format!("{}:shift", node.name), affine.shift);
        let last = activation.unwrap_or(node);
        let y = self.arena_for(last.output);
        let operands = [Some(x), Some(scale), Some(shift), Some(y)];
        self.step(&last.name, OpCode::Affine, &params, &operands, 0);
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

    /// The gradient of a scale. Operands x, g, mean, variance. Its norm goes straight into the
    /// feature; only for a scale that several nodes share, the gradient itself is kept.
    pub(super) fn batch_norm_scale_gradient(
        &mut self,
        node: &Node,
        epsilon: f64,
    ) -> Result<(), LowerError> {
        let affine = self.affine_params(node, node.inputs[0])?;
        let variance = self.constant(node.inputs[3]);
        let (x, g) = (self.operand(node.inputs[0]), self.operand(node.inputs[1]));
        let inverse = |&v: &f32| (1.0 / (f64::from(v) + epsilon).sqrt()) as f32;
        let inverse_sigma = variance.iter().map(inverse).collect();
        let inverse_sigma = self.vector(format!("{}:inverse_sigma", node.name), inverse_sigma);
        let mean = self.operand(node.inputs[2]);
        let Some(&[feature]) = self.features.get(&node.output).map(Vec::as_slice) else {
            return self.scale_gradient_itself(node, affine, [x, g, inverse_sigma, mean]);
        };
        let params = AffineNormParams {
            pixels: affine.pixels,
            channels: affine.channels,
            scale: feature.into(),
            shift: NONE.into(),
        };
        let scratch =
            self.arena(format!("{}:norms", node.name), 2 * affine.channels.get() as usize);
        let operands = [x, g, inverse_sigma, mean, scratch].map(Some);
        self.step(&node.name, OpCode::AffineNorm, &params, &operands, 0);
        Ok(())
    }

    /// Per channel the sum over pixels of `g * (x - mean)`, times inverse sigma: by general steps,
    /// as it is rare.
    fn scale_gradient_itself(
        &mut self,
        node: &Node,
        affine: AffineParams,
        [x, g, inverse_sigma, mean]: [TensorId; 4],
    ) -> Result<(), LowerError> {
        let (pixels, channels) = (affine.pixels.get() as usize, affine.channels.get() as usize);
        let walk = |lengths: &[usize], strides: &[Vec<usize>]| {
            Box::new(lengths, strides).ok_or_else(|| self.refuse(node, "has too many axes"))
        };
        let (each, per_channel) = (vec![channels, 1], vec![0, 1]);
        let centre = walk(&[pixels, channels], &[each.clone(), per_channel])?;
        let whole = walk(&[pixels, channels], &[each.clone(), each])?;
        let kept = walk(&[channels], &[vec![1]])?;
        let reduced = walk(&[pixels], &[vec![channels]])?;
        let binary = |kind: BinaryKind, walk: &Box| BinaryParams {
            kind: (kind as u32).into(),
            dims: walk.dims(),
            a_strides: walk.strides(0),
            b_strides: walk.strides(1),
        };
        let mut partial =
            |what: &str, elements| self.arena(format!("{}:{what}", node.name), elements);
        let centred = partial("centred", pixels * channels);
        let products = partial("products", pixels * channels);
        let sums = partial("sums", channels);
        let params = binary(BinaryKind::Sub, &centre);
        self.step(&node.name, OpCode::Binary, &params, &[x, mean, centred].map(Some), 0);
        let params = binary(BinaryKind::Mul, &whole);
        self.step(&node.name, OpCode::Binary, &params, &[centred, g, products].map(Some), 0);
        let params = ReduceParams {
            kind: 0.into(),
            kept: kept.dims(),
            kept_strides: kept.strides(0),
            reduced: reduced.dims(),
            reduced_strides: reduced.strides(0),
        };
        self.step(&node.name, OpCode::Reduce, &params, &[products, sums].map(Some), 0);
        let y = self.arena_for(node.output);
        let params = AffineParams { pixels: 1.into(), ..affine };
        let operands = [Some(sums), Some(inverse_sigma), None, Some(y)];
        self.step(&node.name, OpCode::Affine, &params, &operands, 0);
        Ok(())
    }

    fn affine_params(&self, node: &Node, value: ValueId) -> Result<AffineParams, LowerError> {
        let &[1, channels, ref pixels @ ..] = self.graph.shape(value) else {
            return Err(self.refuse(node, "has no channel axis"));
        };
        let count = pixels.iter().product::<usize>();
        if count != 1 && pixels.len() != 2 {
            return Err(self.refuse(
                node,
                format!(
                    "normalises a value of rank {}; only ranks 2 and 4 have a kernel: reshape it \
                     to [1, {channels}, {count}, 1] in the model",
                    pixels.len() + 2
                ),
            ));
        }
        Ok(AffineParams {
            pixels: (count as u32).into(),
            channels: (channels as u32).into(),
            activation: 0.into(),
            low: 0.0.into(),
            high: 0.0.into(),
        })
    }
}
