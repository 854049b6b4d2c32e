//! A tract operation over plain slices: what tract has no equal of, or would do in more memory.

use std::fmt;
use std::sync::Arc;

use tract_core::internal::*;

/// Fills the output from the inputs; `None` where lengths do not fit, which the loader has ruled
/// out.
type Body = dyn Fn(&[&[f32]], &mut [f32]) -> Option<()> + Send + Sync;

/// One node. Two nodes are equal when they share their body.
#[derive(Clone)]
pub struct SliceOp {
    name: &'static str,
    shape: TVec<usize>,
    in_place: bool,
    body: Arc<Body>,
}

impl SliceOp {
    /// A node with an output of its own, zeroed before.
    pub fn new(
        name: &'static str,
        shape: &[usize],
        body: impl Fn(&[&[f32]], &mut [f32]) -> Option<()> + Send + Sync + 'static,
    ) -> SliceOp {
        SliceOp { name, shape: shape.into(), in_place: false, body: Arc::new(body) }
    }

    /// A node whose output begins as its first input, which the body no longer sees: no new memory
    /// where nothing else reads that input.
    pub fn in_place(
        name: &'static str,
        shape: &[usize],
        body: impl Fn(&[&[f32]], &mut [f32]) -> Option<()> + Send + Sync + 'static,
    ) -> SliceOp {
        SliceOp { in_place: true, ..SliceOp::new(name, shape, body) }
    }
}

impl fmt::Debug for SliceOp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} -> {:?}", self.name, self.shape)
    }
}

impl PartialEq for SliceOp {
    fn eq(&self, other: &SliceOp) -> bool {
        Arc::ptr_eq(&self.body, &other.body)
    }
}

impl Eq for SliceOp {}

impl Op for SliceOp {
    fn name(&self) -> StaticName {
        self.name.into()
    }

    tract_core::op_as_typed_op!();
}

impl EvalOp for SliceOp {
    tract_core::not_out_of_plan!();

    fn eval(&self, _: &EvalContext, mut inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let mut output = if self.in_place {
            let mut first = inputs.remove(0).into_tensor();
            first.set_shape(&self.shape)?;
            first
        } else {
            Tensor::zero::<f32>(&self.shape)?
        };
        let views =
            inputs.iter().map(|v| v.try_as_plain_ram()).collect::<TractResult<TVec<_>>>()?;
        let slices = views.iter().map(|v| v.as_slice()).collect::<TractResult<TVec<&[f32]>>>()?;
        let mut plain = output.try_as_plain_ram_mut()?;
        (self.body)(&slices, plain.as_slice_mut()?)
            .with_context(|| format!("{}: lengths do not fit", self.name))?;
        Ok(tvec!(output.into_tvalue()))
    }
}

impl TypedOp for SliceOp {
    fn output_facts(&self, _: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        Ok(tvec!(f32::fact(&self.shape)))
    }

    tract_core::as_op!();
}
