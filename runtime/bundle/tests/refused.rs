//! Damaged, mis-sized and senseless bundles are refused, each with its own error.

mod common;

use common::{
    changed, edit_manifest, forge_digests, manifest_of, tiny, with_header_bytes, with_manifest,
};
use gradgate_bundle::Bundle;
use gradgate_bundle::align::AlignedBytes;
use gradgate_bundle::error::{ParseError, Section};
use gradgate_bundle::header::BlobRef;
use gradgate_bundle::manifest::{CONTAINER_VERSION, DeviceClass, Manifest, check_device_class};
use gradgate_bundle::op::OpCode;
use gradgate_bundle::write::{self, WriteError};
use zerocopy::little_endian::{U16, U32};

fn error_of(file: &AlignedBytes) -> ParseError {
    match Bundle::parse(file) {
        Ok(_) => panic!("the bundle was accepted"),
        Err(error) => error,
    }
}

#[test]
fn the_tiny_bundle_itself_is_accepted() {
    let file = changed(|_| ());
    let bundle = Bundle::parse(&file).expect("valid");
    assert_eq!(bundle.header(), &tiny().header);
    let (frame, expected) = bundle.self_test().expect("it has one");
    assert_eq!(frame, [0, 85, 170, 255]);
    assert_eq!(expected, [0.5, 0.25, -0.125, 1.5, 2.5, 0.75]);
}

#[test]
fn truncated_at_every_byte() {
    let file = changed(|_| ());
    for length in 0..file.len() {
        let cut = AlignedBytes::from(&file[..length]);
        let stated = file.len() as u32;
        let expected = match length {
            0..320 => ParseError::Short,
            found => ParseError::Length { stated, found },
        };
        assert_eq!(error_of(&cut), expected, "at {length}");
    }
}

#[test]
fn extended_by_one_byte() {
    let mut longer = changed(|_| ()).to_vec();
    let stated = longer.len() as u32;
    longer.push(0);
    let expected = ParseError::Length { stated, found: longer.len() };
    assert_eq!(error_of(&AlignedBytes::from(&longer[..])), expected);
}

#[test]
fn bad_magic() {
    assert_eq!(error_of(&with_manifest(|m| m.magic[7] = b'e')), ParseError::Magic);
}

#[test]
fn newer_version_says_so() {
    let version = CONTAINER_VERSION + 1;
    let error = error_of(&with_manifest(|m| m.version = U32::new(version)));
    assert_eq!(error, ParseError::Newer { version });
    assert!(error.to_string().contains("newer"), "{error}");
    let none = error_of(&with_manifest(|m| m.version = U32::new(0)));
    assert_eq!(none, ParseError::Version { version: 0 });
}

#[test]
fn reserved_bytes_must_be_zero() {
    for place in 0..64 {
        let file = with_manifest(|m| m.reserved[place] = 1);
        assert_eq!(error_of(&file), ParseError::Reserved(Section::Manifest));
    }
    let file = changed(|parts| parts.steps[1].reserved = U16::new(1));
    assert_eq!(error_of(&file), ParseError::Reserved(Section::Steps));
}

#[test]
fn padding_before_the_blobs_must_be_zero() {
    let mut file = changed(|parts| parts.params.push(0));
    let manifest = manifest_of(&file);
    let end = (manifest.params.offset.get() + manifest.params.length.get()) as usize;
    let blobs = manifest.blobs.offset.get() as usize;
    let (end, mut file) = if end < blobs {
        (end, file)
    } else {
        file = changed(|parts| parts.params.extend([0; 2]));
        (end + 1, file)
    };
    Bundle::parse(&file).expect("valid with zero padding");
    file[end] = 1;
    forge_digests(&mut file);
    assert_eq!(error_of(&file), ParseError::Reserved(Section::Params));
}

#[test]
fn mis_sized_moved_and_overlapping_sections() {
    type Pick = fn(&mut Manifest) -> &mut gradgate_bundle::manifest::Span;
    let sections: [(Section, Pick); 5] = [
        (Section::Header, |m| &mut m.header),
        (Section::Tensors, |m| &mut m.tensors),
        (Section::Steps, |m| &mut m.steps),
        (Section::Params, |m| &mut m.params),
        (Section::Blobs, |m| &mut m.blobs),
    ];
    let offsets: [i64; 9] = [-4096, -320, -16, -1, 1, 4, 16, 4096, 1 << 31];
    for (section, pick) in sections {
        for shift in offsets {
            let moved =
                |value: &mut U32| *value = U32::new((i64::from(value.get()) + shift) as u32);
            let file = with_manifest(|m| moved(&mut pick(m).offset));
            assert_eq!(error_of(&file), ParseError::Layout(section), "offset {shift}");
            let mut file = with_manifest(|m| moved(&mut pick(m).length));
            let manifest = manifest_of(&file);
            let end =
                i64::from(manifest.params.offset.get()) + i64::from(manifest.params.length.get());
            let blobs = i64::from(manifest.blobs.offset.get());
            if section == Section::Params && (end..end + 16).contains(&blobs) {
                // Only the border to the padding moved: harmless, or a record is cut.
                let cut = Bundle::parse(&file).err();
                assert!(cut == (shift < 0).then_some(ParseError::Params { step: 1 }), "{shift}");
                continue;
            }
            let error = error_of(&file);
            assert!(matches!(error, ParseError::Layout(_)), "{section:?} length {shift}: {error}");
            // Neither do right digests help.
            forge_digests(&mut file);
            assert!(Bundle::parse(&file).is_err());
        }
        for extreme in [0, u32::MAX] {
            let offset = with_manifest(|m| pick(m).offset = U32::new(extreme));
            assert_eq!(error_of(&offset), ParseError::Layout(section));
            let length = with_manifest(|m| pick(m).length = U32::new(extreme));
            assert!(matches!(error_of(&length), ParseError::Layout(_)), "{section:?} {extreme}");
        }
    }
}

