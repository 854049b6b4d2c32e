//! From a step's record to nodes, one file a kernel of the engine.

mod affine;
mod affine_norm;
mod average_pool;
mod binary;
mod conv;
mod conv_alignment;
mod conv_input_gradient;
mod conv_weight_gradient;
mod conv_weight_norm;
mod copy;
mod mask;
mod mat_mul;
mod max_pool;
mod preprocess;
mod reduce;
mod softmax;
mod squared_norm;
mod unary;
mod window;

use gradgate_bundle::shape::Parameters;

use crate::error::TractError;
use crate::wires::Site;

/// Adds the step's nodes.
///
/// # Errors
/// [`TractError::Unsupported`] for what has no counterpart here, tract's own errors.
pub fn wire(site: &mut Site<'_, '_, '_>, parameters: &Parameters<'_>) -> Result<(), TractError> {
    match *parameters {
        Parameters::Preprocess(p) => preprocess::wire(site, p),
        Parameters::Conv(p) => conv::wire(site, p),
        Parameters::ConvInputGradient(p) => conv_input_gradient::wire(site, p),
        Parameters::ConvWeightNorm(p) => conv_weight_norm::wire(site, p),
        Parameters::ConvWeightGradient(p) => conv_weight_gradient::wire(site, p),
        Parameters::Affine(p) => affine::wire(site, p),
        Parameters::AffineNorm(p) => affine_norm::wire(site, p),
        Parameters::Binary(p) => binary::wire(site, p),
        Parameters::Unary(p) => unary::wire(site, p),
        Parameters::UnaryGradient(p) => unary::wire_gradient(site, p),
        Parameters::Softmax(p) => softmax::wire(site, p),
        Parameters::SoftmaxGradient(p) => softmax::wire_gradient(site, p),
        Parameters::MatMul(p) => mat_mul::wire(site, p),
        Parameters::MaxPool(p) => max_pool::wire(site, p),
        Parameters::MaxPoolGradient(p) => max_pool::wire_gradient(site, p),
        Parameters::AveragePool(p) => average_pool::wire(site, p),
        Parameters::AveragePoolGradient(p) => average_pool::wire_gradient(site, p),
        Parameters::Reduce(p) => reduce::wire(site, p),
        Parameters::Copy(p) => copy::wire(site, p),
        Parameters::SquaredNorm(p) => squared_norm::wire(site, p),
        Parameters::Mask(p) => mask::wire(site, p),
        Parameters::ConvAlignment(p) => conv_alignment::wire(site, p),
    }
}
