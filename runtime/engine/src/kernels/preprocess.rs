//! From the frame to the input tensor.

use gradgate_bundle::op::PreprocessParams;

use super::lanes::COMPACT;

/// Per value: `v = u8 / 255` (or the value itself), `v = low + v * (high - low)` unless the range
/// is 0 to 1, `(v - mean) / std` of its channel. Channels are swapped first for BGR.
pub struct Preprocess {
    channels: usize,
    bgr: bool,
    range: Option<(f32, f32)>,
    mean: [f32; 4],
    std: [f32; 4],
}

impl Preprocess {
    /// The checked parameters' constants.
    pub fn new(p: &PreprocessParams) -> Preprocess {
        let (low, high) = (p.low.get(), p.high.get());
        Preprocess {
            channels: p.channels.get() as usize,
            bgr: p.bgr.get() == 1,
            range: if low == 0.0 && high == 1.0 { None } else { Some((low, high - low)) },
            mean: p.mean.map(|v| v.get()),
            std: p.std.map(|v| v.get()),
        }
    }

    /// A frame of bytes; division by 255, not multiplication by its reciprocal.
    pub fn bytes(&self, frame: &[u8], y: &mut [f32]) {
        self.each(frame, y, |v| f32::from(v) / 255.0);
    }

    /// A frame of values in 0..1.
    pub fn floats(&self, frame: &[f32], y: &mut [f32]) {
        self.each(frame, y, |v| v);
    }

    #[inline(always)]
    fn each<T: Copy>(&self, frame: &[T], y: &mut [f32], unit: impl Fn(T) -> f32) {
        let channels = self.channels.max(1);
        let done = if COMPACT || self.bgr || self.range.is_some() {
            0
        } else {
            self.runs(frame, y, &unit).unwrap_or(0)
        };
        let (frame, y) = (frame.get(done..).unwrap_or(&[]), y.get_mut(done..).unwrap_or(&mut []));
        let pixels = frame.chunks_exact(channels);
        for (y, pixel) in y.chunks_exact_mut(channels).zip(pixels) {
            let constants = self.mean.iter().zip(&self.std);
            let set = |(y, (v, (mean, std))): (&mut f32, (&T, (&f32, &f32)))| {
                let v = unit(*v);
                let v = self.range.map_or(v, |(low, span)| low + v * span);
                *y = (v - mean) / std;
            };
            if self.bgr {
                y.iter_mut().zip(pixel.iter().rev().zip(constants)).for_each(set);
            } else {
                y.iter_mut().zip(pixel.iter().zip(constants)).for_each(set);
            }
        }
    }

    /// Sixteen pixels at a time, the constants laid out as their values are; returns how many
    /// values are done.
    #[inline(always)]
    fn runs<T: Copy>(&self, frame: &[T], y: &mut [f32], unit: &impl Fn(T) -> f32) -> Option<usize> {
        const RUN: usize = 16;
        let (mut means, mut stds) = ([0.0; 4 * RUN], [1.0; 4 * RUN]);
        for i in 0..RUN * self.channels.min(4) {
            means[i] = *self.mean.get(i % self.channels)?;
            stds[i] = *self.std.get(i % self.channels)?;
        }
        let length = (RUN * self.channels).clamp(1, 4 * RUN);
        let (means, stds) = (means.get(..length)?, stds.get(..length)?);
        let mut done = 0;
        for (y, values) in y.chunks_exact_mut(length).zip(frame.chunks_exact(length)) {
            for ((y, v), (mean, std)) in y.iter_mut().zip(values).zip(means.iter().zip(stds)) {
                *y = (unit(*v) - mean) / std;
            }
            done += length;
        }
        Some(done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use zerocopy::FromZeros;

    #[test]
    fn constants_apply_in_the_models_channel_order() {
        let mut p = PreprocessParams::new_zeroed();
        (p.height, p.width, p.channels) = (1.into(), 2.into(), 3.into());
        (p.low, p.high) = (0.0.into(), 1.0.into());
        p.std = [1.0.into(); 4];
        let mut y = [0.0; 6];
        Preprocess::new(&p).bytes(&[0, 51, 255, 1, 2, 3], &mut y);
        assert_eq!(y, [0.0, 0.2, 1.0, 1.0 / 255.0, 2.0 / 255.0, 3.0 / 255.0]);
        p.bgr = 1.into();
        (p.low, p.high) = ((-1.0).into(), 1.0.into());
        p.mean = [0.5, 0.0, 0.0, 0.0].map(Into::into);
        p.std[0] = 2.0.into();
        Preprocess::new(&p).floats(&[0.0, 0.25, 0.75, 0.0, 0.5, 1.0], &mut y);
        assert_eq!(y, [0.0, -0.5, -1.0, 0.25, 0.0, -1.0]);
    }

    #[test]
    fn runs_of_pixels_are_as_single_ones() {
        for channels in [1u32, 3] {
            let mut p = PreprocessParams::new_zeroed();
            (p.height, p.width, p.channels) = (1.into(), 37.into(), channels.into());
            (p.low, p.high) = (0.0.into(), 1.0.into());
            p.mean = [0.5, 0.25, 0.125, 0.0].map(Into::into);
            p.std = [0.3, 0.2, 0.1, 1.0].map(Into::into);
            let mut frame = [0; 37 * 3];
            frame.iter_mut().enumerate().for_each(|(i, v)| *v = (i * 91 % 256) as u8);
            let mut y = [f32::NAN; 37 * 3];
            let y = &mut y[..37 * channels as usize];
            Preprocess::new(&p).bytes(&frame[..y.len()], y);
            for (i, (y, v)) in y.iter().zip(frame).enumerate() {
                let channel = i % channels as usize;
                let (mean, std) = (p.mean[channel].get(), p.std[channel].get());
                let expected = (f32::from(v) / 255.0 - mean) / std;
                assert_eq!(y.to_bits(), expected.to_bits(), "value {i} of {channels} channels");
            }
        }
    }
}
