//! Stored tensors to constants: every element type that ONNX exporters write for networks.

use super::constant::{Constant, Data, Origin};
use super::error::{Fault, ImportError, Outcome};
use super::files::External;
use super::limits::Limits;
use crate::proto::{TensorProto, data_location, data_type};

/// Reads a tensor; `external` is empty where external data are not allowed.
pub(super) fn read(
    tensor: &TensorProto,
    origin: Origin,
    external: &External,
    limits: &Limits,
) -> Outcome<Constant> {
    let name = &tensor.name;
    let refuse = |reason: String| Fault::Whole(ImportError::Tensor { name: name.clone(), reason });
    let named = |fault| match fault {
        Fault::Limit { what, found, limit } => {
            Fault::Limit { what: format!("tensor `{name}`: {what}"), found, limit }
        }
        other => other,
    };
    limits.rank(tensor.dims.len()).map_err(named)?;
    let shape = shape(&tensor.dims).map_err(refuse)?;
    let count = limits.volume(&shape).map_err(named)?;
    let data = elements(tensor, count, external).map_err(refuse)?;
    if data.len() != count {
        return Err(refuse(format!("holds {} elements, shape {shape:?}", data.len())));
    }
    Ok(Constant { name: name.clone(), shape, data, origin, transpose_of: None })
}

fn shape(dims: &[i64]) -> Result<Vec<usize>, String> {
    dims.iter()
        .map(|&d| usize::try_from(d).map_err(|_| format!("has a negative length: {dims:?}")))
        .collect()
}

fn elements(tensor: &TensorProto, count: usize, external: &External) -> Result<Data, String> {
    let width = match tensor.data_type {
        data_type::FLOAT | data_type::INT32 => 4,
        data_type::INT64 | data_type::DOUBLE => 8,
        data_type::FLOAT16 | data_type::BFLOAT16 => 2,
        data_type::INT8 | data_type::UINT8 | data_type::BOOL => 1,
        other => {
            return Err(format!(
                "has element type {other}, which is not supported; export the \
                model in float32"
            ));
        }
    };
    let expected = count.checked_mul(width).ok_or("is too large")?;
    if tensor.data_location == data_location::EXTERNAL {
        return from_bytes(tensor.data_type, external.slice(tensor, expected)?);
    }
    if tensor.raw_data.is_empty() {
        return from_fields(tensor);
    }
    if tensor.raw_data.len() != expected {
        let have = tensor.raw_data.len();
        return Err(format!("holds {have} bytes, its shape and type ask for {expected}"));
    }
    from_bytes(tensor.data_type, &tensor.raw_data)
}

fn from_bytes(kind: i32, bytes: &[u8]) -> Result<Data, String> {
    let (twos, fours, eights) =
        (bytes.as_chunks::<2>().0, bytes.as_chunks::<4>().0, bytes.as_chunks::<8>().0);
    Ok(match kind {
        data_type::FLOAT => Data::Float(fours.iter().map(|&b| f32::from_le_bytes(b)).collect()),
        data_type::DOUBLE => narrow(eights.iter().map(|&b| f64::from_le_bytes(b)))?,
        data_type::FLOAT16 => {
            Data::Float(twos.iter().map(|&b| widen_half(u16::from_le_bytes(b))).collect())
        }
        data_type::BFLOAT16 => {
            Data::Float(twos.iter().map(|&b| widen_brain(u16::from_le_bytes(b))).collect())
        }
        data_type::INT64 => Data::Int(eights.iter().map(|&b| i64::from_le_bytes(b)).collect()),
        data_type::INT32 => {
            Data::Int(fours.iter().map(|&b| i64::from(i32::from_le_bytes(b))).collect())
        }
        data_type::INT8 => Data::Int(bytes.iter().map(|&b| i64::from(b as i8)).collect()),
        data_type::UINT8 => Data::Int(bytes.iter().map(|&b| i64::from(b)).collect()),
        _ => Data::Bool(bytes.iter().map(|&b| b != 0).collect()),
    })
}

fn from_fields(tensor: &TensorProto) -> Result<Data, String> {
    let ints = &tensor.int32_data;
    Ok(match tensor.data_type {
        data_type::FLOAT => Data::Float(tensor.float_data.as_slice().into()),
        data_type::DOUBLE => narrow(tensor.double_data.iter().copied())?,
        data_type::FLOAT16 => Data::Float(ints.iter().map(|&b| widen_half(b as u16)).collect()),
        data_type::BFLOAT16 => Data::Float(ints.iter().map(|&b| widen_brain(b as u16)).collect()),
        data_type::INT64 => Data::Int(tensor.int64_data.as_slice().into()),
        data_type::BOOL => Data::Bool(ints.iter().map(|&b| b != 0).collect()),
        _ => Data::Int(ints.iter().map(|&b| i64::from(b)).collect()),
    })
}

