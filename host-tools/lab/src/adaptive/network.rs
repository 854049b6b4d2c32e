//! Everything that an attacker computes of one image, by gradgate's own engine.
//!
//! Four programs: the features with the parameter gradients themselves; the logits; the slope of
//! logits, squared activation norms and the penultimate vector; the features as the device has
//! them, from bytes and behind its preprocessing. The fifth, with other weights for every image, is
//! [`super::perturbed`].

use std::sync::Arc;

use gradgate_bundle::detector::FeatureShape;
use gradgate_detect::scorer::Scorer;
use gradgate_engine::{Engine, Features, Frame};
use gradgate_frame::Preprocessing;
use gradgate_graph::alignment::Reference;
use gradgate_graph::expand::{Expanded, Label, Loss, expand_aligned};
use gradgate_graph::graph::{Graph, ValueId};
use gradgate_graph::image_gradient::{Seeds, loss_gradient, seeded_gradient};
use gradgate_graph::lower::Products;
use gradgate_graph::ops::Op;
use gradgate_graph::taps::Taps;

use crate::attack::loss::argmax;
use crate::error::LabError;
use crate::program::{Program, deinterleave, interleaved};

use super::perturbed::Perturbable;

/// What decides the features of a model, as for a bundle.
#[derive(Clone, Debug)]
pub struct Recipe {
    /// From pixels to the input tensor.
    pub preprocessing: Preprocessing,
    /// The confounding label.
    pub label: Label,
    /// Parameters whose gradients are features.
    pub taps: Taps,
    /// Whether results of convolutions are kept before their normalisation.
    pub products: Products,
    /// Directions that alignments compare with.
    pub references: Vec<Reference>,
}

impl Default for Recipe {
    fn default() -> Self {
        Self {
            preprocessing: Preprocessing::default(),
            label: Label::Ones,
            taps: Taps::all(),
            products: Products::Dropped,
            references: Vec::new(),
        }
    }
}

/// A parameter's place among all gradients.
#[derive(Clone, Debug)]
pub(crate) struct Tapped {
    /// Its name in the graph.
    pub name: String,
    /// First element.
    pub first: usize,
    /// Elements.
    pub elements: usize,
}

/// A classifier compiled for its attacker.
pub struct Network {
    shape: [usize; 3],
    preprocessing: Preprocessing,
    /// Elements of the penultimate vector, 0 without one.
    penultimate: usize,
    /// Tapped parameters, in the order of the features.
    pub(crate) tapped: Vec<Tapped>,
    /// Names of the layers.
    layers: Vec<String>,
    alignments: usize,
    classes: usize,
    device: Program,
    features: Program,
    logits: Program,
    /// Of the logits alone, with rows below the image.
    plain: (Program, usize),
    /// Of all that a detector reads of the forward pass, with rows below the image.
    slope: (Program, usize),
    pub(crate) perturbable: Option<Perturbable>,
}

/// What the network says of an image.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    /// Class scores.
    pub logits: Vec<f32>,
    /// Squared gradient norms, in f64.
    pub norms: Vec<f64>,
    /// Squared activation norms.
    pub layers: Vec<f32>,
    /// Empty where the model has none.
    pub penultimate: Vec<f32>,
    /// Gradients of all tapped parameters.
    pub gradients: Vec<f32>,
}

/// What a device says of an image of bytes.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Judged {
    /// The class.
    pub predicted: usize,
    /// Logit of a class minus the largest other one, by class.
    pub logits: Vec<f32>,
    /// By detector; `None` where it gives no score, which never passes.
    pub scores: Vec<Option<f32>>,
}

