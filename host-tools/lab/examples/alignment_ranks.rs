//! What a reference of rank 1 loses: alignments with references of higher rank and of bytes, by the
//! same detectors on the same splits.
//!
//! A reference is the mean unit gradient of a weight over normal frames of one predicted class.
//! Each frame's gradients are computed once and compared with all forms of it, so that nothing but
//! the form differs. `gradgate evaluate` and devices know rank 1 alone.
//!
//! ```text
//! cargo run --example alignment_ranks -- \
//!     PROTOCOL.toml MODEL.onnx DATA TRAINING.bin CACHE OUT [SET..]
//! ```
//!
//! References come from the first thousand frames of TRAINING; OUT gets results.json and
//! results.md.

use std::error::Error;
use std::fmt::Write as _;
use std::path::Path;

use gradgate_detect::metrics::Interval;
use gradgate_detect::references::rank_one;
use gradgate_engine::Written;
use gradgate_frames::Preprocessing;
use gradgate_graph::alignment::{Weight, gradient_steps, weights};
use gradgate_graph::expand::{Label, expand};
use gradgate_graph::graph::{Graph, ValueId};
use gradgate_graph::import::{ImportOptions, Imported, import_file};
use gradgate_graph::lower::{Products, lower_with};
use gradgate_graph::plan::{PlanOptions, plan};
use gradgate_graph::taps::Taps;
use gradgate_lab::attack::loss::argmax;
use gradgate_lab::program::{Program, frames_of};
use gradgate_lab::protocol::cache::Cache;
use gradgate_lab::protocol::coded::CodedNormals;
use gradgate_lab::protocol::compare::Scores;
use gradgate_lab::protocol::definition::{FramesChoice, Ours};
use gradgate_lab::protocol::examined::Examined;
use gradgate_lab::protocol::ours::Measured;
use gradgate_lab::protocol::parts::{Split, digest};
use gradgate_lab::protocol::sets::{ImageSet, Places};
use gradgate_lab::protocol::trials::Bench;
use gradgate_lab::protocol::{self, Definition, Quiet, Setting};
use gradgate_lab::{Array, Device};
use rayon::prelude::*;

/// Forms of a reference; the first is what the others are compared with.
const FORMS: [&str; 5] = ["rank 1", "rank 1, 8 bit", "rank 2", "rank 4", "full"];
/// Heads that read alignments.
const DETECTORS: [&str; 4] =
    ["mlp:alignment", "mlp:forward,alignment", "composite:forward,alignment", "gaussian:alignment"];
/// Training frames behind the references.
const FRAMES: usize = 1000;
/// Images between which memory is given back.
const CHUNK: usize = 128;

type Whole<T> = Result<T, Box<dyn Error>>;

fn main() -> Whole<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [protocol, model, data, training, cache, out, chosen @ ..] = words.as_slice() else {
        return Err("PROTOCOL.toml MODEL.onnx DATA TRAINING.bin CACHE OUT [SET..]".into());
    };
    let mut definition = Definition::read(Path::new(protocol))?;
    definition.sets.retain(|set| chosen.is_empty() || chosen.contains(&set.name));
    let imported = import_file(Path::new(model), &ImportOptions::default())?;
    let name = Path::new(model).file_name().unwrap_or_default().to_string_lossy();
    let setting = Setting {
        model: &name,
        imported: &imported,
        references: None,
        data: Path::new(data),
        recipe: Path::new("recipe.toml"),
        cache: Path::new(cache),
        device: Device::Cpu,
    };
    let cache = Cache::open(setting.cache)?;
    let examined = Examined::new(&imported, None, definition.label, setting.device)?;
    let choice = FramesChoice {
        frames: vec![training.clone()],
        limit: Some(FRAMES),
        ..FramesChoice::default()
    };
    let places = Places { data: setting.data, recipe: setting.recipe };
    let frames = ImageSet::read("training", &choice, examined.shape()?, &places, 0)?;
    let network = Gradients::new(&imported)?;
    let references = network.references(&frames.images, &classes(&examined, &frames.images)?)?;
    eprintln!("references of {} weights", network.weights.len());
    let (normal, sets) = protocol::frames(&definition, &setting, &examined, &cache, &Quiet)?;
    let measure = |set: ImageSet| -> Whole<[Measured; FORMS.len()]> {
        let features = examined.features(&set, &cache, &Quiet)?;
        let found = network.compare(&set.images, &classes(&examined, &set.images)?, &references)?;
        eprintln!("alignments of {}: {} frames", set.name, set.len());
        let of = |alignments: Vec<f32>| {
            let mut features = features.clone();
            features.metadata.alignments = network.names();
            features.metadata.references_digest = "0".repeat(64);
            features.alignments = alignments;
            Measured::new(set.clone(), features)
        };
        let forms: Vec<Measured> = found.into_iter().map(of).collect::<Result<_, _>>()?;
        forms.try_into().map_err(|_| "a form is missing".into())
    };
    let normal = measure(normal)?;
    let sets = sets.into_iter().map(measure).collect::<Whole<Vec<_>>>()?;
    let table = judge(&definition, normal, sets)?;
    std::fs::create_dir_all(out)?;
    std::fs::write(Path::new(out).join("results.json"), serde_json::to_string(&table)? + "\n")?;
    std::fs::write(Path::new(out).join("results.md"), text(&table, &examined.model_digest))?;
    Ok(())
}

