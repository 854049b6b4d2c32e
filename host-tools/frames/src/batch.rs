//! CIFAR's Python batches: a pickled dictionary of samples and labels.
//!
//! Format: <https://www.cs.toronto.edu/~kriz/cifar.html>, "Python version": `data`, n x 3072 bytes,
//! a row being 32 x 32 pixels as planes of red, green, blue; `labels` (CIFAR-10), or `fine_labels`
//! and `coarse_labels` (CIFAR-100, the fine ones are taken).

use std::path::Path;

use crate::error::{FramesError, Problem};
use crate::fit::{Raw, interleave};
use crate::frames::{Entry, Part, Pixels, grouped, groups};
use crate::pickle::{Pickle, Value};
use crate::record::Records;

const SIDE: usize = 32;
const SAMPLES: usize = 3 * SIDE * SIDE;

/// Keys of the labels, and how many classes they tell apart.
const LABELS: [(&str, u8); 2] = [("labels", 10), ("fine_labels", 100)];

/// One opened batch.
pub(crate) struct Batch {
    records: Records,
    /// First byte of the samples.
    start: u64,
    labels: Vec<u8>,
    group: Option<usize>,
}

impl Batch {
    /// Opens a file that begins like a pickle.
    pub fn open(path: &Path, group: Option<usize>) -> Result<Self, FramesError> {
        let records = Records::open(path)?;
        let malformed = |problem| FramesError::malformed(path, problem);
        let pickle = Pickle::read(&records).map_err(malformed)?;
        let entries = entries(&pickle, &records)?;
        let (start, len) = samples(&pickle, &entries).map_err(malformed)?;
        if len == 0 {
            let found = "the array `data` has no rows".to_owned();
            return Err(FramesError::Empty { path: path.to_owned(), found });
        }
        let labels = labels(&pickle, &entries, len).map_err(malformed)?;
        Ok(Batch { records, start, labels, group })
    }
}

fn wrong(what: impl Into<String>) -> Problem {
    Problem::new("", what, "give an official batch of CIFAR-10 or CIFAR-100")
}

/// The dictionary, its keys read.
fn entries(pickle: &Pickle, records: &Records) -> Result<Vec<(String, Value)>, FramesError> {
    let Some(pairs) = pickle.dictionary() else {
        let problem = wrong("the pickle holds no dictionary");
        return Err(FramesError::malformed(records.path(), problem));
    };
    let mut entries = Vec::new();
    // Batches have five keys; the names of more are of no use.
    for pair in pairs.chunks_exact(2).take(32) {
        if let Value::Text(key) = pair[0] {
            let bytes = records.read(u64::from(key.start), key.len.min(64) as usize)?;
            entries.push((bytes.into_iter().map(char::from).collect(), pair[1]));
        }
    }
    Ok(entries)
}

fn find(entries: &[(String, Value)], name: &str) -> Option<Value> {
    entries.iter().find(|(key, _)| key == name).map(|(_, value)| *value)
}

/// First byte and number of the rows.
fn samples(pickle: &Pickle, entries: &[(String, Value)]) -> Result<(u64, usize), Problem> {
    let names = || entries.iter().map(|(key, _)| key.as_str()).collect::<Vec<_>>().join(", ");
    let Some(data) = find(entries, "data") else {
        let what = if find(entries, "label_names").or(find(entries, "fine_label_names")).is_some() {
            "these are the names of the classes, not a batch of images".to_owned()
        } else {
            format!("no key `data` among [{}]", names())
        };
        return Err(wrong(what));
    };
    let Some(array) = pickle.array(data) else {
        return Err(wrong("`data` is no NumPy array of bytes"));
    };
    match *array.shape.as_slice() {
        [rows, columns] if columns == SAMPLES as i64 => {
            Ok((u64::from(array.data.start), rows as usize))
        }
        _ => Err(wrong(format!("`data` has the shape {:?}, not n x {SAMPLES}", array.shape))),
    }
}

fn labels(pickle: &Pickle, entries: &[(String, Value)], rows: usize) -> Result<Vec<u8>, Problem> {
    let found = LABELS.iter().find_map(|(key, classes)| Some((key, classes, find(entries, key)?)));
    let Some((key, &classes, value)) = found else {
        return Err(wrong("neither `labels` nor `fine_labels` is in it"));
    };
    let Some(list) = pickle.list(value) else {
        return Err(wrong(format!("`{key}` is no list")));
    };
    if list.len() != rows {
        return Err(wrong(format!("{} `{key}` beside {rows} images", list.len())));
    }
    let label = |(index, value): (usize, &Value)| match *value {
        Value::Int(label) if (0..i64::from(classes)).contains(&label) => Ok(label as u8),
        Value::Int(label) => {
            let what = format!("label {label} is outside 0..{}", classes - 1);
            Err(Problem { at: format!("image {index}"), ..wrong(what) })
        }
        _ => {
            let what = format!("an element of `{key}` is no whole number");
            Err(Problem { at: format!("image {index}"), ..wrong(what) })
        }
    };
    list.iter().enumerate().map(label).collect()
}

impl Part for Batch {
    fn len(&self) -> usize {
        self.labels.len()
    }

    fn sources(&self) -> usize {
        groups(self.labels.len(), self.group)
    }

    fn read(&self, index: usize) -> Result<Entry, FramesError> {
        let planes = self.records.read(self.start + (index * SAMPLES) as u64, SAMPLES)?;
        Ok(Entry {
            raw: Raw {
                width: SIDE,
                height: SIDE,
                channels: 3,
                pixels: Pixels::U8(interleave(&planes, 3)),
            },
            label: Some(i64::from(self.labels[index])),
            source: grouped(index, self.group),
            name: format!("{}#{index}", self.records.path().display()),
            time_ns: None,
        })
    }
}
