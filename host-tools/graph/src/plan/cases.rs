//! Schedules for the planner's tests: small ones by hand, and random ones of the shape that
//! matters: a forward pass, logits, and a backward pass that reads both.

use gradgate_bundle::op::{
    Activation, BOX_RANK, BinaryParams, CopyParams, OpCode, Params, PreprocessParams,
    SquaredNormParams, UnaryParams,
};
use zerocopy::FromZeros;
use zerocopy::little_endian::U32;

use crate::ops::check::Rng;
use crate::schedule::{Pass, Schedule, ScheduledTensor, Step, Storage, TensorId};

/// Dimensions of a box of `length` elements in a row.
fn row(length: usize) -> [U32; BOX_RANK] {
    let mut dims = [U32::new(1); BOX_RANK];
    dims[BOX_RANK - 1] = (length as u32).into();
    dims
}

/// A schedule under construction.
pub struct Builder {
    pub schedule: Schedule,
}

impl Builder {
    pub fn new() -> Self {
        Self {
            schedule: Schedule {
                tensors: vec![],
                steps: vec![],
                features: 0,
                logits: TensorId(0),
                penultimate: None,
                input: [1, 1, 1],
                values: vec![],
            },
        }
    }

    pub fn tensor(&mut self, elements: usize) -> TensorId {
        let name = format!("t{}", self.schedule.tensors.len());
        self.schedule.tensors.push(ScheduledTensor { name, elements, storage: Storage::Arena });
        TensorId(self.schedule.tensors.len() - 1)
    }

    pub fn elements(&self, id: TensorId) -> usize {
        self.schedule.tensors[id.0].elements
    }

    fn step<P: Params>(&mut self, opcode: OpCode, params: &P, operands: &[TensorId], macs: u64) {
        self.schedule.steps.push(Step {
            name: format!("s{}", self.schedule.steps.len()),
            opcode,
            params: params.as_bytes().to_vec(),
            operands: operands.iter().copied().map(Some).collect(),
            macs,
            pass: Pass::of(opcode, false),
            again: false,
        });
    }

    /// A tensor out of nothing.
    pub fn source(&mut self, elements: usize) -> TensorId {
        let y = self.tensor(elements);
        let params = PreprocessParams::new_zeroed();
        self.step(OpCode::Preprocess, &params, &[y], 0);
        y
    }

    /// One of the same length, for the given multiply-adds.
    pub fn unary(&mut self, x: TensorId, macs: u64) -> TensorId {
        let mut params = UnaryParams::new_zeroed();
        params.elements = (self.elements(x) as u32).into();
        let y = self.tensor(self.elements(x));
        self.step(OpCode::Unary, &params, &[x, y], macs);
        y
    }

    /// A sum of two of the same length.
    pub fn add(&mut self, a: TensorId, b: TensorId) -> TensorId {
        let mut params = BinaryParams::new_zeroed();
        params.dims = row(self.elements(a));
        params.a_strides = row(1);
        params.b_strides = row(1);
        let y = self.tensor(self.elements(a));
        self.step(OpCode::Binary, &params, &[a, b, y], 0);
        y
    }

    /// The gradient of a ReLU at `gate`.
    pub fn gate(&mut self, gate: TensorId, g: TensorId) -> TensorId {
        let mut params = UnaryParams::new_zeroed();
        params.kind = (Activation::Relu as u32).into();
        params.elements = (self.elements(g) as u32).into();
        let y = self.tensor(self.elements(g));
        self.step(OpCode::UnaryGradient, &params, &[gate, g, y], 0);
        y
    }

    /// A new tensor from parts of others: the first copy fills, later ones leave the rest.
    pub fn concat(&mut self, parts: &[TensorId], elements: usize) -> TensorId {
        let y = self.tensor(elements);
        for (place, &x) in parts.iter().enumerate() {
            let length = self.elements(x).min(elements);
            let mut params = CopyParams::new_zeroed();
            params.fills = u32::from(place == 0).into();
            params.dims = row(length);
            (params.x_strides, params.y_strides) = (row(1), row(1));
            params.x_elements = (self.elements(x) as u32).into();
            params.y_elements = (elements as u32).into();
            params.y_offset = ((elements - length) as u32).into();
            self.step(OpCode::Copy, &params, &[x, y], 0);
        }
        y
    }

    /// The norm of a tensor into the next feature.
    pub fn norm(&mut self, x: TensorId) {
        let mut params = SquaredNormParams::new_zeroed();
        params.elements = (self.elements(x) as u32).into();
        params.feature = (self.schedule.features as u16).into();
        self.schedule.features += 1;
        self.step(OpCode::SquaredNorm, &params, &[x], 0);
    }
}

/// A random schedule: `layers` forward steps, then gradients that look at what they computed.
pub fn random(rng: &mut Rng) -> Schedule {
    let mut b = Builder::new();
    let mut forward = vec![b.source(rng.range(1, 40))];
    for _ in 0..rng.range(1, 20) {
        let x = forward[rng.range(forward.len().saturating_sub(4), forward.len() - 1)];
        let y = forward[rng.range(0, forward.len() - 1)];
        let same = b.elements(x) == b.elements(y);
        forward.push(match rng.range(0, 4) {
            0 => b.concat(&[x, y], rng.range(1, 60)),
            1 if same => b.add(x, y),
            2 => b.unary(x, 0),
            _ => b.unary(x, 100 * rng.range(1, 9) as u64),
        });
        if rng.range(0, 3) == 0 {
            b.norm(x);
        }
    }
    let last = forward[forward.len() - 1];
    b.schedule.logits = b.concat(&[last], 3);
    b.schedule.penultimate = (rng.range(0, 1) == 1).then_some(last);
    let mut g = b.schedule.logits;
    for &x in forward.iter().rev() {
        if b.elements(g) != b.elements(x) {
            g = b.concat(&[g], b.elements(x));
        }
        if rng.range(0, 2) == 0 {
            let product = b.add(x, g);
            b.norm(product);
        }
        g = match rng.range(0, 2) {
            0 => b.add(g, x),
            _ => b.gate(x, g),
        };
        b.norm(g);
    }
    b.schedule
}
