//! Faults before the sensor: focus, dirt, fog, something stuck on the lens.

use super::{Severity, Shot};
use crate::random::{Noise, Random, smooth};

/// Passes of a box filter: two make a tent, which looks like a lens.
const PASSES: usize = 2;

pub(super) fn defocus(shot: &mut Shot, severity: Severity, _: &mut Random) {
    let side = shot.width.min(shot.height) as f32;
    let radius = severity.of([0.02, 0.035, 0.055, 0.085, 0.13]) * side;
    let mut samples: Vec<f32> = shot.pixels.iter().map(|&v| f32::from(v)).collect();
    let (width, channels) = (shot.width, shot.channels);
    for _ in 0..PASSES {
        for row in samples.chunks_exact_mut(width * channels) {
            (0..channels).for_each(|c| average(row, c, channels, radius));
        }
        let (step, count) = (width * channels, samples.len());
        (0..step.min(count)).for_each(|first| average(&mut samples, first, step, radius));
    }
    let mut blurred = samples.iter();
    shot.map(|_, _, _, value| blurred.next().copied().unwrap_or(value));
}

/// Each of the samples `first`, `first + step`, .. becomes the mean over `radius` to both sides,
/// parts of samples included; borders repeat.
fn average(samples: &mut [f32], first: usize, step: usize, radius: f32) {
    let line: Vec<f32> = samples.iter().skip(first).step_by(step).copied().collect();
    let whole = radius as usize;
    let rest = radius - whole as f32;
    let last = line.len() - 1;
    for i in 0..line.len() {
        let mut sum = line[i];
        for k in 1..=whole + 1 {
            let weight = if k <= whole { 1.0 } else { rest };
            sum += (line[i.saturating_sub(k)] + line[(i + k).min(last)]) * weight;
        }
        samples[first + i * step] = sum / (1.0 + 2.0 * radius);
    }
}

pub(super) fn lens_dirt(shot: &mut Shot, severity: Severity, random: &mut Random) {
    let opacity = severity.of([0.3, 0.45, 0.6, 0.75, 0.9]);
    // A lower bar lets more of the lens be dirty.
    let bar = severity.of([0.62, 0.58, 0.54, 0.5, 0.44]);
    let noise = Noise(random.bits() as u32);
    let frequency = random.between(2.0, 4.5);
    let shade = random.between(0.4, 2.2);
    let dirt = [60.0, 55.0, 45.0].map(|v| v * shade * random.between(0.85, 1.15));
    let (width, height) = (shot.width as f32, shot.height as f32);
    shot.map(|row, column, channel, value| {
        let (x, y) = ((column as f32 + 0.5) / width, (row as f32 + 0.5) / height);
        let there = ((noise.rough(x * frequency, y * frequency) - bar) * 5.0).clamp(0.0, 1.0);
        value + (dirt[channel] - value) * smooth(there) * opacity
    });
}

pub(super) fn fog(shot: &mut Shot, severity: Severity, random: &mut Random) {
    let density = severity.of([0.2, 0.35, 0.5, 0.67, 0.85]);
    let noise = Noise(random.bits() as u32);
    let grey = random.between(150.0, 215.0);
    let (width, height) = (shot.width as f32, shot.height as f32);
    shot.map(|row, column, _, value| {
        let (x, y) = (column as f32 / width, row as f32 / height);
        // A little thinner here and there.
        let here = density * (0.8 + 0.2 * noise.at(x * 2.5, y * 2.5));
        value + (grey - value) * here
    });
}

pub(super) fn occlusion(shot: &mut Shot, severity: Severity, random: &mut Random) {
    let share = severity.of([0.12, 0.2, 0.3, 0.45, 0.65]);
    let side = random.below(4);
    let colour = random.between(5.0, 70.0);
    let noise = Noise(random.bits() as u32);
    let (width, height) = (shot.width as f32, shot.height as f32);
    shot.map(|row, column, _, value| {
        let (x, y) = ((column as f32 + 0.5) / width, (row as f32 + 0.5) / height);
        let [depth, along] = [[x, y], [1.0 - x, y], [y, x], [1.0 - y, x]][side];
        let edge = share + (noise.at(along * 3.0, 0.0) - 0.5) * 0.2;
        // Too near to be in focus: a soft edge.
        let covered = smooth(((edge - depth) * 7.0 + 0.5).clamp(0.0, 1.0));
        value + (colour - value) * covered
    });
}
