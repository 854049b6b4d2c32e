//! Conv, its fused epilogue, its input gradient and its weight norms. Gemm is a 1 x 1 convolution
//! and
//! shares all of it; `gemm` only says which.

use gradgate_bundle::op::{Activation, ConvParams, ConvWeightNormParams, NONE, OpCode};
use gradgate_bundle::shape::{ConvShape, METHOD_DIRECT, METHOD_GRAM, METHOD_PIXEL_GRAM};
use zerocopy::little_endian::U16;

use super::backward::InputGradient;
use super::fuse::Group;
use super::{Kind, LowerError, Lowering};
use crate::graph::{Graph, Node, ValueId};
use crate::ops::{Conv, Function, Op};
use crate::schedule::TensorId;

/// A Conv or Gemm node's geometry and the layout of its weight in the model.
pub(super) struct Linear {
    pub params: ConvParams,
    pub shape: ConvShape,
    /// Where the model holds weight (output, row, column, input) of the kernel.
    pub index: WeightOrder,
    pub weight: ValueId,
}

/// Order of a weight's axes in the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum WeightOrder {
    /// `[O, C/g, kh, kw]`, or `[N, K]`.
    OutputFirst,
    /// `[K, N]`.
    InputFirst,
}

impl Linear {
    pub fn macs(&self) -> u64 {
        self.shape.macs()
    }

    fn model_index(&self, o: usize, ky: usize, kx: usize, c: usize) -> usize {
        let [kh, kw] = self.shape.kernel;
        match self.index {
            WeightOrder::OutputFirst => ((o * self.shape.group_input + c) * kh + ky) * kw + kx,
            WeightOrder::InputFirst => c * self.shape.output[2] + o,
        }
    }

    /// The weight in the order in which kernels read it.
    fn blocked(&self, weight: &[f32]) -> Vec<f32> {
        let mut blocked = vec![0.0; weight.len()];
        for o in 0..self.shape.output[2] {
            for ky in 0..self.shape.kernel[0] {
                for kx in 0..self.shape.kernel[1] {
                    for c in 0..self.shape.group_input {
                        let to = self.shape.blocked_index(o, ky, kx, c);
                        blocked[to] = weight[self.model_index(o, ky, kx, c)];
                    }
                }
            }
        }
        blocked
    }
}

/// The four vectors of a normalisation fused with (or following) a linear op; f64 until the last
/// rounding.
pub(super) struct Affine {
    pub scale: Vec<f32>,
    pub shift: Vec<f32>,
    pub inverse_sigma: Vec<f32>,
    pub bias_minus_mean: Vec<f32>,
}

