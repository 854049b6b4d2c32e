//! Which opcodes there are, and what those that are read do.

use super::Value;

/// What an opcode that is read does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Opcode {
    /// Passes over this many bytes: protocol numbers and frames.
    Skip(usize),
    Stop,
    Push(Value),
    Int {
        bytes: usize,
        signed: bool,
    },
    /// A text whose length stands before it, in so many bytes.
    Text {
        length: usize,
    },
    EmptyList,
    EmptyDictionary,
    /// Of so many values, or down to the last mark.
    Tuple(Option<usize>),
    Append {
        many: bool,
    },
    Set {
        many: bool,
    },
    Put {
        bytes: usize,
    },
    Memoize,
    Get {
        bytes: usize,
    },
    Global,
    StackGlobal,
    Reduce,
    Build,
}

/// The opcode of this number, when it is read.
pub(super) fn opcode(code: u8) -> Option<Opcode> {
    Some(match code {
        0x80 => Opcode::Skip(1),
        0x95 => Opcode::Skip(8),
        b'.' => Opcode::Stop,
        b'(' => Opcode::Push(Value::Mark),
        b'N' => Opcode::Push(Value::None),
        0x88 => Opcode::Push(Value::Bool(true)),
        0x89 => Opcode::Push(Value::Bool(false)),
        b'J' => Opcode::Int { bytes: 4, signed: true },
        b'K' => Opcode::Int { bytes: 1, signed: false },
        b'M' => Opcode::Int { bytes: 2, signed: false },
        b'U' | b'C' | 0x8c => Opcode::Text { length: 1 },
        b'T' | b'X' | b'B' => Opcode::Text { length: 4 },
        0x8d | 0x8e => Opcode::Text { length: 8 },
        b']' => Opcode::EmptyList,
        b'}' => Opcode::EmptyDictionary,
        b')' => Opcode::Tuple(Some(0)),
        0x85 => Opcode::Tuple(Some(1)),
        0x86 => Opcode::Tuple(Some(2)),
        0x87 => Opcode::Tuple(Some(3)),
        b't' => Opcode::Tuple(None),
        b'a' => Opcode::Append { many: false },
        b'e' => Opcode::Append { many: true },
        b's' => Opcode::Set { many: false },
        b'u' => Opcode::Set { many: true },
        b'q' => Opcode::Put { bytes: 1 },
        b'r' => Opcode::Put { bytes: 4 },
        0x94 => Opcode::Memoize,
        b'h' => Opcode::Get { bytes: 1 },
        b'j' => Opcode::Get { bytes: 4 },
        b'c' => Opcode::Global,
        0x93 => Opcode::StackGlobal,
        b'R' => Opcode::Reduce,
        b'b' => Opcode::Build,
        _ => return None,
    })
}

/// Opcodes that are not read, as `pickletools` names them.
const REFUSED: [(u8, &str); 30] = [
    (b'0', "POP"),
    (b'1', "POP_MARK"),
    (b'2', "DUP"),
    (b'F', "FLOAT"),
    (b'G', "BINFLOAT"),
    (b'I', "INT"),
    (b'L', "LONG"),
    (b'P', "PERSID"),
    (b'Q', "BINPERSID"),
    (b'S', "STRING"),
    (b'V', "UNICODE"),
    (b'd', "DICT"),
    (b'g', "GET"),
    (b'i', "INST"),
    (b'l', "LIST"),
    (b'o', "OBJ"),
    (b'p', "PUT"),
    (0x81, "NEWOBJ"),
    (0x82, "EXT1"),
    (0x83, "EXT2"),
    (0x84, "EXT4"),
    (0x8a, "LONG1"),
    (0x8b, "LONG4"),
    (0x8f, "EMPTY_SET"),
    (0x90, "ADDITEMS"),
    (0x91, "FROZENSET"),
    (0x92, "NEWOBJ_EX"),
    (0x96, "BYTEARRAY8"),
    (0x97, "NEXT_BUFFER"),
    (0x98, "READONLY_BUFFER"),
];

/// The name of an opcode that is not read, with its number.
pub(super) fn name(code: u8) -> String {
    let known = REFUSED.iter().find(|(refused, _)| *refused == code);
    let name = known.map_or("unknown", |(_, name)| name);
    format!("{name} ({code:#04x})")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_opcode_is_read_or_has_a_name() {
        for (code, name) in REFUSED {
            assert_eq!(opcode(code), None, "{name}");
        }
        assert_eq!(name(b'i'), "INST (0x69)");
        assert_eq!(name(0xff), "unknown (0xff)");
    }
}
