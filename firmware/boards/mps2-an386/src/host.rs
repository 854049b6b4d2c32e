//! The host's side of the emulated board: arguments and files through semihosting.
//!
//! Only this module knows semihosting; on a real board a slot in flash and a camera take its place.

use core::ffi::CStr;

use semihosting::experimental::env;
use semihosting::fs::File;
use semihosting::io::Read;

/// Length of the whole command line, in bytes.
const COMMAND_LINE_BYTES: usize = 1024;
/// Length of one path with its closing NUL, in bytes.
const PATH_BYTES: usize = 512;

/// A host path that semihosting can open.
pub struct Path {
    bytes: [u8; PATH_BYTES],
}

/// Why the host gave nothing usable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostError {
    /// The command line is longer than the board's buffer, or not UTF-8.
    CommandLine,
    /// Not `BUNDLE [FRAME]`.
    Usage,
    /// Longer than the board's path buffer, or with a NUL inside.
    Path,
    /// The host could not open or read the file.
    Read,
    /// The file is larger than the buffer meant for it.
    TooLarge,
}

impl HostError {
    /// For a line of output.
    pub fn name(self) -> &'static str {
        match self {
            HostError::CommandLine => "the command line is too long or not UTF-8",
            HostError::Usage => "not BUNDLE [FRAME]",
            HostError::Path => "a path is too long",
            HostError::Read => "the host cannot read a file",
            HostError::TooLarge => "a file is too large",
        }
    }
}

impl Path {
    fn new(text: &str) -> Result<Self, HostError> {
        let mut bytes = [0; PATH_BYTES];
        let room = bytes.get_mut(..text.len()).ok_or(HostError::Path)?;
        room.copy_from_slice(text.as_bytes());
        // The last byte must stay NUL, and no other may be one before the end of the text.
        if bytes[PATH_BYTES - 1] != 0 || text.contains('\0') {
            return Err(HostError::Path);
        }
        Ok(Self { bytes })
    }

    fn as_c_str(&self) -> Result<&CStr, HostError> {
        CStr::from_bytes_until_nul(&self.bytes).map_err(|_| HostError::Path)
    }
}

/// The bundle's path and the frame's, if one is given.
pub fn arguments() -> Result<(Path, Option<Path>), HostError> {
    let args = env::args::<COMMAND_LINE_BYTES>().map_err(|_| HostError::CommandLine)?;
    let mut paths = (&args).skip(1);
    let mut next = || match paths.next() {
        Some(Ok(text)) => Path::new(text).map(Some),
        Some(Err(_)) => Err(HostError::CommandLine),
        None => Ok(None),
    };
    let bundle = next()?.ok_or(HostError::Usage)?;
    let frame = next()?;
    match next()? {
        None => Ok((bundle, frame)),
        Some(_) => Err(HostError::Usage),
    }
}

/// Reads a whole file into the front of `buffer`.
pub fn read<'a>(path: &Path, buffer: &'a mut [u8]) -> Result<&'a [u8], HostError> {
    let mut file = File::open(path.as_c_str()?).map_err(|_| HostError::Read)?;
    let length = file.metadata().map_err(|_| HostError::Read)?.len();
    let length = usize::try_from(length).map_err(|_| HostError::TooLarge)?;
    let room = buffer.get_mut(..length).ok_or(HostError::TooLarge)?;
    file.read_exact(room).map_err(|_| HostError::Read)?;
    Ok(room)
}
