//! Where the numbers of a convolution lie in flat buffers.
//!
//! A padded image whose rows follow one another is read at `p + shift` for every output pixel `p`
//! and every tap of the kernel, whatever the row: a convolution becomes a sum of shifted runs. With
//! a stride, the padded image is taken apart into `stride x stride` *phases*, each of which is read
//! like that. Outputs between the rows (the *gap*) are computed and thrown away; in gradients they
//! are zero.

use gradgate_graph::ops::Conv;

/// Floats of both buffers together that stay in a core's second-level cache.
const CACHE: usize = 48 << 10;

/// Numbers of a register tile: the last tile of a run may reach beyond it.
pub(super) const LANES: usize = 16;

/// One tap of the kernel.
#[derive(Clone, Copy, Debug)]
struct Tap {
    phase: usize,
    shift: usize,
}

/// Shapes of one group, and the pitches of its buffers.
#[derive(Clone, Debug)]
pub struct Geometry {
    /// Input channels.
    pub channels: usize,
    /// Output channels.
    pub out: usize,
    /// Rows and columns of the input.
    pub input: [usize; 2],
    /// Rows and columns of the output.
    pub output: [usize; 2],
    /// Padding above and to the left.
    pub before: [usize; 2],
    /// Stride.
    pub strides: [usize; 2],
    /// Rows of a frame in a buffer, and columns of a row.
    pub extent: [usize; 2],
    taps: Vec<Tap>,
}

impl Geometry {
    /// For frames of `[C, H, W]` and a weight of `[O, C/g, kh, kw]`.
    ///
    /// # Panics
    /// When the kernel does not fit the padded image: shape rules have refused that.
    pub fn new(conv: &Conv, [_, height, width]: [usize; 3], weight: [usize; 4]) -> Self {
        let [out, channels, kh, kw] = weight;
        let output = conv
            .output_hw([height, width], [kh, kw])
            .unwrap_or_else(|| panic!("a kernel of {kh} x {kw} beyond the image"));
        let input = [height, width];
        let mut extent = [0; 2];
        for axis in 0..2 {
            let (before, after) = (conv.pads[axis], conv.pads[axis + 2]);
            let reach = conv.dilations[axis] * (weight[axis + 2] - 1) / conv.strides[axis];
            // Without a stride, the padding after a row is the padding before the next one.
            extent[axis] = match conv.strides[axis] {
                1 => output[axis].max(input[axis] + before.max(after)),
                _ => output[axis] + reach,
            };
        }
        let tap = |index: usize| {
            let along = [index / kw * conv.dilations[0], index % kw * conv.dilations[1]];
            let [sy, sx] = conv.strides;
            Tap {
                phase: along[0] % sy * sx + along[1] % sx,
                shift: along[0] / sy * extent[1] + along[1] / sx,
            }
        };
        Self {
            channels,
            out: out / conv.groups,
            input,
            output,
            before: [conv.pads[0], conv.pads[1]],
            strides: conv.strides,
            extent,
            taps: (0..kh * kw).map(tap).collect(),
        }
    }

    /// Pixels of the input.
    pub fn input_elements(&self) -> usize {
        self.input[0] * self.input[1]
    }

    /// Pixels of the output.
    pub fn output_elements(&self) -> usize {
        self.output[0] * self.output[1]
    }

    /// Weights of the group.
    pub fn weights(&self) -> usize {
        self.out * self.channels * self.taps.len()
    }

    /// Taps of the kernel.
    pub fn taps(&self) -> usize {
        self.taps.len()
    }

    /// Phases of the padded image.
    pub fn phases(&self) -> usize {
        self.strides[0] * self.strides[1]
    }

    /// Numbers of a channel of one frame in a buffer.
    pub fn pitch(&self) -> usize {
        self.extent[0] * self.extent[1]
    }

    /// The largest shift: zeros before the gradient, and after the image.
    pub fn margin(&self) -> usize {
        self.taps.iter().map(|tap| tap.shift).max().unwrap_or(0)
    }

    /// Frames that are laid out at once.
    pub fn chunk(&self, frames: usize) -> usize {
        let one = (self.channels * self.phases() + self.out) * self.pitch();
        (CACHE / one).clamp(1, frames.max(1))
    }

    /// Numbers of a channel's run over `frames` frames, whole tiles.
    pub fn span(&self, frames: usize) -> usize {
        (frames * self.pitch()).next_multiple_of(LANES)
    }

    /// Length of a channel in a buffer.
    pub fn plane(&self, frames: usize) -> usize {
        // Odd in cache lines: planes a power of two apart would share the same few lines.
        let lines = (self.span(frames) + self.margin()).div_ceil(LANES);
        (lines | 1) * LANES
    }

    /// Places of the taps in a buffer of the input, channel by channel, in planes of `plane`
    /// numbers that are not multiplied in here: `(plane, shift)`.
    pub(super) fn input_offsets(&self) -> Vec<(usize, usize)> {
        let of = |channel: usize| {
            self.taps.iter().map(move |tap| (channel * self.phases() + tap.phase, tap.shift))
        };
        (0..self.channels).flat_map(of).collect()
    }

    /// Places of a phase's taps in a buffer of the output's gradient, channel by channel.
    pub(super) fn gradient_offsets(&self, phase: usize) -> Vec<(usize, usize)> {
        let margin = self.margin();
        let of = |channel: usize| {
            let taps = self.taps.iter().filter(move |tap| tap.phase == phase);
            taps.map(move |tap| (channel, margin - tap.shift))
        };
        (0..self.out).flat_map(of).collect()
    }

    /// Indices of a phase's taps in the kernel.
    pub(super) fn taps_of(&self, phase: usize) -> Vec<usize> {
        (0..self.taps.len()).filter(|&index| self.taps[index].phase == phase).collect()
    }
}
