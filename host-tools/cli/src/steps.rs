//! The steps of a bundle for people: what each computes, by which method, at what cost.

use std::fmt;

use gradgate_bundle::Bundle;
use gradgate_bundle::header::names;
use gradgate_bundle::op::{
    AffineNormParams, ConvAlignmentParams, ConvParams, ConvWeightNormParams, NONE, OpCode,
    SquaredNormParams,
};
use gradgate_bundle::record::{StepRecord, TensorKind};
use gradgate_bundle::shape::{ConvShape, METHOD_GRAM, METHOD_PIXEL_GRAM, operands};
use gradgate_graph::plan::Plan;
use gradgate_graph::schedule::{Pass, Schedule, ScheduledTensor, Step, Storage, TensorId};
use serde_json::{Value, json};

/// One line of `inspect`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepLine {
    operation: &'static str,
    /// `direct`, `gram` or `pixel gram` for weight norms; `again` for what runs a second time.
    method: Option<&'static str>,
    macs: u64,
    name: String,
}

impl StepLine {
    /// Operation, and the method where there are several.
    pub fn kind(&self) -> String {
        match self.method {
            Some(method) => format!("{} {method}", self.operation),
            None => self.operation.to_owned(),
        }
    }

    /// Multiply-adds.
    pub fn macs(&self) -> u64 {
        self.macs
    }

    /// For machines.
    pub fn to_json(&self) -> Value {
        json!({
            "operation": self.operation,
            "method": self.method,
            "macs": self.macs,
            "name": self.name,
        })
    }
}

impl fmt::Display for StepLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:25} {:13}  {}", self.kind(), self.macs, crate::output::plain(&self.name))
    }
}

/// All steps of a schedule.
pub fn lines(schedule: &Schedule) -> Vec<StepLine> {
    let line = |step: &Step| StepLine {
        operation: step.opcode.name(),
        method: method(step),
        macs: step.macs,
        name: step.name.clone(),
    };
    schedule.steps.iter().map(line).collect()
}

fn method(step: &Step) -> Option<&'static str> {
    if step.again {
        return Some("again");
    }
    if step.opcode != OpCode::ConvWeightNorm {
        return None;
    }
    let at = std::mem::offset_of!(ConvWeightNormParams, method);
    let number = u16::from_le_bytes([*step.params.get(at)?, *step.params.get(at + 1)?]);
    Some(match number {
        METHOD_GRAM => "gram",
        METHOD_PIXEL_GRAM => "pixel gram",
        _ => "direct",
    })
}

/// The schedule and plan that a bundle holds, with numbers where the names were.
pub fn from_bundle(bundle: &Bundle<'_>) -> (Schedule, Plan) {
    let (header, steps) = (bundle.header(), bundle.steps());
    let arena = |kind: u32| kind == TensorKind::Arena as u32;
    let tensors: Vec<ScheduledTensor> = bundle
        .tensors()
        .iter()
        .enumerate()
        .map(|(index, tensor)| ScheduledTensor {
            name: format!("tensor {index}"),
            elements: tensor.elements.get() as usize,
            storage: match arena(tensor.kind.get()) {
                true => Storage::Arena,
                false => Storage::Blob(Vec::new()),
            },
        })
        .collect();
    let offsets = bundle
        .tensors()
        .iter()
        .map(|tensor| arena(tensor.kind.get()).then(|| tensor.offset.get() as usize))
        .collect();
    let id = |index: u16| (index != NONE).then(|| TensorId(usize::from(index)));
    let results = [header.layout.logits, header.layout.penultimate];
    let plan = Plan {
        offsets,
        lifetimes: (0..tensors.len()).map(|tensor| lifetime(steps, tensor, &results)).collect(),
        arena_elements: header.layout.arena_elements as usize,
        features_offset: header.layout.features_offset as usize,
        scratch_offset: header.layout.scratch_offset as usize,
    };
    // What comes behind the logits goes backward.
    let writes_logits = |step: &StepRecord| {
        let roles = OpCode::from_number(step.opcode.get()).map_or(&[][..], operands);
        let places = step.operands.iter().zip(roles);
        places.into_iter().any(|(id, role)| role.writes() && id.get() == header.layout.logits)
    };
    let turn = steps.iter().rposition(writes_logits).unwrap_or(steps.len());
    let schedule = Schedule {
        tensors,
        steps: steps
            .iter()
            .enumerate()
            .filter_map(|(index, step)| step_of(bundle, step, index > turn))
            .collect(),
        features: header.schema.features(),
        logits: TensorId(usize::from(header.layout.logits)),
        penultimate: id(header.layout.penultimate),
        input: bundle.manifest().input.map(|side| side.get() as usize),
        values: Vec::new(),
    };
    (schedule, plan)
}

