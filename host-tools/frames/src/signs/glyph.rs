//! A tiny vector font: the digits and letters that signs carry, as lines of a pen.

use super::shape::{Outline, Point, stroke};

/// The lines of a character in a box one wide and one high; none for what the font lacks.
fn lines(character: char) -> &'static [&'static [Point]] {
    match character {
        '0' | 'O' => &[&[
            [0.5, 0.0],
            [0.8, 0.07],
            [1.0, 0.3],
            [1.0, 0.7],
            [0.8, 0.93],
            [0.5, 1.0],
            [0.2, 0.93],
            [0.0, 0.7],
            [0.0, 0.3],
            [0.2, 0.07],
            [0.5, 0.0],
        ]],
        '3' => &[
            &[[0.0, 0.14], [0.25, 0.0], [0.7, 0.0], [0.95, 0.14], [0.95, 0.33], [0.7, 0.47]],
            &[[0.35, 0.47], [0.7, 0.47], [1.0, 0.63], [1.0, 0.84], [0.72, 1.0]],
            &[[0.72, 1.0], [0.25, 1.0], [0.0, 0.86]],
        ],
        '5' => &[
            &[[0.95, 0.0], [0.1, 0.0], [0.05, 0.47], [0.3, 0.38], [0.7, 0.38]],
            &[[0.7, 0.38], [1.0, 0.55], [1.0, 0.82], [0.7, 1.0], [0.25, 1.0], [0.0, 0.87]],
        ],
        '8' => &[
            &[[0.3, 0.47], [0.07, 0.34], [0.07, 0.13], [0.3, 0.0], [0.7, 0.0], [0.93, 0.13]],
            &[[0.93, 0.13], [0.93, 0.34], [0.7, 0.47], [0.3, 0.47], [0.0, 0.63], [0.0, 0.85]],
            &[[0.0, 0.85], [0.28, 1.0], [0.72, 1.0], [1.0, 0.85], [1.0, 0.63], [0.7, 0.47]],
        ],
        'S' => &[
            &[[1.0, 0.14], [0.72, 0.0], [0.28, 0.0], [0.0, 0.14], [0.0, 0.34], [0.28, 0.47]],
            &[[0.28, 0.47], [0.72, 0.53], [1.0, 0.66], [1.0, 0.86], [0.72, 1.0]],
            &[[0.72, 1.0], [0.28, 1.0], [0.0, 0.86]],
        ],
        'T' => &[&[[0.0, 0.0], [1.0, 0.0]], &[[0.5, 0.0], [0.5, 1.0]]],
        'P' => &[
            &[[0.0, 1.0], [0.0, 0.0], [0.7, 0.0], [1.0, 0.14], [1.0, 0.41], [0.7, 0.55]],
            &[[0.7, 0.55], [0.0, 0.55]],
        ],
        _ => &[],
    }
}

/// A line of characters around the origin: each `width` by `height` between the middles of its
/// outermost lines, `gap` apart, drawn with a pen of width `pen`.
pub(crate) fn text(word: &str, [width, height]: [f32; 2], gap: f32, pen: f32) -> Vec<Outline> {
    let count = word.chars().count() as f32;
    let start = -(count * width + (count - 1.0) * gap) / 2.0;
    let mut outlines = Vec::new();
    for (i, character) in word.chars().enumerate() {
        let left = start + i as f32 * (width + gap);
        let place = |&[x, y]: &Point| [left + x * width, (y - 0.5) * height];
        for line in lines(character) {
            let points: Vec<Point> = line.iter().map(place).collect();
            outlines.extend(stroke(&points, pen));
        }
    }
    outlines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_stand_in_their_boxes() {
        for character in "0358STOP".chars() {
            let lines = lines(character);
            assert!(!lines.is_empty(), "{character}");
            let points = lines.iter().flat_map(|line| line.iter().flatten());
            assert!(points.clone().all(|v| (0.0..=1.0).contains(v)), "{character}");
        }
        assert!(text("?", [1.0, 1.0], 0.1, 0.1).is_empty());
    }
}
