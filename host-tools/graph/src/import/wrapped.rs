//! Values whose batch axis is not in front.
//!
//! Attention exchanges batch and tokens, merges the batch with the heads, and comes back. For one
//! frame the batch axis is an axis of length 1 like any other: such a value of ONNX shape `s` is
//! kept under the shape `[1, *s]`, *wrapped* in a frame axis of its own, until an operator gives a
//! shape that begins with 1 again.

use super::builder::{Builder, part_names};
use super::call::{Binding, Call};
use super::error::{Outcome, UnsupportedNode, invalid, unsupported};
use crate::graph::{Value, ValueId};
use crate::ops::Op;

/// Advice for a network that loses the batch axis for good.
pub(super) const KEEP_BATCH: &str =
    "keep the batch on axis 0, for example x.flatten(1) in place of x.view(-1)";

/// Which node took the batch axis away first.
#[derive(Clone, Debug)]
pub(super) struct Moved {
    /// Its name.
    pub node: String,
    /// Its operator.
    pub op: String,
    /// What it does.
    pub reason: String,
}

/// Operators that know what to do with a wrapped operand; those of one operand that go element by
/// element need to know nothing.
const ACCEPTING: &[&str] = &[
    "Add",
    "Cast",
    "CastLike",
    "Clip",
    "Div",
    "Dropout",
    "Elu",
    "Erf",
    "Exp",
    "Flatten",
    "Gather",
    "Gelu",
    "Gemm",
    "HardSigmoid",
    "HardSwish",
    "Identity",
    "LayerNormalization",
    "LeakyRelu",
    "Log",
    "MatMul",
    "Mul",
    "Neg",
    "Pow",
    "ReduceMean",
    "ReduceSum",
    "Relu",
    "Reshape",
    "Selu",
    "Shape",
    "Sigmoid",
    "Size",
    "Slice",
    "Softmax",
    "Softplus",
    "Split",
    "Sqrt",
    "Squeeze",
    "Sub",
    "Tanh",
    "Transpose",
    "Unsqueeze",
];

impl Builder<'_> {
    /// Refuses wrapped operands of operators that would take another axis for the frame.
    pub fn check_wrapped(&self, call: &Call) -> Outcome<()> {
        if ACCEPTING.contains(&call.proto.op_type.as_str()) {
            return Ok(());
        }
        let frames = call.inputs.iter().flatten().filter_map(|input| match input {
            Binding::Frame(id) => self.wrapped.get(id),
            _ => None,
        });
        match frames.into_iter().next() {
            None => Ok(()),
            Some(moved) => unsupported(
                format!("node `{}` ({}) before it {}", moved.node, moved.op, moved.reason),
                KEEP_BATCH,
            ),
        }
    }

    /// Axes before a value's own: 1 where it is wrapped.
    pub fn offset(&self, id: ValueId) -> usize {
        usize::from(self.wrapped.contains_key(&id))
    }

    /// What took the batch axis from one of the values.
    pub fn moved(&self, inputs: &[ValueId]) -> Option<Moved> {
        inputs.iter().find_map(|id| self.wrapped.get(id)).cloned()
    }

    /// The value with a frame axis of its own, next to others that have one.
    pub fn wrap(&mut self, call: &Call, id: ValueId, moved: &Moved) -> Outcome<ValueId> {
        if self.wrapped.contains_key(&id) {
            return Ok(id);
        }
        let shape = [&[1], self.graph.shape(id)].concat();
        let number = self.graph.nodes.len();
        let names = part_names(call, &format!("wrapped{number}"));
        self.append(names, Op::Reshape { shape }, &[id], Some(moved.clone()))
    }

    /// All frame values among the operands wrapped, if one of them is.
    pub fn alike(&mut self, call: &Call, operands: &mut [ValueId]) -> Outcome<()> {
        let Some(moved) = self.moved(operands) else { return Ok(()) };
        for operand in operands {
            if self.graph.value(*operand).is_frame() {
                *operand = self.wrap(call, *operand, &moved)?;
            }
        }
        Ok(())
    }

    /// As [`Builder::push`] for a result in which axis 0 is no frame axis: `shape` is the result's
    /// in ONNX, and `op` gives `[1, *shape]`.
    pub fn push_moved(
        &mut self,
        call: &Call,
        op: Op,
        inputs: &[ValueId],
        shape: &[usize],
        moved: Moved,
    ) -> Outcome<Binding> {
        if self.batch > 1 {
            return unsupported(moved.reason, KEEP_BATCH);
        }
        let names = [call.name(), call.output()];
        if shape.first() == Some(&1) && shape.len() > 1 {
            let inner = self.part(call, "moved", op, inputs)?;
            let op = Op::Reshape { shape: shape.to_vec() };
            return self.append(names, op, &[inner], None).map(Binding::Frame);
        }
        self.append(names, op, inputs, Some(moved)).map(Binding::Frame)
    }

    /// A Reshape to an ONNX shape, wrapped where that does not begin with the frame.
    pub fn push_reshape(
        &mut self,
        call: &Call,
        input: ValueId,
        shape: Vec<usize>,
        moved: Moved,
    ) -> Outcome<Binding> {
        if shape.first() == Some(&1) {
            let names = [call.name(), call.output()];
            return self.append(names, Op::Reshape { shape }, &[input], None).map(Binding::Frame);
        }
        let op = Op::Reshape { shape: [&[1], &shape[..]].concat() };
        self.push_moved(call, op, &[input], &shape, moved)
    }

    /// ONNX shape of what `op` would give for these operands.
    pub fn shape_after(&self, op: &Op, inputs: &[ValueId]) -> Outcome<Vec<usize>> {
        let operands: Vec<&Value> = inputs.iter().map(|&id| self.graph.value(id)).collect();
        match op.shape(&operands) {
            Ok(shape) => Ok(shape.get(1..).unwrap_or_default().to_vec()),
            Err(reason) => invalid(reason),
        }
    }
}

impl Moved {
    /// By this node.
    pub fn by(call: &Call, reason: String) -> Moved {
        Moved { node: call.name(), op: call.proto.op_type.clone(), reason }
    }

    /// The node as one that is not supported, as the logits never found back.
    pub fn refused(self) -> UnsupportedNode {
        let Moved { node, op, reason } = self;
        UnsupportedNode { node, op, reason, remedy: KEEP_BATCH.to_owned() }
    }
}
