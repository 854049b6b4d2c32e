//! Alignments: one step each, as soon as the norm that it divides by is a feature.

use gradgate_bundle::op::{ConvAlignmentParams, OpCode};

use super::conv::Linear;
use super::{LowerError, Lowering};
use crate::expand::Expanded;
use crate::graph::{Node, NodeId, ValueId};
use crate::ops::Op;

/// An alignment that waits for its norm.
#[derive(Clone, Copy, Debug)]
pub(super) struct Alignment {
    /// The Conv or Gemm whose weight it listens to.
    linear: NodeId,
    /// Its own node.
    node: NodeId,
    /// Feature that it reads.
    norm: u16,
    /// Feature that it writes.
    feature: u16,
}

/// All alignments of an expanded graph.
pub(super) fn alignments(expanded: &Expanded) -> Vec<Alignment> {
    let producers = expanded.graph.producers();
    let forward = &expanded.graph.nodes[..expanded.forward_nodes];
    let first = expanded.squared_norms.len() + expanded.activation_norms.len();
    let alignment = |(index, &(parameter, value)): (usize, &(ValueId, ValueId))| {
        let linear = forward.iter().position(|node| node.inputs.get(1) == Some(&parameter))?;
        let norm = expanded.squared_norms.iter().position(|&(other, _)| other == parameter)?;
        Some(Alignment {
            linear: NodeId(linear as u32),
            node: producers[value.0 as usize]?,
            norm: norm as u16,
            feature: (first + index) as u16,
        })
    };
    expanded.alignments.iter().enumerate().filter_map(alignment).collect()
}

impl Lowering<'_> {
    /// Emits the alignments that divide by this feature, which has just been written: their
    /// operands need not live any longer.
    pub(super) fn alignments_after(&mut self, norm: u16) -> Result<(), LowerError> {
        let due: Vec<Alignment> =
            self.alignments.iter().copied().filter(|a| a.norm == norm).collect();
        due.into_iter().try_for_each(|alignment| self.alignment(alignment))
    }

    fn alignment(&mut self, alignment: Alignment) -> Result<(), LowerError> {
        let graph = self.graph;
        let of = |id: NodeId| &graph.nodes[id.0 as usize];
        let (forward, node) = (of(alignment.linear), of(alignment.node));
        let linear = self.linear_of(forward)?;
        let (cotangent, scale) = match self.fusion.scaled_cotangent(node.inputs[1]) {
            Some(group) => {
                let scale = self.group_affine(&group).scale;
                (group.cotangent.unwrap_or(node.inputs[1]), scale)
            }
            None => (node.inputs[1], Vec::new()),
        };
        let x = self.linear_operand(forward, node.inputs[0])?;
        let g = self.linear_operand(forward, cotangent)?;
        let u = scaled(self.constant(node.inputs[2]), &scale);
        let u = self.vector(format!("{}:u", node.name), u);
        let v = in_kernel_order(self.constant(node.inputs[3]), &linear);
        let v = self.vector(format!("{}:v", node.name), v);
        let logits = self.operand(node.inputs[4]);
        let pixels = linear.shape.output[0] * linear.shape.output[1];
        let scratch = self.arena(format!("{}:weights", node.name), pixels);
        let classes = graph.shape(node.inputs[4])[1];
        let params = ConvAlignmentParams {
            conv: linear.params,
            classes: u16::try_from(classes).map_err(|_| self.too_many(node))?.into(),
            norm: alignment.norm.into(),
            feature: alignment.feature.into(),
            reserved: 0.into(),
        };
        let operands = [x, g, u, v, logits, scratch].map(Some);
        let macs = linear.shape.alignment_macs();
        self.step(&node.name, OpCode::ConvAlignment, &params, &operands, macs);
        Ok(())
    }

    fn too_many(&self, node: &Node) -> LowerError {
        self.refuse(node, "more than 65,535 classes; leave out --references")
    }
}

/// Whether a node is emitted with its norm.
pub(super) fn is_alignment(op: &Op) -> bool {
    matches!(op, Op::ConvAlignment(_) | Op::GemmAlignment)
}

/// Rows of u times the normalisation's scale, in f64 until the last rounding.
fn scaled(u: &[f32], scale: &[f32]) -> Vec<f32> {
    if scale.is_empty() {
        return u.to_vec();
    }
    let scaled = |(u, scale): (&f32, &f32)| (f64::from(*u) * f64::from(*scale)) as f32;
    u.chunks(scale.len()).flat_map(|row| row.iter().zip(scale).map(scaled)).collect()
}

/// Rows of v from `[c][ky][kx]` to the order in which the kernel reads them.
fn in_kernel_order(v: &[f32], linear: &Linear) -> Vec<f32> {
    let ([rows, columns], shape) = (linear.shape.kernel, linear.shape);
    let mut ordered = vec![0.0; v.len()];
    let length = shape.reference_elements();
    for (from, to) in v.chunks(length).zip(ordered.chunks_mut(length)) {
        for (at, value) in from.iter().enumerate() {
            let (c, ky, kx) = (at / (rows * columns), at / columns % rows, at % columns);
            to[shape.reference_index(c, ky, kx)] = *value;
        }
    }
    ordered
}