impl Lowering<'_> {
    /// Geometry of a linear node, or of one of its gradients' forward op, from its shapes.
    pub(super) fn conv_geometry(
        &self,
        node: &Node,
        conv: &Conv,
        input: &[usize],
        output: &[usize],
        weight: ValueId,
    ) -> Result<Linear, LowerError> {
        let kernel = &self.graph.shape(weight)[2..];
        let numbers = [
            &input[1..],
            &output[1..],
            kernel,
            &conv.strides,
            &conv.dilations,
            &conv.pads,
            &[conv.groups],
        ];
        if numbers.iter().any(|list| list.iter().any(|&n| n > usize::from(u16::MAX))) {
            return Err(self.refuse(node, "a length, stride or padding is above 65,535"));
        }
        let half = |n: usize| U16::new(n as u16);
        let params = ConvParams {
            input: [half(input[2]), half(input[3]), half(input[1])],
            output: [half(output[2]), half(output[3]), half(output[1])],
            kernel: [half(kernel[0]), half(kernel[1])],
            strides: conv.strides.map(half),
            dilations: conv.dilations.map(half),
            pads: conv.pads.map(half),
            groups: half(conv.groups),
            activation: half(0),
            low: 0.0.into(),
            high: 0.0.into(),
        };
        self.linear_from(node, params, WeightOrder::OutputFirst, weight)
    }

    pub(super) fn linear_from(
        &self,
        node: &Node,
        params: ConvParams,
        index: WeightOrder,
        weight: ValueId,
    ) -> Result<Linear, LowerError> {
        let shape =
            ConvShape::new(&params).map_err(|e| self.refuse(node, format!("geometry {e:?}")))?;
        Ok(Linear { params, shape, index, weight })
    }

    /// Geometry of a Conv or Gemm, or of the one whose gradient the node is.
    pub(super) fn linear_of(&self, node: &Node) -> Result<Linear, LowerError> {
        let shape = |value: ValueId| self.graph.shape(value);
        let (first, output) = (shape(node.inputs[0]), shape(node.output));
        match &node.op {
            Op::Conv(conv) => self.conv_geometry(node, conv, first, output, node.inputs[1]),
            Op::ConvInputGradient { conv, .. } => {
                self.conv_geometry(node, conv, output, first, node.inputs[1])
            }
            Op::Gemm { transpose_b } => {
                self.gemm_geometry(node, *transpose_b, first, node.inputs[1])
            }
            Op::GemmInputGradient { transpose_b } => {
                self.gemm_geometry(node, *transpose_b, output, node.inputs[1])
            }
            _ => Err(self.refuse(node, "is no linear op: a defect")),
        }
    }

    pub(super) fn weight_blob(&mut self, linear: &Linear) -> TensorId {
        let data = self.constant(linear.weight);
        let kind = Kind::Blocked { order: linear.index, groups: linear.shape.groups };
        self.blob(linear.weight, kind, || linear.blocked(data))
    }

    /// The fused step of a group.
    pub(super) fn linear(&mut self, group: Group) -> Result<(), LowerError> {
        let graph = self.graph;
        let node = &graph.nodes[group.linear.0 as usize];
        let mut linear = self.linear_of(node)?;
        let x = self.linear_operand(node, node.inputs[0])?;
        let w = self.weight_blob(&linear);
        let (scale, shift) = match group.batch_norm {
            Some(_) => {
                let affine = self.group_affine(&group);
                let scale = self.vector(format!("{}:scale", node.name), affine.scale);
                (Some(scale), Some(self.vector(format!("{}:shift", node.name), affine.shift)))
            }
            None => (None, node.inputs.get(2).map(|&bias| self.operand(bias))),
        };
        let skip = group.skip.map(|value| self.linear_operand(node, value)).transpose()?;
        if let Some(activation) = group.activation {
            let (kind, low, high) = activation_of(&graph.nodes[activation.0 as usize].op);
            linear.params.activation = (kind as u16).into();
            linear.params.low = low.into();
            linear.params.high = high.into();
        }
        let y = self.linear_result(group.output);
        let operands = [Some(x), Some(w), scale, shift, skip, Some(y)];
        let name = graph.value(group.output).name.clone();
        self.step(&name, OpCode::Conv, &linear.params, &operands, linear.macs());
        self.store_linear_result(node, group.output, y)
    }

    /// The cotangent of a linear op's input, with what the chain adds and gates.
    pub(super) fn input_gradient(&mut self, chain: &InputGradient) -> Result<(), LowerError> {
        let graph = self.graph;
        let node = &graph.nodes[chain.linear.0 as usize];
        let mut linear = self.linear_of(node)?;
        let (cotangent, scale) = match self.fusion.scaled_cotangent(node.inputs[0]) {
            Some(group) => {
                let affine = self.group_affine(&group);
                let scale = self.vector(format!("{}:scale", node.name), affine.scale);
                (group.cotangent.unwrap_or(node.inputs[0]), Some(scale))
            }
            None => (node.inputs[0], None),
        };
        let g = self.linear_operand(node, cotangent)?;
        let w = self.weight_blob(&linear);
        let addend = chain.addend.map(|value| self.linear_operand(node, value)).transpose()?;
        let mut gate = None;
        if let Some(activation) = chain.gate {
            let activation = &graph.nodes[activation.0 as usize];
            let (kind, low, high) = activation_of(&activation.op);
            linear.params.activation = (kind as u16).into();
            (linear.params.low, linear.params.high) = (low.into(), high.into());
            gate = Some(self.linear_operand(node, self.gradient_source(activation))?);
        }
        let dx = self.linear_result(chain.output);
        let operands = [Some(g), Some(w), scale, addend, gate, Some(dx)];
        let name =
            if chain.output == node.output { &node.name } else { &graph.value(chain.output).name };
        self.step(name, OpCode::ConvInputGradient, &linear.params, &operands, linear.macs());
        self.store_linear_result(node, chain.output, dx)
    }

    /// The norms of a group's weight, bias, scale and shift in one step.
    pub(super) fn conv_weight_norm(&mut self, group: Group) -> Result<(), LowerError> {
        let graph = self.graph;
        let node = &graph.nodes[group.linear.0 as usize];
        let Some(cotangent) = group.cotangent else {
            return Err(self.refuse(node, "has no cotangent"));
        };
        let linear = self.linear_of(node)?;
        let x = self.linear_operand(node, node.inputs[0])?;
        let g = self.linear_operand(node, cotangent)?;
        let w = self.weight_blob(&linear);
        let mut operands = vec![Some(x), Some(g), Some(w), None, None, None];
        if group.batch_norm.is_some() {
            let affine = self.group_affine(&group);
            let name = |what: &str| format!("{}:{what}", node.name);
            operands[3] = Some(self.vector(name("scale"), affine.scale));
            operands[4] = Some(self.vector(name("inverse_sigma"), affine.inverse_sigma));
            operands[5] = Some(self.vector(name("bias_minus_mean"), affine.bias_minus_mean));
        }
        let (method, macs) = norm_method(&linear.shape, &group.features);
        let matrix = match method {
            METHOD_PIXEL_GRAM => linear.shape.pixel_gram().map_or(0, |gram| gram.elements()),
            _ => 0,
        };
        let elements = 3 * linear.shape.output[2] + matrix;
        let scratch = self.arena(format!("{}:norms", node.name), elements);
        operands.push(Some(scratch));
        let [weight, bias, scale, shift] = group.features.map(Into::into);
        let params = ConvWeightNormParams {
            conv: linear.params,
            method: method.into(),
            weight,
            bias,
            scale,
            shift,
            reserved: 0.into(),
        };
        let name = format!("{}:norms", node.name);
        self.step(&name, OpCode::ConvWeightNorm, &params, &operands, macs);
        self.alignments_after(group.features[0])
    }

    /// The weight gradient itself, for a weight that several nodes share.
    pub(super) fn weight_gradient(&mut self, node: &Node) -> Result<(), LowerError> {
        let linear = self.weight_gradient_geometry(node)?;
        let x = self.linear_operand(node, node.inputs[0])?;
        let g = self.linear_operand(node, node.inputs[1])?;
        let elements = self.graph.value(node.output).elements();
        let dw = self.arena(self.graph.value(node.output).name.clone(), elements);
        let operands = [Some(x), Some(g), Some(dw)];
        self.step(&node.name, OpCode::ConvWeightGradient, &linear.params, &operands, linear.macs());
        match linear.index {
            WeightOrder::OutputFirst => {
                self.tensor_of.insert(node.output, dw);
                Ok(())
            }
            WeightOrder::InputFirst => self.gemm_weight_transposed(node, dw),
        }
    }

    fn weight_gradient_geometry(&self, node: &Node) -> Result<Linear, LowerError> {
        // The forward node that the rule belongs to knows the weight.
        let index = self.graph.producers()[node.output.0 as usize].map_or(0, |id| id.0 as usize);
        let rule = self.expanded.rules.iter().find(|rule| rule.emitted.contains(&index));
        match rule {
            Some(rule) => self.linear_of(&self.graph.nodes[rule.node.0 as usize]),
            None => Err(self.refuse(node, "belongs to no forward node: a defect")),
        }
    }

    pub(super) fn group_affine(&self, group: &Group) -> Affine {
        let node = &self.graph.nodes[group.linear.0 as usize];
        let bias = node.inputs.get(2).map_or(&[][..], |&bias| self.constant(bias));
        let batch_norm = group.batch_norm.map(|node| &self.graph.nodes[node.0 as usize]);
        batch_norm.map_or_else(
            || Affine {
                scale: vec![],
                shift: vec![],
                inverse_sigma: vec![],
                bias_minus_mean: vec![],
            },
            |node| self.affine(node, bias),
        )
    }

    fn linear_result(&mut self, value: ValueId) -> TensorId {
        let name = self.graph.value(value).name.clone();
        self.arena(name, self.graph.value(value).elements())
    }
}

