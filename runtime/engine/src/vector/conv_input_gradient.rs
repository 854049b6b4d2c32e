//! Cotangent of a convolution's input: a convolution of the scaled cotangent, its borders filled,
//! with the weights transposed so that lanes run along input channels.
//!
//! With a stride, input pixels fall into phases: those a stride apart see the same taps. A phase's
//! taps go forward through the kernel and backward through the source.

use gradgate_bundle::op::{Activation, LANES};
use gradgate_bundle::shape::ConvShape;

use super::activation::gradient;
use super::conv::chunk;
use super::lattice::{Lattice, Taps};
use super::source::Frame;
use super::staged::Stage;
use super::tile::{Finish, Pass};
use super::winograd::conv::{Epilogues, Part as Tiled, Weights, cotangent_frame};
use super::winograd::conv::{fits_input_gradient, thread_elements, weight_rows};
use super::{Vector, pieces};
use crate::isa::{Isa, Kernel, Numerics, Simd};
use crate::kernels::conv_input_gradient::{GradientEnd, conv_input_gradient as scalar};
use crate::kernels::lanes::{run, take_mut};
use crate::kernels::operand::Operand;

/// The cotangent with rows and columns on all sides that taps outside it read.
pub fn frame(s: &ConvShape) -> Frame {
    let reach = |axis: usize| (s.kernel[axis] - 1) * s.dilations[axis];
    let before = |axis: usize| reach(axis).saturating_sub(s.pads[axis]) / s.strides[axis];
    let last = |axis: usize| (s.input[axis] - 1 + s.pads[axis]) / s.strides[axis];
    let after = |axis: usize| (last(axis) + 1).saturating_sub(s.output[axis]);
    Frame { inner: s.output, before: [before(0), before(1)], after: [after(0), after(1)] }
}

/// Weight rows of a block of sixteen input channels.
pub fn rows(s: &ConvShape) -> usize {
    s.kernel[0] * s.kernel[1] * s.group_output
}

/// Elements of all transposed blocks; depthwise there are none.
pub fn transposed_elements(s: &ConvShape) -> usize {
    if s.depthwise() {
        return 0;
    }
    s.groups * s.group_input.div_ceil(LANES) * rows(s) * LANES
}

/// Whether Winograd's method takes it.
fn is_tiled(s: &ConvShape, numerics: Numerics) -> bool {
    numerics == Numerics::Fast && fits_input_gradient(s)
}

/// Elements of the weights as this kernel reads them.
pub fn prepared_elements(s: &ConvShape, numerics: Numerics) -> usize {
    if is_tiled(s, numerics) {
        return weight_rows(s.output[2], s.input[2]) * LANES;
    }
    transposed_elements(s)
}

/// Makes them.
pub fn prepare(
    isa: Isa,
    numerics: Numerics,
    s: &ConvShape,
    w: &[f32],
    out: &mut [f32],
) -> Option<()> {
    if !is_tiled(s, numerics) {
        return transpose_all(s, w, out);
    }
    let blocks = out.as_chunks_mut().0.chunks_exact_mut(weight_rows(s.output[2], LANES));
    let mut blocks = blocks.enumerate();
    blocks.try_for_each(|(block, out)| {
        isa.run(Numerics::Exact, Weights { s, w, block, turned: true, out })
    })
}

/// Elements of the workspace: the scaled cotangent, the prepared weights where the caller does not
/// keep them, and what Winograd's method needs.
pub fn workspace(s: &ConvShape, vector: &Vector<'_>) -> usize {
    let numerics = vector.numerics;
    let weights = if vector.prepared { 0 } else { prepared_elements(s, numerics) };
    if !is_tiled(s, numerics) {
        let staged = stage(s, vector, frame(s)).map_or(0, |stage| stage.elements());
        return frame(s).copied(true) + weights + staged;
    }
    let of_thread = thread_elements(s.output[2], [s.input[0], s.input[1]]);
    let staged = stage(s, vector, cotangent_frame(s)).map_or(0, |stage| stage.elements());
    cotangent_frame(s).copied(true) + weights + staged + vector.threads() * of_thread
}

