//! A convolution's weight gradient itself, in ONNX order; for weights that are used several times.

use gradgate_bundle::shape::ConvShape;

use super::conv_weight::{Place, Sink, Walk};

/// `dw[o][c][ky][kx] = sum over output pixels, in raster order, of g[p][o] * x[..][c]`.
pub fn conv_weight_gradient(s: &ConvShape, x: &[f32], g: &[f32], dw: &mut [f32]) -> Option<()> {
    Walk { s, x, g }.all(&mut Onnx { s, dw })
}

/// Stores tiles at `[o][c][ky][kx]`.
struct Onnx<'a> {
    s: &'a ConvShape,
    dw: &'a mut [f32],
}

impl Sink for Onnx<'_> {
    fn take(&mut self, place: Place, lanes: usize, tile: &[f32]) -> Option<()> {
        let taps = self.s.kernel[0] * self.s.kernel[1];
        let tap = place.ky * self.s.kernel[1] + place.kx;
        for (c, d) in tile.chunks_exact(lanes.max(1)).enumerate() {
            for (l, d) in d.iter().enumerate() {
                let channel = (place.output + l) * self.s.group_input + place.input + c;
                *self.dw.get_mut(channel * taps + tap)? = *d;
            }
        }
        Some(())
    }
}
