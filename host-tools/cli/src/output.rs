//! Standard output that may be a closed pipe, and numbers for people.

use std::io::Write;

use anyhow::{Context, Result};

/// Prints text that ends with a line break.
pub fn print(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .context("cannot write to standard output")
}

/// Bytes with binary units beside the exact number.
pub fn bytes(count: u64) -> String {
    let kib = count as f64 / 1024.0;
    match count {
        0..1024 => format!("{count} B"),
        1024..0x10_0000 => format!("{kib:.1} KiB ({count} B)"),
        0x10_0000..0x4000_0000 => format!("{:.2} MiB ({count} B)", kib / 1024.0),
        _ => format!("{:.2} GiB ({count} B)", kib / f64::from(0x10_0000)),
    }
}

/// A count in millions where it is large.
pub fn count(count: u64) -> String {
    if count < 100_000 { count.to_string() } else { format!("{:.2} M", count as f64 / 1e6) }
}

/// Hexadecimal digits of a digest.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Control characters of names from files made visible, so that they cannot drive a terminal.
pub fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// As [`plain`] for text of several lines.
pub fn plain_lines(text: &str) -> String {
    let lines: Vec<String> = text.lines().map(plain).collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_for_people() {
        let cases = [
            (bytes(5), "5 B"),
            (bytes(2048), "2.0 KiB (2048 B)"),
            (bytes(3 << 20), "3.00 MiB (3145728 B)"),
            (bytes(4 << 30), "4.00 GiB (4294967296 B)"),
            (count(99), "99"),
            (count(40_810_000), "40.81 M"),
            (hex(&[0, 255]), "00ff"),
            (plain("a\u{1b}[2Jb"), "a\u{fffd}[2Jb"),
        ];
        for (text, expected) in cases {
            assert_eq!(text, expected);
        }
    }
}
