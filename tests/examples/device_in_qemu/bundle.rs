//! Bundles for the board: enforcing ones, and those that a device must refuse.

use gradgate_bundle::Bundle;
use gradgate_bundle::align::AlignedBytes;
use gradgate_bundle::header::Policy;
use gradgate_bundle::keys::from_seed;
use gradgate_bundle::manifest::DeviceClass;
use gradgate_bundle::signature::VerifyingKey;
use gradgate_bundle::write::{refresh_digests, sign};
use gradgate_gate::DEFAULT_POLICY;

/// Whose bundles the board takes.
const TRUSTED: [u8; 32] = [1; 32];

/// The public half.
pub fn trusted() -> VerifyingKey {
    from_seed(&TRUSTED).verifying_key()
}

/// Digests of what the bytes are now, signed by whom the board trusts.
pub fn signed(bytes: &[u8]) -> AlignedBytes {
    signed_by(bytes, TRUSTED)
}

/// The same by somebody else.
pub fn foreign(bytes: &[u8]) -> AlignedBytes {
    signed_by(bytes, [2; 32])
}

fn signed_by(bytes: &[u8], seed: [u8; 32]) -> AlignedBytes {
    let mut bytes = AlignedBytes::from(bytes);
    refresh_digests(&mut bytes);
    sign(&mut bytes, &from_seed(&seed)).expect("a manifest");
    bytes
}

/// Makes a bundle with the default policy one whose pin follows the gate, which one BLOCK closes.
pub fn enforcing(bytes: &[u8], frame_period_us: u32) -> AlignedBytes {
    let policy = Policy { enforce: true, frame_period_us, k: 1, ..DEFAULT_POLICY };
    let [mut before, mut after] = [[0; 32]; 2];
    let before = postcard::to_slice(&DEFAULT_POLICY, &mut before).expect("room");
    let after = postcard::to_slice(&policy, &mut after).expect("room");
    assert_eq!(before.len(), after.len(), "a period of another length would move what follows");
    let places: Vec<usize> =
        (0..bytes.len() - before.len()).filter(|at| bytes[*at..].starts_with(before)).collect();
    let [place] = places[..] else { panic!("{} policies in the bundle", places.len()) };
    let mut patched = bytes.to_vec();
    patched[place..place + after.len()].copy_from_slice(after);
    let patched = signed(&patched);
    let bundle = Bundle::parse(&patched).expect("still a bundle");
    assert_eq!(bundle.header().policy, policy);
    assert_eq!(bundle.manifest().device_class, DeviceClass::ALL[0].number());
    patched
}

/// The bundle's own frame.
pub fn own_frame(bytes: &AlignedBytes) -> Vec<u8> {
    let bundle = Bundle::parse(bytes).expect("a bundle");
    bundle.self_test().expect("a self-test").0.to_vec()
}

/// Where the first weights lie in the file.
pub fn weights_at(bytes: &AlignedBytes) -> usize {
    let bundle = Bundle::parse(bytes).expect("a bundle");
    let weights = bundle.tensors().iter().find_map(|tensor| bundle.weights(tensor));
    weights.expect("weights").as_ptr().addr() - bytes.as_ptr().addr()
}

/// Signed, but another bit than it gives is recorded for its own frame.
pub fn other_bits(bytes: &AlignedBytes) -> AlignedBytes {
    let bundle = Bundle::parse(bytes).expect("a bundle");
    let (_, recorded) = bundle.self_test().expect("a self-test");
    let place = recorded.as_ptr().addr() - bytes.as_ptr().addr();
    let mut wrong = bytes.to_vec();
    wrong[place] ^= 1;
    signed(&wrong)
}
