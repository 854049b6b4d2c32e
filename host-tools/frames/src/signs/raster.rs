//! How much of each pixel an outline covers, exactly, and painting by it.
//!
//! Every edge adds its signed height to the pixel it crosses, split by how much of the pixel lies
//! to its right; sums along a row then are coverages (as font-rs and stb_truetype do it). The cost
//! follows edges and pixels, not samples.

use super::shape::Point;

/// Linear light: red, green, blue.
pub(crate) type Light = [f32; 3];

/// A square image in linear light.
pub(crate) struct Canvas {
    pub size: usize,
    /// Rows of pixels.
    pub pixels: Vec<Light>,
    /// Signed heights, a row longer by the column that lies right of the image.
    heights: Vec<f32>,
    /// First and last row that an edge has touched.
    rows: Option<[usize; 2]>,
}

impl Canvas {
    /// A black image.
    pub fn new(size: usize) -> Self {
        let heights = vec![0.0; size * (size + 2)];
        Canvas { size, pixels: vec![[0.0; 3]; size * size], heights, rows: None }
    }

    /// Adds a closed outline, in pixels, to what the next [`Canvas::fill`] covers.
    pub fn outline(&mut self, mut points: impl Iterator<Item = Point>) {
        let Some(first) = points.next() else { return };
        let mut from = first;
        for to in points {
            self.edge(from, to);
            from = to;
        }
        self.edge(from, first);
    }

    /// Paints what the outlines cover, each pixel with its own light, and forgets them.
    pub fn fill(&mut self, mut light: impl FnMut(usize, usize) -> Light) {
        let Some([top, bottom]) = self.rows.take() else { return };
        for y in top..=bottom {
            let heights = &mut self.heights[y * (self.size + 2)..][..self.size + 2];
            let row = &mut self.pixels[y * self.size..][..self.size];
            let mut sum = 0.0;
            for (x, (pixel, height)) in row.iter_mut().zip(heights.iter()).enumerate() {
                sum += height;
                let covered = if sum < 0.0 { -sum } else { sum };
                if covered > 1e-3 {
                    let covered = if covered > 1.0 { 1.0 } else { covered };
                    let paint = light(x, y);
                    for c in 0..3 {
                        pixel[c] += (paint[c] - pixel[c]) * covered;
                    }
                }
            }
            heights.fill(0.0);
        }
    }

    fn edge(&mut self, from: Point, to: Point) {
        if from[1] == to[1] {
            return;
        }
        let (sign, upper, lower) = if from[1] < to[1] { (1.0, from, to) } else { (-1.0, to, from) };
        let slope = (lower[0] - upper[0]) / (lower[1] - upper[1]);
        let size = self.size as f32;
        let (top, bottom) = (clamped(upper[1], size), clamped(lower[1], size));
        if top >= bottom {
            return;
        }
        let at = |y: f32| upper[0] + (y - upper[1]) * slope;
        let (first, last) = (top as usize, (bottom as usize).min(self.size - 1));
        let [seen_first, seen_last] = self.rows.unwrap_or([first, last]);
        self.rows = Some([first.min(seen_first), last.max(seen_last)]);
        for row in first..=last {
            let y0 = if row as f32 > top { row as f32 } else { top };
            let end = (row + 1) as f32;
            let y1 = if end < bottom { end } else { bottom };
            if y1 > y0 {
                self.piece(row, sign * (y1 - y0), at(y0), at(y1));
            }
        }
    }

    /// One edge within one row, from column `x0` to `x1`.
    fn piece(&mut self, row: usize, height: f32, x0: f32, x1: f32) {
        let size = self.size as f32;
        let (left, right) = if x0 < x1 { (x0, x1) } else { (x1, x0) };
        if left < 0.0 || right > size {
            let (low, high) = (clamped(left, size), clamped(right, size));
            let width = right - left;
            let share = |part: f32| if width > 0.0 { height * (part / width) } else { 0.0 };
            // What lies left of the image covers whole rows, what lies right of it nothing.
            if left < 0.0 {
                let outside = if right <= 0.0 { height } else { share(-left) };
                self.heights[row * (self.size + 2)] += outside;
            }
            if high > low {
                self.inside(row, share(high - low), low, high);
            }
            return;
        }
        self.inside(row, height, left, right);
    }

