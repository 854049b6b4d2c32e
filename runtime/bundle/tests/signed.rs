//! Only bytes that the right key signed are admitted, whole or as a stream.

mod common;

use common::{changed, edit_manifest, key, manifest_of};
use ed25519_dalek::{Signature, Verifier};
use gradgate_bundle::Bundle;
use gradgate_bundle::align::AlignedBytes;
use gradgate_bundle::error::{ParseError, Section, VerifyError};
use gradgate_bundle::manifest::{MANIFEST_BYTES, PREFIX_BYTES};
use gradgate_bundle::signature::{VerifiedManifest, VerifyingKey, key_id, verify};
use gradgate_bundle::write::{refresh_digests, sign};
use zerocopy::little_endian::U32;

fn signed() -> AlignedBytes {
    let mut file = changed(|_| ());
    sign(&mut file, &key(1)).expect("long enough");
    file
}

fn refusal(file: &[u8], key: &VerifyingKey) -> VerifyError {
    match verify(file, key) {
        Ok(_) => panic!("the bundle was admitted"),
        Err(error) => error,
    }
}

#[test]
fn the_right_key_admits_and_the_bytes_decode() {
    let file = signed();
    let public = key(1).verifying_key();
    let bundle = Bundle::from_verified(verify(&file, &public).expect("signed")).expect("valid");
    assert_eq!(bundle.manifest().key_id, key_id(&public));
    assert_eq!(bundle.header().provenance.model, "tiny");
}

#[test]
fn unsigned() {
    let file = changed(|_| ());
    assert_eq!(refusal(&file, &key(1).verifying_key()), VerifyError::Unsigned);
    assert!(Bundle::parse(&file).is_ok(), "the host reads unsigned bundles");
}

#[test]
fn wrong_key() {
    let given = key(2).verifying_key();
    let bundle = key_id(&key(1).verifying_key());
    let expected = VerifyError::WrongKey { bundle, given: key_id(&given) };
    assert_eq!(refusal(&signed(), &given), expected);
}

#[test]
fn forged_with_another_key_under_the_right_name() {
    let mut file = signed();
    let mut other = file.clone();
    sign(&mut other, &key(2)).expect("long enough");
    file[MANIFEST_BYTES..PREFIX_BYTES].copy_from_slice(&other[MANIFEST_BYTES..PREFIX_BYTES]);
    assert_eq!(refusal(&file, &key(1).verifying_key()), VerifyError::Forged);
}

#[test]
fn every_bit_of_manifest_and_signature() {
    let mut file = signed();
    let public = key(1).verifying_key();
    let good = file.clone();
    let verified = VerifiedManifest::verify(good.first_chunk().expect("prefix"), &public);
    let verified = verified.expect("signed");
    for place in 0..PREFIX_BYTES {
        for bit in 0..8 {
            file[place] ^= 1 << bit;
            let error = refusal(&file, &public);
            let expected = matches!(error, VerifyError::Forged | VerifyError::WrongKey { .. });
            assert!(expected, "byte {place} bit {bit}: {error}");
            assert_eq!(verified.admit(&file).err(), Some(ParseError::OtherManifest));
            file[place] ^= 1 << bit;
        }
    }
}

#[test]
fn malleated_signature() {
    // S + L verifies where the check S < L is missing (RFC 8032, section 5.1.7).
    const ORDER: [u8; 32] = [
        0xED, 0xD3, 0xF5, 0x5C, 0x1A, 0x63, 0x12, 0x58, 0xD6, 0x9C, 0xF7, 0xA2, 0xDE, 0xF9, 0xDE,
        0x14, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
    ];
    let mut file = signed();
    let mut carry = 0;
    for (place, order) in file[288..320].iter_mut().zip(ORDER) {
        let sum = u16::from(*place) + u16::from(order) + carry;
        (*place, carry) = (sum as u8, sum >> 8);
    }
    assert_eq!(carry, 0);
    assert_eq!(refusal(&file, &key(1).verifying_key()), VerifyError::Forged);
}

