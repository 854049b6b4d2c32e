//! Images as a classifier sees them: features computed once, on first demand.

use std::ops::Range;
use std::sync::OnceLock;

use gradgate_graph::graph::ValueId;

use crate::array::Array;
use crate::baseline::Rows;
use crate::baseline::layers::Layers;
use crate::classifier::Classifier;
use crate::error::LabError;

/// Frames whose spatial activations are held at once.
const CHUNK: usize = 128;

/// The clean images that queries were made from.
#[derive(Clone, Copy)]
pub struct Twins<'a> {
    /// Clean images.
    pub clean: &'a Array,
    /// For each query, the clean image that it is or came from.
    pub of: &'a [usize],
}

/// Images, a classifier, and what it computes for them.
pub struct Observed<'a> {
    classifier: &'a dyn Classifier,
    images: &'a Array,
    layers: Layers,
    twins: Option<Twins<'a>>,
    ends: OnceLock<(Rows, Option<Rows>)>,
    pooled: OnceLock<Vec<Rows>>,
}

impl<'a> Observed<'a> {
    /// Nothing is computed yet.
    ///
    /// # Errors
    /// When the classifier has no logits.
    pub fn new(classifier: &'a dyn Classifier, images: &'a Array) -> Result<Self, LabError> {
        Ok(Self {
            classifier,
            images,
            layers: Layers::of(classifier.graph())?,
            twins: None,
            ends: OnceLock::new(),
            pooled: OnceLock::new(),
        })
    }

    /// With the clean images that the queries came from, for detectors that want them.
    ///
    /// # Errors
    /// When a query has no clean image.
    pub fn with_twins(mut self, twins: Twins<'a>) -> Result<Self, LabError> {
        let clean = twins.clean.frames();
        if twins.of.len() != self.len() {
            return Err(LabError::Data(format!(
                "{} images with clean twins for {}; name one for each",
                self.len(),
                twins.of.len()
            )));
        }
        if let Some(missing) = twins.of.iter().find(|&&twin| twin >= clean) {
            return Err(LabError::Data(format!(
                "clean twin {missing} is named, there are {clean} clean images"
            )));
        }
        self.twins = Some(twins);
        Ok(self)
    }

