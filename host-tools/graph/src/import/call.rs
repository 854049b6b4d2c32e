//! One node with its operands looked up: typed access to attributes and operands.

use std::rc::Rc;

use super::constant::Constant;
use super::error::{Outcome, invalid, unsupported};
use crate::graph::ValueId;
use crate::proto::{AttributeProto, NodeProto, TensorProto, attribute_type};

/// What an ONNX value name stands for.
#[derive(Clone, Debug)]
pub(super) enum Binding {
    /// A value that depends on the image.
    Frame(ValueId),
    /// A constant.
    Constant(Rc<Constant>),
    /// A truth value for every element of a value of the network.
    Condition(Condition),
    /// The parts of a value of the network.
    Sequence(Rc<Sequence>),
    /// The result of a node that was refused.
    Unknown,
}

/// Whether one value of the network is above another, or a constant; or whether it is not.
#[derive(Clone, Copy, Debug)]
pub(super) struct Condition {
    /// Above `less` where the comparison holds.
    pub more: ValueId,
    /// The other side.
    pub less: ValueId,
    /// Whether the condition is the opposite: at most.
    pub negated: bool,
}

/// What SplitToSequence made: parts of one value, cut when they are taken.
#[derive(Debug)]
pub(super) struct Sequence {
    /// The whole.
    pub source: ValueId,
    /// The axis that is cut.
    pub axis: usize,
    /// Its length.
    pub total: usize,
    /// Where it is cut.
    pub parts: Parts,
    /// Whether the parts, of length 1, lose the axis.
    pub squeezed: bool,
}

/// Where a sequence is cut.
#[derive(Debug)]
pub(super) enum Parts {
    /// After every `size` elements.
    Every {
        /// Above 0.
        size: usize,
    },
    /// Listed.
    Listed {
        /// The end of each part.
        ends: Vec<usize>,
    },
}

/// One node with its operands.
pub(super) struct Call<'a> {
    /// The node.
    pub proto: &'a NodeProto,
    /// Version of the default operator set.
    pub opset: i64,
    /// Operands; `None` where an optional one is left out.
    pub inputs: Vec<Option<Binding>>,
}

/// Integers of attributes and shape operands stay below this, so that the sums and products of
/// two of them in the shape rules cannot overflow 64 bits.
const INTEGER_BOUND: i64 = 1 << 31;

/// A non-negative integer below 2^31.
pub(super) fn natural(what: &str, value: i64) -> Outcome<usize> {
    if !(0..INTEGER_BOUND).contains(&value) {
        return invalid(format!("{what} is {value}, expected 0 to {}", INTEGER_BOUND - 1));
    }
    Ok(value as usize)
}

/// An axis counted from 0; negative ones count from the end.
pub(super) fn axis(value: i64, rank: usize) -> Outcome<usize> {
    let signed = rank as i64;
    if !(-signed..signed).contains(&value) {
        return invalid(format!("axis {value} of a value of rank {rank}"));
    }
    Ok(if value < 0 { value + signed } else { value } as usize)
}

/// Axes counted from 0, sorted, each once.
pub(super) fn axes(values: &[i64], rank: usize) -> Outcome<Vec<usize>> {
    let mut axes = values.iter().map(|&v| axis(v, rank)).collect::<Outcome<Vec<_>>>()?;
    axes.sort_unstable();
    if axes.windows(2).any(|pair| pair[0] == pair[1]) {
        return invalid(format!("an axis is listed twice in {values:?}"));
    }
    Ok(axes)
}

/// Name of a node for messages: its own, else its first output's.
pub(super) fn node_name(node: &NodeProto) -> String {
    let mut names = std::iter::once(&node.name).chain(&node.output);
    names.find(|name| !name.is_empty()).cloned().unwrap_or_else(|| "(unnamed)".into())
}

/// Operator of a node for messages, with its domain unless that is the default one.
pub(super) fn operator(node: &NodeProto) -> String {
    match node.domain.as_str() {
        "" | "ai.onnx" => node.op_type.clone(),
        domain => format!("{domain}::{}", node.op_type),
    }
}

