//! f32 in JSON so that it reads back bit for bit; what is not finite is refused.
//!
//! Each value is written as the decimal of its f64 widening: any f64 parser that is right to a
//! few units in the last place then narrows to the same f32.

use serde::de::Error as _;
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

fn widen<S: Serializer>(value: f32) -> Result<f64, S::Error> {
    if value.is_finite() {
        Ok(f64::from(value))
    } else {
        Err(S::Error::custom(format!("{value} is not a finite number")))
    }
}

fn narrow<'de, D: Deserializer<'de>>(value: f64) -> Result<f32, D::Error> {
    let narrowed = value as f32;
    if narrowed.is_finite() {
        Ok(narrowed)
    } else {
        Err(D::Error::custom(format!("{value} is not a finite 32-bit number")))
    }
}

/// For `f32`: `#[serde(with = "exact::one")]`.
pub mod one {
    use super::*;

    /// Writes.
    pub fn serialize<S: Serializer>(value: &f32, out: S) -> Result<S::Ok, S::Error> {
        out.serialize_f64(widen::<S>(*value)?)
    }

    /// Reads.
    pub fn deserialize<'de, D: Deserializer<'de>>(input: D) -> Result<f32, D::Error> {
        narrow::<D>(f64::deserialize(input)?)
    }
}

/// For `Option<f32>`.
pub mod option {
    use super::*;

    /// Writes.
    pub fn serialize<S: Serializer>(value: &Option<f32>, out: S) -> Result<S::Ok, S::Error> {
        match value {
            Some(value) => out.serialize_some(&widen::<S>(*value)?),
            None => out.serialize_none(),
        }
    }

    /// Reads.
    pub fn deserialize<'de, D: Deserializer<'de>>(input: D) -> Result<Option<f32>, D::Error> {
        Option::<f64>::deserialize(input)?.map(narrow::<D>).transpose()
    }
}

/// For `Vec<f32>`.
pub mod list {
    use super::*;

    /// Writes.
    pub fn serialize<S: Serializer>(values: &[f32], out: S) -> Result<S::Ok, S::Error> {
        let wide = values.iter().map(|value| widen::<S>(*value)).collect::<Result<Vec<_>, _>>()?;
        wide.serialize(out)
    }

    /// Reads.
    pub fn deserialize<'de, D: Deserializer<'de>>(input: D) -> Result<Vec<f32>, D::Error> {
        Vec::<f64>::deserialize(input)?.into_iter().map(narrow::<D>).collect()
    }
}

#[cfg(test)]
mod tests {
    use crate::random::Random;
    use serde::{Deserialize, Serialize};

    #[derive(Serialize, Deserialize)]
    struct Holder {
        #[serde(with = "super::one")]
        one: f32,
        #[serde(with = "super::option")]
        option: Option<f32>,
        #[serde(with = "super::list")]
        list: Vec<f32>,
    }

    #[test]
    fn every_finite_value_comes_back_bit_for_bit() {
        let seed = 20;
        let mut random = Random::new(seed, "exact");
        let mut list: Vec<f32> = (0..200_000)
            .map(|_| f32::from_bits(random.bits() as u32))
            .filter(|value| value.is_finite())
            .collect();
        list.extend([0.0, -0.0, f32::MAX, f32::MIN_POSITIVE, f32::from_bits(1), 0.1, 1e30]);
        let holder = Holder { one: 0.1, option: Some(-0.0), list };
        let text = serde_json::to_string(&holder).unwrap();
        let back: Holder = serde_json::from_str(&text).unwrap();
        assert_eq!(back.one.to_bits(), holder.one.to_bits());
        assert_eq!(back.option.map(f32::to_bits), holder.option.map(f32::to_bits));
        for (a, b) in back.list.iter().zip(&holder.list) {
            assert_eq!(a.to_bits(), b.to_bits(), "{b:e}, seed {seed}");
        }
    }

    #[test]
    fn what_is_not_finite_is_refused_both_ways() {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let holders = [
                Holder { one: bad, option: None, list: vec![] },
                Holder { one: 0.0, option: Some(bad), list: vec![] },
                Holder { one: 0.0, option: None, list: vec![1.0, bad] },
            ];
            assert!(holders.iter().all(|holder| serde_json::to_string(holder).is_err()));
        }
        for bad in ["null", "1e39", "\"NaN\"", "-1e300"] {
            let text = format!("{{\"one\": 0, \"option\": null, \"list\": [{bad}]}}");
            assert!(serde_json::from_str::<Holder>(&text).is_err(), "{bad}");
        }
    }
}
