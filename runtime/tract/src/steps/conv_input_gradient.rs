//! Input gradient as ordinary convolutions of the cotangent.
//!
//! Input rows that differ by a multiple of the stride meet the same taps: such a class is one
//! convolution of stride 1 whose kernel holds these taps, flipped, with inputs and outputs
//! exchanged. Stride 1 has one class, stride 2 four (two a direction), which are then interleaved.
//! tract's own transposed convolution would expand the cotangent by the kernel's size.

use gradgate_bundle::op::ConvParams;
use gradgate_bundle::shape::ConvShape;
use tract_core::internal::*;
use tract_core::ops::array::Slice;

use super::unary::gradient;
use super::window::Window;
use crate::error::TractError;
use crate::slice_op::SliceOp;
use crate::wires::Site;

/// Input positions of one axis that meet the same taps.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Phase {
    /// The first of them; the others follow at the stride.
    first: usize,
    /// How many.
    length: usize,
    /// Their taps, in the order of the cotangent's elements that they take.
    taps: Vec<usize>,
    /// Elements of the cotangent between neighbouring taps.
    dilation: usize,
    /// Padding of the cotangent before and after it; negative: elements left out.
    pads: [isize; 2],
}

/// Adds the gradient.
pub fn wire(site: &mut Site<'_, '_, '_>, p: &ConvParams) -> Result<(), TractError> {
    let s = ConvShape::new(p).map_err(|_| site.unsupported("this geometry"))?;
    let g = site.shaped(0, &[1, s.output[0], s.output[1], s.output[2]])?;
    let blocked = site.constant(1)?;
    let scale = site.optional(2)?;
    let [rows, columns] = [phases(&s, 0), phases(&s, 1)];
    let (mut parts, mut places) = (Vec::new(), Vec::new());
    for row in &rows {
        for column in &columns {
            let weight = weight(&s, row, column, &blocked, scale.as_deref());
            let weight = weight.ok_or_else(|| site.unsupported("a weight of this length"))?;
            parts.push(part(site, &s, g, [row, column], &weight)?);
            places.push(Place {
                first: [row.first, column.first],
                length: [row.length, column.length],
            });
        }
    }
    let shape = [1, s.input[0], s.input[1], s.input[2]];
    let dx = match (s.strides, &parts[..]) {
        ([1, 1], [only]) => *only,
        _ => {
            let op = SliceOp::new("Interleave", &shape, move |inputs, dx| {
                places.iter().zip(inputs).try_for_each(|(place, part)| place.copy(&s, part, dx))
            });
            site.node(op, &parts)?
        }
    };
    let dx = end(site, p, dx)?;
    site.write(5, dx);
    Ok(())
}

/// Addend and gate, in place.
fn end(site: &mut Site<'_, '_, '_>, p: &ConvParams, dx: OutletId) -> Result<OutletId, TractError> {
    let mut dx = dx;
    let shape = site.shape(dx)?;
    if site.has(3) {
        let addend = site.value(3)?;
        let op = SliceOp::in_place("Addend", &shape, |inputs, dx| {
            dx.iter_mut().zip(*inputs.first()?).for_each(|(dx, addend)| *dx += addend);
            Some(())
        });
        dx = site.node(op, &[dx, addend])?;
    }
    if site.has(4) {
        let gate = site.value(4)?;
        let op = gradient(site, &shape, p.activation.get().into(), p.low, p.high)?;
        dx = site.node(op, &[dx, gate])?;
    }
    Ok(dx)
}

/// Classes of input positions along an axis, without those that meet no tap: they stay zero.
fn phases(s: &ConvShape, axis: usize) -> Vec<Phase> {
    let (input, output, pad) = (s.input[axis], s.output[axis], s.pads[axis]);
    let (stride, dilation) = (s.strides[axis], s.dilations[axis]);
    let step = dilation / greatest_divisor(stride, dilation);
    (0..stride.min(input))
        .filter_map(|first| {
            let length = (input - first).div_ceil(stride);
            let taps = taps(s, axis, first, length);
            let last = *taps.first()? as isize;
            // Position `first + t * stride` takes the cotangent's element `t + at` at its last tap.
            let at = ((first + pad) as isize - last * dilation as isize) / stride as isize;
            let reach = ((taps.len() - 1) * step) as isize;
            let after = length as isize + at + reach - output as isize;
            Some(Phase { first, length, taps, dilation: step, pads: [-at, after] })
        })
        .collect()
}

/// Taps that take an element of the cotangent at some of `length` positions from `first` on, last
/// one first. They are neighbours in their class: what the next tap takes lies a step before.
fn taps(s: &ConvShape, axis: usize, first: usize, length: usize) -> Vec<usize> {
    let (stride, dilation) = (s.strides[axis] as isize, s.dilations[axis]);
    let takes = |tap: &usize| {
        let at = (first + s.pads[axis]) as isize - (tap * dilation) as isize;
        let elements = at / stride..at / stride + length as isize;
        at % stride == 0 && elements.start < s.output[axis] as isize && 0 < elements.end
    };
    (0..s.kernel[axis]).filter(takes).rev().collect()
}

fn greatest_divisor(a: usize, b: usize) -> usize {
    if b == 0 { a } else { greatest_divisor(b, a % b) }
}

