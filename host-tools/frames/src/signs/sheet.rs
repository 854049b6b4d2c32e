//! Contact sheets: many frames on one picture, to look at.

use crate::frames::Pixels;

/// A picture of red, green, blue, in rows.
#[derive(Clone, Debug, PartialEq)]
pub struct Sheet {
    /// The samples.
    pub pixels: Pixels,
    /// Rows, columns, channels.
    pub shape: [usize; 3],
}

/// Frames of `size` x `size` RGB bytes, `columns` a row, with a line of two white pixels between.
/// Places without a frame stay white.
pub fn contact_sheet(frames: &[Vec<u8>], size: usize, columns: usize) -> Sheet {
    const GAP: usize = 2;
    let pitch = size + GAP;
    let rows = frames.len().div_ceil(columns);
    let (height, width) = (rows * pitch + GAP, columns * pitch + GAP);
    let mut pixels = vec![255; height * width * 3];
    for (i, frame) in frames.iter().enumerate() {
        let (top, left) = (GAP + i / columns * pitch, GAP + i % columns * pitch);
        for (y, row) in frame.chunks_exact(size * 3).enumerate() {
            let start = ((top + y) * width + left) * 3;
            pixels[start..start + size * 3].copy_from_slice(row);
        }
    }
    Sheet { pixels: Pixels::U8(pixels), shape: [height, width, 3] }
}
