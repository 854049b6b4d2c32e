//! Convolution with its epilogue.

use gradgate_bundle::op::LANES;
use gradgate_bundle::shape::ConvShape;

use super::activation::apply;
use super::lattice::{Lattice, Taps};
use super::source::Frame;
use super::staged::Stage;
use super::tile::{Finish, Pass};
use super::winograd::conv::{Epilogues, Part as Tiled, Weights, fits, input_frame};
use super::winograd::conv::{thread_elements, weight_rows};
use super::{Vector, pieces};
use crate::isa::{Isa, Kernel, Numerics, Simd};
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

/// Elements of the workspace: the padded input, and a narrow block's rows for each thread, or
/// what Winograd's method needs.
pub fn workspace(s: &ConvShape, vector: &Vector<'_>) -> usize {
    let prepared = prepared_elements(s, vector.numerics);
    if prepared == 0 {
        let staged = stage(s, vector, frame(s)).map_or(0, |stage| stage.elements());
        return frame(s).copied(false) + staged + vector.threads() * rows(s) * LANES;
    }
    let weights = if vector.prepared { 0 } else { prepared };
    let of_thread = thread_elements(s.input[2], [s.output[0], s.output[1]]);
    let staged = stage(s, vector, input_frame(s)).map_or(0, |stage| stage.elements());
    input_frame(s).copied(false) + weights + staged + vector.threads() * of_thread
}

/// The result before its epilogue, where threads take channels.
fn stage(s: &ConvShape, vector: &Vector<'_>, frame: Frame) -> Option<Stage> {
    Stage::of(vector, s, s.output, frame.elements())
}

/// The layer with so many of its outputs.
fn with_outputs(s: &ConvShape, outputs: usize) -> ConvShape {
    let [rows, columns, _] = s.output;
    ConvShape { output: [rows, columns, outputs], group_output: outputs, ..*s }
}

/// Elements of the weights as this kernel reads them; 0 where it takes them as they are.
pub fn prepared_elements(s: &ConvShape, numerics: Numerics) -> usize {
    let tiled = numerics == Numerics::Fast && fits(s);
    if tiled { weight_rows(s.input[2], s.output[2]) * LANES } else { 0 }
}

/// Makes them.
pub fn prepare(isa: Isa, s: &ConvShape, w: &[f32], out: &mut [f32]) -> Option<()> {
    let blocks = out.as_chunks_mut().0.chunks_exact_mut(weight_rows(s.input[2], LANES));
    let mut blocks = blocks.enumerate();
    blocks.try_for_each(|(block, out)| {
        isa.run(Numerics::Exact, Weights { s, w, block, turned: false, out })
    })
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

/// `y = act(conv(x, w) * scale + shift + skip)`; x and y are NHWC, w is blocked, and beside it is
/// what [`prepare`] made, or nothing.
pub fn conv(
    vector: &Vector<'_>,
    s: &ConvShape,
    x: &[f32],
    w: (&[f32], &[f32]),
    end: &Epilogue<'_>,
    y: &mut [f32],
    workspace: &mut [f32],
) -> Option<()> {
    if prepared_elements(s, vector.numerics) != 0 {
        return tiled(vector, s, x, w, end, y, workspace);
    }
    let (w, _) = w;
    if s.depthwise() && !s.output[2].is_multiple_of(LANES) {
        return scalar(s, x, w, end, y);
    }
    let frame = frame(s);
    let (space, narrow) = workspace.split_at_mut_checked(frame.copied(false))?;
    let source = frame.fill(vector, x, None, space)?;
    if let Some(stage) = stage(s, vector, frame) {
        let (values, narrow) = narrow.split_at_mut_checked(stage.elements())?;
        let mut narrow = narrow.chunks_exact_mut(rows(s) * LANES);
        vector.all(stage.parts(values).map_while(|(first, outputs, y)| {
            let w = run(w, first * rows(s), outputs * rows(s))?;
            let (s, end, narrow) = (with_outputs(s, outputs), Epilogue::NONE, narrow.next()?);
            Some(Part { s, source, w, end, first: 0, y, narrow })
        }))?;
        return finish(vector, s, stage, values, end, y);
    }
    let s = *s;
    let row = s.output[1] * s.output[2];
    let parts = vector.parts(&s, s.output[0]);
    let mut narrow = narrow.chunks_exact_mut(rows(&s) * LANES);
    vector.all(pieces(y, s.output[0], row, parts).map_while(|(first, y)| {
        let skip = end.skip.part(first * row, y.len())?;
        let end = Epilogue { skip, ..*end };
        Some(Part { s, source, w, end, first, y, narrow: narrow.next()? })
    }))
}

/// The epilogue of what the parts have summed.
fn finish(
    vector: &Vector<'_>,
    s: &ConvShape,
    stage: Stage,
    values: &[f32],
    end: &Epilogue<'_>,
    y: &mut [f32],
) -> Option<()> {
    let row = s.output[1] * s.output[2];
    let parts = vector.parts(s, s.output[0]);
    vector.all(pieces(y, s.output[0], row, parts).map_while(|(first, y)| {
        let end = Epilogue { skip: end.skip.part(first * row, y.len())?, ..*end };
        Some(stage.finish(values, first, end, y))
    }))
}

/// By Winograd's method.
fn tiled(
    vector: &Vector<'_>,
    s: &ConvShape,
    x: &[f32],
    (w, prepared): (&[f32], &[f32]),
    end: &Epilogue<'_>,
    y: &mut [f32],
    workspace: &mut [f32],
) -> Option<()> {
    let frame = &input_frame(s);
    let (space, rest) = workspace.split_at_mut_checked(frame.copied(false))?;
    let source = frame.fill(vector, x, None, space)?;
    let (weights, rest) = if !prepared.is_empty() {
        (prepared, rest)
    } else {
        let (made, rest) = rest.split_at_mut_checked(prepared_elements(s, vector.numerics))?;
        prepare(vector.isa, s, w, made)?;
        (&*made, rest)
    };
    let weights = weights.as_chunks().0;
    let [rows, columns, outputs] = s.output;
    let of_thread = thread_elements(s.input[2], [rows, columns]);
    if let Some(stage) = stage(s, vector, *frame) {
        let (values, rest) = rest.split_at_mut_checked(stage.elements())?;
        let mut spaces = rest.chunks_exact_mut(of_thread);
        vector.all(stage.parts(values).map_while(|(first, outputs, y)| {
            let weights = weights.get(weight_rows(s.input[2], first)..)?;
            let (target, end, space) = ([columns, outputs], Epilogue::NONE, spaces.next()?);
            Some(Tiled { source, frame, weights, first: 0, target, end, y, space })
        }))?;
        return finish(vector, s, stage, values, end, y);
    }
    let (units, unit) = (rows.div_ceil(2), 2 * columns * outputs);
    let mut spaces = rest.chunks_exact_mut(of_thread);
    let parts = vector.parts(s, units);
    vector.all(pieces(y, units, unit, parts).map_while(|(first, y)| {
        let end = Epilogue { skip: end.skip.part(first * unit, y.len())?, ..*end };
        let (target, space) = ([columns, outputs], spaces.next()?);
        Some(Tiled { source, frame, weights, first, target, end, y, space })
    }))
}

impl Epilogues for Epilogue<'_> {
    type Block<'a>
        = ConvEnd<'a>
    where
        Self: 'a;

    fn block(&self, channel: usize, width: usize) -> ConvEnd<'_> {
        ConvEnd { end: self, channel, width }
    }
}

