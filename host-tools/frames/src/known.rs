//! Well-known sets of images: where they are published, how long their files are, what digests
//! they have, and whether a folder holds them.
//!
//! Nothing here opens a connection. The digests were stated by others and are not our own: each
//! file names by whom.

mod table;

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use md5::Md5;
use sha2::{Digest as _, Sha256};

use crate::error::{FramesError, Problem};

pub use table::SETS;

/// A published set of images.
#[derive(Clone, Copy, Debug)]
pub struct KnownSet {
    /// What it is called here, and the name of its folder.
    pub name: &'static str,
    /// What it holds.
    pub about: &'static str,
    /// The page that describes it.
    pub page: &'static str,
    /// What is said about its use.
    pub licence: &'static str,
    /// Its files.
    pub files: &'static [KnownFile],
    /// What to give as FRAMES, from its folder.
    pub frames: &'static [&'static str],
}

/// A published file.
#[derive(Clone, Copy, Debug)]
pub struct KnownFile {
    /// Its name.
    pub name: &'static str,
    /// Where it is published, the official place first.
    pub addresses: &'static [&'static str],
    /// Its length, where that is known.
    pub bytes: Option<u64>,
    /// Its digest, where one is known.
    pub digest: Option<Digest>,
    /// Who states the digest.
    pub stated_by: &'static str,
    /// Paths that are there once it is unpacked, with their lengths where they are known; none
    /// when it is read as it is.
    pub unpacked: &'static [(&'static str, Option<u64>)],
}

/// A digest in lower-case hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Digest {
    /// Finds damage, not intent.
    Md5(&'static str),
    /// Finds both.
    Sha256(&'static str),
}

/// What a folder has of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// Nothing.
    Absent,
    /// The beginning, of so many bytes, of a download.
    Part(u64),
    /// A file of another length.
    OtherLength(u64),
    /// The file, of the right length.
    There,
    /// What it unpacks to; the file itself may be gone.
    Unpacked,
}

impl KnownSet {
    /// The set of this name.
    pub fn named(name: &str) -> Option<&'static KnownSet> {
        SETS.iter().find(|set| set.name == name)
    }

    /// The length of all files, where that is known.
    pub fn bytes(&self) -> Option<u64> {
        self.files.iter().map(|file| file.bytes).sum()
    }
}

impl KnownFile {
    /// The name that the file has until it is whole.
    pub fn part_name(&self) -> String {
        format!("{}.part", self.name)
    }

    /// What a folder has of it, by names and lengths alone.
    pub fn presence(&self, folder: &Path) -> Presence {
        let length = |name: &str| std::fs::metadata(folder.join(name)).ok();
        let fits = |&(path, bytes): &(&str, Option<u64>)| {
            length(path).is_some_and(|found| bytes.is_none_or(|bytes| bytes == found.len()))
        };
        if !self.unpacked.is_empty() && self.unpacked.iter().all(fits) {
            return Presence::Unpacked;
        }
        match (length(self.name), length(&self.part_name())) {
            (Some(found), _) if self.bytes.is_none_or(|bytes| bytes == found.len()) => {
                Presence::There
            }
            (Some(found), _) => Presence::OtherLength(found.len()),
            (None, Some(part)) => Presence::Part(part.len()),
            (None, None) => Presence::Absent,
        }
    }

