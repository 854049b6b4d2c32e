//! Whole expanded classifiers, exported, in onnxruntime: against the f64 interpreter, and for the
//! pretrained networks against float64 automatic differentiation.

use std::path::Path;

use crate::support::{Rng, check, folder, write_case};
use gradgate_graph::alignment::{Reference, weights};
use gradgate_graph::expand::{Expanded, Label, expand, expand_aligned};
use gradgate_graph::export::{Builder, DetectorExport, ExportError, ExportOptions, ExportOutput};
use gradgate_graph::export::{FeatureNames, export};
use gradgate_graph::graph::{Graph, Tensor, ValueId};
use gradgate_graph::import::{ImportOptions, import_file};
use gradgate_graph::interp::{Choices, Interp};
use gradgate_graph::ops::{Conv, Op, Pool};
use gradgate_graph::taps::Taps;

const SEED: u64 = 7;

/// Builds a small classifier; each helper names its parameters after its node.
struct Net {
    graph: Graph,
    rng: Rng,
}

impl Net {
    fn parameter(&mut self, name: String, shape: &[usize], low: f32, high: f32) -> ValueId {
        let count = shape.iter().product();
        let data: Vec<f32> =
            (0..count).map(|_| low + (high - low) * (self.rng.number() + 1.0) / 2.0).collect();
        self.graph.add_constant(name, Tensor::new(shape, data))
    }

    fn trainable(&mut self, name: String, shape: &[usize], low: f32, high: f32) -> ValueId {
        let id = self.parameter(name, shape, low, high);
        self.graph.parameters.push(id);
        id
    }

    fn push(&mut self, name: &str, op: Op, inputs: &[ValueId]) -> ValueId {
        let id = self.graph.push(name, op, inputs);
        id.unwrap_or_else(|error| panic!("{error}"))
    }

    fn conv(&mut self, name: &str, x: ValueId, weight: ValueId, groups: usize) -> ValueId {
        let conv = Conv { strides: [1, 1], pads: [1, 1, 1, 1], dilations: [1, 1], groups };
        self.push(name, Op::Conv(conv), &[x, weight])
    }

    fn batch_norm(&mut self, name: &str, x: ValueId) -> ValueId {
        let channels = [self.graph.shape(x)[1]];
        let scale = self.trainable(format!("{name}.weight"), &channels, 0.5, 1.5);
        let shift = self.trainable(format!("{name}.bias"), &channels, -0.5, 0.5);
        let mean = self.parameter(format!("{name}.mean"), &channels, -0.5, 0.5);
        let variance = self.parameter(format!("{name}.variance"), &channels, 0.25, 2.0);
        let inputs = [x, scale, shift, mean, variance];
        self.push(name, Op::BatchNorm { epsilon: 1e-5 }, &inputs)
    }

    fn pool(&mut self, name: &str, x: ValueId, op: fn(Pool) -> Op) -> ValueId {
        let pool = Pool {
            kernel: [3, 3],
            strides: [2, 2],
            pads: [1, 1, 1, 1],
            dilations: [1, 1],
            ceil_mode: false,
            count_include_pad: false,
        };
        self.push(name, op(pool), &[x])
    }
}

