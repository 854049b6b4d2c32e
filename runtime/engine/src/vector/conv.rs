//! Convolution with its epilogue.

use gradgate_bundle::op::LANES;
use gradgate_bundle::shape::ConvShape;

use super::activation::apply;
use super::lattice::{Lattice, Taps};
use super::source::{Fill, Frame};
use super::tile::{Finish, Pass};
use super::{Vector, pieces};
use crate::isa::{Kernel, Simd};
use crate::kernels::conv::{Epilogue, conv as scalar};
use crate::kernels::lanes::{run, take, take_mut};
use crate::kernels::operand::Operand;

/// The input with its padding.
pub fn frame(s: &ConvShape) -> Frame {
    let [top, left, bottom, right] = s.pads;
    Frame { inner: s.input, before: [top, left], after: [bottom, right] }
}

/// Weight rows of a block of outputs.
pub fn rows(s: &ConvShape) -> usize {
    s.kernel[0] * s.kernel[1] * s.group_input
}

/// Elements of the workspace: the padded input, and a narrow block's rows for each thread.
pub fn workspace(s: &ConvShape, threads: usize) -> usize {
    frame(s).copied(false) + threads * rows(s) * LANES
}

/// Taps over the padded input: whole rows of the kernel where they lie side by side.
pub fn taps(s: &ConvShape) -> Taps {
    let row = s.dilations[0] * frame(s).row();
    if s.dilations[1] == 1 && s.groups == 1 {
        let run = s.kernel[1] * s.group_input;
        let grid = [s.kernel[0], 1];
        let source = [row, 0];
        return Taps { grid, source, weight: [run, 0], run, ..Taps::default() };
    }
    Taps {
        grid: s.kernel,
        source: [row, s.dilations[1] * s.input[2]],
        weight: [s.kernel[1] * s.group_input, s.group_input],
        run: s.group_input,
        ..Taps::default()
    }
}

/// Output pixels; the inputs that they read begin at channel `input`.
pub fn lattice(s: &ConvShape, input: usize, output: usize) -> Lattice {
    Lattice {
        size: [s.output[0], s.output[1]],
        source: input,
        source_step: [s.strides[0] * frame(s).row(), s.strides[1] * s.input[2]],
        target: output,
        target_step: [s.output[1] * s.output[2], s.output[2]],
    }
}

/// Copies rows of `width` values to rows of sixteen, the rest +0.
#[inline(always)]
pub fn widen(narrow: &[f32], width: usize, wide: &mut [f32]) {
    let rows = wide.as_chunks_mut::<LANES>().0.iter_mut();
    for (wide, narrow) in rows.zip(narrow.chunks_exact(width.max(1))) {
        *wide = [0.0; LANES];
        wide.iter_mut().zip(narrow).for_each(|(wide, narrow)| *wide = *narrow);
    }
}

/// `y = act(conv(x, w) * scale + shift + skip)`; x and y are NHWC, w is blocked.
pub fn conv(
    vector: &Vector<'_>,
    s: &ConvShape,
    x: &[f32],
    w: &[f32],
    end: &Epilogue<'_>,
    y: &mut [f32],
    workspace: &mut [f32],
) -> Option<()> {
    if s.depthwise() && !s.output[2].is_multiple_of(LANES) {
        return scalar(s, x, w, end, y);
    }
    let frame = frame(s);
    let (space, narrow) = workspace.split_at_mut_checked(frame.copied(false))?;
    let source = vector.run(Fill { frame, x, scale: None, out: space })?;
    let row = s.output[1] * s.output[2];
    let parts = vector.parts(s, s.output[0]);
    let mut narrow = narrow.chunks_exact_mut(rows(s) * LANES);
    vector.all(pieces(y, s.output[0], row, parts).map_while(|(first, y)| {
        let skip = end.skip.part(first * row, y.len())?;
        let end = Epilogue { skip, ..*end };
        Some(Part { s, source, w, end, first, y, narrow: narrow.next()? })
    }))
}

/// Some rows of the result.
struct Part<'a> {
    s: &'a ConvShape,
    source: &'a [f32],
    w: &'a [f32],
    end: Epilogue<'a>,
    /// First row.
    first: usize,
    y: &'a mut [f32],
    narrow: &'a mut [f32],
}

