//! One program at a time talks to a board: a lock on a file that is named for its port.
//!
//! The lock goes with the open file, so a program that died holds none. The file stays.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use gradgate_bundle::digest::sha256;

use crate::device::hex;
use crate::error::Error;

/// Held while a port is open.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Lock {
    /// For a file that one program at a time goes on with, such as the table of a fleet; `folder`
    /// is that of the locks.
    ///
    /// # Errors
    /// [`Error::Locked`] as for a port, [`Error::Open`].
    pub fn of_file(folder: &Path, file: &Path) -> Result<Lock, Error> {
        let parent = file.parent().filter(|parent| !parent.as_os_str().is_empty());
        let whole = std::fs::canonicalize(parent.unwrap_or(Path::new("."))).map_err(|error| {
            Error::Open { reason: error.to_string(), advice: "is its folder there?" }
        })?;
        let name = file.file_name().unwrap_or_default();
        let digest = sha256(whole.join(name).as_os_str().as_encoded_bytes());
        let short: String = name.to_string_lossy().chars().take(40).collect();
        Lock::take(folder, &format!("{short}-{}", hex(&digest[..8])))
    }

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
        let table = folder.path().join("net.fleet.json");
        let held = Lock::of_file(folder.path(), &table).expect("free");
        let twice = folder.path().join(".").join("net.fleet.json");
        assert!(matches!(Lock::of_file(folder.path(), &twice), Err(Error::Locked)));
        assert!(Lock::of_file(folder.path(), &folder.path().join("b.json")).is_ok());
        drop(held);
        assert!(Lock::of_file(folder.path(), &twice).is_ok());
        let absent = folder.path().join("absent");
        assert!(matches!(Lock::take(&absent, "x"), Err(Error::Open { .. })));
    }
}
