//! The door for bytes: the model file, and external data that must lie in the model's own folder.

use std::collections::BTreeMap;
use std::fs::{self, File, Metadata};
use std::io::Read;
use std::path::{Component, Path, PathBuf};

use sha2::{Digest, Sha256};

use super::error::ImportError;
use super::limits::Limits;
use crate::proto::{ModelProto, TensorProto, data_location};

/// Reads a regular file of at most `limit` bytes.
pub(super) fn read_model(path: &Path, limit: u64) -> Result<Vec<u8>, ImportError> {
    let name = path.display().to_string();
    let refuse = |reason: String| ImportError::File { file: name.clone(), reason };
    let metadata = fs::metadata(path).map_err(|e| refuse(format!("cannot be opened: {e}")))?;
    if !metadata.is_file() {
        return Err(refuse("is not a regular file".into()));
    }
    let file = File::open(path).map_err(|e| refuse(format!("cannot be opened: {e}")))?;
    read_bounded(file, limit, &name)
}

fn read_bounded(file: File, limit: u64, name: &str) -> Result<Vec<u8>, ImportError> {
    let mut bytes = Vec::new();
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes).map_err(|e| ImportError::File {
        file: name.to_owned(),
        reason: format!("cannot be read: {e}"),
    })?;
    if bytes.len() as u64 > limit {
        let (what, found) = (format!("size in bytes of file `{name}`"), bytes.len() as u64);
        return Err(ImportError::Limit { what, found, limit });
    }
    Ok(bytes)
}

/// The external data files of a model, each read whole.
#[derive(Default)]
pub(super) struct External {
    files: BTreeMap<String, Vec<u8>>,
}

impl External {
    /// Reads every file that an initializer refers to.
    pub fn read(
        model: &ModelProto,
        folder: Option<&Path>,
        limits: &Limits,
    ) -> Result<Self, ImportError> {
        let mut external = Self::default();
        let mut left = limits.external_bytes;
        for tensor in model.graph.iter().flat_map(|graph| &graph.initializer) {
            if tensor.data_location != data_location::EXTERNAL {
                continue;
            }
            let location = entry(tensor, "location").unwrap_or_default();
            if external.files.contains_key(location) {
                continue;
            }
            let refuse = |reason: &str| ImportError::File {
                file: location.to_owned(),
                reason: format!("external data of tensor `{}` {reason}", tensor.name),
            };
            let folder = folder.ok_or_else(|| {
                refuse("cannot be found without the model's folder; import the model by its path")
            })?;
            let file = open_inside(folder, location).map_err(|reason| refuse(&reason))?;
            let bytes = read_bounded(file, left, location)?;
            left -= bytes.len() as u64;
            external.files.insert(location.to_owned(), bytes);
        }
        Ok(external)
    }

    /// The bytes of one external tensor; `expected` is what its type and shape ask for.
    pub fn slice(&self, tensor: &TensorProto, expected: usize) -> Result<&[u8], String> {
        let location = entry(tensor, "location").ok_or("has no external location")?;
        let bytes = self.files.get(location).ok_or("may not use external data here")?;
        let number = |key: &str| match entry(tensor, key) {
            None => Ok(None),
            Some(text) => match text.parse::<usize>() {
                Ok(value) => Ok(Some(value)),
                Err(_) => Err(format!("external {key} `{text}` is no byte count")),
            },
        };
        let offset = number("offset")?.unwrap_or(0);
        let length = number("length")?.unwrap_or(expected);
        if length != expected {
            return Err(format!(
                "external length is {length} bytes, its shape asks for {expected}"
            ));
        }
        let end = offset.checked_add(length).filter(|&end| end <= bytes.len());
        let end = end.ok_or_else(|| {
            let have = bytes.len();
            format!("bytes {offset} + {length} lie outside `{location}` of {have} bytes")
        })?;
        Ok(&bytes[offset..end])
    }

    /// Bytes of all files.
    pub fn bytes(&self) -> usize {
        self.files.values().map(Vec::len).sum()
    }

    /// SHA-256 over the model's bytes, then, per external file in order of its name: the name's
    /// length and the file's length (u64, little-endian), name, contents.
    pub fn digest(&self, model: &[u8]) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update(model);
        for (name, bytes) in &self.files {
            hash.update((name.len() as u64).to_le_bytes());
            hash.update((bytes.len() as u64).to_le_bytes());
            hash.update(name.as_bytes());
            hash.update(bytes);
        }
        hash.finalize().into()
    }
}

fn entry<'a>(tensor: &'a TensorProto, key: &str) -> Option<&'a str> {
    tensor.external_data.iter().find(|e| e.key == key).map(|e| e.value.as_str())
}