/// Some rows of the result.
struct Part<'a> {
    s: ConvShape,
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
        let chunk = chunk(s.strides[0] * frame(&s).row() + s.output[1] * s.output[2]);
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
        let taps = taps(&s);
        for group in 0..s.groups {
            let mut block = 0;
            while block < s.group_output {
                let channel = group * s.group_output + block;
                let lattice = self.lattice(group * s.group_input, channel, chunk);
                let left = s.group_output - block;
                let width = LANES.min(left);
                let w = run(self.w, channel * rows(&s), width * rows(&s))?;
                let end = ConvEnd { end: &self.end, channel, width };
                if S::BLOCKS >= 2 && left >= 2 * LANES {
                    let channel = channel + LANES;
                    let second = run(self.w, channel * rows(&s), width * rows(&s))?;
                    let weights = [w.as_chunks().0, second.as_chunks().0];
                    let pass =
                        Pass { taps: &taps, lattice: &lattice, source: self.source, weights };
                    let ends = [&end, &ConvEnd { end: &self.end, channel, width }];
                    pass.run::<S, false>(simd, self.y, ends)?;
                    block += 2 * LANES;
                    continue;
                }
                let w = if width == LANES {
                    w
                } else {
                    widen(w, width, self.narrow);
                    &*self.narrow
                };
                let weights = [w.as_chunks().0];
                let pass = Pass { taps: &taps, lattice: &lattice, source: self.source, weights };
                pass.run::<S, false>(simd, self.y, [&end])?;
                block += width;
            }
        }
        Some(())
    }

    /// One output per group: lanes run along the channels.
    #[inline(always)]
    fn depthwise<S: Simd>(&mut self, simd: S, chunk: [usize; 2]) -> Option<()> {
        let taps = taps(&self.s);
        let weights = self.w.as_chunks().0.chunks_exact(rows(&self.s).max(1));
        for (block, weights) in weights.enumerate() {
            let channel = block * LANES;
            let lattice = self.lattice(channel, channel, chunk);
            let weights = [weights];
            let pass = Pass { taps: &taps, lattice: &lattice, source: self.source, weights };
            let end = ConvEnd { end: &self.end, channel, width: LANES };
            pass.run::<S, true>(simd, self.y, [&end])?;
        }
        Some(())
    }

    fn lattice(&self, input: usize, output: usize, [first, rows]: [usize; 2]) -> Lattice {
        let whole = lattice(&self.s, input, output);
        Lattice {
            size: [rows, whole.size[1]],
            source: whole.source + (self.first + first) * whole.source_step[0],
            target: whole.target + first * whole.target_step[0],
            ..whole
        }
    }
}

/// The epilogue of a block.
pub struct ConvEnd<'a> {
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
            return values
                .map(|(i, value)| end.finish(&mut [*value], channel + i, at + i, y))
                .collect();
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
