//! The laboratory: training, attacks, baselines and protocols, on the same `Graph` as everything
//! else.
//!
//! [`classifier::Classifier`] is the seam: batches of images in, any values of the graph and
//! gradients of the image out, as plain numbers. What stands above it (attacks, detectors,
//! protocols) knows no Burn; what stands below it, [`executor`], knows no attack. Burn's types
//! appear in [`executor`], [`device`] and the training loop only.

pub mod array;
pub mod classifier;
pub mod device;
pub mod error;
pub mod executor;

pub use array::Array;
pub use classifier::{Classifier, Gradient};
pub use device::Device;
pub use error::LabError;
