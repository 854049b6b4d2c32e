//! Summed norms from a confounding label: what is left of Lee and AlRegib (2020) in pytorch-ood.

use gradgate_graph::expand::Label;
use serde::{Deserialize, Serialize};

use crate::baseline::parameter_norms::squared_norms;
use crate::baseline::{Baseline, FitData, LabelBudget, Observed};
use crate::error::LabError;

/// The sum over parameters of the squared gradient norms of the binary cross-entropy between the
/// softmax and all ones, its sign turned.
///
/// A logit's cotangent is `N p - 1`, also where a probability vanishes; PyTorch's binary
/// cross-entropy, which pytorch-ood calls, drops the gradient of probabilities below 1e-12.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GradUncertainty {}

impl Baseline for GradUncertainty {
    fn name(&self) -> &'static str {
        "grad-uncertainty"
    }

    fn label_budget(&self) -> LabelBudget {
        LabelBudget::None
    }

    fn fit(&mut self, _: &FitData<'_>) -> Result<(), LabError> {
        Ok(())
    }

    fn score(&self, queries: &Observed<'_>) -> Result<Vec<f64>, LabError> {
        let classifier = queries.classifier();
        let label = Label::Custom(vec![1.0; classifier.classes()]);
        let every: Vec<usize> = (0..queries.len()).collect();
        let norms = squared_norms(classifier.graph(), queries.images(), &every, &label)?;
        Ok(norms.iter().map(|norms| -norms.iter().sum::<f64>()).collect())
    }
}
