//! Reading whole files with bounds, and writing them whole or not at all.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use gradgate_bundle::align::AlignedBytes;
use gradgate_bundle::manifest::MAGIC;

use crate::interrupt;

/// Text files (policies, labels, class names, keys) are no longer than this.
const TEXT_BYTES: u64 = 16 << 20;
/// A day of lines about frames at 30 a second.
const LINES_BYTES: u64 = 1 << 30;

/// Replaces a file by new content, or leaves it as it was: a neighbour is written, flushed to the
/// disk, then renamed.
pub fn write_atomic(path: &Path, bytes: &[u8]) -> Result<()> {
    let neighbour = neighbour(path)?;
    let _no_exit_in_between = interrupt::writing();
    let attempt = || {
        let mut file = OpenOptions::new().write(true).create_new(true).open(&neighbour)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        drop(file);
        fs::rename(&neighbour, path)
    };
    attempt().map_err(|error| {
        // The first error is the one to report.
        let _ = fs::remove_file(&neighbour);
        unwritable(path, error)
    })
}

/// As [`write_atomic`] for files that belong together: each is written beside its place before the
/// first one takes it, so that a disk that becomes full leaves all as they were.
#[cfg(feature = "lab")]
pub fn write_together(files: &[(PathBuf, Vec<u8>)]) -> Result<()> {
    let _no_exit_in_between = interrupt::writing();
    let mut beside: Vec<(PathBuf, &Path)> = Vec::new();
    let mut attempt = || {
        for (path, bytes) in files {
            beside.push((neighbour(path)?, path));
            let (place, _) = &beside[beside.len() - 1];
            let write = || {
                let mut file = OpenOptions::new().write(true).create_new(true).open(place)?;
                file.write_all(bytes)?;
                file.sync_all()
            };
            write().map_err(|error| unwritable(path, error))?;
        }
        let rename = |(place, path): &(PathBuf, &Path)| {
            fs::rename(place, path).map_err(|error| unwritable(path, error))
        };
        beside.iter().try_for_each(rename)
    };
    attempt().inspect_err(|_| {
        // The first error is the one to report; what took its place is not there any more.
        beside.iter().for_each(|(place, _)| drop(fs::remove_file(place)));
    })
}

/// As [`write_atomic`] for what is written piece by piece; Ctrl-C leaves nothing behind.
pub fn write_atomic_with<T>(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<Stoppable>) -> Result<T>,
) -> Result<T> {
    let neighbour = neighbour(path)?;
    let guard = interrupt::Loop::enter();
    let attempt = || {
        let file = OpenOptions::new().write(true).create_new(true).open(&neighbour)?;
        let mut out = BufWriter::new(Stoppable(file));
        let written = write(&mut out)?;
        let Stoppable(file) = out.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.sync_all()?;
        drop(file);
        let _no_exit_in_between = interrupt::writing();
        fs::rename(&neighbour, path)?;
        Ok(written)
    };
    let outcome: Result<T> = attempt();
    if outcome.is_err() {
        // The first error is the one to report.
        let _ = fs::remove_file(&neighbour);
    }
    drop(guard);
    if outcome.is_err() {
        interrupt::check()?;
    }
    outcome.map_err(|error| match error.downcast::<io::Error>() {
        Ok(error) => unwritable(path, error),
        Err(error) => error.context(format!("cannot write {}", path.display())),
    })
}

/// A file whose writing ends with an error after Ctrl-C.
pub struct Stoppable(File);

impl Write for Stoppable {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if interrupt::requested() {
            return Err(io::Error::other("interrupted"));
        }
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl Seek for Stoppable {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.0.seek(to)
    }
}

/// Fails early, before a long computation, where [`write_atomic`] would fail at its end.
pub fn check_writable(path: &Path) -> Result<()> {
    if path.is_dir() {
        bail!("cannot write {}: it is a folder; name a file in it", path.display());
    }
    let neighbour = neighbour(path)?;
    let _no_exit_in_between = interrupt::writing();
    let attempt = || {
        OpenOptions::new().write(true).create_new(true).open(&neighbour)?;
        fs::remove_file(&neighbour)
    };
    attempt().map_err(|error| unwritable(path, error))
}

