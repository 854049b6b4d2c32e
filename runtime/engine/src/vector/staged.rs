//! Parts by channels, for layers whose weights are larger than what they multiply: by rows every
//! thread would read all weights. Each part is a layer with some blocks of the channels and has a
//! tensor of its own; what follows the sums is done, by rows again, when all of them have ended.

use gradgate_bundle::op::LANES;
use gradgate_bundle::shape::ConvShape;

use super::tile::Finish;
use super::winograd::conv::Epilogues;
use super::winograd::load;
use super::{Vector, pieces, spans};
use crate::isa::{Kernel, Simd};

/// The result of a layer before its epilogue.
#[derive(Clone, Copy)]
pub struct Stage {
    /// Rows, columns, channels.
    shape: [usize; 3],
    /// Parts by channels.
    parts: usize,
}

impl Stage {
    /// For a layer with this result and so many elements of source; `None` where rows are the
    /// better parts.
    pub fn of(
        vector: &Vector<'_>,
        s: &ConvShape,
        shape: [usize; 3],
        source: usize,
    ) -> Option<Stage> {
        let heavy = s.groups == 1 && s.weight_elements() > source;
        let parts = if heavy { vector.parts(s, shape[2].div_ceil(LANES)) } else { 1 };
        (parts > 1).then_some(Stage { shape, parts })
    }

    fn pixels(&self) -> usize {
        self.shape[0] * self.shape[1]
    }

    /// Elements of all parts.
    pub fn elements(&self) -> usize {
        self.pixels() * self.shape[2].next_multiple_of(LANES)
    }

    /// First channel, channels, and tensor of each part.
    pub fn parts<'v>(
        &self,
        values: &'v mut [f32],
    ) -> impl Iterator<Item = (usize, usize, &'v mut [f32])> {
        let (channels, pixels) = (self.shape[2], self.pixels());
        let blocks = channels.div_ceil(LANES);
        pieces(values, blocks, pixels * LANES, self.parts).map_while(move |(first, values)| {
            let first = first * LANES;
            let count = (values.len() / pixels.max(1)).min(channels - first);
            Some((first, count, values.get_mut(..pixels * count)?))
        })
    }

    /// The epilogue of some rows.
    pub fn finish<'a, E>(
        self,
        values: &'a [f32],
        first_row: usize,
        end: E,
        y: &'a mut [f32],
    ) -> Rows<'a, E> {
        Rows { stage: self, values, first: first_row * self.shape[1], end, y }
    }
}

/// Some rows of the result.
pub struct Rows<'a, E> {
    stage: Stage,
    values: &'a [f32],
    /// First pixel.
    first: usize,
    end: E,
    y: &'a mut [f32],
}

impl<E: Epilogues> Kernel for Rows<'_, E> {
    type Output = Option<()>;

    #[inline(always)]
    fn call<S: Simd>(self, simd: S) -> Option<()> {
        let Rows { stage, values, first, end, y } = self;
        let channels = stage.shape[2];
        let pixels = y.len() / channels.max(1);
        for (block, blocks) in spans(channels.div_ceil(LANES), stage.parts) {
            let start = block * LANES;
            let count = (blocks * LANES).min(channels - start);
            let values = values.get(start * stage.pixels()..)?;
            for channel in (0..count).step_by(LANES) {
                let width = LANES.min(count - channel);
                let end = end.block(start + channel, width);
                for pixel in 0..pixels {
                    let at = (first + pixel) * count + channel;
                    let lanes = load(simd, values, at, width)?;
                    end.finish(simd, lanes, pixel * channels + start + channel, y)?;
                }
            }
        }
        Some(())
    }
}
