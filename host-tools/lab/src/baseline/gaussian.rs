//! One Gaussian a class with a common covariance.

use serde::{Deserialize, Serialize};

use crate::baseline::Rows;
use crate::baseline::rows::squared_distance;
use crate::baseline::symmetric::Eigen;
use crate::error::LabError;

/// Means of classes and what whitens their common covariance.
///
/// As scikit-learn's `EmpiricalCovariance` of the class-centred features: divided by the number of
/// vectors, centred once more, inverted by the pseudo-inverse.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Gaussian {
    /// `[classes][d]`
    means: Rows,
    /// `W [rank][d]`: the precision is `W^T W`.
    whitening: Rows,
    /// Whitened means, `[classes][rank]`.
    whitened: Rows,
}

impl Gaussian {
    /// From features `[n][d]` and the class of each.
    ///
    /// # Errors
    /// When a class has no image, a class does not exist, or the features do not vary.
    pub fn fit(features: &Rows, classes: &[usize], count: usize) -> Result<Self, LabError> {
        let means = class_means(features, classes, count)?;
        let mut centred = Rows::empty(features.width());
        for (row, &class) in features.iter().zip(classes) {
            centred.push(row.iter().zip(means.row(class)).map(|(x, mean)| x - mean));
        }
        let whitening = Eigen::of(&covariance(&centred, &centred.mean())).whitening();
        if whitening.is_empty() {
            return Err(LabError::Data(format!(
                "{} images give features that do not vary within a class; give more images",
                features.len()
            )));
        }
        let mut whitened = Rows::empty(whitening.len());
        means.iter().for_each(|mean| whitened.push(whiten(&whitening, mean)));
        Ok(Self { means, whitening, whitened })
    }

    /// Numbers in a feature vector.
    pub fn width(&self) -> usize {
        self.means.width()
    }

    /// Directions that vary; the others count for nothing.
    pub fn rank(&self) -> usize {
        self.whitening.len()
    }

    /// Squared Mahalanobis distance to the closest class, and that class.
    pub fn closest(&self, feature: &[f64]) -> (f64, usize) {
        let whitened = self.whitened_of(feature);
        let distances = self.whitened.iter().map(|mean| squared_distance(&whitened, mean));
        let mut best = (f64::INFINITY, 0);
        for (class, distance) in distances.enumerate() {
            if distance < best.0 {
                best = (distance, class);
            }
        }
        best
    }

    /// Gradient of half the squared distance to a class, by the feature.
    pub fn gradient(&self, feature: &[f64], class: usize) -> Vec<f64> {
        let whitened = self.whitened_of(feature);
        let mut gradient = vec![0.0; self.width()];
        let centres = self.whitened.row(class);
        for ((x, mean), direction) in whitened.iter().zip(centres).zip(self.whitening.iter()) {
            gradient.iter_mut().zip(direction).for_each(|(g, w)| *g += w * (x - mean));
        }
        gradient
    }

    fn whitened_of(&self, feature: &[f64]) -> Vec<f64> {
        whiten(&self.whitening, feature).collect()
    }
}

fn whiten<'a>(whitening: &'a Rows, feature: &'a [f64]) -> impl Iterator<Item = f64> + 'a {
    whitening.iter().map(move |direction| crate::baseline::rows::dot(direction, feature))
}

/// Mean of the features of each class.
///
/// # Errors
/// When counts differ, a class has no image, or a class does not exist.
pub fn class_means(features: &Rows, classes: &[usize], count: usize) -> Result<Rows, LabError> {
    if features.len() != classes.len() {
        return Err(LabError::Data(format!(
            "{} normal images with {} classes; give one class for each image",
            features.len(),
            classes.len()
        )));
    }
    let mut of_class = vec![Rows::empty(features.width()); count];
    for (image, (row, &class)) in features.iter().zip(classes).enumerate() {
        let rows = of_class.get_mut(class).ok_or_else(|| {
            LabError::Data(format!(
                "normal image {image} is of class {class}, the model knows 0 to {}; leave images \
                 of unknown classes out of the normal ones",
                count.saturating_sub(1)
            ))
        })?;
        rows.push(row.iter().copied());
    }
    let mut means = Rows::empty(features.width());
    for (class, rows) in of_class.iter().enumerate() {
        if rows.is_empty() {
            return Err(LabError::Data(format!(
                "class {class} has no image among the {} normal ones, so it has no mean; give \
                 normal images of every class",
                features.len()
            )));
        }
        means.push(rows.mean());
    }
    Ok(means)
}

/// Mean product of deviations from `centre`, `[d][d]`.
pub fn covariance(features: &Rows, centre: &[f64]) -> Rows {
    let width = features.width();
    let mut sums = vec![0.0; width * width];
    let mut centred = vec![0.0; width];
    for row in features.iter() {
        centred.iter_mut().zip(row).zip(centre).for_each(|((c, x), mean)| *c = x - mean);
        for (i, x) in centred.iter().enumerate() {
            let target = &mut sums[i * width..][..=i];
            target.iter_mut().zip(&centred).for_each(|(sum, y)| *sum += x * y);
        }
    }
    let count = features.len().max(1) as f64;
    let lower = |i: usize, j: usize| sums[i.max(j) * width + i.min(j)] / count;
    Rows::new(width, (0..width * width).map(|at| lower(at / width, at % width)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(values: &[[f64; 2]]) -> Rows {
        Rows::new(2, values.concat())
    }

    #[test]
    fn distances_are_those_of_the_textbook() {
        // Two classes at (0, 0) and (10, 0), each with deviations of 1 and 2 along the axes.
        let square = [[1.0, 2.0], [1.0, -2.0], [-1.0, 2.0], [-1.0, -2.0]];
        let second = square.map(|[x, y]| [x + 10.0, y]);
        let features = rows(&[square, second].concat());
        let gaussian = Gaussian::fit(&features, &[0, 0, 0, 0, 1, 1, 1, 1], 2).unwrap();
        assert_eq!(gaussian.rank(), 2);
        for (feature, distance, class) in
            [([3.0, 4.0], 9.0 + 4.0, 0), ([9.0, 0.0], 1.0, 1), ([0.0, 0.0], 0.0, 0)]
        {
            let (found, closest) = gaussian.closest(&feature);
            assert!((found - distance).abs() < 1e-12 && closest == class, "{found} {closest}");
        }
        let gradient = gaussian.gradient(&[3.0, 4.0], 0);
        assert!((gradient[0] - 3.0).abs() < 1e-12 && (gradient[1] - 1.0).abs() < 1e-12);
    }

    #[test]
    fn a_direction_without_variance_counts_for_nothing() {
        let features = rows(&[[1.0, 5.0], [-1.0, 5.0]]);
        let gaussian = Gaussian::fit(&features, &[0, 0], 1).unwrap();
        assert_eq!((gaussian.rank(), gaussian.width()), (1, 2));
        assert!((gaussian.closest(&[2.0, 77.0]).0 - 4.0).abs() < 1e-12);
    }

    #[test]
    fn bad_classes_are_named() {
        let features = rows(&[[1.0, 0.0], [0.0, 1.0], [2.0, 2.0]]);
        for (classes, count, wanted) in [
            (vec![0, 0, 2], 3, "class 1 has no image"),
            (vec![0, 1, 2], 2, "normal image 2 is of class 2"),
            (vec![0, 1], 2, "3 normal images with 2 classes"),
            (vec![0, 1, 2], 3, "do not vary within a class"),
        ] {
            let error = Gaussian::fit(&features, &classes, count).unwrap_err().to_string();
            assert!(error.contains(wanted), "{error}");
        }
    }
}
