//! The same bundle as a tract-core model, for Linux machines where tract's matrix kernels pay.
//!
//! Convolutions, forward and backward, become tract's own; everything else is a node over plain
//! slices that runs the engine's kernel, so that what is not finite travels as it does there. The
//! engine has checked the bundle before, and its detector judges: no rule is written twice.
//! Numerics agree by tolerance, not by bits.
//!
//! Without the feature `tract` the crate is empty, because tract-core takes minutes to build.

#[cfg(feature = "tract")]
mod error;
#[cfg(feature = "tract")]
mod model;
#[cfg(feature = "tract")]
mod session;
#[cfg(feature = "tract")]
mod slice_op;
#[cfg(feature = "tract")]
mod steps;
#[cfg(feature = "tract")]
mod wires;

#[cfg(feature = "tract")]
pub use error::TractError;
#[cfg(feature = "tract")]
pub use model::TractModel;
#[cfg(feature = "tract")]
pub use session::Session;
