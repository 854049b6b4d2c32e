//! The slope of the loss along the image, with other weights for every image.
//!
//! A schedule is planned once. For other weights the graph is lowered again, which also computes
//! what normalisations make of them, and the constants take their places in the planned schedule.
//!
//! Gates stay as they are with the original weights: a ReLU that other weights would switch makes a
//! jump in the gradient, and a difference of gradients would see little else. So the difference is
//! that of differentiating twice, where a ReLU has no second derivative.

use std::collections::{HashMap, HashSet};

use gradgate_engine::{Engine, Frame, Written};
use gradgate_frame::Preprocessing;
use gradgate_graph::expand::Expanded;
use gradgate_graph::graph::{Tensor, ValueId};
use gradgate_graph::lower::lower;
use gradgate_graph::ops::Op;
use gradgate_graph::plan::{Plan, PlanOptions, plan};
use gradgate_graph::schedule::{Schedule, Storage, TensorId};

use crate::error::LabError;
use crate::program::Program;
use crate::random::Random;

/// What an open gate lets pass where other weights would close it: open, and next to nothing.
const BARELY_OPEN: f32 = 1e-30;

/// The loss's image gradient, ready for other weights.
pub(crate) struct Perturbable {
    expanded: Expanded,
    /// Parameters whose values change, in the caller's order.
    parameters: Vec<ValueId>,
    schedule: Schedule,
    plan: Plan,
    /// For each constant of the schedule one place where it is read, before planning.
    readers: Vec<(TensorId, usize, usize)>,
    /// Results of ReLUs.
    gates: HashSet<TensorId>,
    /// With the original weights.
    original: Program,
}

/// By step, which units of its result are open.
type Open = HashMap<usize, Vec<bool>>;

impl Perturbable {
    /// Plans the gradient of a loss; `names` are the parameters that will change.
    pub fn new(expanded: Expanded, names: &[&str]) -> Result<Self, String> {
        let parameter = |name: &&str| {
            let at = expanded.graph.values.iter().position(|value| value.name == **name);
            at.map(|at| ValueId(at as u32)).ok_or(format!("parameter `{name}` is missing"))
        };
        let parameters = names.iter().map(parameter).collect::<Result<Vec<_>, _>>()?;
        // Constants of equal bits are one tensor; with random parameters each has its own.
        let mut random = expanded.clone();
        for (at, &id) in parameters.iter().enumerate() {
            let mut numbers = Random::new(0, "perturbable", at as u64);
            change(&mut random, id, |_, x| x + numbers.between(0.1, 0.2) as f32);
        }
        let lowered = lower(&random, &Preprocessing::default()).map_err(|e| e.to_string())?;
        let readers = readers(&lowered);
        let relus = expanded.graph.nodes[..expanded.forward_nodes].iter();
        let relus = relus.filter(|node| node.op == Op::Relu).map(|node| node.output);
        let relus: HashSet<ValueId> = relus.collect();
        let gates = lowered.values.iter().filter(|(value, _)| relus.contains(value));
        let gates = gates.map(|(_, tensor)| *tensor).collect();
        let planned = plan(lowered, PlanOptions::default()).map_err(|e| e.to_string())?;
        let (mut schedule, plan) = (planned.schedule, planned.plan);
        fill(&expanded, &mut schedule, &readers)?;
        let original = Program::packed(&expanded, &schedule, &plan, &Preprocessing::default())
            .and_then(|mut program| program.prepare().map(|()| program))
            .map_err(|error| error.to_string())?;
        Ok(Self { expanded, parameters, schedule, plan, readers, gates, original })
    }

