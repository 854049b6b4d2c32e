//! Detectors of others, each from its source's definition, behind one trait.
//!
//! A file a method. All of them read features of images through [`Observed`], which executes the
//! classifier once for all, and turn them into scores: **larger is more anomalous**, whatever the
//! sign in the source. [`Method`] is the closed list and holds fitted state that can be stored.
//! Every fit says from which [`Budget`] of labels it came.

pub mod energy;
pub mod fdbd;
pub mod gaussian;
pub mod grad_uncertainty;
pub mod gradnorm;
pub mod gran;
pub mod knn;
pub mod layers;
pub mod lid;
pub mod logistic;
pub mod mahalanobis;
pub mod method;
pub mod msp;
mod newton;
pub mod observed;
pub mod odin;
pub mod parameter_norms;
pub mod rows;
pub mod select;
pub mod step;
pub mod symmetric;
#[cfg(test)]
mod tests;
pub mod vim;

pub use method::Method;
pub use observed::{Observed, Twins};
pub use rows::Rows;

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::error::LabError;

/// What a detector needs to know about images before it can score, in its source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LabelBudget {
    /// Nothing.
    None,
    /// Normal images with their classes.
    NormalOnly,
    /// Normal and anomalous images of the very set that it is tested on.
    PerSet,
}

impl fmt::Display for LabelBudget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            LabelBudget::None => "none",
            LabelBudget::NormalOnly => "normal",
            LabelBudget::PerSet => "anomalies",
        })
    }
}

/// Which images a fit was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Budget {
    /// What the source gives: the classifier's own training images, a first share of the set.
    Native,
    /// The training and validation parts that the gradient detector is given, nothing else.
    Equal,
}

impl fmt::Display for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Budget::Native => "native",
            Budget::Equal => "equal",
        })
    }
}

/// Normal images and their classes.
#[derive(Clone, Copy)]
pub struct Reference<'a> {
    /// The images as the classifier sees them.
    pub images: &'a Observed<'a>,
    /// A class for each image.
    pub classes: &'a [usize],
}

/// Normal and anomalous images, told apart.
#[derive(Clone, Copy)]
pub struct Contrast<'a> {
    /// Images that should score low.
    pub normal: &'a Observed<'a>,
    /// Images that should score high.
    pub anomalous: &'a Observed<'a>,
}

/// All that a detector may be fitted on.
///
/// In the native budget `normal` holds the classifier's training images, and the contrasts are two
/// disjoint shares of the set that is tested. In the equal budget `normal` holds the normal images
/// of the training part, and the contrasts are the training and the validation part.
#[derive(Clone, Copy)]
pub struct FitData<'a> {
    /// Where the images come from.
    pub budget: Budget,
    /// What normal features look like.
    pub normal: Reference<'a>,
    /// What weights of a head are fitted on.
    pub train: Option<Contrast<'a>>,
    /// What options are chosen by.
    pub validation: Option<Contrast<'a>>,
}

impl<'a> FitData<'a> {
    /// The contrasts that there are: where only options are chosen, all of them may choose.
    pub fn contrasts(&self) -> Vec<Contrast<'a>> {
        self.train.into_iter().chain(self.validation).collect()
    }

    /// The contrast that weights are fitted on.
    ///
    /// # Errors
    /// When there is none.
    pub fn train_for(&self, method: &str) -> Result<Contrast<'a>, LabError> {
        self.train.ok_or_else(|| {
            LabError::Data(format!(
                "{method} fits weights on normal and anomalous images, and none are given; give a \
                 training part of the set, or leave {method} out"
            ))
        })
    }
}

/// A detector of others.
pub trait Baseline {
    /// Its name in tables.
    fn name(&self) -> &'static str;

    /// What its source fits it on.
    fn label_budget(&self) -> LabelBudget;

    /// Fits whatever there is to fit; what it finds replaces an earlier fit.
    ///
    /// # Errors
    /// When the data lack what the method needs, or features are not finite.
    fn fit(&mut self, data: &FitData<'_>) -> Result<(), LabError>;

    /// A score for each image, larger for more anomalous ones.
    ///
    /// # Errors
    /// When the detector needs a fit and has none, or the images do not fit it.
    fn score(&self, queries: &Observed<'_>) -> Result<Vec<f64>, LabError>;

    /// What a reader of its figures should know: options chosen, directions left out.
    fn notes(&self) -> Vec<String> {
        Vec::new()
    }
}

/// The error of a detector that is asked before it is fitted.
fn unfitted(method: &str) -> LabError {
    LabError::Options(format!("{method} is not fitted yet; fit it before it scores"))
}