/// Rows `[ky][kx][co]` of sixteen input channels from `block` of the group on.
#[inline(always)]
fn transpose(s: &ConvShape, w: &[f32], group: usize, block: usize, out: &mut [f32]) -> Option<()> {
    let taps = s.kernel[0] * s.kernel[1];
    let width = LANES.min(s.group_input - block);
    let out = out.as_chunks_mut::<LANES>().0;
    for outputs in (0..s.group_output).step_by(LANES) {
        let lanes = LANES.min(s.group_output - outputs);
        let first = group * s.group_output + outputs;
        let w = run(w, first * taps * s.group_input, lanes * taps * s.group_input)?;
        for (tap, w) in w.chunks_exact(lanes * s.group_input).enumerate() {
            let rows = out.get_mut(tap * s.group_output + outputs..)?.get_mut(..lanes)?;
            rows.fill([0.0; LANES]);
            let columns = w.chunks_exact(lanes).skip(block).take(width);
            for (lane, column) in columns.enumerate() {
                for (row, value) in rows.iter_mut().zip(column) {
                    *row.get_mut(lane)? = *value;
                }
            }
        }
    }
    Some(())
}

/// All blocks.
pub fn transpose_all(s: &ConvShape, w: &[f32], out: &mut [f32]) -> Option<()> {
    if s.depthwise() {
        return Some(());
    }
    let mut blocks = out.chunks_exact_mut(rows(s) * LANES);
    for group in 0..s.groups {
        for block in (0..s.group_input).step_by(LANES) {
            transpose(s, w, group, block, blocks.next()?)?;
        }
    }
    Some(())
}

/// Of one axis of a phase: the taps that meet its inputs, and where they read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Phase {
    /// Inputs.
    inputs: usize,
    /// Taps.
    taps: usize,
    /// First of them, and from one to the next.
    tap: [usize; 2],
    /// Index in the filled cotangent that the first input's lowest tap reads.
    source: usize,
    /// Indices backwards from tap to tap.
    back: usize,
}

fn phase(s: &ConvShape, axis: usize, phase: usize, before: usize) -> Phase {
    let (stride, dilation) = (s.strides[axis], s.dilations[axis]);
    let at = (phase + s.pads[axis]) as isize;
    let offset = |tap: usize| at - (tap * dilation) as isize;
    let meets = |tap: &usize| offset(*tap) % stride as isize == 0;
    let mut taps = (0..s.kernel[axis]).filter(meets);
    let inputs = s.input[axis].saturating_sub(phase).div_ceil(stride);
    let Some(first) = taps.next() else { return Phase { inputs, ..Phase::default() } };
    let step = taps.next().map_or(s.kernel[axis], |second| second - first);
    let count = (s.kernel[axis] - 1 - first) / step + 1;
    let lowest = offset(first + (count - 1) * step) / stride as isize;
    Phase {
        inputs,
        taps: count,
        tap: [first, step],
        source: (lowest + before as isize) as usize,
        back: step * dilation / stride,
    }
}