#[test]
fn weak_low_order_keys() {
    // The neutral element as key and R, with S = 0, satisfies the plain equation for any message.
    let mut neutral = [0; 32];
    neutral[0] = 1;
    let weak = VerifyingKey::from_bytes(&neutral).expect("a point");
    let mut file = signed();
    edit_manifest(&mut file, |m| m.key_id = key_id(&weak));
    file[MANIFEST_BYTES..PREFIX_BYTES].fill(0);
    file[MANIFEST_BYTES] = 1;
    let signature = Signature::from_slice(&file[MANIFEST_BYTES..PREFIX_BYTES]).expect("64 bytes");
    assert!(weak.verify(&file[..MANIFEST_BYTES], &signature).is_ok(), "the attack is real");
    assert_eq!(refusal(&file, &weak), VerifyError::WeakKey);
    // The other canonical encodings of small order: orders 2 and 4.
    let mut order_two = [0xFF; 32];
    (order_two[0], order_two[31]) = (0xEC, 0x7F);
    for bytes in [order_two, [0; 32]] {
        let weak = VerifyingKey::from_bytes(&bytes).expect("a point");
        assert_eq!(refusal(&file, &weak), VerifyError::WeakKey);
    }
}

#[test]
fn parts_of_two_signed_bundles_do_not_mix() {
    let first = signed();
    let mut second = changed(|parts| parts.blobs[0] ^= 1);
    sign(&mut second, &key(1)).expect("long enough");
    assert_eq!(first.len(), second.len());
    let public = key(1).verifying_key();
    let blobs = manifest_of(&first).blobs.offset.get() as usize;
    let mixed = [&first[..blobs], &second[blobs..]].concat();
    let error = refusal(&mixed, &public);
    assert_eq!(error, VerifyError::Parse(ParseError::Digest(Section::Blobs)));
    let prefix = first.first_chunk().expect("prefix");
    let verified = VerifiedManifest::verify(prefix, &public).expect("signed");
    assert_eq!(verified.admit(&second).err(), Some(ParseError::OtherManifest));
}

#[test]
fn a_signed_but_invalid_manifest_is_refused() {
    let mut file = signed();
    // Signing refuses it, so the signature is made for the bytes at hand.
    edit_manifest(&mut file, |m| m.total_bytes = U32::new(1));
    assert_eq!(sign(&mut file, &key(1)), Err(ParseError::Layout(Section::Blobs)));
    let made = ed25519_dalek::Signer::sign(&key(1), &file[..MANIFEST_BYTES]).to_bytes();
    file[MANIFEST_BYTES..PREFIX_BYTES].copy_from_slice(&made);
    let expected = VerifyError::Parse(ParseError::Layout(Section::Blobs));
    assert_eq!(refusal(&file, &key(1).verifying_key()), expected);
}

#[test]
fn truncated_and_extended() {
    let file = signed();
    let public = key(1).verifying_key();
    for length in (0..file.len()).step_by(7) {
        assert!(matches!(refusal(&file[..length], &public), VerifyError::Parse(_)));
    }
    let longer = [&file[..], &[0]].concat();
    let expected = ParseError::Length { stated: file.len() as u32, found: longer.len() };
    assert_eq!(refusal(&longer, &public), VerifyError::Parse(expected));
}

#[test]
fn streams_in_pieces_of_any_size() {
    let file = signed();
    let public = key(1).verifying_key();
    let verified = VerifiedManifest::verify(file.first_chunk().expect("prefix"), &public);
    let verified = verified.expect("signed");
    for piece in [1, 2, 15, 64, 255, file.len()] {
        let mut stream = verified.stream();
        for bytes in file[PREFIX_BYTES..].chunks(piece) {
            stream.update(bytes).expect("not too long");
        }
        assert_eq!(stream.clone().finish(), Ok(()), "pieces of {piece}");
        assert!(matches!(stream.update(&[0]), Err(ParseError::Length { .. })));
    }
    let mut short = verified.stream();
    short.update(&file[PREFIX_BYTES..file.len() - 1]).expect("not too long");
    assert!(matches!(short.finish(), Err(ParseError::Length { .. })));
}

#[test]
fn signing_is_deterministic_and_replaces() {
    let (first, mut second) = (signed(), signed());
    assert_eq!(&first[..], &second[..]);
    sign(&mut second, &key(2)).expect("long enough");
    assert!(verify(&second, &key(2).verifying_key()).is_ok());
    sign(&mut second, &key(1)).expect("long enough");
    assert_eq!(&first[..], &second[..]);
    refresh_digests(&mut second);
    assert_eq!(&second[..], &changed(|_| ())[..]);
    assert_eq!(sign(&mut [0; 319], &key(1)), Err(ParseError::Short));
}
