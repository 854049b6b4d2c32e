//! Spherical k-means: prototypes of directions.

use crate::random::Random;

/// Rounds at most; directions settle within a few.
const ROUNDS: usize = 50;

fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
}

/// The vector at length 1; `None` without a direction.
pub fn unit(vector: &[f32]) -> Option<Vec<f32>> {
    let length = dot(vector, vector).sqrt();
    let scaled = || vector.iter().map(|value| (f64::from(*value) / length) as f32).collect();
    (length > 1e-15 && length.is_finite()).then(scaled)
}

/// `count` unit prototypes of unit vectors, repeated where there are fewer vectors; empty without
/// any.
pub fn prototypes(vectors: &[Vec<f32>], count: usize, random: &mut Random) -> Vec<Vec<f32>> {
    let mut centers = spread_start(vectors, count, random);
    let mut assigned = vec![usize::MAX; vectors.len()];
    for _ in 0..ROUNDS {
        let nearest: Vec<usize> = vectors.iter().map(|vector| nearest(&centers, vector)).collect();
        if nearest == assigned {
            break;
        }
        assigned = nearest;
        for (index, center) in centers.iter_mut().enumerate() {
            let mut sum = vec![0.0f64; center.len()];
            for (vector, _) in vectors.iter().zip(&assigned).filter(|(_, at)| **at == index) {
                sum.iter_mut().zip(vector).for_each(|(sum, value)| *sum += f64::from(*value));
            }
            let mean: Vec<f32> = sum.into_iter().map(|value| value as f32).collect();
            // An empty cluster keeps its old place.
            if let Some(mean) = unit(&mean) {
                *center = mean;
            }
        }
    }
    if centers.is_empty() {
        return centers;
    }
    let found = centers.len();
    (0..count).map(|index| centers[index % found].clone()).collect()
}

fn nearest(centers: &[Vec<f32>], vector: &[f32]) -> usize {
    let mut best = (0, f64::NEG_INFINITY);
    for (index, center) in centers.iter().enumerate() {
        let cosine = dot(center, vector);
        if cosine > best.1 {
            best = (index, cosine);
        }
    }
    best.0
}

/// A random vector first, then always one drawn with probability proportional to its distance
/// (k-means++).
fn spread_start(vectors: &[Vec<f32>], count: usize, random: &mut Random) -> Vec<Vec<f32>> {
    let mut centers: Vec<Vec<f32>> = vec![];
    while centers.len() < count.min(vectors.len()) {
        let distances: Vec<f64> = vectors
            .iter()
            .map(|vector| match centers.as_slice() {
                [] => 1.0,
                centers => (1.0 - dot(&centers[nearest(centers, vector)], vector)).max(0.0),
            })
            .collect();
        let mut left = random.uniform() * distances.iter().sum::<f64>();
        let drawn = distances.iter().position(|distance| {
            left -= distance;
            left < 0.0
        });
        match drawn {
            Some(index) => centers.push(vectors[index].clone()),
            // All vectors lie on the centers there are.
            None => break,
        }
    }
    if centers.is_empty() { vectors.first().cloned().into_iter().collect() } else { centers }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn planted_directions_are_found() {
        let mut random = Random::new(4, "kmeans");
        let mut vectors = vec![];
        for index in 0..300 {
            let mut vector = vec![0.0f32; 6];
            vector[index % 3] = 5.0;
            vector.iter_mut().for_each(|value| *value += 0.3 * random.normal() as f32);
            vectors.push(unit(&vector).unwrap());
        }
        let found = prototypes(&vectors, 3, &mut random);
        for axis in 0..3 {
            assert!(found.iter().any(|center| center[axis] > 0.98), "{found:?}");
        }
    }

    #[test]
    fn few_vectors_are_repeated() {
        let mut random = Random::new(4, "kmeans");
        let vectors = vec![vec![1.0, 0.0], vec![0.0, 1.0]];
        assert_eq!(prototypes(&vectors, 5, &mut random).len(), 5);
        assert_eq!(prototypes(&vec![vectors[0].clone(); 9], 4, &mut random).len(), 4);
        assert!(prototypes(&[], 5, &mut random).is_empty());
        assert!(unit(&[0.0, 0.0]).is_none());
    }
}
