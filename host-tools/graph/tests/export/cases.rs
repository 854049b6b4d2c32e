//! Graphs of one op each, written with what the f64 interpreter makes of them.

use std::path::Path;

use gradgate_graph::export::{ExportOptions, ExportOutput, export};
use gradgate_graph::graph::{Graph, Tensor, ValueId};
use gradgate_graph::interp::Interp;
use gradgate_graph::ops::Op;

use crate::support::{Rng, check, folder, write_case};

const SEED: u64 = 1;

/// An operand of the op under test.
#[derive(Clone, Debug)]
pub enum Operand {
    /// Depends on the frame.
    Frame(Vec<usize>),
    /// A constant in -1..1.
    Constant(Vec<usize>),
    /// A constant in 1/4..2: variances, divisors.
    Positive(Vec<usize>),
}

/// An op with its operands, as a graph `[1, n] -> op`.
#[derive(Clone, Debug)]
pub struct Case {
    /// Name of the file.
    pub name: String,
    /// The op under test.
    pub op: Op,
    /// Its operands.
    pub operands: Vec<Operand>,
}

/// Shorthand for a frame operand.
pub fn frame<const N: usize>(shape: [usize; N]) -> Operand {
    Operand::Frame(shape.to_vec())
}

/// Shorthand for a constant operand.
pub fn constant<const N: usize>(shape: [usize; N]) -> Operand {
    Operand::Constant(shape.to_vec())
}

/// A case by its parts; what precedes the first dot of `name` is the op in reports.
pub fn case(name: &str, op: Op, operands: Vec<Operand>) -> Case {
    let name = name.to_owned();
    Case { name, op, operands }
}

/// Exports all cases for `opset` and compares them in onnxruntime.
pub fn run(test: &str, opset: i64, cases: &[Case]) {
    let folder = folder(&format!("{test}_{opset}"));
    let mut rng = Rng(SEED);
    for case in cases {
        case.write(&folder, opset, &mut rng);
    }
    check(&["cases", folder.to_str().expect("a UTF-8 path")]);
}

impl Case {
    /// Builds the graph: each frame operand is cut from one flat input.
    pub fn graph(&self, rng: &mut Rng) -> (Graph, ValueId) {
        let mut graph = Graph { name: self.name.clone(), ..Graph::default() };
        let count = |operand: &Operand| match operand {
            Operand::Frame(shape) => shape.iter().product(),
            _ => 0,
        };
        let total: usize = self.operands.iter().map(count).sum();
        let input = graph.add_input("image", [1, total.max(1)]);
        let mut start = 0;
        let mut inputs = Vec::new();
        for (index, operand) in self.operands.iter().enumerate() {
            let name = format!("operand{index}");
            let tensor = |rng: &mut Rng, shape: &[usize], scale: f32, shift: f32| {
                let data: Vec<f32> =
                    (0..shape.iter().product()).map(|_| rng.number() * scale + shift).collect();
                Tensor::new(shape, data)
            };
            inputs.push(match operand {
                Operand::Frame(shape) => {
                    let op = Op::Slice {
                        starts: vec![0, start],
                        lengths: vec![1, count(operand)],
                        steps: vec![1, 1],
                    };
                    start += count(operand);
                    let flat = graph.push(format!("{name}/flat"), op, &[input]).expect("fits");
                    graph.push(name, Op::Reshape { shape: shape.clone() }, &[flat]).expect("fits")
                }
                Operand::Constant(shape) => graph.add_constant(name, tensor(rng, shape, 1.0, 0.0)),
                Operand::Positive(shape) => {
                    graph.add_constant(name, tensor(rng, shape, 0.875, 1.125))
                }
            });
        }
        let y = graph.push("y", self.op.clone(), &inputs);
        let y = y.unwrap_or_else(|error| panic!("{}: {error}", self.name));
        (graph, y)
    }

    /// Exports the case and writes it with the interpreter's result.
    pub fn write(&self, folder: &Path, opset: i64, rng: &mut Rng) {
        let (graph, y) = self.graph(rng);
        let count = graph.value(graph.input.expect("has an input")).elements();
        let image: Vec<f32> = (0..count).map(|_| rng.number()).collect();
        let wide: Vec<f64> = image.iter().map(|&x| f64::from(x)).collect();
        let values = Interp::new(&graph).run(&wide);
        let options = ExportOptions { opset, ..ExportOptions::default() };
        let bytes = export(&graph, &[ExportOutput::value("y", y)], None, &options);
        let bytes = bytes.unwrap_or_else(|error| panic!("{}: {error}", self.name));
        write_case(folder, &self.name, &bytes, &image, values.get(y));
    }
}