/// `dx = gate(sum over (ky, kx, co) of (g * scale) * w + addend)`; dx and g are NHWC, w is blocked;
/// beside it is what [`prepare`] made, or nothing: then it is made in the workspace.
pub fn conv_input_gradient(
    vector: &Vector<'_>,
    s: &ConvShape,
    g: &[f32],
    w: (&[f32], &[f32]),
    scale: Option<&[f32]>,
    end: &GradientEnd<'_>,
    dx: &mut [f32],
    workspace: &mut [f32],
) -> Option<()> {
    if is_tiled(s, vector.numerics) {
        return tiled(vector, s, g, w, scale, end, dx, workspace);
    }
    let (w, transposed) = w;
    if s.depthwise() && !s.output[2].is_multiple_of(LANES) {
        return scalar(s, g, w, scale, end, dx);
    }
    let frame = frame(s);
    let (space, rest) = workspace.split_at_mut_checked(frame.copied(scale.is_some()))?;
    let source = frame.fill(vector, g, scale, space)?;
    let (weights, rest) = if s.depthwise() {
        (w, rest)
    } else if transposed.is_empty() {
        let (tiles, rest) = rest.split_at_mut_checked(transposed_elements(s))?;
        transpose_all(s, w, tiles)?;
        (&*tiles, rest)
    } else {
        (transposed, rest)
    };
    let weights = weights.as_chunks().0;
    if let Some(stage) = stage(s, vector, frame) {
        let (values, _) = rest.split_at_mut_checked(stage.elements())?;
        vector.all(stage.parts(values).map_while(|(first, inputs, dx)| {
            let weights = weights.get(first / LANES * rows(s)..)?;
            let (s, end) = (with_inputs(s, inputs), GradientEnd::NONE);
            Some(Part { s, frame, source, weights, end, first: 0, dx })
        }))?;
        return finish(vector, s, stage, values, end, dx);
    }
    let s = *s;
    let unit = s.strides[0] * s.input[1] * s.input[2];
    let units = s.input[0].div_ceil(s.strides[0]);
    let parts = parts(vector, &s, end, units, unit);
    vector.all(pieces(dx, units, unit, parts).map_while(|(first, dx)| {
        let end = end.part(first * unit, dx.len())?;
        Some(Part { s, frame, source, weights, end, first, dx })
    }))
}

/// The result before its epilogue, where threads take channels.
fn stage(s: &ConvShape, vector: &Vector<'_>, frame: Frame) -> Option<Stage> {
    Stage::of(vector, s, s.input, frame.elements())
}

/// The layer with so many of its inputs.
fn with_inputs(s: &ConvShape, inputs: usize) -> ConvShape {
    let [rows, columns, _] = s.input;
    ConvShape { input: [rows, columns, inputs], group_input: inputs, ..*s }
}

/// The epilogue of what the parts have summed.
fn finish(
    vector: &Vector<'_>,
    s: &ConvShape,
    stage: Stage,
    values: &[f32],
    end: &GradientEnd<'_>,
    dx: &mut [f32],
) -> Option<()> {
    let row = s.input[1] * s.input[2];
    let parts = parts(vector, s, end, s.input[0], row);
    vector.all(pieces(dx, s.input[0], row, parts).map_while(|(first, dx)| {
        let end = end.part(first * row, dx.len())?;
        Some(stage.finish(values, first, end, dx))
    }))
}

/// Parts of so many elements each at least: a mask's words may not be cut.
fn parts(
    vector: &Vector<'_>,
    s: &ConvShape,
    end: &GradientEnd<'_>,
    units: usize,
    unit: usize,
) -> usize {
    let whole = end.gate.act.kind != Activation::Mask || unit.is_multiple_of(LANES);
    if whole { vector.parts(s, units) } else { 1 }
}

