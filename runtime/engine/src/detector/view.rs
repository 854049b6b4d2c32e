//! A detector with its arrays at hand, every length and value checked.

use gradgate_bundle::detector::{
    Composite, Detector, DetectorError, Energy, FeatureShape, Gaussian, Head, Inputs, Mlp,
    Prototypes, Table,
};
use gradgate_bundle::header::BlobRef;

/// See [`Detector`].
#[derive(Clone, Debug)]
pub struct DetectorView<'a> {
    pub(super) inputs: Inputs,
    pub(super) shape: FeatureShape,
    pub(super) mean: &'a [f32],
    pub(super) inverse_std: &'a [f32],
    pub(super) head: HeadView<'a>,
    pub(super) p_values: TableView<'a>,
}

/// See [`Head`].
#[derive(Clone, Debug)]
pub enum HeadView<'a> {
    /// One hidden layer.
    Mlp(MlpView<'a>),
    /// Mahalanobis distance.
    Gaussian(GaussianView<'a>),
    /// Cosine distance.
    Prototypes(PrototypesView<'a>),
    /// Two-sided energy.
    Energy(Energy),
    /// Sum of component levels.
    Composite(CompositeView<'a>),
}

/// See [`Mlp`].
#[derive(Clone, Copy, Debug)]
pub struct MlpView<'a> {
    pub(super) w1: &'a [f32],
    pub(super) b1: &'a [f32],
    pub(super) w2: &'a [f32],
    pub(super) b2: f32,
}

/// See [`Gaussian`].
#[derive(Clone, Copy, Debug)]
pub struct GaussianView<'a> {
    pub(super) means: &'a [f32],
    pub(super) whitening: &'a [f32],
}

/// See [`Prototypes`].
#[derive(Clone, Copy, Debug)]
pub struct PrototypesView<'a> {
    pub(super) per_class: usize,
    pub(super) vectors: &'a [f32],
}

/// See [`Composite`].
#[derive(Clone, Copy, Debug)]
pub struct CompositeView<'a> {
    pub(super) gaussian: Option<(GaussianView<'a>, TableView<'a>)>,
    pub(super) prototypes: Option<(PrototypesView<'a>, TableView<'a>)>,
    pub(super) energy: Option<(Energy, TableView<'a>)>,
    pub(super) confidence: Option<TableView<'a>>,
}

/// See [`Table`].
#[derive(Clone, Copy, Debug)]
pub struct TableView<'a> {
    scores: &'a [f32],
    levels: &'a [f32],
}

impl TableView<'_> {
    /// Level of the highest knot at or under the score, 0 under all: never too high.
    pub fn step(&self, score: f32) -> f32 {
        match self.scores.partition_point(|knot| *knot <= score) {
            0 => 0.0,
            above => knot(self.levels, above - 1),
        }
    }

    /// Level on the straight lines between the knots, constant outside; NaN for NaN.
    pub fn interpolate(&self, score: f32) -> f32 {
        if score.is_nan() {
            return f32::NAN;
        }
        let above = self.scores.partition_point(|knot| *knot <= score);
        if above == 0 {
            return knot(self.levels, 0);
        }
        let (low, start) = (knot(self.scores, above - 1), knot(self.levels, above - 1));
        if above == self.scores.len() {
            return start;
        }
        let part = (score - low) / (knot(self.scores, above) - low);
        start + part * (knot(self.levels, above) - start)
    }
}

/// One value of a table; NaN, which ends as a fault, instead of a panic where there is none.
fn knot(values: &[f32], index: usize) -> f32 {
    values.get(index).copied().unwrap_or(f32::NAN)
}

/// Whether a detector fits the network and its arrays are sound.
///
/// # Errors
/// As [`DetectorView::new`].
pub fn check<'a>(
    detector: &Detector,
    network: &FeatureShape,
    blob: &mut dyn FnMut(BlobRef) -> Option<&'a [f32]>,
) -> Result<(), DetectorError> {
    DetectorView::new(detector, network, blob).map(|_| ())
}

