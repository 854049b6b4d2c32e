//! Sum of squares of a frame value: the feature of one parameter tensor or layer.

use super::arity;

/// Shape rule: x.
pub fn shape(s: &[&[usize]]) -> Result<Vec<usize>, String> {
    arity(s, 1, 1)?;
    Ok(vec![1])
}
