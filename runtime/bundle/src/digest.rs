//! SHA-256 of bytes and of the feature schema.

use sha2::{Digest, Sha256};

use crate::header::Schema;

/// SHA-256.
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// Identity of a feature schema, in manifests, feature files and detector files alike.
///
/// SHA-256 over `gradgate schema 1` and a zero byte, then the lists of parameters, layers and
/// alignments, each as its length in bytes (u32 little-endian) and its bytes, then classes and
/// penultimate (u32 little-endian), folded and products_kept (one byte each, 0 or 1).
pub fn schema_digest(schema: &Schema<'_>) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(b"gradgate schema 1\0");
    for list in [schema.parameters, schema.layers, schema.alignments] {
        // A list longer than 4 GiB fits in no bundle.
        let length = u32::try_from(list.len()).unwrap_or(u32::MAX);
        hash.update(length.to_le_bytes());
        hash.update(list.as_bytes());
    }
    hash.update(schema.classes.to_le_bytes());
    hash.update(schema.penultimate.to_le_bytes());
    hash.update([u8::from(schema.folded), u8::from(schema.products_kept)]);
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sha256_of_abc_is_the_published_one() {
        // FIPS 180-4, example B.1.
        let digest = sha256(b"abc");
        assert_eq!(digest[..4], [0xBA, 0x78, 0x16, 0xBF]);
        assert_eq!(digest[28..], [0xF2, 0x00, 0x15, 0xAD]);
    }

    #[test]
    fn every_field_changes_the_schema_digest() {
        let base = Schema {
            parameters: "a\nb",
            layers: "c",
            alignments: "",
            classes: 10,
            penultimate: 64,
            folded: false,
            products_kept: false,
        };
        let others = [
            Schema { parameters: "a\nbc", layers: "", ..base.clone() },
            Schema { parameters: "a", layers: "b\nc", ..base.clone() },
            Schema { layers: "", alignments: "c", ..base.clone() },
            Schema { classes: 11, ..base.clone() },
            Schema { penultimate: 0, ..base.clone() },
            Schema { folded: true, ..base.clone() },
            Schema { products_kept: true, ..base.clone() },
        ];
        for other in others {
            assert_ne!(schema_digest(&base), schema_digest(&other), "{other:?}");
        }
    }
}
