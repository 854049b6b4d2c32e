//! Reading one frame: decode, crop, resize, faults, codec.

use super::{Crop, Entry, Frame, Frames, Numbered, OpenOptions, Pixels};
use crate::error::FramesError;
use crate::fit::{Region, crop, fit};
use crate::random::Random;

impl Frames {
    /// Refuses a fault in time where frames have no earlier ones.
    pub(super) fn check_time(&self) -> Result<(), FramesError> {
        let frozen = self.options.faults.iter().find(|fault| fault.kind().needs_time());
        match (frozen, self.timeless()) {
            (Some(fault), Some(why)) => {
                Err(FramesError::Options(format!("{}: {why}", fault.kind().name())))
            }
            _ => Ok(()),
        }
    }

    /// Why no frame has an earlier one that could be shown again.
    pub(crate) fn timeless(&self) -> Option<&'static str> {
        if self.options.raw.is_some() {
            return Some("frames on standard input are read once: save them first");
        }
        let sequences = self.parts.iter().any(|p| p.part.len() > p.part.sources());
        (!sequences).then_some(
            "it takes sources of several frames (tracks or sequences; `--group N` says that N \
             frames belong together), and here every frame is its own source",
        )
    }

    /// Sources in all files, whatever `limit` and `stride`.
    pub(crate) fn sources(&self) -> usize {
        self.parts.iter().map(|p| p.part.sources()).sum()
    }

    /// Reads frame `index`, counted from 0 after `stride`.
    pub fn get(&self, index: usize) -> Result<Frame, FramesError> {
        let number = self.number(index)?;
        self.pass(self.taken(number)?)
    }

    /// The number of frame `index`, counted before `stride`.
    pub(crate) fn number(&self, index: usize) -> Result<usize, FramesError> {
        if index >= self.len {
            return Err(FramesError::Index { index, len: self.len });
        }
        Ok(index * self.options.stride)
    }

    /// A frame as the camera gives it, with its faults: all but the codec.
    pub(crate) fn taken(&self, number: usize) -> Result<Frame, FramesError> {
        let mut frame = self.read(number)?;
        let mut shown = number;
        for back in self.options.faults.iter().filter_map(|fault| fault.frames_back()) {
            if let Some(earlier) = self.earlier(number, frame.source, back)? {
                shown = earlier;
                frame.pixels = self.read(earlier)?.pixels;
            }
        }
        let damaged = self.damaged(frame.pixels, shown, frame.source);
        Ok(Frame { pixels: damaged.map_err(FramesError::Options)?, ..frame })
    }

    /// The frame behind the codec.
    pub(crate) fn pass(&self, mut frame: Frame) -> Result<Frame, FramesError> {
        if let Some(codec) = self.options.codec {
            let passed = codec.pass(frame.pixels, self.shape());
            frame.pixels = passed.map_err(FramesError::Options)?;
        }
        Ok(frame)
    }

    /// A frame of the same source `back` frames before, or half as far and so on; `None` for the
    /// first of its source.
    pub(crate) fn earlier(
        &self,
        number: usize,
        source: i64,
        back: usize,
    ) -> Result<Option<usize>, FramesError> {
        let mut back = back;
        while back > 0 {
            if let Some(earlier) = number.checked_sub(back)
                && self.read(earlier)?.source == source
            {
                return Ok(Some(earlier));
            }
            back /= 2;
        }
        Ok(None)
    }

    /// Frame `number`, counted before `stride`, at its final size.
    fn read(&self, number: usize) -> Result<Frame, FramesError> {
        let after = self.parts.partition_point(|p| p.first_frame <= number);
        let Numbered { part, first_frame, first_source } = &self.parts[after - 1];
        let Entry { mut raw, label, source, name, time_ns } = part.read(number - first_frame)?;
        let picture = [raw.width, raw.height];
        let shape = self.shape();
        if self.options.crop == Crop::Centre {
            let region = Region::centre(&raw, shape);
            raw = crop(raw, region).map_err(FramesError::Options)?;
        }
        let pixels = fit(raw, shape).map_err(FramesError::Options)?;
        let source = first_source + source;
        Ok(Frame { pixels, label, source, name, time_ns, picture })
    }

    fn damaged(&self, pixels: Pixels, number: usize, source: i64) -> Result<Pixels, String> {
        let OpenOptions { faults, fault_seed, .. } = &self.options;
        if faults.is_empty() {
            return Ok(pixels);
        }
        let mut bytes = pixels.into_u8();
        let [height, width, channels] = self.shape();
        for (place, fault) in faults.iter().enumerate() {
            if fault.kind().needs_time() {
                continue;
            }
            let of = if fault.kind().is_lasting() { source as u64 } else { number as u64 };
            let seed = Random::of(&[*fault_seed, place as u64, of]).bits();
            fault.apply(&mut bytes, width, height, channels, seed)?;
        }
        Ok(Pixels::U8(bytes))
    }
}
