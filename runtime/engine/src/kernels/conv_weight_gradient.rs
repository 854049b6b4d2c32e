//! A convolution's weight gradient itself, in ONNX order; for weights that are used several times.

use gradgate_bundle::op::LANES;
use gradgate_bundle::shape::ConvShape;

use super::conv_weight::{Place, Sink, Walk};
use super::lanes::each_lanes;

/// `dw[o][c][ky][kx] = sum over output pixels, in raster order, of g[p][o] * x[..][c]`.
pub fn conv_weight_gradient(s: &ConvShape, x: &[f32], g: &[f32], dw: &mut [f32]) -> Option<()> {
    let mut sink = Onnx { s, x, g, dw };
    let (groups, channels) =
        if s.depthwise() { (1, s.output[2]) } else { (s.groups, s.group_output) };
    for group in 0..groups {
        for block in (0..channels).step_by(LANES) {
            let first = group * channels + block;
            each_lanes!(LANES.min(channels - block), |lane| sink.outputs(first + lane));
        }
    }
    Some(())
}

/// Stores tiles at `[o][c][ky][kx]`.
struct Onnx<'a> {
    s: &'a ConvShape,
    x: &'a [f32],
    g: &'a [f32],
    dw: &'a mut [f32],
}

impl Onnx<'_> {
    fn outputs<const L: usize>(&mut self, output: usize) -> Option<()> {
        Walk { s: self.s, x: self.x, g: self.g }.outputs::<L>(output, self)
    }
}

impl Sink for Onnx<'_> {
    #[inline(always)]
    fn take<const L: usize>(&mut self, place: Place, tile: &[[f32; L]]) -> Option<()> {
        let taps = self.s.kernel[0] * self.s.kernel[1];
        let tap = place.ky * self.s.kernel[1] + place.kx;
        for (c, d) in tile.iter().enumerate() {
            for (l, d) in d.iter().enumerate() {
                let channel = (place.output + l) * self.s.group_input + place.input + c;
                *self.dw.get_mut(channel * taps + tap)? = *d;
            }
        }
        Some(())
    }
}
