//! One program at a time talks to a board, or goes on with a file: a lock on a file that is named
//! for the port, or lies beside the other.
//!
//! The lock goes with the open file, so a program that died holds none. The file stays.

use std::ffi::OsString;
use std::fs::{File, OpenOptions, TryLockError, canonicalize};
use std::io;
use std::path::{Path, PathBuf};

use crate::error::Error;

/// Held while a port is open, or a file gone on with.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Lock {
    /// For a file that one program at a time goes on with, such as the table of a fleet: the lock
    /// lies beside it, where every program finds it, and links to one file have one lock.
    ///
    /// # Errors
    /// [`Error::Locked`] as for a port, [`Error::Open`].
    pub fn of_file(file: &Path) -> Result<Lock, Error> {
        let place = place(file).map_err(|error| Error::Open {
            reason: error.to_string(),
            advice: "is its folder there?",
        })?;
        let mut name = OsString::from(".");
        name.push(place.file_name().unwrap_or_default());
        name.push(".lock");
        Lock::at(&place.with_file_name(name), "may you write in its folder?")
    }

    /// # Errors
    /// [`Error::Locked`] when another program, or another part of this one, has the port.
    pub fn take(folder: &Path, port: &str) -> Result<Lock, Error> {
        let advice = "delete the file if it is somebody else's, or set TMPDIR";
        Lock::at(&path(folder, port), advice)
    }

    fn at(path: &Path, advice: &'static str) -> Result<Lock, Error> {
        let open = |error: io::Error| Error::Open {
            reason: format!("no lock file {}: {error}", path.display()),
            advice,
        };
        let file = open_or_create(path).map_err(open)?;
        match file.try_lock() {
            Ok(()) => Ok(Lock { _file: file }),
            Err(TryLockError::WouldBlock) => Err(Error::Locked),
            Err(TryLockError::Error(error)) => Err(open(error)),
        }
    }
}

/// Where a file really is, or will be.
///
/// # Errors
/// Its folder is not there.
fn place(file: &Path) -> io::Result<PathBuf> {
    let parent = file.parent().filter(|parent| !parent.as_os_str().is_empty());
    canonicalize(file).or_else(|_| {
        let folder = canonicalize(parent.unwrap_or(Path::new(".")))?;
        Ok(folder.join(file.file_name().unwrap_or_default()))
    })
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
        std::fs::write(&table, "").expect("writes");
        let held = Lock::of_file(&table).expect("free");
        assert!(folder.path().join(".net.fleet.json.lock").exists());
        let mut same = vec![folder.path().join(".").join("net.fleet.json")];
        #[cfg(unix)]
        {
            same.push(folder.path().join("link.json"));
            std::os::unix::fs::symlink(&table, &same[1]).expect("links");
        }
        for same in &same {
            assert!(matches!(Lock::of_file(same), Err(Error::Locked)), "{}", same.display());
        }
        assert!(Lock::of_file(&folder.path().join("b.json")).is_ok());
        drop(held);
        assert!(same.iter().all(|same| Lock::of_file(same).is_ok()));
        let absent = folder.path().join("absent");
        assert!(matches!(Lock::take(&absent, "x"), Err(Error::Open { .. })));
    }
}
