//! MaxPool, AveragePool and their gradients.

use gradgate_bundle::op::{OpCode, PoolParams};
use zerocopy::little_endian::U16;

use super::{LowerError, Lowering};
use crate::graph::Node;
use crate::ops::{Op, Pool};

impl Lowering<'_> {
    pub(super) fn pool(&mut self, node: &Node, pool: &Pool) -> Result<(), LowerError> {
        let shape = |value| self.graph.shape(value);
        let (opcode, input, output) = match node.op {
            Op::MaxPool(_) => (OpCode::MaxPool, shape(node.inputs[0]), shape(node.output)),
            Op::AveragePool(_) => (OpCode::AveragePool, shape(node.inputs[0]), shape(node.output)),
            Op::MaxPoolGradient(_) => {
                (OpCode::MaxPoolGradient, shape(node.inputs[0]), shape(node.inputs[1]))
            }
            _ => (OpCode::AveragePoolGradient, shape(node.output), shape(node.inputs[0])),
        };
        let numbers = [input, output, &pool.kernel, &pool.strides, &pool.dilations, &pool.pads];
        if numbers.iter().any(|list| list.iter().any(|&n| n > usize::from(u16::MAX))) {
            return Err(self.refuse(node, "a length, stride or padding is above 65,535"));
        }
        let half = |n: usize| U16::new(n as u16);
        let params = PoolParams {
            input: [half(input[2]), half(input[3])],
            output: [half(output[2]), half(output[3])],
            kernel: pool.kernel.map(half),
            strides: pool.strides.map(half),
            dilations: pool.dilations.map(half),
            pads: pool.pads.map(half),
            channels: half(input[1]),
            count_include_pad: half(usize::from(pool.count_include_pad)),
        };
        let mut operands: Vec<_> =
            node.inputs.iter().map(|&input| Some(self.operand(input))).collect();
        operands.push(Some(self.arena_for(node.output)));
        self.step(&node.name, opcode, &params, &operands, 0);
        Ok(())
    }
}
