//! idx files (MNIST and its kin): images of `u8` samples, plain or gzipped, and their labels.
//!
//! Format: <http://yann.lecun.com/exdb/mnist/>: two zero bytes, the element type (8: `u8`), the
//! number of dimensions, then each dimension as a big-endian `u32`, then the elements. Here 3
//! dimensions are grey images (n, rows, columns), 1 dimension are labels.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;

use crate::error::{FramesError, Problem};
use crate::fit::Raw;
use crate::frames::{Entry, Part, Pixels, grouped, groups};
use crate::record::Records;

/// Deflate never packs better than 1032 to 1 (<https://zlib.net/zlib_tech.html>).
const DEFLATE_BEST: u64 = 1032;

/// Longest header: 4 bytes and 4 dimensions.
const HEADER_MAX: usize = 20;

/// Length of the header and dimensions of an idx file that begins like this.
fn header(head: &[u8]) -> Result<(usize, Vec<u64>), Problem> {
    let remedy = "give an idx file of images";
    let (rank, dims) = match head {
        [0, 0, 8, rank @ 1..=4, dims @ ..] => (usize::from(*rank), dims),
        [0, 0, kind, ..] if *kind != 8 => {
            let what = format!("elements of type {kind:#04x}, only u8 (0x08) is read");
            return Err(Problem::new("byte 2", what, remedy));
        }
        _ => return Err(Problem::new("byte 0", "the content is no idx file", remedy)),
    };
    let (words, _) = dims.as_chunks::<4>();
    match words.get(..rank) {
        Some(dims) => {
            let dims = dims.iter().map(|&d| u64::from(u32::from_be_bytes(d))).collect();
            Ok((4 + 4 * rank, dims))
        }
        None => Err(Problem::truncated(head.len(), "the header")),
    }
}

/// Bytes that a file with this header has.
fn total(header_len: usize, dims: &[u64]) -> Option<u64> {
    let elements = dims.iter().try_fold(1_u64, |n, &d| n.checked_mul(d))?;
    elements.checked_add(header_len as u64)
}

/// Whether a file of `len` bytes that begins with `head` is an idx file of just that length.
pub(crate) fn fits(head: &[u8], len: u64) -> bool {
    header(head).is_ok_and(|(start, dims)| total(start, &dims) == Some(len))
}

/// A whole idx file, checked: the bytes, where its elements begin, its dimensions.
fn read_all(path: &Path, gzipped: bool) -> Result<(Records, usize, Vec<u64>), FramesError> {
    let malformed = |problem| FramesError::malformed(path, problem);
    let records = Records::open(path)?;
    let packed = records.len();
    if !gzipped {
        let head = records.read(0, HEADER_MAX.min(packed as usize))?;
        let (start, dims) = header(&head).map_err(malformed)?;
        check_total(total(start, &dims), packed).map_err(malformed)?;
        return Ok((records, start, dims));
    }
    let file = File::open(path).map_err(|e| FramesError::io(path, "cannot open", e))?;
    let mut unpacked = MultiGzDecoder::new(std::io::BufReader::new(file));
    let broken = |error: std::io::Error, at: usize| {
        let what = format!("the gzip data is broken or ends early ({error})");
        malformed(Problem::new(format!("unpacked byte {at}"), what, "copy or download it again"))
    };
    let mut bytes = Vec::new();
    if let Err(error) = unpacked.by_ref().take(HEADER_MAX as u64).read_to_end(&mut bytes) {
        return Err(broken(error, bytes.len()));
    }
    let (start, dims) = header(&bytes).map_err(|mut problem| {
        problem.remedy = "only idx files may be gzipped; unpack others first".to_owned();
        malformed(problem)
    })?;
    // The header decides how much is unpacked at most, the packed length what a header may say.
    let promised = total(start, &dims).filter(|&t| t <= packed.saturating_mul(DEFLATE_BEST));
    let Some(promised) = promised else {
        let what = format!("the header says {dims:?} elements, more than {packed} bytes can hold");
        return Err(malformed(Problem::new("byte 4", what, "copy or download it again")));
    };
    let rest = (promised + 1).saturating_sub(bytes.len() as u64);
    if let Err(error) = unpacked.take(rest).read_to_end(&mut bytes) {
        return Err(broken(error, bytes.len()));
    }
    check_total(Some(promised), bytes.len() as u64).map_err(malformed)?;
    Ok((Records::unpacked(path, bytes), start, dims))
}

