//! A convolution as tract has it, over `[1, rows, columns, channels]`.

use tract_core::internal::*;
use tract_core::ops::cnn::{Conv, KernelFormat, PaddingSpec, PoolSpec};
use tract_core::ops::nn::DataFormat;

use crate::error::TractError;
use crate::wires::Site;

/// Geometry of one convolution; padding is not negative.
pub struct Window {
    /// Input and output channels.
    pub channels: [usize; 2],
    /// Kernel rows, columns.
    pub kernel: [usize; 2],
    /// Strides.
    pub strides: [usize; 2],
    /// Dilations.
    pub dilations: [usize; 2],
    /// Padding at the top and the left.
    pub before: [usize; 2],
    /// Padding at the bottom and the right.
    pub after: [usize; 2],
    /// Channel groups.
    pub groups: usize,
}

impl Window {
    /// Adds the convolution of x; the weight stands in ONNX order, the bias is one value a channel.
    ///
    /// # Errors
    /// tract's.
    pub fn wire(
        &self,
        site: &mut Site<'_, '_, '_>,
        x: OutletId,
        weight: &[f32],
        bias: Option<&[f32]>,
    ) -> Result<OutletId, TractError> {
        let [input, output] = self.channels;
        let [rows, columns] = self.kernel;
        let shape = [output, input / self.groups.max(1), rows, columns];
        let weight = site.add_constant(&shape, weight)?;
        let bias = match bias {
            Some(bias) => site.add_constant(&[output], bias)?,
            None => site.add_constant(&[], &[0.0])?,
        };
        let pool_spec = PoolSpec {
            data_format: DataFormat::NHWC,
            kernel_shape: TVec::from_slice(&self.kernel),
            padding: PaddingSpec::Explicit(
                TVec::from_slice(&self.before),
                TVec::from_slice(&self.after),
            ),
            dilations: Some(TVec::from_slice(&self.dilations)),
            strides: Some(TVec::from_slice(&self.strides)),
            input_channels: input,
            output_channels: output,
        };
        let kernel_fmt = KernelFormat::OIHW;
        let conv = Conv { pool_spec, kernel_fmt, group: self.groups, q_params: None };
        site.node(conv, &[x, weight, bias])
    }
}
