//! Bundles: the smallest networks of the suite with detector and self-test, and damage to one.

use gradgate_bundle::header::Header;
use gradgate_bundle::manifest::{MANIFEST_BYTES, Manifest};
use gradgate_bundle::write::refresh_digests;
use gradgate_graph::expand::{Label, expand_aligned};
use gradgate_graph::taps::Taps;
use gradgate_tests::cases::{cases, references};
use gradgate_tests::compile_judged;
use gradgate_tests::rng::Rng;
use zerocopy::little_endian::U32;
use zerocopy::{FromBytes, IntoBytes};

use crate::{Seed, seed};

/// Networks among the seeds.
const NETWORKS: usize = 4;

pub fn seeds() -> Vec<Seed> {
    let mut valid: Vec<Seed> = cases()
        .iter()
        .map(|case| {
            let expanded =
                expand_aligned(&case.graph, &Label::Ones, &Taps::all(), &references(&case.graph));
            let elements = case.graph.input.map(|id| case.graph.value(id).elements());
            let mut rng = Rng(5);
            let frames: Vec<Vec<u8>> =
                (0..300).map(|_| rng.bytes(elements.expect("an image"))).collect();
            let bytes = compile_judged(&expanded.expect("a case"), &frames);
            let name = case.name.replace(|c: char| !c.is_ascii_alphanumeric(), "_");
            seed(&format!("valid-{name}.gate"), bytes.to_vec())
        })
        .collect();
    valid.sort_by_key(|(_, bytes)| bytes.len());
    valid.truncate(NETWORKS);
    let file = valid[0].1.clone();
    valid.extend(attacks(&file).map(|(name, bytes)| seed(&format!("attack-{name}.gate"), bytes)));
    valid
}

/// Damage of one kind each, digests right but where these are the matter.
fn attacks(file: &[u8]) -> [(&'static str, Vec<u8>); 10] {
    let manifest = manifest_of(file);
    let place = |span: gradgate_bundle::manifest::Span, at: usize| span.offset.get() as usize + at;
    let (steps, tensors, blobs) = (manifest.steps, manifest.tensors, manifest.blobs);
    [
        ("truncated", file[..file.len() - 1].to_vec()),
        ("extended", [file, &[0]].concat()),
        ("wrong_digest", patched(file, place(blobs, 0), &[0xff], false)),
        ("sections_overlap", with_manifest(file, |m| m.tensors.offset = m.steps.offset)),
        ("length_beyond_the_file", with_manifest(file, |m| m.steps.length = U32::new(u32::MAX))),
        ("nan_weight", patched(file, place(blobs, 0), &f32::NAN.to_le_bytes(), true)),
        ("nan_threshold", nan_threshold(file)),
        ("unknown_operation", patched(file, place(steps, 0), &[0xff; 2], true)),
        ("operand_without_tensor", patched(file, place(steps, 8), &[0xfe, 0xff], true)),
        ("tensor_beyond_the_arena", patched(file, place(tensors, 4), &[0xff; 8], true)),
    ]
}

fn manifest_of(file: &[u8]) -> Manifest {
    Manifest::read_from_prefix(file).expect("a manifest").0
}

fn with_manifest(file: &[u8], change: impl FnOnce(&mut Manifest)) -> Vec<u8> {
    let (mut file, mut manifest) = (file.to_vec(), manifest_of(file));
    change(&mut manifest);
    file[..MANIFEST_BYTES].copy_from_slice(manifest.as_bytes());
    file
}

fn patched(file: &[u8], at: usize, bytes: &[u8], right: bool) -> Vec<u8> {
    let mut file = file.to_vec();
    file[at..at + bytes.len()].copy_from_slice(bytes);
    if right {
        refresh_digests(&mut file);
    }
    file
}

/// A float takes four bytes whatever it is, so the header keeps its length.
fn nan_threshold(file: &[u8]) -> Vec<u8> {
    let span = manifest_of(file).header;
    let bytes = span.of(file).expect("a header");
    let mut header: Header<'_> = postcard::from_bytes(bytes).expect("a header");
    header.detector.as_mut().expect("a detector").threshold = f32::NAN;
    let changed = postcard::to_allocvec(&header).expect("encodes");
    assert_eq!(changed.len(), bytes.len());
    patched(file, span.offset.get() as usize, &changed, true)
}
