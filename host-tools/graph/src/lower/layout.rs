//! Where elements of a value lie: rank-4 frame values channels last, everything else row-major.

use gradgate_bundle::op::{BOX_RANK, CopyParams, OpCode};
use zerocopy::little_endian::U32;

use super::{LowerError, Lowering};
use crate::graph::{Node, Value, ValueId};
use crate::schedule::TensorId;

/// Axes of a value from the slowest to the fastest in memory.
pub fn memory_order(value: &Value) -> Vec<usize> {
    order_of(value.shape.len(), value.is_frame())
}

fn order_of(rank: usize, frame: bool) -> Vec<usize> {
    match (rank, frame) {
        (4, true) => vec![0, 2, 3, 1],
        _ => (0..rank).collect(),
    }
}

/// Distance in memory between neighbours along each axis.
pub fn strides(value: &Value) -> Vec<usize> {
    let mut strides = vec![1; value.shape.len()];
    let mut next = 1;
    for &axis in memory_order(value).iter().rev() {
        strides[axis] = next;
        next *= value.shape[axis];
    }
    strides
}

/// Whether memory order and row-major order list the elements alike.
pub fn is_row_major(value: &Value) -> bool {
    let order = memory_order(value);
    let long: Vec<usize> = order.into_iter().filter(|&axis| value.shape[axis] != 1).collect();
    long.is_sorted()
}

/// Strides of an operand seen in the axes of a broadcast result; 0 where it is repeated.
pub fn broadcast_strides(value: &Value, output: &[usize]) -> Vec<usize> {
    let own = strides(value);
    let missing = output.len() - value.shape.len();
    let stride = |axis: usize| match axis.checked_sub(missing) {
        Some(own_axis) if value.shape[own_axis] != 1 => own[own_axis],
        _ => 0,
    };
    (0..output.len()).map(stride).collect()
}

/// A box for a record: axes right-aligned, unused leading ones of length 1 and stride 0.
pub struct Box {
    /// Lengths, then one stride list per operand, each by axis.
    dims: [U32; BOX_RANK],
    strides: Vec<[U32; BOX_RANK]>,
}

impl Box {
    /// Axes of `lengths` with the strides of each operand; axes of length 1 are dropped and
    /// neighbours that
    /// are contiguous in every operand are merged.
    pub fn new(lengths: &[usize], strides: &[Vec<usize>]) -> Option<Self> {
        let mut axes: Vec<(usize, Vec<usize>)> = Vec::new();
        for (axis, &length) in lengths.iter().enumerate().filter(|&(_, &length)| length != 1) {
            let steps: Vec<usize> = strides.iter().map(|list| list[axis]).collect();
            match axes.last_mut() {
                Some((outer, outer_steps))
                    if outer_steps.iter().zip(&steps).all(|(o, s)| *o == s * length) =>
                {
                    *outer *= length;
                    *outer_steps = steps;
                }
                _ => axes.push((length, steps)),
            }
        }
        let free = BOX_RANK.checked_sub(axes.len())?;
        let mut result = Self {
            dims: [U32::new(1); BOX_RANK],
            strides: vec![[U32::new(0); BOX_RANK]; strides.len()],
        };
        for (place, (length, steps)) in axes.into_iter().enumerate() {
            result.dims[free + place] = u32::try_from(length).ok()?.into();
            for (list, step) in result.strides.iter_mut().zip(steps) {
                list[free + place] = u32::try_from(step).ok()?.into();
            }
        }
        Some(result)
    }

    /// Lengths.
    pub fn dims(&self) -> [U32; BOX_RANK] {
        self.dims
    }

    /// Strides of one operand.
    pub fn strides(&self, operand: usize) -> [U32; BOX_RANK] {
        self.strides[operand]
    }
}

/// One side of a copy: a tensor, where the box begins in it, and its strides by axis of the box.
pub struct Side {
    pub tensor: TensorId,
    pub offset: usize,
    pub strides: Vec<usize>,
}