fn check_total(promised: Option<u64>, found: u64) -> Result<(), Problem> {
    match promised {
        Some(promised) if promised == found => Ok(()),
        Some(promised) => {
            let more = if found > promised { "more" } else { "fewer" };
            let what = format!("{more} bytes than the {promised} that the header says");
            Err(Problem::new(format!("byte {}", found.min(promised)), what, "copy it again"))
        }
        None => Err(Problem::new("byte 4", "the header's sizes overflow", "copy it again")),
    }
}

/// One opened file of images.
pub(crate) struct Idx {
    records: Records,
    start: usize,
    len: usize,
    height: usize,
    width: usize,
    labels: Option<Vec<u8>>,
    group: Option<usize>,
}

impl Idx {
    /// Opens a file of images and the labels beside it.
    pub fn open(path: &Path, gzipped: bool, group: Option<usize>) -> Result<Self, FramesError> {
        let (records, start, dims) = read_all(path, gzipped)?;
        let wrong = |what: String, remedy: &str| {
            Err(FramesError::malformed(path, Problem::new("byte 3", what, remedy)))
        };
        let [n, height, width] = match dims.as_slice() {
            [n, h, w] => [*n as usize, *h as usize, *w as usize],
            [_] => {
                return wrong(
                    "one dimension: these are labels".to_owned(),
                    "give the file of images; labels beside it are found by their name",
                );
            }
            _ => return wrong(format!("{} dimensions", dims.len()), "give grey images (3)"),
        };
        let side = 1..=gradgate_frame::MAX_SIDE as usize;
        if !side.contains(&height) || !side.contains(&width) {
            return wrong(format!("images of {height} x {width} pixels"), "give larger images");
        }
        if n == 0 {
            let found = "the header says 0 images".to_owned();
            return Err(FramesError::Empty { path: path.to_owned(), found });
        }
        let labels = labels_beside(path).map(|labels| read_labels(&labels, n)).transpose()?;
        Ok(Idx { records, start, len: n, height, width, labels, group })
    }
}

/// The labels file that belongs to a file of images, by name, when it exists.
fn labels_beside(path: &Path) -> Option<PathBuf> {
    let name = path.file_name()?.to_str()?;
    if !name.contains("images") {
        return None;
    }
    let plain = name.replace("images", "labels").replace("idx3", "idx1");
    let plain = plain.strip_suffix(".gz").unwrap_or(&plain);
    let names = [format!("{plain}.gz"), plain.to_owned()];
    names.into_iter().map(|name| path.with_file_name(name)).find(|path| path.is_file())
}

fn read_labels(path: &Path, images: usize) -> Result<Vec<u8>, FramesError> {
    let gzipped = path.extension().is_some_and(|e| e == "gz");
    let (records, start, dims) = read_all(path, gzipped)?;
    if dims != [images as u64] {
        let what = format!("labels of shape {dims:?} beside {images} images");
        let problem = Problem::new("byte 4", what, "put the labels of these images there, or none");
        return Err(FramesError::malformed(path, problem));
    }
    records.read(start as u64, images)
}

impl Part for Idx {
    fn len(&self) -> usize {
        self.len
    }

    fn sources(&self) -> usize {
        groups(self.len, self.group)
    }

    fn read(&self, index: usize) -> Result<Entry, FramesError> {
        let size = self.height * self.width;
        let at = self.start as u64 + index as u64 * size as u64;
        Ok(Entry {
            raw: Raw {
                width: self.width,
                height: self.height,
                channels: 1,
                pixels: Pixels::U8(self.records.read(at, size)?),
            },
            label: self.labels.as_ref().map(|labels| i64::from(labels[index])),
            source: grouped(index, self.group),
            name: format!("{}#{index}", self.records.path().display()),
            time_ns: None,
        })
    }
}
