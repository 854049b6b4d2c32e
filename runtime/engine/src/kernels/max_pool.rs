//! Max pooling and its gradient: the first maximum in raster order wins, what is not finite wins
//! over everything (so that it cannot hide),
//! padding is never a candidate.

use gradgate_bundle::op::LANES;
use gradgate_bundle::shape::PoolShape;

use super::lanes::run;
use super::window::valid;

/// What is done with the maxima of up to 16 channels of an output pixel.
type Visit<'f> = dyn FnMut(usize, &[f32], &[u32]) -> Option<()> + 'f;

/// Largest value of each window.
pub fn max_pool(s: &PoolShape, x: &[f32], y: &mut [f32]) -> Option<()> {
    each_window(s, x, &mut |at, best, _| {
        let y = y.get_mut(at..)?.get_mut(..best.len())?;
        y.iter_mut().zip(best).for_each(|(y, best)| *y = *best);
        Some(())
    })
}

/// Adds each window's cotangent, in raster order of the outputs, to the input it came from.
pub fn max_pool_gradient(s: &PoolShape, x: &[f32], g: &[f32], dx: &mut [f32]) -> Option<()> {
    dx.fill(0.0);
    each_window(s, x, &mut |at, best, from| {
        let g = run(g, at, best.len())?;
        for (g, from) in g.iter().zip(from) {
            *dx.get_mut(*from as usize)? += g;
        }
        Some(())
    })
}

/// Calls `f(first output element, maxima, their elements in x)` for up to 16 channels of each
/// output
/// pixel in turn.
fn each_window(s: &PoolShape, x: &[f32], f: &mut Visit<'_>) -> Option<()> {
    for oy in 0..s.output[0] {
        let rows = valid(oy * s.strides[0], s.dilations[0], s.kernel[0], s.pads[0], s.input[0]);
        for ox in 0..s.output[1] {
            let columns =
                valid(ox * s.strides[1], s.dilations[1], s.kernel[1], s.pads[1], s.input[1]);
            for first in (0..s.channels).step_by(LANES) {
                let width = LANES.min(s.channels - first);
                let mut window = Window { best: [0.0; LANES], from: [0; LANES], empty: true };
                for ky in rows.0..rows.1 {
                    let row = oy * s.strides[0] + ky * s.dilations[0] - s.pads[0];
                    for kx in columns.0..columns.1 {
                        let column = ox * s.strides[1] + kx * s.dilations[1] - s.pads[1];
                        let at = (row * s.input[1] + column) * s.channels + first;
                        window.candidate(at, run(x, at, width)?);
                    }
                }
                let at = (oy * s.output[1] + ox) * s.channels + first;
                f(at, window.best.get(..width)?, window.from.get(..width)?)?;
            }
        }
    }
    Some(())
}

struct Window {
    best: [f32; LANES],
    from: [u32; LANES],
    empty: bool,
}

impl Window {
    #[inline(always)]
    fn candidate(&mut self, at: usize, x: &[f32]) {
        for ((best, from), (i, v)) in
            self.best.iter_mut().zip(&mut self.from).zip(x.iter().enumerate())
        {
            let wins = self.empty || (*v > *best || !v.is_finite()) && best.is_finite();
            if wins {
                *best = *v;
                *from = (at + i) as u32;
            }
        }
        self.empty = false;
    }
}
