//! What is differentiated: a loss and its label.

use super::ExpandError;

/// The label whose loss is differentiated.
#[derive(Clone, Debug, PartialEq)]
pub enum Label {
    /// 1 for every class; 0.5 for a classifier with a single logit, where 1 would mean "class 1".
    Ones,
    /// 0 for every class.
    Zeros,
    /// One number per class.
    Custom(Vec<f32>),
}

impl Label {
    /// The label as a vector over `classes`.
    ///
    /// # Errors
    /// When a custom label has another length or holds a non-finite number.
    pub fn vector(&self, classes: usize) -> Result<Vec<f32>, ExpandError> {
        match self {
            Label::Ones if classes == 1 => Ok(vec![0.5]),
            Label::Ones => Ok(vec![1.0; classes]),
            Label::Zeros => Ok(vec![0.0; classes]),
            Label::Custom(label) if label.len() != classes => {
                Err(ExpandError::Label(format!("{} numbers for {classes} classes", label.len())))
            }
            Label::Custom(label) if label.iter().any(|c| !c.is_finite()) => {
                Err(ExpandError::Label("a number is not finite".into()))
            }
            Label::Custom(label) => Ok(label.clone()),
        }
    }
}

/// What is differentiated, for a label c over N classes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Loss {
    /// Mean of the binary cross-entropies with logits: the cotangent is `(sigmoid(z) - c) / N`.
    #[default]
    Sigmoid,
    /// `-sum(c log(softmax(z)))`: the cotangent is `sum(c) softmax(z) - c`. With one class it is
    /// the usual cross-entropy; with all ones it is the binary cross-entropies of the softmax,
    /// summed.
    Softmax,
}