/// A residual block, a weight used twice, a depthwise convolution, every activation, both pools,
/// a concatenation of overlapping slices, and a linear layer with bias.
fn small_classifier() -> Graph {
    let mut net = Net { graph: Graph { name: "small".into(), ..Graph::default() }, rng: Rng(SEED) };
    let image = net.graph.add_input("image", [1, 3, 9, 8]);
    let weight = net.trainable("stem.weight".into(), &[4, 3, 3, 3], -0.5, 0.5);
    let stem = net.conv("stem", image, weight, 1);
    let stem = net.batch_norm("stem.bn", stem);
    let stem = net.push("stem.relu", Op::Relu, &[stem]);
    let stem = net.pool("stem.pool", stem, Op::MaxPool);
    let shared = net.trainable("block.weight".into(), &[4, 4, 3, 3], -0.5, 0.5);
    let inner = net.conv("block.conv1", stem, shared, 1);
    let inner = net.push("block.leaky", Op::LeakyRelu { alpha: 0.1 }, &[inner]);
    let inner = net.conv("block.conv2", inner, shared, 1);
    let sum = net.push("block.add", Op::Add, &[inner, stem]);
    let sum = net.push("block.clip", Op::Clip { min: 0.0, max: 1.0 }, &[sum]);
    let weight = net.trainable("depthwise.weight".into(), &[4, 1, 3, 3], -0.5, 0.5);
    let deep = net.conv("depthwise", sum, weight, 4);
    let deep = net.push("depthwise.sigmoid", Op::Sigmoid, &[deep]);
    let slice = |start, step| Op::Slice {
        starts: vec![0, start, 0, 0],
        lengths: vec![1, 2, 5, 4],
        steps: vec![1, step, 1, 1],
    };
    let front = net.push("front", slice(0, 1), &[deep]);
    let spread = net.push("spread", slice(1, 2), &[deep]);
    let joined = net.push("joined", Op::Concat { axis: 1 }, &[front, spread, sum]);
    let pooled = net.pool("pooled", joined, Op::AveragePool);
    let flat = net.push("flat", Op::Reshape { shape: vec![1, 48] }, &[pooled]);
    let weight = net.trainable("fc.weight".into(), &[5, 48], -0.5, 0.5);
    let bias = net.trainable("fc.bias".into(), &[5], -0.5, 0.5);
    let logits = net.push("fc", Op::Gemm { transpose_b: true }, &[flat, weight, bias]);
    net.graph.logits = Some(logits);
    net.graph
}

/// The sum of all squared norms.
struct Total;

impl DetectorExport for Total {
    fn emit(&self, builder: &mut Builder, features: &FeatureNames) -> Result<String, ExportError> {
        assert_eq!(features.shape("squared_norms")?, [1, 7]);
        Ok(builder.reduce("ReduceSum", "squared_norms", &[1], true))
    }
}

fn expanded(graph: &Graph) -> Expanded {
    expand(graph, &Label::Ones, &Taps::all()).unwrap_or_else(|error| panic!("{error}"))
}

/// The direction of equal parts, with signs that differ by class.
fn references(graph: &Graph) -> Vec<Reference> {
    let factor = |length: usize, parts: usize| -> Vec<f32> {
        let sign =
            |class: usize, at: usize| if (class + at).is_multiple_of(3) { -1.0 } else { 1.0 };
        let size = 1.0 / (parts as f32).sqrt();
        (0..5).flat_map(|class| (0..length).map(move |at| sign(class, at) * size)).collect()
    };
    let weights = weights(graph).into_iter().map(|weight| Reference {
        parameter: graph.value(weight.parameter).name.clone(),
        u: factor(weight.outputs, weight.outputs),
        v: factor(weight.groups * weight.inputs, weight.inputs),
    });
    weights.collect()
}

#[test]
fn small_classifier_with_detector() {
    let graph = small_classifier();
    let references = references(&graph);
    let expanded = expand_aligned(&graph, &Label::Ones, &Taps::all(), &references);
    let expanded = expanded.unwrap_or_else(|error| panic!("{error}"));
    // The weight of two convolutions is left out.
    assert_eq!(expanded.alignments.len(), 3);
    assert_eq!(expanded.squared_norms.len(), 7);
    let outputs = ExportOutput::features(&expanded);
    let names: Vec<&str> = outputs.iter().map(|output| output.name.as_str()).collect();
    let expected = ["logits", "squared_norms", "activation_norms", "penultimate", "alignments"];
    assert_eq!(names, expected);
    let folder = folder("export_small_classifier");
    let interp = Interp::new(&expanded.graph);
    let mut rng = Rng(SEED);
    for opset in 17..=22 {
        let options = ExportOptions { opset, ..ExportOptions::default() };
        let bytes = export(&expanded.graph, &outputs, Some(&Total), &options).expect("exports");
        let image: Vec<f32> = (0..3 * 9 * 8).map(|_| rng.number()).collect();
        let wide: Vec<f64> = image.iter().map(|&x| f64::from(x)).collect();
        let features = interp.features(&expanded, &wide, &Choices::new());
        let score = features.squared_norms.iter().sum();
        let expected = [
            features.logits,
            features.squared_norms,
            features.activation_norms,
            features.penultimate,
            features.alignments,
            vec![score],
        ];
        write_case(&folder, &format!("small.{opset}"), &bytes, &image, &expected.concat());
    }
    check(&["cases", folder.to_str().expect("a UTF-8 path")]);
}

