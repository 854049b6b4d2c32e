//! Stochastic gradient descent with momentum, as PyTorch's SGD computes it.

use burn_backend::Backend;
use burn_backend::tensor::FloatTensor;
use serde::{Deserialize, Serialize};

/// Which parameters decay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Decay {
    /// Every parameter, as the papers' recipes have it.
    #[default]
    All,
    /// Weights of convolutions and products: no biases, scales, shifts.
    Weights,
}

/// SGD.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Optimiser {
    /// Default 0.9.
    pub momentum: f64,
    /// Nesterov's form. Default true.
    pub nesterov: bool,
    /// Added to the gradient times the parameter. Default 5e-4.
    pub weight_decay: f64,
    /// Which parameters decay. Default all.
    pub decay: Decay,
}

impl Default for Optimiser {
    fn default() -> Self {
        Self { momentum: 0.9, nesterov: true, weight_decay: 5e-4, decay: Decay::All }
    }
}

impl Optimiser {
    /// What is wrong with it, if anything.
    pub(super) fn fault(&self) -> Option<String> {
        if !(0.0..1.0).contains(&self.momentum) {
            return Some(format!("optimiser.momentum is 0 to below 1, not {}", self.momentum));
        }
        if !(0.0..1.0).contains(&self.weight_decay) {
            let decay = self.weight_decay;
            return Some(format!("optimiser.weight_decay is 0 to below 1, not {decay}"));
        }
        None
    }

    /// Decay of a parameter of this rank.
    pub(super) fn decay_of(&self, rank: usize) -> f64 {
        if self.decay == Decay::All || rank > 1 { self.weight_decay } else { 0.0 }
    }
}

/// A parameter with its momentum.
#[derive(Clone, Debug)]
pub(super) struct Parameter<B: Backend> {
    pub value: FloatTensor<B>,
    pub momentum: FloatTensor<B>,
    /// Weight decay.
    pub decay: f64,
}

impl<B: Backend> Parameter<B> {
    /// `g += decay w; m = mu m + g; w -= rate (g + mu m)`, or `rate m` without Nesterov.
    pub fn update(&mut self, gradient: FloatTensor<B>, rate: f64, optimiser: &Optimiser) {
        let scaled = |x: &FloatTensor<B>, by: f64| B::float_mul_scalar(x.clone(), by.into());
        let gradient = match self.decay {
            0.0 => gradient,
            decay => B::float_add(gradient, scaled(&self.value, decay)),
        };
        let mu = optimiser.momentum;
        self.momentum = B::float_add(scaled(&self.momentum, mu), gradient.clone());
        let direction = match optimiser.nesterov {
            true => B::float_add(gradient, scaled(&self.momentum, mu)),
            false => self.momentum.clone(),
        };
        let step = B::float_mul_scalar(direction, rate.into());
        self.value = B::float_sub(self.value.clone(), step);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::array::Array;
    use crate::device::Cpu;
    use crate::executor::{download, upload};

    fn tensor(x: f32) -> FloatTensor<Cpu> {
        upload::<Cpu>(&Array::new([1], vec![x]), &Default::default())
    }

    /// Two steps of torch.optim.SGD (lr 0.1, momentum 0.9, weight decay 0.01), by hand from w = 1
    /// with gradients 0.5 and -0.2.
    #[test]
    fn two_steps_are_pytorchs() {
        for (nesterov, wanted) in [(true, [0.9031, 0.898_074_11]), (false, [0.949, 0.922_151])] {
            let optimiser = Optimiser { nesterov, weight_decay: 0.01, ..Optimiser::default() };
            let mut parameter =
                Parameter::<Cpu> { value: tensor(1.0), momentum: tensor(0.0), decay: 0.01 };
            for (gradient, wanted) in [0.5, -0.2].into_iter().zip(wanted) {
                parameter.update(tensor(gradient), 0.1, &optimiser);
                let got = download::<Cpu>(parameter.value.clone()).expect("reads").data()[0];
                assert!((f64::from(got) - wanted).abs() < 1e-6, "{nesterov}: {got} {wanted}");
            }
        }
    }

    #[test]
    fn what_decays_is_a_choice() {
        let all = Optimiser::default();
        let weights = Optimiser { decay: Decay::Weights, ..all.clone() };
        assert_eq!((all.decay_of(1), all.decay_of(4)), (5e-4, 5e-4));
        assert_eq!((weights.decay_of(1), weights.decay_of(2)), (0.0, 5e-4));
    }
}
