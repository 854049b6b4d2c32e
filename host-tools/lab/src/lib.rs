//! The laboratory: training, attacks, baselines and protocols, on the same `Graph` as everything
//! else.
//!
//! [`classifier::Classifier`] is the seam: batches of images in, any values of the graph and
//! gradients of the image out, as plain numbers. What stands above it (attacks, detectors,
//! protocols) knows no Burn; what stands below it, [`executor`] on Burn and [`engine_classifier`]
//! on gradgate's own engine, knows no attack. Burn's types appear in [`executor`], [`device`] and
//! the training loop only; [`kernels`] are its loops on a CPU.

pub mod adaptive;
pub mod array;
pub mod attack;
pub mod baseline;
pub mod classifier;
pub mod device;
pub mod engine_classifier;
pub mod error;
pub mod executor;
mod hex;
pub mod host_classifier;
pub mod kernels;
pub mod preprocessed;
pub mod program;
pub mod protocol;
pub mod random;
pub mod train;
pub mod zoo;

pub use array::Array;
pub use classifier::{Classifier, Gradient};
pub use device::Device;
pub use error::LabError;
pub use random::Random;