#[test]
fn swapped_sections() {
    let file = with_manifest(|m| core::mem::swap(&mut m.tensors, &mut m.steps));
    assert_eq!(error_of(&file), ParseError::Layout(Section::Tensors));
}

#[test]
fn misaligned_buffer() {
    let file = changed(|_| ());
    let mut room = AlignedBytes::zeroed(file.len() + 16);
    for shift in 1..16 {
        room[shift..shift + file.len()].copy_from_slice(&file);
        let error = Bundle::parse(&room[shift..shift + file.len()]).err();
        assert_eq!(error, Some(ParseError::Misaligned), "shift {shift}");
    }
}

#[test]
fn senseless_frames_and_arenas() {
    for input in [[0, 2, 1], [2, 0, 1], [2, 2, 0], [1 << 16, 1 << 16, 1]] {
        let file = with_manifest(|m| m.input = input.map(U32::new));
        assert_eq!(error_of(&file), ParseError::Input);
    }
    assert_eq!(error_of(&with_manifest(|m| m.input_dtype = U32::new(1))), ParseError::Input);
    for bytes in [0, 127, 124, 132] {
        let file = with_manifest(|m| m.arena_bytes = U32::new(bytes));
        assert_eq!(error_of(&file), ParseError::Arena);
    }
}

#[test]
fn every_bit_of_header_records_and_blobs_is_covered_by_a_digest() {
    let mut file = changed(|_| ());
    let blobs = manifest_of(&file).blobs.offset.get() as usize;
    for place in 320..file.len() {
        for bit in 0..8 {
            file[place] ^= 1 << bit;
            let section = if place < blobs { Section::Header } else { Section::Blobs };
            assert_eq!(error_of(&file), ParseError::Digest(section), "byte {place} bit {bit}");
            file[place] ^= 1 << bit;
        }
    }
}

#[test]
fn another_schema_than_the_manifest_names() {
    let mut file = changed(|parts| parts.header.schema.classes = 4);
    let honest = changed(|_| ());
    edit_manifest(&mut file, |m| m.schema_digest = manifest_of(&honest).schema_digest);
    assert_eq!(error_of(&file), ParseError::SchemaDigest);
}

#[test]
fn header_with_trailing_or_missing_bytes() {
    let mut header = postcard::to_allocvec(&tiny().header).expect("encodes");
    assert!(Bundle::parse(&with_header_bytes(&header)).is_ok(), "the helper itself is right");
    header.push(0);
    assert_eq!(error_of(&with_header_bytes(&header)), ParseError::HeaderTrailing);
    for length in 0..header.len() - 1 {
        let error = error_of(&with_header_bytes(&header[..length]));
        assert_eq!(error, ParseError::HeaderEncoding, "{length} bytes");
    }
}

#[test]
fn non_utf8_string() {
    let mut header = postcard::to_allocvec(&tiny().header).expect("encodes");
    assert_eq!(&header[..5], b"\x04tiny");
    header[2] = 0xFF;
    assert_eq!(error_of(&with_header_bytes(&header)), ParseError::HeaderEncoding);
}

#[test]
fn string_longer_than_the_file() {
    let header = postcard::to_allocvec(&tiny().header).expect("encodes");
    // Lengths of 2^35 - 1 and of more than ten varint bytes.
    for prefix in [&[0xFF, 0xFF, 0xFF, 0xFF, 0x7F][..], &[0xFF; 11]] {
        let long = [prefix, &header[1..]].concat();
        assert_eq!(error_of(&with_header_bytes(&long)), ParseError::HeaderEncoding);
    }
}

