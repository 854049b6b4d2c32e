//! Average pooling and its gradient.

use gradgate_bundle::shape::PoolShape;

use super::lanes::run;
use super::window::valid;

/// Mean of each window: taps summed in raster order from +0, then divided.
pub fn average_pool(s: &PoolShape, x: &[f32], y: &mut [f32]) -> Option<()> {
    y.fill(0.0);
    each_window(s, &mut |window| {
        let y = y.get_mut(window.output..)?.get_mut(..s.channels)?;
        window.each_tap(s, |at| {
            y.iter_mut().zip(run(x, at, s.channels)?).for_each(|(y, x)| *y += x);
            Some(())
        })?;
        y.iter_mut().for_each(|y| *y /= window.divisor);
        Some(())
    })
}

/// Adds `g / divisor`, in raster order of the outputs, to every input of the window.
pub fn average_pool_gradient(s: &PoolShape, g: &[f32], dx: &mut [f32]) -> Option<()> {
    dx.fill(0.0);
    each_window(s, &mut |window| {
        let g = run(g, window.output, s.channels)?;
        window.each_tap(s, |at| {
            let dx = dx.get_mut(at..)?.get_mut(..s.channels)?;
            dx.iter_mut().zip(g).for_each(|(dx, g)| *dx += g / window.divisor);
            Some(())
        })
    })
}

/// One output pixel.
struct Window {
    output: usize,
    divisor: f32,
    origin: [usize; 2],
    rows: (usize, usize),
    columns: (usize, usize),
}

impl Window {
    /// First element in x of every tap that lies in the input, in raster order.
    #[inline(always)]
    fn each_tap(&self, s: &PoolShape, mut f: impl FnMut(usize) -> Option<()>) -> Option<()> {
        for ky in self.rows.0..self.rows.1 {
            let row = self.origin[0] + ky * s.dilations[0] - s.pads[0];
            for kx in self.columns.0..self.columns.1 {
                let column = self.origin[1] + kx * s.dilations[1] - s.pads[1];
                f((row * s.input[1] + column) * s.channels)?;
            }
        }
        Some(())
    }
}

fn each_window(s: &PoolShape, f: &mut dyn FnMut(&Window) -> Option<()>) -> Option<()> {
    for oy in 0..s.output[0] {
        for ox in 0..s.output[1] {
            let origin = [oy * s.strides[0], ox * s.strides[1]];
            let taps = |axis: usize, pad: usize, length: usize| {
                valid(origin[axis], s.dilations[axis], s.kernel[axis], pad, length)
            };
            let rows = taps(0, s.pads[0], s.input[0]);
            let columns = taps(1, s.pads[1], s.input[1]);
            let count = |(first, end): (usize, usize)| end - first;
            let counted = if s.count_include_pad {
                let high = taps(0, 0, s.pads[0] + s.input[0] + s.pads[2]);
                let wide = taps(1, 0, s.pads[1] + s.input[1] + s.pads[3]);
                count(high) * count(wide)
            } else {
                count(rows) * count(columns)
            };
            let output = (oy * s.output[1] + ox) * s.channels;
            f(&Window { output, divisor: counted as f32, origin, rows, columns })?;
        }
    }
    Some(())
}
