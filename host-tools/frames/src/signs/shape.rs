//! Outlines: closed polygons in a plane, from which signs, pictograms and clutter are made.
//!
//! All pieces turn the same way, so that a layer may be a heap of overlapping ones. Axes run right
//! and down.

use crate::random::sine_cosine;

/// A point: right, down.
pub(crate) type Point = [f32; 2];

/// A closed polygon; its last corner joins its first.
pub(crate) type Outline = Vec<Point>;

/// Corners that make a full circle look round up to some hundred pixels.
const ROUND: usize = 48;
/// Corners of the round end of a stroke.
const CAP: usize = 5;

/// A regular polygon; the first corner lies `turns` from the right, towards down.
pub(crate) fn regular(corners: usize, radius: f32, turns: f32) -> Outline {
    let corner = |i: usize| {
        let (s, c) = sine_cosine(turns + i as f32 / corners as f32);
        [radius * c, radius * s]
    };
    (0..corners).map(corner).collect()
}

/// A disc around a point.
pub(crate) fn disc(centre: Point, radius: f32) -> Outline {
    moved(regular(ROUND, radius, 0.0), centre)
}

/// An ellipse around a point.
pub(crate) fn ellipse(centre: Point, [rx, ry]: [f32; 2]) -> Outline {
    moved(regular(24, 1.0, 0.0).into_iter().map(|[x, y]| [x * rx, y * ry]).collect(), centre)
}

/// A rectangle between two corners, left above and right below.
pub(crate) fn rectangle([left, top]: Point, [right, bottom]: Point) -> Outline {
    vec![[left, top], [right, top], [right, bottom], [left, bottom]]
}

/// The outline shifted.
pub(crate) fn moved(mut outline: Outline, [dx, dy]: Point) -> Outline {
    outline.iter_mut().for_each(|p| *p = [p[0] + dx, p[1] + dy]);
    outline
}

/// The outline scaled about a point.
pub(crate) fn scaled(mut outline: Outline, centre: Point, by: f32) -> Outline {
    let scale = |p: f32, c: f32| c + (p - c) * by;
    outline.iter_mut().for_each(|p| *p = [scale(p[0], centre[0]), scale(p[1], centre[1])]);
    outline
}

/// Left and right exchanged; the corners are reversed, so that it turns as before.
pub(crate) fn mirrored(outline: &[Point]) -> Outline {
    outline.iter().rev().map(|&[x, y]| [-x, y]).collect()
}

/// A line of some width with round ends and joints, as one piece a segment.
pub(crate) fn stroke(points: &[Point], width: f32) -> Vec<Outline> {
    points.windows(2).map(|ends| capsule(ends[0], ends[1], width / 2.0)).collect()
}

fn capsule(from: Point, to: Point, radius: f32) -> Outline {
    let (dx, dy) = (to[0] - from[0], to[1] - from[1]);
    let length = (dx * dx + dy * dy).sqrt();
    let [ux, uy] = if length > 0.0 { [dx / length, dy / length] } else { [1.0, 0.0] };
    // A half circle about each end, in the frame of the line.
    let end = |centre: Point, start: f32| {
        (0..=CAP).map(move |i| {
            let (s, c) = sine_cosine(start + 0.5 * i as f32 / CAP as f32);
            [centre[0] + radius * (c * ux - s * uy), centre[1] + radius * (c * uy + s * ux)]
        })
    };
    end(to, -0.25).chain(end(from, 0.25)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Signed area; positive when it turns from right to down.
    fn area(outline: &[Point]) -> f32 {
        let next = outline.iter().cycle().skip(1);
        outline.iter().zip(next).map(|(a, b)| a[0] * b[1] - a[1] * b[0]).sum::<f32>() / 2.0
    }

    #[test]
    fn every_piece_turns_the_same_way_and_has_its_area() {
        let triangle = regular(3, 2.0, 0.1);
        let cases = [
            (regular(4, 1.0, 0.3), 2.0),
            (disc([5.0, -3.0], 2.0), 12.53),
            (ellipse([1.0, 1.0], [1.0, 3.0]), 9.32),
            (rectangle([-1.0, -2.0], [3.0, 0.0]), 8.0),
            (mirrored(&triangle), 5.196),
            (scaled(triangle, [9.0, 9.0], 2.0), 20.785),
            (stroke(&[[0.0, 0.0], [-3.0, 4.0]], 2.0).remove(0), 10.0 + 2.94),
        ];
        for (outline, expected) in cases {
            let found = area(&outline);
            assert!((found - expected).abs() < 0.02 * expected, "{found} {expected}");
        }
    }
}