/// Doubles that f32 holds exactly, and any single one (which only serves to be cast).
fn narrow(values: impl ExactSizeIterator<Item = f64>) -> Result<Data, String> {
    let single = values.len() == 1;
    let narrowed = values.map(|value| {
        let narrow = value as f32;
        let exact = f64::from(narrow) == value || value.is_nan();
        if exact || single { Ok(narrow) } else { Err(value) }
    });
    match narrowed.collect() {
        Ok(data) => Ok(Data::Float(data)),
        Err(value) => Err(format!(
            "holds float64 elements such as {value} that float32 cannot hold; export the model in \
             float32 (PyTorch: model.float())"
        )),
    }
}

/// IEEE 754 binary16 to binary32, exactly.
fn widen_half(bits: u16) -> f32 {
    let sign = if bits & 0x8000 != 0 { -1.0 } else { 1.0 };
    let fraction = f32::from(bits & 0x3ff);
    // Powers of two from 2^-24 up are normal in binary32, so every product is exact.
    match (bits >> 10) & 0x1f {
        0 => sign * fraction * 2_f32.powi(-24),
        31 if fraction == 0.0 => sign * f32::INFINITY,
        31 => f32::NAN,
        exponent => sign * (1024.0 + fraction) * 2_f32.powi(i32::from(exponent) - 25),
    }
}

/// bfloat16 to binary32, exactly.
fn widen_brain(bits: u16) -> f32 {
    f32::from_bits(u32::from(bits) << 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(tensor: &TensorProto) -> String {
        match read(tensor, Origin::Literal, &External::default(), &Limits::default()) {
            Err(Fault::Whole(error)) => error.to_string(),
            Err(other) => format!("{other:?}"),
            Ok(constant) => format!("{:?}", constant.data),
        }
    }

    #[test]
    fn halves_widen_exactly() {
        // Values from IEEE 754-2019, binary16.
        for (bits, expected) in [
            (0x0000, 0.0),
            (0x0001, 5.960_464_5e-8),
            (0x03ff, 6.097_555e-5),
            (0x0400, 6.103_515_6e-5),
            (0x3c00, 1.0),
            (0x3555, 0.333_251_95),
            (0xc000, -2.0),
            (0x7bff, 65504.0),
            (0x7c00, f32::INFINITY),
            (0xfc00, f32::NEG_INFINITY),
        ] {
            assert_eq!(widen_half(bits), expected, "{bits:#06x}");
        }
        assert!(widen_half(0x7e00).is_nan());
        assert_eq!(widen_half(0x8000).to_bits(), (-0.0_f32).to_bits());
        assert_eq!(widen_brain(0x3f80), 1.0);
        assert_eq!(widen_brain(0xc049), -3.140_625);
    }

    #[test]
    fn raw_length_must_match_shape_and_type() {
        let mut tensor = TensorProto {
            name: "w".into(),
            dims: vec![2, 3],
            data_type: data_type::FLOAT,
            raw_data: vec![0; 24],
            ..Default::default()
        };
        assert!(message(&tensor).starts_with("Float"));
        for length in [1, 20, 23, 25, 28] {
            tensor.raw_data = vec![0; length];
            let text = message(&tensor);
            assert!(text.contains("`w`") && text.contains("ask for 24"), "{text}");
        }
        tensor.raw_data.clear();
        tensor.float_data = vec![0.0; 5];
        assert!(message(&tensor).contains("holds 5 elements"));
    }

    #[test]
    fn hostile_shapes_and_types_are_refused() {
        for (dims, kind, part) in [
            (vec![-1], data_type::FLOAT, "negative length"),
            (vec![i64::MAX, i64::MAX], data_type::FLOAT, "Limit"),
            (vec![1 << 40], data_type::FLOAT, "Limit"),
            (vec![1; 9], data_type::FLOAT, "Limit"),
            (vec![1], data_type::STRING, "element type 8"),
            (vec![1], 99, "element type 99"),
        ] {
            let tensor = TensorProto { dims, data_type: kind, ..Default::default() };
            assert!(message(&tensor).contains(part), "{}", message(&tensor));
        }
    }

    #[test]
    fn doubles_are_narrowed_only_without_loss() {
        let mut tensor = TensorProto {
            name: "d".into(),
            dims: vec![2],
            data_type: data_type::DOUBLE,
            double_data: vec![0.5, -3.0],
            ..Default::default()
        };
        assert!(message(&tensor).starts_with("Float"));
        tensor.double_data[1] = 0.1;
        assert!(message(&tensor).contains("model.float()"));
    }
}
