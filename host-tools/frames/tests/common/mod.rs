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

/// Cuts a good file at every `step`-th byte: each must be an error that names the file.
pub fn truncate_everywhere(
    folder: &Path,
    name: &str,
    content: &[u8],
    options: &OpenOptions,
    step: usize,
) {
    let whole = put(folder, name, content);
    assert_eq!(first_error(&whole, options), None, "{name}");
    for end in (0..content.len()).step_by(step) {
        let path = put(folder, name, &content[..end]);
        let error = first_error(&path, options);
        let text = error.unwrap_or_else(|| panic!("{name} cut at {end} was read"));
        assert!(text.contains(name), "{text}");
    }
}

/// A file that Python or SciPy wrote: see make_golden.py.
pub fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

/// The sample that golden files have at a place of the planes of a 32 x 32 image.
pub fn golden_sample(image: usize, channel: usize, row: usize, column: usize) -> u8 {
    (7 * (channel * 1024 + row * 32 + column) + 50 * image) as u8
}

/// Compares both images of a golden file at 32 x 32 with what they were made from.
pub fn check_golden(path: &Path, labels: [i64; 2]) {
    let frames = open_one(path, &cifar_size()).unwrap();
    assert_eq!(frames.len(), 2, "{path:?}");
    for (image, label) in labels.into_iter().enumerate() {
        let frame = frames.get(image).unwrap();
        assert_eq!((frame.label, frame.source), (Some(label), image as i64), "{path:?}");
        for (at, &sample) in bytes(&frame.pixels).iter().enumerate() {
            let (row, column, channel) = (at / 96, at / 3 % 32, at % 3);
            assert_eq!(sample, golden_sample(image, channel, row, column), "{path:?} {at}");
        }
    }
}
