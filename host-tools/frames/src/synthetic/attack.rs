//! A short attack towards a random class: five steps along the sign of a slope.

use super::Level;
use crate::random::Random;

/// Steps of the attack.
const STEPS: u32 = 5;

/// What a network says of a frame.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Slopes {
    /// One a class.
    pub logits: Vec<f32>,
    /// Slope of `<logits, cotangent>` by each sample, in the order of the samples.
    pub slopes: Vec<f32>,
}

/// A network: given samples in 0..1 in the order of the frame, and a cotangent of the logits, which
/// is empty where the logits alone are asked for.
pub type Look<'a> = dyn FnMut(&[f32], &[f32]) -> Result<Slopes, String> + 'a;

/// Moves a frame so that a class drawn at random gains on the predicted one: by at most 2, 4, 8, 12
/// or 16 grey levels a sample (severity 1 to 5), in five steps of a third of that, rounded to whole
/// levels at the end. A network of one logit is moved across it.
///
/// # Errors
/// A severity out of range, what `look` says, or lengths that do not fit.
pub fn random_target(
    severity: u8,
    pixels: &mut [u8],
    seed: u64,
    look: &mut Look<'_>,
) -> Result<(), String> {
    let reach = Level::new(severity)?.of([2.0_f32, 4.0, 8.0, 12.0, 16.0]);
    let mut random = Random::of(&[seed, u64::from(b'T')]);
    let before: Vec<f32> = pixels.iter().map(|&v| f32::from(v)).collect();
    let mut moved = before.clone();
    let unit = |samples: &[f32]| samples.iter().map(|v| v / 255.0).collect::<Vec<f32>>();
    let cotangent = towards(&look(&unit(&moved), &[])?.logits, &mut random);
    for _ in 0..STEPS {
        let seen = look(&unit(&moved), &cotangent)?;
        if seen.slopes.len() != moved.len() {
            return Err("slopes and samples differ in number".to_owned());
        }
        for ((value, slope), from) in moved.iter_mut().zip(&seen.slopes).zip(&before) {
            let step = if *slope > 0.0 { reach / 3.0 } else { -reach / 3.0 };
            let step = if *slope == 0.0 { 0.0 } else { step };
            *value = (*value + step).clamp(from - reach, from + reach).clamp(0.0, 255.0);
        }
    }
    for (sample, value) in pixels.iter_mut().zip(moved) {
        *sample = (value + 0.5) as u8;
    }
    Ok(())
}

/// Up for a class other than the predicted one, down for that.
fn towards(logits: &[f32], random: &mut Random) -> Vec<f32> {
    let mut cotangent = vec![0.0; logits.len()];
    if let [logit] = logits {
        cotangent[0] = if *logit > 0.0 { -1.0 } else { 1.0 };
        return cotangent;
    }
    let best = (0..logits.len()).reduce(|a, b| if logits[b] > logits[a] { b } else { a });
    if let Some(best) = best {
        let other = random.below(logits.len() - 1);
        cotangent[if other < best { other } else { other + 1 }] = 1.0;
        cotangent[best] = -1.0;
    }
    cotangent
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three logits that are weighted sums of four samples.
    const WEIGHTS: [[f32; 4]; 3] =
        [[1.0, 0.0, -1.0, 0.0], [0.0, 1.0, 0.0, 0.0], [-1.0, 0.0, 0.0, 0.0]];

    fn linear(samples: &[f32], cotangent: &[f32]) -> Result<Slopes, String> {
        let sum = |row: &[f32; 4]| row.iter().zip(samples).map(|(w, s)| w * s).sum();
        let slope = |at: usize| WEIGHTS.iter().zip(cotangent).map(|(row, c)| row[at] * c).sum();
        let slopes = if cotangent.is_empty() { vec![] } else { (0..4).map(slope).collect() };
        Ok(Slopes { logits: WEIGHTS.iter().map(sum).collect(), slopes })
    }

    #[test]
    fn samples_move_to_the_border_of_the_reach() {
        let before = [200, 10, 255, 99];
        // The second class leads only by the first sample's sign: 10/255 against -55/255, -200/255.
        for (severity, reach) in [(1, 2), (3, 8), (5, 16)] {
            let mut classes = [false; 3];
            for seed in 0..20 {
                let mut pixels = before;
                random_target(severity, &mut pixels, seed, &mut linear).unwrap();
                let to_first = [200 + reach, 10 - reach.min(10), 255 - reach, 99];
                let to_third = [200 - reach, 10 - reach.min(10), 255, 99];
                classes[0] |= pixels == to_first;
                classes[2] |= pixels == to_third;
                assert!(pixels == to_first || pixels == to_third, "{pixels:?}");
            }
            assert_eq!(classes, [true, false, true]);
        }
    }

    #[test]
    fn what_the_network_says_goes_out() {
        let mut pixels = [1, 2, 3, 4];
        let error = random_target(3, &mut pixels, 0, &mut |_, _| Err("no".to_owned()));
        assert_eq!(error.unwrap_err(), "no");
        let short = |_: &[f32], _: &[f32]| Ok(Slopes { logits: vec![1.0, 2.0], slopes: vec![] });
        assert!(random_target(3, &mut pixels, 0, &mut { short }).is_err());
        assert!(random_target(0, &mut pixels, 0, &mut linear).is_err());
        assert_eq!(pixels, [1, 2, 3, 4]);
    }
}
