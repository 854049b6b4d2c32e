//! A run from the first step to the files that are left of it.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use gradgate_bundle::digest::sha256;
use gradgate_graph::cost::Macs;
use gradgate_graph::export::{ExportOptions, ExportOutput, export};
use gradgate_graph::graph::Graph;
use gradgate_graph::import::{ImportOptions, import_file};
use gradgate_graph::lower::Products;
use gradgate_graph::taps::Taps;

use super::augment::share;
use super::card::{self, Card, Part};
use super::checkpoint::{Checkpoint, Position, not_finite};
use super::curves::{Curves, Epoch, rounded};
use super::learner::{Learner, Shard, State, cross_entropy, open, trained};
use super::plot;

use super::{Dataset, Parts, Recipe};
use crate::array::Array;
use crate::device::Device;
use crate::error::LabError;
use crate::hex::hex;
use crate::random::Random;
use crate::zoo;

/// Time between two checkpoints within an epoch.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(60);

/// A run that has not ended.
pub struct Run {
    recipe: Recipe,
    parts: Parts,
    learner: Box<dyn Learner>,
    folder: PathBuf,
    position: Position,
    /// Training frames in the order of the present epoch.
    order: Vec<usize>,
    written: Instant,
}

/// How far a run is; loss and accuracy are of the epoch that has begun.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// Steps that were made.
    pub step: usize,
    /// Steps in all.
    pub steps: usize,
    /// Counted from 1.
    pub epoch: usize,
    /// Mean loss.
    pub loss: f64,
    /// Share of right answers.
    pub accuracy: f64,
    /// The epoch that this step has ended.
    pub ended: Option<Epoch>,
}

/// How [`Run::train`] ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Trained {
    /// Stopped by the caller; the same command goes on from here.
    Stopped {
        /// Steps that were made.
        step: usize,
    },
    /// All steps are made, and all files written.
    Finished(Box<Finished>),
}

/// What a finished run leaves.
#[derive(Clone, Debug, PartialEq)]
pub struct Finished {
    /// The card, as written.
    pub card: Card,
    /// The network with its last weights.
    pub model: PathBuf,
}

impl Run {
    /// Checks everything, then begins, or goes on from the checkpoint in `folder`.
    ///
    /// # Errors
    /// A recipe, frames, model or device that cannot be used; a folder that cannot be written, or
    /// that holds a run of another recipe or of other frames.
    pub fn open(
        recipe: Recipe,
        base: &Path,
        device: Device,
        folder: &Path,
    ) -> Result<Run, LabError> {
        recipe.check()?;
        device.check()?;
        let graph = network(&recipe, base)?;
        check_folder(folder)?;
        let digest = recipe.digest()?;
        let checkpoint = Checkpoint::read(&folder.join(CHECKPOINT))?;
        if checkpoint.as_ref().is_some_and(|c| c.progress.recipe != digest) {
            return Err(LabError::Options(format!(
                "{} holds a run of another recipe: choose another folder, or remove {CHECKPOINT}",
                folder.display()
            )));
        }
        let parts = Parts::read(&recipe, base)?;
        Run::new(recipe, parts, graph, device, folder, checkpoint)
    }

    fn new(
        recipe: Recipe,
        parts: Parts,
        graph: Graph,
        device: Device,
        folder: &Path,
        checkpoint: Option<Checkpoint>,
    ) -> Result<Run, LabError> {
        let mut learner = open(Arc::new(graph), device, &recipe)?;
        let data = parts.train.digest();
        let position = match checkpoint {
            None => Position::start(recipe.digest()?, data),
            Some(checkpoint) if checkpoint.progress.data != data => {
                return Err(LabError::Data(format!(
                    "{} holds a run on other frames: choose another folder, or remove {CHECKPOINT}",
                    folder.display()
                )));
            }
            Some(checkpoint) => {
                learner.set_state(&checkpoint.state)?;
                checkpoint.progress
            }
        };
        let text = recipe.to_toml()?;
        write(folder, "recipe.toml", text.as_bytes())?;
        let folder = folder.to_owned();
        let mut run = Run {
            recipe,
            parts,
            learner,
            folder,
            position,
            order: Vec::new(),
            written: Instant::now(),
        };
        run.order = run.order_of(run.epoch());
        Ok(run)
    }