    /// Some of the images, with what is computed of them already; `images` are these very ones.
    ///
    /// # Panics
    /// When `images` are fewer or more than `chosen`.
    pub fn part<'b>(&self, images: &'b Array, chosen: &[usize]) -> Observed<'b>
    where
        'a: 'b,
    {
        assert_eq!(images.frames(), chosen.len(), "an image for each number");
        let known = |rows: &Rows| rows.select(chosen);
        let ends = self.ends.get().map(|(logits, p)| (known(logits), p.as_ref().map(known)));
        let pooled: Option<Vec<Rows>> =
            self.pooled.get().map(|blocks| blocks.iter().map(known).collect());
        Observed {
            classifier: self.classifier,
            images,
            layers: self.layers.clone(),
            twins: None,
            ends: ends.map_or_else(OnceLock::new, OnceLock::from),
            pooled: pooled.map_or_else(OnceLock::new, OnceLock::from),
        }
    }

    /// The classifier.
    pub fn classifier(&self) -> &'a dyn Classifier {
        self.classifier
    }

    /// The images, `[n, C, H, W]`.
    pub fn images(&self) -> &'a Array {
        self.images
    }

    /// The values that are read.
    pub fn layers(&self) -> &Layers {
        &self.layers
    }

    /// The clean images behind the queries, where they are known.
    pub fn twins(&self) -> Option<Twins<'a>> {
        self.twins
    }

    /// How many images.
    pub fn len(&self) -> usize {
        self.images.frames()
    }

    /// Whether there is no image.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// `[n][classes]`
    ///
    /// # Errors
    /// When the images do not fit the model, or a logit is not finite.
    pub fn logits(&self) -> Result<&Rows, LabError> {
        Ok(&self.ends()?.0)
    }

    /// `[n][d]`
    ///
    /// # Errors
    /// As [`Observed::logits`], and when the model has no such vector.
    pub fn penultimate(&self) -> Result<&Rows, LabError> {
        self.ends()?.1.as_ref().ok_or_else(|| self.no_penultimate())
    }

    /// The value that holds the penultimate vector.
    ///
    /// # Errors
    /// When the model has none.
    pub fn penultimate_value(&self) -> Result<ValueId, LabError> {
        self.layers.penultimate.ok_or_else(|| self.no_penultimate())
    }

    /// Features in a block or in the penultimate vector.
    ///
    /// # Errors
    /// As [`Observed::logits`].
    pub fn features(&self, layer: ValueId) -> Result<&Rows, LabError> {
        match self.layers.blocks.iter().position(|&block| block == layer) {
            Some(block) => Ok(&self.pooled()?[block]),
            None => self.penultimate(),
        }
    }

    fn no_penultimate(&self) -> LabError {
        LabError::Model(format!(
            "model `{}`: no product of a vector gives the logits, so there are no penultimate \
             features; leave out the detectors that read them",
            self.classifier.graph().name
        ))
    }

    /// For every block its channels' means over pixels, `[n][C]`.
    ///
    /// # Errors
    /// As [`Observed::logits`].
    pub fn pooled(&self) -> Result<&[Rows], LabError> {
        if let Some(known) = self.pooled.get() {
            return Ok(known);
        }
        let found = rows_of(self.classifier, self.images, &self.layers.blocks)?;
        Ok(self.pooled.get_or_init(|| found))
    }

    fn ends(&self) -> Result<&(Rows, Option<Rows>), LabError> {
        if let Some(known) = self.ends.get() {
            return Ok(known);
        }
        let wanted: Vec<ValueId> =
            [self.layers.logits].into_iter().chain(self.layers.penultimate).collect();
        let mut found = rows_of(self.classifier, self.images, &wanted)?;
        let penultimate = (found.len() == 2).then(|| found.remove(1));
        Ok(self.ends.get_or_init(|| (found.swap_remove(0), penultimate)))
    }
}

/// Values of a graph for all images, pooled over pixels, `[wanted][n][..]`.
///
/// # Errors
/// When the images do not fit the model, or a value is not finite.
pub fn rows_of(
    classifier: &dyn Classifier,
    images: &Array,
    wanted: &[ValueId],
) -> Result<Vec<Rows>, LabError> {
    let graph = classifier.graph();
    let width = |&id: &ValueId| match graph.shape(id) {
        [_, channels, _, _] => *channels,
        shape => shape.iter().skip(1).product(),
    };
    let mut all: Vec<Rows> = wanted.iter().map(|id| Rows::empty(width(id))).collect();
    for range in chunks(images.frames(), CHUNK) {
        let values = classifier.values(&images.slice(range.clone()), wanted)?;
        for ((rows, value), id) in all.iter_mut().zip(&values).zip(wanted) {
            check_finite(value, &graph.value(*id).name, range.start)?;
            (0..value.frames()).for_each(|frame| rows.push(pool(value.frame(frame), rows.width())));
        }
    }
    Ok(all)
}

/// Mean of each channel, in f64.
pub fn pool(frame: &[f32], channels: usize) -> Vec<f64> {
    let pixels = frame.len() / channels.max(1);
    let mean = |c: &[f32]| c.iter().map(|&x| f64::from(x)).sum::<f64>() / pixels as f64;
    frame.chunks_exact(pixels.max(1)).map(mean).collect()
}

/// Refuses values that are not finite.
///
/// # Errors
/// Names the value and the image.
pub fn check_finite(value: &Array, name: &str, first: usize) -> Result<(), LabError> {
    let Some(at) = value.data().iter().position(|x| !x.is_finite()) else { return Ok(()) };
    Err(LabError::NotFinite(format!(
        "image {}: value `{name}` holds {}, so no detector can read it; look for an overflow in \
         the model, or leave the image out",
        first + at / value.frame_elements().max(1),
        value.data()[at]
    )))
}

/// Ranges of at most `length` frames.
pub fn chunks(frames: usize, length: usize) -> impl Iterator<Item = Range<usize>> {
    (0..frames).step_by(length.max(1)).map(move |start| start..frames.min(start + length))
}
