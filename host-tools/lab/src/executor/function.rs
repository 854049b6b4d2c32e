//! Functions of one variable.

use burn_backend::Backend;
use burn_backend::tensor::FloatTensor;
use gradgate_graph::ops::Function;

use super::elementwise::clip;

/// `x` -> as x.
pub fn evaluate<B: Backend>(function: Function, x: FloatTensor<B>) -> FloatTensor<B> {
    match function {
        Function::Exp => B::float_exp(x),
        Function::Log => B::float_log(x),
        Function::Sqrt => B::float_sqrt(x),
        Function::Tanh => B::float_tanh(x),
        Function::Erf => B::float_erf(x),
        Function::Elu { alpha, gamma } => elu::<B>(alpha, gamma, x),
        Function::Softplus => softplus::<B>(x),
        Function::HardSigmoid { alpha, beta } => clip::<B>(0.0, 1.0, affine::<B>(x, alpha, beta)),
        Function::HardSwish => {
            let gate = clip::<B>(0.0, 6.0, B::float_add_scalar(x.clone(), 3f32.into()));
            B::float_mul_scalar(B::float_mul(x, gate), (1f32 / 6.0).into())
        }
        Function::Gelu => {
            let inner = B::float_mul_scalar(x.clone(), std::f32::consts::FRAC_1_SQRT_2.into());
            half_gated::<B>(x, B::float_erf(inner))
        }
        Function::GeluTanh => {
            let cube = B::float_mul(B::float_mul(x.clone(), x.clone()), x.clone());
            let inner = B::float_add(x.clone(), B::float_mul_scalar(cube, 0.044_715f32.into()));
            // sqrt(2 / pi)
            let inner = B::float_mul_scalar(inner, 0.797_884_6f32.into());
            half_gated::<B>(x, B::float_tanh(inner))
        }
        Function::Pow { exponent } => B::float_powf_scalar(x, exponent.into()),
    }
}

fn affine<B: Backend>(x: FloatTensor<B>, factor: f32, offset: f32) -> FloatTensor<B> {
    B::float_add_scalar(B::float_mul_scalar(x, factor.into()), offset.into())
}

/// `x / 2 * (1 + gate)`
fn half_gated<B: Backend>(x: FloatTensor<B>, gate: FloatTensor<B>) -> FloatTensor<B> {
    let half = B::float_mul_scalar(x, 0.5f32.into());
    B::float_mul(half, B::float_add_scalar(gate, 1f32.into()))
}

/// The exponential never sees a positive number, so that it cannot overflow.
fn elu<B: Backend>(alpha: f32, gamma: f32, x: FloatTensor<B>) -> FloatTensor<B> {
    let below = B::float_exp(clip::<B>(f32::NEG_INFINITY, 0.0, x.clone()));
    let below = affine::<B>(below, gamma * alpha, -gamma * alpha);
    B::float_add(B::float_mul_scalar(B::relu(x), gamma.into()), below)
}

/// `max(x, 0) + ln(1 + exp(-|x|))`
fn softplus<B: Backend>(x: FloatTensor<B>) -> FloatTensor<B> {
    let tail = B::float_log1p(B::float_exp(B::float_neg(B::float_abs(x.clone()))));
    B::float_add(B::relu(x), tail)
}