/// Relu nodes of the forward pass: values before and after.
fn relus(expanded: &Expanded) -> Vec<(ValueId, ValueId)> {
    let forward = &expanded.graph.nodes[..expanded.forward_nodes];
    let relus = forward.iter().filter(|node| node.op == Op::Relu);
    relus.map(|node| (node.inputs[0], node.output)).collect()
}

fn read<const N: usize, T>(path: &Path, of: fn([u8; N]) -> T) -> Vec<T> {
    let bytes = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let words = bytes.chunks_exact(N);
    words.map(|word| of(word.try_into().expect("N bytes"))).collect()
}

/// A frame beyond the limit is excused where some unit within 1e-6 of its layer's maximum around
/// zero has another sign in f32, and the interpreter with these signs agrees within 1e-4.
fn check_kinks(expanded: &Expanded, frame: &Path) {
    let image: Vec<f64> = read(&frame.with_extension("image"), f32::from_le_bytes)
        .into_iter()
        .map(f64::from)
        .collect();
    let norms = read(&frame.with_extension("norms"), f64::from_le_bytes);
    let signs = read(&frame.with_extension("masks"), |[byte]: [u8; 1]| byte == 1);
    let interp = Interp::new(&expanded.graph);
    let values = interp.run(&image);
    let (mut choices, mut signs, mut flipped) = (Choices::new(), signs.as_slice(), 0);
    for (before, after) in relus(expanded) {
        let units = values.get(before);
        let (mask, rest) = signs.split_at(units.len());
        let largest = units.iter().fold(0.0_f64, |most, unit| most.max(unit.abs()));
        for (&unit, _) in units.iter().zip(mask).filter(|&(&unit, &open)| (unit > 0.0) != open) {
            assert!(unit.abs() <= 1e-6 * largest, "{}: {unit} changed its sign", frame.display());
            flipped += 1;
        }
        choices.passed.insert(after, mask.to_vec());
        signs = rest;
    }
    let expected = interp.features(expanded, &image, &choices).squared_norms;
    let errors = norms.iter().zip(&expected).map(|(got, want)| (got - want).abs() / want);
    let worst = errors.fold(0.0, |worst: f64, error| if error <= worst { worst } else { error });
    eprintln!("  {}: {flipped} units flipped, then {worst:.2e}", frame.display());
    assert!(flipped > 0 && worst <= 1e-4, "{}: not a kink", frame.display());
}

/// The pretrained networks with float64 references; parity as the script's constants state it.
#[test]
fn pretrained_networks() {
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/models");
    if !models.is_dir() {
        eprintln!("SKIPPED: ../shared/models is absent");
        return;
    }
    for (name, parameters) in [("resnet8", 34), ("resnet20", 59)] {
        let folder = folder(&format!("export_{name}"));
        let path = models.join(format!("{name}.onnx"));
        let imported = import_file(&path, &ImportOptions::default());
        let imported = imported.unwrap_or_else(|error| panic!("{error}"));
        let expanded = expanded(&imported.graph);
        assert_eq!(expanded.squared_norms.len(), parameters, "{name}");
        let mut outputs = ExportOutput::features(&expanded);
        for (index, (_, after)) in relus(&expanded).into_iter().enumerate() {
            outputs.push(ExportOutput::value(format!("relu/{index}"), after));
        }
        let bytes = export(&expanded.graph, &outputs, None, &ExportOptions::default());
        let file = folder.join(format!("{name}.expanded.onnx"));
        std::fs::write(&file, bytes.expect("exports")).expect("the target folder is writable");
        let reference = models.join(format!("{name}.reference.safetensors"));
        let arguments = [&file, &reference, &folder].map(|p| p.to_str().expect("UTF-8"));
        check(&["model", arguments[0], arguments[1], arguments[2]]);
        for entry in std::fs::read_dir(&folder).expect("readable") {
            let path = entry.expect("readable").path();
            if path.extension().is_some_and(|extension| extension == "masks") {
                check_kinks(&expanded, &path);
            }
        }
    }
}