impl Kernel for Part<'_> {
    type Output = Option<()>;

    #[inline(always)]
    fn call<S: Simd>(mut self, simd: S) -> Option<()> {
        let s = self.s;
        let rows = self.y.len() / (s.output[1] * s.output[2]).max(1);
        let chunk = chunk(s.strides[0] * frame(s).row() + s.output[1] * s.output[2]);
        for first in (0..rows).step_by(chunk) {
            let chunk = [first, chunk.min(rows - first)];
            if s.depthwise() {
                self.depthwise(simd, chunk)?;
            } else {
                self.dense(simd, chunk)?;
            }
        }
        Some(())
    }
}

/// Rows that all channels pass before the next ones: what a row reads and writes, in elements,
/// should stay in the second cache.
pub fn chunk(row: usize) -> usize {
    ((192 << 10) / 4 / row.max(1)).max(1)
}

impl Part<'_> {
    #[inline(always)]
    fn dense<S: Simd>(&mut self, simd: S, chunk: [usize; 2]) -> Option<()> {
        let s = self.s;
        let taps = taps(s);
        for group in 0..s.groups {
            for block in (0..s.group_output).step_by(LANES) {
                let channel = group * s.group_output + block;
                let width = LANES.min(s.group_output - block);
                let lattice = self.lattice(group * s.group_input, channel, chunk);
                let w = run(self.w, channel * rows(s), width * rows(s))?;
                let w = if width == LANES {
                    w
                } else {
                    widen(w, width, self.narrow);
                    &*self.narrow
                };
                let weights = w.as_chunks().0;
                let pass = Pass { taps: &taps, lattice: &lattice, source: self.source, weights };
                let end = ConvEnd { end: &self.end, channel, width };
                pass.run::<S, false>(simd, self.y, &end)?;
            }
        }
        Some(())
    }

    /// One output per group: lanes run along the channels.
    #[inline(always)]
    fn depthwise<S: Simd>(&mut self, simd: S, chunk: [usize; 2]) -> Option<()> {
        let taps = taps(self.s);
        let weights = self.w.as_chunks().0.chunks_exact(rows(self.s).max(1));
        for (block, weights) in weights.enumerate() {
            let channel = block * LANES;
            let lattice = self.lattice(channel, channel, chunk);
            let pass = Pass { taps: &taps, lattice: &lattice, source: self.source, weights };
            let end = ConvEnd { end: &self.end, channel, width: LANES };
            pass.run::<S, true>(simd, self.y, &end)?;
        }
        Some(())
    }

    fn lattice(&self, input: usize, output: usize, [first, rows]: [usize; 2]) -> Lattice {
        let whole = lattice(self.s, input, output);
        Lattice {
            size: [rows, whole.size[1]],
            source: whole.source + (self.first + first) * whole.source_step[0],
            target: whole.target + first * whole.target_step[0],
            ..whole
        }
    }
}

/// The epilogue of a block.
struct ConvEnd<'a> {
    end: &'a Epilogue<'a>,
    channel: usize,
    width: usize,
}

impl Finish for ConvEnd<'_> {
    #[inline(always)]
    fn finish<S: Simd>(&self, simd: S, sums: S::Lanes, at: usize, y: &mut [f32]) -> Option<()> {
        if self.width < LANES {
            let mut lanes = [0.0; LANES];
            simd.store(sums, &mut lanes);
            let values = lanes.get(..self.width)?.iter().enumerate();
            let (end, channel) = (self.end, self.channel);
            return values.map(|(i, value)| end.finish([*value], channel + i, at + i, y)).collect();
        }
        let end = self.end;
        let mut value = sums;
        if let Some(scale) = end.scale {
            value = simd.multiply(value, simd.load(take(scale, self.channel)?));
        }
        if let Some(shift) = end.shift {
            value = simd.add(value, simd.load(take(shift, self.channel)?));
        }
        if !matches!(end.skip, Operand::Absent) {
            value = simd.add(value, simd.load(&end.skip.take(at, y)?));
        }
        simd.store(apply(simd, &end.act, value), take_mut(y, at)?);
        Some(())
    }
}
