//! The classifier under test: its features of frames, attacks on it, all kept in the cache.

use std::sync::Arc;

use gradgate_detect::references::References;
use gradgate_detect::{FeatureSet, Metadata};
use gradgate_frames::Preprocessing;
use gradgate_graph::alignment::Reference;
use gradgate_graph::expand::{Label, expand_aligned};
use gradgate_graph::import::Imported;
use gradgate_graph::taps::Taps;

use crate::array::Array;
use crate::attack::file::{AttackFile, Facts};
use crate::attack::loss::argmax;
use crate::attack::{self, Attack, Outcome, Status, Subject, checkpoint};
use crate::classifier::Classifier;
use crate::device::{self, Device};
use crate::error::LabError;
use crate::hex::hex;
use crate::program::{Program, frames_of};
use crate::random::Random;

use super::cache::{Cache, write};
use super::definition::GradientLabel;
use super::results::ModelFacts;
use super::sets::ImageSet;
use super::watch::Watch;

/// Frames between two words to the watcher.
const CHUNK: usize = 256;

/// A classifier compiled for features and opened for batches.
pub struct Examined {
    /// Logits and gradients in batches.
    pub classifier: Box<dyn Classifier>,
    /// Digest of the model's file.
    pub model_digest: String,
    /// One; or one a class, each with that class as its label.
    programs: Vec<Program>,
    metadata: Metadata,
    folded: bool,
}

impl Examined {
    /// Compiles the model with every tap, and alignments where references are given. Frames are
    /// the model's input as they are, 0..1: its normalisation lies inside it.
    ///
    /// # Errors
    /// When it cannot be expanded, compiled or executed; references of another model.
    pub fn new(
        imported: &Imported,
        references: Option<&References>,
        label: GradientLabel,
        device: Device,
    ) -> Result<Examined, LabError> {
        let graph = &imported.graph;
        let refused = |text: String| LabError::Model(format!("model `{}`: {text}", graph.name));
        let directions = directions(references);
        let classifier = device::open(Arc::new(graph.clone()), device)?;
        let compile = |label: &Label| {
            let expanded = expand_aligned(graph, label, &Taps::all(), &directions)
                .map_err(|error| refused(error.to_string()))?;
            Program::new(&expanded, &Preprocessing::default())
        };
        let programs = labels(label, classifier.classes())
            .iter()
            .map(compile)
            .collect::<Result<Vec<_>, _>>()?;
        let program = programs.first().ok_or_else(|| refused("it has no class".to_owned()))?;
        let owned = |list: &str| list.lines().map(str::to_owned).collect();
        let names = program.names();
        let references_digest = match references {
            None => String::new(),
            Some(file) => hex(&file.digest().map_err(|error| refused(error.to_string()))?),
        };
        let metadata = Metadata {
            parameters: owned(&names.parameters),
            layers: owned(&names.layers),
            alignments: owned(&names.alignments),
            preprocessing: Preprocessing::default().to_string(),
            label: label.name().to_owned(),
            executor: "engine".to_owned(),
            numerics: "exact".to_owned(),
            model_digest: hex(&imported.model_digest),
            schema_digest: hex(&program.schema_digest(imported.folded)),
            references_digest,
            frames: String::new(),
        };
        Ok(Examined {
            classifier,
            model_digest: hex(&imported.model_digest),
            programs,
            metadata,
            folded: imported.folded,
        })
    }

    /// Channels, rows, columns of a frame.
    ///
    /// # Errors
    /// When the model takes no image of 1 or 3 channels.
    pub fn shape(&self) -> Result<[usize; 3], LabError> {
        let graph = self.classifier.graph();
        match graph.input.map(|input| graph.shape(input)) {
            Some(&[_, channels, height, width]) if channels == 1 || channels == 3 => {
                Ok([channels, height, width])
            }
            shape => Err(LabError::Model(format!(
                "model `{}` takes {shape:?}: a classifier of one grey or RGB image is needed",
                graph.name
            ))),
        }
    }

    /// What results say of it.
    pub fn facts(&self, name: &str) -> ModelFacts {
        ModelFacts {
            name: name.to_owned(),
            digest: self.model_digest.clone(),
            parameters: self.metadata.parameters.clone(),
            layers: self.metadata.layers.clone(),
            classes: self.classifier.classes(),
            folded: self.folded,
        }
    }

