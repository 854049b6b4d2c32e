//! Random access to the bytes of a file, or of what was unpacked from it.

use std::fs::File;
use std::path::{Path, PathBuf};

use crate::error::{FramesError, Problem};

/// Bytes that can be read at any place from any thread.
pub(crate) struct Records {
    path: PathBuf,
    bytes: Bytes,
    len: u64,
}

enum Bytes {
    File(File),
    Memory(Vec<u8>),
}

impl Records {
    /// The bytes of a file, read when asked for.
    pub fn open(path: &Path) -> Result<Self, FramesError> {
        let open = || {
            let file = File::open(path)?;
            let len = file.metadata()?.len();
            Ok((file, len))
        };
        let (file, len) = open().map_err(|e| FramesError::io(path, "cannot open", e))?;
        Ok(Records { path: path.to_owned(), bytes: Bytes::File(file), len })
    }

    /// Bytes that were unpacked from a file.
    pub fn unpacked(path: &Path, bytes: Vec<u8>) -> Self {
        let len = bytes.len() as u64;
        Records { path: path.to_owned(), bytes: Bytes::Memory(bytes), len }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Length in bytes when it was opened.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Reads `count` bytes from byte `start` on.
    pub fn read(&self, start: u64, count: usize) -> Result<Vec<u8>, FramesError> {
        let end = start.checked_add(count as u64).filter(|&end| end <= self.len);
        if end.is_none() {
            let problem = Problem::truncated(self.len as usize, "a record");
            return Err(FramesError::malformed(&self.path, problem));
        }
        match &self.bytes {
            Bytes::Memory(bytes) => {
                let start = start as usize;
                Ok(bytes[start..start + count].to_vec())
            }
            Bytes::File(file) => {
                let mut buffer = vec![0; count];
                read_exact_at(file, &self.path, &mut buffer, start)
                    .map_err(|e| FramesError::io(&self.path, "cannot read", e))?;
                Ok(buffer)
            }
        }
    }
}

#[cfg(unix)]
fn read_exact_at(file: &File, _: &Path, buffer: &mut [u8], at: u64) -> std::io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, buffer, at)
}

/// Elsewhere a shared file has one position, so every read opens its own.
#[cfg(not(unix))]
fn read_exact_at(_: &File, path: &Path, buffer: &mut [u8], at: u64) -> std::io::Result<()> {
    use std::io::{Read, Seek, SeekFrom};
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(at))?;
    file.read_exact(buffer)
}
