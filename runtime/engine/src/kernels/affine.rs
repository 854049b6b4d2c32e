//! Per-channel affine map with an activation.

use super::activation::Act;
use super::operand::Operand;

/// `y = act(x * scale + shift)` for every pixel of `scale.len()` channels.
pub fn affine(
    x: Operand<'_>,
    scale: &[f32],
    shift: Option<&[f32]>,
    act: &Act,
    y: &mut [f32],
) -> Option<()> {
    let channels = scale.len().max(1);
    for (pixel, y) in y.chunks_exact_mut(channels).enumerate() {
        x.bring(pixel * channels, y)?;
        y.iter_mut().zip(scale).for_each(|(y, scale)| *y *= scale);
        if let Some(shift) = shift {
            y.iter_mut().zip(shift).for_each(|(y, shift)| *y += shift);
        }
        act.apply(y);
    }
    Some(())
}