/// Opens `location` when it is a regular file inside `folder` with no link on the way.
fn open_inside(folder: &Path, location: &str) -> Result<File, String> {
    let path = checked_path(folder, location)?;
    let before = fs::symlink_metadata(&path).map_err(|e| format!("cannot be opened: {e}"))?;
    check_file(&before)?;
    open_checked(&path, &before)
}

/// Opens the file that these metadata were read of, and no other.
fn open_checked(path: &Path, before: &Metadata) -> Result<File, String> {
    let file = File::open(path).map_err(|e| format!("cannot be opened: {e}"))?;
    let opened = file.metadata().map_err(|e| format!("cannot be opened: {e}"))?;
    check_file(&opened)?;
    if !same_file(before, &opened) {
        return Err("was replaced while it was being opened".into());
    }
    Ok(file)
}

/// Joins folder and location; only plain names that are no symbolic links.
fn checked_path(folder: &Path, location: &str) -> Result<PathBuf, String> {
    if location.is_empty() || location.contains(['\\', '\0']) {
        return Err("has no usable location".into());
    }
    // `Path::components` drops `.` and doubled separators; such spellings are refused instead, so
    // that one file has one name.
    let mut path = folder.to_path_buf();
    for part in location.split('/') {
        let plain = matches!(
            Path::new(part).components().collect::<Vec<_>>().as_slice(),
            [Component::Normal(name)] if *name == part
        );
        if !plain {
            return Err("must lie in the model's own folder: no absolute path, no `..`".into());
        }
        path.push(part);
        let metadata = fs::symlink_metadata(&path).map_err(|e| format!("cannot be opened: {e}"))?;
        if metadata.is_symlink() {
            return Err("must not be reached through a symbolic link; copy the file".into());
        }
    }
    Ok(path)
}

fn check_file(metadata: &Metadata) -> Result<(), String> {
    if !metadata.is_file() {
        return Err("is not a regular file".into());
    }
    #[cfg(unix)]
    if std::os::unix::fs::MetadataExt::nlink(metadata) > 1 {
        return Err("must not have other hard links; copy the file".into());
    }
    Ok(())
}

#[cfg(unix)]
fn same_file(a: &Metadata, b: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    (a.dev(), a.ino()) == (b.dev(), b.ino())
}

#[cfg(not(unix))]
fn same_file(a: &Metadata, b: &Metadata) -> bool {
    a.len() == b.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::StringStringEntryProto;

    fn tensor(entries: &[(&str, &str)]) -> TensorProto {
        let external_data = entries
            .iter()
            .map(|(k, v)| StringStringEntryProto { key: (*k).into(), value: (*v).into() })
            .collect();
        TensorProto { external_data, data_location: data_location::EXTERNAL, ..Default::default() }
    }

    #[test]
    fn external_ranges_are_checked_without_overflow() {
        let files = [("w".to_owned(), vec![7_u8; 16])].into();
        let external = External { files };
        let max = usize::MAX.to_string();
        for (entries, expected, ok) in [
            (vec![("location", "w")], 16, true),
            (vec![("location", "w"), ("offset", "8")], 8, true),
            (vec![("location", "w"), ("offset", "8"), ("length", "8")], 8, true),
            (vec![("location", "w"), ("offset", "9")], 8, false),
            (vec![("location", "w"), ("offset", &max)], 8, false),
            (vec![("location", "w"), ("length", "4")], 8, false),
            (vec![("location", "w"), ("offset", "-1")], 8, false),
            (vec![("location", "v")], 8, false),
            (vec![], 8, false),
        ] {
            assert_eq!(external.slice(&tensor(&entries), expected).is_ok(), ok, "{entries:?}");
        }
    }

    #[test]
    fn locations_outside_the_folder_are_refused() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
        assert!(checked_path(folder, "src/lib.rs").is_ok());
        for location in [
            "",
            "/etc/passwd",
            "../Cargo.toml",
            "src/../../x",
            "./Cargo.toml",
            "src//lib.rs",
            "a\\b",
            "src/",
            "absent.bin",
        ] {
            assert!(checked_path(folder, location).is_err(), "{location}");
        }
    }

    #[test]
    fn a_file_replaced_after_its_check_is_refused() {
        let folder = std::env::temp_dir().join(format!("gradgate-replaced-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder");
        let (weights, other) = (folder.join("weights"), folder.join("other"));
        fs::write(&weights, [7; 16]).expect("a file");
        fs::write(&other, [9; 32]).expect("a file");
        let checked = fs::symlink_metadata(&weights).expect("metadata");
        let same = open_checked(&weights, &checked);
        fs::rename(&other, &weights).expect("replaced");
        let replaced = open_checked(&weights, &checked);
        fs::remove_dir_all(&folder).expect("removed");
        assert!(same.is_ok());
        assert!(replaced.is_err_and(|reason| reason.contains("was replaced")));
    }
}
