//! CIFAR's binary records: label bytes, then 32 x 32 pixels as planes of red, green, blue.
//!
//! Format: <https://www.cs.toronto.edu/~kriz/cifar.html>, "binary version". The files have neither
//! header nor signature; only their length tells the two layouts apart.

use std::path::Path;

use crate::error::{FramesError, Problem};
use crate::fit::{Raw, interleave};
use crate::frames::{Entry, Part, Pixels, grouped, groups};
use crate::options::RecordLayout;
use crate::record::Records;

const SIDE: usize = 32;
const SAMPLES: usize = 3 * SIDE * SIDE;

/// The layout that a file of `len` bytes has; `None` when it has neither.
pub(crate) fn layout(
    path: &Path,
    len: u64,
    asked: RecordLayout,
) -> Result<Option<RecordLayout>, FramesError> {
    let fits = |labels: u64| len > 0 && len.is_multiple_of(SAMPLES as u64 + labels);
    let malformed = |what: String, remedy: &str| {
        Err(FramesError::malformed(path, Problem::new("", what, remedy)))
    };
    match (asked, fits(1), fits(2)) {
        (RecordLayout::Auto, true, true) => {
            malformed(format!("{len} bytes could be CIFAR-10 or CIFAR-100 records"), "say which")
        }
        (RecordLayout::Auto | RecordLayout::Cifar10, true, _) => Ok(Some(RecordLayout::Cifar10)),
        (RecordLayout::Auto | RecordLayout::Cifar100, _, true) => Ok(Some(RecordLayout::Cifar100)),
        _ => Ok(None),
    }
}

/// One opened file of records.
pub(crate) struct Cifar {
    records: Records,
    labels: usize,
    len: usize,
    group: Option<usize>,
}

impl Cifar {
    /// Opens a file whose length [`layout`] has found to fit.
    pub fn open(
        path: &Path,
        layout: RecordLayout,
        group: Option<usize>,
    ) -> Result<Self, FramesError> {
        let records = Records::open(path)?;
        let labels = if layout == RecordLayout::Cifar100 { 2 } else { 1 };
        let len = (records.len() / (labels + SAMPLES) as u64) as usize;
        Ok(Cifar { records, labels, len, group })
    }
}

impl Part for Cifar {
    fn len(&self) -> usize {
        self.len
    }

    fn sources(&self) -> usize {
        groups(self.len, self.group)
    }

    fn read(&self, index: usize) -> Result<Entry, FramesError> {
        let size = self.labels + SAMPLES;
        let record = self.records.read(index as u64 * size as u64, size)?;
        let (labels, planes) = record.split_at(self.labels);
        Ok(Entry {
            raw: Raw {
                width: SIDE,
                height: SIDE,
                channels: 3,
                pixels: Pixels::U8(interleave(planes, 3)),
            },
            label: labels.last().map(|&l| i64::from(l)),
            source: grouped(index, self.group),
            name: format!("{}#{index}", self.records.path().display()),
            time_ns: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layouts_by_length() {
        let both = 3073 * 3074;
        let auto = RecordLayout::Auto;
        let cases = [
            (3073, auto, Some(RecordLayout::Cifar10)),
            (3074 * 5, auto, Some(RecordLayout::Cifar100)),
            (3072, auto, None),
            (0, auto, None),
            (both, RecordLayout::Cifar10, Some(RecordLayout::Cifar10)),
            (both, RecordLayout::Cifar100, Some(RecordLayout::Cifar100)),
            (3073, RecordLayout::Cifar100, None),
        ];
        for (len, asked, expected) in cases {
            assert_eq!(layout(Path::new("x"), len, asked).unwrap(), expected, "{len} {asked:?}");
        }
        let error = layout(Path::new("x.bin"), both, auto).unwrap_err().to_string();
        assert!(error.contains("x.bin") && error.contains("say which"), "{error}");
    }
}
