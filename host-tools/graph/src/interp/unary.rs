//! Activations and their gradients.

use super::Operand;
use crate::ops::Op;

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

pub fn evaluate(op: &Op, o: &[Operand<'_>]) -> Vec<f64> {
    let one = |f: &dyn Fn(f64) -> f64| o[0].data.iter().map(|&x| f(x)).collect();
    let two = |f: &dyn Fn(f64, f64) -> f64| {
        o[0].data.iter().zip(o[1].data).map(|(&x, &g)| f(x, g)).collect()
    };
    let slope = |x: f64, alpha: f32| if x > 0.0 { 1.0 } else { f64::from(alpha) };
    match *op {
        Op::Relu => one(&|x| if x <= 0.0 { 0.0 } else { x }),
        Op::ReluGradient => two(&|y, g| if y > 0.0 { g } else { 0.0 }),
        Op::LeakyRelu { alpha } => one(&|x| x * slope(x, alpha)),
        Op::LeakyReluGradient { alpha } => two(&|x, g| g * slope(x, alpha)),
        Op::Clip { min, max } => one(&|x| {
            let lifted = if x <= f64::from(min) { f64::from(min) } else { x };
            if lifted >= f64::from(max) { f64::from(max) } else { lifted }
        }),
        Op::ClipGradient { min, max } => {
            two(&|x, g| if x > f64::from(min) && x < f64::from(max) { g } else { 0.0 })
        }
        Op::SigmoidGradient => two(&|y, g| g * y * (1.0 - y)),
        _ => one(&sigmoid),
    }
}
