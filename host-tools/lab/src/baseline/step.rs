//! The step of an image against a gradient's sign, which ODIN and Mahalanobis share.

use crate::array::Array;
use crate::baseline::observed::check_finite;
use crate::error::LabError;

/// Signs of the gradient of some images: +1 also where the gradient is 0, as in the sources.
///
/// They do not depend on the length of the step, so that one backward pass serves a whole grid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Direction(Vec<bool>);

impl Direction {
    /// From a gradient `[n, C, H, W]`.
    ///
    /// # Errors
    /// When it is not finite.
    pub fn of(gradient: &Array) -> Result<Self, LabError> {
        check_finite(gradient, "gradient of the image", 0)?;
        Ok(Self(gradient.data().iter().map(|g| *g >= 0.0).collect()))
    }

    /// `images - epsilon * sign(gradient)`, not clipped.
    ///
    /// # Errors
    /// When epsilon is negative or not finite.
    pub fn step(&self, images: &Array, epsilon: f64) -> Result<Array, LabError> {
        if !(epsilon.is_finite() && epsilon >= 0.0) {
            return Err(LabError::Options(format!(
                "a step of {epsilon}; it is 0 or above, in units of pixels 0 to 1"
            )));
        }
        let mut stepped = images.clone();
        for (x, positive) in stepped.data_mut().iter_mut().zip(&self.0) {
            let step = if *positive { -epsilon } else { epsilon };
            *x = (f64::from(*x) + step) as f32;
        }
        Ok(stepped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(values: [f32; 3]) -> Array {
        Array::new([1, 1, 1, 3], values.to_vec())
    }

    #[test]
    fn a_step_goes_against_the_sign_and_zero_counts_as_positive() {
        let direction = Direction::of(&row([2.0, -3.0, 0.0])).unwrap();
        let images = row([0.5; 3]);
        assert_eq!(direction.step(&images, 0.25).unwrap().data(), [0.25, 0.75, 0.25]);
        for epsilon in [-0.1, f64::NAN, f64::INFINITY] {
            assert!(direction.step(&images, epsilon).is_err(), "{epsilon}");
        }
        let error = Direction::of(&row([2.0, f32::NAN, 0.0])).unwrap_err().to_string();
        assert!(error.contains("image 0"), "{error}");
    }
}
