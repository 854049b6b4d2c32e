//! Faults of the sensor and of what sets it: lines, samples, noise, exposure, gains.

use super::{Severity, Shot};
use crate::random::{Random, sine_cosine};

/// `count` places in a random order, of which a higher severity takes more.
fn order(random: &mut Random, count: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..count).collect();
    for last in (1..count).rev() {
        order.swap(last, random.below(last + 1));
    }
    order
}

/// How many of `count` lines are dead: at least one more than at the severity below, while there
/// are any.
fn dead_lines(severity: Severity, count: usize) -> usize {
    let share = severity.of([0.01, 0.04, 0.08, 0.15, 0.3]);
    ((share * count as f32) as usize).max(usize::from(severity.0)).min(count)
}

/// Black, white, or anything.
fn dead_value(random: &mut Random) -> u8 {
    let any = random.bits() as u8;
    random.choose(&[0, 255, any])
}

pub(super) fn dead_rows(shot: &mut Shot, severity: Severity, random: &mut Random) {
    let order = order(random, shot.height);
    for &row in &order[..dead_lines(severity, shot.height)] {
        let value = dead_value(random);
        (0..shot.width).for_each(|column| shot.pixel(row, column).fill(value));
    }
}

pub(super) fn dead_columns(shot: &mut Shot, severity: Severity, random: &mut Random) {
    let order = order(random, shot.width);
    for &column in &order[..dead_lines(severity, shot.width)] {
        let value = dead_value(random);
        (0..shot.height).for_each(|row| shot.pixel(row, column).fill(value));
    }
}

pub(super) fn stuck_pixels(shot: &mut Shot, severity: Severity, random: &mut Random) {
    let pixels = shot.width * shot.height;
    let share: f32 = severity.of([0.005, 0.01, 0.02, 0.05, 0.1]);
    let count = ((share * pixels as f32) as usize).max(usize::from(severity.0)).min(pixels);
    let order = order(random, pixels);
    for &pixel in &order[..count] {
        // Most are hot; in colour one filter of the pixel's three is what is stuck.
        let value = if random.chance(0.7) { 255 } else { 0 };
        let channel = random.below(shot.channels);
        shot.pixels[pixel * shot.channels + channel] = value;
    }
}

pub(super) fn banding(shot: &mut Shot, severity: Severity, random: &mut Random) {
    let depth = severity.of([0.06, 0.12, 0.2, 0.35, 0.6]);
    let (waves, phase) = (random.between(1.5, 6.0), random.unit());
    let height = shot.height as f32;
    let gains: Vec<f32> = (0..shot.height)
        .map(|row| 1.0 + depth * sine_cosine(phase + waves * row as f32 / height).0)
        .collect();
    shot.map(|row, _, _, value| value * gains[row]);
}

pub(super) fn noise(shot: &mut Shot, severity: Severity, random: &mut Random) {
    let deviation = severity.of([8.0, 16.0, 28.0, 45.0, 70.0]);
    let mut normals = [0.0; 4];
    let mut taken = 4;
    shot.map(|_, _, _, value| {
        if taken == 4 {
            (normals, taken) = (random.normals(), 0);
        }
        taken += 1;
        value + deviation * normals[taken - 1]
    });
}

pub(super) fn salt_and_pepper(shot: &mut Shot, severity: Severity, random: &mut Random) {
    let share = severity.of([0.01, 0.03, 0.07, 0.15, 0.3]);
    for pixel in shot.pixels.chunks_exact_mut(shot.channels) {
        let (draw, salt) = (random.unit(), random.chance(0.5));
        if draw < share {
            pixel.fill(if salt { 255 } else { 0 });
        }
    }
}

pub(super) fn underexposure(shot: &mut Shot, severity: Severity, random: &mut Random) {
    let gain = severity.of([0.7, 0.5, 0.34, 0.2, 0.09]) * random.between(0.9, 1.1);
    shot.map(|_, _, _, value| value * gain);
}

pub(super) fn overexposure(shot: &mut Shot, severity: Severity, random: &mut Random) {
    let gain = severity.of([1.3, 1.7, 2.3, 3.3, 6.0]) * random.between(0.93, 1.07);
    shot.map(|_, _, _, value| value * gain);
}

pub(super) fn white_balance(shot: &mut Shot, severity: Severity, random: &mut Random) {
    let reach = severity.of([0.12, 0.22, 0.35, 0.5, 0.75]);
    let sign = if random.chance(0.5) { 1.0 } else { -1.0 };
    let [red, blue] = [0, 1].map(|_| random.between(0.8, 1.2) * sign * reach);
    let gains = [1.0 + red, 1.0, 1.0 - blue];
    shot.map(|_, _, channel, value| value * gains[channel]);
}
