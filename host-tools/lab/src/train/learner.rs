//! A network that learns: one step of gradient descent at a time.

use std::sync::Arc;

use burn_autodiff::Autodiff;
use burn_backend::ops::FloatTensorOps;
use burn_backend::tensor::FloatTensor;
use burn_backend::{AutodiffBackend, Backend};
use gradgate_graph::graph::{Graph, NodeId, Tensor, ValueId};
use gradgate_graph::ops::Op;

use super::optimiser::Parameter;
use super::{Optimiser, Recipe};
use crate::array::Array;
use crate::classifier::logits_of;
use crate::device::{Cpu, Device};
use crate::error::LabError;
use crate::executor::{Kernels, Mode, Network, Statistics, download, upload};

/// Frames of an evaluation at once.
const BATCH: usize = 64;

/// A part of a batch.
#[derive(Clone, Debug)]
pub struct Shard {
    /// `[n, C, H, W]` in 0..1.
    pub images: Array,
    /// `[n, classes]`: what the probabilities should be.
    pub targets: Array,
}

/// What a step found, with the weights before it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct StepResult {
    /// Mean cross-entropy over the batch.
    pub loss: f64,
    /// Frames whose largest logit is the largest target's.
    pub correct: usize,
}

/// Tensors by name.
pub type State = Vec<(String, Array)>;

/// Makes a shard from its number, on any thread.
pub type Prepare<'p> = dyn Fn(usize) -> Shard + Sync + 'p;
/// Makes the images of a range, on any thread.
pub type Images<'i> = dyn Fn(std::ops::Range<usize>) -> Array + Sync + 'i;

/// A network with its momentum and running statistics.
pub trait Learner {
    /// Its structure; the constants in it are the first ones.
    fn graph(&self) -> &Arc<Graph>;

    /// One step over all shards of a batch of `frames` frames.
    ///
    /// # Errors
    /// When the loss is no number; the weights are then as they were.
    fn step(
        &mut self,
        frames: usize,
        prepare: &Prepare<'_>,
        rate: f64,
    ) -> Result<StepResult, LabError>;

    /// Logits `[n, classes]` of `frames` frames by the running statistics.
    ///
    /// # Errors
    /// When the device fails.
    fn logits(&self, frames: usize, images: &Images<'_>) -> Result<Array, LabError>;

    /// Weights, momentum and running statistics.
    ///
    /// # Errors
    /// When the device fails.
    fn state(&self) -> Result<State, LabError>;

    /// Puts a state back.
    ///
    /// # Errors
    /// When a tensor is missing or has another shape.
    fn set_state(&mut self, state: &State) -> Result<(), LabError>;
}

/// A learner for `graph` on `device`.
///
/// # Errors
/// When the device is absent, or the graph cannot be trained.
pub fn open(
    graph: Arc<Graph>,
    device: Device,
    recipe: &Recipe,
) -> Result<Box<dyn Learner>, LabError> {
    device.check()?;
    match device {
        Device::Cpu => Ok(Box::new(BurnLearner::<Cpu>::new(graph, Default::default(), recipe)?)),
        #[cfg(feature = "cuda")]
        Device::Cuda => Ok(Box::new(BurnLearner::<crate::device::Cuda>::new(
            graph,
            Default::default(),
            recipe,
        )?)),
        #[cfg(not(feature = "cuda"))]
        Device::Cuda => Err(LabError::Device("this build has no GPU support".to_owned())),
    }
}

/// `graph` with the weights and running statistics of a state.
pub(super) fn trained(graph: &Graph, state: &State) -> Graph {
    let mut graph = graph.clone();
    for value in &mut graph.values {
        let (weight, running) =
            (format!("weight/{}", value.name), format!("running/{}", value.name));
        let found = state.iter().find(|(name, _)| *name == weight || *name == running);
        if let (Some((_, array)), Some(constant)) = (found, &value.constant) {
            value.constant = Some(Tensor::new(constant.shape.clone(), array.data().to_vec()));
        }
    }
    graph
}

/// The running statistics of one BatchNorm.
struct Running<B: Backend> {
    node: NodeId,
    mean: (ValueId, FloatTensor<B>),
    variance: (ValueId, FloatTensor<B>),
}

struct BurnLearner<B: Backend> {
    graph: Arc<Graph>,
    logits: ValueId,
    parameters: Vec<(ValueId, Parameter<B>)>,
    running: Vec<Running<B>>,
    /// One for each shard.
    networks: Vec<Network<Autodiff<B>>>,
    plain: Network<B>,
    optimiser: Optimiser,
    /// Share of a batch in the running statistics.
    share: f64,
}

/// What a shard found.
struct Found<B: Backend> {
    loss: f64,
    correct: usize,
    /// Of each parameter, where the loss depends on it.
    gradients: Vec<Option<FloatTensor<B>>>,
    statistics: Vec<(NodeId, Statistics<B>)>,
}

impl<B: Kernels> BurnLearner<B> {
    fn new(graph: Arc<Graph>, device: B::Device, recipe: &Recipe) -> Result<Self, LabError> {
        let plain = Network::<B>::new(graph.clone(), device.clone())?;
        let networks = (0..recipe.shards)
            .map(|_| Network::new(graph.clone(), device.clone()))
            .collect::<Result<Vec<_>, _>>()?;
        let optimiser = recipe.optimiser.clone();
        let parameter = |&id: &ValueId| {
            let value = plain.constant(id)?.clone();
            let momentum = B::float_mul_scalar(value.clone(), 0f32.into());
            let decay = optimiser.decay_of(graph.shape(id).len());
            Some((id, Parameter { value, momentum, decay }))
        };
        let parameters: Vec<_> = graph.parameters.iter().filter_map(parameter).collect();
        if parameters.is_empty() {
            let name = &graph.name;
            return Err(LabError::Model(format!("model `{name}` has no parameters to train")));
        }
        let running = running(&plain)?;
        let logits = logits_of(&graph)?;
        let share = recipe.statistics;
        Ok(Self { graph, logits, parameters, running, networks, plain, optimiser, share })
    }