impl Call<'_> {
    /// Name of the node.
    pub fn name(&self) -> String {
        node_name(self.proto)
    }

    /// Name of the first output.
    pub fn output(&self) -> String {
        self.proto.output.first().cloned().unwrap_or_default()
    }

    /// Whether output `index` has a name, which says that somebody may want it.
    pub fn has_output(&self, index: usize) -> bool {
        self.proto.output.get(index).is_some_and(|name| !name.is_empty())
    }

    fn attribute(&self, name: &str, expected: i32) -> Outcome<Option<&AttributeProto>> {
        let Some(found) = self.proto.attribute.iter().find(|a| a.name == name) else {
            return Ok(None);
        };
        if !found.ref_attr_name.is_empty() {
            return invalid(format!("attribute `{name}` refers to a function's attribute"));
        }
        if found.r#type != expected && found.r#type != attribute_type::UNDEFINED {
            return invalid(format!("attribute `{name}` is of another type than defined"));
        }
        Ok(Some(found))
    }

    /// An integer attribute.
    pub fn int(&self, name: &str) -> Outcome<Option<i64>> {
        Ok(self.attribute(name, attribute_type::INT)?.map(|a| a.i))
    }

    /// An integer attribute with a default.
    pub fn int_or(&self, name: &str, default: i64) -> Outcome<i64> {
        Ok(self.int(name)?.unwrap_or(default))
    }

    /// A flag: 0 or 1.
    pub fn flag(&self, name: &str, default: bool) -> Outcome<bool> {
        match self.int_or(name, i64::from(default))? {
            0 => Ok(false),
            1 => Ok(true),
            other => invalid(format!("attribute `{name}` is {other}, expected 0 or 1")),
        }
    }

    /// A float attribute.
    pub fn float(&self, name: &str) -> Outcome<Option<f32>> {
        Ok(self.attribute(name, attribute_type::FLOAT)?.map(|a| a.f))
    }

    /// A float attribute with a default; must be finite.
    pub fn float_or(&self, name: &str, default: f32) -> Outcome<f32> {
        let value = self.float(name)?.unwrap_or(default);
        if !value.is_finite() {
            return invalid(format!("attribute `{name}` is {value}"));
        }
        Ok(value)
    }

    /// A list of integers.
    pub fn int_list(&self, name: &str) -> Outcome<Option<&[i64]>> {
        Ok(self.attribute(name, attribute_type::INTS)?.map(|a| a.ints.as_slice()))
    }

    /// A list of floats.
    pub fn float_list(&self, name: &str) -> Outcome<Option<&[f32]>> {
        Ok(self.attribute(name, attribute_type::FLOATS)?.map(|a| a.floats.as_slice()))
    }

    /// A string attribute with a default.
    pub fn text_or<'s>(&'s self, name: &str, default: &'s str) -> Outcome<&'s str> {
        match self.attribute(name, attribute_type::STRING)? {
            None => Ok(default),
            Some(found) => match std::str::from_utf8(&found.s) {
                Ok(text) => Ok(text),
                Err(_) => invalid(format!("attribute `{name}` is not UTF-8")),
            },
        }
    }

    /// A tensor attribute.
    pub fn tensor(&self, name: &str) -> Outcome<Option<&TensorProto>> {
        Ok(self.attribute(name, attribute_type::TENSOR)?.and_then(|a| a.t.as_deref()))
    }

    /// Operand `index`, when given.
    pub fn input(&self, index: usize) -> Option<&Binding> {
        self.inputs.get(index).and_then(Option::as_ref)
    }

    /// Refuses a wrong operand count.
    pub fn arity(&self, min: usize, max: usize) -> Outcome<()> {
        let missing = self.inputs.iter().take(min).any(Option::is_none);
        if missing || !(min..=max).contains(&self.inputs.len()) {
            let count = self.inputs.len();
            return invalid(format!("{count} operand(s), expected {min} to {max}"));
        }
        Ok(())
    }

    /// Operand `index`, which must depend on the image.
    pub fn frame(&self, index: usize) -> Outcome<ValueId> {
        match self.input(index) {
            Some(Binding::Frame(id)) => Ok(*id),
            Some(Binding::Condition(_)) => unsupported(
                format!("operand {index} is a comparison of values of the network"),
                "use comparisons in Where alone, or an activation in their place",
            ),
            Some(Binding::Sequence(_)) => {
                invalid(format!("operand {index} is a sequence, expected a tensor"))
            }
            Some(_) => unsupported(
                format!("operand {index} is a constant where a value of the network is expected"),
                "simplify the model first, for example with onnxsim",
            ),
            None => invalid(format!("operand {index} is missing")),
        }
    }

    /// Operand `index`, which must be a constant, when given.
    pub fn constant(&self, index: usize) -> Outcome<Option<&Rc<Constant>>> {
        match self.input(index) {
            None => Ok(None),
            Some(Binding::Constant(constant)) => Ok(Some(constant)),
            Some(_) => unsupported(
                format!("operand {index} depends on the image; only a constant is supported there"),
                "export the model with fixed weights and shapes",
            ),
        }
    }

    /// Operand `index`, which must be given and constant.
    pub fn required_constant(&self, index: usize) -> Outcome<&Rc<Constant>> {
        match self.constant(index)? {
            Some(constant) => Ok(constant),
            None => invalid(format!("operand {index} is missing")),
        }
    }

    /// Integers that older operator sets keep in attribute `name` and newer ones in an operand.
    pub fn ints_of(&self, name: &str, operand: usize) -> Outcome<Option<Vec<i64>>> {
        if let Some(list) = self.int_list(name)? {
            return Ok(Some(list.to_vec()));
        }
        match self.constant(operand)? {
            None => Ok(None),
            Some(constant) if constant.shape.len() > 1 => {
                invalid(format!("`{}` is not a list of integers", constant.name))
            }
            Some(constant) => Ok(Some(constant.ints()?.to_vec())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_are_normalised_and_checked() {
        assert_eq!(axes(&[-1, 2], 4).ok(), Some(vec![2, 3]));
        for (values, rank) in [(vec![4], 4), (vec![-5], 4), (vec![3, -1], 4), (vec![0], 0)] {
            assert!(axes(&values, rank).is_err(), "{values:?}");
        }
    }

    #[test]
    fn naturals_are_bounded() {
        for (value, ok) in [(0, true), (INTEGER_BOUND - 1, true), (-1, false), (i64::MAX, false)] {
            assert_eq!(natural("x", value).is_ok(), ok, "{value}");
        }
    }
}
