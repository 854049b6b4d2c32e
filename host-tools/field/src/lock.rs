//! One program at a time talks to a board: a lock on a file that is named for its port.
//!
//! The lock goes with the open file, so a program that died holds none. The file stays.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use crate::error::Error;

/// Held while a port is open.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Lock {
    /// # Errors
    /// [`Error::Locked`] when another program, or another part of this one, has the port.
    pub fn take(folder: &Path, port: &str) -> Result<Lock, Error> {
        let path = path(folder, port);
        let open = |error: io::Error| Error::Open {
            reason: format!("no lock file {}: {error}", path.display()),
            advice: "delete the file if it is somebody else's, or set TMPDIR",
        };
        let file = open_or_create(&path).map_err(open)?;
        match file.try_lock() {
            Ok(()) => Ok(Lock { _file: file }),
            Err(TryLockError::WouldBlock) => Err(Error::Locked),
            Err(TryLockError::Error(error)) => Err(open(error)),
        }
    }
}

/// Another user's file may be read, not written, in a folder for everybody.
fn open_or_create(path: &Path) -> io::Result<File> {
    match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            OpenOptions::new().read(true).append(true).create(true).open(path)
        }
        opened => opened,
    }
}

fn path(folder: &Path, port: &str) -> PathBuf {
    let name: String =
        port.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    folder.join(format!("gradgate-{name}.lock"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_has_one_holder_at_a_time() {
        let folder = tempfile::tempdir().expect("a folder");
        let first = Lock::take(folder.path(), "/dev/ttyS0").expect("free");
        assert!(matches!(Lock::take(folder.path(), "/dev/ttyS0"), Err(Error::Locked)));
        assert!(Lock::take(folder.path(), "/dev/ttyS1").is_ok());
        drop(first);
        assert!(Lock::take(folder.path(), "/dev/ttyS0").is_ok());
        let absent = folder.path().join("absent");
        assert!(matches!(Lock::take(&absent, "x"), Err(Error::Open { .. })));
    }
}