    /// The program with the original weights, for [`Perturbable::gradients`].
    pub fn engine(&self) -> Result<Engine<'_>, LabError> {
        self.original.engine()
    }

    /// The gradient of the loss with respect to the input tensor, rows x columns x channels, once
    /// for each of `steps`: at parameters + step * direction. `direction` holds all parameters one
    /// after the other.
    pub fn gradients(
        &self,
        original: &Engine<'_>,
        frame: &[f32],
        direction: &[f32],
        steps: &[f64],
    ) -> Result<Vec<Vec<f32>>, LabError> {
        let open = self.open(original, frame)?;
        let mut expanded = self.expanded.clone();
        let mut schedule = self.schedule.clone();
        let run = |&step: &f64| {
            let mut rest = direction;
            for &id in &self.parameters {
                let own = &self.expanded.graph.value(id).constant;
                let original = own.as_ref().map_or(&[][..], |tensor| &tensor.data);
                let (part, behind) = rest.split_at(original.len());
                rest = behind;
                change(&mut expanded, id, |at, _| {
                    (f64::from(original[at]) + step * f64::from(part[at])) as f32
                });
            }
            self.gradient(&expanded, &mut schedule, frame, &open)
        };
        steps.iter().map(run).collect()
    }

    /// Whether a step writes a gate there.
    fn is_gate(&self, step: usize, written: Written) -> bool {
        let Written::Operand(place) = written else { return false };
        let operand = self.schedule.steps[step].operands.get(place).copied().flatten();
        operand.is_some_and(|id| self.gates.contains(&id))
    }

    fn open(&self, original: &Engine<'_>, frame: &[f32]) -> Result<Open, LabError> {
        let mut open = Open::new();
        let mut arena = vec![0.0; original.arena_elements()];
        let observe = |step, written, values: &mut [f32]| {
            if self.is_gate(step, written) {
                open.insert(step, values.iter().map(|&y| y > 0.0).collect());
            }
        };
        original
            .run_observed(Frame::F32(frame), &mut arena, observe)
            .map_err(|error| defect(&error.to_string()))?;
        Ok(open)
    }

    fn gradient(
        &self,
        expanded: &Expanded,
        schedule: &mut Schedule,
        frame: &[f32],
        open: &Open,
    ) -> Result<Vec<f32>, LabError> {
        fill(expanded, schedule, &self.readers).map_err(|error| defect(&error))?;
        let program = Program::packed(expanded, schedule, &self.plan, &Preprocessing::default())?;
        let engine = program.engine()?;
        let mut arena = vec![0.0; engine.arena_elements()];
        let observe = |step, written, values: &mut [f32]| {
            let Some(open) = open.get(&step).filter(|_| self.is_gate(step, written)) else {
                return;
            };
            for (y, &open) in values.iter_mut().zip(open) {
                match (open, *y > 0.0) {
                    (true, false) => *y = BARELY_OPEN,
                    (false, true) => *y = 0.0,
                    _ => {}
                }
            }
        };
        let features = engine.run_observed(Frame::F32(frame), &mut arena, observe);
        Ok(features.map_err(|error| defect(&error.to_string()))?.penultimate.to_vec())
    }
}

fn defect(text: &str) -> LabError {
    LabError::Model(format!("other weights: {text}"))
}

/// One place where each constant is read.
fn readers(lowered: &Schedule) -> Vec<(TensorId, usize, usize)> {
    let mut readers: Vec<(TensorId, usize, usize)> = Vec::new();
    for (at, step) in lowered.steps.iter().enumerate() {
        for (place, operand) in step.operands.iter().enumerate() {
            let Some(id) = *operand else { continue };
            let constant = matches!(lowered.tensors[id.0].storage, Storage::Blob(_));
            if constant && readers.iter().all(|&(known, ..)| known != id) {
                readers.push((id, at, place));
            }
        }
    }
    readers
}

/// Puts the constants of a graph into a planned schedule.
fn fill(
    expanded: &Expanded,
    schedule: &mut Schedule,
    readers: &[(TensorId, usize, usize)],
) -> Result<(), String> {
    let lowered = lower(expanded, &Preprocessing::default()).map_err(|error| error.to_string())?;
    for &(id, step, place) in readers {
        let reader = lowered.steps.get(step).and_then(|step| step.operands.get(place));
        let from = reader.copied().flatten().ok_or("another schedule")?;
        let from = &lowered.tensors[from.0];
        let to = &mut schedule.tensors[id.0];
        if from.elements != to.elements {
            return Err("another length".to_owned());
        }
        to.storage = from.storage.clone();
    }
    Ok(())
}

/// Changes the elements of a constant by place and value.
fn change(expanded: &mut Expanded, id: ValueId, mut of: impl FnMut(usize, f32) -> f32) {
    let constant = &mut expanded.graph.values[id.0 as usize].constant;
    if let Some(tensor) = constant {
        let data: Vec<f32> = tensor.data.iter().enumerate().map(|(at, &x)| of(at, x)).collect();
        *tensor = Tensor::new(tensor.shape.clone(), data);
    }
}