/// Makes a folder; one that holds anything is refused, so that nothing of before is lost or taken
/// for new.
pub fn empty_folder(folder: &Path) -> Result<PathBuf> {
    let name = folder.display();
    fs::create_dir_all(folder).with_context(|| format!("cannot make the folder {name}"))?;
    let mut entries = fs::read_dir(folder).with_context(|| format!("cannot read {name}"))?;
    if entries.next().is_some() {
        bail!("{name} is not empty: name another folder");
    }
    Ok(folder.to_owned())
}

/// Refuses an output that would replace one of the inputs.
pub fn check_apart(output: &Path, inputs: &[&Path]) -> Result<()> {
    let Ok(target) = fs::canonicalize(output) else { return Ok(()) };
    for input in inputs {
        if fs::canonicalize(input).is_ok_and(|input| input == target) {
            let name = output.display();
            bail!("{name} is both input and output: give -o another name");
        }
    }
    Ok(())
}

/// Creates a file that must not exist yet; a secret one is readable by its owner alone.
pub fn create_new(path: &Path, bytes: &[u8], secret: bool) -> Result<()> {
    let _no_exit_in_between = interrupt::writing();
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    restrict(&mut options, secret);
    let mut file = match options.open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            bail!(
                "{} exists already: keys are never overwritten, choose another name",
                path.display()
            )
        }
        Err(error) => return Err(unwritable(path, error)),
    };
    let attempt = file.write_all(bytes).and_then(|()| file.sync_all().or_else(borne));
    attempt.map_err(|error| {
        let _ = fs::remove_file(path);
        unwritable(path, error)
    })?;
    // The file is whole; whoever depends on its name settles it.
    let _ = settle(path);
    Ok(())
}

/// Waits until a file and its name are on the disk, before something is done that cannot be done
/// without it; as far as the system does that at all for what the path is.
pub fn settle(path: &Path) -> Result<()> {
    // Other systems flush only what is open for writing, and folders not at all. A pipe may hold
    // whoever opens it again.
    if cfg!(unix) && path.is_file() {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        for path in [path, folder.unwrap_or(Path::new("."))] {
            let flushed = File::open(path).and_then(|file| file.sync_all()).or_else(borne);
            flushed.map_err(|error| unwritable(path, error))?;
        }
    }
    Ok(())
}

/// Folders over a network, images that are read only and files of the system cannot be flushed,
/// which says nothing against what was read or written there.
fn borne(error: io::Error) -> io::Result<()> {
    use io::ErrorKind as Kind;
    match error.kind() {
        Kind::InvalidInput
        | Kind::Unsupported
        | Kind::PermissionDenied
        | Kind::ReadOnlyFilesystem => Ok(()),
        _ => Err(error),
    }
}

#[cfg(unix)]
fn restrict(options: &mut OpenOptions, secret: bool) {
    use std::os::unix::fs::OpenOptionsExt;
    options.mode(if secret { 0o600 } else { 0o644 });
}

#[cfg(not(unix))]
fn restrict(_: &mut OpenOptions, _: bool) {}

/// A text file that a person may have written.
pub fn read_text(path: &Path) -> Result<String> {
    utf8(path, TEXT_BYTES)
}

/// A text file of many lines that a tool has written.
pub fn read_lines(path: &Path) -> Result<String> {
    utf8(path, LINES_BYTES)
}

fn utf8(path: &Path, limit: u64) -> Result<String> {
    let bytes = read_bounded(path, limit)?;
    String::from_utf8(bytes).map_err(|_| {
        anyhow::anyhow!("{}: not text in UTF-8: is it the right file?", path.display())
    })
}

