//! From camera pixels to the network's input: formats, resize, preprocessing, pre-checks.
//!
//! A *frame* here is what the engine takes: `u8` samples in rows, columns, channels (top row first,
//! RGB or grey) at the model's size. [`Intake`] makes one from camera rows, [`Preprocessing`] turns
//! it into the `f32` input tensor, [`check_frame`] and [`FrozenWatch`] judge it before the network
//! runs.
//!
//! Host tools and devices call this same code, so a frame has the same bits wherever it was made:
//! resize and colour conversion are integer arithmetic; preprocessing is multiply then add in
//! `f32`, never fused. Nothing allocates and nothing panics; wrong lengths are errors.
//!
//! What this crate does not know: files, codecs, cameras, networks, policies.
#![no_std]

pub mod checks;
pub mod colour;
pub mod format;
pub mod intake;
pub mod preprocessing;
pub mod resize;
mod text;

pub use checks::{CheckLimits, Digest, FrameFault, FrozenWatch, Spread, check_frame, digest};
pub use colour::{grey_of, rgb_of_565, rgb_of_yuv};
pub use format::{FormatError, PixelFormat, convert_row};
pub use intake::{Intake, IntakeError};
pub use preprocessing::{ApplyError, ParseError, Preprocessing, PreprocessingError};
pub use resize::{MAX_SIDE, ResizeError, Resizer, Sample, Size, resize, scratch_len};
