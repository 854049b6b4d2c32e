//! What all attacks of a run share, and the best image found so far.

use gradgate_detect::scorer::Scorer;

use crate::attack::Subject;
use crate::error::LabError;

use super::ball::Ball;
use super::detector::NamedDetector;
use super::network::{Engines, Judged};
use super::options::Options;
use super::slope::Slope;

/// What all attacks share.
pub(crate) struct Context<'c> {
    pub options: &'c Options,
    pub engines: &'c Engines<'c>,
    pub detectors: &'c [NamedDetector],
    pub slopes: Vec<Slope<'c>>,
    /// As the device computes the scores.
    pub scorers: &'c [Scorer],
    /// What normal images look like to the classifier.
    pub normal: Normal,
}

/// Logits of normal images.
#[derive(Clone, Debug, Default)]
pub(crate) struct Normal {
    /// Median energy.
    pub energy: f64,
    /// By class: logits of its images.
    pub logits: Vec<Vec<Vec<f32>>>,
}

/// One image under attack.
#[derive(Clone, Copy)]
pub(crate) struct Attacked<'c> {
    pub subject: &'c Subject,
    pub label: usize,
    pub ball: Ball<'c>,
}

impl<'c> Attacked<'c> {
    /// `eps` in pixels of 0..1.
    pub fn new(subject: &'c Subject, label: usize, eps: f64) -> Self {
        Self { subject, label, ball: Ball { clean: &subject.pixels, eps } }
    }

    /// Number of the image, by which random numbers are drawn.
    pub fn index(&self) -> u64 {
        self.subject.index as u64
    }
}

/// An image of bytes, channels x rows x columns, and what a device says of it.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub bytes: Vec<u8>,
    pub judged: Judged,
}

/// Keeps the best image: misclassified if possible, then of the smallest key.
pub(crate) struct Keeper<'c> {
    context: &'c Context<'c>,
    attacked: Attacked<'c>,
    best: Option<(bool, f64, Found)>,
}

impl<'c> Keeper<'c> {
    pub fn new(context: &'c Context<'c>, attacked: Attacked<'c>) -> Self {
        Self { context, attacked, best: None }
    }

    /// Rounds an image to bytes within the ball, asks the device, and keeps the image if it is the
    /// best. For an image that is misclassified, its key.
    pub fn offer(
        &mut self,
        image: &[f32],
        key: impl FnOnce(&Judged) -> f64,
    ) -> Result<Option<f64>, LabError> {
        let found = self.ask(image)?;
        Ok(self.keep(found, key))
    }

    /// What the device says of an image, rounded to bytes within the ball.
    pub fn ask(&self, image: &[f32]) -> Result<Found, LabError> {
        let bytes = self.attacked.ball.bytes(image);
        let judged = self.context.judge(&bytes)?;
        Ok(Found { bytes, judged })
    }

    /// As [`Keeper::offer`], of an image that the device has seen.
    pub fn keep(&mut self, found: Found, key: impl FnOnce(&Judged) -> f64) -> Option<f64> {
        let right = found.judged.predicted == self.attacked.label;
        let key = key(&found.judged);
        let better = match &self.best {
            None => true,
            Some((other, best, _)) => (right, key) < (*other, *best),
        };
        if better {
            self.best = Some((right, key, found));
        }
        (!right).then_some(key)
    }

    /// Whether the best image is misclassified and passes a detector.
    pub fn passes(&self, detector: usize, enough: f64) -> bool {
        self.best.as_ref().is_some_and(|(right, _, found)| {
            let score = found.judged.scores[detector];
            !right && score.is_some_and(|score| f64::from(score) <= enough)
        })
    }

    /// The best image; the clean one where none was offered.
    pub fn finish(self) -> Result<Found, LabError> {
        match self.best {
            Some((_, _, found)) => Ok(found),
            None => self.ask(self.attacked.ball.clean),
        }
    }
}

impl Context<'_> {
    /// What the device says of bytes, channels x rows x columns.
    pub fn judge(&self, bytes: &[u8]) -> Result<Judged, LabError> {
        let [channels, rows, columns] = self.engines.network.shape();
        let plane = rows * columns;
        let interleaved: Vec<u8> =
            (0..bytes.len()).map(|at| bytes[at % channels * plane + at / channels]).collect();
        self.engines.judge(&interleaved, self.scorers)
    }
}
