//! The self-test: one built-in frame whose bits a bundle must reproduce before it judges anything.

use anyhow::{Context, Result, anyhow, bail};
use gradgate_engine::{Engine, Frame};

/// A frame that looks a little like a picture: a gradient for each channel, with noise.
/// The same for every model of the same input size.
pub fn frame([height, width, channels]: [usize; 3]) -> Vec<u8> {
    let mut state = 0x6772_6164_6761_7465_u64;
    let mut frame = Vec::with_capacity(height * width * channels);
    for y in 0..height {
        for x in 0..width {
            for channel in 0..channels {
                let gradient = match channel {
                    0 => x * 200 / width,
                    1 => y * 200 / height,
                    _ => (x + y) * 200 / (width + height),
                };
                frame.push((gradient + noise(&mut state) % 56) as u8);
            }
        }
    }
    frame
}

/// SplitMix64 (Steele, Lea, Flood 2014), upper bits.
fn noise(state: &mut u64) -> usize {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((z ^ (z >> 31)) >> 33) as usize
}

/// Logits, norms, alignments, then the score when there is a detector.
pub fn outcome(engine: &Engine<'_>, frame: &[u8]) -> Result<Vec<f32>> {
    let mut arena = vec![0.0; engine.arena_elements()];
    let (features, judgement) = engine.judge(Frame::U8(frame), &mut arena)?;
    let mut values = features.logits.to_vec();
    values.extend_from_slice(features.squared_norms);
    values.extend_from_slice(features.activation_norms);
    values.extend_from_slice(features.alignments);
    if let Some(judgement) = judgement {
        let judgement = judgement
            .map_err(|fault| anyhow!("the self-test frame cannot be judged ({fault:?})"))?;
        values.push(judgement.score);
    }
    if let Some(at) = values.iter().position(|value| !value.is_finite()) {
        bail!("value {at} of the self-test frame is {}: the model overflows f32", values[at]);
    }
    Ok(values)
}

/// Runs a bundle's own self-test; gives the number of values that agree, bit for bit.
pub fn check(engine: &Engine<'_>) -> Result<usize> {
    let (frame, expected) = engine
        .bundle()
        .self_test()
        .context("the bundle has no self-test: pack it again with this version")?;
    let found = outcome(engine, frame).context("self-test")?;
    if found.len() != expected.len() {
        bail!("self-test: {} values instead of {}: pack again", found.len(), expected.len());
    }
    let differs = |(found, expected): (&f32, &f32)| found.to_bits() != expected.to_bits();
    if let Some(at) = found.iter().zip(expected).position(differs) {
        bail!(
            "self-test: value {at} is {} instead of {}: this machine or build computes other bits, \
             do not trust its verdicts",
            found[at],
            expected[at]
        );
    }
    Ok(found.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_frame_is_fixed_and_lively() {
        let rgb = frame([32, 32, 3]);
        assert_eq!(rgb.len(), 3072);
        // Frozen: bundles of earlier versions hold copies, but `bench` compares across versions.
        assert_eq!(rgb, frame([32, 32, 3]));
        let spread = rgb.iter().max().expect("some") - rgb.iter().min().expect("some");
        assert!(spread > 200, "{spread}");
        assert_eq!(frame([1, 1, 1]).len(), 1);
    }
}
