//! Walks the protobuf bytes before decoding, so that a small file cannot ask for much memory.
//!
//! An empty message takes two bytes in the file and some hundred in memory, a packed integer one
//! byte and eight: both are counted here, without recursion. Fields that the decoder skips are not
//! entered.

use super::error::ImportError;
use super::limits::Limits;

/// A message whose fields are known.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Model,
    Graph,
    Node,
    Attribute,
    Tensor,
    Value,
    Type,
    TensorType,
    Shape,
    Sparse,
    /// Holds only scalars and strings.
    Flat,
}

/// What a length-delimited field holds.
enum Field {
    Message(Kind),
    /// A string or bytes of a repeated field: counted as a message.
    Text,
    /// Packed integers.
    Packed,
    /// Stored as it is, or skipped.
    Plain,
}

fn field(kind: Kind, number: u64) -> Field {
    use Field::{Message, Packed, Plain, Text};
    match (kind, number) {
        (Kind::Model, 7) | (Kind::Attribute, 6) => Message(Kind::Graph),
        (Kind::Model, 8 | 14 | 25) | (Kind::Tensor, 13) | (Kind::Shape, 1) => Message(Kind::Flat),
        (Kind::Graph, 1) => Message(Kind::Node),
        (Kind::Graph, 5) | (Kind::Attribute, 5) | (Kind::Sparse, 1) => Message(Kind::Tensor),
        (Kind::Graph, 11..=13) => Message(Kind::Value),
        (Kind::Graph, 15) | (Kind::Attribute, 22) => Message(Kind::Sparse),
        (Kind::Node, 5) => Message(Kind::Attribute),
        (Kind::Node, 1 | 2) | (Kind::Attribute, 9) | (Kind::Tensor, 6) => Text,
        (Kind::Attribute, 8) | (Kind::Tensor, 1 | 5 | 7 | 11) | (Kind::Sparse, 3) => Packed,
        (Kind::Value, 2) => Message(Kind::Type),
        (Kind::Type, 1) => Message(Kind::TensorType),
        (Kind::TensorType, 2) => Message(Kind::Shape),
        _ => Plain,
    }
}

/// Counts against the limits.
struct Meter<'a> {
    limits: &'a Limits,
    messages: u64,
    packed: u64,
}

impl Meter<'_> {
    fn message(&mut self) -> Result<(), ImportError> {
        self.messages += 1;
        if self.messages > self.limits.messages {
            let what = "number of messages and strings in the file".into();
            let (found, limit) = (self.messages, self.limits.messages);
            return Err(ImportError::Limit { what, found, limit });
        }
        Ok(())
    }

    fn nesting(&self, depth: usize) -> Result<(), ImportError> {
        if depth > self.limits.nesting {
            let what = "depth of messages inside one another (subgraphs of subgraphs)".into();
            let (found, limit) = (depth as u64, self.limits.nesting as u64);
            return Err(ImportError::Limit { what, found, limit });
        }
        Ok(())
    }

    fn packed(&mut self, bytes: u64) -> Result<(), ImportError> {
        self.packed += bytes;
        if self.packed > self.limits.packed_bytes {
            let what = "size in bytes of the packed integers in the file".into();
            let (found, limit) = (self.packed, self.limits.packed_bytes);
            return Err(ImportError::Limit { what, found, limit });
        }
        Ok(())
    }
}

fn malformed<T>(reason: &str) -> Result<T, ImportError> {
    Err(ImportError::Malformed(reason.into()))
}

/// Takes a base-128 number off the front.
fn varint(bytes: &mut &[u8]) -> Result<u64, ImportError> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let Some((&byte, rest)) = bytes.split_first() else {
            return malformed("it is cut short");
        };
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    malformed("a number has more than 64 bits")
}

fn take<'a>(bytes: &mut &'a [u8], length: u64) -> Result<&'a [u8], ImportError> {
    match usize::try_from(length).ok().and_then(|length| bytes.split_at_checked(length)) {
        Some((taken, rest)) => {
            *bytes = rest;
            Ok(taken)
        }
        None => malformed("it is cut short"),
    }
}

/// Refuses bytes that are no protobuf or that would grow beyond the limits when decoded.
pub(super) fn check(bytes: &[u8], limits: &Limits) -> Result<(), ImportError> {
    let mut meter = Meter { limits, messages: 0, packed: 0 };
    let mut open = vec![(Kind::Model, 1, bytes)];
    while let Some((kind, depth, mut bytes)) = open.pop() {
        while !bytes.is_empty() {
            let key = varint(&mut bytes)?;
            match key & 7 {
                // An unpacked repeated number also takes at least one byte for up to eight.
                0 => meter.packed(u64::from(varint(&mut bytes)? > 0) + 1)?,
                1 => drop(take(&mut bytes, 8)?),
                5 => drop(take(&mut bytes, 4)?),
                2 => {
                    let length = varint(&mut bytes)?;
                    let body = take(&mut bytes, length)?;
                    match field(kind, key >> 3) {
                        Field::Message(inner) => {
                            meter.message()?;
                            meter.nesting(depth + 1)?;
                            open.push((inner, depth + 1, body));
                        }
                        Field::Text => meter.message()?,
                        Field::Packed => meter.packed(length)?,
                        Field::Plain => {}
                    }
                }
                _ => return malformed("it holds a field of an unknown wire type"),
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A length-delimited field.
    fn wrap(number: u8, body: &[u8]) -> Vec<u8> {
        let mut bytes = vec![number << 3 | 2];
        prost::encoding::encode_varint(body.len() as u64, &mut bytes);
        bytes.extend_from_slice(body);
        bytes
    }

    #[test]
    fn counts_messages_and_integers() {
        let limits = Limits { messages: 4, packed_bytes: 4, ..Limits::default() };
        let nodes = |count: usize| wrap(7, &wrap(1, &[]).repeat(count));
        assert_eq!(check(&nodes(3), &limits), Ok(()));
        assert!(matches!(check(&nodes(4), &limits), Err(ImportError::Limit { .. })));
        let dims = |count: usize| wrap(7, &wrap(5, &wrap(1, &vec![1; count])));
        assert_eq!(check(&dims(4), &limits), Ok(()));
        assert!(matches!(check(&dims(5), &limits), Err(ImportError::Limit { .. })));
    }

    #[test]
    fn broken_bytes_are_refused() {
        let limits = Limits::default();
        for bytes in [&[0x3a, 5, 0][..], &[0x80], &[0xff; 11], &[0x3b], &[0x39, 0], &[0x3d, 0]] {
            assert!(matches!(check(bytes, &limits), Err(ImportError::Malformed(_))), "{bytes:?}");
        }
    }

    #[test]
    fn deep_nesting_needs_no_recursion() {
        let mut bytes = Vec::new();
        for _ in 0..2_000 {
            bytes = wrap(1, &wrap(5, &wrap(6, &bytes)));
        }
        let limits = Limits { nesting: 10_000, ..Limits::default() };
        assert_eq!(check(&wrap(7, &bytes), &limits), Ok(()));
        let error = check(&wrap(7, &bytes), &Limits::default()).expect_err("nested");
        assert!(error.to_string().contains("33, over the limit of 32"), "{error}");
    }
}