    /// Features of every frame, through the engine on all cores.
    ///
    /// # Errors
    /// When frames do not fit, a feature is not finite, or the watcher stops.
    pub fn features(
        &self,
        set: &ImageSet,
        cache: &Cache,
        watch: &dyn Watch,
    ) -> Result<FeatureSet, LabError> {
        let digest = set.digest();
        let known = &self.metadata;
        let facts = [known.model_digest.as_str(), &known.references_digest, &digest, &known.label];
        let mut features = cache.features(&facts, || {
            let begin = std::time::Instant::now();
            let found = self.compute(set, watch)?;
            let rate = set.len() as f64 / begin.elapsed().as_secs_f64().max(1e-9);
            watch.say(&format!(
                "features of {}: {} frames, {rate:.0} frames/s",
                set.name,
                set.len()
            ));
            Ok(found)
        })?;
        // What the frames are, beside their pixels, is the protocol's to say.
        features.metadata.frames.clone_from(&set.name);
        features.labels = set.labels.iter().map(|l| l.map_or(-1, |label| label as i64)).collect();
        features.source.clone_from(&set.sources);
        Ok(features)
    }

    fn compute(&self, set: &ImageSet, watch: &dyn Watch) -> Result<FeatureSet, LabError> {
        let mut all = FeatureSet { metadata: self.metadata.clone(), ..FeatureSet::default() };
        let stage = format!("features of {}", set.name);
        for start in (0..set.len()).step_by(CHUNK) {
            watch.progress(&stage, start as u64, set.len() as u64)?;
            let end = set.len().min(start + CHUNK);
            let found = self.compute_chunk(&set.images.slice(start..end))?;
            for ([norms, layers], [logits, penultimate, alignments]) in found {
                all.classes = logits.len();
                all.penultimate_length = penultimate.len();
                all.squared_norms.extend(norms);
                all.activation_norms.extend(layers);
                all.logits.extend(logits);
                all.penultimate.extend(penultimate);
                all.alignments.extend(alignments);
            }
        }
        all.labels = vec![-1; set.len()];
        all.source = (0..set.len() as i64).collect();
        all.validate().map_err(|e| LabError::NotFinite(format!("set `{}`: {e}", set.name)))?;
        Ok(all)
    }

    /// Norms, and plain values, of each frame in order.
    fn compute_chunk(&self, images: &Array) -> Result<Vec<FrameValues>, LabError> {
        let frames = frames_of(images);
        let widen = |values: &[f32]| values.iter().map(|&v| f64::from(v)).collect();
        let run = |program: &Program, frames: &[Vec<f32>]| {
            program.run(frames, |_, features| {
                let norms = [widen(features.squared_norms), widen(features.activation_norms)];
                let plain = [features.logits, features.penultimate, features.alignments];
                Ok((norms, plain.map(<[f32]>::to_vec)))
            })
        };
        if let [program] = self.programs.as_slice() {
            return run(program, &frames);
        }
        let logits = self.classifier.logits(images)?;
        let classes: Vec<usize> = (0..frames.len()).map(|at| argmax(logits.frame(at))).collect();
        let mut all: Vec<Option<FrameValues>> = vec![None; frames.len()];
        for (class, program) in self.programs.iter().enumerate() {
            let mine: Vec<usize> = (0..frames.len()).filter(|&at| classes[at] == class).collect();
            let chosen: Vec<Vec<f32>> = mine.iter().map(|&at| frames[at].clone()).collect();
            for (at, values) in mine.into_iter().zip(run(program, &chosen)?) {
                all[at] = Some(values);
            }
        }
        Ok(all.into_iter().flatten().collect())
    }

    /// Attacks every frame; what an earlier run did is taken from the cache.
    ///
    /// # Errors
    /// As [`attack::run`]; when the watcher stops.
    pub fn attacked(
        &self,
        name: &str,
        attack: &Attack,
        originals: &ImageSet,
        cache: &Cache,
        watch: &dyn Watch,
    ) -> Result<ImageSet, LabError> {
        let facts: Facts =
            attack.options().into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        let text = serde_json::to_string(&facts).unwrap_or_default();
        let labels = format!("{:?}", originals.labels);
        let key = [self.model_digest.as_str(), &originals.digest(), &labels, &text];
        let (path, found) = cache.attacked(&key);
        let outcomes = match found {
            Some(file) => file.outcomes,
            None => {
                let outcomes = self.attack(name, attack, originals, &path, &text, watch)?;
                let [channels, height, width] = self.shape()?;
                let shape = [channels, height, width];
                let bytes = attack.round8;
                let file = AttackFile { facts, shape, bytes, outcomes };
                write(&path, &file.to_bytes()?)?;
                file.outcomes
            }
        };
        Ok(attacked_set(name, originals, outcomes))
    }

