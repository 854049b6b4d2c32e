//! The hook by which a detector writes itself behind the features.

use super::ExportError;
use super::builder::Builder;

/// Name of the output that a detector adds.
pub(super) const SCORE: &str = "score";

/// A detector that can be written as ONNX operators.
pub trait DetectorExport {
    /// Appends the detector's nodes; gives the name of its score, a value of one f32 element
    /// (of any rank). Larger means more anomalous.
    ///
    /// # Errors
    /// When a feature is absent, or the detector has no spelling in standard operators.
    fn emit(&self, builder: &mut Builder, features: &FeatureNames) -> Result<String, ExportError>;
}

/// The outputs that a detector may read: `logits` `[1, classes]`, `squared_norms`
/// `[1, parameters]`, `activation_norms` `[1, layers]`, `penultimate` `[1, d]`, as far as they
/// are written. Each is at once the name to give to [`Builder::node`].
#[derive(Clone, Debug, Default)]
pub struct FeatureNames {
    features: Vec<(String, Vec<usize>)>,
}

impl FeatureNames {
    /// Shape of the value with this name.
    ///
    /// # Errors
    /// When the exported model has no such output.
    pub fn shape(&self, name: &str) -> Result<&[usize], ExportError> {
        let feature = self.features.iter().find(|(feature, _)| feature == name);
        let (_, shape) = feature.ok_or_else(|| ExportError::MissingFeature(name.to_owned()))?;
        Ok(shape)
    }

    pub(super) fn add(&mut self, name: &str, shape: &[usize]) {
        self.features.push((name.to_owned(), shape.to_vec()));
    }
}

/// Writes the detector and names its result [`SCORE`], shape `[1]`.
pub(super) fn write(
    detector: &dyn DetectorExport,
    features: &FeatureNames,
    builder: &mut Builder,
) -> Result<(), ExportError> {
    builder.scope("detector");
    let score = detector.emit(builder, features)?;
    builder.scope("");
    let shape = builder.sizes(&[1]);
    builder.node_into("Reshape", &[&score, &shape], &[], &[SCORE]);
    Ok(())
}
