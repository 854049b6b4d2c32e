//! What is written is what is read; mutated bytes never panic; weights carry little overhead.

mod common;

use common::{Random, changed, forge_digests, manifest_of, setting, step, tensor, tiny};
use gradgate_bundle::Bundle;
use gradgate_bundle::align::AlignedBytes;
use gradgate_bundle::error::ParseError;
use gradgate_bundle::header::BlobRef;
use gradgate_bundle::manifest::DeviceClass;
use gradgate_bundle::op::{ConvParams, CopyParams, NONE, OpCode, SquaredNormParams};
use gradgate_bundle::read::params_size;
use gradgate_bundle::record::TensorKind;
use gradgate_bundle::write::{BundleParts, WriteError, name_list, push_floats, write};
use zerocopy::little_endian::U32;

/// Random valid parts around the tiny bundle's header.
fn random_parts<'a>(random: &mut Random, text: &'a str) -> BundleParts<'a> {
    let mut parts: BundleParts<'a> = tiny();
    let arena = 1 + random.below(10_000) as u32;
    parts.header.layout.arena_elements = arena;
    parts.header.layout.features_offset = random.below(arena as usize) as u32;
    parts.header.layout.scratch_offset = random.below(arena as usize + 1) as u32;
    parts.header.schema.parameters = text;
    parts.header.schema.layers = "";
    parts.header.classes = &text[..random.below(text.len() + 1)];
    parts.header.schema.classes = random.bits() as u32;
    parts.header.provenance.model_digest[random.below(32)] = random.bits() as u8;
    if random.below(2) == 0 {
        parts.header.detector = None;
    }
    parts.tensors.clear();
    parts.steps.clear();
    for _ in 0..1 + random.below(40) {
        let elements = random.below(arena as usize + 1);
        let offset = random.below(arena as usize - elements + 1) as u32;
        parts.tensors.push(tensor(TensorKind::Arena, offset, elements));
        let values: Vec<f32> = (0..random.below(50)).map(|_| random.bits() as i32 as f32).collect();
        let blob = push_floats(&mut parts.blobs, &values).expect("short");
        parts.tensors.push(tensor(TensorKind::Blob, blob.offset, values.len()));
    }
    let count = parts.tensors.len();
    parts.header.layout.logits = random.below(count) as u16;
    parts.header.layout.penultimate = [NONE, random.below(count) as u16][random.below(2)];
    parts.params = (0..400 + random.below(1000)).map(|_| random.bits() as u8).collect();
    for _ in 0..random.below(60) {
        let opcode = OpCode::ALL[random.below(OpCode::ALL.len())];
        let offset = random.below(parts.params.len() - params_size(opcode) + 1) as u32;
        let operands: Vec<u16> =
            (0..8).map(|_| [NONE, random.below(count) as u16][random.below(2)]).collect();
        parts.steps.push(step(opcode, U32::new(offset), &operands));
    }
    parts.device_class = DeviceClass::ALL[random.below(DeviceClass::ALL.len())];
    parts.security_counter = random.bits();
    parts
}

#[test]
fn what_is_written_is_read() {
    let seed = setting("GRADGATE_SEED", 0x5EED_0001);
    eprintln!("GRADGATE_SEED={seed}");
    let mut random = Random(seed);
    for case in 0..300 {
        let text: String =
            (0..random.below(300)).map(|_| (b'a' + random.below(26) as u8) as char).collect();
        let parts = random_parts(&mut random, &text);
        let file = write(&parts).unwrap_or_else(|error| panic!("case {case}: {error}"));
        let file = AlignedBytes::from(&file[..]);
        let bundle = Bundle::parse(&file).expect("written by the writer");
        assert_eq!(BundleParts::of(&bundle).expect("known"), parts, "case {case}");
        assert_eq!(
            write(&BundleParts::of(&bundle).expect("known")).expect("valid")[..],
            file[..],
            "case {case}"
        );
    }
}

#[test]
fn accessors_give_the_written_values() {
    let file = changed(|_| ());
    let bundle = Bundle::parse(&file).expect("valid");
    assert_eq!(bundle.opcode(0), Some(OpCode::Preprocess));
    assert_eq!(bundle.opcode(2), None);
    let conv = bundle.params::<ConvParams>(&bundle.steps()[1]).expect("a convolution");
    assert_eq!(conv.output.map(|side| side.get()), [1, 1, 3]);
    assert!(bundle.params::<SquaredNormParams>(&bundle.steps()[1]).is_none(), "another record");
    let weights = bundle.weights(&bundle.tensors()[2]).expect("in the blobs");
    assert_eq!(weights[..3], [-0.5, -0.375, -0.25]);
    assert_eq!(weights.as_ptr() as usize % 16, 0, "read in place");
    assert!(bundle.weights(&bundle.tensors()[0]).is_none(), "in the arena");
    for (offset, elements) in [(4, 1), (0, u32::MAX), (u32::MAX - 15, 1), (1 << 20, 0)] {
        assert!(bundle.floats(BlobRef { offset, elements }).is_none(), "{offset} {elements}");
    }
}

