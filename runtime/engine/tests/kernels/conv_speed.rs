//! Timing of the convolution kernels on ResNet-20's shapes; run by hand, in release:
//! `cargo test --release -p gradgate-engine --test kernels -- --ignored --nocapture speed`.

use std::hint::black_box;
use std::time::Instant;

use gradgate_engine::kernels::activation::Act;
use gradgate_engine::kernels::conv::{Epilogue, conv};
use gradgate_engine::kernels::conv_input_gradient::{GradientEnd, conv_input_gradient};
use gradgate_engine::kernels::conv_weight_norm::WeightNorm;
use gradgate_engine::kernels::operand::Operand;

use crate::conv::shape;
use crate::support::Random;

/// Input rows (and columns), input channels, output channels, kernel, stride.
const SHAPES: &[(&str, usize, usize, usize, usize, usize)] = &[
    ("stem", 32, 3, 16, 3, 1),
    ("stage 1", 32, 16, 16, 3, 1),
    ("stage 2, first", 32, 16, 32, 3, 2),
    ("stage 2", 16, 32, 32, 3, 1),
    ("stage 3, first", 16, 32, 64, 3, 2),
    ("stage 3", 8, 64, 64, 3, 1),
    ("shortcut", 16, 32, 64, 1, 2),
    ("linear", 1, 64, 10, 1, 1),
    ("resnet18 stage 4", 4, 512, 512, 3, 1),
];

/// Billions of multiply-adds in a second, the best of several tries.
fn gmac_per_second(macs: u64, mut f: impl FnMut()) -> f64 {
    let rounds = (20_000_000 / macs).clamp(1, 10_000);
    let mut best = f64::INFINITY;
    for _ in 0..7 {
        let start = Instant::now();
        (0..rounds).for_each(|_| f());
        best = best.min(start.elapsed().as_secs_f64() / rounds as f64);
    }
    macs as f64 / best / 1e9
}

#[test]
#[ignore = "timing, by hand and in release"]
fn speed() {
    println!(
        "{:<18}{:>10}{:>12}{:>12}{:>14}   GMAC/s",
        "", "MMAC", "forward", "input grad", "weight norm"
    );
    for &(name, size, ci, co, kernel, stride) in SHAPES {
        let pad = kernel / 2;
        let case = ([size, size, ci], co, [kernel; 2], [stride; 2], [1; 2], [pad; 4], 1);
        let s = shape(&case);
        let mut random = Random(3);
        let x = random.values(s.input_elements());
        let w = random.values(s.weight_elements());
        let g = random.values(s.output_elements());
        let scale = random.values(co);
        let end = Epilogue {
            scale: Some(&scale),
            shift: Some(&scale),
            skip: Operand::Absent,
            act: Act::IDENTITY,
        };
        let (mut y, mut dx) = (g.clone(), x.clone());
        let mut scratch = vec![0.0; 3 * co];
        let forward = gmac_per_second(s.macs(), || {
            conv(&s, black_box(&x), &w, &end, black_box(&mut y)).unwrap();
        });
        let input = gmac_per_second(s.macs(), || {
            let (g, dx) = (black_box(&g), black_box(&mut dx));
            conv_input_gradient(&s, g, &w, Some(&scale), &GradientEnd::NONE, dx).unwrap();
        });
        let norm = WeightNorm {
            s: &s,
            x: &x,
            g: &g,
            w: &w,
            scale: Some(&scale),
            inverse_sigma: Some(&scale),
            bias_minus_mean: Some(&scale),
            wants_scale: true,
        };
        let weight = gmac_per_second(s.macs(), || {
            black_box(black_box(&norm).direct(&mut scratch).unwrap());
        });
        let millions = s.macs() as f64 / 1e6;
        println!("{name:<18}{millions:>10.3}{forward:>12.2}{input:>12.2}{weight:>14.2}");
    }
}