    /// The recipe.
    pub fn recipe(&self) -> &Recipe {
        &self.recipe
    }

    /// The frames.
    pub fn parts(&self) -> &Parts {
        &self.parts
    }

    /// Steps that were made.
    pub fn step(&self) -> usize {
        self.position.step
    }

    /// Steps in all.
    pub fn steps(&self) -> usize {
        self.recipe.epochs * self.of_epoch()
    }

    /// Trains to the end, unless `watch`, which is called after every step, breaks off; a
    /// checkpoint is then written first.
    ///
    /// # Errors
    /// When the loss or a weight is no number, or a file cannot be written; the last checkpoint
    /// stays.
    pub fn train(
        &mut self,
        watch: &mut dyn FnMut(&Progress) -> ControlFlow<()>,
    ) -> Result<Trained, LabError> {
        while self.position.step < self.steps() {
            let rate = self.one_step()?;
            let mut progress = self.progress();
            if self.position.step.is_multiple_of(self.of_epoch()) {
                progress.ended = Some(self.end_epoch(rate)?);
            } else if self.written.elapsed() > CHECKPOINT_EVERY {
                self.checkpoint()?;
            }
            if watch(&progress).is_break() {
                self.checkpoint()?;
                return Ok(Trained::Stopped { step: self.position.step });
            }
        }
        Ok(Trained::Finished(Box::new(self.finish()?)))
    }

    fn of_epoch(&self) -> usize {
        self.parts.train.len() / self.recipe.batch
    }

    /// Counted from 0.
    fn epoch(&self) -> usize {
        self.position.step / self.of_epoch()
    }

