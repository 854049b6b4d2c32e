//! Between tensors `[n,C,H,W]` and flat buffers, channel by channel, frame after frame.

use super::geometry::Geometry;

/// Planes of equal length, one for each channel.
#[derive(Clone, Debug)]
pub(super) struct Buffer {
    pub data: Vec<f32>,
    pub plane: usize,
}

impl Buffer {
    pub fn new(planes: usize, plane: usize) -> Self {
        Self { data: vec![0.0; planes * plane], plane }
    }

    fn plane(&mut self, index: usize) -> &mut [f32] {
        &mut self.data[index * self.plane..][..self.plane]
    }
}

/// Number of the first frame and how many.
type Range = (usize, usize);
/// Number of the group and how many there are.
type Group = (usize, usize);

/// The padded input, taken apart into phases. What is not written here stays zero from one chunk to
/// the next, unless a chunk is shorter than the one before it.
pub(super) fn fill_input(
    g: &Geometry,
    x: &[f32],
    (start, count): Range,
    (group, groups): Group,
    to: &mut Buffer,
) {
    let [height, width] = g.input;
    let [sy, sx] = g.strides;
    for channel in 0..g.channels {
        for phase in 0..g.phases() {
            let plane = to.plane(channel * g.phases() + phase);
            plane[count * g.pitch()..].fill(0.0);
            for frame in 0..count {
                let image = ((start + frame) * groups + group) * g.channels + channel;
                let image = &x[image * height * width..][..height * width];
                let rows = &mut plane[frame * g.pitch()..][..g.pitch()];
                for (row, out) in rows.chunks_exact_mut(g.extent[1]).enumerate() {
                    let y = (row * sy + phase / sx).wrapping_sub(g.before[0]);
                    if y < height {
                        fill_row(&image[y * width..][..width], g.before[1], phase % sx, sx, out);
                    }
                }
            }
        }
    }
}

/// Every `stride`-th pixel of a padded row from `phase` on.
fn fill_row(row: &[f32], before: usize, phase: usize, stride: usize, out: &mut [f32]) {
    if stride == 1 {
        out[before..before + row.len()].copy_from_slice(row);
        return;
    }
    // The first place whose pixel is in the row, and that pixel.
    let first = before.saturating_sub(phase).div_ceil(stride);
    let pixel = first * stride + phase - before;
    let pixels = row.iter().skip(pixel).step_by(stride);
    out.iter_mut().skip(first).zip(pixels).for_each(|(out, x)| *out = *x);
}

/// The output's gradient with zeros between the rows, behind a margin of zeros.
pub(super) fn fill_gradient(
    g: &Geometry,
    dy: &[f32],
    (start, count): Range,
    (group, groups): Group,
    to: &mut Buffer,
) {
    let (elements, width, margin) = (g.output_elements(), g.output[1], g.margin());
    for channel in 0..g.out {
        let plane = to.plane(channel);
        plane[margin + count * g.pitch()..].fill(0.0);
        for frame in 0..count {
            let image = ((start + frame) * groups + group) * g.out + channel;
            let image = &dy[image * elements..][..elements];
            let rows = &mut plane[margin + frame * g.pitch()..][..g.pitch()];
            for (row, out) in image.chunks_exact(width).zip(rows.chunks_exact_mut(g.extent[1])) {
                out[..width].copy_from_slice(row);
            }
        }
    }
}

/// The output without its gaps, plus the bias.
pub(super) fn read_output(
    g: &Geometry,
    from: &Buffer,
    bias: Option<&[f32]>,
    (start, count): Range,
    (group, groups): Group,
    y: &mut [f32],
) {
    let (elements, width) = (g.output_elements(), g.output[1]);
    for frame in 0..count {
        for channel in 0..g.out {
            let image = ((start + frame) * groups + group) * g.out + channel;
            let image = &mut y[image * elements..][..elements];
            let rows = &from.data[channel * from.plane + frame * g.pitch()..][..g.pitch()];
            let rows = image.chunks_exact_mut(width).zip(rows.chunks_exact(g.extent[1]));
            match bias.map(|bias| bias[channel]) {
                None => rows.for_each(|(out, row)| out.copy_from_slice(&row[..width])),
                Some(bias) => rows.for_each(|(out, row)| {
                    out.iter_mut().zip(row).for_each(|(out, x)| *out = x + bias);
                }),
            }
        }
    }
}

/// A phase of the padded input's gradient, put where its pixels are.
pub(super) fn read_gradient(
    g: &Geometry,
    from: &Buffer,
    phase: usize,
    (start, count): Range,
    (group, groups): Group,
    dx: &mut [f32],
) {
    let [height, width] = g.input;
    let [sy, sx] = g.strides;
    for frame in 0..count {
        for channel in 0..g.channels {
            let image = ((start + frame) * groups + group) * g.channels + channel;
            let image = &mut dx[image * height * width..][..height * width];
            let rows = &from.data[channel * from.plane + frame * g.pitch()..][..g.pitch()];
            for (row, from) in rows.chunks_exact(g.extent[1]).enumerate() {
                let y = (row * sy + phase / sx).wrapping_sub(g.before[0]);
                if y < height {
                    read_row(from, g.before[1], phase % sx, sx, &mut image[y * width..][..width]);
                }
            }
        }
    }
}

/// The opposite of [`fill_row`].
fn read_row(from: &[f32], before: usize, phase: usize, stride: usize, row: &mut [f32]) {
    if stride == 1 {
        row.copy_from_slice(&from[before..][..row.len()]);
        return;
    }
    let first = before.saturating_sub(phase).div_ceil(stride);
    let pixel = first * stride + phase - before;
    let pixels = row.iter_mut().skip(pixel).step_by(stride);
    from.iter().skip(first).zip(pixels).for_each(|(x, out)| *out = *x);
}
