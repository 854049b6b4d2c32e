//! Bounds on what a model may ask for, so that a hostile file costs bounded memory and time.

use super::error::{Fault, Outcome};

/// Upper bounds; every one is checked before the memory it bounds is taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the model file. Default 1 GiB.
    pub file_bytes: u64,
    /// Bytes of all external data files together. Default 4 GiB.
    pub external_bytes: u64,
    /// Protobuf messages and strings in the file. Default 2,000,000.
    pub messages: u64,
    /// Bytes of varint-packed integers, which grow up to eightfold in memory. Default 64 MiB.
    pub packed_bytes: u64,
    /// Nodes of the graph. Default 100,000.
    pub nodes: usize,
    /// Elements of one value, stored, computed or activation. Default 2^27.
    pub elements: usize,
    /// Elements of all constants that the graph needs, computed ones included. Default 2^29.
    pub total_elements: usize,
    /// Axes of a value. Default 8.
    pub rank: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            file_bytes: 1 << 30,
            external_bytes: 4 << 30,
            messages: 2_000_000,
            packed_bytes: 64 << 20,
            nodes: 100_000,
            elements: 1 << 27,
            total_elements: 1 << 29,
            rank: 8,
        }
    }
}

impl Limits {
    /// Element count of a shape, refused when rank or count is over the limit.
    pub(super) fn volume(&self, shape: &[usize]) -> Outcome<usize> {
        if shape.len() > self.rank {
            let what = format!("rank {} of a value", shape.len());
            return Err(Fault::Limit { what, limit: self.rank as u64 });
        }
        // A zero length must not hide an overflow of the other axes: they are allocated nowhere,
        // but later arithmetic multiplies some of them.
        let fits =
            shape.iter().map(|&length| length.max(1)).try_fold(1_usize, |product, length| {
                product.checked_mul(length).filter(|&count| count <= self.elements)
            });
        if fits.is_none() {
            let what = format!("element count of a value of shape {shape:?}");
            return Err(Fault::Limit { what, limit: self.elements as u64 });
        }
        Ok(shape.iter().product())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn volume_is_checked() {
        let limits = Limits::default();
        for (shape, expected) in [
            (vec![], Some(1)),
            (vec![2, 3], Some(6)),
            (vec![0, 3], Some(0)),
            (vec![1 << 27], Some(1 << 27)),
            (vec![1 << 27, 2], None),
            (vec![0, usize::MAX, 2], None),
            (vec![usize::MAX, usize::MAX], None),
            (vec![1; 9], None),
        ] {
            assert_eq!(limits.volume(&shape).ok(), expected, "{shape:?}");
        }
    }
}
