//! How well detectors tell real anomalies from real frames, with the plain baselines beside them.

use std::path::Path;
use std::thread;

use gradgate_bundle::Bundle;
use gradgate_detect::heads::mlp::Training;
use gradgate_detect::image_statistics::image_statistics;
use gradgate_detect::matrix_fit::{CrossValidation, Matrix, cross_validate};
use gradgate_detect::{DetectError, FeatureSet, Inputs, Metadata};
use gradgate_engine::compute::Compute;
use gradgate_engine::isa::Isa;
use gradgate_engine::{Engine, Frame};
use gradgate_graph::expand::{Expanded, Label, expand};
use gradgate_graph::import::{ImportOptions, import_file};
use gradgate_graph::pack::schema_names;
use gradgate_graph::taps::Taps;

use crate::reference::channels_last;
use crate::{Compiled, compile};

/// Bytes of a record: label, then 3 x 32 x 32.
const RECORD: usize = 3073;

/// The first `count` records of a CIFAR-10 binary file, as frames in rows, columns, channels.
///
/// # Panics
/// When the file cannot be read.
pub fn records(path: &Path, count: usize) -> Vec<Vec<u8>> {
    let bytes = std::fs::read(path).expect("readable records");
    bytes.chunks_exact(RECORD).take(count).map(|record| channels_last(&record[1..], 3)).collect()
}

/// A model ready to give features of many frames.
pub struct Extractor {
    expanded: Expanded,
    compiled: Compiled,
}

impl Extractor {
    /// Imports, expands and compiles a model.
    ///
    /// # Panics
    /// When a stage refuses.
    pub fn new(model: &Path) -> Self {
        let imported = import_file(model, &ImportOptions::default()).expect("a supported model");
        let expanded = expand(&imported.graph, &Label::Ones, &Taps::all()).expect("expandable");
        let compiled = compile(&expanded, false);
        Self { expanded, compiled }
    }

    /// Features by the engine on two threads; frame i has source `first_source + i`.
    ///
    /// # Panics
    /// When the engine refuses a frame.
    pub fn features(&self, frames: &[Vec<u8>], first_source: i64) -> FeatureSet {
        let names = schema_names(&self.expanded).expect("plain names");
        let list = |names: &str| names.lines().map(str::to_owned).collect();
        let mut set = FeatureSet {
            metadata: Metadata {
                parameters: list(&names.parameters),
                layers: list(&names.layers),
                executor: "engine".into(),
                ..Metadata::default()
            },
            classes: names.classes as usize,
            penultimate_length: names.penultimate as usize,
            ..FeatureSet::default()
        };
        let half = frames.len().div_ceil(2);
        let parts: Vec<FeatureSet> = thread::scope(|scope| {
            let halves = frames.chunks(half.max(1));
            let jobs: Vec<_> = halves.map(|part| scope.spawn(|| self.part(part))).collect();
            jobs.into_iter().map(|job| job.join().expect("no panic")).collect()
        });
        for part in parts {
            set.logits.extend(part.logits);
            set.squared_norms.extend(part.squared_norms);
            set.activation_norms.extend(part.activation_norms);
            set.penultimate.extend(part.penultimate);
            set.alignments.extend(part.alignments);
        }
        set.labels = vec![-1; frames.len()];
        set.source = (0..frames.len() as i64).map(|i| first_source + i).collect();
        set
    }

    fn part(&self, frames: &[Vec<u8>]) -> FeatureSet {
        let bundle = Bundle::parse(&self.compiled.bytes).expect("own bundle");
        // Vector kernels give the scalar bits, several times as fast.
        let compute = Compute { isa: Isa::best(), ..Compute::default() };
        let engine = Engine::load(bundle).expect("own plan");
        let engine = engine.with_compute(compute).expect("exact numerics");
        let mut arena = vec![0.0; engine.arena_elements()];
        let mut set = FeatureSet::default();
        for frame in frames {
            let features = engine.run(Frame::U8(frame), &mut arena).expect("own frame");
            set.logits.extend_from_slice(features.logits);
            set.squared_norms.extend(features.squared_norms.iter().map(|&x| f64::from(x)));
            set.activation_norms.extend(features.activation_norms.iter().map(|&x| f64::from(x)));
            set.penultimate.extend_from_slice(features.penultimate);
            set.alignments.extend_from_slice(features.alignments);
        }
        set
    }
}

/// The paper's network on some inputs, cross-validated over five folds by source.
///
/// # Errors
/// As `cross_validate`.
pub fn by_inputs(
    normal: &FeatureSet,
    anomalous: &FeatureSet,
    inputs: Inputs,
) -> Result<CrossValidation, DetectError> {
    let mut matrix = Matrix::default();
    matrix.add(normal, inputs, false, 0)?;
    matrix.add(anomalous, inputs, true, 0)?;
    cross_validate(&matrix, 5, &Training::default())
}

/// The same network on ten plain image statistics, same folds.
///
/// # Errors
/// As `cross_validate`.
pub fn by_image_statistics(
    normal: &[Vec<u8>],
    anomalous: &[Vec<u8>],
    sources: [&[i64]; 2],
) -> Result<CrossValidation, DetectError> {
    let mut matrix = Matrix { columns: 10, ..Matrix::default() };
    for (kind, frames) in [normal, anomalous].into_iter().enumerate() {
        for frame in frames {
            let statistics = image_statistics(frame, 32, 32)?;
            matrix.values.extend(statistics.map(|x| x as f32));
            matrix.anomalous.push(kind == 1);
        }
        matrix.source.extend_from_slice(sources[kind]);
    }
    cross_validate(&matrix, 5, &Training::default())
}
