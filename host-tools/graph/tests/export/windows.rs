//! Convolutions, pools and their gradients, exported alone, in onnxruntime against the f64
//! interpreter: named geometries and random ones.

use crate::cases::{Case, case, constant, frame, run};
use crate::support::Rng;
use gradgate_graph::ops::{Conv, Op, Pool};

const SEED: u64 = 20_221;
const RANDOM_GEOMETRIES: usize = 60;

/// Forward, input gradient and weight gradient of one convolution.
fn conv_cases(name: &str, conv: &Conv, x: [usize; 4], w: [usize; 4], bias: bool) -> Vec<Case> {
    let [h, wd] = conv.output_hw([x[2], x[3]], [w[2], w[3]]).expect("the kernel fits");
    let g = [1, w[0], h, wd];
    let mut operands = vec![frame(x), constant(w)];
    if bias {
        operands.push(constant([w[0]]));
    }
    let input_gradient = Op::ConvInputGradient { conv: conv.clone(), input_hw: [x[2], x[3]] };
    let weight_gradient = Op::ConvWeightGradient { conv: conv.clone(), kernel_hw: [w[2], w[3]] };
    vec![
        case(&format!("conv.{name}"), Op::Conv(conv.clone()), operands),
        case(&format!("conv_input_gradient.{name}"), input_gradient, vec![frame(g), constant(w)]),
        case(&format!("conv_weight_gradient.{name}"), weight_gradient, vec![frame(x), frame(g)]),
    ]
}