fn classes(examined: &Examined, images: &Array) -> Whole<Vec<usize>> {
    let logits = examined.classifier.logits(images)?;
    Ok((0..images.frames()).map(|at| argmax(logits.frame(at))).collect())
}

/// The network whose weight gradients are read, from the confounding label of all ones.
struct Gradients {
    weights: Vec<(String, Weight)>,
    program: Program,
    /// For each step, the weight whose gradient it writes.
    steps: Vec<Option<usize>>,
    classes: usize,
}

/// References of all forms: `[form][weight][class]`, each a matrix like the weight.
type References = Vec<Vec<Vec<Vec<f32>>>>;

impl Gradients {
    /// The last third of the convolutions and linear layers, as `gradgate references` takes them.
    fn new(imported: &Imported) -> Whole<Gradients> {
        let graph: &Graph = &imported.graph;
        let all = weights(graph);
        let chosen = &all[all.len() - all.len().div_ceil(3)..];
        let parameters: Vec<ValueId> = chosen.iter().map(|weight| weight.parameter).collect();
        let mut expanded = expand(graph, &Label::Ones, &Taps::exactly(graph, &parameters))?;
        // Without a norm to feed, the gradients themselves are computed.
        expanded.squared_norms.clear();
        expanded.activation_norms.clear();
        let preprocessing = Preprocessing::default();
        let schedule = lower_with(&expanded, &preprocessing, Products::Dropped)?;
        let planned = plan(schedule, PlanOptions::default())?;
        let mut steps = vec![None; planned.schedule.steps.len()];
        for (step, parameter) in gradient_steps(&expanded, &planned.schedule) {
            steps[step] = parameters.iter().position(|&one| one == parameter);
        }
        let mut program =
            Program::packed(&expanded, &planned.schedule, &planned.plan, &preprocessing)?;
        program.prepare()?;
        let named = |weight: &Weight| (graph.value(weight.parameter).name.clone(), *weight);
        let weights = chosen.iter().map(named).collect();
        let classes = graph.logits.map_or(0, |logits| graph.value(logits).elements());
        Ok(Gradients { weights, program, steps, classes })
    }

    fn names(&self) -> Vec<String> {
        self.weights.iter().map(|(name, _)| name.clone()).collect()
    }

    /// What `take` makes of the unit gradients of every image, by weight.
    fn each<T: Send>(
        &self,
        images: &Array,
        take: impl Fn(usize, &[Vec<f32>]) -> T + Sync,
    ) -> Whole<Vec<T>> {
        let engine = self.program.engine()?;
        let run = |arena: &mut Vec<f32>, (at, frame): (usize, &Vec<f32>)| {
            let mut gradients = vec![vec![]; self.weights.len()];
            let frame = gradgate_engine::Frame::F32(frame);
            let ran = engine.run_observed(frame, arena, |step, written, values| {
                if let (Some(weight), Written::Operand(_)) = (self.steps[step], written) {
                    gradients[weight] = values.to_vec();
                }
            });
            ran.map_err(|error| format!("image {at}: {error}"))?;
            gradients.iter_mut().for_each(|gradient| unit(gradient));
            Ok(take(at, &gradients))
        };
        let arena = || vec![0.0; engine.arena_elements()];
        let frames = frames_of(images);
        let found: Result<Vec<T>, String> =
            frames.par_iter().enumerate().map_init(arena, run).collect();
        Ok(found?)
    }

