//! A real bundle in a slot of simulated flash: it runs when the engine gives its recorded bits, and
//! only then, however well it is signed.

use gradgate_bundle::Bundle;
use gradgate_bundle::align::AlignedBytes;
use gradgate_bundle::error::ParseError;
use gradgate_bundle::write::{refresh_digests, sign};
use gradgate_device::flash::{Layout, Region};
use gradgate_device::self_test::{EngineTest, SelfTestFault};
use gradgate_device::sim::{SIM_CLASS, SimFlash, sim_key};
use gradgate_device::slots::{SlotError, Slots};
use gradgate_device::upload::Progress;
use gradgate_device::verify::{Refusal, Trust};
use gradgate_engine::{Engine, RunError};
use gradgate_graph::expand::{Expanded, Label, expand_aligned};
use gradgate_graph::taps::Taps;
use gradgate_tests::cases::{Case, cases, references};
use gradgate_tests::rng::Rng;
use gradgate_tests::{compile, compile_judged};

/// Length of a slot in bytes.
const SLOT_BYTES: u32 = 256 * 1024;

fn layout() -> Layout {
    let region = |address, sectors| Region { address, sector_bytes: 4096, sectors };
    let sectors = SLOT_BYTES / 4096;
    let journal = [region(0, 1), region(4096, 1)];
    let slots = [region(8192, sectors), region(8192 + SLOT_BYTES, sectors)];
    Layout::new(32, 0xFF, journal, slots).expect("a layout that works")
}

fn expanded(case: &Case) -> Expanded {
    let references = references(&case.graph);
    expand_aligned(&case.graph, &Label::Ones, &Taps::all(), &references).expect("a case")
}

fn judged(case: &Case) -> AlignedBytes {
    let elements = case.graph.input.map(|id| case.graph.value(id).elements()).expect("an input");
    let mut rng = Rng(5);
    let frames: Vec<Vec<u8>> = (0..300).map(|_| rng.bytes(elements)).collect();
    compile_judged(&expanded(case), &frames)
}

/// Digests and signature of what the bytes are now.
fn signed(mut bytes: AlignedBytes) -> AlignedBytes {
    refresh_digests(&mut bytes);
    sign(&mut bytes, &sim_key()).expect("a manifest of this version");
    bytes
}

/// Whether an update ran the bundle, and what the last self-test said.
type Outcome = (Result<(), SlotError>, Option<SelfTestFault>);

/// With more memory than any case wants.
fn update(bundle: &[u8]) -> Outcome {
    update_in(&mut AlignedBytes::zeroed(SLOT_BYTES as usize), 1 << 18, bundle)
}

/// Takes a bundle through an update and a second start.
fn update_in(memory: &mut [u8], arena_elements: usize, bundle: &[u8]) -> Outcome {
    let trust = Trust {
        key: sim_key().verifying_key(),
        device_class: SIM_CLASS,
        counter_floor: 0,
        arena_bytes_max: 1 << 20,
    };
    let mut arena = vec![f32::NAN; arena_elements];
    let mut test = EngineTest::new(memory, &mut arena);
    let mut slots = Slots::boot(SimFlash::new(&layout(), 1), layout(), trust.clone(), &mut test);
    let mut progress = slots.begin(bundle.first_chunk().expect("long enough")).expect("signed");
    while progress != Progress::Finish {
        progress = match progress {
            Progress::Write { offset } => slots.write(offset, &bundle[offset as usize..]),
            _ => slots.prepare(),
        }
        .expect("no faults of flash");
    }
    let outcome = slots.finish().and_then(|()| slots.activate(&mut test)).map(drop);
    if outcome.is_ok() {
        assert_eq!(slots.confirm(), Ok(()));
        let again = Slots::boot(slots.into_flash(), layout(), trust, &mut test);
        assert!(again.active().is_some_and(|active| !active.trial));
    } else {
        assert!(slots.active().is_none());
    }
    (outcome, test.fault())
}

const REFUSED: Result<(), SlotError> = Err(SlotError::Refused(Refusal::SelfTest));

#[test]
fn bundles_that_give_their_recorded_bits_run() {
    for case in cases() {
        let bundle = signed(judged(&case));
        assert_eq!(update(&bundle), (Ok(()), None), "{}", case.name);
    }
}

#[test]
fn other_bits_are_refused_though_signed() {
    let bytes = judged(&cases()[0]);
    let bundle = Bundle::parse(&bytes).expect("own bundle");
    let place = |values: &[f32]| values.as_ptr().addr() - bytes.as_ptr().addr();
    let (_, recorded) = bundle.self_test().expect("a self-test");
    let weights = |tensor: &&_| bundle.weights(tensor).is_some();
    let kernel = bundle.tensors().iter().find(weights).expect("a weight");
    let kernel = place(bundle.weights(kernel).expect("a weight"));
    let mut expected: Vec<_> = (0..recorded.len())
        .map(|index| (place(recorded) + 4 * index, SelfTestFault::Bits { index }))
        .collect();
    // The upper mantissa of the first weight: the first logit is another.
    expected.push((kernel + 2, SelfTestFault::Bits { index: 0 }));
    for (byte, fault) in expected {
        let mut wrong = bytes.clone();
        wrong[byte] ^= 1;
        assert_eq!(update(&signed(wrong)), (REFUSED, Some(fault)), "byte {byte}");
        // With the digests of the right bytes it does not even come that far.
        let mut wrong = signed(bytes.clone());
        wrong[byte] ^= 1;
        let (outcome, _) = update(&wrong);
        assert!(matches!(outcome, Err(SlotError::Refused(Refusal::Damaged(_)))), "byte {byte}");
    }
}

#[test]
fn a_bundle_without_a_self_test_is_refused() {
    let bundle = signed(compile(&expanded(&cases()[0]), false).bytes);
    assert_eq!(update(&bundle), (REFUSED, Some(SelfTestFault::Absent)));
}

#[test]
fn memory_that_is_short_or_begins_elsewhere_is_refused() {
    let bundle = signed(judged(&cases()[0]));
    let engine = Engine::load(Bundle::parse(&bundle).expect("own bundle")).expect("own plan");
    let (length, elements) = (bundle.len(), engine.arena_elements());
    let bytes = length as u32;
    let run = RunError::Arena { expected: elements, found: elements - 1 };
    // First byte, length, elements.
    let cases = [
        (0, length, elements, None),
        (0, length, elements - 1, Some(SelfTestFault::Run(run))),
        (4, length, elements, Some(SelfTestFault::Parse(ParseError::Misaligned))),
        (0, length - 1, elements, Some(SelfTestFault::Load(Refusal::Length { bytes }))),
    ];
    for (first, length, elements, fault) in cases {
        let mut memory = AlignedBytes::zeroed(first + length);
        let outcome = if fault.is_some() { REFUSED } else { Ok(()) };
        assert_eq!(update_in(&mut memory[first..], elements, &bundle), (outcome, fault));
    }
}
