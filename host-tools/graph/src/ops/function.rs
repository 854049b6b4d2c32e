//! Functions of one variable beyond the activations that steps fuse, and their gradients.
//!
//! Shape rules are [`super::unary`]'s. The gradient of a function has no gradient rule of its own.

use crate::expand::Backward;
use crate::graph::{Node, ValueId};
use crate::ops::{Gradients, Op};

/// Which function, with its constants.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Function {
    /// e to the x.
    Exp,
    /// Natural logarithm.
    Log,
    /// Square root.
    Sqrt,
    /// Hyperbolic tangent.
    Tanh,
    /// Error function.
    Erf,
    /// `gamma * x` above zero, else `gamma * alpha * (exp(x) - 1)`. Serves Elu and Selu.
    Elu {
        /// Minus the limit far below zero.
        alpha: f32,
        /// Slope above zero.
        gamma: f32,
    },
    /// `ln(1 + exp(x))`
    Softplus,
    /// `alpha * x + beta` between 0 and 1; the gradient is 0 at the bounds.
    HardSigmoid {
        /// Slope.
        alpha: f32,
        /// Value at 0.
        beta: f32,
    },
    /// `x * (x + 3) / 6` between -3 and 3, 0 below, x above.
    HardSwish,
    /// x times the normal distribution's probability of less.
    Gelu,
    /// The same by its approximation through tanh.
    GeluTanh,
    /// x to a power.
    Pow {
        /// The power; not 0.
        exponent: f32,
    },
}

impl Function {
    /// Whether the gradient is taken at the result, so that the operand need not be kept.
    pub fn by_result(self) -> bool {
        matches!(self, Function::Exp | Function::Sqrt | Function::Tanh)
    }

    /// Name for messages.
    pub fn name(self) -> &'static str {
        self.names()[0]
    }

    /// Name of the gradient.
    pub fn gradient_name(self) -> &'static str {
        self.names()[1]
    }

    fn names(self) -> [&'static str; 2] {
        match self {
            Function::Exp => ["Exp", "ExpGradient"],
            Function::Log => ["Log", "LogGradient"],
            Function::Sqrt => ["Sqrt", "SqrtGradient"],
            Function::Tanh => ["Tanh", "TanhGradient"],
            Function::Erf => ["Erf", "ErfGradient"],
            Function::Elu { .. } => ["Elu", "EluGradient"],
            Function::Softplus => ["Softplus", "SoftplusGradient"],
            Function::HardSigmoid { .. } => ["HardSigmoid", "HardSigmoidGradient"],
            Function::HardSwish => ["HardSwish", "HardSwishGradient"],
            Function::Gelu => ["Gelu", "GeluGradient"],
            Function::GeluTanh => ["GeluTanh", "GeluTanhGradient"],
            Function::Pow { .. } => ["Pow", "PowGradient"],
        }
    }
}

/// Gradient rule.
pub fn gradient(function: Function, b: &mut Backward, node: &Node, g: ValueId) -> Gradients {
    let at = if function.by_result() { node.output } else { node.inputs[0] };
    let gradient = b.emit("function", Op::FunctionGradient(function), &[at, g])?;
    Ok(vec![Some(gradient)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::check::{CaseOperand as O, Rng, gradients};

    #[test]
    fn gradients_match_differences() {
        let table = [
            (Function::Exp, 0.0),
            (Function::Log, 1.5),
            (Function::Sqrt, 1.5),
            (Function::Tanh, 0.0),
            (Function::Erf, 0.0),
            (Function::Elu { alpha: 0.7, gamma: 1.0 }, 0.0),
            (Function::Elu { alpha: 1.67, gamma: 1.05 }, 0.0),
            (Function::Softplus, 0.0),
            (Function::HardSigmoid { alpha: 0.8, beta: 0.4 }, 0.0),
            (Function::HardSwish, 0.0),
            (Function::HardSwish, 2.5),
            (Function::HardSwish, -2.5),
            (Function::Gelu, 0.0),
            (Function::Gelu, -2.0),
            (Function::GeluTanh, 0.0),
            (Function::GeluTanh, 2.0),
            (Function::Pow { exponent: 3.0 }, 0.0),
            (Function::Pow { exponent: 0.3 }, 1.5),
            (Function::Pow { exponent: -2.0 }, 1.5),
        ];
        for (function, offset) in table {
            gradients(function.name(), |rng: &mut Rng| {
                let shape = [1, rng.range(1, 4), rng.range(1, 4)];
                (Op::Function(function), vec![O::frame(&shape).around(offset)])
            });
        }
    }
}
