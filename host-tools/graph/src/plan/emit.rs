//! A program back as a schedule with offsets.

use std::collections::BTreeMap;

use gradgate_bundle::op::{Activation, ConvParams, MASK_BITS, MaskParams, OpCode, UnaryParams};
use zerocopy::{FromBytes, IntoBytes};

use super::Again;
use super::program::{ABSENT, Call, Origin, Problem, Program, Work};
use crate::schedule::{Pass, Schedule, ScheduledTensor, Step, Storage, TensorId};

/// Adds a program's tensors to the schedule and puts the steps in the program's order.
pub(super) fn schedule(mut schedule: Schedule, program: &Program) -> Schedule {
    for origin in &program.origins {
        let (source, what, share) = match *origin {
            Origin::Schedule => continue,
            Origin::Again(id) => (id, "again", 1),
            Origin::Mask(id) => (id, "mask", MASK_BITS),
        };
        let source = &schedule.tensors[source as usize];
        schedule.tensors.push(ScheduledTensor {
            name: format!("{}:{what}", source.name),
            elements: source.elements.div_ceil(share),
            storage: Storage::Arena,
        });
    }
    schedule.steps = program.calls.iter().map(|call| step(&schedule, program, call)).collect();
    schedule
}

fn step(schedule: &Schedule, program: &Program, call: &Call) -> Step {
    let Work::Step(number) = call.work else { return mask(schedule, call) };
    let mut step = schedule.steps[number as usize].clone();
    step.again = call.again;
    for (operand, &id) in step.operands.iter_mut().zip(&call.operands) {
        if id == ABSENT {
            continue;
        }
        *operand = Some(TensorId(id as usize));
        if matches!(program.origins[id as usize], Origin::Mask(_)) {
            look_at_mask(step.opcode, &mut step.params);
        }
    }
    step
}

/// The step that makes a mask.
fn mask(schedule: &Schedule, call: &Call) -> Step {
    let [x, mask, ..] = call.operands.map(|id| id as usize);
    let params = MaskParams { elements: (schedule.tensors[x].elements as u32).into() };
    Step {
        name: schedule.tensors[mask].name.clone(),
        opcode: OpCode::Mask,
        params: params.as_bytes().to_vec(),
        operands: [x, mask].map(|id| Some(TensorId(id))).to_vec(),
        macs: 0,
        pass: Pass::Backward,
        again: false,
    }
}

/// Turns a gradient at a ReLU's result into one at its mask.
fn look_at_mask(opcode: OpCode, params: &mut [u8]) {
    match opcode {
        OpCode::UnaryGradient => {
            if let Ok(p) = UnaryParams::mut_from_bytes(params) {
                p.kind = (Activation::Mask as u32).into();
            }
        }
        OpCode::ConvInputGradient => {
            if let Ok(p) = ConvParams::mut_from_bytes(params) {
                p.activation = (Activation::Mask as u16).into();
            }
        }
        _ => {}
    }
}

/// What the program computes again, each tensor once, with the multiply-adds of all its runs.
pub(super) fn again(schedule: &Schedule, problem: &Problem, program: &Program) -> Vec<Again> {
    let mut times: BTreeMap<usize, u64> = BTreeMap::new();
    for origin in &program.origins {
        if let Origin::Again(id) = *origin {
            *times.entry(id as usize).or_default() += 1;
        }
    }
    let of = |(id, times): (usize, u64)| Again {
        name: schedule.tensors[id].name.clone(),
        bytes: 4 * schedule.tensors[id].elements,
        macs: times * problem.own_macs(id),
    };
    times.into_iter().map(of).collect()
}
