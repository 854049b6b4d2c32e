//! Instructions per multiply-add of the convolution kernels, shape by shape, on the emulated board.
//!
//! A convolution takes most of a verdict; this table says how near its kernels are to their inner
//! loops. Padding counts as multiply-adds here as it does everywhere else, so that a kernel that
//! skips it may lie below its inner loop. Prints a table and ends.
#![no_std]
#![no_main]

mod counter;

use core::panic::PanicInfo;

use cortex_m_rt::entry;
use gradgate_bundle::op::{Activation, ConvParams};
use gradgate_bundle::shape::ConvShape;
use gradgate_engine::kernels::activation::Act;
use gradgate_engine::kernels::conv::{Epilogue, conv};
use gradgate_engine::kernels::conv_input_gradient::{GradientEnd, conv_input_gradient};
use gradgate_engine::kernels::conv_weight_norm::WeightNorm;
use gradgate_engine::kernels::operand::Operand;
use gradgate_engine::kernels::unary::Gate;
use semihosting::{println, process};
use zerocopy::FromZeros;

/// Name; rows (and columns) of the input, its channels, output channels, kernel, stride, groups.
const SHAPES: &[(&str, [u16; 6])] = &[
    ("3x3, 3 to 16", [32, 3, 16, 3, 1, 1]),
    ("3x3, 16 to 16", [32, 16, 16, 3, 1, 1]),
    ("3x3 stride 2, 16 to 32", [32, 16, 32, 3, 2, 1]),
    ("3x3, 32 to 32", [16, 32, 32, 3, 1, 1]),
    ("3x3, 64 to 64", [8, 64, 64, 3, 1, 1]),
    ("3x3, 12 to 12", [16, 12, 12, 3, 1, 1]),
    ("1x1, 64 to 64", [16, 64, 64, 1, 1, 1]),
    ("1x1 stride 2, 32 to 64", [16, 32, 64, 1, 2, 1]),
    ("3x3 depthwise, 32", [16, 32, 32, 3, 1, 32]),
    ("linear, 64 to 10", [1, 64, 10, 1, 1, 1]),
];

/// Longest operand: 32 x 32 x 16, 16 x 16 x 64, or 9 x 64 x 64.
const ELEMENTS_MAX: usize = 36_864;

#[entry]
fn main() -> ! {
    static mut FROM: [f32; ELEMENTS_MAX] = [0.5; ELEMENTS_MAX];
    static mut WEIGHT: [f32; ELEMENTS_MAX] = [0.25; ELEMENTS_MAX];
    static mut TO: [f32; ELEMENTS_MAX] = [0.0; ELEMENTS_MAX];
    counter::start(cortex_m::Peripherals::take());
    println!("{:<24} {:>8} {:>8} {:>8} {:>8}", "", "MMAC", "forward", "input", "norm");
    for (name, numbers) in SHAPES {
        let Some((macs, counts)) = measure(numbers, FROM, WEIGHT, TO) else {
            println!("FAILED: {name}");
            process::exit(1)
        };
        let [forward, input, norm] = counts.map(|count| count as f32 / macs as f32);
        let millions = macs as f32 / 1e6;
        println!("{name:<24} {millions:>8.3} {forward:>8.2} {input:>8.2} {norm:>8.2}");
    }
    process::exit(0)
}

/// Multiply-adds, and the instructions of forward, input gradient and weight norm.
fn measure(
    numbers: &[u16; 6],
    from: &[f32],
    weight: &[f32],
    to: &mut [f32],
) -> Option<(u64, [u64; 3])> {
    let s = shape(numbers)?;
    let (x, g) = (from.get(..s.input_elements())?, from.get(..s.output_elements())?);
    let w = weight.get(..s.weight_elements())?;
    let (vector, spare) = (from.get(..s.output[2])?, weight.get(..s.input_elements())?);
    let relu = Act { kind: Activation::Relu, low: 0.0, high: 0.0 };
    let end =
        Epilogue { scale: Some(vector), shift: Some(vector), skip: Operand::Absent, act: relu };
    let forward = counted(|| conv(&s, x, w, &end, to.get_mut(..g.len())?))?;
    let gate = Gate { act: relu, at: Operand::Slice(spare) };
    let end = GradientEnd { addend: Operand::Slice(spare), gate };
    let input =
        counted(|| conv_input_gradient(&s, g, w, Some(vector), &end, to.get_mut(..x.len())?))?;
    let norm = WeightNorm {
        s: &s,
        x,
        g,
        w,
        scale: Some(vector),
        inverse_sigma: Some(vector),
        bias_minus_mean: Some(vector),
        wants_scale: true,
    };
    let norm = counted(|| norm.direct(to).map(|_| ()))?;
    Some((s.macs(), [forward, input, norm]))
}

fn counted(kernel: impl FnOnce() -> Option<()>) -> Option<u64> {
    let before = counter::instructions();
    kernel()?;
    Some(counter::instructions() - before)
}

/// A convolution whose padding keeps the size, but for the stride.
fn shape(&[size, inputs, outputs, kernel, stride, groups]: &[u16; 6]) -> Option<ConvShape> {
    let mut p = ConvParams::new_zeroed();
    p.input = [size, size, inputs].map(Into::into);
    let across = (size - 1) / stride + 1;
    p.output = [across, across, outputs].map(Into::into);
    p.kernel = [kernel.into(); 2];
    p.strides = [stride.into(); 2];
    p.dilations = [1.into(); 2];
    p.pads = [(kernel / 2).into(); 4];
    p.groups = groups.into();
    ConvShape::new(&p).ok()
}

/// Fails closed: whatever went wrong, the host sees a failure.
#[panic_handler]
fn panic(info: &PanicInfo) -> ! {
    println!("FAILED: {info}");
    process::exit(101)
}
