//! The door of bundles: as they are, and with digests forged, so that damage reaches what lies
//! behind them.

use allocation_counter::measure;
use gradgate_bundle::Bundle;
use gradgate_bundle::align::AlignedBytes;
use gradgate_bundle::digest::schema_digest;
use gradgate_bundle::header::Header;
use gradgate_bundle::manifest::{MANIFEST_BYTES, Manifest};
use gradgate_bundle::write::refresh_digests;
use gradgate_engine::{Engine, Frame};
use zerocopy::little_endian::U32;
use zerocopy::{FromBytes, IntoBytes};

/// Larger arenas, in f32 elements, are not run.
const ARENA_MAX: usize = 16 << 10;

/// Plans with more element pairs are not run: no kernel does more work than the product of its two
/// largest tensors.
const PAIRS_MAX: u64 = 1 << 22;

/// Reads the bundle as it is; then makes its lengths and digests right, loads it, and runs it where
/// that is cheap: what was loaded cannot fail.
pub(super) fn read(bytes: &[u8]) -> bool {
    let mut file = AlignedBytes::from(bytes);
    let accepted = load(&file).is_some();
    forge(&mut file);
    if let Some(engine) = load(&file).filter(is_cheap) {
        run(&engine);
    }
    accepted
}

fn load(file: &[u8]) -> Option<Engine<'_>> {
    let mut engine = None;
    let taken = measure(|| engine = Bundle::parse(file).ok().and_then(|b| Engine::load(b).ok()));
    assert_eq!(taken.count_total, 0, "reading and loading allocate");
    engine
}

/// Whether a run takes little time and memory.
pub(super) fn is_cheap(engine: &Engine<'_>) -> bool {
    let bundle = engine.bundle();
    let elements = |operand: u16| bundle.tensors().get(usize::from(operand)).map(|t| t.elements);
    let pairs = bundle.steps().iter().map(|step| {
        let operands = step.operands.iter().filter_map(|operand| elements(operand.get()));
        let mut lengths: Vec<u64> = operands.map(|length| u64::from(length.get())).collect();
        lengths.sort_unstable();
        lengths.iter().rev().take(2).product::<u64>()
    });
    engine.arena_elements() <= ARENA_MAX
        && engine.frame_length() <= ARENA_MAX
        && pairs.fold(0, u64::saturating_add) <= PAIRS_MAX
}

/// The self-test's frame where there is one, else a ramp: the engine must take it, whatever it
/// finds.
pub(super) fn run(engine: &Engine<'_>) {
    let mut arena = vec![0.0; engine.arena_elements()];
    let ramp: Vec<u8> = (0..engine.frame_length()).map(|i| i as u8).collect();
    let frame = engine.bundle().self_test().map_or(ramp.as_slice(), |(frame, _)| frame);
    engine.judge(Frame::U8(frame), &mut arena).expect("a loaded bundle runs");
}

/// States the true length and digests; a cut or longer file changes the blobs' length.
fn forge(file: &mut [u8]) {
    let length = file.len();
    edit(file, |manifest| {
        let blobs = (length as u64).checked_sub(u64::from(manifest.blobs.offset.get()));
        if let (Ok(total), Some(Ok(blobs))) = (u32::try_from(length), blobs.map(u32::try_from)) {
            manifest.total_bytes = U32::new(total);
            manifest.blobs.length = U32::new(blobs);
        }
    });
    refresh_digests(file);
    let Ok((manifest, _)) = Manifest::read_from_prefix(file) else {
        return;
    };
    let header = manifest.header.of(file).and_then(|b| postcard::from_bytes::<Header<'_>>(b).ok());
    if let Some(digest) = header.map(|header| schema_digest(&header.schema)) {
        edit(file, |manifest| manifest.schema_digest = digest);
    }
}

fn edit(file: &mut [u8], change: impl FnOnce(&mut Manifest)) {
    let Ok((mut manifest, _)) = Manifest::read_from_prefix(file) else {
        return;
    };
    change(&mut manifest);
    file[..MANIFEST_BYTES].copy_from_slice(manifest.as_bytes());
}