    fn inside(&mut self, row: usize, height: f32, left: f32, right: f32) {
        let heights = &mut self.heights[row * (self.size + 2)..][..self.size + 2];
        let (first, last) = (left as usize, right as usize);
        if first == last {
            // The mean distance to the pixel's left side stays uncovered.
            let uncovered = (left + right) * 0.5 - first as f32;
            heights[first] += height * (1.0 - uncovered);
            heights[first + 1] += height * uncovered;
            return;
        }
        let per_column = height / (right - left);
        for column in first..=last {
            let x0 = if column == first { left } else { column as f32 };
            let x1 = if column == last { right } else { (column + 1) as f32 };
            let part = per_column * (x1 - x0);
            let uncovered = (x0 + x1) * 0.5 - column as f32;
            heights[column] += part * (1.0 - uncovered);
            heights[column + 1] += part * uncovered;
        }
    }
}

fn clamped(v: f32, high: f32) -> f32 {
    v.clamp(0.0, high)
}

#[cfg(test)]
mod tests {
    use super::super::shape::{disc, moved, rectangle, regular};
    use super::*;
    use crate::random::Random;

    fn coverage(size: usize, outline: &[Point]) -> Vec<f32> {
        let mut canvas = Canvas::new(size);
        canvas.outline(outline.iter().copied());
        canvas.fill(|_, _| [1.0; 3]);
        assert!(canvas.heights.iter().all(|&h| h == 0.0));
        canvas.pixels.iter().map(|p| p[0]).collect()
    }

    #[test]
    fn rectangles_cover_what_they_overlap() {
        let outline = rectangle([-5.0, 0.5], [1.25, 2.0]);
        let expected = [0.5, 0.125, 0.0, 1.0, 0.25, 0.0, 0.0, 0.0, 0.0];
        assert_eq!(coverage(3, &outline), expected);
        let reversed: Vec<Point> = outline.into_iter().rev().collect();
        assert_eq!(coverage(3, &reversed), expected);
        assert_eq!(coverage(2, &rectangle([-9.0, -9.0], [9.0, 9.0])), [1.0; 4]);
        assert_eq!(coverage(2, &rectangle([2.0, 0.0], [9.0, 9.0])), [0.0; 4]);
    }

    /// Against counting 64 x 64 points a pixel.
    #[test]
    fn convex_outlines_agree_with_counted_points() {
        let mut random = Random::of(&[11]);
        for case in 0..40 {
            let centre = [random.between(-1.0, 7.0), random.between(-1.0, 7.0)];
            let corners = 3 + random.below(5);
            let radius = random.between(0.3, 4.0);
            let outline = moved(regular(corners, radius, random.unit()), centre);
            for (i, &covered) in coverage(6, &outline).iter().enumerate() {
                let counted = counted(&outline, [(i % 6) as f32, (i / 6) as f32]);
                assert!((covered - counted).abs() < 0.03, "{case}, {i}: {covered} {counted}");
            }
        }
        let all: f32 = coverage(16, &disc([8.0, 8.0], 7.0)).iter().sum();
        assert!((all - 153.9).abs() < 0.6, "{all}");
    }

    fn counted(outline: &[Point], [x, y]: Point) -> f32 {
        let side = 64;
        let inside = |p: Point| {
            let next = outline.iter().cycle().skip(1);
            let right_of = |(a, b): (&Point, &Point)| {
                (b[0] - a[0]) * (p[1] - a[1]) - (b[1] - a[1]) * (p[0] - a[0]) >= 0.0
            };
            outline.iter().zip(next).all(right_of)
        };
        let at = |i: usize| (i as f32 + 0.5) / side as f32;
        let points = (0..side * side).filter(|i| inside([x + at(i % side), y + at(i / side)]));
        points.count() as f32 / (side * side) as f32
    }
}