    fn attack(
        &self,
        name: &str,
        attack: &Attack,
        originals: &ImageSet,
        path: &std::path::Path,
        description: &str,
        watch: &dyn Watch,
    ) -> Result<Vec<Outcome>, LabError> {
        let place = checkpoint::path_of(path);
        let (mut kept, mut done) = if place.exists() {
            let samples = originals.images.frame_elements();
            checkpoint::Checkpoint::resume(&place, description, samples)?
        } else {
            (checkpoint::Checkpoint::create(&place, description)?, Vec::new())
        };
        let seen: std::collections::HashSet<usize> = done.iter().map(|one| one.index).collect();
        let subjects = (0..originals.len()).filter(|at| !seen.contains(at)).map(|at| {
            Ok::<_, LabError>(Subject {
                index: at,
                source: originals.sources[at],
                label: originals.labels[at],
                pixels: originals.images.frame(at).to_vec(),
            })
        });
        let total = attack.image_steps() * (originals.len() - seen.len()) as u64;
        let (stage, mut steps) = (format!("attack {name}"), 0);
        let emit = |outcome: Outcome| {
            kept.add(&outcome)?;
            done.push(outcome);
            Ok(())
        };
        let observe = |work: attack::Work| {
            steps += work.asked + work.spared;
            watch.progress(&stage, steps, total)
        };
        attack::run(self.classifier.as_ref(), attack, subjects, 64, emit, observe)?;
        done.sort_by_key(|one| one.index);
        kept.remove()?;
        Ok(done)
    }
}

/// Squared norms of gradients and of activations; logits, penultimate vector, alignments.
type FrameValues = ([Vec<f64>; 2], [Vec<f32>; 3]);

/// What to compile for.
fn labels(label: GradientLabel, classes: usize) -> Vec<Label> {
    let alone = |class: usize| {
        Label::Custom((0..classes).map(|at| if at == class { 1.0 } else { 0.0 }).collect())
    };
    match label {
        GradientLabel::Ones => vec![Label::Ones],
        GradientLabel::Zeros => vec![Label::Zeros],
        GradientLabel::Predicted => (0..classes).map(alone).collect(),
    }
}

fn directions(references: Option<&References>) -> Vec<Reference> {
    let Some(file) = references else { return Vec::new() };
    let all = file.layers.iter().map(|layer| Reference {
        parameter: layer.shape.parameter.clone(),
        u: layer.u.clone(),
        v: layer.v.clone(),
    });
    all.collect()
}

fn attacked_set(name: &str, originals: &ImageSet, outcomes: Vec<Outcome>) -> ImageSet {
    let numbers: Vec<usize> = outcomes.iter().map(|one| one.index).collect();
    let mut set = originals.take(&numbers);
    set.name = name.to_owned();
    set.twins = Some(numbers);
    set.statuses = Some(outcomes.iter().map(|one| one.status).collect());
    let pixels = outcomes.into_iter().flat_map(|one| one.pixels).collect();
    set.images = Array::new(set.images.shape(), pixels);
    set
}

/// Random signs with the differences of another set: where a frame of `like` differs from its
/// original by at most `m` and by `d` in root of the sum of squares, so many random pixels change
/// by `m`, rounded to whole grey levels if `like` has whole ones, that the sum comes to `d`.
pub fn noise_like(name: &str, like: &ImageSet, originals: &ImageSet, seed: u64) -> ImageSet {
    let twins = like.twins.clone().unwrap_or_else(|| (0..like.len()).collect());
    let mut set = originals.take(&twins);
    set.name = name.to_owned();
    set.twins = Some(twins);
    for frame in 0..set.len() {
        let clean = set.images.frame(frame).to_vec();
        let (largest, root) = attack::distortion(&clean, like.images.frame(frame));
        if largest <= 0.0 {
            continue;
        }
        let changed = (f64::from(root / largest).powi(2)).round() as usize;
        let mut random = Random::new(seed, "noise like an attack", frame as u64);
        let mut order: Vec<usize> = (0..clean.len()).collect();
        random.shuffle(&mut order);
        let pixels = set.images.frame_mut(frame);
        for &at in order.iter().take(changed) {
            // Towards the inside where the border is nearer than the step.
            let step = random.sign() * largest;
            let inside = (0.0..=1.0).contains(&(clean[at] + step));
            pixels[at] = (clean[at] + if inside { step } else { -step }).clamp(0.0, 1.0);
        }
    }
    set
}

