//! A map of heat over a picture, for people.

use crate::frames::Pixels;

/// Rows and columns of the picture for people, at least, unless the frame is larger.
const SIDE: usize = 256;

/// A frame in grey with heat over it, enlarged by a whole factor: RGB bytes and their shape. Heat
/// is scaled to its largest value and spread over the frame, cell by cell.
///
/// The error says what does not fit: samples and shape, or heat and grid.
pub fn overlay(
    pixels: &Pixels,
    [height, width, channels]: [usize; 3],
    heat: &[f32],
    [rows, columns]: [usize; 2],
) -> Result<(Pixels, [usize; 3]), String> {
    if pixels.len() != height * width * channels || pixels.is_empty() {
        let found = pixels.len();
        return Err(format!("{found} samples are no frame of {height} x {width} x {channels}"));
    }
    if heat.len() != rows * columns || heat.is_empty() {
        return Err(format!("{} values are no map of {rows} x {columns}", heat.len()));
    }
    let bytes = pixels.to_u8();
    let largest =
        heat.iter().copied().fold(0.0, |top: f32, value| if value > top { value } else { top });
    let factor = SIDE.div_ceil(height.max(width)).max(1);
    let shape = [height * factor, width * factor, 3];
    let mut out = Vec::with_capacity(shape.iter().product());
    for at in 0..shape[0] * shape[1] {
        let (row, column) = (at / shape[1], at % shape[1]);
        let pixel = (row / factor * width + column / factor) * channels;
        let sum: u32 = bytes[pixel..pixel + channels].iter().map(|v| u32::from(*v)).sum();
        let cell = row * rows / shape[0] * columns + column * columns / shape[1];
        let share = if largest > 0.0 { heat[cell] / largest } else { 0.0 };
        out.extend(blend(sum as f32 / channels as f32, share));
    }
    Ok((Pixels::U8(out), shape))
}

/// Grey where it is cold, then red, then yellow.
fn blend(grey: f32, share: f32) -> [u8; 3] {
    let share = if share > 0.0 { share.min(1.0) } else { 0.0 };
    let colour = [255.0, 255.0 * (2.0 * share - 1.0).max(0.0), 0.0];
    let weight = 0.75 * share.sqrt();
    // The picture stays darker than the heat.
    colour.map(|c| ((1.0 - weight) * grey * 0.8 + weight * c + 0.5) as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hottest_cell_is_the_reddest_and_cold_stays_grey() {
        let pixels = Pixels::U8(vec![100; 2 * 2 * 3]);
        let heat = [0.0, 1.0, 0.0, 4.0];
        let (Pixels::U8(out), shape) = overlay(&pixels, [2, 2, 3], &heat, [2, 2]).unwrap() else {
            panic!("bytes");
        };
        assert_eq!(shape, [256, 256, 3]);
        let at = |row: usize, column: usize| &out[(row * 256 + column) * 3..][..3];
        assert_eq!(at(0, 0), [80, 80, 80]);
        assert!(at(200, 200)[0] > at(0, 200)[0] && at(0, 200)[0] > 80, "{:?}", at(200, 200));
        assert_eq!(overlay(&pixels, [2, 2, 3], &[0.0; 4], [2, 2]).unwrap().0.len(), 256 * 256 * 3);
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let pixels = Pixels::U8(vec![0; 12]);
        let wrong = [
            overlay(&pixels, [2, 3, 3], &[0.0], [1, 1]),
            overlay(&pixels, [2, 2, 3], &[0.0; 3], [2, 2]),
            overlay(&pixels, [2, 2, 3], &[], [0, 2]),
        ];
        assert!(wrong.iter().all(Result::is_err));
    }
}
