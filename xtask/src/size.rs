//! `cargo xtask size`: what the board image takes, read from the ELF file itself.

use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::qemu;

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
    Ok(true)
}

/// Two lines: headings, then one image.
pub fn table(image: &str, sizes: Sizes) -> String {
    let Sizes { text, data, bss } = sizes;
    format!(
        "{:>10} {:>10} {:>10}  image\n{text:>10} {data:>10} {bss:>10}  {image}\n",
        "text", "data", "bss"
    )
}

fn read(image: &Path) -> Result<Sizes> {
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
