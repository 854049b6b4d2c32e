//! A classifier of unknown make against PyTorch's float64 features: in the interpreter, in the
//! engine, and as expanded ONNX for others to run.
//!
//! Used on the goldens of many families, and by `cargo xtask families` on whole networks.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use gradgate_bundle::Bundle;
use gradgate_engine::compute::Compute;
use gradgate_engine::isa::{Isa, Numerics};
use gradgate_engine::{Engine, Frame};
use gradgate_graph::cost::Macs;
use gradgate_graph::expand::{Expanded, Label, expand};
use gradgate_graph::export::{ExportOptions, ExportOutput, export};
use gradgate_graph::graph::{Graph, ValueId};
use gradgate_graph::import::{ImportOptions, Imported, import_file};
use gradgate_graph::interp::{Choices, Features, Interp, Kinks};
use gradgate_graph::ops::Op;
use gradgate_graph::taps::Taps;

use crate::executor::wide;
use crate::reference::Reference;
use crate::{Compiled, compile};

/// Norms below this part of a frame's largest are compared with it instead of themselves, in f64:
/// where a gradient is zero (the bias of attention's keys) only rounding is left, the square of
/// 1e-16 of the largest at most.
pub const FLOOR_F64: f64 = 1e-18;

/// The same in f32, whose rounding is 1e-7.
pub const FLOOR_F32: f64 = 1e-8;

/// The interpreter's tolerance.
pub const INTERP_LIMIT: f64 = 1e-9;

/// The tolerance of f32 executors for the median over frames, and for a frame.
pub const MEDIAN_LIMIT: f64 = 1e-5;

/// See [`MEDIAN_LIMIT`].
pub const FRAME_LIMIT: f64 = 1e-4;

/// How far from a kink a choice may differ, relative to the largest magnitude of the layer.
pub const KINK_LIMIT: f64 = 1e-5;

/// Numbers of one frame, columns in the order of the graph's parameters.
struct Expected {
    logits: Vec<f64>,
    squared_norms: Vec<f64>,
}

/// A classifier that was read, with what PyTorch says of it.
pub struct Subject<'r> {
    /// What import made of the file.
    pub imported: Imported,
    /// Forward and backward.
    pub expanded: Expanded,
    reference: &'r Reference,
    expected: Vec<Expected>,
}

/// How an f32 executor fares.
#[derive(Clone, Debug, PartialEq)]
pub struct Parity {
    /// Median over frames of the worst relative error of a frame.
    pub median: f64,
    /// Worst relative error of all frames.
    pub worst: f64,
    /// Frames.
    pub frames: usize,
    /// Frames within [`FRAME_LIMIT`].
    pub within: usize,
    /// Frames beyond it that kinks explain: the interpreter agrees with PyTorch, and with the
    /// engine within the same limit once it makes the engine's choices (units of Relu and Clip that
    /// pass, maxima of windows), and none of these is farther than [`KINK_LIMIT`] from where its
    /// own would change.
    pub explained: usize,
    /// The farthest of those choices.
    pub farthest: f64,
}

impl Parity {
    /// Whether every frame is within the limit or explained. How many frames need the explanation
    /// grows with the number of units, so it is no test of a network.
    pub fn frames_hold(&self) -> bool {
        self.within + self.explained == self.frames
    }

    /// Whether the median is within its limit, too.
    pub fn holds(&self) -> bool {
        self.median <= MEDIAN_LIMIT && self.frames_hold()
    }
}

/// What is known of a frame beyond [`FRAME_LIMIT`].
#[derive(Clone, Copy)]
struct Evidence {
    /// Error of the interpreter with its own choices, against PyTorch.
    own: f64,
    /// Error of the interpreter with the engine's choices, against the engine.
    chosen: f64,
    /// Where the choices differ.
    kinks: Kinks,
}

impl Evidence {
    fn explains(&self) -> bool {
        let kinks = self.kinks.count > 0 && self.kinks.farthest <= KINK_LIMIT;
        self.own <= INTERP_LIMIT && self.chosen <= FRAME_LIMIT && kinks
    }
}

/// The engine on all frames.
#[derive(Clone, Debug, PartialEq)]
pub struct EngineRun {
    /// Against PyTorch.
    pub parity: Parity,
    /// Multiply-adds of a verdict.
    pub macs: Macs,
    /// Bytes of the arena.
    pub arena_bytes: usize,
    /// Milliseconds of the fastest frame on one thread, exact numerics.
    pub ms: f64,
}

impl<'r> Subject<'r> {
    /// Imports and expands a file and finds PyTorch's column of every parameter by its name.
    ///
    /// # Errors
    /// What import or expansion says, or the names that differ.
    pub fn read(model: &Path, reference: &'r Reference) -> Result<Self, String> {
        let imported = import_file(model, &ImportOptions::default()).map_err(|e| e.to_string())?;
        let expanded = expand(&imported.graph, &Label::Ones, &Taps::all());
        let expanded = expanded.map_err(|e| e.to_string())?;
        let columns = columns(&expanded, &reference.parameters)?;
        let frames = reference.logits.iter().zip(&reference.squared_norms);
        let expected = frames.map(|(logits, norms)| Expected {
            logits: logits.clone(),
            squared_norms: columns.iter().map(|&column| norms[column]).collect(),
        });
        let expected = expected.collect();
        Ok(Self { imported, expanded, reference, expected })
    }