    fn apply(&mut self, found: Vec<Found<B>>, rate: f64) {
        let shards = found.len() as f64;
        let mut sums: Vec<Option<FloatTensor<B>>> = vec![None; self.parameters.len()];
        for shard in &found {
            for (sum, gradient) in sums.iter_mut().zip(&shard.gradients) {
                let Some(gradient) = gradient.clone() else { continue };
                *sum = Some(match sum.take() {
                    Some(sum) => B::float_add(sum, gradient),
                    None => gradient,
                });
            }
        }
        for ((id, parameter), gradient) in self.parameters.iter_mut().zip(sums) {
            if let Some(gradient) = gradient {
                parameter.update(gradient, rate, &self.optimiser);
                self.plain.set_constant(*id, parameter.value.clone());
            }
        }
        for running in &mut self.running {
            running.scale(1.0 - self.share);
            for shard in &found {
                for (node, statistics) in &shard.statistics {
                    if *node == running.node {
                        running.add(statistics, self.share / shards);
                    }
                }
            }
            self.plain.set_constant(running.mean.0, running.mean.1.clone());
            self.plain.set_constant(running.variance.0, running.variance.1.clone());
        }
    }
}

/// Every BatchNorm's statistics.
fn running<B: Kernels>(network: &Network<B>) -> Result<Vec<Running<B>>, LabError> {
    let nodes = network.graph().nodes.iter().enumerate();
    nodes
        .filter(|(_, node)| matches!(node.op, Op::BatchNorm { .. }))
        .map(|(index, node)| {
            let constant = |operand: usize| {
                let id = node.inputs[operand];
                let tensor = network.constant(id).ok_or_else(|| {
                    LabError::Model(format!(
                        "node `{}` (BatchNormalization): its statistics are computed, not stored",
                        node.name
                    ))
                })?;
                Ok((id, tensor.clone()))
            };
            let node = NodeId(index as u32);
            Ok(Running { node, mean: constant(3)?, variance: constant(4)? })
        })
        .collect()
}

impl<B: Backend> Running<B> {
    fn scale(&mut self, by: f64) {
        for (_, tensor) in [&mut self.mean, &mut self.variance] {
            *tensor = B::float_mul_scalar(tensor.clone(), by.into());
        }
    }

