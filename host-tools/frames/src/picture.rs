//! Picture files: PNG, JPEG and PPM to grey or RGB samples of 8 bits.
//!
//! The header is read by our own small parsers first, so that size limits hold before anything is
//! decoded or reserved, truncation is an error even where the decoder would fill in grey, and what
//! the decoder cannot do right (CMYK) is refused by name. Damage inside the compressed data of a
//! JPEG that leaves its markers whole is beyond that: the format has no checksum.

mod jpeg;
mod png;
mod pnm;

use std::io::{Cursor, Read};
use std::path::Path;

use image::{DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits};

use crate::error::{FramesError, Problem};
use crate::fit::Raw;
use crate::frames::Pixels;
use crate::kind::{PictureKind, picture_kind};

/// Largest picture file in bytes.
const FILE_MAX: u64 = 256 << 20;

/// What the header of a picture says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Header {
    width: u64,
    height: u64,
}

/// Reads and decodes one picture file of at most `max_pixels` pixels.
pub(crate) fn read(path: &Path, max_pixels: u64) -> Result<Raw, FramesError> {
    let read = || {
        let file = std::fs::File::open(path)?;
        let mut bytes = Vec::new();
        file.take(FILE_MAX + 1).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes = read().map_err(|error| FramesError::io(path, "cannot read", error))?;
    decode(&bytes, max_pixels).map_err(|problem| FramesError::malformed(path, problem))
}

/// Decodes a picture of at most `max_pixels` pixels.
pub(crate) fn decode(bytes: &[u8], max_pixels: u64) -> Result<Raw, Problem> {
    if bytes.len() as u64 > FILE_MAX {
        let what = format!("a picture file of more than {FILE_MAX} bytes");
        return Err(Problem::new("", what, "make it smaller"));
    }
    let (header, format) = match picture_kind(bytes) {
        Some(PictureKind::Png) => (png::header(bytes)?, ImageFormat::Png),
        Some(PictureKind::Jpeg) => (jpeg::header(bytes)?, ImageFormat::Jpeg),
        Some(PictureKind::Pnm) => (pnm::header(bytes)?, ImageFormat::Pnm),
        None => {
            let what = "the content is no PNG, JPEG or PPM";
            return Err(Problem::new("byte 0", what, "repair the file or take it away"));
        }
    };
    check_size(header, max_pixels)?;
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    let mut limits = Limits::default();
    limits.max_image_width = Some(gradgate_frame::MAX_SIDE);
    limits.max_image_height = Some(gradgate_frame::MAX_SIDE);
    // The decoded samples (16 bits, 4 channels at worst) and as much again to work in.
    limits.max_alloc = Some(max_pixels.saturating_mul(16).saturating_add(64 << 20));
    reader.limits(limits);
    let failed = |error: ImageError| {
        Problem::new("", format!("it cannot be decoded ({error})"), "repair or replace the file")
    };
    let decoder = reader.into_decoder().map_err(failed)?;
    check_agreement(header, decoder.dimensions())?;
    Ok(plain(DynamicImage::from_decoder(decoder).map_err(failed)?))
}

/// Two readers of one header may understand it differently: a size that only one of them saw has
/// been held against no limit.
fn check_agreement(header: Header, (width, height): (u32, u32)) -> Result<(), Problem> {
    let decoded = Header { width: width.into(), height: height.into() };
    if decoded != header {
        let what = format!(
            "its header can be read as {} x {} or as {width} x {height} pixels",
            header.width, header.height
        );
        return Err(Problem::new("", what, "write the file anew"));
    }
    Ok(())
}

fn check_size(header: Header, max_pixels: u64) -> Result<(), Problem> {
    let Header { width, height, .. } = header;
    let side = 1..=u64::from(gradgate_frame::MAX_SIDE);
    let pixels = width.checked_mul(height);
    if !side.contains(&width) || !side.contains(&height) || pixels.is_none_or(|p| p > max_pixels) {
        let what = format!("a picture of {width} x {height} pixels");
        let remedy = format!(
            "sides are 1 to {}, and {max_pixels} pixels the most; make it smaller",
            side.end()
        );
        return Err(Problem::new("", what, remedy));
    }
    Ok(())
}

/// Grey or RGB of 8 bits, alpha dropped.
fn plain(image: DynamicImage) -> Raw {
    let (width, height) = (image.width() as usize, image.height() as usize);
    let (stored, keep, samples) = match image {
        DynamicImage::ImageLuma8(i) => (1, 1, i.into_raw()),
        DynamicImage::ImageLumaA8(i) => (2, 1, i.into_raw()),
        DynamicImage::ImageRgb8(i) => (3, 3, i.into_raw()),
        DynamicImage::ImageRgba8(i) => (4, 3, i.into_raw()),
        DynamicImage::ImageLuma16(i) => (1, 1, narrow(i.into_raw())),
        DynamicImage::ImageLumaA16(i) => (2, 1, narrow(i.into_raw())),
        DynamicImage::ImageRgb16(i) => (3, 3, narrow(i.into_raw())),
        DynamicImage::ImageRgba16(i) => (4, 3, narrow(i.into_raw())),
        other => (3, 3, other.into_rgb8().into_raw()),
    };
    let pixels = if stored == keep {
        samples
    } else {
        samples.chunks_exact(stored).flat_map(|p| p[..keep].iter().copied()).collect()
    };
    Raw { width, height, channels: keep, pixels: Pixels::U8(pixels) }
}

/// 16-bit samples to 8 bits, rounded to nearest (65535 / 255 is 257).
fn narrow(samples: Vec<u16>) -> Vec<u8> {
    samples.into_iter().map(|v| ((u32::from(v) + 128) / 257) as u8).collect()
}

#[cfg(test)]
#[path = "picture_tests.rs"]
mod tests;
