//! One kernel per operation: plain safe functions over slices.
//!
//! They are the definition of exact numerics (NUMERICS.md): any faster variant equals them bit
//! for bit. Slices have the lengths that `gradgate_bundle::shape` gives, which the loader has
//! checked; a
//! kernel answers `None` where they do not, so that no panic path is left in the code.

pub mod activation;
pub mod affine;
pub mod affine_norm;
pub mod average_pool;
pub mod binary;
pub mod boxes;
pub mod conv;
pub mod conv_alignment;
pub mod conv_input_gradient;
mod conv_weight;
pub mod conv_weight_gradient;
pub mod conv_weight_norm;
pub mod copy;
#[cfg(feature = "functions")]
pub mod function;
pub(crate) mod grid;
pub mod lanes;
pub mod mask;
#[cfg(feature = "attention")]
pub mod mat_mul;
pub mod max_pool;
pub mod operand;
pub mod pixel_gram;
pub mod preprocess;
pub mod reduce;
pub mod softmax;
mod tile;
pub mod unary;
mod window;