#[test]
fn header_values_out_of_range() {
    type Change = fn(&mut write::BundleParts<'static>);
    let cases: [(&str, Change); 16] = [
        ("tensor of the logits", |p| p.header.layout.logits = 3),
        ("tensor of the penultimate", |p| p.header.layout.penultimate = 3),
        ("place of the features", |p| p.header.layout.features_offset = 31),
        ("place of the features", |p| p.header.layout.features_offset = u32::MAX),
        ("list of names", |p| p.header.schema.parameters = "fc.weight\n"),
        ("list of names", |p| p.header.classes = "\ncat"),
        ("place of the scratch", |p| p.header.layout.scratch_offset = 33),
        ("false-alarm rate", |p| p.header.evidence.false_alarm_rate = 1.5),
        ("false-alarm rate", |p| p.header.evidence.false_alarm_rate = f32::INFINITY),
        ("confidence", |p| p.header.evidence.confidence = f32::NAN),
        ("calibration alarms", |p| p.header.evidence.calibration = [3, 4]),
        ("audit alarms", |p| p.header.evidence.audit = [3, 4]),
        ("self-test", |p| self_test(p).frame_bytes = 3),
        ("self-test", |p| self_test(p).frame_offset += 4),
        ("self-test", |p| self_test(p).frame_offset = u32::MAX - 15),
        ("self-test", |p| self_test(p).expected = BlobRef { offset: 16, elements: 1 << 30 }),
    ];
    for (what, change) in cases {
        assert_eq!(error_of(&changed(change)), ParseError::HeaderValue(what));
    }
    let unpromised = changed(|p| p.header.evidence.false_alarm_rate = f32::NAN);
    assert!(Bundle::parse(&unpromised).is_ok(), "NaN means that nothing is promised");
}

fn self_test<'a>(
    parts: &'a mut write::BundleParts<'static>,
) -> &'a mut gradgate_bundle::header::SelfTest {
    parts.header.self_test.as_mut().expect("the tiny bundle has one")
}

#[test]
fn tensors_outside_their_memory() {
    let blobs = tiny().blobs.len() as u32;
    let cases = [
        (2, 0, 0), // unknown kind
        (u32::MAX, 0, 0),
        (0, 29, 4), // one past the arena
        (0, u32::MAX, 1),
        (0, 1, u32::MAX),
        (1, 4, 1), // not a multiple of 16
        (1, 0, blobs / 4 + 1),
        (1, blobs.next_multiple_of(16), 1),
        (1, 0, 1 << 30), // 4 GiB: the byte length overflows 32 bits
        (1, 0xFFFF_FFF0, u32::MAX),
    ];
    for (kind, offset, elements) in cases {
        let file = changed(|parts| {
            let tensor = &mut parts.tensors[2];
            [tensor.kind, tensor.offset, tensor.elements] = [kind, offset, elements].map(U32::new);
        });
        assert_eq!(error_of(&file), ParseError::Tensor { index: 2 }, "{kind} {offset} {elements}");
    }
}

#[test]
fn non_finite_weights() {
    for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        for place in [0, 11] {
            let file = changed(|parts| {
                parts.blobs[4 * place..4 * place + 4].copy_from_slice(&value.to_le_bytes());
            });
            assert_eq!(error_of(&file), ParseError::NonFinite { tensor: 2 });
        }
    }
}

#[test]
fn unknown_opcodes() {
    for number in (0..=u16::MAX).filter(|&n| OpCode::from_number(n).is_none()).step_by(97) {
        let file = changed(|parts| parts.steps[1].opcode = U16::new(number));
        assert_eq!(error_of(&file), ParseError::Opcode { step: 1, number });
    }
    let error = ParseError::Opcode { step: 1, number: 999 }.to_string();
    assert!(error.contains("unknown to this version"), "{error}");
}

#[test]
fn operands_out_of_range() {
    for place in 0..8 {
        for operand in [3, 4, 0x7FFF, 0xFFFE] {
            let file = changed(|parts| parts.steps[1].operands[place] = U16::new(operand));
            let expected = ParseError::Operand { step: 1, place: place as u32 };
            assert_eq!(error_of(&file), expected);
        }
    }
}

#[test]
fn parameters_out_of_their_section() {
    let end = tiny().params.len() as u32;
    let size = gradgate_bundle::read::params_size(OpCode::Conv) as u32;
    for offset in [end - size + 1, end, end + 1, 1 << 31, u32::MAX] {
        let file = changed(|parts| parts.steps[1].params = U32::new(offset));
        assert_eq!(error_of(&file), ParseError::Params { step: 1 });
    }
}

#[test]
fn too_many_tensors() {
    let file = changed(|parts| parts.tensors = vec![parts.tensors[0]; 0x1_0000]);
    assert_eq!(error_of(&file), ParseError::Layout(Section::Tensors));
    let file = changed(|parts| parts.tensors = vec![parts.tensors[0]; 0xFFFF]);
    assert!(Bundle::parse(&file).is_ok());
}

#[test]
fn wrong_device_class() {
    let file = changed(|_| ());
    let bundle = Bundle::parse(&file).expect("valid");
    for &device in DeviceClass::ALL {
        let expected = match device {
            DeviceClass::CortexM4F => Ok(()),
            _ => Err(ParseError::DeviceClass { bundle: 1, device }),
        };
        assert_eq!(check_device_class(bundle.manifest(), device), expected);
    }
}

#[test]
fn the_writer_refuses_what_the_reader_refuses() {
    let mut parts = tiny();
    parts.steps[0].operands[0] = U16::new(3);
    let expected = WriteError::Invalid(ParseError::Operand { step: 0, place: 0 });
    assert_eq!(write::write(&parts), Err(expected));
}