fn step_of(bundle: &Bundle<'_>, step: &StepRecord, is_backward: bool) -> Option<Step> {
    let opcode = OpCode::from_number(step.opcode.get())?;
    let mut params = Vec::new();
    let macs = match opcode {
        OpCode::ConvWeightNorm => {
            let norms: &ConvWeightNormParams = bundle.params(step)?;
            // Read back by `method`, as in a schedule that was never packed.
            params.resize(size_of::<ConvWeightNormParams>(), 0);
            let at = std::mem::offset_of!(ConvWeightNormParams, method);
            params[at..at + 2].copy_from_slice(&norms.method.get().to_le_bytes());
            match norms.method.get() {
                METHOD_GRAM => u64::from(norms.conv.input[2].get()),
                METHOD_PIXEL_GRAM => {
                    ConvShape::new(&norms.conv).ok().and_then(|s| s.pixel_gram_macs())?
                }
                _ => macs(&norms.conv),
            }
        }
        OpCode::Conv | OpCode::ConvInputGradient | OpCode::ConvWeightGradient => {
            macs(bundle.params(step)?)
        }
        OpCode::ConvAlignment => {
            let alignment: &ConvAlignmentParams = bundle.params(step)?;
            ConvShape::new(&alignment.conv).ok()?.alignment_macs()
        }
        _ => 0,
    };
    let id = |operand: u16| (operand != NONE).then(|| TensorId(usize::from(operand)));
    let count = operands(opcode).len();
    let written = operands(opcode).iter().position(|role| role.writes());
    let tensor = written.and_then(|place| id(step.operands[place].get()));
    let name = match (feature(bundle, step, opcode), tensor) {
        (Some(feature), _) => feature.to_owned(),
        (None, Some(TensorId(tensor))) => format!("tensor {tensor}"),
        (None, None) => String::new(),
    };
    Some(Step {
        name,
        opcode,
        params,
        operands: step.operands.iter().take(count).map(|operand| id(operand.get())).collect(),
        macs,
        pass: Pass::of(opcode, is_backward),
        again: false,
    })
}

/// Name of the first feature that a step writes.
fn feature<'a>(bundle: &Bundle<'a>, step: &StepRecord, opcode: OpCode) -> Option<&'a str> {
    let written = match opcode {
        OpCode::SquaredNorm => vec![bundle.params::<SquaredNormParams>(step)?.feature],
        OpCode::AffineNorm => {
            let p: &AffineNormParams = bundle.params(step)?;
            vec![p.scale, p.shift]
        }
        OpCode::ConvWeightNorm => {
            let p: &ConvWeightNormParams = bundle.params(step)?;
            vec![p.weight, p.bias, p.scale, p.shift]
        }
        OpCode::ConvAlignment => vec![bundle.params::<ConvAlignmentParams>(step)?.feature],
        _ => return None,
    };
    let schema = &bundle.header().schema;
    let mut all =
        names(schema.parameters).chain(names(schema.layers)).chain(names(schema.alignments));
    let first = written.iter().map(|feature| feature.get()).find(|&feature| feature != NONE)?;
    all.nth(usize::from(first))
}

fn macs(p: &ConvParams) -> u64 {
    let wide = |n: zerocopy::little_endian::U16| u64::from(n.get());
    let [rows, columns, channels] = p.output.map(wide);
    let [kernel_rows, kernel_columns] = p.kernel.map(wide);
    let inputs = wide(p.input[2]) / wide(p.groups).max(1);
    rows * columns * channels * kernel_rows * kernel_columns * inputs
}

fn lifetime(
    steps: &[StepRecord],
    tensor: usize,
    results: &[u16],
) -> Option<std::ops::Range<usize>> {
    let touches = |step: &StepRecord| {
        step.operands.iter().any(|operand| usize::from(operand.get()) == tensor)
    };
    let first = steps.iter().position(touches)?;
    let last = steps.iter().rposition(touches)?;
    let result = results.iter().any(|&result| usize::from(result) == tensor);
    Some(first..if result { steps.len() + 1 } else { last + 1 })
}
