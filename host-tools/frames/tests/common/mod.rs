//! What the tests of this crate share.
#![allow(dead_code)]

use std::path::{Path, PathBuf};

use gradgate_frames::{Frames, FramesError, OpenOptions, Pixels, open};

/// A generator of test data (splitmix64); print the seed with any failure.
pub struct Rng(pub u64);

impl Rng {
    /// The next 64 bits.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// `n` bytes.
    pub fn bytes(&mut self, n: usize) -> Vec<u8> {
        (0..n).map(|_| self.next() as u8).collect()
    }
}

/// Every frame at 32 x 32 RGB.
pub fn cifar_size() -> OpenOptions {
    OpenOptions::new(32, 32, 3)
}

/// Opens one path.
pub fn open_one(path: &Path, options: &OpenOptions) -> Result<Frames, FramesError> {
    open(&[path.to_owned()], options)
}

/// The bytes of a `u8` frame.
pub fn bytes(pixels: &Pixels) -> &[u8] {
    match pixels {
        Pixels::U8(v) => v,
        Pixels::F32(_) => panic!("f32 pixels where u8 were expected"),
    }
}

/// Opens a file or reads all of its frames; the first error as text.
pub fn first_error(path: &Path, options: &OpenOptions) -> Option<String> {
    let frames = match open_one(path, options) {
        Ok(frames) => frames,
        Err(error) => return Some(error.to_string()),
    };
    frames.iter().find_map(|frame| frame.err().map(|error| error.to_string()))
}

/// Writes a file into a folder, making the folders on the way.
pub fn put(folder: &Path, name: &str, content: &[u8]) -> PathBuf {
    let path = folder.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, content).unwrap();
    path
}

/// A safetensors file with this header and data.
pub fn tensors(header: &str, data: &[u8]) -> Vec<u8> {
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(header.as_bytes());
    file.extend(data);
    file
}