    fn order_of(&self, epoch: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.parts.train.len()).collect();
        Random::new(self.recipe.seed, "order", epoch as u64).shuffle(&mut order);
        order
    }

    /// Makes a step; gives its rate.
    fn one_step(&mut self) -> Result<f64, LabError> {
        let (step, epoch, batch) = (self.position.step, self.epoch(), self.recipe.batch);
        let within = step % self.of_epoch();
        let rate = self.recipe.schedule.rate(step, self.steps(), self.of_epoch());
        let frames = &self.order[within * batch..][..batch];
        let (recipe, train) = (&self.recipe, &self.parts.train);
        let of_shard = batch / recipe.shards;
        let prepare =
            |index: usize| shard(recipe, train, &frames[index * of_shard..][..of_shard], epoch);
        let result = self.learner.step(batch, &prepare, rate).map_err(|error| match error {
            LabError::NotFinite(text) => diverged(&text, step, epoch, rate),
            other => other,
        })?;
        self.position.step += 1;
        self.position.loss_bits = (self.position.loss() + result.loss).to_bits();
        self.position.correct += result.correct;
        Ok(rate)
    }

    fn progress(&self) -> Progress {
        let step = self.position.step;
        let steps = ((step - 1) % self.of_epoch() + 1) as f64;
        Progress {
            step,
            steps: self.steps(),
            epoch: (step - 1) / self.of_epoch() + 1,
            loss: self.position.loss() / steps,
            accuracy: self.position.correct as f64 / (steps * self.recipe.batch as f64),
            ended: None,
        }
    }

    fn end_epoch(&mut self, rate: f64) -> Result<Epoch, LabError> {
        let progress = self.progress();
        let validation = self.judge(&self.parts.validation)?;
        let share = |correct: usize| correct as f64 / self.parts.validation.len() as f64;
        let ended = Epoch {
            epoch: progress.epoch,
            rate: rounded(rate),
            loss: rounded(progress.loss),
            accuracy: rounded(progress.accuracy),
            validation_loss: validation.map(|(loss, _)| rounded(loss)),
            validation_accuracy: validation.map(|(_, correct)| rounded(share(correct))),
        };
        self.position.epochs.push(ended);
        (self.position.loss_bits, self.position.correct) = (0.0_f64.to_bits(), 0);
        self.checkpoint()?;
        self.write_curves()?;
        self.order = self.order_of(self.epoch());
        Ok(ended)
    }

    fn checkpoint(&mut self) -> Result<(), LabError> {
        let state = self.learner.state()?;
        if let Some(name) = not_finite(&state) {
            let (step, epoch) = (self.position.step, self.epoch());
            let rate = self.recipe.schedule.rate(step, self.steps(), self.of_epoch());
            return Err(diverged(&format!("`{name}` holds no number"), step, epoch, rate));
        }
        let checkpoint = Checkpoint { progress: self.position.clone(), state };
        checkpoint.write(&self.folder.join(CHECKPOINT))?;
        self.written = Instant::now();
        Ok(())
    }

    fn write_curves(&self) -> Result<(), LabError> {
        let curves = Curves {
            name: self.recipe.name.clone(),
            recipe: self.position.recipe.clone(),
            epochs: self.position.epochs.clone(),
        };
        write(&self.folder, "curves.json", curves.to_json()?.as_bytes())?;
        write(&self.folder, "curves.svg", plot::svg(&curves).as_bytes())
    }

    /// Mean cross-entropy and right answers; `None` without frames.
    fn judge(&self, dataset: &Dataset) -> Result<Option<(f64, usize)>, LabError> {
        if dataset.is_empty() {
            return Ok(None);
        }
        let logits = self.learner.logits(dataset.len(), &|range| dataset.images(range))?;
        let mut targets = Array::zeros(logits.shape());
        for (frame, &label) in dataset.labels.iter().enumerate() {
            targets.frame_mut(frame)[label] = 1.0;
        }
        let (loss, correct, _) = cross_entropy(&logits, &targets, dataset.len());
        Ok(Some((loss, correct)))
    }

    fn finish(&self) -> Result<Finished, LabError> {
        let state = self.learner.state()?;
        let graph = trained(self.learner.graph(), &state);
        let model = self.folder.join("model.onnx");
        let bytes = onnx(&graph, &self.position.recipe, &self.parts.train.class_names)?;
        let card = self.card(&graph, hex(&sha256(&bytes)))?;
        write(&self.folder, "model.onnx", &bytes)?;
        write(&self.folder, "card.toml", card.to_toml()?.as_bytes())?;
        self.write_curves()?;
        Ok(Finished { card, model })
    }

    fn card(&self, graph: &Graph, model_sha256: String) -> Result<Card, LabError> {
        let Recipe { data, network, name, .. } = &self.recipe;
        let part = |dataset: &Dataset, from: &[String]| {
            let judged = self.judge(dataset)?;
            let of = dataset.len();
            Ok::<_, LabError>(
                judged.map(|(loss, correct)| Part::new(dataset, from, correct, of, loss)),
            )
        };
        let last = self.position.epochs.last().copied().unwrap_or_default();
        let seen = self.of_epoch() * self.recipe.batch;
        let correct = (last.accuracy * seen as f64).round() as usize;
        let macs = Macs::with_taps(graph, &Taps::all(), &[], Products::default());
        Ok(Card {
            name: name.clone(),
            network: card::network_name(&self.recipe),
            gradgate: env!("CARGO_PKG_VERSION").to_owned(),
            parameter_tensors: graph.parameters.len(),
            parameters: graph.parameters.iter().map(|&id| graph.value(id).elements()).sum(),
            multiply_adds: macs.map_or(0, |macs| macs.forward),
            image: network.image,
            classes: self.parts.train.class_names.clone(),
            note: data.note.clone(),
            recipe_sha256: self.position.recipe.clone(),
            model_sha256,
            steps: self.position.step,
            train: Part::new(&self.parts.train, &data.train, correct, seen, last.loss),
            validation: part(&self.parts.validation, &data.train)?,
            test: part(&self.parts.test, &data.test)?,
        })
    }
}

/// Name of the file that a run goes on from.
const CHECKPOINT: &str = "checkpoint.safetensors";

fn diverged(what: &str, step: usize, epoch: usize, rate: f64) -> LabError {
    LabError::NotFinite(format!(
        "{what} at step {step} (epoch {}, rate {rate:.4}): training has diverged; the last good \
         checkpoint stays; lower schedule.rate or lengthen schedule.warm_up",
        epoch + 1
    ))
}

