//! How often a wire fails, as numbers and as the text of a flag.

use core::fmt;
use core::str::FromStr;

/// Probabilities a frame, but for `flip`, which is a bit's, and `delay_ms`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Faults {
    /// A bit is wrong.
    pub flip: f64,
    /// Up to 16 bytes in a row are noise.
    pub burst: f64,
    /// The frame is lost.
    pub drop: f64,
    /// It comes twice.
    pub duplicate: f64,
    /// It comes after the next one.
    pub reorder: f64,
    /// It loses its end.
    pub truncate: f64,
    /// It runs into the next one: the delimiters between them are lost.
    pub glue: f64,
    /// A zero comes in.
    pub zero: f64,
    /// It comes up to so many milliseconds late.
    pub delay_ms: u64,
}

/// Why a text is no list of faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultsError {
    /// Not `name=number`, with commas between.
    Form,
    /// No such fault.
    Name,
    /// A probability outside 0 and 1, or a delay that is no whole number.
    Number,
}

impl fmt::Display for FaultsError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            FaultsError::Form => "faults are written drop=0.01,flip=1e-5",
            FaultsError::Name => {
                "faults are flip, burst, drop, duplicate, reorder, truncate, glue, zero, delay"
            }
            FaultsError::Number => "a probability is from 0 to 1, a delay in whole milliseconds",
        })
    }
}

impl core::error::Error for FaultsError {}

impl FromStr for Faults {
    type Err = FaultsError;

    fn from_str(text: &str) -> Result<Faults, FaultsError> {
        let mut faults = Faults::default();
        for part in text.split(',').filter(|_| !text.is_empty()) {
            let (name, number) = part.split_once('=').ok_or(FaultsError::Form)?;
            if name == "delay" {
                faults.delay_ms = number.parse().map_err(|_| FaultsError::Number)?;
                continue;
            }
            let place = faults.probability(name).ok_or(FaultsError::Name)?;
            let probability: f64 = number.parse().map_err(|_| FaultsError::Number)?;
            if !(0.0..=1.0).contains(&probability) {
                return Err(FaultsError::Number);
            }
            *place = probability;
        }
        Ok(faults)
    }
}

impl Faults {
    fn probability(&mut self, name: &str) -> Option<&mut f64> {
        Some(match name {
            "flip" => &mut self.flip,
            "burst" => &mut self.burst,
            "drop" => &mut self.drop,
            "duplicate" => &mut self.duplicate,
            "reorder" => &mut self.reorder,
            "truncate" => &mut self.truncate,
            "glue" => &mut self.glue,
            "zero" => &mut self.zero,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flag_s_text_is_read_or_refused() {
        let none = Faults::default();
        let table = [
            ("", Ok(none)),
            ("drop=0.01,flip=1e-5", Ok(Faults { drop: 0.01, flip: 1e-5, ..none })),
            ("delay=20,glue=1", Ok(Faults { delay_ms: 20, glue: 1.0, ..none })),
            ("drop", Err(FaultsError::Form)),
            ("drop=0.1,", Err(FaultsError::Form)),
            ("lose=0.1", Err(FaultsError::Name)),
            ("drop=1.1", Err(FaultsError::Number)),
            ("drop=NaN", Err(FaultsError::Number)),
            ("drop=-0.1", Err(FaultsError::Number)),
            ("delay=0.5", Err(FaultsError::Number)),
        ];
        for (text, expected) in table {
            assert_eq!(text.parse(), expected, "{text:?}");
        }
    }
}
