//! AveragePool and its gradient.
//!
//! Where opset 17 has no spelling (dilation) or runtimes differ (`ceil_mode`), and for the
//! gradient, the channels become a batch that meets one kernel of ones; divisors are a constant.

use super::pool::Geometry;
use super::site::Site;
use crate::ops::Pool;

/// x
pub(super) fn emit(pool: &Pool, site: &mut Site<'_>) {
    let (input, output) = (site.shape(0), site.output_shape());
    let geometry = Geometry::new(pool, input, output);
    if pool.dilations == [1, 1] && !geometry.grown {
        return site.last(
            "AveragePool",
            &site.operands(),
            &[
                ("count_include_pad", pool.count_include_pad.into()),
                ("kernel_shape", pool.kernel.into()),
                ("pads", pool.pads.into()),
                ("strides", pool.strides.into()),
            ],
        );
    }
    let images = site.builder.reshape(site.operand(0), &[input[1], 1, input[2], input[3]]);
    let ones = ones(pool, site);
    let attributes = attributes(pool, &geometry);
    let sums = site.step("Conv", &[&images, &ones], &attributes);
    let divisors = divisors(&geometry, output, site);
    let means = site.step("Div", &[&sums, &divisors], &[]);
    site.last_reshape(&means);
}

/// g: divided, then spread over the windows by ConvTranspose.
pub(super) fn emit_gradient(pool: &Pool, site: &mut Site<'_>) {
    let (windows, input) = (site.shape(0), site.output_shape());
    let geometry = Geometry::new(pool, input, windows);
    let divisors = divisors(&geometry, windows, site);
    let shares = site.step("Div", &[site.operand(0), &divisors], &[]);
    let shares = site.builder.reshape(&shares, &[windows[1], 1, windows[2], windows[3]]);
    let ones = ones(pool, site);
    let mut attributes = attributes(pool, &geometry);
    attributes.push(("output_padding", geometry.rest.into()));
    let spread = site.step("ConvTranspose", &[&shares, &ones], &attributes);
    site.last_reshape(&spread);
}

fn ones(pool: &Pool, site: &mut Site<'_>) -> String {
    let [rows, columns] = pool.kernel;
    site.builder.initializer_f32("ones", &[1, 1, rows, columns], &vec![1.0; rows * columns])
}

fn divisors(geometry: &Geometry, output: &[usize], site: &mut Site<'_>) -> String {
    let shape = [1, 1, output[2], output[3]];
    site.builder.initializer_f32("divisors", &shape, &geometry.divisors())
}

fn attributes(pool: &Pool, geometry: &Geometry) -> Vec<(&'static str, super::Attribute)> {
    vec![
        ("dilations", pool.dilations.into()),
        ("kernel_shape", pool.kernel.into()),
        ("pads", geometry.pads.into()),
        ("strides", pool.strides.into()),
    ]
}