/// A bundle's bytes, where they can be read in place.
pub fn read_bundle(path: &Path) -> Result<AlignedBytes> {
    Ok(AlignedBytes::from(&read_bounded(path, u64::from(u32::MAX))?[..]))
}

/// Whether a file is a bundle, by its first bytes, or else by its name.
pub fn is_bundle(path: &Path) -> Result<bool> {
    let mut head = Vec::new();
    let file = File::open(path).map_err(|error| unreadable(path, error))?;
    file.take(MAGIC.len() as u64)
        .read_to_end(&mut head)
        .map_err(|error| unreadable(path, error))?;
    let named = path.extension().is_some_and(|extension| extension == "gate");
    Ok(head == MAGIC || named)
}

/// File name without folder and ending, for headers.
pub fn stem(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

fn read_bounded(path: &Path, limit: u64) -> Result<Vec<u8>> {
    let read = || {
        let mut bytes = Vec::new();
        File::open(path)?.take(limit + 1).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes = read().map_err(|error| unreadable(path, error))?;
    if bytes.len() as u64 > limit {
        bail!("{}: longer than {limit} bytes: is it the right file?", path.display());
    }
    Ok(bytes)
}

fn unreadable(path: &Path, error: io::Error) -> anyhow::Error {
    if path.is_dir() {
        let name = path.display();
        return anyhow::anyhow!("{name} is a folder, a file is needed here (arguments swapped?)");
    }
    anyhow::Error::new(error)
        .context(format!("cannot read {} (check name and permissions)", path.display()))
}

fn unwritable(path: &Path, error: io::Error) -> anyhow::Error {
    let advice = gradgate_frames::remedy(&error);
    anyhow::Error::new(error).context(format!("cannot write {} ({advice})", path.display()))
}

/// Where a file or folder is made before it takes its name.
pub fn neighbour(path: &Path) -> Result<PathBuf> {
    let name = path
        .file_name()
        .with_context(|| format!("cannot write {}: it names no file", path.display()))?;
    let mut neighbour = OsString::from(".");
    neighbour.push(name);
    neighbour.push(format!(".{}.partial", std::process::id()));
    Ok(path.with_file_name(neighbour))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_is_replaced_whole_and_nothing_is_left_beside() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.txt");
        for text in ["one", "two"] {
            check_writable(&path).expect("writable");
            write_atomic(&path, text.as_bytes()).expect("writes");
            assert_eq!(read_text(&path).expect("reads"), text);
        }
        assert_eq!(fs::read_dir(folder.path()).expect("lists").count(), 1);
        assert!(create_new(&path, b"x", true).is_err());
        assert_eq!(read_text(&path).expect("reads"), "two");
    }

    #[test]
    fn a_file_is_settled_as_far_as_the_system_does_that() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.key");
        create_new(&path, b"x", true).expect("writes");
        settle(&path).expect("on the disk");
        if cfg!(target_os = "linux") {
            // Files that cannot be flushed: of the system, and no file at all.
            for path in ["/proc/self/status", "/dev/null", "/dev/stdin"] {
                settle(Path::new(path)).expect(path);
            }
        }
        let full = io::Error::from(io::ErrorKind::StorageFull);
        assert!(borne(full).is_err());
    }

    #[test]
    fn refusals_name_the_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let inside = folder.path().join("absent/a.txt");
        for error in [
            write_atomic(&inside, b"").unwrap_err(),
            check_writable(&inside).unwrap_err(),
            check_writable(folder.path()).unwrap_err(),
            read_text(&inside).unwrap_err(),
        ] {
            let text = error.to_string();
            assert!(text.contains(&folder.path().display().to_string()), "{text}");
        }
        let path = folder.path().join("m.onnx");
        fs::write(&path, "x").expect("writes");
        let twice = folder.path().join(".").join("m.onnx");
        assert!(check_apart(&twice, &[&path]).is_err());
        assert!(check_apart(&inside, &[&path]).is_ok());
    }
}
