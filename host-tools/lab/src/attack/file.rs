//! The file of attacked images: safetensors that every reader of frames takes.
//!
//! `images` (u8 when rounded, else f32 in 0..1), `source`, `labels` (when all images have one)
//! are what `gradgate features` reads; beside them stand, one number an image, `index` (in the set
//! that was attacked), `status` (codes of [`Status`]), `predicted_before`, `predicted_after`,
//! `target` (-1 without one), `l_inf`, `l2`. The one entry of the metadata, `attack`, is JSON.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};

use crate::error::LabError;

use super::subject::{Outcome, Status};

/// Name of the metadata's entry.
const ENTRY: &str = "attack";

/// Names and values that say how the images came to be.
pub type Facts = BTreeMap<String, String>;

/// Attacked images of one run.
#[derive(Clone, Debug, PartialEq)]
pub struct AttackFile {
    /// How they came to be.
    pub facts: Facts,
    /// Channels, rows, columns.
    pub shape: [usize; 3],
    /// Whether pixels are whole numbers of 255ths.
    pub bytes: bool,
    /// The images.
    pub outcomes: Vec<Outcome>,
}

impl AttackFile {
    /// The file's bytes; equal runs give equal bytes.
    ///
    /// # Errors
    /// When there are no images.
    pub fn to_bytes(&self) -> Result<Vec<u8>, LabError> {
        let n = self.outcomes.len();
        if n == 0 {
            return Err(LabError::Data("no image is left to be written".to_owned()));
        }
        let mut tensors: Vec<(&str, Dtype, Vec<usize>, Vec<u8>)> = Vec::new();
        let mut integers = |name, value: &dyn Fn(&Outcome) -> i64| {
            let bytes = self.outcomes.iter().flat_map(|one| value(one).to_le_bytes()).collect();
            tensors.push((name, Dtype::I64, vec![n], bytes));
        };
        integers("index", &|one| one.index as i64);
        integers("source", &|one| one.source);
        integers("predicted_before", &|one| one.predicted_before as i64);
        integers("predicted_after", &|one| one.predicted_after as i64);
        integers("target", &|one| one.target.map_or(-1, |target| target as i64));
        if self.outcomes.iter().all(|one| one.label.is_some()) {
            integers("labels", &|one| one.label.map_or(-1, |label| label as i64));
        }
        let floats = |value: &dyn Fn(&Outcome) -> f32| -> Vec<u8> {
            self.outcomes.iter().flat_map(|one| value(one).to_le_bytes()).collect()
        };
        tensors.push(("l_inf", Dtype::F32, vec![n], floats(&|one| one.l_inf)));
        tensors.push(("l2", Dtype::F32, vec![n], floats(&|one| one.l2)));
        let codes = self.outcomes.iter().map(|one| one.status.code()).collect();
        tensors.push(("status", Dtype::U8, vec![n], codes));
        let [channels, rows, columns] = self.shape;
        let (dtype, pixels) = self.pixels();
        tensors.push(("images", dtype, vec![n, channels, rows, columns], pixels));
        serialize(&tensors, &self.facts)
    }

    fn pixels(&self) -> (Dtype, Vec<u8>) {
        let pixels = self.outcomes.iter().flat_map(|one| &one.pixels);
        if self.bytes {
            return (Dtype::U8, pixels.map(|x| (x * 255.0 + 0.5) as u8).collect());
        }
        (Dtype::F32, pixels.flat_map(|x| x.to_le_bytes()).collect())
    }

    /// Reads such a file.
    ///
    /// # Errors
    /// When it cannot be read or is none.
    pub fn read(path: &Path) -> Result<Self, LabError> {
        let wrong =
            |what: &dyn std::fmt::Display| LabError::Data(format!("{}: {what}", path.display()));
        let bytes = std::fs::read(path).map_err(|error| wrong(&error))?;
        Self::from_bytes(&bytes).map_err(|error| wrong(&error))
    }

