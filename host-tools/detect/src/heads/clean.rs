//! The heads fitted on normal frames only: Gaussian, prototypes, energy, and their composite.

use gradgate_engine::detector::{energy, predicted};

use super::kmeans::{prototypes, unit};
use super::{Part, Scaling};
use crate::calibrate::level_table;
use crate::file::Model;
use crate::file::arrays::{
    CompositeArrays, EnergyNumbers, GaussianArrays, HeadArrays, PrototypeArrays, TableArrays,
};
use crate::linear::{cholesky, invert_lower, shrunk_covariance};
use crate::random::Random;
use crate::{DetectError, FitOptions, Inputs};

/// Smallest scale of the energy's sides, in logit units.
const SMALLEST_ENERGY_SCALE: f64 = 1e-3;

/// Class-conditional Gaussian with one tied, shrunk covariance, on standardised rows.
///
/// # Errors
/// A covariance that stays indefinite (all training frames equal).
pub fn gaussian(
    train: &Part<'_>,
    rows: &[f32],
    columns: usize,
    ridge: f64,
) -> Result<GaussianArrays, DetectError> {
    let groups = train.set.shape().groups() as usize;
    let class: Vec<usize> =
        train.frames.iter().map(|frame| predicted(train.logits(*frame)) as usize).collect();
    let mut sums = vec![0.0f64; groups * columns];
    let mut counts = vec![0.0f64; groups];
    for (row, class) in rows.chunks_exact(columns).zip(&class) {
        counts[*class] += 1.0;
        let sum = &mut sums[class * columns..(class + 1) * columns];
        sum.iter_mut().zip(row).for_each(|(sum, value)| *sum += f64::from(*value));
    }
    // Standardised rows have mean 0, so dividing by count + ridge shrinks towards the common mean.
    for (sum, count) in sums.chunks_exact_mut(columns).zip(&counts) {
        sum.iter_mut().for_each(|value| *value /= count + ridge);
    }
    let means: Vec<f32> = sums.iter().map(|value| *value as f32).collect();
    let mut residuals = Vec::with_capacity(rows.len());
    for (row, class) in rows.chunks_exact(columns).zip(&class) {
        let mean = &means[class * columns..(class + 1) * columns];
        residuals.extend(row.iter().zip(mean).map(|(value, mean)| f64::from(value - mean)));
    }
    let (covariance, _) = shrunk_covariance(&residuals, columns);
    let factor = cholesky(&covariance, columns).ok_or_else(|| {
        DetectError::Data(
            "the training frames are all alike, no covariance can be fitted; give more frames"
                .into(),
        )
    })?;
    let whitening = invert_lower(&factor, columns).into_iter().map(|value| value as f32).collect();
    Ok(GaussianArrays { means, whitening })
}

/// Prototypes of the penultimate vector for each predicted class; a class without training frames
/// gets those of all frames.
///
/// # Errors
/// No penultimate vector, or none with a direction.
pub fn prototype_arrays(
    train: &Part<'_>,
    options: &FitOptions,
) -> Result<PrototypeArrays, DetectError> {
    let length = train.set.penultimate_length;
    let groups = train.set.shape().groups() as usize;
    let mut by_class = vec![vec![]; groups];
    let mut all = vec![];
    for frame in train.frames {
        let vector = &train.set.penultimate[frame * length..(frame + 1) * length];
        if let Some(vector) = unit(vector) {
            by_class[predicted(train.logits(*frame)) as usize].push(vector.clone());
            all.push(vector);
        }
    }
    if all.is_empty() {
        return Err(DetectError::Options(
            "the prototypes head needs the network's penultimate vector, and these features hold \
             none; choose another head"
                .into(),
        ));
    }
    let mut random = Random::new(options.seed, "prototypes");
    let per_class = options.prototypes as usize;
    let common = prototypes(&all, per_class, &mut random);
    let mut vectors = vec![];
    for members in &by_class {
        let own = prototypes(members, per_class, &mut random);
        let chosen = if own.is_empty() { &common } else { &own };
        vectors.extend(chosen.iter().flatten());
    }
    Ok(PrototypeArrays { per_class: options.prototypes, vectors })
}

/// Median energy, and each side's mean distance from it.
pub fn energy_numbers(train: &Part<'_>) -> EnergyNumbers {
    let mut energies: Vec<f64> =
        train.frames.iter().map(|frame| f64::from(energy(train.logits(*frame)))).collect();
    energies.sort_by(f64::total_cmp);
    let median = energies[energies.len() / 2];
    let scale = |side: &dyn Fn(f64) -> f64| {
        let distances: Vec<f64> =
            energies.iter().map(|energy| side(*energy)).filter(|value| *value > 0.0).collect();
        let mean = distances.iter().sum::<f64>() / distances.len().max(1) as f64;
        let scale = if mean > SMALLEST_ENERGY_SCALE { mean } else { SMALLEST_ENERGY_SCALE };
        (1.0 / scale) as f32
    };
    EnergyNumbers {
        median: median as f32,
        below: scale(&|energy| median - energy),
        above: scale(&|energy| energy - median),
    }
}

/// Fits every component on the training part and its quantile table on the early-stop part.
///
/// # Errors
/// As the components.
pub fn composite(
    train: &Part<'_>,
    early: &Part<'_>,
    inputs: Inputs,
    scaling: &Scaling,
    rows: &[f32],
    options: &FitOptions,
) -> Result<HeadArrays, DetectError> {
    let shape = train.set.shape();
    let table = |head: HeadArrays| -> Result<(HeadArrays, TableArrays), DetectError> {
        let model = scaling.model(inputs, head);
        let table = level_table(&early.scores(&model, shape)?);
        Ok((model.head, table))
    };
    let mut arrays = CompositeArrays::default();
    let fitted = gaussian(train, rows, scaling.mean.len(), options.ridge)?;
    if let (HeadArrays::Gaussian(part), levels) = table(HeadArrays::Gaussian(fitted))? {
        arrays.gaussian = Some((part, levels));
    }
    if shape.penultimate > 0 {
        let fitted = prototype_arrays(train, options)?;
        if let (HeadArrays::Prototypes(part), levels) = table(HeadArrays::Prototypes(fitted))? {
            arrays.prototypes = Some((part, levels));
        }
    }
    let numbers = energy_numbers(train);
    arrays.energy = Some((numbers, table(HeadArrays::Energy(numbers))?.1));
    arrays.confidence = Some(confidence_table(early, scaling, inputs)?);
    Ok(HeadArrays::Composite(Box::new(arrays)))
}

/// Levels of the confidence component, measured with a composite that maps doubt to itself.
fn confidence_table(
    early: &Part<'_>,
    scaling: &Scaling,
    inputs: Inputs,
) -> Result<TableArrays, DetectError> {
    // Doubt lies between 0 and ln(classes); interpolation on this one segment returns it unchanged.
    const WIDE: f32 = 1024.0;
    let identity = TableArrays { scores: vec![0.0, WIDE], levels: vec![0.0, WIDE] };
    let head = CompositeArrays { confidence: Some(identity), ..CompositeArrays::default() };
    let model: Model = scaling.model(inputs, HeadArrays::Composite(Box::new(head)));
    Ok(level_table(&early.scores(&model, early.set.shape())?))
}
