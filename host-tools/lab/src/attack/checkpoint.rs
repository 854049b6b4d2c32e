//! What a run has done so far, in a file that grows by one record an image, so that a killed run
//! goes on where it was.
//!
//! Layout: a magic word, the length and bytes of the run's description, then records of one
//! length: the outcome, its pixels, a check sum. A record that was cut short by the end of the
//! process is dropped; a file of another run is refused.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use crate::error::LabError;

use super::subject::{Outcome, Status};

const MAGIC: &[u8; 8] = b"ggattck1";
/// Bytes of a record beside the pixels.
const FIXED: usize = 6 * 8 + 2 * 4 + 1 + 8;

/// The file beside the output.
#[derive(Debug)]
pub struct Checkpoint {
    path: PathBuf,
    file: File,
}

/// The checkpoint's place for an output.
pub fn path_of(output: &Path) -> PathBuf {
    let mut name = output.as_os_str().to_owned();
    name.push(".checkpoint");
    PathBuf::from(name)
}

impl Checkpoint {
    /// Begins a file for a run that `description` tells apart from all others.
    ///
    /// # Errors
    /// When it exists or cannot be written; then nothing of it is left.
    pub fn create(path: &Path, description: &str) -> Result<Self, LabError> {
        let unwritable = |error: io::Error| LabError::unwritable(path, &error);
        let mut file =
            OpenOptions::new().write(true).create_new(true).open(path).map_err(unwritable)?;
        let whole = file.write_all(&header(description)).and_then(|()| file.sync_all());
        whole.map_err(|error| {
            // The first error is the one to report.
            let _ = std::fs::remove_file(path);
            unwritable(error)
        })?;
        Ok(Self { path: path.to_owned(), file })
    }

    /// Opens the file of a run that was killed, with its outcomes of `samples` pixels each.
    ///
    /// # Errors
    /// When it cannot be read, or belongs to another run.
    pub fn resume(
        path: &Path,
        description: &str,
        samples: usize,
    ) -> Result<(Self, Vec<Outcome>), LabError> {
        let mut bytes = Vec::new();
        let mut attempt = || {
            let mut file = OpenOptions::new().read(true).write(true).open(path)?;
            file.read_to_end(&mut bytes)?;
            Ok(file)
        };
        let mut file = attempt().map_err(|error| cannot("read", path, &error))?;
        let header = header(description);
        if bytes.len() < header.len() && header.starts_with(&bytes) {
            // The run ended before its first line was whole.
            drop(file);
            std::fs::remove_file(path).map_err(|error| cannot("remove", path, &error))?;
            return Ok((Self::create(path, description)?, Vec::new()));
        }
        let Some(records) = bytes.strip_prefix(&header[..]) else {
            return Err(LabError::Options(format!(
                "{} was left by a run with another model, other frames or other options: repeat \
                 those, or delete it and run without --resume",
                path.display()
            )));
        };
        let length = FIXED + samples * 4;
        let whole: Vec<Outcome> = records.chunks_exact(length).map_while(read_record).collect();
        let end = (header.len() + whole.len() * length) as u64;
        let mut cut = || {
            file.set_len(end)?;
            file.seek(SeekFrom::Start(end))
        };
        cut().map_err(|error| LabError::unwritable(path, &error))?;
        Ok((Self { path: path.to_owned(), file }, whole))
    }

    /// Adds an outcome.
    ///
    /// # Errors
    /// When it cannot be written, as on a full disk.
    pub fn add(&mut self, outcome: &Outcome) -> Result<(), LabError> {
        let record = record(outcome);
        self.file.write_all(&record).map_err(|error| LabError::unwritable(&self.path, &error))
    }

    /// Removes the file: the run is complete.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub fn remove(self) -> Result<(), LabError> {
        drop(self.file);
        std::fs::remove_file(&self.path).map_err(|error| cannot("remove", &self.path, &error))
    }
}

fn cannot(what: &str, path: &Path, error: &io::Error) -> LabError {
    LabError::File(format!("cannot {what} {}: {error}", path.display()))
}

fn header(description: &str) -> Vec<u8> {
    let length = (description.len() as u64).to_le_bytes();
    [&MAGIC[..], &length, description.as_bytes()].concat()
}

/// An optional class as a number.
fn code(class: Option<usize>) -> u64 {
    class.map_or(u64::MAX, |class| class as u64)
}

fn record(outcome: &Outcome) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(FIXED + outcome.pixels.len() * 4);
    let whole = [
        outcome.index as u64,
        outcome.source as u64,
        code(outcome.label),
        outcome.predicted_before as u64,
        outcome.predicted_after as u64,
        code(outcome.target),
    ];
    whole.iter().for_each(|number| bytes.extend(number.to_le_bytes()));
    bytes.extend(outcome.l_inf.to_le_bytes());
    bytes.extend(outcome.l2.to_le_bytes());
    bytes.push(outcome.status.code());
    outcome.pixels.iter().for_each(|pixel| bytes.extend(pixel.to_le_bytes()));
    let sum = check_sum(&bytes);
    bytes.extend(sum.to_le_bytes());
    bytes
}