impl Lowering<'_> {
    /// Emits a copy of a box; `order` lists the box's axes from slowest to fastest, `fill` fills y
    /// first.
    pub(super) fn copy(
        &mut self,
        node: &Node,
        lengths: &[usize],
        order: &[usize],
        x: Side,
        y: Side,
        fill: Option<f32>,
    ) -> Result<(), LowerError> {
        let by_order = |list: &[usize]| order.iter().map(|&axis| list[axis]).collect::<Vec<_>>();
        let lists = [by_order(&x.strides), by_order(&y.strides)];
        let walk = Box::new(&by_order(lengths), &lists).ok_or_else(|| {
            self.refuse(node, format!("more than {BOX_RANK} axes remain to copy"))
        })?;
        let number = |n: usize| U32::new(n as u32);
        let params = CopyParams {
            fills: number(usize::from(fill.is_some())),
            fill: fill.unwrap_or(0.0).into(),
            dims: walk.dims(),
            x_offset: number(x.offset),
            x_strides: walk.strides(0),
            y_offset: number(y.offset),
            y_strides: walk.strides(1),
            x_elements: number(self.tensors[x.tensor.0].elements),
            y_elements: number(self.tensors[y.tensor.0].elements),
        };
        self.step(&node.name, OpCode::Copy, &params, &[Some(x.tensor), Some(y.tensor)], 0);
        Ok(())
    }

    /// A tensor that holds a frame value in row-major order: its own, or a copy.
    pub(super) fn row_major(
        &mut self,
        node: &Node,
        value: ValueId,
    ) -> Result<TensorId, LowerError> {
        let v = self.graph.value(value);
        let tensor = self.operand(value);
        if is_row_major(v) {
            return Ok(tensor);
        }
        let copy = self.arena(format!("{}:row-major", v.name), v.elements());
        let x = Side { tensor, offset: 0, strides: strides(v) };
        let y = Side { tensor: copy, offset: 0, strides: crate::interp::strides(&v.shape) };
        let order: Vec<usize> = (0..v.shape.len()).collect();
        self.copy(node, &v.shape.clone(), &order, x, y, None)?;
        Ok(copy)
    }

    /// Makes `tensor`, row-major, the value of `node`'s output, by name alone or by a copy.
    pub(super) fn store_row_major(
        &mut self,
        node: &Node,
        tensor: TensorId,
    ) -> Result<(), LowerError> {
        let v = self.graph.value(node.output);
        if is_row_major(v) {
            self.tensor_of.insert(node.output, tensor);
            return Ok(());
        }
        let y = self.arena_for(node.output);
        let x = Side { tensor, offset: 0, strides: crate::interp::strides(&v.shape) };
        let y = Side { tensor: y, offset: 0, strides: strides(v) };
        let order = memory_order(v);
        self.copy(node, &v.shape.clone(), &order, x, y, None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(shape: &[usize]) -> Value {
        Value { name: String::new(), shape: shape.to_vec(), constant: None }
    }

    #[test]
    fn rank_4_frames_are_channels_last() {
        assert_eq!(strides(&frame(&[1, 3, 4, 5])), [60, 1, 15, 3]);
        assert_eq!(strides(&frame(&[1, 3, 4])), [12, 4, 1]);
        assert!(!is_row_major(&frame(&[1, 3, 4, 5])));
        assert!(is_row_major(&frame(&[1, 3, 1, 1])));
        assert!(is_row_major(&frame(&[1, 1, 4, 5])));
    }

    #[test]
    fn boxes_drop_and_merge_axes() {
        let whole = Box::new(&[1, 4, 5, 3], &[vec![60, 15, 3, 1], vec![60, 15, 3, 1]]).unwrap();
        assert_eq!(whole.dims().map(|d| d.get()), [1, 1, 1, 1, 1, 60]);
        let repeated = Box::new(&[4, 5, 3], &[vec![15, 3, 1], vec![0, 0, 1]]).unwrap();
        assert_eq!(repeated.dims().map(|d| d.get()), [1, 1, 1, 1, 20, 3]);
        assert_eq!(repeated.strides(1).map(|s| s.get()), [0, 0, 0, 0, 0, 1]);
    }
}
