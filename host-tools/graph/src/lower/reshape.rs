//! Reshape: another name for the same elements where both sides are row-major, else copies.

use super::{LowerError, Lowering};
use crate::graph::Node;

impl Lowering<'_> {
    pub(super) fn reshape(&mut self, node: &Node) -> Result<(), LowerError> {
        let tensor = self.row_major(node, node.inputs[0])?;
        self.store_row_major(node, tensor)
    }
}
