//! Text for the host, by semihosting, without `core::fmt`: its code and tables would take as much
//! flash as the kernels of the convolutions.

use semihosting::io::{self, Write};

/// A piece of a line.
#[derive(Clone, Copy)]
pub enum Piece<'a> {
    /// As it is.
    Text(&'a str),
    /// In decimal.
    Number(u32),
    /// The bits, in eight hexadecimal digits.
    Bits(f32),
}

/// Prints the pieces, a space between any two, and ends the line. A host that takes no output
/// finds no expected line.
pub fn line(pieces: &[Piece<'_>]) {
    let Ok(mut output) = io::stdout() else { return };
    for (index, piece) in pieces.iter().enumerate() {
        if index > 0 {
            let _ = output.write_all(b" ");
        }
        let _ = match *piece {
            Piece::Text(text) => output.write_all(text.as_bytes()),
            Piece::Number(number) => digits(&mut output, number, 10, 1),
            Piece::Bits(value) => digits(&mut output, value.to_bits(), 16, 8),
        };
    }
    let _ = output.write_all(b"\n");
}

/// Prints a number with at least `width` digits, 10 at most.
fn digits(output: &mut impl Write, number: u32, base: u32, width: usize) -> io::Result<()> {
    let mut text = [b'0'; 10];
    let (mut rest, mut used) = (number, 0);
    for place in text.iter_mut().rev() {
        if rest == 0 && used >= width {
            break;
        }
        let digit = (rest % base) as u8;
        *place = if digit < 10 { b'0' + digit } else { b'a' + digit - 10 };
        rest /= base;
        used += 1;
    }
    output.write_all(text.get(text.len() - used..).unwrap_or(&text))
}
