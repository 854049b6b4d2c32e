//! An attack on one image as a machine that asks the classifier and gets answers.

/// One image under attack. It does not see the others, so nothing depends on the batch.
pub trait Search {
    /// The image that the classifier shall look at next.
    fn image(&self) -> &[f32];

    /// Direction in the logits whose gradient with respect to the image is wanted; without one,
    /// [`Search::advance`] gets an empty gradient.
    fn cotangent(&self, logits: &[f32], cotangent: &mut [f32]);

    /// Takes the answer; true at the end.
    fn advance(&mut self, logits: &[f32], gradient: &[f32]) -> bool;

    /// The attacked image; `None` when none was found.
    fn finish(self: Box<Self>) -> Option<Vec<f32>>;
}

/// What an attack moves away from, or towards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aim {
    /// Away from this class.
    From(usize),
    /// Towards this class.
    To(usize),
}

impl Aim {
    /// The class.
    pub fn class(self) -> usize {
        match self {
            Aim::From(class) | Aim::To(class) => class,
        }
    }

    /// Negative exactly when the aim is reached; how far it is away, in logits.
    pub fn distance(self, logits: &[f32]) -> f64 {
        match self {
            Aim::From(class) => super::loss::margin(logits, class),
            Aim::To(class) => -super::loss::margin(logits, class),
        }
    }
}
