//! Gradient norms of the predicted label, in the manner of GraN (Lust and Condurache, 2020).

use gradgate_graph::expand::Label;
use serde::{Deserialize, Serialize};

use crate::baseline::logistic::{Logistic, Scaling};
use crate::baseline::msp::argmax;
use crate::baseline::parameter_norms::squared_norms;
use crate::baseline::{Baseline, FitData, LabelBudget, Observed, Rows, unfitted};
use crate::error::LabError;

/// What keeps the logarithm of a vanishing norm finite.
const FLOOR: f64 = 1e-30;

/// Logistic regression over one norm a parameter: of the gradient of the cross-entropy with the
/// predicted class.
///
/// The source also smooths the image for the label; this is left out, hence "in the manner of".
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Gran {
    /// Whether the head sees logarithms of norms; default no.
    pub logarithm: bool,
    /// What happens to norms before the head weighs them; default from 0 to 1, because parameters
    /// differ by powers of ten.
    pub scaling: Scaling,
    /// What a fit found.
    pub fitted: Option<Logistic>,
}

impl Default for Gran {
    fn default() -> Self {
        Self { logarithm: false, scaling: Scaling::MinMax, fitted: None }
    }
}

impl Gran {
    /// A feature a parameter, `[n][parameters]`.
    fn features(&self, queries: &Observed<'_>) -> Result<Rows, LabError> {
        let norms = norms_of_predicted(queries)?;
        let feature = |square: f64| match self.logarithm {
            true => 0.5 * (square + FLOOR).ln(),
            false => square.sqrt(),
        };
        let values = norms.values().iter().copied().map(feature).collect();
        Ok(if norms.is_empty() { norms } else { Rows::new(norms.width(), values) })
    }
}

impl Baseline for Gran {
    fn name(&self) -> &'static str {
        "gran"
    }

    fn label_budget(&self) -> LabelBudget {
        LabelBudget::PerSet
    }

    fn fit(&mut self, data: &FitData<'_>) -> Result<(), LabError> {
        self.fitted = None;
        let train = data.train_for("gran")?;
        let (normal, anomalous) = (self.features(train.normal)?, self.features(train.anomalous)?);
        self.fitted = Some(Logistic::fit(&normal, &anomalous, self.scaling)?);
        Ok(())
    }

    fn score(&self, queries: &Observed<'_>) -> Result<Vec<f64>, LabError> {
        let head = self.fitted.as_ref().ok_or_else(|| unfitted("gran"))?;
        let features = self.features(queries)?;
        features.check_width("gran", head.width())?;
        Ok(head.scores(&features))
    }

    fn notes(&self) -> Vec<String> {
        let note = |head: &Logistic| format!("{} norms, C {:.3e}", head.width(), head.strength());
        self.fitted.iter().map(note).collect()
    }
}

/// Squared norms for the class that each image is taken for. A label is part of a compiled model,
/// so images are run class by class.
fn norms_of_predicted(queries: &Observed<'_>) -> Result<Rows, LabError> {
    let classifier = queries.classifier();
    let predicted: Vec<usize> = queries.logits()?.iter().map(argmax).collect();
    let mut found: Vec<(usize, Vec<f64>)> = Vec::new();
    for class in 0..classifier.classes() {
        let members: Vec<usize> =
            (0..predicted.len()).filter(|&image| predicted[image] == class).collect();
        if members.is_empty() {
            continue;
        }
        let mut label = vec![0.0; classifier.classes()];
        label[class] = 1.0;
        let label = Label::Custom(label);
        let norms = squared_norms(classifier.graph(), queries.images(), &members, &label)?;
        found.extend(members.into_iter().zip(norms.iter().map(<[f64]>::to_vec)));
    }
    found.sort_by_key(|(image, _)| *image);
    let mut rows = Rows::empty(found.first().map_or(1, |(_, row)| row.len()));
    found.into_iter().for_each(|(_, row)| rows.push(row));
    Ok(rows)
}
