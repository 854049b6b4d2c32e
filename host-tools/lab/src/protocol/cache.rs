//! Finished work of earlier runs, in files named by the digest of all that decides it, so that a
//! killed run goes on where it was and two protocols share what they have in common.

use std::path::{Path, PathBuf};

use gradgate_bundle::digest::sha256;
use gradgate_detect::features::write_atomic;
use gradgate_detect::{DetectError, FeatureSet};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::attack::file::AttackFile;
use crate::error::LabError;
use crate::hex::hex;

/// Part of every key: another version may compute otherwise.
const VERSION: &str = concat!("gradgate ", env!("CARGO_PKG_VERSION"), " protocol 1");

/// A folder of finished work.
#[derive(Clone, Debug)]
pub struct Cache {
    folder: PathBuf,
}

impl Cache {
    /// Opens or makes the folder.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn open(folder: &Path) -> Result<Cache, LabError> {
        std::fs::create_dir_all(folder).map_err(|error| LabError::unwritable(folder, &error))?;
        Ok(Cache { folder: folder.to_owned() })
    }

    /// The place of something that `facts` decide.
    pub fn path(&self, kind: &str, facts: &[&str]) -> PathBuf {
        let mut bytes = Vec::from(VERSION);
        for fact in [kind].iter().chain(facts) {
            bytes.extend((fact.len() as u64).to_le_bytes());
            bytes.extend(fact.as_bytes());
        }
        self.folder.join(format!("{kind}-{}", &hex(&sha256(&bytes))[..32]))
    }

    /// Features, from an earlier run or computed now. A file that cannot be read is made again.
    ///
    /// # Errors
    /// What `compute` says; a file that cannot be written.
    pub fn features(
        &self,
        facts: &[&str],
        compute: impl FnOnce() -> Result<FeatureSet, LabError>,
    ) -> Result<FeatureSet, LabError> {
        let path = self.path("features", facts);
        if let Ok(found) = FeatureSet::read(&path) {
            return Ok(found);
        }
        let set = compute()?;
        let file = set.to_bytes().map_err(|error| LabError::Data(error.to_string()))?;
        write(&path, &file)?;
        Ok(set)
    }

    /// The place of attacked frames, and what an earlier run finished there.
    pub fn attacked(&self, facts: &[&str]) -> (PathBuf, Option<AttackFile>) {
        let path = self.path("attacked", facts);
        let found = path.exists().then(|| AttackFile::read(&path).ok()).flatten();
        (path, found)
    }

    /// Any small value, from an earlier run or computed now.
    ///
    /// # Errors
    /// What `compute` says; a file that cannot be written.
    pub fn value<T: Serialize + DeserializeOwned>(
        &self,
        kind: &str,
        facts: &[&str],
        compute: impl FnOnce() -> Result<T, LabError>,
    ) -> Result<T, LabError> {
        let path = self.path(kind, facts);
        let found = std::fs::read(&path).ok().and_then(|b| serde_json::from_slice(&b).ok());
        if let Some(found) = found {
            return Ok(found);
        }
        let value = compute()?;
        let text = serde_json::to_vec(&value).map_err(|e| LabError::File(e.to_string()))?;
        write(&path, &text)?;
        Ok(value)
    }
}

/// Writes a file whole or not at all.
///
/// # Errors
/// When it cannot be written, as on a full disk.
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), LabError> {
    write_atomic(path, bytes).map_err(|error| match error {
        DetectError::Io { source, .. } => LabError::unwritable(path, &source),
        other => LabError::File(other.to_string()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_computed_once_and_facts_tell_them_apart() {
        let folder = tempfile::tempdir().expect("a folder");
        let cache = Cache::open(&folder.path().join("a/b")).expect("opens");
        let mut count = 0;
        let mut ask = |facts: &[&str]| {
            let made = cache.value("scores", facts, || {
                count += 1;
                Ok(vec![0.1_f64, f64::MAX])
            });
            assert_eq!(made.expect("a value"), [0.1, f64::MAX]);
        };
        ask(&["ab", "c"]);
        ask(&["ab", "c"]);
        ask(&["a", "bc"]);
        assert_eq!(count, 2);
        std::fs::write(cache.path("scores", &["ab", "c"]), b"[0.").expect("writes");
        let again = cache.value("scores", &["ab", "c"], || Ok(vec![7.0]));
        assert_eq!(again.expect("made again"), [7.0]);
    }

    #[test]
    fn what_fails_leaves_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let cache = Cache::open(folder.path()).expect("opens");
        let failed = cache.value::<u8>("scores", &[], || Err(LabError::Stopped));
        assert!(failed.is_err());
        assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 0);
    }
}