impl<'a> DetectorView<'a> {
    /// Looks every array up with `blob` (`None`: outside the blobs) and checks it.
    ///
    /// # Errors
    /// Inputs of an unknown kind, another shape than `network`'s, a wrong length, a value that is
    /// not finite or out of range.
    pub fn new(
        detector: &Detector,
        network: &FeatureShape,
        blob: &mut dyn FnMut(BlobRef) -> Option<&'a [f32]>,
    ) -> Result<Self, DetectorError> {
        let inputs = check_inputs(detector)?;
        let shape = detector.shape;
        let mut reader = Reader { blob, shape, inputs };
        let mean = reader.array("mean", detector.mean, inputs)?;
        let inverse_std = reader.array("inverse_std", detector.inverse_std, inputs)?;
        let p_values = reader.table("p_values", &detector.p_values)?;
        let head = reader.head(&detector.head)?;
        let view =
            DetectorView { inputs: detector.inputs, shape, mean, inverse_std, head, p_values };
        view.check_network(network)?;
        view.check_numbers(detector)?;
        Ok(view)
    }

    /// Whether the head reads the penultimate vector.
    pub fn needs_penultimate(&self) -> bool {
        match &self.head {
            HeadView::Prototypes(_) => true,
            HeadView::Composite(composite) => composite.prototypes.is_some(),
            _ => false,
        }
    }

    fn check_network(&self, network: &FeatureShape) -> Result<(), DetectorError> {
        let same = |used: bool, ours: u32, theirs: u32| !used || ours == theirs;
        let fits = same(self.inputs.has(Inputs::NORM), self.shape.norms, network.norms)
            && same(self.inputs.has(Inputs::FORWARD), self.shape.layers, network.layers)
            && self.shape.classes == network.classes
            && same(self.needs_penultimate(), self.shape.penultimate, network.penultimate)
            && same(self.inputs.has(Inputs::ALIGNMENT), self.shape.alignments, network.alignments);
        if fits { Ok(()) } else { Err(DetectorError::Shape) }
    }

    fn check_numbers(&self, detector: &Detector) -> Result<(), DetectorError> {
        if self.inverse_std.iter().any(|value| *value <= 0.0) {
            return Err(DetectorError::Value("inverse_std"));
        }
        if !detector.threshold.is_finite() {
            return Err(DetectorError::Value("threshold"));
        }
        match detector.caution {
            Some(caution) if !caution.is_finite() || caution > detector.threshold => {
                Err(DetectorError::Value("caution"))
            }
            _ => Ok(()),
        }
    }
}

fn check_inputs(detector: &Detector) -> Result<usize, DetectorError> {
    let known = Inputs::NORM.with(Inputs::FORWARD).with(Inputs::ALIGNMENT);
    if !known.has(detector.inputs) || detector.shape.classes == 0 {
        return Err(DetectorError::Inputs);
    }
    let inputs = detector.shape.inputs(detector.inputs).ok_or(DetectorError::Inputs)?;
    if inputs == 0 || detector.scratch_elements().is_none() {
        return Err(DetectorError::Inputs);
    }
    Ok(inputs as usize)
}

struct Reader<'r, 'a> {
    blob: &'r mut dyn FnMut(BlobRef) -> Option<&'a [f32]>,
    shape: FeatureShape,
    inputs: usize,
}