    /// All forms of the mean of the unit gradients, by predicted class.
    fn references(&self, images: &Array, classes: &[usize]) -> Whole<References> {
        let mut means: Vec<Vec<Vec<f64>>> = self
            .weights
            .iter()
            .map(|(_, weight)| vec![vec![0.0; weight.outputs * weight.inputs]; self.classes])
            .collect();
        for start in (0..images.frames()).step_by(CHUNK) {
            let end = images.frames().min(start + CHUNK);
            let found = self.each(&images.slice(start..end), |_, all| all.to_vec())?;
            for (at, gradients) in found.iter().enumerate() {
                for (mean, gradient) in means.iter_mut().zip(gradients) {
                    let mean = &mut mean[classes[start + at]];
                    mean.iter_mut().zip(gradient).for_each(|(sum, &x)| *sum += f64::from(x));
                }
            }
        }
        let mut forms: References = vec![Vec::new(); FORMS.len()];
        for ((name, weight), means) in self.weights.iter().zip(&means) {
            if weight.groups != 1 {
                return Err(format!("{name} has groups, whose ranks are not measured").into());
            }
            let found: Vec<Vec<Vec<f32>>> =
                means.par_iter().map(|mean| forms_of(mean, weight.outputs)).collect();
            for (form, all) in forms.iter_mut().enumerate() {
                all.push(found.iter().map(|of_class| of_class[form].clone()).collect());
            }
        }
        Ok(forms)
    }

    /// `[form][image][weight]`: cosines with the reference of the predicted class.
    fn compare(&self, images: &Array, classes: &[usize], all: &References) -> Whole<Vec<Vec<f32>>> {
        let mut found: Vec<Vec<f32>> = vec![Vec::new(); FORMS.len()];
        let rows = self.each(images, |at, gradients| {
            let cosine = |form: &Vec<Vec<Vec<f32>>>, weight: usize| {
                let pairs = form[weight][classes[at]].iter().zip(&gradients[weight]);
                pairs.map(|(&x, &y)| f64::from(x) * f64::from(y)).sum::<f64>() as f32
            };
            let of = |form: &Vec<Vec<Vec<f32>>>| {
                (0..gradients.len()).map(|weight| cosine(form, weight)).collect::<Vec<f32>>()
            };
            all.iter().map(of).collect::<Vec<_>>()
        })?;
        for row in rows {
            found.iter_mut().zip(row).for_each(|(all, cosines)| all.extend(cosines));
        }
        Ok(found)
    }
}

fn unit(values: &mut [f32]) {
    let length = values.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>().sqrt();
    if length > 0.0 {
        values.iter_mut().for_each(|x| *x = (f64::from(*x) / length) as f32);
    }
}

/// One mean in the order of [`FORMS`], each of length 1 before it is made of bytes.
fn forms_of(mean: &[f64], outputs: usize) -> Vec<Vec<f32>> {
    let inputs = mean.len() / outputs;
    let mut left = mean.to_vec();
    let mut kept = vec![0.0; mean.len()];
    let mut ranks = Vec::new();
    let mut bytes = vec![0.0; mean.len()];
    for rank in 1..=4 {
        // Factors of what the ranks before have left; their product with it is its strength.
        if let Some(direction) = rank_one(&left, outputs, 1) {
            let product = |at: usize| direction.u[at / inputs] * direction.v[at % inputs];
            let strength: f64 = left.iter().enumerate().map(|(at, x)| x * product(at)).sum();
            for at in 0..left.len() {
                kept[at] += strength * product(at);
                left[at] -= strength * product(at);
            }
            if rank == 1 {
                let (u, v) = (eight_bits(&direction.u), eight_bits(&direction.v));
                bytes = (0..mean.len()).map(|at| u[at / inputs] * v[at % inputs]).collect();
            }
        }
        ranks.push(kept.clone());
    }
    let narrow = |values: &[f64]| values.iter().map(|&x| x as f32).collect::<Vec<f32>>();
    let unit_of = |values: &[f64]| {
        let mut values = narrow(values);
        unit(&mut values);
        values
    };
    vec![unit_of(&ranks[0]), narrow(&bytes), unit_of(&ranks[1]), unit_of(&ranks[3]), unit_of(mean)]
}

/// What is left of a factor that is kept as bytes with one scale, symmetric about 0.
fn eight_bits(factor: &[f64]) -> Vec<f64> {
    let largest = factor.iter().fold(0.0_f64, |most, x| most.max(x.abs()));
    let step = if largest > 0.0 { largest / 127.0 } else { 1.0 };
    factor.iter().map(|x| (x / step).round() * step).collect()
}