/// Reads everything there is, so that a record that slipped through would panic here.
fn exercise(bundle: &Bundle<'_>) -> usize {
    let mut seen = 0;
    for (index, step) in bundle.steps().iter().enumerate() {
        let opcode = bundle.opcode(index).expect("checked");
        seen += bundle.params::<CopyParams>(step).map_or(0, |p| p.dims.len());
        assert_eq!(bundle.params::<ConvParams>(step).is_some(), {
            params_size(opcode) == size_of::<ConvParams>()
        });
        for operand in step.operands.iter().map(|o| o.get()).filter(|&o| o != NONE) {
            seen += bundle.tensors()[usize::from(operand)].elements.get() as usize;
        }
    }
    for tensor in bundle.tensors() {
        if tensor.kind.get() == TensorKind::Blob as u32 {
            let values = bundle.weights(tensor).expect("checked");
            assert!(values.iter().all(|value| value.is_finite()));
        }
    }
    seen + bundle.self_test().map_or(0, |(frame, bits)| frame.len() + bits.len())
}

fn mutate(file: &mut Vec<u8>, random: &mut Random) {
    let ranges = [(0, 256), (320, 640), (256, file.len()), (0, file.len())];
    for _ in 0..1 + random.below(4) {
        let (first, end) = ranges[random.below(ranges.len())];
        let place = first + random.below(end - first);
        let extremes = [0, 1, 0x7F, 0x80, 0xFF];
        match random.below(4) {
            0 => file[place] ^= 1 << random.below(8),
            1 => file[place] = extremes[random.below(extremes.len())],
            2 => file[place] = random.bits() as u8,
            _ => {
                let from = random.below(file.len() - 8);
                let place = place.min(file.len() - 8);
                file.copy_within(from..from + 8, place);
            }
        }
    }
    match random.below(40) {
        0 => file.truncate(random.below(file.len())),
        1 => file.extend((0..random.below(64)).map(|_| random.bits() as u8)),
        _ => {}
    }
}

#[test]
fn mutated_bytes_never_panic() {
    let seed = setting("GRADGATE_SEED", 0x5EED_0002);
    let count = setting("GRADGATE_FUZZ_COUNT", 100_000);
    eprintln!("GRADGATE_SEED={seed} GRADGATE_FUZZ_COUNT={count}");
    let mut random = Random(seed);
    let valid = changed(|_| ());
    let (mut accepted, mut deep) = (0, 0);
    for _ in 0..count {
        let mut bytes = valid.to_vec();
        mutate(&mut bytes, &mut random);
        let mut file = AlignedBytes::from(&bytes[..]);
        if random.below(8) != 0 && file.len() >= 320 {
            forge_digests(&mut file);
        }
        match Bundle::parse(&file) {
            Ok(bundle) => accepted += usize::from(exercise(&bundle) > 0),
            Err(ParseError::Digest(_) | ParseError::Layout(_)) => {}
            Err(_) => deep += 1,
        }
    }
    eprintln!("accepted {accepted}, refused beyond the digests {deep}, of {count}");
    assert!(deep > 0 && accepted > 0, "mutations must reach the checks behind the digests");
}

#[test]
fn overhead_is_below_the_promise() {
    // ResNet-8's shape: 311 KB of weights, about 60 tensors, 70 steps, 80 names.
    let mut parts = tiny();
    let names: Vec<String> = (0..34).map(|i| format!("resnet.stage{i}.conv1.weight")).collect();
    let names = name_list(names.iter().map(String::as_str)).expect("names");
    parts.header.schema.parameters = &names;
    parts.header.schema.layers = &names;
    parts.header.layout.arena_elements = 10_000;
    for _ in 0..60 {
        let blob = push_floats(&mut parts.blobs, &[0.25; 1300]).expect("short");
        parts.tensors.push(tensor(TensorKind::Blob, blob.offset, 1300));
        parts.tensors.push(tensor(TensorKind::Arena, 0, 4));
    }
    for _ in 0..70 {
        let offset = parts.params.len() as u32;
        parts.params.extend_from_slice(&[0; size_of::<ConvParams>()]);
        parts.steps.push(step(OpCode::Conv, U32::new(offset), &[0]));
    }
    let weights = 60 * 1300 * 4;
    let total = write(&parts).expect("valid").len();
    eprintln!("{total} bytes for {weights} bytes of weights");
    assert!(total as f64 <= 1.03 * f64::from(weights) + 8192.0);
    let file = changed(|_| ());
    assert_eq!(manifest_of(&file).total_bytes.get() as usize, file.len());
}

#[test]
fn lists_hold_only_names_that_can_be_read_back() {
    assert_eq!(name_list(["a", "b c"]).as_deref(), Ok("a\nb c"));
    assert_eq!(name_list([]).as_deref(), Ok(""));
    for bad in ["", "a\nb"] {
        assert_eq!(name_list(["a", bad]), Err(WriteError::Name));
    }
}
