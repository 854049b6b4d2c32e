//! The model under construction: which node holds which tensor of the bundle.

use std::collections::HashMap;
use std::sync::Arc;

use gradgate_bundle::Bundle;
use gradgate_bundle::op::{NONE, OpCode};
use gradgate_bundle::record::{StepRecord, TensorRecord};
use tract_core::internal::*;

use crate::error::TractError;
use crate::slice_op::SliceOp;

/// The model and its values by tensor index. A tensor's value is that of its last writer: arena
/// intervals mean nothing here.
pub struct Wires<'b, 'a> {
    /// The bundle.
    pub bundle: &'b Bundle<'a>,
    /// The model.
    pub model: TypedModel,
    /// The frame, values in 0..1, rows, columns, channels.
    pub frame: OutletId,
    /// Nodes that yield features, and which ones.
    pub features: Vec<(OutletId, [u16; 4])>,
    values: Vec<Option<OutletId>>,
    constants: HashMap<usize, OutletId>,
}

impl<'b, 'a> Wires<'b, 'a> {
    /// A model with nothing but the frame.
    ///
    /// # Errors
    /// None that is known.
    pub fn new(bundle: &'b Bundle<'a>) -> TractResult<Self> {
        let mut model = TypedModel::default();
        let length = bundle.manifest().frame_bytes() as usize;
        let frame = model.add_source("frame", f32::fact([length]))?;
        let values = vec![None; bundle.tensors().len()];
        Ok(Wires { bundle, model, frame, features: Vec::new(), values, constants: HashMap::new() })
    }

    /// The node that holds a tensor, where one has been written.
    pub fn value(&self, tensor: usize) -> Option<OutletId> {
        self.values.get(tensor).copied().flatten()
    }

    /// One step, to be mapped.
    pub fn site<'s>(
        &'s mut self,
        step: usize,
        opcode: OpCode,
        record: &'b StepRecord,
    ) -> Site<'s, 'b, 'a> {
        Site { wires: self, step, opcode, record, nodes: 0 }
    }
}

/// One step being mapped.
pub struct Site<'s, 'b, 'a> {
    /// The model.
    pub wires: &'s mut Wires<'b, 'a>,
    step: usize,
    opcode: OpCode,
    record: &'b StepRecord,
    /// Nodes so far, for their names.
    nodes: usize,
}

impl<'b> Site<'_, 'b, '_> {
    /// An error that names the step and what of it cannot be mapped.
    pub fn unsupported(&self, what: &'static str) -> TractError {
        TractError::Unsupported { step: self.step, opcode: self.opcode, what }
    }

    /// tract's error at this step.
    fn refused(&self, error: impl std::fmt::Display) -> TractError {
        TractError::Node { step: self.step, opcode: self.opcode, message: format!("{error:#}") }
    }

    fn operand(&self, place: usize) -> Option<usize> {
        let index = self.record.operands.get(place)?.get();
        (index != NONE).then_some(usize::from(index))
    }

    fn tensor(&self, place: usize) -> Option<(usize, &'b TensorRecord)> {
        let index = self.operand(place)?;
        Some((index, self.wires.bundle.tensors().get(index)?))
    }

    /// Whether an operand is there.
    pub fn has(&self, place: usize) -> bool {
        self.operand(place).is_some()
    }

    /// An operand as a node: what was written last, or the constant.
    ///
    /// # Errors
    /// An operand that is absent, or read before it was written.
    pub fn value(&mut self, place: usize) -> Result<OutletId, TractError> {
        let (index, tensor) =
            self.tensor(place).ok_or_else(|| self.unsupported("an absent operand"))?;
        if let Some(outlet) = self.wires.value(index) {
            return Ok(outlet);
        }
        if let Some(outlet) = self.wires.constants.get(&index) {
            return Ok(*outlet);
        }
        let values = self.wires.bundle.weights(tensor);
        let values = values.ok_or_else(|| self.unsupported("a tensor before it is written"))?;
        let constant = tensor1(values).into_arc_tensor();
        let outlet = self.wires.model.add_const(format!("tensor {index}"), constant);
        let outlet = outlet.map_err(|error| self.refused(error))?;
        self.wires.constants.insert(index, outlet);
        Ok(outlet)
    }

