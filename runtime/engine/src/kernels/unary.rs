//! Element-wise functions of one operand, and their gradients.

use gradgate_bundle::op::{Activation, MASK_BITS};

use super::activation::Act;
use super::lanes::take_mut;
use super::mask;
use super::operand::Operand;

/// `y = act(x)`.
pub fn unary(act: &Act, x: Operand<'_>, y: &mut [f32]) -> Option<()> {
    x.bring(0, y)?;
    act.apply(y);
    Some(())
}

/// `dx`: g through the activation's derivative at the gate.
pub fn unary_gradient(gate: &Gate<'_>, g: Operand<'_>, dx: &mut [f32]) -> Option<()> {
    let blocks = dx.len() / MASK_BITS * MASK_BITS;
    for at in (0..blocks).step_by(MASK_BITS) {
        some::<MASK_BITS>(gate, g, at, dx)?;
    }
    (blocks..dx.len()).try_for_each(|at| some::<1>(gate, g, at, dx))
}

#[cfg_attr(not(target_arch = "arm"), inline(always))]
fn some<const L: usize>(gate: &Gate<'_>, g: Operand<'_>, at: usize, dx: &mut [f32]) -> Option<()> {
    let mut values = g.take::<L>(at, dx)?;
    gate.through(at, &mut values, dx)?;
    *take_mut(dx, at)? = values;
    Some(())
}

/// An activation's derivative and what it is taken at.
#[derive(Clone, Copy, Debug)]
pub struct Gate<'a> {
    /// The activation.
    pub act: Act,
    /// Its result for Relu and Sigmoid, a mask for Mask, else its input; absent: nothing happens.
    pub at: Operand<'a>,
}

impl Gate<'_> {
    /// No activation.
    pub const NONE: Gate<'static> = Gate { act: Act::IDENTITY, at: Operand::Absent };

    /// Multiplies `g`, the elements from `at` on, by the derivative; `out` is the result's slice,
    /// for a gate in place.
    #[inline(always)]
    pub fn through(&self, at: usize, g: &mut [f32], out: &[f32]) -> Option<()> {
        match (self.at, self.act.kind) {
            (Operand::Absent, _) => Some(()),
            (Operand::Slice(words), Activation::Mask) => mask::gradient(words, at, g),
            (values, _) => self.act.gradient(values.run(at, g.len(), out)?, g),
        }
    }
}
