//! From linear light to the camera's bytes: illumination, blur, sensor noise, tone curve.

use super::raster::{Canvas, Light};
use super::shape::Point;
use crate::random::{Random, smooth};

/// The illumination of a whole scene.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Illumination {
    /// Gain of all channels.
    pub exposure: f32,
    /// Above 0 towards red, below towards blue.
    pub warmth: f32,
    /// Above 0 towards green, below towards purple.
    pub tint: f32,
    /// Change of brightness across the frame, right and down.
    pub gradient: Point,
    /// The edge of a shadow.
    pub shadow: Shadow,
    /// Share of grey fog over everything.
    pub fog: f32,
}

/// A half plane in shadow.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Shadow {
    /// Unit vector into the shadow.
    pub normal: Point,
    /// Where it begins along the normal, from the middle of the frame.
    pub offset: f32,
    /// Width of the edge.
    pub softness: f32,
    /// Share of the light that it takes; 0 for none.
    pub depth: f32,
}

/// Blur, in shares of the frame's side.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Blur {
    /// Half width of the lens's tent.
    pub defocus: f32,
    /// Way of the image during the exposure.
    pub motion: Point,
}

/// Noise of the sensor, of full scale in linear light.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Sensor {
    /// Variance at full light.
    pub shot: f32,
    /// Deviation in the dark.
    pub read: f32,
}

/// Lights the canvas.
pub(crate) fn illuminate(canvas: &mut Canvas, with: &Illumination) {
    let Illumination { exposure, warmth, tint, gradient, shadow, fog } = *with;
    let gains = [exposure * (1.0 + warmth), exposure * (1.0 + tint), exposure * (1.0 - warmth)];
    let (size, side) = (canvas.size, canvas.size as f32);
    for (i, pixel) in canvas.pixels.iter_mut().enumerate() {
        let x = ((i % size) as f32 + 0.5) / side - 0.5;
        let y = ((i / size) as f32 + 0.5) / side - 0.5;
        let along = x * shadow.normal[0] + y * shadow.normal[1] - shadow.offset;
        let shaded = smooth((along / shadow.softness + 0.5).clamp(0.0, 1.0)) * shadow.depth;
        let level = (1.0 + x * gradient[0] + y * gradient[1]) * (1.0 - shaded);
        for c in 0..3 {
            let lit = pixel[c] * level;
            pixel[c] = (lit + (0.45 - lit) * fog) * gains[c];
        }
    }
}

/// Blurs the canvas.
pub(crate) fn blur(canvas: &mut Canvas, with: &Blur) {
    let side = canvas.size as f32;
    let radius = with.defocus * side;
    if radius > 0.05 {
        let tent = tent(radius);
        spread(canvas, &tent, 1);
        spread(canvas, &tent, canvas.size);
    }
    let motion = with.motion.map(|way| way * side);
    let length = (motion[0] * motion[0] + motion[1] * motion[1]).sqrt();
    if length > 0.3 {
        smear(canvas, motion, length);
    }
}

/// Weights from the middle outwards that sum to 1 over both sides: a tent that reaches `radius`
/// beyond a pixel of its own, so that radius 0 changes nothing.
fn tent(radius: f32) -> Vec<f32> {
    let reach = radius + 1.0;
    let mut weights: Vec<f32> = (0..=reach as usize).map(|i| 1.0 - i as f32 / reach).collect();
    let sum = weights.iter().sum::<f32>() * 2.0 - weights[0];
    weights.iter_mut().for_each(|w| *w /= sum);
    weights
}

/// Convolves along rows (`step` 1) or columns (`step` the row length); borders repeat.
fn spread(canvas: &mut Canvas, weights: &[f32], step: usize) {
    let size = canvas.size;
    let line_step = if step == 1 { size } else { 1 };
    let mut line = vec![[0.0; 3]; size];
    for first in (0..size).map(|i| i * line_step) {
        for (i, light) in line.iter_mut().enumerate() {
            *light = canvas.pixels[first + i * step];
        }
        for i in 0..size {
            let mut sum: Light = line[i].map(|v| v * weights[0]);
            for (k, weight) in weights.iter().enumerate().skip(1) {
                let (a, b) = (line[i.saturating_sub(k)], line[(i + k).min(size - 1)]);
                for c in 0..3 {
                    sum[c] += (a[c] + b[c]) * weight;
                }
            }
            canvas.pixels[first + i * step] = sum;
        }
    }
}