    /// An operand as a node of the given shape.
    ///
    /// # Errors
    /// As [`Site::value`]; tract's, where lengths do not fit.
    pub fn shaped(&mut self, place: usize, shape: &[usize]) -> Result<OutletId, TractError> {
        let outlet = self.value(place)?;
        let from = self.shape(outlet)?;
        if from[..] == *shape {
            return Ok(outlet);
        }
        let dims = |lengths: &[usize]| lengths.iter().map(|n| n.to_dim()).collect::<TVec<TDim>>();
        self.node(AxisOp::Reshape(0, dims(&from), dims(shape)), &[outlet])
    }

    /// Shape of a node.
    ///
    /// # Errors
    /// None that is known: all shapes are concrete.
    pub fn shape(&self, outlet: OutletId) -> Result<TVec<usize>, TractError> {
        let fact = self.wires.model.outlet_fact(outlet).map_err(|error| self.refused(error))?;
        let shape = fact.shape.as_concrete();
        Ok(shape.ok_or_else(|| self.unsupported("a shape that is not fixed"))?.into())
    }

    /// An operand's values, which must be constant.
    ///
    /// # Errors
    /// An operand that a step computes.
    pub fn constant(&self, place: usize) -> Result<Arc<[f32]>, TractError> {
        let values = self.tensor(place).and_then(|(_, t)| self.wires.bundle.weights(t));
        Ok(values.ok_or_else(|| self.unsupported("a weight that is not constant"))?.into())
    }

    /// As [`Site::constant`], `None` where the operand is absent.
    ///
    /// # Errors
    /// As [`Site::constant`].
    pub fn optional(&self, place: usize) -> Result<Option<Arc<[f32]>>, TractError> {
        if self.has(place) { self.constant(place).map(Some) } else { Ok(None) }
    }

    /// Adds a node with one output.
    ///
    /// # Errors
    /// tract's.
    pub fn node(
        &mut self,
        op: impl Into<Box<dyn TypedOp>>,
        inputs: &[OutletId],
    ) -> Result<OutletId, TractError> {
        let name = self.name();
        let outlets = self.wires.model.wire_node(name, op, inputs);
        let outlet = outlets.map(|outlets| outlets.first().copied());
        let outlet = outlet.map_err(|error| self.refused(error))?;
        outlet.ok_or_else(|| self.unsupported("a node without output"))
    }

    /// Adds a constant of the given shape.
    ///
    /// # Errors
    /// tract's, where lengths do not fit.
    pub fn add_constant(
        &mut self,
        shape: &[usize],
        values: &[f32],
    ) -> Result<OutletId, TractError> {
        let tensor = Tensor::from_shape(shape, values).map_err(|error| self.refused(error))?;
        let name = self.name();
        let outlet = self.wires.model.add_const(name, tensor.into_arc_tensor());
        outlet.map_err(|error| self.refused(error))
    }

    /// Adds a node over slices and makes it the value of the operand at `place`.
    ///
    /// # Errors
    /// tract's.
    pub fn finish(
        &mut self,
        place: usize,
        op: SliceOp,
        inputs: &[OutletId],
    ) -> Result<(), TractError> {
        let outlet = self.node(op, inputs)?;
        self.write(place, outlet);
        Ok(())
    }

    /// Makes a node the value of the operand at `place`.
    pub fn write(&mut self, place: usize, outlet: OutletId) {
        if let Some(index) = self.operand(place)
            && let Some(value) = self.wires.values.get_mut(index)
        {
            *value = Some(outlet);
        }
    }

    /// Adds a node whose values are these features.
    ///
    /// # Errors
    /// tract's.
    pub fn features(
        &mut self,
        features: [u16; 4],
        op: SliceOp,
        inputs: &[OutletId],
    ) -> Result<(), TractError> {
        let outlet = self.node(op, inputs)?;
        self.wires.features.push((outlet, features));
        Ok(())
    }

    fn name(&mut self) -> String {
        self.nodes += 1;
        format!("step {} {}.{}", self.step, self.opcode.name(), self.nodes)
    }
}
