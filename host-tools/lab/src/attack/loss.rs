//! What attacks follow: directions and margins in the space of the logits, in f64.
//!
//! All of them depend on differences of logits only, so a constant added to every logit changes
//! nothing.

/// The largest element; the first of equal ones.
pub fn argmax(logits: &[f32]) -> usize {
    let better = |best: usize, at: usize| if logits[at] > logits[best] { at } else { best };
    (1..logits.len()).fold(0, better)
}

/// The class of place `rank`, from 1, among the smallest elements but that of `skip`; of equal
/// ones the first.
pub fn least_likely(logits: &[f32], rank: usize, skip: Option<usize>) -> usize {
    let mut order: Vec<usize> = (0..logits.len()).filter(|&at| Some(at) != skip).collect();
    // Stable: the first of equal ones stays first.
    order.sort_by(|&a, &b| logits[a].total_cmp(&logits[b]));
    order[rank.clamp(1, order.len()) - 1]
}

/// The largest element beside `class`; the first of equal ones.
pub fn runner_up(logits: &[f32], class: usize) -> usize {
    let first = usize::from(class == 0);
    let better = |best: usize, at: usize| {
        if at != class && logits[at] > logits[best] { at } else { best }
    };
    (first..logits.len()).fold(first, better)
}

/// Logit of `class` minus the largest other one: positive where `class` is predicted.
pub fn margin(logits: &[f32], class: usize) -> f64 {
    f64::from(logits[class]) - f64::from(logits[runner_up(logits, class)])
}

/// Direction in which the cross-entropy of `class` grows fastest.
///
/// It is the gradient `softmax(z) - onehot(class)`, divided by `1 - softmax(z)[class]`: the
/// softmax over the other classes, and -1 at `class`. Under a sign nothing changes, and where the
/// network is sure, f32 would leave of the plain gradient only rounding.
pub fn cross_entropy_direction(logits: &[f32], class: usize, direction: &mut [f32]) {
    let top = f64::from(logits[runner_up(logits, class)]);
    let weight = |at: usize| if at == class { 0.0 } else { (f64::from(logits[at]) - top).exp() };
    let total: f64 = (0..logits.len()).map(weight).sum();
    for (at, out) in direction.iter_mut().enumerate() {
        *out = if at == class { -1.0 } else { (weight(at) / total) as f32 };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_the_first_of_equal_ones() {
        let z = [1.0, 3.0, -2.0, 3.0, -2.0];
        assert_eq!(argmax(&z), 1);
        for (rank, skip, class) in [(1, None, 2), (1, Some(2), 4), (3, None, 0), (9, Some(1), 3)] {
            assert_eq!(least_likely(&z, rank, skip), class, "{rank} {skip:?}");
        }
        assert_eq!((runner_up(&z, 1), runner_up(&z, 0)), (3, 1));
        assert_eq!((margin(&z, 1), margin(&z, 0)), (0.0, -2.0));
    }

    /// Against the textbook's gradient of `ln sum exp z - z_y`, taken as a difference quotient.
    #[test]
    fn the_direction_is_the_gradient_of_cross_entropy() {
        let z = [0.3f32, -1.2, 2.0, 0.9];
        let loss = |z: &[f64]| z.iter().map(|x| x.exp()).sum::<f64>().ln() - z[2];
        let wide: Vec<f64> = z.iter().map(|&x| f64::from(x)).collect();
        let sure = wide[2].exp() / wide.iter().map(|x| x.exp()).sum::<f64>();
        let mut direction = [0.0; 4];
        cross_entropy_direction(&z, 2, &mut direction);
        for at in 0..4 {
            let (mut up, mut down) = (wide.clone(), wide.clone());
            up[at] += 1e-6;
            down[at] -= 1e-6;
            let slope = (loss(&up) - loss(&down)) / 2e-6 / (1.0 - sure);
            assert!((f64::from(direction[at]) - slope).abs() < 1e-6, "class {at}: {slope}");
        }
    }

    #[test]
    fn a_sure_network_and_a_shift_lose_nothing() {
        let mut directions = [[0.0; 3]; 2];
        cross_entropy_direction(&[500.0, 1.0, 0.0], 0, &mut directions[0]);
        cross_entropy_direction(&[-12.0, -511.0, -512.0], 0, &mut directions[1]);
        assert_eq!(directions[0], directions[1]);
        assert_eq!(directions[0][0], -1.0);
        assert!((directions[0][1] - 0.731_058_6).abs() < 1e-6);
    }
}