/// The network with its first weights.
fn network(recipe: &Recipe, base: &Path) -> Result<Graph, LabError> {
    let graph = match (recipe.network.blueprint(recipe.seed)?, &recipe.network.model) {
        (Some(blueprint), _) => zoo::build(&blueprint)?,
        (None, Some(name)) => {
            let path = base.join(name);
            let imported = import_file(&path, &ImportOptions::default())
                .map_err(|error| LabError::Model(format!("{}: {error}", path.display())))?;
            imported.graph
        }
        (None, None) => return Err(LabError::Options("the recipe names no network".to_owned())),
    };
    let (shape, classes) = (
        graph.input.map(|id| graph.shape(id).to_vec()).unwrap_or_default(),
        graph.logits.map_or(0, |id| graph.value(id).elements()),
    );
    if classes != recipe.network.classes {
        return Err(LabError::Model(format!(
            "model `{}` has {classes} classes, network.classes is {}",
            graph.name, recipe.network.classes
        )));
    }
    if shape.len() != 4 || shape[1..] != recipe.network.image {
        return Err(LabError::Model(format!(
            "model `{}` takes images of {shape:?}, network.image is {:?}",
            graph.name, recipe.network.image
        )));
    }
    Ok(graph)
}

/// Makes the folder, and a file in it: what could not be written at the end is said first.
fn check_folder(folder: &Path) -> Result<(), LabError> {
    let named = |error: std::io::Error| LabError::unwritable(folder, &error);
    std::fs::create_dir_all(folder).map_err(named)?;
    let trial = folder.join(format!(".trial.{}", std::process::id()));
    std::fs::write(&trial, []).and_then(|()| std::fs::remove_file(&trial)).map_err(named)
}

fn write(folder: &Path, name: &str, bytes: &[u8]) -> Result<(), LabError> {
    super::write_whole(&folder.join(name), bytes)
}

/// The forward pass as ONNX, BatchNorm kept.
fn onnx(graph: &Graph, recipe: &str, classes: &[String]) -> Result<Vec<u8>, LabError> {
    let failed = |error: String| LabError::Model(format!("cannot export the model: {error}"));
    let logits = graph.logits.ok_or_else(|| failed("it has no logits".to_owned()))?;
    let names = serde_json::to_string(classes).map_err(|error| failed(error.to_string()))?;
    let metadata = vec![
        ("gradgate.recipe_sha256".to_owned(), recipe.to_owned()),
        ("gradgate.classes".to_owned(), names),
    ];
    let options = ExportOptions { metadata, ..ExportOptions::default() };
    export(graph, &[ExportOutput::value("logits", logits)], None, &options)
        .map_err(|error| failed(error.to_string()))
}

/// Augmented images and their targets.
fn shard(recipe: &Recipe, train: &Dataset, frames: &[usize], epoch: usize) -> Shard {
    let Recipe { seed, augmentation, label_smoothing, network, .. } = recipe;
    let [channels, height, width] = train.shape;
    let key = |frame: usize| ((epoch as u64) << 32) | frame as u64;
    let mut images = Array::zeros([frames.len(), channels, height, width]);
    let mut targets = Array::zeros([frames.len(), network.classes]);
    let spread = (label_smoothing / network.classes as f64) as f32;
    for (at, &frame) in frames.iter().enumerate() {
        let mut random = Random::new(*seed, "augment", key(frame));
        augmentation.apply(train.frame(frame), train.shape, &mut random, images.frame_mut(at));
        targets.frame_mut(at).fill(spread);
        targets.frame_mut(at)[train.labels[frame]] += 1.0 - *label_smoothing as f32;
    }
    if augmentation.mixup > 0.0 {
        // Each image is mixed with the one after it: the order is random already.
        let mut random = Random::new(*seed, "mixup", key(frames[0]));
        let share = share(augmentation.mixup, &mut random) as f32;
        mix(&mut images, share);
        mix(&mut targets, share);
    }
    Shard { images, targets }
}

/// `share` of each frame and the rest of the next one, the last with the first.
fn mix(array: &mut Array, share: f32) {
    let whole = array.clone();
    for frame in 0..array.frames() {
        let next = whole.frame((frame + 1) % whole.frames());
        for (x, y) in array.frame_mut(frame).iter_mut().zip(next) {
            *x = share * *x + (1.0 - share) * y;
        }
    }
}

/// Weights and statistics of a run, for tests.
impl Run {
    /// Weights, momentum and running statistics.
    ///
    /// # Errors
    /// When the device fails.
    pub fn state(&self) -> Result<State, LabError> {
        self.learner.state()
    }
}
