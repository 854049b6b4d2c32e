//! MATLAB files of images (SVHN's cropped digits): `X`, rows x columns x 3 x n bytes, and `y`.
//!
//! Format: MathWorks, "MAT-File Format", level 5 (written by `save -v6` and `-v7`), little-endian;
//! <http://ufldl.stanford.edu/housenumbers/>, "Format 2". Label 10 stands for the digit 0. Arrays
//! lie column by column, so an image is 3 planes of whole columns. Compressed samples are unpacked
//! into memory; others are read when asked for.

mod element;

use std::path::Path;

use crate::error::{FramesError, Problem};
use crate::fit::Raw;
use crate::frames::{Entry, Part, Pixels, grouped, groups};
use crate::record::Records;
use element::{Body, Elements, Matrix};

/// Digits and SVHN's own number for 0.
const LABEL_MAX: i64 = 10;

const REMEDY: &str =
    "give a file of cropped digits (train_32x32.mat), or one of the same variables";

/// One opened file.
pub(crate) struct Mat {
    records: Records,
    /// First byte of the samples in `records`.
    start: u64,
    /// Rows, columns, channels.
    shape: [usize; 3],
    len: usize,
    labels: Option<Vec<u8>>,
    group: Option<usize>,
}

impl Mat {
    /// Opens a file that begins like a MAT-file of level 5.
    pub fn open(path: &Path, group: Option<usize>) -> Result<Self, FramesError> {
        let malformed = |problem| FramesError::malformed(path, problem);
        let (mut images, mut labels) = (None, None);
        let mut names = Vec::new();
        let mut elements = Elements::open(path)?;
        while let Some(mut body) = elements.next().map_err(malformed)? {
            let Some(matrix) = body.matrix().map_err(malformed)? else { continue };
            match matrix.name.as_str() {
                "X" => images = Some(samples(path, &matrix, body).map_err(malformed)?),
                "y" => labels = Some(numbers(&matrix, body).map_err(malformed)?),
                _ => {}
            }
            // Real files have two; the names are for the message alone.
            if names.len() < 16 {
                names.push(matrix.name);
            }
        }
        let Some((records, start, [rows, columns, channels, len])) = images else {
            let what = format!("no variable `X` among [{}]", names.join(", "));
            return Err(malformed(Problem::new("", what, REMEDY)));
        };
        if len == 0 {
            let found = "the variable `X` has no images".to_owned();
            return Err(FramesError::Empty { path: path.to_owned(), found });
        }
        let labels = labels.map(|labels| digits(labels, len)).transpose().map_err(malformed)?;
        Ok(Mat { records, start, shape: [rows, columns, channels], len, labels, group })
    }
}

/// Where the samples are, and rows, columns, channels and number of the images.
fn samples(
    path: &Path,
    matrix: &Matrix,
    body: Body,
) -> Result<(Records, u64, [usize; 4]), Problem> {
    let wrong = |what: String| Problem::new("variable X", what, REMEDY);
    let side = 1..=u64::from(gradgate_frame::MAX_SIDE);
    // A last dimension of 1 is not written.
    let [rows, columns, channels, n] = match *matrix.dimensions.as_slice() {
        [rows, columns, channels] => [rows, columns, channels, 1],
        [rows, columns, channels, n] => [rows, columns, channels, n],
        _ => [0; 4],
    };
    if !side.contains(&rows) || !side.contains(&columns) || !matches!(channels, 1 | 3) {
        let what = format!("its shape is {:?}, not rows x columns x 3 x n", matrix.dimensions);
        return Err(wrong(what));
    }
    if !matrix.is_bytes() {
        return Err(wrong(format!("its elements are of {}, only uint8 is read", matrix.class())));
    }
    let total = [columns, channels, n].iter().try_fold(rows, |total, &d| total.checked_mul(d));
    let Some(total) = total else {
        return Err(wrong(format!("its shape is {:?}", matrix.dimensions)));
    };
    let (records, start) = body.bytes(path, matrix, total)?;
    let counts = [rows, columns, channels, n].map(usize::try_from);
    match counts {
        [Ok(rows), Ok(columns), Ok(channels), Ok(n)] => {
            Ok((records, start, [rows, columns, channels, n]))
        }
        _ => Err(wrong(format!("its shape is {:?}", matrix.dimensions))),
    }
}

/// The elements of a vector of whole numbers.
fn numbers(matrix: &Matrix, body: Body) -> Result<Vec<i64>, Problem> {
    let wrong = |what: String| Problem::new("variable y", what, REMEDY);
    let n = match *matrix.dimensions.as_slice() {
        [n, 1] | [1, n] => n,
        _ => return Err(wrong(format!("its shape is {:?}, not n x 1", matrix.dimensions))),
    };
    body.numbers(matrix, n)
}

fn digits(labels: Vec<i64>, images: usize) -> Result<Vec<u8>, Problem> {
    if labels.len() != images {
        let what = format!("{} labels beside {images} images", labels.len());
        return Err(Problem::new("variable y", what, REMEDY));
    }
    let digit = |(index, label): (usize, i64)| match label {
        LABEL_MAX => Ok(0),
        0..LABEL_MAX => Ok(label as u8),
        _ => {
            let what = format!("label {label} is outside 0..{LABEL_MAX}");
            Err(Problem::new(format!("image {index}"), what, REMEDY))
        }
    };
    labels.into_iter().enumerate().map(digit).collect()
}

impl Part for Mat {
    fn len(&self) -> usize {
        self.len
    }

    fn sources(&self) -> usize {
        groups(self.len, self.group)
    }

    fn read(&self, index: usize) -> Result<Entry, FramesError> {
        let [height, width, channels] = self.shape;
        let plane = height * width;
        let size = plane * channels;
        let bytes = self.records.read(self.start + index as u64 * size as u64, size)?;
        let mut pixels = Vec::with_capacity(size);
        for at in 0..plane {
            let (row, column) = (at / width, at % width);
            let place = column * height + row;
            pixels.extend((0..channels).map(|channel| bytes[channel * plane + place]));
        }
        Ok(Entry {
            raw: Raw { width, height, channels, pixels: Pixels::U8(pixels) },
            label: self.labels.as_ref().map(|labels| i64::from(labels[index])),
            source: grouped(index, self.group),
            name: format!("{}#{index}", self.records.path().display()),
            time_ns: None,
        })
    }
}
