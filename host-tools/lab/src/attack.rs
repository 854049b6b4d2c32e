//! Attacks on a [`Classifier`](crate::Classifier): images in 0..1 in, images that it gets wrong
//! out.
//!
//! [`resolve`] makes an [`Attack`] of a method, the preset whose numbers it takes, and what the
//! user chose instead; [`run`] lets it loose on any number of images. Each image is a
//! [`search::Search`] of its own that asks the classifier and gets answers, so results depend
//! neither on the batch, nor on the order, nor on a constant added to all logits. Losses and
//! directions are computed here, in f64 ([`loss`]); the network's normalisation belongs inside the
//! model, or in front of it as [`crate::preprocessed::Preprocessed`].
//!
//! What comes back: FGSM, BIM, PGD, IterLL and `semantic-negative` give their last image also
//! where the goal was missed; C&W, `semantic-hsv` and Square give the clean image then. Either way
//! the [`Status`] says so.

pub mod carlini_wagner;
pub mod checkpoint;
mod choice;
pub mod file;
pub mod iterative_sign;
pub mod loss;
mod names;
mod options;
mod presets;
mod run;
pub mod search;
pub mod semantic;
pub mod square;
mod subject;
mod summary;

pub use choice::{Choice, resolve};
pub use options::{Attack, CleanWrong, Goal, Kind, Labels, Method, Target};
pub use presets::Preset;
pub use run::{Work, run};
pub use subject::{Outcome, Status, Subject, distortion};
pub use summary::Summary;
