//! safetensors files: `images`, and perhaps `labels` and `source`.
//!
//! Only the header, the labels and the sources are read at opening; frames when asked for.

use std::collections::HashMap;
use std::path::Path;

use safetensors::Dtype;
use safetensors::tensor::{Metadata, TensorInfo};

use crate::error::{FramesError, Problem};
use crate::fit::{Raw, interleave};
use crate::frames::{Entry, Part, Pixels, grouped, groups};
use crate::record::Records;

/// Longest header in bytes; real ones of image files are some hundred.
const HEADER_MAX: u64 = 16 << 20;

/// One opened file.
pub(crate) struct Tensors {
    records: Records,
    /// First byte of the images.
    start: u64,
    floats: bool,
    len: usize,
    channels: usize,
    height: usize,
    width: usize,
    labels: Option<Vec<i64>>,
    /// Source of each frame, numbered from 0 in the order of their first frames.
    source: Option<Vec<i64>>,
    sources: usize,
    group: Option<usize>,
}

/// The header of a file: its tensors, and where their data begins.
struct Header {
    metadata: Metadata,
    data: u64,
}

fn whole(what: impl Into<String>, remedy: &str) -> Problem {
    Problem::new("", what, remedy)
}

fn read_header(records: &Records) -> Result<Header, FramesError> {
    let malformed = |problem| FramesError::malformed(records.path(), problem);
    let length = records.read(0, 8)?;
    let length = u64::from_le_bytes(length.try_into().unwrap_or_default());
    if length > HEADER_MAX {
        let what = format!("a header of {length} bytes, at most {HEADER_MAX} are read");
        return Err(malformed(Problem::new("byte 0", what, "is it a safetensors file?")));
    }
    let text = records.read(8, length as usize)?;
    let metadata: Metadata = serde_json::from_slice(&text).map_err(|error| {
        let what = format!("the header is not what safetensors prescribes ({error})");
        malformed(Problem::new("byte 8", what, "write the file again"))
    })?;
    Ok(Header { metadata, data: 8 + length })
}

impl Header {
    /// First byte of a tensor, after its length was found to be right and inside the file.
    fn place(&self, name: &str, info: &TensorInfo, file: u64) -> Result<u64, Problem> {
        let size = match info.dtype {
            Dtype::U8 => 1,
            Dtype::I32 | Dtype::F32 => 4,
            Dtype::I64 => 8,
            other => {
                let remedy = "images are U8 or F32 in 0..1; labels and source are I64";
                return Err(whole(format!("tensor {name} is of type {other:?}"), remedy));
            }
        };
        let (start, end) = info.data_offsets;
        let needed = info.shape.iter().try_fold(size, |n: usize, &d| n.checked_mul(d));
        let inside = self.data.checked_add(end as u64).is_some_and(|end| end <= file);
        if !inside {
            return Err(Problem::truncated(file as usize, &format!("tensor {name}")));
        }
        if needed.is_none() || needed != end.checked_sub(start) {
            let what = format!("tensor {name} does not have the bytes that its shape needs");
            return Err(whole(what, "write the file again"));
        }
        Ok(self.data + start as u64)
    }
}

/// Frames, channels, rows, columns of the tensor `images`.
fn image_shape(info: &TensorInfo) -> Result<[usize; 4], Problem> {
    let side = 1..=gradgate_frame::MAX_SIDE as usize;
    match *info.shape.as_slice() {
        [n, c @ (1 | 3), h, w] if side.contains(&h) && side.contains(&w) => Ok([n, c, h, w]),
        [_, _, _, 1 | 3] => Err(whole(
            format!("images have the shape {:?}, channels last", info.shape),
            "permute them to n x channels x rows x columns",
        )),
        _ => Err(whole(
            format!("images have the shape {:?}", info.shape),
            "it must be n x 3 x rows x columns, or n x 1 x rows x columns",
        )),
    }
}