/// Geometry of a convolution.
pub(super) fn shape_of(graph: &Graph, node: &Node) -> Option<ConvShape> {
    let Op::Conv(conv) = &node.op else { return None };
    let &[1, channels, rows, columns] = graph.shape(node.inputs[0]) else { return None };
    let &[1, outputs, output_rows, output_columns] = graph.shape(node.output) else { return None };
    let &[_, group_input, kernel_rows, kernel_columns] = graph.shape(node.inputs[1]) else {
        return None;
    };
    Some(ConvShape {
        input: [rows, columns, channels],
        output: [output_rows, output_columns, outputs],
        kernel: [kernel_rows, kernel_columns],
        strides: conv.strides,
        dilations: conv.dilations,
        pads: conv.pads,
        groups: conv.groups,
        group_input,
        group_output: outputs / conv.groups,
    })
}

/// The cheapest method by counted multiply-adds that gives the features wanted (weight, bias,
/// scale, shift); independent of any memory budget, since the methods differ in the last bits.
pub(super) fn norm_method(shape: &ConvShape, features: &[u16; 4]) -> (u16, u64) {
    let direct = (METHOD_DIRECT, shape.macs());
    if features[2] != NONE {
        return direct;
    }
    if shape.gram_is_defined() {
        return (METHOD_GRAM, shape.input[2] as u64);
    }
    match shape.pixel_gram_macs() {
        Some(macs) if features[0] != NONE && macs < direct.1 => (METHOD_PIXEL_GRAM, macs),
        _ => direct,
    }
}

