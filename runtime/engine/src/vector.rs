//! Convolutions, their input gradients and weight norms on sixteen lanes.
//!
//! The same sums in the same order as in `kernels`, bit for bit in exact numerics, but with the
//! borders of the source filled in a workspace, so that every pixel sees the same taps and the
//! inner loops have no conditions. A tap in the padding adds a product with +0, which changes
//! nothing: a sum that began at +0 is never -0, and weights are finite constants (the
//! bundle's reader and the loader see to it).
//!
//! A step falls into parts that write apart, one a thread: rows of pixels, or blocks of outputs.

pub mod activation;
pub mod conv;
pub mod conv_input_gradient;
pub mod conv_weight_norm;
pub mod lattice;
pub mod pixel_gram;
pub mod source;
pub mod squared_norm;
pub mod staged;
pub mod tile;
pub mod winograd;

use core::array;

use gradgate_bundle::shape::{ConvShape, METHOD_PIXEL_GRAM, Parameters};

use crate::compute::{Compute, Workers};
use crate::isa::{Isa, Kernel, Numerics};

/// Parts of a step at most: more threads than this do not help the networks that this is for.
const PARTS_MAX: usize = 16;

/// Multiply-adds under which a step is not worth waking threads for: some ten microseconds.
const MACS_MIN: u64 = 300_000;

/// The caller's choice where there is an instruction set.
#[derive(Clone, Copy)]
pub struct Vector<'a> {
    isa: Isa,
    numerics: Numerics,
    workers: Option<&'a dyn Workers>,
    /// Whether the caller keeps the weights as the kernels read them.
    prepared: bool,
}

impl<'a> Vector<'a> {
    /// `None` for the scalar kernels.
    pub fn new(compute: &Compute<'a>) -> Option<Vector<'a>> {
        let Compute { numerics, workers, .. } = *compute;
        let prepared = !compute.prepared.is_empty();
        Some(Vector { isa: compute.isa?, numerics, workers, prepared })
    }

    /// The caller's numerics; fast ones may form sums in another way than the definition's.
    pub fn numerics(&self) -> Numerics {
        self.numerics
    }

    /// Threads.
    fn threads(&self) -> usize {
        self.workers.map_or(1, |workers| workers.count().clamp(1, PARTS_MAX))
    }

    /// Parts of a step of so many rows, or blocks.
    fn parts(&self, s: &ConvShape, units: usize) -> usize {
        if s.macs() < MACS_MIN { 1 } else { self.threads().min(units).max(1) }
    }

    /// Runs one kernel.
    pub fn run<K: Kernel>(&self, kernel: K) -> K::Output {
        self.isa.run(self.numerics, kernel)
    }

    /// Runs up to [`PARTS_MAX`] kernels, on all threads. `None` when one of them gave that.
    fn all<K: Kernel<Output = Option<()>> + Send>(
        &self,
        mut kernels: impl Iterator<Item = K>,
    ) -> Option<()> {
        let (Some(workers), 2..) = (self.workers, self.threads()) else {
            return kernels.try_for_each(|kernel| self.run(kernel));
        };
        let (isa, numerics) = (self.isa, self.numerics);
        let mut kernels: [Option<K>; PARTS_MAX] = array::from_fn(|_| kernels.next());
        let count = kernels.iter().flatten().count();
        let mut done = [false; PARTS_MAX];
        let mut slots = kernels.iter_mut().zip(&mut done);
        let mut tasks: [_; PARTS_MAX] = array::from_fn(|_| {
            let mut slot = slots.next();
            move || {
                if let Some((kernel, done)) = &mut slot
                    && let Some(kernel) = kernel.take()
                {
                    **done = isa.run(numerics, kernel).is_some();
                }
            }
        });
        let mut tasks = tasks.each_mut().map(|task| task as &mut (dyn FnMut() + Send));
        workers.run(tasks.get_mut(..count)?);
        done.get(..count)?.iter().all(|done| *done).then_some(())
    }

    /// Elements of workspace that a step needs.
    pub fn workspace(&self, parameters: &Parameters<'_>) -> usize {
        let conv_shape = |p| ConvShape::new(p).ok();
        match *parameters {
            Parameters::Conv(p) => conv_shape(p).map_or(0, |s| conv::workspace(&s, self)),
            Parameters::ConvInputGradient(p) => {
                conv_shape(p).map_or(0, |s| conv_input_gradient::workspace(&s, self))
            }
            Parameters::ConvWeightNorm(p) => {
                conv_shape(&p.conv).map_or(0, |s| match p.method.get() == METHOD_PIXEL_GRAM {
                    true => pixel_gram::workspace(&s),
                    false => conv_weight_norm::workspace(&s, self),
                })
            }
            _ => 0,
        }
    }
}

/// Elements of a step's weights as its kernel reads them; 0 where it takes them as they are.
pub fn prepared_elements(parameters: &Parameters<'_>, numerics: Numerics) -> usize {
    match *parameters {
        Parameters::Conv(p) => {
            ConvShape::new(p).map_or(0, |s| conv::prepared_elements(&s, numerics))
        }
        Parameters::ConvInputGradient(p) => {
            ConvShape::new(p).map_or(0, |s| conv_input_gradient::prepared_elements(&s, numerics))
        }
        _ => 0,
    }
}

/// Writes them.
pub fn prepare(
    parameters: &Parameters<'_>,
    numerics: Numerics,
    w: &[f32],
    out: &mut [f32],
) -> Option<()> {
    let isa = Isa::best()?;
    match *parameters {
        Parameters::Conv(p) => conv::prepare(isa, &ConvShape::new(p).ok()?, w, out),
        Parameters::ConvInputGradient(p) => {
            conv_input_gradient::prepare(isa, numerics, &ConvShape::new(p).ok()?, w, out)
        }
        _ => None,
    }
}

/// Cuts `parts` pieces that cover `units` units of `size` elements; the first ones are the longer.
fn pieces(
    values: &mut [f32],
    units: usize,
    size: usize,
    parts: usize,
) -> impl Iterator<Item = (usize, &mut [f32])> {
    let mut rest = values;
    spans(units, parts).map_while(move |(first, count)| {
        let taken = core::mem::take(&mut rest);
        let length = (count * size).min(taken.len());
        let (piece, behind) = taken.split_at_mut_checked(length)?;
        rest = behind;
        Some((first, piece))
    })
}

/// First unit and units of each of `parts` parts; the first ones are the larger.
fn spans(units: usize, parts: usize) -> impl Iterator<Item = (usize, usize)> {
    let mut first = 0;
    (0..parts.max(1)).map_while(move |part| {
        let left = units.checked_sub(first)?;
        let count = left.div_ceil(parts.max(1) - part);
        let at = first;
        first += count;
        (count > 0).then_some((at, count))
    })
}