    /// The interpreter's worst relative error over the first frames.
    pub fn interpret(&self, frames: usize) -> f64 {
        let interp = Interp::new(&self.expanded.graph);
        let errors = self.reference.images.iter().zip(&self.expected).take(frames);
        let error = |(image, expected): (&Vec<f64>, &Expected)| {
            let got = interp.features(&self.expanded, image, &Choices::new());
            expected.error(&got, FLOOR_F64)
        };
        errors.map(error).fold(0.0, worse)
    }

    /// The engine with exact numerics on all frames.
    ///
    /// # Panics
    /// When a stage behind the expansion refuses the graph.
    pub fn engine(&self) -> EngineRun {
        let compiled = compile(&self.expanded, false);
        let mut fastest = f64::INFINITY;
        let mut errors = Vec::new();
        with_engine(&compiled, |engine, arena| {
            for (frame, expected) in self.reference.frames.iter().zip(&self.expected) {
                let begin = Instant::now();
                let features = engine.run(Frame::U8(frame), arena).expect("a loaded bundle runs");
                let ms = begin.elapsed().as_secs_f64() * 1e3;
                fastest = if ms < fastest { ms } else { fastest };
                errors.push(expected.error(&wide(&features), FLOOR_F32));
            }
        });
        EngineRun {
            parity: self.parity(&errors),
            macs: Macs::of(&compiled.schedule),
            arena_bytes: compiled.plan.arena_bytes(),
            ms: fastest,
        }
    }

    fn parity(&self, errors: &[f64]) -> Parity {
        let beyond: Vec<usize> =
            (0..errors.len()).filter(|&frame| errors[frame] > FRAME_LIMIT).collect();
        let (explained, farthest) = match beyond.is_empty() {
            true => (0, 0.0),
            false => self.explained(&beyond),
        };
        let mut sorted = errors.to_vec();
        sorted.sort_by(f64::total_cmp);
        let middle = |at: usize| sorted.get(at).copied().unwrap_or(f64::NAN);
        let half = sorted.len() / 2;
        Parity {
            median: (middle(half.saturating_sub(1)) + middle(half)) / 2.0,
            worst: errors.iter().copied().fold(0.0, worse),
            frames: errors.len(),
            within: errors.len() - beyond.len(),
            explained,
            farthest,
        }
    }

    /// Of these frames, the number that kinks explain, and the farthest kink of all.
    fn explained(&self, frames: &[usize]) -> (usize, f64) {
        let kept = compile(&self.expanded, true);
        let interp = Interp::new(&self.expanded.graph);
        let (mut count, mut farthest) = (0, 0.0);
        with_engine(&kept, |engine, arena| {
            for &frame in frames {
                let run = engine.run(Frame::U8(&self.reference.frames[frame]), arena);
                let got = wide(&run.expect("a loaded bundle runs"));
                let choices = choices(&self.expanded.graph, &kept, arena);
                let image = &self.reference.images[frame];
                let values = interp.run(image);
                let own = Features::of(&self.expanded, &values);
                let chosen = interp.features(&self.expanded, image, &choices);
                let (logits, squared_norms) = (chosen.logits, chosen.squared_norms);
                let evidence = Evidence {
                    own: self.expected[frame].error(&own, FLOOR_F64),
                    chosen: Expected { logits, squared_norms }.error(&got, FLOOR_F32),
                    kinks: interp.kinks(&values, &choices),
                };
                count += usize::from(evidence.explains());
                farthest = worse(farthest, evidence.kinks.farthest);
            }
        });
        (count, farthest)
    }

    /// The expanded classifier as ONNX; the metadata name the columns of `squared_norms`.
    ///
    /// # Errors
    /// Why it cannot be written.
    pub fn to_onnx(&self) -> Result<Vec<u8>, String> {
        let (graph, outputs) = (&self.expanded.graph, ExportOutput::features(&self.expanded));
        let norms = self.expanded.squared_norms.iter();
        let names: Vec<&str> = norms.map(|&(id, _)| graph.value(id).name.as_str()).collect();
        let metadata = vec![("gradgate.parameters".to_owned(), names.join(","))];
        let options = ExportOptions { metadata, ..ExportOptions::default() };
        export(graph, &outputs, None, &options).map_err(|e| e.to_string())
    }
}

impl Expected {
    /// Worst error of all norms, relative to themselves or to the floor, and of the logits,
    /// relative to the largest.
    fn error(&self, got: &Features, floor: f64) -> f64 {
        let largest = |values: &[f64]| values.iter().fold(0.0, |a: f64, b| worse(a, b.abs()));
        let least = floor * largest(&self.squared_norms);
        let scale = largest(&self.logits);
        let norms = self.squared_norms.iter().zip(&got.squared_norms);
        let norms = norms.map(|(e, g)| (e - g).abs() / worse(e.abs(), least));
        let logits = self.logits.iter().zip(&got.logits).map(|(e, g)| (e - g).abs() / scale);
        norms.chain(logits).fold(0.0, worse)
    }
}

