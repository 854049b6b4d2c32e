//! `cargo xtask size`: what the board image takes, read from the ELF file itself, and its ceiling.

use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::qemu;

/// Largest image beside its bundle, in bytes: code, constants, vector table, and the values that
/// variables start with. The board's image has no bundle inside, so all of it counts, what talks to
/// the emulator's host included.
pub const FLASH_MAX: u64 = 64 * 1024;

/// Sizes in bytes, summed as the `size` program sums them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sizes {
    /// Code and constants, in flash.
    pub text: u64,
    /// Initialised variables, in flash and RAM.
    pub data: u64,
    /// Zeroed variables, in RAM.
    pub bss: u64,
}

/// The subcommand.
pub fn run(args: &[String]) -> Result<bool> {
    if let Some(arg) = args.first() {
        bail!("size takes no argument, not '{arg}'");
    }
    let image = qemu::build()?;
    let sizes = read(&image)?;
    print!("{}", table(qemu::PACKAGE, sizes));
    match excess(sizes) {
        None => Ok(true),
        Some(excess) => {
            println!("FAILED: {excess}");
            Ok(false)
        }
    }
}

/// What is wrong with an image's size.
pub fn excess(sizes: Sizes) -> Option<String> {
    let flash = sizes.text + sizes.data;
    (flash > FLASH_MAX).then(|| format!("{flash} bytes in flash, {FLASH_MAX} at most"))
}

/// Two lines: headings, then one image.
pub fn table(image: &str, sizes: Sizes) -> String {
    let Sizes { text, data, bss } = sizes;
    format!(
        "{:>10} {:>10} {:>10}  image\n{text:>10} {data:>10} {bss:>10}  {image}\n",
        "text", "data", "bss"
    )
}

/// Sizes of an image.
pub fn read(image: &Path) -> Result<Sizes> {
    let bytes = std::fs::read(image).with_context(|| format!("{}", image.display()))?;
    sum_sections(&bytes).with_context(|| format!("{}: not a 32-bit ELF file", image.display()))
}

/// Adds up the allocated sections of a 32-bit little-endian ELF file.
pub fn sum_sections(elf: &[u8]) -> Option<Sizes> {
    const WRITE: u64 = 1;
    const ALLOC: u64 = 2;
    const NO_BITS: u64 = 8;
    let mut sizes = Sizes::default();
    for at in section_headers(elf)? {
        let number = |at, length| number(elf, at, length);
        let (kind, flags, size) = (number(at + 4, 4)?, number(at + 8, 4)?, number(at + 20, 4)?);
        match (flags & ALLOC != 0, kind == NO_BITS, flags & WRITE != 0) {
            (false, _, _) => {}
            (true, true, _) => sizes.bss += size,
            (true, false, true) => sizes.data += size,
            (true, false, false) => sizes.text += size,
        }
    }
    Some(sizes)
}

/// Offsets of the section headers of a 32-bit little-endian ELF file.
pub fn section_headers(elf: &[u8]) -> Option<Vec<usize>> {
    if elf.get(..6)? != [0x7f, b'E', b'L', b'F', 1, 1] {
        return None;
    }
    let table = usize::try_from(number(elf, 0x20, 4)?).ok()?;
    let entry = usize::try_from(number(elf, 0x2e, 2)?).ok()?;
    let count = usize::try_from(number(elf, 0x30, 2)?).ok()?;
    (0..count).map(|index| table.checked_add(index.checked_mul(entry)?)).collect()
}

/// A little-endian number of `length` bytes at `at`.
pub fn number(bytes: &[u8], at: usize, length: usize) -> Option<u64> {
    let bytes = bytes.get(at..at.checked_add(length)?)?;
    Some(bytes.iter().rev().fold(0u64, |sum, byte| sum << 8 | u64::from(*byte)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn elf(sections: &[(u32, u32, u32)]) -> Vec<u8> {
        let mut bytes = vec![0; 0x34];
        bytes[..6].copy_from_slice(&[0x7f, b'E', b'L', b'F', 1, 1]);
        bytes[0x20] = 0x34;
        bytes[0x2e] = 40;
        bytes[0x30] = sections.len() as u8;
        for (kind, flags, size) in sections {
            let mut entry = [0; 40];
            entry[4..8].copy_from_slice(&kind.to_le_bytes());
            entry[8..12].copy_from_slice(&flags.to_le_bytes());
            entry[20..24].copy_from_slice(&size.to_le_bytes());
            bytes.extend(entry);
        }
        bytes
    }

    #[test]
    fn sections_are_summed_by_where_they_live() {
        let file = elf(&[(1, 6, 100), (1, 2, 20), (1, 3, 7), (8, 3, 4096), (1, 0, 9999)]);
        assert_eq!(sum_sections(&file), Some(Sizes { text: 120, data: 7, bss: 4096 }));
    }

    #[test]
    fn what_lies_in_flash_has_a_ceiling() {
        let full = Sizes { text: FLASH_MAX - 7, data: 7, bss: 1 << 30 };
        assert_eq!(excess(full), None);
        let more = Sizes { data: 8, ..full };
        assert_eq!(excess(more).as_deref(), Some("65537 bytes in flash, 65536 at most"));
    }

    #[test]
    fn a_cut_file_is_refused() {
        let file = elf(&[(1, 6, 100)]);
        for length in 0..file.len() {
            // Bytes past the fields that are read may be cut without harm.
            if length < 0x34 + 24 {
                assert_eq!(sum_sections(&file[..length]), None, "{length}");
            }
        }
    }
}
