//! The canonical text of a preprocessing, as bundles and feature files carry it.
//!
//! `range=0,1 order=rgb`, followed by ` mean=R,G,B std=R,G,B` when these are not neutral. Numbers
//! are the shortest decimals that read back as the same `f32`, so equal preprocessings have equal
//! text. Reading takes the keys in any order, each at most once, missing ones neutral, and a single
//! number for all three channels.

use core::fmt;
use core::str::FromStr;

use crate::preprocessing::{Preprocessing, PreprocessingError};

/// Why a text is no preprocessing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParseError {
    /// A part is not one of `range=`, `order=`, `mean=`, `std=`.
    Key,
    /// A key occurs twice.
    Twice,
    /// A list of numbers has the wrong length, or a number is none.
    Number,
    /// The order is neither `rgb` nor `bgr`.
    Order,
    /// The numbers make no sense.
    Value(PreprocessingError),
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ParseError::Key => "expected range=LOW,HIGH order=rgb|bgr mean=R,G,B std=R,G,B",
            ParseError::Twice => "a key is given twice",
            ParseError::Number => {
                "range takes 2 numbers, mean and std take 1 or 3, separated by commas"
            }
            ParseError::Order => "order is rgb or bgr",
            ParseError::Value(error) => return error.fmt(f),
        })
    }
}

impl core::error::Error for ParseError {}

/// `-0` as `0`, so that equal numbers have equal text.
fn plain(v: f32) -> f32 {
    v + 0.0
}

impl fmt::Display for Preprocessing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let order = if self.bgr { "bgr" } else { "rgb" };
        write!(f, "range={},{} order={order}", plain(self.low), plain(self.high))?;
        if self.is_normalising() {
            let [r, g, b] = self.mean.map(plain);
            write!(f, " mean={r},{g},{b}")?;
            let [r, g, b] = self.std;
            write!(f, " std={r},{g},{b}")?;
        }
        Ok(())
    }
}

impl FromStr for Preprocessing {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let mut result = Preprocessing::default();
        let mut seen = [false; 4];
        let [range, order, mean, std] = &mut seen;
        for part in text.split_ascii_whitespace() {
            let (key, value) = part.split_once('=').ok_or(ParseError::Key)?;
            match key {
                "range" => {
                    once(range)?;
                    [result.low, result.high] = numbers(value)?;
                }
                "order" => {
                    once(order)?;
                    result.bgr = match value {
                        "rgb" => false,
                        "bgr" => true,
                        _ => return Err(ParseError::Order),
                    };
                }
                "mean" => {
                    once(mean)?;
                    result.mean = per_channel(value)?;
                }
                "std" => {
                    once(std)?;
                    result.std = per_channel(value)?;
                }
                _ => return Err(ParseError::Key),
            }
        }
        result.check().map_err(ParseError::Value)?;
        Ok(result)
    }
}

fn once(seen: &mut bool) -> Result<(), ParseError> {
    if core::mem::replace(seen, true) { Err(ParseError::Twice) } else { Ok(()) }
}

fn numbers<const N: usize>(text: &str) -> Result<[f32; N], ParseError> {
    let mut values = [0.0; N];
    let mut words = text.split(',');
    for value in &mut values {
        let word = words.next().ok_or(ParseError::Number)?;
        *value = word.parse().map(plain).map_err(|_| ParseError::Number)?;
    }
    if words.next().is_some() { Err(ParseError::Number) } else { Ok(values) }
}

fn per_channel(text: &str) -> Result<[f32; 3], ParseError> {
    if text.contains(',') { numbers(text) } else { numbers(text).map(|[v]| [v; 3]) }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::string::ToString;

    #[test]
    fn canonical_texts() {
        let cases = [
            ("", "range=0,1 order=rgb"),
            ("range=0,1 order=rgb", "range=0,1 order=rgb"),
            ("order=bgr range=-1,1", "range=-1,1 order=bgr"),
            ("range=-0.0,255.0", "range=0,255 order=rgb"),
            ("mean=0.5", "range=0,1 order=rgb mean=0.5,0.5,0.5 std=1,1,1"),
            ("mean=0,0,0 std=1", "range=0,1 order=rgb"),
            (
                " std=0.229,0.224,0.225  mean=0.485,0.456,0.406 ",
                "range=0,1 order=rgb mean=0.485,0.456,0.406 std=0.229,0.224,0.225",
            ),
            ("std=1e-3", "range=0,1 order=rgb mean=0,0,0 std=0.001,0.001,0.001"),
        ];
        for (text, canonical) in cases {
            let parsed: Preprocessing = text.parse().unwrap();
            assert_eq!(parsed.to_string(), canonical);
            assert_eq!(canonical.parse(), Ok(parsed));
        }
    }

    #[test]
    fn any_f32_reads_back_with_its_bits() {
        let mut state = 7_u64;
        for _ in 0..2_000 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let std = f32::from_bits((state >> 33) as u32);
            let p = Preprocessing { std: [std, 1.0, 2.0], ..Preprocessing::default() };
            if p.check().is_ok() {
                let back: Preprocessing = p.to_string().parse().unwrap();
                assert_eq!(back.std[0].to_bits(), std.to_bits());
            }
        }
    }

    #[test]
    fn wrong_texts_say_why() {
        let cases = [
            ("range", ParseError::Key),
            ("scale=1", ParseError::Key),
            ("range=0", ParseError::Number),
            ("range=0,1,2", ParseError::Number),
            ("range=a,b", ParseError::Number),
            ("mean=1,2", ParseError::Number),
            ("mean=1,2,3,4", ParseError::Number),
            ("mean=", ParseError::Number),
            ("order=RGB", ParseError::Order),
            ("order=rgb order=rgb", ParseError::Twice),
            ("range=1,0", ParseError::Value(PreprocessingError::Range)),
            ("std=0", ParseError::Value(PreprocessingError::Std)),
            ("mean=nan", ParseError::Value(PreprocessingError::Mean)),
            ("std=inf", ParseError::Value(PreprocessingError::Std)),
        ];
        for (text, error) in cases {
            assert_eq!(text.parse::<Preprocessing>(), Err(error), "{text}");
        }
    }
}