/// By Winograd's method.
fn tiled(
    vector: &Vector<'_>,
    s: &ConvShape,
    g: &[f32],
    (w, prepared): (&[f32], &[f32]),
    scale: Option<&[f32]>,
    end: &GradientEnd<'_>,
    dx: &mut [f32],
    workspace: &mut [f32],
) -> Option<()> {
    let frame = &cotangent_frame(s);
    let (space, rest) = workspace.split_at_mut_checked(frame.copied(scale.is_some()))?;
    let source = frame.fill(vector, g, scale, space)?;
    let (weights, rest) = if !prepared.is_empty() {
        (prepared, rest)
    } else {
        let numerics = vector.numerics;
        let (made, rest) = rest.split_at_mut_checked(prepared_elements(s, numerics))?;
        prepare(vector.isa, numerics, s, w, made)?;
        (&*made, rest)
    };
    let weights = weights.as_chunks().0;
    let [rows, columns, inputs] = s.input;
    let of_thread = thread_elements(s.output[2], [rows, columns]);
    if let Some(stage) = stage(s, vector, *frame) {
        let (values, rest) = rest.split_at_mut_checked(stage.elements())?;
        let mut spaces = rest.chunks_exact_mut(of_thread);
        vector.all(stage.parts(values).map_while(|(first, inputs, y)| {
            let weights = weights.get(weight_rows(s.output[2], first)..)?;
            let (target, end, space) = ([columns, inputs], GradientEnd::NONE, spaces.next()?);
            Some(Tiled { source, frame, weights, first: 0, target, end, y, space })
        }))?;
        return finish(vector, s, stage, values, end, dx);
    }
    let (units, unit) = (rows.div_ceil(2), 2 * columns * inputs);
    let mut spaces = rest.chunks_exact_mut(of_thread);
    let parts = parts(vector, s, end, units, unit);
    vector.all(pieces(dx, units, unit, parts).map_while(|(first, y)| {
        let end = end.part(first * unit, y.len())?;
        let (target, space) = ([columns, inputs], spaces.next()?);
        Some(Tiled { source, frame, weights, first, target, end, y, space })
    }))
}

impl Epilogues for GradientEnd<'_> {
    type Block<'a>
        = InputEnd<'a>
    where
        Self: 'a;

    fn block(&self, _: usize, width: usize) -> InputEnd<'_> {
        InputEnd { end: self, width }
    }
}

/// Some rows of the result; the first a multiple of the stride.
struct Part<'a> {
    s: ConvShape,
    frame: Frame,
    source: &'a [f32],
    weights: &'a [[f32; LANES]],
    end: GradientEnd<'a>,
    /// First row, in strides.
    first: usize,
    dx: &'a mut [f32],
}

impl Kernel for Part<'_> {
    type Output = Option<()>;

    #[inline(always)]
    fn call<S: Simd>(self, simd: S) -> Option<()> {
        let s = &self.s;
        let line = s.input[1] * s.input[2];
        let rows = self.dx.len() / line.max(1);
        let chunk = chunk(self.frame.row() + s.strides[0] * line) * s.strides[0];
        for first in (0..rows).step_by(chunk) {
            let part = Rows {
                s,
                frame: &self.frame,
                source: self.source,
                first: self.first + first / s.strides[0],
                rows: chunk.min(rows - first),
                target: first * line,
            };
            blocks(simd, &part, &self.end, self.weights, self.dx)?;
        }
        Some(())
    }
}

/// All channels of some rows.
#[inline(always)]
fn blocks<S: Simd>(
    simd: S,
    part: &Rows<'_>,
    end: &GradientEnd<'_>,
    weights: &[[f32; LANES]],
    dx: &mut [f32],
) -> Option<()> {
    let s = part.s;
    if s.depthwise() {
        let taps = s.kernel[0] * s.kernel[1];
        let end = InputEnd { end, width: LANES };
        for (block, weights) in weights.chunks_exact(taps).enumerate() {
            // Sixteen groups take the place of one group with one output.
            part.phases::<S, 1, true>(simd, [weights], [block * LANES; 2], &end, dx)?;
        }
        return Some(());
    }
    let mut weights = weights.chunks_exact(rows(s));
    for group in 0..s.groups {
        let mut block = 0;
        while block < s.group_input {
            let width = LANES.min(s.group_input - block);
            let end = InputEnd { end, width };
            let channels = [group * s.group_output, group * s.group_input + block];
            let first = weights.next()?;
            if S::BLOCKS >= 2 && s.group_input - block >= 2 * LANES {
                let both = [first, weights.next()?];
                part.phases::<S, 2, false>(simd, both, channels, &end, dx)?;
                block += 2 * LANES;
            } else {
                part.phases::<S, 1, false>(simd, [first], channels, &end, dx)?;
                block += width;
            }
        }
    }
    Some(())
}

/// Some rows of the result, for one block of channels after the other.
struct Rows<'a> {
    s: &'a ConvShape,
    frame: &'a Frame,
    source: &'a [f32],
    /// First row, in strides.
    first: usize,
    rows: usize,
    /// Element of the result where they begin.
    target: usize,
}

