//! Image files and datasets as frames at a model's size.
//!
//! [`open`] takes files and folders of any mix of these kinds, recognised by their content:
//! - pictures: PNG, JPEG, PPM/PGM/PBM, and folders of them (searched to the bottom, in the order of
//!   their names; the sub-folders of the folder that was named are the classes), also GTSRB's and
//!   Tiny-ImageNet's with the tables of labels, tracks and regions that lie beside the pictures;
//! - CIFAR-10 and CIFAR-100, binary records and Python batches;
//! - MAT-files of cropped digits (SVHN);
//! - idx image files (MNIST), also gzipped, with the labels file beside them;
//! - safetensors with a tensor `images` (`u8`, or `f32` in 0..1; n x 3 x h x w or n x 1 x h x w)
//!   and perhaps `labels` and `source`;
//! - recordings of robots: topics of images in MCAP files and rosbag2's SQLite files;
//! - `-`: raw frames of a stated size on standard input;
//! - no file at all: `signs:train` and the like, which [`signs`] draws.
//!
//! [`Frames::get`] reads, decodes, crops, converts and resizes one frame, the last two through
//! `gradgate-frame`, so that a device given the same pixels makes the same bits, and passes it
//! through a codec where that is asked for. Nothing but names, labels and sources is kept in
//! memory, packed idx and MAT-files aside; any number of threads may read.
//!
//! [`OpenOptions::faults`] makes the frames those of a broken camera, by the faults of [`fault`].
//! [`builtin`] makes anomalies of normal frames: those faults and the changes of [`synthetic`].
//!
//! What a picture says about its own display is not applied: EXIF orientation, colour profile and
//! gamma are ignored, as by PIL and OpenCV unless told otherwise. An alpha channel is dropped, the
//! colours under it stay as stored. 16-bit samples are rounded to 8 bits.
//!
//! What this crate does not know: networks, features, verdicts, progress bars.

mod batch;
pub mod builtin;
mod camera;
mod cifar;
mod codec;
mod error;
pub mod fault;
mod fit;
mod folder;
mod frames;
mod idx;
mod kind;
pub mod known;
mod mat;
mod options;
mod overlay;
mod packed;
mod pickle;
mod picture;
mod pipe;
mod rain;
mod random;
mod record;
mod recording;
pub mod signs;
pub mod synthetic;
mod tensors;
mod write;

pub use camera::camera_bytes;
pub use codec::{Jpeg, Sampling};
pub use error::FramesError;
pub use frames::{Frame, Frames, Pixels, labels, open};
/// The preprocessing and the pre-checks that go with frames.
pub use gradgate_frame::{
    ApplyError, CheckLimits, FrameFault, FrozenWatch, ParseError, Preprocessing, check_frame,
};
pub use options::{Crop, OpenOptions, RecordLayout};
pub use overlay::overlay;
pub use packed::PixelLayout;
pub use pipe::RawFrames;
pub use rain::rain;
pub use recording::{AddedChannel, AddedMessage, CdrWriter, Copied, Cut, Recording};
pub use write::{png, remedy, save_png, write_atomic, write_images_safetensors};