impl<'a> Reader<'_, 'a> {
    fn array(
        &mut self,
        name: &'static str,
        at: BlobRef,
        length: usize,
    ) -> Result<&'a [f32], DetectorError> {
        let array = (self.blob)(at).ok_or(DetectorError::Array(name))?;
        if array.len() != length || at.elements as usize != length {
            return Err(DetectorError::Array(name));
        }
        if array.iter().any(|value| !value.is_finite()) {
            return Err(DetectorError::Value(name));
        }
        Ok(array)
    }

    /// An array whose length is a product from outside.
    fn block(
        &mut self,
        name: &'static str,
        at: BlobRef,
        lengths: [u32; 3],
    ) -> Result<&'a [f32], DetectorError> {
        let product = lengths.iter().try_fold(1u32, |product, length| product.checked_mul(*length));
        let length = product.ok_or(DetectorError::Array(name))?;
        self.array(name, at, length as usize)
    }

    fn table(&mut self, name: &'static str, table: &Table) -> Result<TableView<'a>, DetectorError> {
        let knots = table.scores.elements as usize;
        if knots == 0 {
            return Err(DetectorError::Array(name));
        }
        let scores = self.array(name, table.scores, knots)?;
        let levels = self.array(name, table.levels, knots)?;
        let ascending = scores.is_sorted_by(|low, high| low < high);
        let sound = knot(levels, 0) >= 0.0 && levels.is_sorted_by(|low, high| low <= high);
        if ascending && sound {
            Ok(TableView { scores, levels })
        } else {
            Err(DetectorError::Value(name))
        }
    }

    fn head(&mut self, head: &Head) -> Result<HeadView<'a>, DetectorError> {
        Ok(match head {
            Head::Mlp(mlp) => HeadView::Mlp(self.mlp(mlp)?),
            Head::Gaussian(part) => HeadView::Gaussian(self.gaussian(part)?),
            Head::Prototypes(part) => HeadView::Prototypes(self.prototypes(part)?),
            Head::Energy(part) => HeadView::Energy(energy(part)?),
            Head::Composite(composite) => HeadView::Composite(self.composite(composite)?),
        })
    }

    fn mlp(&mut self, mlp: &Mlp) -> Result<MlpView<'a>, DetectorError> {
        if mlp.hidden == 0 {
            return Err(DetectorError::Array("b1"));
        }
        let hidden = mlp.hidden as usize;
        let view = MlpView {
            w1: self.block("w1", mlp.w1, [mlp.hidden, self.inputs as u32, 1])?,
            b1: self.array("b1", mlp.b1, hidden)?,
            w2: self.array("w2", mlp.w2, hidden)?,
            b2: mlp.b2,
        };
        if view.b2.is_finite() { Ok(view) } else { Err(DetectorError::Value("b2")) }
    }

    fn gaussian(&mut self, part: &Gaussian) -> Result<GaussianView<'a>, DetectorError> {
        let inputs = self.inputs as u64;
        let triangle = u32::try_from(inputs * (inputs + 1) / 2)
            .map_err(|_| DetectorError::Array("whitening"))?;
        Ok(GaussianView {
            means: self.block("means", part.means, [self.shape.groups(), self.inputs as u32, 1])?,
            whitening: self.array("whitening", part.whitening, triangle as usize)?,
        })
    }

    fn prototypes(&mut self, part: &Prototypes) -> Result<PrototypesView<'a>, DetectorError> {
        if part.per_class == 0 || self.shape.penultimate == 0 {
            return Err(DetectorError::Array("prototypes"));
        }
        let lengths = [self.shape.groups(), part.per_class, self.shape.penultimate];
        Ok(PrototypesView {
            per_class: part.per_class as usize,
            vectors: self.block("prototypes", part.vectors, lengths)?,
        })
    }

    fn composite(&mut self, composite: &Composite) -> Result<CompositeView<'a>, DetectorError> {
        let mut view =
            CompositeView { gaussian: None, prototypes: None, energy: None, confidence: None };
        if let Some((part, table)) = &composite.gaussian {
            view.gaussian = Some((self.gaussian(part)?, self.table("gaussian levels", table)?));
        }
        if let Some((part, table)) = &composite.prototypes {
            let levels = self.table("prototypes levels", table)?;
            view.prototypes = Some((self.prototypes(part)?, levels));
        }
        if let Some((part, table)) = &composite.energy {
            view.energy = Some((energy(part)?, self.table("energy levels", table)?));
        }
        if let Some(table) = &composite.confidence {
            view.confidence = Some(self.table("confidence levels", table)?);
        }
        let empty = view.gaussian.is_none() && view.prototypes.is_none();
        if empty && view.energy.is_none() && view.confidence.is_none() {
            return Err(DetectorError::Empty);
        }
        Ok(view)
    }
}

fn energy(part: &Energy) -> Result<Energy, DetectorError> {
    let positive = |value: f32| value.is_finite() && value > 0.0;
    if part.median.is_finite() && positive(part.below) && positive(part.above) {
        Ok(*part)
    } else {
        Err(DetectorError::Value("energy"))
    }
}
