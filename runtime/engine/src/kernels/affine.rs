//! Per-channel affine map with an activation.

use super::activation::Act;

/// `y = act(x * scale + shift)` for every pixel of `scale.len()` channels.
pub fn affine(
    x: &[f32],
    scale: &[f32],
    shift: Option<&[f32]>,
    act: &Act,
    y: &mut [f32],
) -> Option<()> {
    let channels = scale.len().max(1);
    for (y, x) in y.chunks_exact_mut(channels).zip(x.chunks_exact(channels)) {
        for (y, (x, scale)) in y.iter_mut().zip(x.iter().zip(scale)) {
            *y = x * scale;
        }
        if let Some(shift) = shift {
            y.iter_mut().zip(shift).for_each(|(y, shift)| *y += shift);
        }
        act.apply(y);
    }
    Some(())
}