impl Rows<'_> {
    /// Sixteen input channels; `channels` are the first of the cotangent's and of the result's.
    #[inline(always)]
    fn phases<S: Simd, const B: usize, const DEPTHWISE: bool>(
        &self,
        simd: S,
        weights: [&[[f32; LANES]]; B],
        channels: [usize; 2],
        end: &InputEnd<'_>,
        dx: &mut [f32],
    ) -> Option<()> {
        let s = self.s;
        let run = if DEPTHWISE { 1 } else { s.group_output };
        for row in 0..s.strides[0].min(self.rows) {
            for column in 0..s.strides[1].min(s.input[1]) {
                let (taps, lattice) = self.geometry([row, column], run, channels);
                let pass = Pass { taps: &taps, lattice: &lattice, source: self.source, weights };
                pass.run::<S, DEPTHWISE>(simd, dx, [end; B])?;
            }
        }
        Some(())
    }

    /// Taps and pixels of a phase.
    fn geometry(&self, at: [usize; 2], run: usize, channels: [usize; 2]) -> (Taps, Lattice) {
        let (s, frame) = (self.s, self.frame);
        let [rows, columns] = [0, 1].map(|axis| phase(s, axis, at[axis], frame.before[axis]));
        let (row, column) = (frame.row(), s.output[2]);
        let taps = Taps {
            grid: [rows.taps, columns.taps],
            source: [rows.back * row, columns.back * column],
            backward: true,
            weight: [rows.tap[1] * s.kernel[1] * run, columns.tap[1] * run],
            first: (rows.tap[0] * s.kernel[1] + columns.tap[0]) * run,
            run,
        };
        let line = s.input[1] * s.input[2];
        let source = (rows.source + self.first) * row + columns.source * column;
        let lattice = Lattice {
            size: [self.rows.saturating_sub(at[0]).div_ceil(s.strides[0]), columns.inputs],
            source: source + channels[0],
            source_step: [row, column],
            target: self.target + at[0] * line + at[1] * s.input[2] + channels[1],
            target_step: [s.strides[0] * line, s.strides[1] * s.input[2]],
        };
        (taps, lattice)
    }
}

/// The epilogue of a block.
pub struct InputEnd<'a> {
    end: &'a GradientEnd<'a>,
    width: usize,
}

impl Finish for InputEnd<'_> {
    #[inline(always)]
    fn finish<S: Simd>(&self, simd: S, sums: S::Lanes, at: usize, dx: &mut [f32]) -> Option<()> {
        if self.width == LANES
            && let Some(value) = self.in_registers(simd, sums, at, dx)
        {
            simd.store(value, take_mut(dx, at)?);
            return Some(());
        }
        let mut lanes = [0.0; LANES];
        simd.store(sums, &mut lanes);
        if self.width == LANES {
            return self.end.finish(&mut lanes, at, dx);
        }
        let values = lanes.get(..self.width)?;
        values.iter().enumerate().try_for_each(|(i, v)| self.end.finish(&mut [*v], at + i, dx))
    }
}

impl InputEnd<'_> {
    /// `None` for a gate that is not taken in registers, and for operands that do not fit.
    #[inline(always)]
    fn in_registers<S: Simd>(
        &self,
        simd: S,
        sums: S::Lanes,
        at: usize,
        dx: &[f32],
    ) -> Option<S::Lanes> {
        let GradientEnd { addend, gate } = self.end;
        let mut value = sums;
        if !matches!(addend, Operand::Absent) {
            value = simd.add(value, simd.load(&addend.take(at, dx)?));
        }
        if !matches!(gate.at, Operand::Absent) {
            let of = match gate.act.kind {
                Activation::Relu | Activation::Clip => gate.at.take(at, dx)?,
                _ => return None,
            };
            value = gradient(simd, &gate.act, simd.load(&of), value)?;
        }
        Some(value)
    }
}