impl Network {
    /// Compiles a classifier of `[1, C, H, W]` images.
    ///
    /// # Errors
    /// When it is no classifier, an operation has no gradient rule or the engine has no kernel for
    /// it, or references do not fit.
    pub fn new(graph: &Arc<Graph>, recipe: &Recipe) -> Result<Self, LabError> {
        let refused = |error: String| LabError::Model(format!("model `{}`: {error}", graph.name));
        let input = graph.input.map(|id| graph.shape(id)).unwrap_or_default();
        let &[1, channels, rows, columns] = input else {
            return Err(refused(format!("takes {input:?}, no image")));
        };
        let expanded = expand_aligned(graph, &recipe.label, &recipe.taps, &recipe.references)
            .map_err(|error| refused(error.to_string()))?;
        let (own, tapped) = with_gradients(&expanded).map_err(refused)?;
        let layers: Vec<ValueId> = expanded.activation_norms.iter().map(|&(id, _)| id).collect();
        let seeds =
            Seeds { norms: layers.clone(), vectors: expanded.penultimate.into_iter().collect() };
        // Their frames are input tensors: the host prepares them.
        let plain = Preprocessing::default();
        let slope = |seeds: &Seeds| {
            let program =
                seeded_gradient(graph, seeds).map_err(|error| refused(error.to_string()))?;
            let rows = program.rows;
            Ok::<_, LabError>((Program::new(&program.expanded, &plain)?, rows))
        };
        let perturbable = if tapped.is_empty() {
            None
        } else {
            let loss = loss_gradient(graph, Loss::Sigmoid, &recipe.label)
                .map_err(|error| refused(error.to_string()))?;
            let names: Vec<&str> = tapped.iter().map(|tap| tap.name.as_str()).collect();
            Some(Perturbable::new(loss.expanded, &names).map_err(refused)?)
        };
        let length = |id: ValueId| graph.value(id).elements();
        Ok(Self {
            shape: [channels, rows, columns],
            preprocessing: recipe.preprocessing,
            penultimate: expanded.penultimate.map_or(0, length),
            tapped,
            layers: layers.iter().map(|&id| graph.value(id).name.clone()).collect(),
            alignments: expanded.alignments.len(),
            classes: graph.logits.map_or(0, length),
            device: Program::compiled(&expanded, &recipe.preprocessing, recipe.products)?,
            features: Program::new(&own, &plain)?,
            logits: Program::forward(graph)?,
            plain: slope(&Seeds::default())?,
            slope: slope(&seeds)?,
            perturbable,
        })
    }

    /// Channels, rows, columns.
    pub fn shape(&self) -> [usize; 3] {
        self.shape
    }

    /// How many classes.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// Lengths of one frame's features.
    pub fn feature_shape(&self) -> FeatureShape {
        FeatureShape {
            norms: self.tapped.len() as u32,
            layers: self.layers.len() as u32,
            alignments: self.alignments as u32,
            classes: self.classes as u32,
            penultimate: self.penultimate as u32,
        }
    }

    /// Names of the parameters behind the norms.
    pub fn parameters(&self) -> Vec<&str> {
        self.tapped.iter().map(|tap| tap.name.as_str()).collect()
    }

    /// Names of the layers behind the activation norms.
    pub fn layers(&self) -> &[String] {
        &self.layers
    }

    pub(crate) fn engines(&self) -> Result<Engines<'_>, LabError> {
        Ok(Engines {
            network: self,
            device: self.device.engine()?,
            features: self.features.engine()?,
            logits: self.logits.engine()?,
            plain: self.plain.0.engine()?,
            slope: self.slope.0.engine()?,
            loss: self.perturbable.as_ref().map(Perturbable::engine).transpose()?,
        })
    }

    /// The input tensor of pixels in 0..1, rows x columns x channels.
    pub(crate) fn prepared(&self, pixels: &[f32]) -> Result<Vec<f32>, LabError> {
        let [channels, ..] = self.shape;
        let pixels = interleaved(pixels, channels);
        let mut prepared = vec![0.0; pixels.len()];
        self.preprocessing
            .apply_f32(&pixels, channels, &mut prepared)
            .map_err(|error| LabError::Data(error.to_string()))?;
        Ok(prepared)
    }

    /// From the gradient of the input tensor, rows x columns x channels, to that of the pixels.
    pub(crate) fn along_pixels(&self, gradient: &[f32]) -> Vec<f32> {
        let [channels, rows, columns] = self.shape;
        let mut planes = vec![0.0; gradient.len()];
        deinterleave(gradient, channels, &mut planes);
        let swapped = self.preprocessing.bgr && channels == 3;
        let span = self.preprocessing.high - self.preprocessing.low;
        let plane = rows * columns;
        let mut along = vec![0.0; planes.len()];
        for channel in 0..channels {
            let pixel = if swapped { 2 - channel } else { channel };
            let factor = span / self.preprocessing.std[channel];
            let from = &planes[channel * plane..][..plane];
            let to = &mut along[pixel * plane..][..plane];
            to.iter_mut().zip(from).for_each(|(to, from)| *to = from * factor);
        }
        along
    }
}