/// `None` for a record that is damaged.
fn read_record(bytes: &[u8]) -> Option<Outcome> {
    let (bytes, sum) = bytes.split_last_chunk::<8>()?;
    if check_sum(bytes) != u64::from_le_bytes(*sum) {
        return None;
    }
    let (whole, bytes) = bytes.split_at_checked(48)?;
    let number = |at: usize| whole.as_chunks::<8>().0.get(at).map(|&b| u64::from_le_bytes(b));
    let size = |at: usize| number(at).and_then(|number| usize::try_from(number).ok());
    let class = |at: usize| size(at).filter(|&class| class as u64 != u64::MAX);
    let (floats, bytes) = bytes.split_at_checked(8)?;
    let (&status, pixels) = bytes.split_first()?;
    let floats: Vec<f32> = floats.as_chunks().0.iter().map(|&b| f32::from_le_bytes(b)).collect();
    Some(Outcome {
        index: size(0)?,
        source: number(1)? as i64,
        label: class(2),
        predicted_before: size(3)?,
        predicted_after: size(4)?,
        target: class(5),
        l_inf: floats[0],
        l2: floats[1],
        status: *Status::ALL.get(usize::from(status))?,
        pixels: pixels.as_chunks().0.iter().map(|&b| f32::from_le_bytes(b)).collect(),
    })
}

/// FNV-1a: against torn writes, not against people.
fn check_sum(bytes: &[u8]) -> u64 {
    let fold = |sum: u64, &byte: &u8| (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, fold)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(index: usize) -> Outcome {
        Outcome {
            index,
            source: -3,
            label: (index > 0).then_some(2),
            status: Status::Failed,
            predicted_before: 5,
            predicted_after: 6,
            target: Some(0),
            l_inf: 0.5,
            l2: 1.5,
            pixels: vec![0.25, 1.0],
        }
    }

    #[test]
    fn a_torn_record_is_dropped_and_the_rest_goes_on() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = path_of(&folder.path().join("a.safetensors"));
        let mut checkpoint = Checkpoint::create(&path, "run 1").expect("creates");
        for index in [4, 0, 9] {
            checkpoint.add(&outcome(index)).expect("adds");
        }
        drop(checkpoint);
        let bytes = std::fs::read(&path).expect("reads");
        for (cut, left) in [(0, 3), (1, 2), (FIXED + 8, 2), (FIXED + 9, 1)] {
            std::fs::write(&path, &bytes[..bytes.len() - cut]).expect("writes");
            let (mut checkpoint, seen) = Checkpoint::resume(&path, "run 1", 2).expect("resumes");
            assert_eq!(seen, [4, 0, 9].map(outcome)[..left], "{cut} bytes cut");
            checkpoint.add(&outcome(7)).expect("adds");
            drop(checkpoint);
            let (checkpoint, seen) = Checkpoint::resume(&path, "run 1", 2).expect("resumes");
            assert_eq!((seen.len(), seen[left].index), (left + 1, 7));
            drop(checkpoint);
        }
        let mut damaged = bytes.clone();
        let last = damaged.len() - 20;
        damaged[last] ^= 1;
        std::fs::write(&path, damaged).expect("writes");
        let (checkpoint, seen) = Checkpoint::resume(&path, "run 1", 2).expect("resumes");
        assert_eq!(seen.len(), 2);
        checkpoint.remove().expect("removes");
        assert!(!path.exists());
    }

    #[test]
    fn a_head_that_was_cut_short_is_begun_anew() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("c");
        let whole = header("run 1");
        for length in [0, 3, whole.len() - 1, whole.len()] {
            std::fs::write(&path, &whole[..length]).expect("writes");
            let (mut checkpoint, seen) = Checkpoint::resume(&path, "run 1", 2).expect("resumes");
            assert!(seen.is_empty());
            checkpoint.add(&outcome(1)).expect("adds");
            let (_, seen) = Checkpoint::resume(&path, "run 1", 2).expect("resumes");
            assert_eq!(seen, [outcome(1)], "{length}");
        }
    }

    #[test]
    fn another_run_and_an_existing_file_are_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("c");
        drop(Checkpoint::create(&path, "run 1").expect("creates"));
        assert!(Checkpoint::create(&path, "run 1").is_err());
        let error = Checkpoint::resume(&path, "run 2", 2).expect_err("another run").to_string();
        assert!(error.contains("other options"), "{error}");
    }
}
