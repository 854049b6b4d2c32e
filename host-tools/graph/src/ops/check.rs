//! Gradient rules against central differences in f64: the harness that every op's tests use.

use super::Op;
use crate::expand::Backward;
use crate::graph::{Graph, Tensor, Value, ValueId};
use crate::interp::{Operand, evaluate};

/// SplitMix64.
pub struct Rng(pub u64);

impl Rng {
    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number in `low..=high`.
    pub fn range(&mut self, low: usize, high: usize) -> usize {
        low + (self.bits() % (high - low + 1) as u64) as usize
    }

    /// A number in -1..1 with 20 significant bits, so that f32 holds it exactly.
    pub fn unit(&mut self) -> f64 {
        (self.bits() >> 43) as f64 / (1u64 << 20) as f64 - 1.0
    }

    /// One of the given.
    pub fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.range(0, choices.len() - 1)]
    }
}

/// One operand of a case.
pub struct CaseOperand {
    /// Shape; a frame value's starts with 1.
    pub shape: Vec<usize>,
    /// Whether it depends on the frame.
    pub frame: bool,
    /// Whether its gradient is checked.
    pub checked: bool,
    /// Added to its values (keeps divisors and variances away from zero).
    pub offset: f64,
}

impl CaseOperand {
    /// A frame value whose gradient is checked.
    pub fn frame(shape: &[usize]) -> Self {
        Self { shape: shape.to_vec(), frame: true, checked: true, offset: 0.0 }
    }

    /// A constant whose gradient is checked.
    pub fn parameter(shape: &[usize]) -> Self {
        Self { shape: shape.to_vec(), frame: false, checked: true, offset: 0.0 }
    }

    /// A constant without gradient, its values around `offset`.
    pub fn constant(shape: &[usize], offset: f64) -> Self {
        Self { shape: shape.to_vec(), frame: false, checked: false, offset }
    }

    /// The same, its values moved by `offset`.
    pub fn around(self, offset: f64) -> Self {
        Self { offset, ..self }
    }
}

/// Checks 100 random cases of an op; a failure prints the seed and the case.
pub fn gradients(name: &str, mut case: impl FnMut(&mut Rng) -> (Op, Vec<CaseOperand>)) {
    let seed =
        name.bytes().fold(7u64, |hash, byte| hash.wrapping_mul(131).wrapping_add(u64::from(byte)));
    println!("{name}: seed {seed}");
    let mut rng = Rng(seed);
    for number in 0..100 {
        let (op, operands) = case(&mut rng);
        if let Err(reason) = check(&mut rng, &op, &operands) {
            panic!("{name}, seed {seed}, case {number}, {op:?}: {reason}");
        }
    }
}

fn check(rng: &mut Rng, op: &Op, operands: &[CaseOperand]) -> Result<(), String> {
    // Values one part in 2^20 apart from each other and from kinks would flip under the difference
    // step
    // of 1e-6; spreading each operand over distinct multiples avoids ties.
    let data: Vec<Vec<f64>> = operands
        .iter()
        .map(|o| (0..o.shape.iter().product()).map(|_| rng.unit() + o.offset).collect())
        .collect();
    let mut graph = Graph::default();
    let mut ids = Vec::new();
    for (o, data) in operands.iter().zip(&data) {
        ids.push(match o.frame {
            true => graph.add_input("operand", o.shape.clone()),
            false => {
                let data: Vec<f32> = data.iter().map(|&x| x as f32).collect();
                graph.add_constant("operand", Tensor::new(o.shape.clone(), data))
            }
        });
    }
    let output = graph.push("node", op.clone(), &ids).map_err(|e| e.to_string())?;
    let output_shape = graph.shape(output).to_vec();
    let node = graph.nodes[0].clone();
    let cotangent = graph.add_input("cotangent", output_shape.clone());
    let weights: Vec<f64> = (0..output_shape.iter().product()).map(|_| rng.unit()).collect();
    let tapped: Vec<ValueId> =
        ids.iter().zip(operands).filter(|(_, o)| o.checked).map(|(&id, _)| id).collect();
    let mut backward = Backward::new(graph, &tapped);
    let gradients = op
        .gradient(&mut backward, &node, cotangent)
        .ok_or("no gradient rule")?
        .map_err(|e| e.to_string())?;
    let mut values = initial(backward.graph(), &ids, &data);
    values[cotangent.0 as usize] = weights.clone();
    run(backward.graph(), &mut values);
    for (index, operand) in operands.iter().enumerate().filter(|(_, o)| o.checked) {
        let id = gradients[index].ok_or_else(|| format!("operand {index} got no gradient"))?;
        let expected_shape = backward.cotangent_shape(ids[index]);
        if backward.graph().shape(id) != expected_shape {
            return Err(format!("gradient {index} has shape {:?}", backward.graph().shape(id)));
        }
        let analytic = &values[id.0 as usize];
        let loss = |data: &[Vec<f64>]| loss(op, operands, data, &output_shape, &weights);
        compare(index, analytic, &data, loss).map_err(|e| format!("{e}; {:?}", operand.shape))?;
    }
    Ok(())
}

fn compare(
    index: usize,
    analytic: &[f64],
    data: &[Vec<f64>],
    loss: impl Fn(&[Vec<f64>]) -> f64,
) -> Result<(), String> {
    let step = 1e-7;
    for element in 0..data[index].len() {
        let shifted = |by: f64| {
            let mut data = data.to_vec();
            data[index][element] += by;
            loss(&data)
        };
        let numeric = (shifted(step) - shifted(-step)) / (2.0 * step);
        let error = (numeric - analytic[element]).abs();
        // Rounding of the difference quotient is about 1e-16 / step times the loss.
        if error > 1e-6 * (1.0 + numeric.abs()) || error.is_nan() {
            return Err(format!(
                "operand {index}, element {element}: rule {}, difference {numeric}",
                analytic[element]
            ));
        }
    }
    Ok(())
}

fn loss(
    op: &Op,
    operands: &[CaseOperand],
    data: &[Vec<f64>],
    output: &[usize],
    weights: &[f64],
) -> f64 {
    let operands: Vec<Operand<'_>> =
        operands.iter().zip(data).map(|(o, data)| Operand { shape: &o.shape, data }).collect();
    evaluate(op, &operands, output).iter().zip(weights).map(|(y, w)| y * w).sum()
}

fn initial(graph: &Graph, ids: &[ValueId], data: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let constant = |value: &Value| match &value.constant {
        Some(tensor) => tensor.data.iter().map(|&x| f64::from(x)).collect(),
        None => Vec::new(),
    };
    let mut values: Vec<Vec<f64>> = graph.values.iter().map(constant).collect();
    for (id, data) in ids.iter().zip(data) {
        values[id.0 as usize] = data.clone();
    }
    values
}

/// Evaluates every node after the first whose operands are known; the first is computed too.
fn run(graph: &Graph, values: &mut [Vec<f64>]) {
    for node in &graph.nodes {
        let operands: Vec<Operand<'_>> = node
            .inputs
            .iter()
            .map(|&id| Operand { shape: graph.shape(id), data: &values[id.0 as usize] })
            .collect();
        let result = evaluate(&node.op, &operands, graph.shape(node.output));
        values[node.output.0 as usize] = result;
    }
}
