//! Squared norms into features, emitted as soon as their operand exists.

use gradgate_bundle::op::{OpCode, SquaredNormParams};

use super::Lowering;
use crate::graph::ValueId;

impl Lowering<'_> {
    pub(super) fn norms_of(&mut self, value: ValueId) {
        let features = self.features.get(&value).cloned().unwrap_or_default();
        let Some(&x) = self.tensor_of.get(&value) else { return };
        for feature in features {
            let elements = self.tensors[x.0].elements;
            let params = SquaredNormParams {
                elements: (elements as u32).into(),
                feature: feature.into(),
                reserved: 0.into(),
            };
            let name = format!("{}:norm", self.graph.value(value).name);
            self.step(&name, OpCode::SquaredNorm, &params, &[Some(x)], 0);
        }
    }
}