/// Name, groups, strides, dilations, pads, x, w.
type ConvGeometry =
    (&'static str, usize, [usize; 2], [usize; 2], [usize; 4], [usize; 4], [usize; 4]);

#[rustfmt::skip]
const CONVOLUTIONS: [ConvGeometry; 16] = [
    ("plain", 1, [1, 1], [1, 1], [1, 1, 1, 1], [1, 3, 6, 7], [4, 3, 3, 3]),
    ("pointwise", 1, [1, 1], [1, 1], [0, 0, 0, 0], [1, 5, 4, 4], [6, 5, 1, 1]),
    ("pointwise_stride", 1, [2, 2], [1, 1], [0, 0, 0, 0], [1, 5, 8, 8], [6, 5, 1, 1]),
    ("asymmetric_stride", 1, [2, 2], [1, 1], [0, 0, 1, 1], [1, 3, 8, 8], [4, 3, 3, 3]),
    ("rest_rows", 1, [3, 2], [1, 1], [0, 1, 0, 0], [1, 2, 9, 8], [3, 2, 2, 3]),
    ("dilated", 1, [1, 1], [2, 3], [2, 3, 2, 3], [1, 2, 9, 9], [3, 2, 3, 3]),
    ("dilated_stride", 1, [2, 2], [2, 2], [2, 1, 0, 3], [1, 2, 10, 9], [3, 2, 3, 2]),
    ("two_groups", 2, [2, 1], [1, 2], [1, 0, 0, 2], [1, 6, 7, 8], [4, 3, 3, 2]),
    ("two_groups_plain", 2, [1, 1], [1, 1], [1, 0, 1, 1], [1, 6, 5, 6], [4, 3, 3, 2]),
    ("depthwise", 4, [1, 1], [1, 1], [1, 1, 1, 1], [1, 4, 6, 6], [4, 1, 3, 3]),
    ("depthwise_stride", 4, [2, 2], [1, 1], [1, 1, 1, 1], [1, 4, 7, 6], [4, 1, 3, 3]),
    ("depthwise_multiplier", 3, [1, 1], [2, 1], [2, 0, 1, 1], [1, 3, 7, 6], [6, 1, 3, 3]),
    ("whole_image", 1, [1, 1], [1, 1], [0, 0, 0, 0], [1, 3, 4, 4], [5, 3, 4, 4]),
    ("wide_pads", 1, [1, 1], [1, 1], [3, 1, 2, 0], [1, 2, 5, 5], [3, 2, 2, 2]),
    ("large_kernel", 1, [1, 1], [1, 1], [3, 2, 3, 2], [1, 3, 8, 9], [4, 3, 6, 5]),
    ("large_kernel_stride", 1, [2, 3], [2, 1], [3, 2, 0, 2], [1, 2, 16, 17], [3, 2, 6, 5]),
];

fn named_convolutions() -> Vec<Case> {
    let mut cases = Vec::new();
    for (index, geometry) in CONVOLUTIONS.into_iter().enumerate() {
        let (name, groups, strides, dilations, pads, x, w) = geometry;
        let conv = Conv { strides, pads, dilations, groups };
        cases.extend(conv_cases(name, &conv, x, w, index % 2 == 0));
    }
    cases
}

fn random_convolutions(rng: &mut Rng) -> Vec<Case> {
    let mut cases = Vec::new();
    while cases.len() < 3 * RANDOM_GEOMETRIES {
        let mut pick = |high| rng.range(1, high);
        let (groups, ins, outs) = (pick(3), pick(3), pick(3));
        let kernel = [pick(4), pick(4)];
        let conv = Conv {
            strides: [pick(3), pick(3)],
            pads: [pick(4) - 1, pick(4) - 1, pick(4) - 1, pick(4) - 1],
            dilations: [pick(3), pick(3)],
            groups,
        };
        let x = [1, groups * ins, pick(10), pick(10)];
        let w = [groups * outs, ins, kernel[0], kernel[1]];
        if conv.output_hw([x[2], x[3]], kernel).is_some() {
            cases.extend(conv_cases(&format!("random{}", cases.len()), &conv, x, w, false));
        }
    }
    cases
}

/// Both pools and their gradients.
fn pool_cases(name: &str, pool: &Pool, x: [usize; 4]) -> Vec<Case> {
    let [h, w] = pool.output_hw([x[2], x[3]]).expect("the window fits");
    let g = [1, x[1], h, w];
    let average_gradient = Op::AveragePoolGradient { pool: pool.clone(), input_hw: [x[2], x[3]] };
    let maximum_gradient = Op::MaxPoolGradient(pool.clone());
    vec![
        case(&format!("max_pool.{name}"), Op::MaxPool(pool.clone()), vec![frame(x)]),
        case(&format!("max_pool_gradient.{name}"), maximum_gradient, vec![frame(x), frame(g)]),
        case(&format!("average_pool.{name}"), Op::AveragePool(pool.clone()), vec![frame(x)]),
        case(&format!("average_pool_gradient.{name}"), average_gradient, vec![frame(g)]),
    ]
}

/// Name, kernel, strides, dilations, pads, ceil mode, whether padding counts, x.
type PoolGeometry =
    (&'static str, [usize; 2], [usize; 2], [usize; 2], [usize; 4], bool, bool, [usize; 4]);

#[rustfmt::skip]
const POOLS: [PoolGeometry; 9] = [
    ("halving", [2, 2], [2, 2], [1, 1], [0, 0, 0, 0], false, false, [1, 3, 6, 8]),
    ("overlapping", [3, 3], [2, 2], [1, 1], [1, 1, 1, 1], false, false, [1, 3, 7, 8]),
    ("overlapping_counts", [3, 3], [2, 2], [1, 1], [1, 1, 1, 1], false, true, [1, 3, 7, 8]),
    ("ceil", [3, 3], [2, 2], [1, 1], [0, 1, 0, 0], true, false, [1, 2, 6, 8]),
    ("ceil_counts", [3, 2], [2, 3], [1, 1], [1, 0, 1, 0], true, true, [1, 2, 6, 8]),
    ("dilated", [2, 3], [1, 2], [3, 2], [2, 2, 1, 0], false, false, [1, 2, 8, 9]),
    ("dilated_counts", [2, 2], [1, 1], [3, 3], [3, 3, 3, 3], false, true, [1, 2, 8, 9]),
    ("global", [5, 4], [1, 1], [1, 1], [0, 0, 0, 0], false, false, [1, 6, 5, 4]),
    ("rest", [2, 2], [3, 3], [1, 1], [0, 0, 0, 0], false, false, [1, 2, 7, 8]),
];

fn named_pools() -> Vec<Case> {
    let mut cases = Vec::new();
    for (name, kernel, strides, dilations, pads, ceil_mode, count_include_pad, x) in POOLS {
        let pool = Pool { kernel, strides, pads, dilations, ceil_mode, count_include_pad };
        cases.extend(pool_cases(name, &pool, x));
    }
    cases
}

fn random_pools(rng: &mut Rng) -> Vec<Case> {
    let mut cases = Vec::new();
    while cases.len() < 4 * RANDOM_GEOMETRIES {
        let mut pick = |high| rng.range(1, high);
        let (kernel, dilations) = ([pick(3), pick(3)], [pick(2), pick(2)]);
        // As wide as the image is at least, so that no window lies in the padding alone.
        let mut pad = |axis: usize| pick(dilations[axis] * (kernel[axis] - 1) + 1) - 1;
        let pads = [pad(0), pad(1), pad(0), pad(1)];
        let (strides, ceil_mode) = ([pick(3), pick(3)], pick(2) == 1);
        let count_include_pad = pick(2) == 1;
        let pool = Pool { kernel, strides, pads, dilations, ceil_mode, count_include_pad };
        let x = [1, pick(3), 4 + pick(5), 4 + pick(5)];
        if pool.output_hw([x[2], x[3]]).is_some() {
            cases.extend(pool_cases(&format!("random{}", cases.len()), &pool, x));
        }
    }
    cases
}

#[test]
fn named_geometries_in_onnxruntime() {
    let cases = [named_convolutions(), named_pools()].concat();
    for opset in 17..=22 {
        run("export_windows", opset, &cases);
    }
}

#[test]
fn random_geometries_in_onnxruntime() {
    eprintln!("seed {SEED}");
    let mut rng = Rng(SEED);
    let cases = [random_convolutions(&mut rng), random_pools(&mut rng)].concat();
    run("export_random_windows", 17, &cases);
}
