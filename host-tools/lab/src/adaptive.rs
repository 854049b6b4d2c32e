//! Attacks by somebody who knows the detector, and what they say of it.
//!
//! [`run`] attacks classifier and detector together, at several radii, by gradients, by matching
//! what normal images look like, and by blind search; noise is the floor. The slope of a score that
//! reads gradient norms is a second derivative; [`slope`] has it from first derivatives.
//! What counts is decided after rounding to bytes, by the engine in exact numerics: the bits of a
//! device. An image *evades* when it was right and passed before, and is misclassified and passes
//! after.
//!
//! [`Results`] is void unless its sanity checks hold ([`Results::valid`]): a detector looks strong
//! before a weak attack. A valid result bounds the detector's strength from above, never from
//! below.

mod aware;
mod ball;
mod black_box;
mod context;
mod detector;
mod images;
mod matched;
mod network;
mod options;
mod perturbed;
mod results;
mod run;
mod sanity;
mod score;
pub mod slope;
#[cfg(test)]
mod tests;

pub use detector::{NamedDetector, Threshold};
pub use images::images;
pub use network::{Network, Recipe};
pub use options::{Family, Method, Options};
pub use results::{Cell, Clean, DetectorSummary, Fate, Finished, Results, Row};
pub use run::{Event, cells, run};
pub use sanity::{Check, GradientCheck};