/// The larger; NaN when either is.
fn worse(a: f64, b: f64) -> f64 {
    if b > a || b.is_nan() { b } else { a }
}

fn columns(expanded: &Expanded, names: &[String]) -> Result<Vec<usize>, String> {
    let places: BTreeMap<&str, usize> =
        names.iter().enumerate().map(|(place, name)| (name.as_str(), place)).collect();
    let ours = expanded.squared_norms.iter().map(|&(id, _)| &expanded.graph.value(id).name);
    let columns: Vec<Option<usize>> =
        ours.clone().map(|name| places.get(name.as_str()).copied()).collect();
    let unknown: Vec<&str> = ours
        .zip(&columns)
        .filter_map(|(name, column)| column.is_none().then_some(name.as_str()))
        .collect();
    if !unknown.is_empty() || columns.len() != names.len() {
        let (have, want) = (columns.len(), names.len());
        let unknown = unknown.join(", ");
        return Err(format!("{have} of {want} parameters; PyTorch knows no `{unknown}`"));
    }
    Ok(columns.into_iter().flatten().collect())
}

fn with_engine(compiled: &Compiled, work: impl FnOnce(&Engine<'_>, &mut [f32])) {
    let bundle = Bundle::parse(&compiled.bytes).unwrap_or_else(|e| panic!("parse: {e}"));
    let engine = Engine::load(bundle).unwrap_or_else(|e| panic!("load: {e}"));
    let mut prepared = vec![0.0; engine.prepared_elements(Numerics::Exact)];
    engine.prepare(Numerics::Exact, &mut prepared).unwrap_or_else(|e| panic!("prepare: {e}"));
    let isa = Isa::best();
    let kept = if isa.is_some() { &prepared[..] } else { &[] };
    let compute = Compute { isa, numerics: Numerics::Exact, prepared: kept, workers: None };
    let engine = engine.with_compute(compute).unwrap_or_else(|e| panic!("compute: {e}"));
    let mut arena = vec![f32::NAN; engine.arena_elements()];
    work(&engine, &mut arena);
}

/// The engine's choices in a run in which every tensor kept its place.
fn choices(graph: &Graph, kept: &Compiled, arena: &[f32]) -> Choices {
    let mut choices = Choices::new();
    for node in &graph.nodes {
        let (min, max) = match node.op {
            Op::Relu => (0.0, f32::INFINITY),
            Op::Clip { min, max } => (min, max),
            Op::MaxPool(_) => {
                let x = node.inputs[0];
                if let Some(values) = values_of(x, graph, kept, arena) {
                    choices.compared.insert(x, values.into_iter().map(f64::from).collect());
                }
                continue;
            }
            _ => continue,
        };
        let Some(values) = values_of(node.output, graph, kept, arena) else { continue };
        let mask: Vec<bool> = values.iter().map(|&y| y > min && y < max).collect();
        // The gradient of a Clip looks at what was clipped, that of a Relu at the result.
        if !matches!(node.op, Op::Relu) {
            choices.passed.entry(node.inputs[0]).or_insert_with(|| mask.clone());
        }
        choices.passed.insert(node.output, mask);
    }
    choices
}

/// A value in the order of the graph, channels first.
fn values_of(id: ValueId, graph: &Graph, kept: &Compiled, arena: &[f32]) -> Option<Vec<f32>> {
    let tensor = kept.schedule.values.iter().find(|value| value.0 == id)?.1.0;
    let offset = kept.plan.offsets[tensor]?;
    let values = &arena[offset..][..kept.schedule.tensors[tensor].elements];
    let channels = graph.shape(id).get(1).copied().unwrap_or(1);
    let pixels = values.len() / channels;
    Some((0..values.len()).map(|i| values[i % pixels * channels + i / pixels]).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinks_explain_a_frame_only_with_every_figure_within_its_limit() {
        let kinks = Kinks { count: 1, farthest: 1e-6 };
        let good = Evidence { own: 1e-13, chosen: 1e-6, kinks };
        assert!(good.explains());
        for bad in [
            Evidence { own: 1e-8, ..good },
            Evidence { own: f64::NAN, ..good },
            Evidence { chosen: 2e-4, ..good },
            Evidence { chosen: f64::NAN, ..good },
            Evidence { kinks: Kinks { count: 0, ..kinks }, ..good },
            Evidence { kinks: Kinks { farthest: 2e-5, ..kinks }, ..good },
            Evidence { kinks: Kinks { farthest: f64::INFINITY, ..kinks }, ..good },
        ] {
            assert!(!bad.explains(), "{:e} {:e} {:?}", bad.own, bad.chosen, bad.kinks);
        }
    }
}