    /// As PyTorch does: the running variance is the unbiased one.
    fn add(&mut self, of_batch: &Statistics<B>, share: f64) {
        let count = of_batch.count as f64;
        let unbiased = count / (count - 1.0).max(1.0);
        for ((_, tensor), term, factor) in [
            (&mut self.mean, &of_batch.mean, share),
            (&mut self.variance, &of_batch.variance, share * unbiased),
        ] {
            let term = B::float_mul_scalar(term.clone(), factor.into());
            *tensor = B::float_add(tensor.clone(), term);
        }
    }
}

/// Forward and backward of one shard.
fn learn<B: Kernels>(
    network: &mut Network<Autodiff<B>>,
    parameters: &[(ValueId, Parameter<B>)],
    logits: ValueId,
    shard: Shard,
    frames: usize,
) -> Result<Found<B>, LabError> {
    type A<B> = Autodiff<B>;
    let leaf = |parameter: &Parameter<B>| {
        A::<B>::float_set_require_grad(A::<B>::from_inner(parameter.value.clone()), true)
    };
    let leaves: Vec<_> = parameters.iter().map(|(id, parameter)| (*id, leaf(parameter))).collect();
    for (id, leaf) in &leaves {
        network.set_constant(*id, leaf.clone());
    }
    let device = network.device().clone();
    let images = A::<B>::from_inner(upload::<B>(&shard.images, &device));
    let mut statistics = Vec::new();
    let mut values = network.run(images, &[logits], Mode::Training(&mut statistics));
    let output = values.swap_remove(0);
    let values = download::<B>(A::<B>::inner(output.clone()))?;
    let (loss, correct, cotangent) = cross_entropy(&values, &shard.targets, frames);
    if !loss.is_finite() {
        return Err(LabError::NotFinite(format!("the loss is {loss}")));
    }
    let cotangent = A::<B>::from_inner(upload::<B>(&cotangent, &device));
    let total = A::<B>::float_sum(A::<B>::float_mul(output, cotangent));
    let mut gradients = A::<B>::backward(total);
    let gradients =
        leaves.iter().map(|(_, leaf)| A::<B>::grad_remove(leaf, &mut gradients)).collect();
    let statistics = statistics.into_iter().map(|(node, s)| (node, inner(s))).collect();
    Ok(Found { loss, correct, gradients, statistics })
}

fn inner<B: Backend>(of_batch: Statistics<Autodiff<B>>) -> Statistics<B> {
    Statistics {
        mean: Autodiff::<B>::inner(of_batch.mean),
        variance: Autodiff::<B>::inner(of_batch.variance),
        count: of_batch.count,
    }
}

/// Sum of cross-entropies over `frames`, the number of right answers, and the gradient
/// `(softmax - target) / frames`.
pub(super) fn cross_entropy(logits: &Array, targets: &Array, frames: usize) -> (f64, usize, Array) {
    let mut gradient = Array::zeros(logits.shape());
    let (mut loss, mut correct) = (0.0, 0);
    for frame in 0..logits.frames() {
        let (z, t) = (logits.frame(frame), targets.frame(frame));
        let max =
            z.iter().fold(f64::NEG_INFINITY, |m, &x| if f64::from(x) <= m { m } else { x.into() });
        let sum: f64 = z.iter().map(|&x| (f64::from(x) - max).exp()).sum();
        let whole = max + sum.ln();
        for ((g, &x), &t) in gradient.frame_mut(frame).iter_mut().zip(z).zip(t) {
            loss += f64::from(t) * (whole - f64::from(x));
            *g = (((f64::from(x) - whole).exp() - f64::from(t)) / frames as f64) as f32;
        }
        correct += usize::from(largest(z) == largest(t));
    }
    (loss / frames as f64, correct, gradient)
}

/// Index of the first largest number.
pub(super) fn largest(values: &[f32]) -> usize {
    (0..values.len()).fold(0, |best, at| if values[at] > values[best] { at } else { best })
}

impl<B: Kernels> Learner for BurnLearner<B> {
    fn graph(&self) -> &Arc<Graph> {
        &self.graph
    }