/// How often the classifier is right about frames with labels, and how many have one.
pub fn accuracy(features: &FeatureSet) -> (usize, usize) {
    let known = (0..features.len()).filter(|&at| features.labels[at] >= 0);
    let right = known.clone().filter(|&at| predicted(features, at) == features.labels[at]);
    (right.count(), known.count())
}

/// The class with the largest logit.
pub fn predicted(features: &FeatureSet, frame: usize) -> i64 {
    let classes = features.classes;
    argmax(&features.logits[frame * classes..][..classes]) as i64
}

/// How many frames of a set have a status.
pub fn count(set: &ImageSet, status: Status) -> usize {
    set.statuses.iter().flatten().filter(|one| **one == status).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Frames of the tiny network of the golden models, whose classes are predicted by chance.
    fn some_frames() -> (Imported, ImageSet) {
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../tests/golden/onnx/tiny_torchscript_kept.onnx"
        );
        let options = gradgate_graph::import::ImportOptions::default();
        let imported = gradgate_graph::import::import_file(std::path::Path::new(path), &options);
        let mut random = Random::new(5, "some frames", 0);
        let pixels = (0..12 * 3 * 64).map(|_| random.uniform() as f32).collect();
        let set = ImageSet {
            name: "some".into(),
            images: Array::new([12, 3, 8, 8], pixels),
            labels: vec![None; 12],
            sources: (0..12).collect(),
            twins: None,
            statuses: None,
        };
        (imported.expect("imports"), set)
    }

    #[test]
    fn gradients_start_from_the_predicted_class_of_each_frame() {
        let (imported, set) = some_frames();
        let of = |label| {
            let examined = Examined::new(&imported, None, label, Device::Cpu).expect("compiles");
            examined.compute(&set, &super::super::Quiet).expect("computes")
        };
        let found = of(GradientLabel::Predicted);
        let parameters = found.metadata.parameters.len();
        for at in 0..set.len() {
            let mut label = vec![0.0; found.classes];
            label[predicted(&found, at) as usize] = 1.0;
            let (graph, label) = (&imported.graph, Label::Custom(label));
            let expanded = expand_aligned(graph, &label, &Taps::all(), &[]).expect("expands");
            let program = Program::new(&expanded, &Preprocessing::default()).expect("compiles");
            let frame = frames_of(&set.images.slice(at..at + 1));
            let norms = program.run(&frame, |_, f| Ok(f.squared_norms.to_vec())).expect("runs");
            let wanted: Vec<f64> = norms[0].iter().map(|&norm| f64::from(norm)).collect();
            assert_eq!(found.squared_norms[at * parameters..][..parameters], wanted, "frame {at}");
        }
        let (ones, zeros) = (of(GradientLabel::Ones), of(GradientLabel::Zeros));
        assert_eq!((&ones.logits, &zeros.logits), (&found.logits, &found.logits));
        assert!(ones.squared_norms != zeros.squared_norms);
        assert!(ones.squared_norms != found.squared_norms);
    }

    #[test]
    fn noise_has_the_differences_of_the_attack() {
        let grey = Array::new([3, 1, 4, 4], vec![0.5; 48]);
        let originals = ImageSet {
            name: "normal".into(),
            images: grey.clone(),
            labels: vec![Some(0); 3],
            sources: vec![0, 1, 2],
            twins: None,
            statuses: None,
        };
        let mut like = originals.take(&[2, 1]);
        like.twins = Some(vec![2, 1]);
        like.images.frame_mut(0)[3..8].iter_mut().for_each(|x| *x += 0.1);
        let noise = noise_like("noise", &like, &originals, 7);
        assert_eq!((noise.sources.as_slice(), noise.len()), (&[2, 1][..], 2));
        let (largest, root) = attack::distortion(grey.frame(0), noise.images.frame(0));
        assert!((largest - 0.1).abs() < 1e-6, "{largest}");
        assert!((root - 0.1 * 5.0_f32.sqrt()).abs() < 1e-6, "{root}");
        assert_eq!(noise.images.frame(1), grey.frame(0));
        assert_eq!(noise, noise_like("noise", &like, &originals, 7));
    }
}