/// The flipped kernel of a phase, `[input channel][output channel of the group][row][column]`.
fn weight(
    s: &ConvShape,
    row: &Phase,
    column: &Phase,
    blocked: &[f32],
    scale: Option<&[f32]>,
) -> Option<Vec<f32>> {
    let mut weight = Vec::new();
    for c in 0..s.input[2] {
        let (group, c) = (c / s.group_input, c % s.group_input);
        for o in group * s.group_output..(group + 1) * s.group_output {
            let scale = scale.map_or(Some(1.0), |scale| scale.get(o).copied())?;
            for &ky in &row.taps {
                for &kx in &column.taps {
                    weight.push(scale * blocked.get(s.blocked_index(o, ky, kx, c))?);
                }
            }
        }
    }
    Some(weight)
}

/// One phase: the cotangent, cut where padding would be negative, through its convolution.
fn part(
    site: &mut Site<'_, '_, '_>,
    s: &ConvShape,
    g: OutletId,
    axes: [&Phase; 2],
    weight: &[f32],
) -> Result<OutletId, TractError> {
    let mut g = g;
    for (axis, phase) in axes.iter().enumerate() {
        let [cut, rest] = phase.pads.map(|pad| pad.min(0).unsigned_abs());
        if cut + rest > 0 {
            let end = s.output[axis].checked_sub(rest).filter(|end| cut < *end);
            let end = end.ok_or_else(|| site.unsupported("a gradient that is all padding"))?;
            g = site.node(Slice::new(axis + 1, cut, end), &[g])?;
        }
    }
    let padding = |side: usize| axes.map(|phase| phase.pads[side].max(0).unsigned_abs());
    let window = Window {
        channels: [s.output[2], s.input[2]],
        kernel: axes.map(|phase| phase.taps.len()),
        strides: [1, 1],
        dilations: axes.map(|phase| phase.dilation),
        before: padding(0),
        after: padding(1),
        groups: s.groups,
    };
    window.wire(site, g, weight, None)
}

/// Where a phase's pixels lie in dx.
struct Place {
    first: [usize; 2],
    length: [usize; 2],
}

impl Place {
    fn copy(&self, s: &ConvShape, part: &[f32], dx: &mut [f32]) -> Option<()> {
        let channels = s.input[2];
        let mut pixels = part.chunks_exact(channels);
        for y in 0..self.length[0] {
            let row = (self.first[0] + y * s.strides[0]) * s.input[1];
            for x in 0..self.length[1] {
                let at = (row + self.first[1] + x * s.strides[1]) * channels;
                dx.get_mut(at..)?.get_mut(..channels)?.copy_from_slice(pixels.next()?);
            }
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gradgate_bundle::shape::window_output;

    /// One row of pixels.
    fn row(
        input: usize,
        kernel: usize,
        stride: usize,
        dilation: usize,
        pads: [usize; 2],
    ) -> ConvShape {
        let output = window_output(input, pads[0] + pads[1], kernel, stride, dilation).unwrap();
        ConvShape {
            input: [input, 1, 1],
            output: [output, 1, 1],
            kernel: [kernel, 1],
            strides: [stride, 1],
            dilations: [dilation, 1],
            pads: [pads[0], 0, pads[1], 0],
            groups: 1,
            group_input: 1,
            group_output: 1,
        }
    }

    /// Triples (input position, tap, output position) by the definition of a convolution.
    fn defined(s: &ConvShape) -> Vec<[usize; 3]> {
        let mut found = Vec::new();
        for o in 0..s.output[0] {
            for tap in 0..s.kernel[0] {
                let at = o * s.strides[0] + tap * s.dilations[0];
                if s.pads[0] <= at && at < s.pads[0] + s.input[0] {
                    found.push([at - s.pads[0], tap, o]);
                }
            }
        }
        found.sort_unstable();
        found
    }

    /// The same triples as the phases' convolutions of the padded cotangent meet them.
    fn by_phases(s: &ConvShape) -> Vec<[usize; 3]> {
        let mut found = Vec::new();
        for phase in phases(s, 0) {
            for t in 0..phase.length {
                for (j, tap) in phase.taps.iter().enumerate() {
                    let o = (t + j * phase.dilation) as isize - phase.pads[0];
                    if 0 <= o && o < s.output[0] as isize {
                        found.push([phase.first + t * s.strides[0], *tap, o as usize]);
                    }
                }
            }
        }
        found.sort_unstable();
        found
    }

    #[test]
    fn phases_meet_the_taps_of_the_definition() {
        for input in [1, 2, 5, 8] {
            for kernel in [1, 2, 3, 5] {
                for (stride, dilation) in [(1, 1), (1, 2), (2, 1), (2, 2), (2, 3), (3, 1), (3, 2)] {
                    for pads in [[0, 0], [1, 1], [2, 2], [0, 1], [3, 0], [1, 4], [6, 5]] {
                        if dilation * (kernel - 1) + 1 > input + pads[0] + pads[1] {
                            continue;
                        }
                        let s = row(input, kernel, stride, dilation, pads);
                        assert_eq!(by_phases(&s), defined(&s), "{s:?}");
                        // No tap is there for padding alone.
                        let used = |tap: &usize| defined(&s).iter().any(|[_, t, _]| t == tap);
                        assert!(phases(&s, 0).iter().all(|p| p.taps.iter().all(used)), "{s:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_phase_has_the_length_that_its_pads_give() {
        let s = row(32, 3, 2, 1, [1, 1]);
        let found = phases(&s, 0);
        let phase = |first, taps: &[usize], pads| Phase {
            first,
            length: 16,
            taps: taps.to_vec(),
            dilation: 1,
            pads,
        };
        assert_eq!(found, [phase(0, &[1], [0, 0]), phase(1, &[2, 0], [0, 1])]);
    }
}