/// The mean along the way of motion.
fn smear(canvas: &mut Canvas, motion: Point, length: f32) {
    let size = canvas.size;
    let taps = (length * 1.5) as usize + 2;
    let source = canvas.pixels.clone();
    let mut sums = vec![[0.0; 3]; size * size];
    for tap in 0..taps {
        let t = tap as f32 / (taps - 1) as f32 - 0.5;
        add_shifted(&source, &mut sums, size, motion.map(|way| way * t));
    }
    for (pixel, sum) in canvas.pixels.iter_mut().zip(&sums) {
        *pixel = sum.map(|v| v / taps as f32);
    }
}

/// Adds the image moved by a part of a pixel or more, bilinear; borders repeat.
fn add_shifted(source: &[Light], sums: &mut [Light], size: usize, [dx, dy]: Point) {
    let (left, top) = (dx.floor(), dy.floor());
    let (u, v) = (dx - left, dy - top);
    let weights = [(1.0 - u) * (1.0 - v), u * (1.0 - v), (1.0 - u) * v, u * v];
    let inside = |i: usize, by: f32| (i as i64 + by as i64).clamp(0, size as i64 - 1) as usize;
    for y in 0..size {
        let rows = [inside(y, top) * size, inside(y, top + 1.0) * size];
        for x in 0..size {
            let columns = [inside(x, left), inside(x, left + 1.0)];
            let sum = &mut sums[y * size + x];
            for (i, weight) in weights.iter().enumerate() {
                let light = &source[rows[i / 2] + columns[i % 2]];
                for c in 0..3 {
                    sum[c] += light[c] * weight;
                }
            }
        }
    }
}

/// Reads the sensor: noise, then the tone curve, a square root, as bytes.
pub(crate) fn expose(canvas: &Canvas, sensor: &Sensor, random: &mut Random) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(canvas.pixels.len() * 3);
    let floor = sensor.read * sensor.read;
    for pixel in &canvas.pixels {
        let normals = random.normals();
        for c in 0..3 {
            let light = pixel[c] + (pixel[c] * sensor.shot + floor).sqrt() * normals[c];
            let light = if light > 0.0 { light } else { 0.0 };
            bytes.push((light.sqrt() * 255.0 + 0.5) as u8);
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point_source(size: usize) -> Canvas {
        let mut canvas = Canvas::new(size);
        canvas.pixels[size / 2 * size + size / 2] = [1.0; 3];
        canvas
    }

    #[test]
    fn blur_keeps_the_light_and_spreads_it() {
        let cases = [(0.0, [0.0; 2]), (0.02, [0.0; 2]), (0.1, [0.0; 2]), (0.05, [0.1, -0.07])];
        let mut peak = 2.0;
        for (defocus, motion) in cases {
            let mut canvas = point_source(33);
            blur(&mut canvas, &Blur { defocus, motion });
            let sum: f32 = canvas.pixels.iter().map(|p| p[1]).sum();
            assert!((sum - 1.0).abs() < 1e-4, "{defocus} {motion:?}: {sum}");
            if motion == [0.0; 2] {
                let now = canvas.pixels[16 * 33 + 16][0];
                assert!(now < peak, "{defocus}: {now}");
                peak = now;
            }
        }
    }

    #[test]
    fn motion_smears_along_its_way_only() {
        let mut canvas = point_source(33);
        blur(&mut canvas, &Blur { defocus: 0.0, motion: [4.0 / 33.0, 0.0] });
        let lit: Vec<usize> = (0..33 * 33).filter(|&i| canvas.pixels[i][0] > 1e-6).collect();
        assert_eq!(lit, (14..=18).map(|x| 16 * 33 + x).collect::<Vec<_>>());
    }

    #[test]
    fn the_tone_curve_is_a_square_root() {
        let mut canvas = Canvas::new(2);
        canvas.pixels = vec![[0.0; 3], [0.25; 3], [1.0; 3], [4.0; 3]];
        let quiet = Sensor { shot: 0.0, read: 0.0 };
        let bytes = expose(&canvas, &quiet, &mut Random::of(&[1]));
        assert_eq!(bytes, [0, 0, 0, 128, 128, 128, 255, 255, 255, 255, 255, 255]);
    }
}
