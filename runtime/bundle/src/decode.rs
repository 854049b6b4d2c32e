//! The header's bytes to a [`Header`], by hand: what serde derives for it takes some 2 KB
//! more of a device's flash.
//!
//! The encoding is postcard's, which the writer uses through serde: whole numbers as LEB128, floats
//! as four bytes, little-endian, a string as its length and its bytes, an option as 0 or as 1 and
//! its value, a variant as its number, structs, tuples and arrays as their parts in order. A test
//! holds this against postcard on every prefix and every changed byte of a header.

#![cfg_attr(
    not(test),
    deny(
        clippy::indexing_slicing,
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::arithmetic_side_effects
    )
)]

use crate::detector::{
    Composite, Detector, Energy, FeatureShape, Gaussian, Head, Inputs, Mlp, Prototypes, Table,
};
use crate::header::{BlobRef, Evidence, Header, Layout, Policy, Provenance, Schema, SelfTest};

/// Bits of a LEB128 byte.
const GROUP: u32 = 7;

/// The bytes that are left.
pub struct Reader<'a> {
    rest: &'a [u8],
}

/// A part of a header.
type Part<'a, T> = fn(&mut Reader<'a>) -> Option<T>;

impl<'a> Reader<'a> {
    /// All of them.
    pub fn new(bytes: &'a [u8]) -> Self {
        Reader { rest: bytes }
    }

