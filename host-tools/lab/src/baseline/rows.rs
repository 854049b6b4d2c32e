//! Feature vectors of many images.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::error::LabError;

/// Vectors of one width, `[n][width]`, in f64.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Rows {
    width: usize,
    values: Vec<f64>,
}

impl Rows {
    /// No vector yet, of `width` numbers each.
    pub fn empty(width: usize) -> Self {
        Self { width, values: Vec::new() }
    }

    /// `values` cut into vectors.
    ///
    /// # Panics
    /// When the last one is incomplete: a programmer error.
    pub fn new(width: usize, values: Vec<f64>) -> Self {
        assert!(width > 0 && values.len().is_multiple_of(width), "{} by {width}", values.len());
        Self { width, values }
    }

    /// Columns of equal length side by side.
    ///
    /// # Panics
    /// When they differ in length: a programmer error.
    pub fn of_columns(columns: &[Vec<f64>]) -> Self {
        let mut rows = Self::empty(columns.len());
        let count = columns.first().map_or(0, Vec::len);
        (0..count).for_each(|row| rows.push(columns.iter().map(|column| column[row])));
        rows
    }

    /// Appends a vector.
    ///
    /// # Panics
    /// When its length differs.
    pub fn push(&mut self, row: impl IntoIterator<Item = f64>) {
        let before = self.values.len();
        self.values.extend(row);
        assert_eq!(self.values.len() - before, self.width, "a vector of another length");
    }

    /// Appends all vectors of another set.
    ///
    /// # Panics
    /// When they differ in length.
    pub fn append(&mut self, other: &Rows) {
        assert_eq!(self.width, other.width, "vectors of another length");
        self.values.extend_from_slice(&other.values);
    }

    /// The vectors of these numbers.
    ///
    /// # Panics
    /// When there is no such vector.
    pub fn select(&self, chosen: &[usize]) -> Rows {
        let values = chosen.iter().flat_map(|&at| self.row(at)).copied().collect();
        Rows { width: self.width, values }
    }

    /// Numbers in a vector.
    pub fn width(&self) -> usize {
        self.width
    }

    /// How many vectors.
    pub fn len(&self) -> usize {
        self.values.len() / self.width.max(1)
    }

    /// Whether there is no vector.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// One vector.
    ///
    /// # Panics
    /// When there is no such vector.
    pub fn row(&self, index: usize) -> &[f64] {
        &self.values[index * self.width..][..self.width]
    }

    /// All vectors in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &[f64]> {
        self.values.chunks_exact(self.width.max(1))
    }

    /// All numbers, vector after vector.
    pub fn values(&self) -> &[f64] {
        &self.values
    }

    /// A number for each vector, computed on all cores.
    pub fn map(&self, work: impl Fn(&[f64]) -> f64 + Sync + Send) -> Vec<f64> {
        self.values.par_chunks_exact(self.width.max(1)).map(work).collect()
    }

    /// Component by component, the mean.
    pub fn mean(&self) -> Vec<f64> {
        let mut mean = vec![0.0; self.width];
        for row in self.iter() {
            mean.iter_mut().zip(row).for_each(|(sum, x)| *sum += x);
        }
        let count = self.len().max(1) as f64;
        mean.iter_mut().for_each(|sum| *sum /= count);
        mean
    }

    /// Refuses vectors of another width than a fit was made on.
    ///
    /// # Errors
    /// When they differ; the message names both.
    pub fn check_width(&self, method: &str, fitted: usize) -> Result<(), LabError> {
        if self.width == fitted {
            return Ok(());
        }
        Err(LabError::Model(format!(
            "{method} was fitted on features of {fitted} numbers, this model has {}; fit it on \
             this model",
            self.width
        )))
    }
}

/// Sum of products.
pub fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

/// Squared Euclidean distance.
pub fn squared_distance(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| (x - y) * (x - y)).sum()
}
