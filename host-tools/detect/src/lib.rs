//! Features to detector: fit, calibrate, measure, write the detector file.
//!
//! Flow: [`features::FeatureSet`] (a file of features) -> [`split`] by source -> [`fit()`] of a
//! head on the training part -> [`calibrate`] on frames that fitted nothing ->
//! [`file::DetectorFile`] and a [`fit::FitReport`]. Before it, [`references`] turns gradients of
//! other normal frames into the directions that alignments compare with. Every score is computed
//! by gradgate-engine's own detector code, so that fit time and device agree bit for bit. This
//! crate knows no images (but for [`image_statistics`]) and no networks. Of a bundle it reads the
//! detector, to say why a frame has its score: [`standardised`], [`attribution`], [`heat`].

pub mod attribution;
pub mod binomial;
pub mod calibrate;
mod draw;
pub mod drift;
pub mod error;
pub mod events;
pub mod exact;
pub mod features;
pub mod file;
pub mod fit;
pub mod frontier;
pub mod heads;
pub mod heat;
pub mod image_statistics;
pub mod linear;
pub mod matrix_fit;
pub mod metrics;
pub mod pace;
pub mod plain;
pub mod poisson;
pub mod random;
pub mod references;
pub mod report;
pub mod resplit;
pub mod scorer;
pub mod sequences;
#[cfg(test)]
mod shipped;
pub mod split;
pub mod standardised;
mod tensors;

pub use error::DetectError;
pub use features::{FeatureSet, Metadata};
pub use file::DetectorFile;
pub use fit::{FitOptions, FitReport, fit};
pub use gradgate_bundle::detector::Inputs;