impl Tensors {
    /// Opens a file.
    pub fn open(path: &Path, group: Option<usize>) -> Result<Self, FramesError> {
        let malformed = |problem| FramesError::malformed(path, problem);
        let records = Records::open(path)?;
        let header = read_header(&records)?;
        let Some(info) = header.metadata.info("images") else {
            let mut names: Vec<String> = header.metadata.tensors().into_keys().collect();
            names.sort();
            let what = format!("no tensor `images` among [{}]", names.join(", "));
            return Err(malformed(whole(what, "name it so")));
        };
        let [len, channels, height, width] = image_shape(info).map_err(malformed)?;
        let floats = match info.dtype {
            Dtype::U8 => false,
            Dtype::F32 => true,
            other => {
                let what = format!("images are of type {other:?}");
                return Err(malformed(whole(what, "convert them to U8, or to F32 in 0..1")));
            }
        };
        let start = header.place("images", info, records.len()).map_err(malformed)?;
        if len == 0 {
            let found = "the tensor `images` has length 0".to_owned();
            return Err(FramesError::Empty { path: path.to_owned(), found });
        }
        let labels = integers(&records, &header, "labels", len)?;
        let source = integers(&records, &header, "source", len)?;
        let (source, sources) = match source {
            Some(ids) => {
                let (numbered, count) = renumber(&ids);
                (Some(numbered), count)
            }
            None => (None, groups(len, group)),
        };
        Ok(Tensors {
            records,
            start,
            floats,
            len,
            channels,
            height,
            width,
            labels,
            source,
            sources,
            group,
        })
    }
}

/// A tensor of one integer per frame, when the file has it.
fn integers(
    records: &Records,
    header: &Header,
    name: &str,
    len: usize,
) -> Result<Option<Vec<i64>>, FramesError> {
    let Some(info) = header.metadata.info(name) else {
        return Ok(None);
    };
    let malformed = |problem| FramesError::malformed(records.path(), problem);
    let start = header.place(name, info, records.len()).map_err(malformed)?;
    if info.shape != [len] {
        let what = format!("tensor {name} has the shape {:?} beside {len} images", info.shape);
        return Err(malformed(whole(what, "give one integer per image")));
    }
    let bytes = |size: usize| records.read(start, len * size);
    let values = match info.dtype {
        Dtype::U8 => bytes(1)?.into_iter().map(i64::from).collect(),
        Dtype::I32 => {
            let bytes = bytes(4)?;
            bytes.as_chunks().0.iter().map(|&b| i64::from(i32::from_le_bytes(b))).collect()
        }
        Dtype::I64 => bytes(8)?.as_chunks().0.iter().map(|&b| i64::from_le_bytes(b)).collect(),
        other => {
            let what = format!("tensor {name} is of type {other:?}");
            return Err(malformed(whole(what, "convert it to I64")));
        }
    };
    Ok(Some(values))
}

/// Any identifiers to 0, 1, .. in the order in which they first occur, and how many there are.
fn renumber(ids: &[i64]) -> (Vec<i64>, usize) {
    let mut seen = HashMap::new();
    let numbered = ids
        .iter()
        .map(|&id| {
            let next = seen.len() as i64;
            *seen.entry(id).or_insert(next)
        })
        .collect();
    (numbered, seen.len())
}

/// Little-endian samples, each in 0..1.
fn unit_samples(bytes: &[u8]) -> Result<Vec<f32>, String> {
    let samples = bytes.as_chunks().0.iter().map(|&b| f32::from_le_bytes(b));
    let samples: Vec<f32> = samples.collect();
    match samples.iter().position(|v| !(0.0..=1.0).contains(v)) {
        Some(at) => Err(format!("sample {at} is {}, outside 0..1", samples[at])),
        None => Ok(samples),
    }
}

impl Part for Tensors {
    fn len(&self) -> usize {
        self.len
    }

    fn sources(&self) -> usize {
        self.sources
    }

    fn read(&self, index: usize) -> Result<Entry, FramesError> {
        let samples = self.channels * self.height * self.width;
        let size = if self.floats { samples * 4 } else { samples };
        let bytes = self.records.read(self.start + index as u64 * size as u64, size)?;
        let pixels = if self.floats {
            let samples = unit_samples(&bytes).map_err(|what| {
                let remedy = "store u8, or f32 divided by 255 and not normalised";
                let problem = Problem::new(format!("image {index}"), what, remedy);
                FramesError::malformed(self.records.path(), problem)
            })?;
            Pixels::F32(interleave(&samples, self.channels))
        } else {
            Pixels::U8(interleave(&bytes, self.channels))
        };
        let source = match &self.source {
            Some(source) => source[index],
            None => grouped(index, self.group),
        };
        Ok(Entry {
            raw: Raw { width: self.width, height: self.height, channels: self.channels, pixels },
            label: self.labels.as_ref().map(|labels| labels[index]),
            source,
            name: format!("{}#{index}", self.records.path().display()),
            time_ns: None,
        })
    }
}
