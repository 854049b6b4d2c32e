//! An input that may lie where the result goes.
//!
//! A kernel that takes one reads its index for the last time when it writes that index. So a step
//! may overwrite an input that nothing needs afterwards; which ones, `gradgate_bundle::shape` says.

use super::lanes::run;

/// An input.
#[derive(Clone, Copy, Debug)]
pub enum Operand<'a> {
    /// Left out.
    Absent,
    /// Apart from the result.
    Slice(&'a [f32]),
    /// The result's slice still holds it.
    InPlace,
}

impl<'a> Operand<'a> {
    /// The operand of a part of the result, `length` elements from `at` on.
    pub fn part(&self, at: usize, length: usize) -> Option<Operand<'a>> {
        Some(match self {
            Operand::Absent => Operand::Absent,
            Operand::Slice(values) => Operand::Slice(values.get(at..)?.get(..length)?),
            Operand::InPlace => Operand::InPlace,
        })
    }

    /// The element at `at`; `None` where there is none.
    #[inline(always)]
    pub fn at(&self, at: usize, out: &[f32]) -> Option<f32> {
        match self {
            Operand::Absent => None,
            Operand::Slice(values) => values.get(at).copied(),
            Operand::InPlace => out.get(at).copied(),
        }
    }

    /// `L` neighbours from `at` on; `None` where there are fewer.
    #[inline(always)]
    pub fn take<const L: usize>(&self, at: usize, out: &[f32]) -> Option<[f32; L]> {
        self.run(at, L, out)?.first_chunk().copied()
    }

    /// `length` neighbours from `at` on; `None` where there are fewer.
    #[inline(always)]
    pub fn run<'o>(&self, at: usize, length: usize, out: &'o [f32]) -> Option<&'o [f32]>
    where
        'a: 'o,
    {
        match self {
            Operand::Absent => None,
            Operand::Slice(values) => run(values, at, length),
            Operand::InPlace => run(out, at, length),
        }
    }

    /// Brings the elements from `at` on into `out`, the result's slice from there on.
    #[inline(always)]
    pub fn bring(&self, at: usize, out: &mut [f32]) -> Option<()> {
        match self {
            Operand::Absent => None,
            Operand::Slice(values) => {
                let values = values.get(at..)?.get(..out.len())?;
                out.iter_mut().zip(values).for_each(|(out, value)| *out = *value);
                Some(())
            }
            Operand::InPlace => Some(()),
        }
    }
}
