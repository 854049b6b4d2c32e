//! Timing of the convolution kernels on ResNet-20's shapes; run by hand, in release:
//! `cargo test --release -p gradgate-engine --test kernels -- --ignored --nocapture speed`.

use std::hint::black_box;
use std::time::Instant;

use gradgate_engine::kernels::activation::Act;
use gradgate_engine::kernels::conv::{Epilogue, conv};
use gradgate_engine::kernels::conv_input_gradient::{GradientEnd, conv_input_gradient};
use gradgate_engine::kernels::conv_weight_norm::WeightNorm;
use gradgate_engine::kernels::operand::Operand;

use gradgate_bundle::shape::ConvShape;
use gradgate_engine::compute::{Compute, LINE, line_offset};
use gradgate_engine::isa::{Isa, Numerics};
use gradgate_engine::vector::{self, Vector};

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
    ("resnet18 stage 1", 32, 64, 64, 3, 1),
    ("resnet18 stage 3", 8, 256, 256, 3, 1),
    ("resnet18 stage 4", 4, 512, 512, 3, 1),
];

/// Workspace for every shape here.
const SPACE: usize = 3 << 20;

/// Billions of multiply-adds in a second, the best of several tries.
fn gmac_per_second(macs: u64, mut f: impl FnMut()) -> f64 {
    let rounds = (20_000_000 / macs).clamp(1, 10_000);
    let mut best = f64::INFINITY;
    for _ in 0..25 {
        let start = Instant::now();
        (0..rounds).for_each(|_| f());
        best = best.min(start.elapsed().as_secs_f64() / rounds as f64);
    }
    macs as f64 / best / 1e9
}

/// One way to compute; `None` is scalar.
type Way = Option<Vector<'static>>;

/// The scalar kernels, and both numerics of the best instruction set.
fn ways() -> Vec<(String, Way)> {
    let isa = Isa::best().expect("vector kernels on this host");
    let way = |numerics, name| {
        let compute = Compute { isa: Some(isa), numerics, ..Compute::default() };
        (format!("{} {name}", isa.name()), Vector::new(&compute))
    };
    vec![("scalar".into(), None), way(Numerics::Exact, "exact"), way(Numerics::Fast, "fast")]
}

#[test]
#[ignore = "timing, by hand and in release"]
fn speed() {
    println!("GMAC/s{:<36}{:>12}{:>12}{:>12}", "", "forward", "input grad", "weight norm");
    for &(name, size, ci, co, kernel, stride) in SHAPES {
        if std::env::var("SHAPE").is_ok_and(|only| only != name) {
            continue;
        }
        let pad = kernel / 2;
        let case = ([size, size, ci], co, [kernel; 2], [stride; 2], [1; 2], [pad; 4], 1);
        let s = shape(&case);
        for (label, way) in ways() {
            let [forward, input, weight] = rates(&s, way);
            let millions = s.macs() as f64 / 1e6;
            println!(
                "{name:<18}{millions:>9.3} M {label:<13}{forward:>12.2}{input:>12.2}{weight:>12.2}"
            );
        }
    }
}

/// A buffer from a cache line on.
struct Lines(Vec<f32>);

impl Lines {
    fn new(elements: usize) -> Lines {
        Lines(vec![0.0; elements + LINE - 1])
    }

    fn values(&mut self) -> &mut [f32] {
        let first = line_offset(&self.0);
        let length = self.0.len() - (LINE - 1);
        &mut self.0[first..][..length]
    }
}

/// Weights as the convolution and its input gradient read them.
fn prepared(s: &ConvShape, w: &[f32], way: Way) -> [Lines; 2] {
    use vector::{conv, conv_input_gradient as turned};
    let Some(numerics) = way.map(|way| way.numerics()) else {
        return [Lines::new(0), Lines::new(0)];
    };
    let isa = Isa::best().expect("as the way");
    let mut kept = Lines::new(conv::prepared_elements(s, numerics));
    conv::prepare(isa, s, w, kept.values()).expect("of this length");
    let mut back = Lines::new(turned::prepared_elements(s, numerics));
    turned::prepare(isa, numerics, s, w, back.values()).expect("of this length");
    [kept, back]
}

fn rates(s: &ConvShape, way: Way) -> [f64; 3] {
    let mut random = Random(3);
    let x = random.values(s.input_elements());
    let w = random.values(s.weight_elements());
    let g = random.values(s.output_elements());
    let scale = random.values(s.output[2]);
    let end = Epilogue {
        scale: Some(&scale),
        shift: Some(&scale),
        skip: Operand::Absent,
        act: Act::IDENTITY,
    };
    let norm = WeightNorm {
        s,
        x: &x,
        g: &g,
        w: &w,
        scale: Some(&scale),
        inverse_sigma: Some(&scale),
        bias_minus_mean: Some(&scale),
        wants_scale: true,
    };
    let (mut y, mut dx) = (g.clone(), x.clone());
    let mut scratch = vec![0.0; 3 * s.output[2]];
    let mut space = Lines::new(SPACE);
    let space = space.values();
    let [mut kept, mut turned] = prepared(s, &w, way);
    let (kept, turned) = (&*kept.values(), &*turned.values());
    let forward = gmac_per_second(s.macs(), || {
        let (x, y) = (black_box(&x), black_box(&mut y));
        match way {
            None => conv(s, x, &w, &end, y),
            Some(v) => vector::conv::conv(&v, s, x, (&w, kept), &end, y, space),
        }
        .unwrap();
    });
    let input = gmac_per_second(s.macs(), || {
        let (g, dx) = (black_box(&g), black_box(&mut dx));
        let (scale, end) = (Some(&scale[..]), &GradientEnd::NONE);
        match way {
            None => conv_input_gradient(s, g, &w, scale, end, dx),
            Some(v) => {
                let w = (&w[..], turned);
                vector::conv_input_gradient::conv_input_gradient(&v, s, g, w, scale, end, dx, space)
            }
        }
        .unwrap();
    });
    let weight = gmac_per_second(s.macs(), || {
        let (norm, scratch) = (black_box(&norm), &mut scratch[..]);
        let norms = match way {
            None => norm.direct(scratch),
            Some(v) => vector::conv_weight_norm::conv_weight_norm(&v, norm, scratch, space),
        };
        black_box(norms.unwrap());
    });
    [forward, input, weight]
}
