//! Functions of one variable by ONNX operators of opset 17, and their gradients.

use std::f32::consts::{FRAC_2_SQRT_PI, SQRT_2};

use super::site::Site;
use crate::ops::Function;

/// Square root of 2 over pi.
const SQRT_2_OVER_PI: f32 = 0.797_884_6;
/// Of the cube in Gelu's approximation.
const CUBE: f32 = 0.044_715;
/// 1 over the square root of 2 pi.
const DENSITY: f32 = 0.398_942_3;

/// x
pub(super) fn emit(function: Function, site: &mut Site<'_>) {
    let x = site.operand(0);
    match function {
        Function::Exp
        | Function::Log
        | Function::Sqrt
        | Function::Tanh
        | Function::Erf
        | Function::Softplus
        | Function::HardSwish => site.last(function.name(), &[x], &[]),
        Function::Elu { alpha, gamma: 1.0 } => site.last("Elu", &[x], &[("alpha", alpha.into())]),
        Function::Elu { alpha, gamma } => {
            site.last("Selu", &[x], &[("alpha", alpha.into()), ("gamma", gamma.into())]);
        }
        Function::HardSigmoid { alpha, beta } => {
            site.last("HardSigmoid", &[x], &[("alpha", alpha.into()), ("beta", beta.into())]);
        }
        Function::Gelu => {
            let p = probability(site);
            site.last("Mul", &[x, &p], &[]);
        }
        Function::GeluTanh => {
            let p = approximate_probability(site);
            site.last("Mul", &[x, &p], &[]);
        }
        Function::Pow { exponent } => {
            let exponent = site.builder.scalar(exponent);
            site.last("Pow", &[x, &exponent], &[]);
        }
    }
}

/// x or the result, and g.
pub(super) fn emit_gradient(function: Function, site: &mut Site<'_>) {
    let (v, g) = (site.operand(0), site.operand(1));
    let slope = match function {
        Function::Log => return site.last("Div", &[g, v], &[]),
        Function::Sqrt => {
            let twice = site.step("Add", &[v, v], &[]);
            return site.last("Div", &[g, &twice], &[]);
        }
        Function::Exp => v.to_owned(),
        Function::Tanh => {
            let square = site.step("Mul", &[v, v], &[]);
            less_than_one(&square, site)
        }
        Function::Erf => {
            let square = site.step("Mul", &[v, v], &[]);
            let minus = site.step("Neg", &[&square], &[]);
            let e = site.step("Exp", &[&minus], &[]);
            with("Mul", &e, FRAC_2_SQRT_PI, site)
        }
        Function::Elu { alpha, gamma } => elu_slope(alpha, gamma, site),
        Function::Softplus => site.step("Sigmoid", &[v], &[]),
        Function::HardSigmoid { alpha, beta } => {
            let scaled = with("Mul", v, alpha, site);
            let t = with("Add", &scaled, beta, site);
            let (above, below) = (with("Greater", &t, 0.0, site), with("Less", &t, 1.0, site));
            let inside = site.step("And", &[&above, &below], &[]);
            let (alpha, zero) = (site.builder.scalar(alpha), site.builder.scalar(0.0));
            site.step("Where", &[&inside, &alpha, &zero], &[])
        }
        Function::HardSwish => hard_swish_slope(site),
        Function::Gelu => {
            let p = probability(site);
            let square = site.step("Mul", &[v, v], &[]);
            let half = with("Mul", &square, -0.5, site);
            let e = site.step("Exp", &[&half], &[]);
            let density = with("Mul", &e, DENSITY, site);
            let rest = site.step("Mul", &[v, &density], &[]);
            site.step("Add", &[&p, &rest], &[])
        }
        Function::GeluTanh => gelu_tanh_slope(site),
        Function::Pow { exponent } => {
            let power = with("Pow", v, exponent - 1.0, site);
            with("Mul", &power, exponent, site)
        }
    };
    site.last("Mul", &[g, &slope], &[]);
}

/// An inner node of a value and a number.
fn with(op: &str, value: &str, number: f32, site: &mut Site<'_>) -> String {
    let number = site.builder.scalar(number);
    site.step(op, &[value, &number], &[])
}

fn less_than_one(value: &str, site: &mut Site<'_>) -> String {
    let one = site.builder.scalar(1.0);
    site.step("Sub", &[&one, value], &[])
}

fn elu_slope(alpha: f32, gamma: f32, site: &mut Site<'_>) -> String {
    let x = site.operand(0);
    let above = with("Greater", x, 0.0, site);
    let e = site.step("Exp", &[x], &[]);
    let below = with("Mul", &e, alpha * gamma, site);
    let gamma = site.builder.scalar(gamma);
    site.step("Where", &[&above, &gamma, &below], &[])
}

fn hard_swish_slope(site: &mut Site<'_>) -> String {
    let x = site.operand(0);
    let third = with("Div", x, 3.0, site);
    let inside = with("Add", &third, 0.5, site);
    let (not_low, high) = (with("Greater", x, -3.0, site), with("Less", x, 3.0, site));
    let (zero, one) = (site.builder.scalar(0.0), site.builder.scalar(1.0));
    let low = site.step("Where", &[&not_low, &inside, &zero], &[]);
    site.step("Where", &[&high, &low, &one], &[])
}

/// `(1 + erf(x / sqrt 2)) / 2`
fn probability(site: &mut Site<'_>) -> String {
    let x = site.operand(0);
    let scaled = with("Div", x, SQRT_2, site);
    let erf = site.step("Erf", &[&scaled], &[]);
    let sum = with("Add", &erf, 1.0, site);
    with("Mul", &sum, 0.5, site)
}

/// `sigmoid(2 t)`, which is `(1 + tanh t) / 2`.
fn approximate_probability(site: &mut Site<'_>) -> String {
    let x = site.operand(0);
    let square = site.step("Mul", &[x, x], &[]);
    let scaled = with("Mul", &square, CUBE, site);
    let sum = with("Add", &scaled, 1.0, site);
    let product = site.step("Mul", &[x, &sum], &[]);
    let twice = with("Mul", &product, 2.0 * SQRT_2_OVER_PI, site);
    site.step("Sigmoid", &[&twice], &[])
}

/// `s + x * s * (1 - s) * t'`, with s the approximate probability.
fn gelu_tanh_slope(site: &mut Site<'_>) -> String {
    let x = site.operand(0);
    let s = approximate_probability(site);
    let square = site.step("Mul", &[x, x], &[]);
    let scaled = with("Mul", &square, 3.0 * CUBE, site);
    let sum = with("Add", &scaled, 1.0, site);
    let inner = with("Mul", &sum, 2.0 * SQRT_2_OVER_PI, site);
    let rest = less_than_one(&s, site);
    let product = site.step("Mul", &[&s, &rest], &[]);
    let product = site.step("Mul", &[x, &product], &[]);
    let product = site.step("Mul", &[&product, &inner], &[]);
    site.step("Add", &[&s, &product], &[])
}