    fn step(
        &mut self,
        frames: usize,
        prepare: &Prepare<'_>,
        rate: f64,
    ) -> Result<StepResult, LabError> {
        let (parameters, logits) = (&self.parameters, self.logits);
        let found = std::thread::scope(|scope| {
            let work = |(index, network): (usize, &mut Network<Autodiff<B>>)| {
                learn(network, parameters, logits, prepare(index), frames)
            };
            let mut networks = self.networks.iter_mut().enumerate();
            let first = networks.next();
            let others: Vec<_> = networks.map(|one| scope.spawn(move || work(one))).collect();
            let first = first.map(work);
            first.into_iter().chain(others.into_iter().map(joined)).collect::<Result<Vec<_>, _>>()
        })?;
        let loss = found.iter().map(|shard| shard.loss).sum();
        let correct = found.iter().map(|shard| shard.correct).sum();
        self.apply(found, rate);
        Ok(StepResult { loss, correct })
    }

    fn logits(&self, frames: usize, images: &Images<'_>) -> Result<Array, LabError> {
        let threads = self.networks.len();
        let part = frames.div_ceil(threads).next_multiple_of(BATCH);
        let work = |thread: usize| {
            let mut all: Option<Array> = None;
            let end = frames.min((thread + 1) * part);
            for start in (thread * part..end).step_by(BATCH) {
                let batch =
                    upload::<B>(&images(start..end.min(start + BATCH)), self.plain.device());
                let mut values = self.plain.run(batch, &[self.logits], Mode::Inference);
                let logits = download::<B>(values.swap_remove(0))?;
                match &mut all {
                    Some(all) => all.append(&logits),
                    None => all = Some(logits),
                }
            }
            Ok(all)
        };
        let parts = std::thread::scope(|scope| {
            let others: Vec<_> =
                (1..threads).map(|thread| scope.spawn(move || work(thread))).collect();
            let first = work(0);
            std::iter::once(first)
                .chain(others.into_iter().map(joined))
                .collect::<Result<Vec<_>, LabError>>()
        })?;
        let mut all = Array::zeros([0, self.graph.value(self.logits).elements()]);
        parts.iter().flatten().for_each(|part| all.append(part));
        Ok(all)
    }

    fn state(&self) -> Result<State, LabError> {
        let name = |id: ValueId| &self.graph.value(id).name;
        let mut state = State::new();
        for (id, parameter) in &self.parameters {
            let Parameter { value, momentum, .. } = parameter;
            state.push((format!("weight/{}", name(*id)), download::<B>(value.clone())?));
            state.push((format!("momentum/{}", name(*id)), download::<B>(momentum.clone())?));
        }
        for (id, tensor) in self.running.iter().flat_map(|r| [&r.mean, &r.variance]) {
            state.push((format!("running/{}", name(*id)), download::<B>(tensor.clone())?));
        }
        Ok(state)
    }

    fn set_state(&mut self, state: &State) -> Result<(), LabError> {
        let device = self.plain.device().clone();
        let graph = self.graph.clone();
        let find = |kind: &str, id: ValueId, like: &FloatTensor<B>| {
            let name = format!("{kind}/{}", graph.value(id).name);
            let found = state.iter().find(|(other, _)| *other == name);
            let elements = |array: &Array| array.data().len();
            let wanted = graph.value(id).elements();
            match found {
                Some((_, array)) if elements(array) == wanted => {
                    let shape = burn_backend::TensorMetadata::shape(like);
                    let array = Array::new(shape.to_vec(), array.data().to_vec());
                    Ok(upload::<B>(&array, &device))
                }
                Some(_) => Err(LabError::Data(format!("tensor `{name}` has another size"))),
                None => Err(LabError::Data(format!("tensor `{name}` is missing"))),
            }
        };
        for (id, parameter) in &mut self.parameters {
            parameter.value = find("weight", *id, &parameter.value)?;
            parameter.momentum = find("momentum", *id, &parameter.momentum)?;
            self.plain.set_constant(*id, parameter.value.clone());
        }
        for running in &mut self.running {
            for (id, tensor) in [&mut running.mean, &mut running.variance] {
                *tensor = find("running", *id, tensor)?;
                self.plain.set_constant(*id, tensor.clone());
            }
        }
        Ok(())
    }
}

/// A thread's result; its panic goes on here.
fn joined<T>(thread: std::thread::ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}
