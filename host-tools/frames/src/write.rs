//! Writing frames: PNG files and safetensors of images, each whole or not at all.

use std::ffi::OsString;
use std::fs::{File, OpenOptions as FileOptions};
use std::io::{self, Cursor, Write};
use std::path::Path;

use image::{ExtendedColorType, ImageFormat};
use safetensors::Dtype;
use safetensors::tensor::TensorView;

use crate::error::FramesError;
use crate::fit::planes;
use crate::frames::{Frame, Pixels};

/// Writes a file so that readers see the old content or the new one, never a part: into a
/// neighbour first, flushed to the disk, then renamed over `path`.
pub fn write_atomic(path: &Path, bytes: &[u8]) -> Result<(), FramesError> {
    let io = |error| FramesError::io(path, "cannot write", error);
    let Some(name) = path.file_name() else {
        let what = "it names no file".to_owned();
        return Err(FramesError::Unwritable { path: path.to_owned(), what });
    };
    let mut neighbour = OsString::from(".");
    neighbour.push(name);
    neighbour.push(format!(".{}.part", std::process::id()));
    let neighbour = path.with_file_name(neighbour);
    let write = || {
        let mut file: File =
            FileOptions::new().write(true).create(true).truncate(true).open(&neighbour)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&neighbour, path)
    };
    write().map_err(|error| {
        // Best effort: the error that counts is the one above.
        let _ = std::fs::remove_file(&neighbour);
        io(error)
    })
}

/// What to do about a file that cannot be written.
pub fn remedy(error: &io::Error) -> &'static str {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    match error.kind() {
        StorageFull | QuotaExceeded => {
            "no room is left there: free some, or name another place, and give the same command \
             again; what was there before is as it was"
        }
        FileTooLarge => {
            "the file system or a limit of this session takes no file so large: name another \
             place, or raise the limit (`ulimit -f`)"
        }
        _ => "choose a folder that exists and that you may write to",
    }
}

/// Writes one frame of `[height, width, channels]` as a PNG of 8 bits.
pub fn save_png(path: &Path, pixels: &Pixels, shape: [usize; 3]) -> Result<(), FramesError> {
    let unwritable = |what: String| FramesError::Unwritable { path: path.to_owned(), what };
    write_atomic(path, &png(pixels, shape).map_err(unwritable)?)
}

/// The bytes of such a file.
///
/// # Errors
/// What does not fit the shape, or a PNG.
pub fn png(pixels: &Pixels, shape: [usize; 3]) -> Result<Vec<u8>, String> {
    let [height, width, channels] = checked(pixels.len(), shape)?;
    let colour = if channels == 1 { ExtendedColorType::L8 } else { ExtendedColorType::Rgb8 };
    let mut bytes = Cursor::new(Vec::new());
    let (w, h) = (width as u32, height as u32);
    image::write_buffer_with_format(&mut bytes, &pixels.to_u8(), w, h, colour, ImageFormat::Png)
        .map_err(|error| error.to_string())?;
    Ok(bytes.into_inner())
}

/// Writes frames of `[height, width, channels]` as `images` (n x channels x height x width), with
/// `source` and, when every frame has one, `labels` (both `i64`).
///
/// Frames must be all `u8` or all `f32`, and labelled all or none.
pub fn write_images_safetensors(
    path: &Path,
    frames: &[Frame],
    shape: [usize; 3],
) -> Result<(), FramesError> {
    let unwritable = |what: String| FramesError::Unwritable { path: path.to_owned(), what };
    let (images, dtype) = image_bytes(frames, shape).map_err(unwritable)?;
    let [height, width, channels] = shape;
    let n = frames.len();
    let bytes = |values: Vec<i64>| values.into_iter().flat_map(i64::to_le_bytes).collect();
    let source: Vec<u8> = bytes(frames.iter().map(|f| f.source).collect());
    let labelled = frames.iter().filter(|f| f.label.is_some()).count();
    if labelled != 0 && labelled != n {
        return Err(unwritable(format!("only {labelled} of {n} frames have a label")));
    }
    let labels: Vec<u8> = bytes(frames.iter().filter_map(|f| f.label).collect());
    let mut tensors = vec![
        ("images", dtype, vec![n, channels, height, width], &images),
        ("source", Dtype::I64, vec![n], &source),
    ];
    if labelled == n {
        tensors.push(("labels", Dtype::I64, vec![n], &labels));
    }
    let views: Result<Vec<_>, _> = tensors
        .into_iter()
        .map(|(name, dtype, shape, data)| Ok((name, TensorView::new(dtype, shape, data)?)))
        .collect();
    let file = views
        .and_then(|views| safetensors::serialize(views, None))
        .map_err(|error: safetensors::SafeTensorError| unwritable(error.to_string()))?;
    write_atomic(path, &file)
}

fn checked(len: usize, shape: [usize; 3]) -> Result<[usize; 3], String> {
    let [height, width, channels] = shape;
    let expected = height.checked_mul(width).and_then(|n| n.checked_mul(channels));
    if expected != Some(len) || len == 0 || !matches!(channels, 1 | 3) {
        return Err(format!("{len} samples are no frame of {height} x {width} x {channels}"));
    }
    Ok(shape)
}

fn image_bytes(frames: &[Frame], shape: [usize; 3]) -> Result<(Vec<u8>, Dtype), String> {
    let floats = frames.iter().filter(|f| matches!(f.pixels, Pixels::F32(_))).count();
    if frames.is_empty() || (floats != 0 && floats != frames.len()) {
        return Err("frames must be at least one, and all u8 or all f32".to_owned());
    }
    let mut bytes = Vec::new();
    for frame in frames {
        let [.., channels] = checked(frame.pixels.len(), shape)?;
        match &frame.pixels {
            Pixels::U8(v) => bytes.extend(planes(v, channels)),
            Pixels::F32(v) => {
                bytes.extend(planes(v, channels).iter().flat_map(|s| s.to_le_bytes()))
            }
        }
    }
    Ok((bytes, if floats == 0 { Dtype::U8 } else { Dtype::F32 }))
}