    /// Whether none is left.
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// A whole header; `None` where the bytes are none.
    pub fn header(&mut self) -> Option<Header<'a>> {
        Some(Header {
            provenance: self.provenance()?,
            schema: self.schema()?,
            classes: self.text()?,
            preprocessing: self.text()?,
            label: self.text()?,
            layout: self.layout()?,
            detector: self.optional(Self::detector)?,
            evidence: self.evidence()?,
            policy: self.policy()?,
            self_test: self.optional(Self::self_test)?,
        })
    }

    fn provenance(&mut self) -> Option<Provenance<'a>> {
        Some(Provenance {
            model: self.text()?,
            model_digest: *self.array()?,
            detector_digest: *self.array()?,
            tool: self.text()?,
            references_digest: *self.array()?,
        })
    }

    fn schema(&mut self) -> Option<Schema<'a>> {
        Some(Schema {
            parameters: self.text()?,
            layers: self.text()?,
            alignments: self.text()?,
            classes: self.word()?,
            penultimate: self.word()?,
            folded: self.flag()?,
            products_kept: self.flag()?,
        })
    }

    fn layout(&mut self) -> Option<Layout> {
        Some(Layout {
            arena_elements: self.word()?,
            features_offset: self.word()?,
            logits: self.half()?,
            penultimate: self.half()?,
            scratch_offset: self.word()?,
        })
    }

    fn evidence(&mut self) -> Option<Evidence<'a>> {
        Some(Evidence {
            false_alarm_rate: self.float()?,
            confidence: self.float()?,
            calibration: [self.word()?, self.word()?],
            calibration_sources: self.word()?,
            audit: [self.word()?, self.word()?],
            source: self.text()?,
        })
    }

    fn policy(&mut self) -> Option<Policy> {
        Some(Policy {
            enforce: self.flag()?,
            frame_period_us: self.word()?,
            k: self.byte()?,
            m: self.byte()?,
            n: self.byte()?,
            lease_periods: self.byte()?,
            frozen_frames: self.byte()?,
        })
    }

    fn self_test(&mut self) -> Option<SelfTest> {
        Some(SelfTest {
            frame_offset: self.word()?,
            frame_bytes: self.word()?,
            expected: self.blob()?,
        })
    }

    fn detector(&mut self) -> Option<Detector> {
        Some(Detector {
            inputs: Inputs(self.byte()?),
            shape: self.shape()?,
            mean: self.blob()?,
            inverse_std: self.blob()?,
            head: self.head()?,
            p_values: self.table()?,
            threshold: self.float()?,
            caution: self.optional(Self::float)?,
        })
    }

    fn shape(&mut self) -> Option<FeatureShape> {
        Some(FeatureShape {
            norms: self.word()?,
            layers: self.word()?,
            alignments: self.word()?,
            classes: self.word()?,
            penultimate: self.word()?,
        })
    }

    fn head(&mut self) -> Option<Head> {
        Some(match self.word()? {
            0 => Head::Mlp(Mlp {
                hidden: self.word()?,
                w1: self.blob()?,
                b1: self.blob()?,
                w2: self.blob()?,
                b2: self.float()?,
            }),
            1 => Head::Gaussian(self.gaussian()?),
            2 => Head::Prototypes(self.prototypes()?),
            3 => Head::Energy(self.energy()?),
            4 => Head::Composite(Composite {
                gaussian: self.optional(|r| Some((r.gaussian()?, r.table()?)))?,
                prototypes: self.optional(|r| Some((r.prototypes()?, r.table()?)))?,
                energy: self.optional(|r| Some((r.energy()?, r.table()?)))?,
                confidence: self.optional(Self::table)?,
            }),
            _ => return None,
        })
    }

    fn gaussian(&mut self) -> Option<Gaussian> {
        Some(Gaussian { means: self.blob()?, whitening: self.blob()? })
    }

    fn prototypes(&mut self) -> Option<Prototypes> {
        Some(Prototypes { per_class: self.word()?, vectors: self.blob()? })
    }

    fn energy(&mut self) -> Option<Energy> {
        Some(Energy { median: self.float()?, below: self.float()?, above: self.float()? })
    }

    fn table(&mut self) -> Option<Table> {
        Some(Table { scores: self.blob()?, levels: self.blob()? })
    }

    #[inline(never)]
    fn blob(&mut self) -> Option<BlobRef> {
        Some(BlobRef { offset: self.word()?, elements: self.word()? })
    }

    fn optional<T>(&mut self, part: Part<'a, T>) -> Option<Option<T>> {
        match self.flag()? {
            true => Some(Some(part(self)?)),
            false => Some(None),
        }
    }

    #[inline(never)]
    fn text(&mut self) -> Option<&'a str> {
        let length = self.word()? as usize;
        let (text, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        core::str::from_utf8(text).ok()
    }

    fn flag(&mut self) -> Option<bool> {
        match self.byte()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }

    #[inline(never)]
    fn float(&mut self) -> Option<f32> {
        Some(f32::from_le_bytes(*self.array()?))
    }

    fn half(&mut self) -> Option<u16> {
        u16::try_from(self.number(u16::MAX.into())?).ok()
    }

    fn word(&mut self) -> Option<u32> {
        self.number(u32::MAX)
    }

    /// A whole number up to `largest`, in no more bytes than that one takes.
    #[inline(never)]
    fn number(&mut self, largest: u32) -> Option<u32> {
        let (mut value, mut shift) = (0, 0);
        loop {
            let byte = self.byte()?;
            let group = u32::from(byte & 0x7F);
            if group > largest.checked_shr(shift)? {
                return None;
            }
            value |= group.checked_shl(shift)?;
            if byte < 0x80 {
                return (value <= largest).then_some(value);
            }
            shift = shift.checked_add(GROUP)?;
            if largest.checked_shr(shift)? == 0 {
                return None;
            }
        }
    }

    fn byte(&mut self) -> Option<u8> {
        let [byte] = self.array()?;
        Some(*byte)
    }

    fn array<const N: usize>(&mut self) -> Option<&'a [u8; N]> {
        let (array, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(array)
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec::Vec;

    fn blob(offset: u32) -> BlobRef {
        BlobRef { offset, elements: offset / 3 }
    }

    fn heads() -> [Head; 6] {
        let table = Table { scores: blob(128), levels: blob(16_384) };
        let gaussian = Gaussian { means: blob(1), whitening: blob(u32::MAX) };
        let prototypes = Prototypes { per_class: 3, vectors: blob(300) };
        let energy = Energy { median: -1.5, below: 0.25, above: 3.0 };
        let none = Composite { gaussian: None, prototypes: None, energy: None, confidence: None };
        [
            Head::Mlp(Mlp { hidden: 7, w1: blob(0), b1: blob(5), w2: blob(9), b2: 1e-3 }),
            Head::Gaussian(gaussian.clone()),
            Head::Prototypes(prototypes.clone()),
            Head::Energy(energy),
            Head::Composite(none),
            Head::Composite(Composite {
                gaussian: Some((gaussian, table)),
                prototypes: Some((prototypes, table)),
                energy: Some((energy, table)),
                confidence: Some(table),
            }),
        ]
    }

    fn header(head: Option<Head>, self_test: bool) -> Header<'static> {
        let provenance = Provenance {
            model: "net",
            model_digest: [0xA5; 32],
            detector_digest: [0; 32],
            tool: "tool 1",
            references_digest: [7; 32],
        };
        let schema = Schema {
            parameters: "a\nb",
            layers: "",
            alignments: "größe",
            classes: 10,
            penultimate: 64,
            folded: true,
            products_kept: false,
        };
        let shape =
            FeatureShape { norms: 1, layers: 2, alignments: 300, classes: 4, penultimate: 5 };
        let detector = head.map(|head| Detector {
            inputs: Inputs(3),
            shape,
            mean: blob(64),
            inverse_std: blob(80),
            head,
            p_values: Table { scores: blob(96), levels: blob(112) },
            threshold: 2.5,
            caution: self_test.then_some(1.5),
        });
        Header {
            provenance,
            schema,
            classes: "x\ny",
            preprocessing: "range=0,1",
            label: "ones",
            layout: Layout {
                arena_elements: 70_000,
                features_offset: 128,
                logits: 200,
                penultimate: u16::MAX,
                scratch_offset: 1 << 28,
            },
            detector,
            evidence: Evidence {
                false_alarm_rate: 0.01,
                confidence: 0.95,
                calibration: [1000, 7],
                calibration_sources: 10,
                audit: [0, 0],
                source: "normal",
            },
            policy: Policy {
                enforce: true,
                frame_period_us: 33_333,
                k: 3,
                m: 5,
                n: 200,
                lease_periods: 9,
                frozen_frames: 0,
            },
            self_test: self_test.then_some(SelfTest {
                frame_offset: 16,
                frame_bytes: 3072,
                expected: blob(4096),
            }),
        }
    }

    /// The header and what is left, by postcard and by hand.
    fn agree(bytes: &[u8]) {
        let expected = postcard::take_from_bytes::<Header<'_>>(bytes).ok();
        let mut reader = Reader::new(bytes);
        let found = reader.header().map(|header| (header, reader.rest));
        // Text, as a NaN is not equal to itself.
        assert_eq!(std::format!("{found:?}"), std::format!("{expected:?}"), "{bytes:?}");
    }

    #[test]
    fn every_prefix_and_every_changed_byte_is_read_as_postcard_reads_it() {
        let heads = heads().into_iter().map(Some).chain([None]);
        for (head, self_test) in heads.flat_map(|head| [(head.clone(), false), (head, true)]) {
            let bytes: Vec<u8> = postcard::to_allocvec(&header(head, self_test)).unwrap();
            for length in 0..=bytes.len() {
                agree(&bytes[..length]);
            }
            for at in 0..bytes.len() {
                for byte in [0, 1, 2, 5, 0x0F, 0x10, 0x7F, 0x80, 0x83, 0xFF] {
                    let mut changed = bytes.clone();
                    changed[at] = byte;
                    agree(&changed);
                }
            }
        }
    }

    #[test]
    fn numbers_are_bounded_as_in_postcard() {
        let mut numbers: Vec<Vec<u8>> = Vec::new();
        for length in 0..6 {
            for last in [0x00, 0x01, 0x03, 0x04, 0x0F, 0x10, 0x7F, 0x80] {
                let mut bytes = std::vec![0xFF; length];
                bytes.push(last);
                numbers.push(bytes);
            }
        }
        for bytes in &numbers {
            let word = postcard::from_bytes::<u32>(bytes).ok();
            assert_eq!(Reader::new(bytes).word(), word, "{bytes:?}");
            let half = postcard::from_bytes::<u16>(bytes).ok();
            assert_eq!(Reader::new(bytes).half(), half, "{bytes:?}");
        }
    }
}