    /// As [`AttackFile::read`], from memory.
    ///
    /// # Errors
    /// When the bytes are no such file.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, LabError> {
        let file = SafeTensors::deserialize(bytes).map_err(|error| no_file(&error.to_string()))?;
        let facts = facts(bytes)?;
        let images = file.tensor("images").map_err(|_| no_file("it has no `images`"))?;
        let &[n, channels, rows, columns] = images.shape() else {
            return Err(no_file("`images` is not n x channels x rows x columns"));
        };
        let whole = images.dtype() == Dtype::U8;
        let pixels: Vec<f32> = match images.dtype() {
            Dtype::U8 => images.data().iter().map(|&byte| f32::from(byte) / 255.0).collect(),
            Dtype::F32 => floats(images.data()),
            _ => return Err(no_file("`images` is neither U8 nor F32")),
        };
        let integers = |name: &str| column(&file, name, Dtype::I64, n).map(longs);
        let reals = |name: &str| column(&file, name, Dtype::F32, n).map(floats);
        let (index, source) = (integers("index")?, integers("source")?);
        let (before, after) = (integers("predicted_before")?, integers("predicted_after")?);
        let (target, l_inf, l2) = (integers("target")?, reals("l_inf")?, reals("l2")?);
        let labels = if file.tensor("labels").is_ok() { integers("labels")? } else { vec![-1; n] };
        let status = column(&file, "status", Dtype::U8, n)?;
        let size = channels * rows * columns;
        let number = |value: i64, name: &str| {
            usize::try_from(value).map_err(|_| no_file(&format!("`{name}` holds {value}")))
        };
        let outcome = |at: usize| {
            Ok(Outcome {
                index: number(index[at], "index")?,
                source: source[at],
                label: usize::try_from(labels[at]).ok(),
                status: *Status::ALL
                    .get(usize::from(status[at]))
                    .ok_or_else(|| no_file(&format!("`status` holds {}", status[at])))?,
                predicted_before: number(before[at], "predicted_before")?,
                predicted_after: number(after[at], "predicted_after")?,
                target: usize::try_from(target[at]).ok(),
                l_inf: l_inf[at],
                l2: l2[at],
                pixels: pixels[at * size..][..size].to_vec(),
            })
        };
        let outcomes = (0..n).map(outcome).collect::<Result<_, LabError>>()?;
        Ok(Self { facts, shape: [channels, rows, columns], bytes: whole, outcomes })
    }
}

fn serialize(
    tensors: &[(&str, Dtype, Vec<usize>, Vec<u8>)],
    facts: &Facts,
) -> Result<Vec<u8>, LabError> {
    let views = tensors.iter().map(|(name, dtype, shape, bytes)| {
        Ok((*name, TensorView::new(*dtype, shape.clone(), bytes)?))
    });
    let text = serde_json::to_string(facts).map_err(|error| no_file(&error.to_string()))?;
    // One entry: the order of several would change from run to run.
    let metadata = HashMap::from([(ENTRY.to_owned(), text)]);
    let views = views.collect::<Result<Vec<_>, safetensors::SafeTensorError>>();
    views
        .and_then(|views| safetensors::serialize(views, Some(metadata)))
        .map_err(|error| LabError::Data(format!("the images cannot be written: {error}")))
}

fn facts(bytes: &[u8]) -> Result<Facts, LabError> {
    let (_, header) =
        SafeTensors::read_metadata(bytes).map_err(|error| no_file(&error.to_string()))?;
    let text = header.metadata().as_ref().and_then(|entries| entries.get(ENTRY));
    let text = text.ok_or_else(|| no_file("its metadata has no entry `attack`"))?;
    serde_json::from_str(text).map_err(|error| no_file(&error.to_string()))
}

fn column<'b>(
    file: &SafeTensors<'b>,
    name: &str,
    dtype: Dtype,
    n: usize,
) -> Result<&'b [u8], LabError> {
    let tensor = file.tensor(name).map_err(|_| no_file(&format!("it has no `{name}`")))?;
    if tensor.dtype() != dtype || tensor.shape() != [n] {
        return Err(no_file(&format!("`{name}` is not one {dtype:?} an image")));
    }
    Ok(tensor.data())
}

fn longs(bytes: &[u8]) -> Vec<i64> {
    bytes.as_chunks().0.iter().map(|&bytes| i64::from_le_bytes(bytes)).collect()
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect()
}

fn no_file(why: &str) -> LabError {
    LabError::Data(format!("no file of attacked images: {why}; `gradgate attack` makes one"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example(bytes: bool) -> AttackFile {
        let outcome = |index: usize, status| Outcome {
            index,
            source: 7 - index as i64,
            label: Some(index),
            status,
            predicted_before: 1,
            predicted_after: 2,
            target: (index == 1).then_some(4),
            l_inf: 0.25,
            l2: 0.5,
            pixels: vec![0.0, 1.0, 0.2, 128.0 / 255.0],
        };
        AttackFile {
            facts: Facts::from([("eps".to_owned(), "0.1".to_owned())]),
            shape: [1, 2, 2],
            bytes,
            outcomes: vec![outcome(0, Status::Success), outcome(1, Status::CleanWrong)],
        }
    }

    #[test]
    fn files_come_back_and_are_repeatable() {
        for bytes in [true, false] {
            let file = example(bytes);
            let written = file.to_bytes().expect("writes");
            assert_eq!(AttackFile::from_bytes(&written).expect("reads"), file);
            assert_eq!(file.to_bytes().expect("writes"), written);
        }
    }

    #[test]
    fn other_bytes_are_refused() {
        let written = example(true).to_bytes().expect("writes");
        let mut renamed = written.clone();
        let at = written.windows(5).position(|word| word == b"l_inf").expect("a name");
        renamed[at] = b'X';
        for (bytes, says) in [
            (&b"nonsense"[..], "no file of attacked"),
            (&renamed, "no `l_inf`"),
            (&written[..200], ""),
        ] {
            let error = AttackFile::from_bytes(bytes).expect_err(says).to_string();
            assert!(error.contains(says), "{error}");
        }
        assert!(AttackFile { outcomes: vec![], ..example(true) }.to_bytes().is_err());
    }
}
