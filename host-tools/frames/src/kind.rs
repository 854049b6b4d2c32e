//! What kind of frames a file holds, by its content.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use crate::cifar;
use crate::error::FramesError;
use crate::idx;
use crate::options::RecordLayout;
use crate::recording::{MCAP_MAGIC, SQLITE_MAGIC};

/// A kind of file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Picture(PictureKind),
    Cifar(RecordLayout),
    Idx { gzipped: bool },
    Safetensors,
    Pickle,
    Mat,
    Mcap,
    Db3,
}

/// A kind of picture file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PictureKind {
    Png,
    Jpeg,
    Pnm,
}

/// Bytes from the start of a file that are enough to recognise it.
const HEAD: usize = 64;

/// The kind of picture that begins like this.
pub(crate) fn picture_kind(head: &[u8]) -> Option<PictureKind> {
    match head {
        [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => Some(PictureKind::Png),
        [0xff, 0xd8, 0xff, ..] => Some(PictureKind::Jpeg),
        [b'P', b'1'..=b'6', b' ' | b'\t' | b'\r' | b'\n' | b'#', ..] => Some(PictureKind::Pnm),
        _ => None,
    }
}

/// Whether the name promises a picture of a kind that is read.
pub(crate) fn named_as_picture(path: &Path) -> bool {
    const NAMES: [&str; 8] = ["png", "jpg", "jpeg", "jpe", "ppm", "pgm", "pbm", "pnm"];
    has_extension(path, &NAMES)
}

fn has_extension(path: &Path, names: &[&str]) -> bool {
    let extension = path.extension().and_then(|e| e.to_str()).unwrap_or_default();
    names.iter().any(|name| extension.eq_ignore_ascii_case(name))
}

/// The first bytes and the length of a file.
pub(crate) fn head(path: &Path) -> Result<(Vec<u8>, u64), FramesError> {
    let read = || {
        let file = File::open(path)?;
        let len = file.metadata()?.len();
        let mut head = Vec::new();
        file.take(HEAD as u64).read_to_end(&mut head)?;
        Ok((head, len))
    };
    read().map_err(|error| FramesError::io(path, "cannot read", error))
}

/// Recognises a file.
pub(crate) fn recognise(path: &Path, records: RecordLayout) -> Result<Kind, FramesError> {
    let (head, len) = head(path)?;
    // A record may begin with any bytes, so the name that CIFAR's files have goes first.
    let named_records = has_extension(path, &["bin"]);
    if (named_records || records != RecordLayout::Auto)
        && let Some(layout) = cifar::layout(path, len, records)?
    {
        return Ok(Kind::Cifar(layout));
    }
    if let Some(kind) = picture_kind(&head) {
        return Ok(Kind::Picture(kind));
    }
    match head.as_slice() {
        [0x1f, 0x8b, ..] => return Ok(Kind::Idx { gzipped: true }),
        [0, 0, 8, 1..=4, ..] if idx::fits(&head, len) => return Ok(Kind::Idx { gzipped: false }),
        [_, _, _, _, _, _, _, _, b'{', ..] => return Ok(Kind::Safetensors),
        [0x80, 2..=5, ..] => return Ok(Kind::Pickle),
        _ if head.starts_with(b"MATLAB ") => return Ok(Kind::Mat),
        _ if head.starts_with(MCAP_MAGIC) => return Ok(Kind::Mcap),
        _ if head.starts_with(SQLITE_MAGIC) => return Ok(Kind::Db3),
        _ => {}
    }
    if let Some(layout) = cifar::layout(path, len, records)? {
        return Ok(Kind::Cifar(layout));
    }
    let hint = unrecognised(path, &head, len);
    Err(FramesError::Unrecognised { path: path.to_owned(), hint })
}

fn unrecognised(path: &Path, head: &[u8], len: u64) -> String {
    let of_records =
        |size: u64| format!("{} records of {size} bytes and {} more", len / size, len % size);
    match head {
        [] => "the file is empty".to_owned(),
        [0, 0, 8, 1..=4, ..] => {
            format!("it begins like an idx file, but its {len} bytes are not what its header says")
        }
        _ if head.starts_with(b"#ROSBAG") => {
            "a bag of ROS 1; make it MCAP with `rosbags-convert --src FILE --dst BAG`".to_owned()
        }
        _ if head.starts_with(b"\x89MCAP") => {
            "MCAP of another version than 0, or cut off in its first 8 bytes".to_owned()
        }
        [0x28, 0xb5, 0x2f, 0xfd, ..] => {
            "it is packed with zstd: unpack it with `zstd -d`".to_owned()
        }
        [b'P', b'7', b'\n', ..] => "PAM is not read; save it as PPM or PNG".to_owned(),
        [b'G', b'I', b'F', b'8', ..] | [b'B', b'M', ..] | [b'R', b'I', b'F', b'F', ..] => {
            "save it as PNG or PPM".to_owned()
        }
        _ if has_extension(path, &["bin"]) => format!(
            "{len} bytes are {} (CIFAR-10), or {} (CIFAR-100); is it truncated?",
            of_records(3073),
            of_records(3074)
        ),
        _ => {
            let bytes: Vec<String> = head.iter().take(8).map(|b| format!("{b:02x}")).collect();
            format!("it begins with the bytes {}", bytes.join(" "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_by_their_first_bytes() {
        let cases: [(&[u8], Option<PictureKind>); 8] = [
            (b"\x89PNG\r\n\x1a\n....", Some(PictureKind::Png)),
            (b"\x89PNG", None),
            (b"\xff\xd8\xff\xe0", Some(PictureKind::Jpeg)),
            (b"P6\n1 1", Some(PictureKind::Pnm)),
            (b"P5#c", Some(PictureKind::Pnm)),
            (b"P7\n", None),
            (b"PK\x03\x04", None),
            (b"", None),
        ];
        for (head, kind) in cases {
            assert_eq!(picture_kind(head), kind, "{head:?}");
        }
    }
}
