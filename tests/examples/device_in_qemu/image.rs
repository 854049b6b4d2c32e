//! Addresses in the board's image, by the names of its symbols.

use std::fs;
use std::path::Path;

/// The names of an ELF file of 32 bits, with their addresses.
pub struct Symbols(Vec<(String, u32)>);

impl Symbols {
    /// Reads an image.
    pub fn read(image: &Path) -> Self {
        let elf = fs::read(image).unwrap_or_else(|error| panic!("{}: {error}", image.display()));
        Self(symbols(&elf).expect("an ELF file of 32 bits"))
    }

    /// The addresses of symbols whose names hold all these parts.
    pub fn find(&self, parts: &[&str]) -> Vec<u32> {
        let fits = |name: &str| parts.iter().all(|part| name.contains(part));
        self.0.iter().filter(|(name, _)| fits(name)).map(|(_, address)| *address).collect()
    }

    /// The only such address.
    pub fn only(&self, parts: &[&str]) -> u32 {
        match self.find(parts)[..] {
            [address] => address,
            ref others => panic!("{} symbols have {parts:?}", others.len()),
        }
    }
}

fn word(bytes: &[u8], at: usize) -> Option<usize> {
    let bytes = bytes.get(at..)?.first_chunk::<4>()?;
    Some(u32::from_le_bytes(*bytes) as usize)
}

fn half(bytes: &[u8], at: usize) -> Option<usize> {
    Some(usize::from(u16::from_le_bytes(*bytes.get(at..)?.first_chunk::<2>()?)))
}

fn symbols(elf: &[u8]) -> Option<Vec<(String, u32)>> {
    const SYMBOLS: usize = 2;
    let (table, entry, count) = (word(elf, 0x20)?, half(elf, 0x2e)?, half(elf, 0x30)?);
    let section = |index: usize| {
        let at = table + index * entry;
        let (kind, offset, size) = (word(elf, at + 4)?, word(elf, at + 16)?, word(elf, at + 20)?);
        Some((kind, at, elf.get(offset..offset.checked_add(size)?).unwrap_or_default()))
    };
    let mut found = Vec::new();
    for index in 0..count {
        let (kind, at, content) = section(index)?;
        if kind != SYMBOLS {
            continue;
        }
        let (_, _, names) = section(word(elf, at + 24)?)?;
        for symbol in content.chunks_exact(16) {
            let name = names.get(word(symbol, 0)?..)?.split(|byte| *byte == 0).next()?;
            found.push((String::from_utf8_lossy(name).into_owned(), word(symbol, 4)? as u32));
        }
    }
    (!found.is_empty()).then_some(found)
}
