//! Which kernel runs: the scalar one, or the vector one of the caller's instruction set.

use gradgate_bundle::Bundle;
use gradgate_bundle::record::StepRecord;
use gradgate_bundle::shape::ConvShape;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
use gradgate_bundle::shape::Parameters;

use crate::compute::Compute;
use crate::isa::Numerics;
use crate::kernels::conv::{Epilogue, conv};
use crate::kernels::conv_input_gradient::{GradientEnd, conv_input_gradient};
use crate::kernels::conv_weight_norm::{Norms, WeightNorm};
use crate::kernels::lanes::squared_norm;
use crate::kernels::pixel_gram::pixel_gram;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
use crate::vector::{self, Vector};

/// What a step computes with.
pub struct Call<'c> {
    /// The caller's choice; the prepared weights are this step's.
    pub compute: Compute<'c>,
    /// As long as [`workspace_elements`] of the longest step.
    #[cfg_attr(
        not(any(target_arch = "x86_64", target_arch = "aarch64")),
        expect(dead_code, reason = "scalar kernels need none")
    )]
    pub workspace: &'c mut [f32],
}

impl Call<'_> {
    /// See [`conv`].
    pub fn conv(
        self,
        s: &ConvShape,
        x: &[f32],
        w: &[f32],
        end: &Epilogue<'_>,
        y: &mut [f32],
    ) -> Option<()> {
        #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
        if let Some(v) = Vector::new(&self.compute) {
            let w = (w, self.compute.prepared);
            return vector::conv::conv(&v, s, x, w, end, y, self.workspace);
        }
        conv(s, x, w, end, y)
    }

    /// See [`conv_input_gradient`].
    pub fn conv_input_gradient(
        self,
        s: &ConvShape,
        g: &[f32],
        w: &[f32],
        scale: Option<&[f32]>,
        end: &GradientEnd<'_>,
        dx: &mut [f32],
    ) -> Option<()> {
        #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
        if let Some(v) = Vector::new(&self.compute) {
            use vector::conv_input_gradient::conv_input_gradient;
            let w = (w, self.compute.prepared);
            return conv_input_gradient(&v, s, g, w, scale, end, dx, self.workspace);
        }
        conv_input_gradient(s, g, w, scale, end, dx)
    }

    /// See [`WeightNorm::direct`].
    pub fn direct(self, norm: &WeightNorm<'_>, scratch: &mut [f32]) -> Option<Norms> {
        #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
        if let Some(v) = Vector::new(&self.compute) {
            return vector::conv_weight_norm::conv_weight_norm(&v, norm, scratch, self.workspace);
        }
        norm.direct(scratch)
    }

    /// See [`squared_norm`].
    pub fn squared_norm(&self, x: &[f32]) -> f32 {
        #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
        if let Some(v) = Vector::new(&self.compute) {
            return v.run(vector::squared_norm::SquaredNorm(x));
        }
        squared_norm(x)
    }

    /// See [`pixel_gram`].
    pub fn pixel_gram(self, norm: &WeightNorm<'_>, scratch: &mut [f32]) -> Option<Norms> {
        #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
        if let Some(v) = Vector::new(&self.compute) {
            return vector::pixel_gram::pixel_gram(&v, norm, scratch, self.workspace);
        }
        pixel_gram(norm, scratch)
    }
}

/// Elements of workspace that a step needs.
pub fn workspace_elements(
    bundle: &Bundle<'_>,
    record: &StepRecord,
    compute: &Compute<'_>,
) -> usize {
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    if let Some(v) = Vector::new(compute)
        && let Some(parameters) = Parameters::of(bundle, record)
    {
        return v.workspace(&parameters);
    }
    let _ = (bundle, record, compute);
    0
}

/// Elements of a step's prepared weights.
pub fn prepared_elements(bundle: &Bundle<'_>, record: &StepRecord, numerics: Numerics) -> usize {
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    if let Some(parameters) = Parameters::of(bundle, record) {
        return vector::prepared_elements(&parameters, numerics);
    }
    let _ = (bundle, record, numerics);
    0
}

/// Prepares a step's weights.
pub fn prepare(
    bundle: &Bundle<'_>,
    record: &StepRecord,
    numerics: Numerics,
    to: &mut [f32],
) -> Option<()> {
    if to.is_empty() {
        return Some(());
    }
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    {
        let w = bundle.weights(super::tensor(bundle, record, 1)?)?;
        vector::prepare(&Parameters::of(bundle, record)?, numerics, w, to)?;
    }
    let _ = (bundle, record, numerics);
    Some(())
}
