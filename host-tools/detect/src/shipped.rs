//! The bundle of the repository, for tests.

use gradgate_bundle::align::AlignedBytes;

/// Bytes of models/bundles/signs.gate.
pub(crate) fn bundle() -> AlignedBytes {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/bundles/signs.gate");
    AlignedBytes::from(&std::fs::read(path).expect("the shipped bundle")[..])
}