    /// Compares length and digest of a file on disk; `read` is told of bytes that were read.
    ///
    /// # Errors
    /// When the file cannot be read or differs.
    pub fn check(&self, path: &Path, mut read: impl FnMut(u64)) -> Result<(), FramesError> {
        let remedy = "it is truncated, damaged or another version: remove it and fetch it again";
        let wrong = |what: String| FramesError::malformed(path, Problem::new("", what, remedy));
        let refused = |error| FramesError::io(path, "cannot read", error);
        let mut file = File::open(path).map_err(refused)?;
        let found = file.metadata().map_err(refused)?.len();
        if let Some(expected) = self.bytes.filter(|&bytes| bytes != found) {
            return Err(wrong(format!("{found} bytes instead of {expected}")));
        }
        let Some(digest) = self.digest else { return Ok(()) };
        let (mut md5, mut sha256) = (Md5::new(), Sha256::new());
        let mut buffer = vec![0; 1 << 18];
        loop {
            let count = file.read(&mut buffer).map_err(refused)?;
            let bytes = &buffer[..count];
            match digest {
                _ if count == 0 => break,
                Digest::Md5(_) => md5.update(bytes),
                Digest::Sha256(_) => sha256.update(bytes),
            }
            read(count as u64);
        }
        let (expected, found) = match digest {
            Digest::Md5(expected) => (expected, hex(&md5.finalize())),
            Digest::Sha256(expected) => (expected, hex(&sha256.finalize())),
        };
        if found != expected {
            return Err(wrong(format!("its digest is {found} instead of {expected}")));
        }
        Ok(())
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Digest::Md5(digits) => write!(f, "MD5 {digits}"),
            Digest::Sha256(digits) => write!(f, "SHA-256 {digits}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Digests of "abc": RFC 1321, appendix A.5, and FIPS 180-2, appendix B.1.
    const ABC: [Digest; 2] = [
        Digest::Md5("900150983cd24fb0d6963f7d28e17f72"),
        Digest::Sha256("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
    ];

    fn file(digest: Option<Digest>) -> KnownFile {
        KnownFile {
            name: "a.bin",
            addresses: &[],
            bytes: Some(3),
            digest,
            stated_by: "",
            unpacked: &[("x/a", Some(2)), ("x/b", None)],
        }
    }

    #[test]
    fn lengths_and_digests_are_compared() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.bin");
        for known in [file(Some(ABC[0])), file(Some(ABC[1])), file(None)] {
            std::fs::write(&path, "abc").unwrap();
            let mut seen = 0;
            known.check(&path, |count| seen += count).unwrap();
            assert_eq!(seen, if known.digest.is_some() { 3 } else { 0 });
            std::fs::write(&path, "abcd").unwrap();
            let error = known.check(&path, |_| ()).unwrap_err().to_string();
            assert!(error.contains("a.bin: 4 bytes instead of 3"), "{error}");
            std::fs::write(&path, "abd").unwrap();
            assert_eq!(known.check(&path, |_| ()).is_err(), known.digest.is_some());
        }
        assert!(file(None).check(&folder.path().join("b"), |_| ()).is_err());
    }

    #[test]
    fn presence_by_names_and_lengths() {
        let folder = tempfile::tempdir().unwrap();
        let known = file(None);
        let steps: [(&str, &str, Presence); 7] = [
            ("other", "", Presence::Absent),
            ("a.bin.part", "ab", Presence::Part(2)),
            ("a.bin", "ab", Presence::OtherLength(2)),
            ("a.bin", "abc", Presence::There),
            ("x/a", "abc", Presence::There),
            ("x/b", "", Presence::There),
            ("x/a", "ab", Presence::Unpacked),
        ];
        std::fs::create_dir(folder.path().join("x")).unwrap();
        for (name, content, expected) in steps {
            std::fs::write(folder.path().join(name), content).unwrap();
            assert_eq!(known.presence(folder.path()), expected, "{name}");
        }
    }

    #[test]
    fn the_table_is_well_formed() {
        for (at, set) in SETS.iter().enumerate() {
            assert!(SETS[..at].iter().all(|other| other.name != set.name), "{}", set.name);
            assert!(!set.files.is_empty() && !set.frames.is_empty(), "{}", set.name);
            for file in set.files {
                let name = format!("{} {}", set.name, file.name);
                let (digits, count) = match file.digest {
                    Some(Digest::Md5(digits)) => (digits, 32),
                    Some(Digest::Sha256(digits)) => (digits, 64),
                    None => continue,
                };
                assert_eq!(digits.len(), count, "{name}");
                assert!(digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')), "{name}");
                assert!(!file.stated_by.is_empty(), "{name}");
                for address in file.addresses {
                    let path = address.split('?').next().unwrap_or_default();
                    assert!(address.starts_with("http") && path.ends_with(file.name), "{name}");
                }
            }
        }
    }
}
