//! Faults on the way from the sensor: rows and blocks that arrive wrong, late or not at all.

use super::{Severity, Shot};
use crate::random::Random;

/// Sides of JPEG's blocks.
const BLOCK: usize = 8;

pub(super) fn bayer_swap(shot: &mut Shot, severity: Severity, random: &mut Random) {
    let share = severity.of([0.15, 0.3, 0.5, 0.75, 1.0]);
    let first = shot.height - rows(share, shot.height);
    // A slip by a row and a column exchanges red and blue; by one of them, green with both in turn.
    let by_row_alone = random.chance(0.5);
    for row in first..shot.height {
        for column in 0..shot.width {
            let pixel = shot.pixel(row, column);
            if by_row_alone {
                let [red, green, blue] = [pixel[0], pixel[1], pixel[2]];
                let mean = ((u16::from(red) + u16::from(blue)) / 2) as u8;
                pixel.copy_from_slice(&[green, mean, green]);
            } else {
                pixel.swap(0, 2);
            }
        }
    }
}

fn rows(share: f32, height: usize) -> usize {
    ((share * height as f32 + 0.5) as usize).clamp(1, height)
}

pub(super) fn block_loss(shot: &mut Shot, severity: Severity, random: &mut Random) {
    let (across, down) = (shot.width.div_ceil(BLOCK), shot.height.div_ceil(BLOCK));
    let share: f32 = severity.of([0.06, 0.13, 0.25, 0.45, 0.7]);
    let count = ((share * (across * down) as f32 + 0.5) as usize).max(1);
    let mut blocks: Vec<usize> = (0..across * down).collect();
    for last in (1..blocks.len()).rev() {
        blocks.swap(last, random.below(last + 1));
    }
    for &block in &blocks[..count] {
        // Decoders leave grey, or what lies in their memory.
        let filling = if random.chance(0.5) { 128 } else { random.bits() as u8 };
        let (top, left) = (block / across * BLOCK, block % across * BLOCK);
        for row in top..(top + BLOCK).min(shot.height) {
            for column in left..(left + BLOCK).min(shot.width) {
                shot.pixel(row, column).fill(filling);
            }
        }
    }
}

pub(super) fn tearing(shot: &mut Shot, severity: Severity, random: &mut Random) {
    let share = severity.of([0.2, 0.35, 0.5, 0.7, 0.9]);
    let way = severity.of([0.06, 0.1, 0.16, 0.24, 0.4]) * random.between(0.8, 1.2);
    let shift = ((way * shot.width as f32 + 0.5) as usize).max(1) % shot.width;
    let first = shot.height - rows(share, shot.height);
    let to_the_right = random.chance(0.5);
    let row_len = shot.width * shot.channels;
    for row in shot.pixels.chunks_exact_mut(row_len).skip(first) {
        let by = shift * shot.channels;
        if to_the_right { row.rotate_right(by) } else { row.rotate_left(by) }
    }
}

/// Where the samples of red, green and blue go, other than where they belong.
const EXCHANGES: [[usize; 3]; 5] = [[2, 1, 0], [1, 0, 2], [0, 2, 1], [1, 2, 0], [2, 0, 1]];

pub(super) fn channel_swap(shot: &mut Shot, severity: Severity, random: &mut Random) {
    let share = severity.of([0.2, 0.4, 0.6, 0.8, 1.0]);
    let from = random.choose(&EXCHANGES);
    for pixel in shot.pixels.chunks_exact_mut(3) {
        let right = [pixel[0], pixel[1], pixel[2]].map(f32::from);
        for (sample, (own, from)) in pixel.iter_mut().zip(right.iter().zip(from)) {
            *sample = (own + (right[from] - own) * share + 0.5) as u8;
        }
    }
}