/// An activation's number and bounds in a parameter record.
pub(super) fn activation_of(op: &Op) -> (Activation, f32, f32) {
    match op {
        Op::Relu | Op::ReluGradient => (Activation::Relu, 0.0, 0.0),
        Op::LeakyRelu { alpha } | Op::LeakyReluGradient { alpha } => {
            (Activation::LeakyRelu, *alpha, 0.0)
        }
        Op::Clip { min, max } | Op::ClipGradient { min, max } => (Activation::Clip, *min, *max),
        Op::Sigmoid | Op::SigmoidGradient => (Activation::Sigmoid, 0.0, 0.0),
        Op::Function(function) | Op::FunctionGradient(function) => function_of(*function),
        _ => (Activation::Identity, 0.0, 0.0),
    }
}

fn function_of(function: Function) -> (Activation, f32, f32) {
    match function {
        Function::Exp => (Activation::Exp, 0.0, 0.0),
        Function::Log => (Activation::Log, 0.0, 0.0),
        Function::Sqrt => (Activation::Sqrt, 0.0, 0.0),
        Function::Tanh => (Activation::Tanh, 0.0, 0.0),
        Function::Erf => (Activation::Erf, 0.0, 0.0),
        Function::Elu { alpha, gamma } => (Activation::Elu, alpha, gamma),
        Function::Softplus => (Activation::Softplus, 0.0, 0.0),
        Function::HardSigmoid { alpha, beta } => (Activation::HardSigmoid, alpha, beta),
        Function::HardSwish => (Activation::HardSwish, 0.0, 0.0),
        Function::Gelu => (Activation::Gelu, 0.0, 0.0),
        Function::GeluTanh => (Activation::GeluTanh, 0.0, 0.0),
        Function::Pow { exponent } => (Activation::Pow, exponent, 0.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(
        input: [u16; 3],
        output: [u16; 3],
        kernel: u16,
        stride: u16,
        groups: u16,
    ) -> ConvShape {
        let pad = kernel / 2;
        ConvShape::new(&ConvParams {
            input: input.map(U16::new),
            output: output.map(U16::new),
            kernel: [kernel; 2].map(U16::new),
            strides: [stride; 2].map(U16::new),
            dilations: [1; 2].map(U16::new),
            pads: [pad; 4].map(U16::new),
            groups: U16::new(groups),
            activation: U16::new(0),
            low: 0.0.into(),
            high: 0.0.into(),
        })
        .unwrap()
    }

    #[test]
    fn norm_methods_by_counted_cost() {
        let (all, unscaled, bias) = ([0, 1, 2, 3], [0, 1, NONE, 3], [NONE, 1, NONE, 3]);
        // ResNet-20's last stage: (64 x 128 x 64) + 64^2 x (64 / 2 + 9) against 64 x 576 x 64.
        let last = shape([8, 8, 64], [8, 8, 64], 3, 1, 1);
        let first = shape([32, 32, 16], [32, 32, 16], 3, 1, 1);
        let linear = shape([1, 1, 64], [1, 1, 10], 1, 1, 1);
        let grouped = shape([8, 8, 64], [8, 8, 64], 3, 1, 2);
        for (shape, features, expected) in [
            (last, all, (METHOD_DIRECT, 2_359_296)),
            (last, unscaled, (METHOD_PIXEL_GRAM, 692_224)),
            (last, bias, (METHOD_DIRECT, 2_359_296)),
            (first, unscaled, (METHOD_DIRECT, 2_359_296)),
            (linear, unscaled, (METHOD_GRAM, 64)),
            (linear, all, (METHOD_DIRECT, 640)),
            (grouped, unscaled, (METHOD_DIRECT, 1_179_648)),
        ] {
            assert_eq!(norm_method(&shape, &features), expected, "{shape:?} {features:?}");
        }
    }
}