/// One figure.
#[derive(serde::Serialize)]
struct Row {
    detector: String,
    form: String,
    set: String,
    normal: usize,
    anomalous: usize,
    splits: usize,
    split_digest: String,
    auroc: Interval,
    /// Paired, draw by draw.
    minus_rank_one: Interval,
}

fn judge<const N: usize>(
    definition: &Definition,
    normal: [Measured; N],
    sets: Vec<[Measured; N]>,
) -> Whole<Vec<Row>> {
    let images: Vec<ImageSet> = sets.iter().map(|forms| forms[0].images.clone()).collect();
    let deal = |&seed: &u64| Split::new(&normal[0].images, &images, seed);
    let splits: Vec<Split> = definition.seeds.iter().map(deal).collect();
    let mut sets: Vec<_> = sets.into_iter().map(IntoIterator::into_iter).collect();
    let mut first: Vec<Scores> = Vec::new();
    let mut rows = Vec::new();
    for (form, normal) in FORMS.iter().zip(&normal) {
        let sets: Vec<Measured> = sets.iter_mut().filter_map(Iterator::next).collect();
        let coded = &CodedNormals::default();
        let (watch, splits) = (&Quiet, &splits[..]);
        let bench = Bench { definition, normal, coded, sets: &sets, splits, watch };
        for detector in DETECTORS {
            let scores = bench.ours(Ours::parse(detector)?, &mut |_, _, _| Ok(()))?;
            eprintln!("{form}: {detector}");
            if form == &FORMS[0] {
                first.extend(scores.clone());
            }
            for one in &scores {
                let pair = first.iter().find(|old| old.who == one.who && old.set == one.set);
                let set = sets.iter().find(|set| set.images.name == one.set);
                let (Some(pair), Some(set)) = (pair, set) else { continue };
                let drawn = |scores: &Scores| {
                    scores.resampled(&normal.images, &set.images, definition.resamples)
                };
                let (own, old) = (drawn(one)?, drawn(pair)?);
                let count = |of: fn(&gradgate_lab::protocol::compare::SplitScores) -> usize| {
                    one.splits.iter().map(of).sum::<usize>()
                };
                rows.push(Row {
                    detector: detector.to_owned(),
                    form: (*form).to_owned(),
                    set: one.set.clone(),
                    normal: count(|split| split.normal.len()),
                    anomalous: count(|split| split.anomalous.len()),
                    splits: splits.len(),
                    split_digest: digest(splits),
                    auroc: own.interval(0.95),
                    minus_rank_one: own.minus(&old, 0.95),
                });
            }
        }
    }
    Ok(rows)
}

fn text(rows: &[Row], model: &str) -> String {
    let mut sets: Vec<&str> = Vec::new();
    for row in rows {
        if !sets.contains(&row.set.as_str()) {
            sets.push(&row.set);
        }
    }
    let splits = rows.first().map_or(0, |row| row.splits);
    let mut text = format!(
        "# alignment-ranks\n\nAlignments with references of other ranks and of 8 bits, by \
         host-tools/lab/examples/alignment_ranks.rs; model {model:.16}.., {splits} splits. AUROC \
         in percent with 95 % intervals by cluster bootstrap; after Δ the paired gain over rank 1, \
         bold where its interval excludes 0.\n\n| detector | reference | {} |\n|{}\n",
        sets.join(" | "),
        " --- |".repeat(2 + sets.len())
    );
    for detector in DETECTORS {
        for form in FORMS {
            let _ = write!(text, "| {detector} | {form} |");
            for set in &sets {
                let own =
                    |row: &&Row| row.detector == detector && row.form == form && row.set == *set;
                let cell = rows.iter().find(own).map_or(String::new(), |row| cell(row, form));
                let _ = write!(text, " {cell} |");
            }
            text.push('\n');
        }
    }
    text
}

fn cell(row: &Row, form: &str) -> String {
    let [value, low, high] = percent(row.auroc);
    let text = format!("{value:.2} [{low:.2}, {high:.2}]");
    if form == FORMS[0] {
        return text;
    }
    let [gain, low, high] = percent(row.minus_rank_one);
    let bold = if low > 0.0 || high < 0.0 { "**" } else { "" };
    format!("{text} Δ {bold}{gain:+.2}{bold}")
}

fn percent(of: Interval) -> [f64; 3] {
    [of.value, of.low, of.high].map(|value| 100.0 * value)
}