/// The features with the gradients themselves behind the penultimate vector, and where each
/// parameter's lies.
fn with_gradients(expanded: &Expanded) -> Result<(Expanded, Vec<Tapped>), String> {
    let mut own = expanded.clone();
    let producers = own.graph.producers();
    let mut parts: Vec<ValueId> = own.penultimate.into_iter().collect();
    let mut tapped = Vec::new();
    let mut first = 0;
    for (at, &(parameter, norm)) in expanded.squared_norms.iter().enumerate() {
        let node = producers[norm.0 as usize].ok_or("a norm is not computed")?;
        let gradient = own.graph.nodes[node.0 as usize].inputs[0];
        let elements = own.graph.value(gradient).elements();
        let flat = Op::Reshape { shape: vec![1, elements] };
        let name = format!("gradgate/gradient/{at}");
        parts.push(own.graph.push(name, flat, &[gradient]).map_err(|error| error.to_string())?);
        let name = own.graph.value(parameter).name.clone();
        tapped.push(Tapped { name, first, elements });
        first += elements;
    }
    own.squared_norms.clear();
    own.alignments.clear();
    own.penultimate = match parts[..] {
        [] => None,
        [one] => Some(one),
        _ => {
            let all = own.graph.push("gradgate/gradients", Op::Concat { axis: 1 }, &parts);
            Some(all.map_err(|error| error.to_string())?)
        }
    };
    Ok((own, tapped))
}

/// The programs, loaded.
pub(crate) struct Engines<'n> {
    pub network: &'n Network,
    device: Engine<'n>,
    features: Engine<'n>,
    logits: Engine<'n>,
    plain: Engine<'n>,
    slope: Engine<'n>,
    /// With the original weights; `None` without tapped parameters.
    pub loss: Option<Engine<'n>>,
}

impl Engines<'_> {
    /// What the network says of pixels in 0..1, channels x rows x columns.
    pub fn see(&self, pixels: &[f32]) -> Result<Seen, LabError> {
        let frame = self.network.prepared(pixels)?;
        let mut arena = vec![0.0; self.features.arena_elements()];
        let features = run(&self.features, Frame::F32(&frame), &mut arena)?;
        let (penultimate, gradients) = features.penultimate.split_at(self.network.penultimate);
        let square = |tap: &Tapped| {
            let gradient = &gradients[tap.first..][..tap.elements];
            gradient.iter().map(|&g| f64::from(g) * f64::from(g)).sum()
        };
        Ok(Seen {
            logits: features.logits.to_vec(),
            norms: self.network.tapped.iter().map(square).collect(),
            layers: features.activation_norms.to_vec(),
            penultimate: penultimate.to_vec(),
            gradients: gradients.to_vec(),
        })
    }

    /// The logits alone.
    pub fn logits(&self, pixels: &[f32]) -> Result<Vec<f32>, LabError> {
        let frame = self.network.prepared(pixels)?;
        let mut arena = vec![0.0; self.logits.arena_elements()];
        Ok(run(&self.logits, Frame::F32(&frame), &mut arena)?.logits.to_vec())
    }

    /// Gradient along the pixels of `<numbers, (logits, squared activation norms, penultimate)>`;
    /// what `numbers` does not reach counts as 0.
    pub fn slope(&self, pixels: &[f32], numbers: &[f32]) -> Result<Vec<f32>, LabError> {
        let [channels, _, columns] = self.network.shape;
        let (engine, rows) = match numbers.len() <= self.network.classes {
            true => (&self.plain, self.network.plain.1),
            false => (&self.slope, self.network.slope.1),
        };
        let mut frame = self.network.prepared(pixels)?;
        let mut below = vec![0.0; channels * rows * columns];
        below[..numbers.len()].copy_from_slice(numbers);
        frame.extend(interleaved(&below, channels));
        let mut arena = vec![0.0; engine.arena_elements()];
        let features = run(engine, Frame::F32(&frame), &mut arena)?;
        Ok(self.network.along_pixels(features.penultimate))
    }

    /// What the device says of bytes, rows x columns x channels.
    pub fn judge(&self, bytes: &[u8], scorers: &[Scorer]) -> Result<Judged, LabError> {
        let mut arena = vec![0.0; self.device.arena_elements()];
        let features = run(&self.device, Frame::U8(bytes), &mut arena)?;
        let score = |scorer: &Scorer| {
            scorer.judge_frame(&features.input()).ok().map(|judgement| judgement.score)
        };
        Ok(Judged {
            predicted: argmax(features.logits),
            logits: features.logits.to_vec(),
            scores: scorers.iter().map(score).collect(),
        })
    }
}

fn run<'a>(
    engine: &Engine<'_>,
    frame: Frame<'_>,
    arena: &'a mut [f32],
) -> Result<Features<'a>, LabError> {
    engine.run(frame, arena).map_err(|error| LabError::Model(format!("the engine: {error}")))
}
