//! MaxPool, and its gradient by the indices that MaxPool gives as its second result.

use super::pool::Geometry;
use super::site::Site;
use crate::ops::Pool;

/// x
pub(super) fn emit(pool: &Pool, site: &mut Site<'_>) {
    let geometry = Geometry::new(pool, site.shape(0), site.output_shape());
    let (x, pads) = padded(pool, &geometry, site);
    site.last("MaxPool", &[&x], &attributes(pool, pads));
}

/// x, g: every cotangent is added to the pixel that its window's index names.
///
/// Indices count through the flattened `[1,C,H,W]`; runtimes take the first maximum in raster
/// order, as the Graph's MaxPool does.
pub(super) fn emit_gradient(pool: &Pool, site: &mut Site<'_>) {
    let (input, windows) = (site.shape(0), site.shape(1));
    let geometry = Geometry::new(pool, input, windows);
    let (x, pads) = padded(pool, &geometry, site);
    let mut target = input.to_vec();
    if pads != geometry.pads {
        target[2] += geometry.pads[0] + geometry.pads[2];
        target[3] += geometry.pads[1] + geometry.pads[3];
    }
    let (maxima, indices) = (site.builder.fresh("MaxPool"), site.builder.fresh("indices"));
    site.builder.node_into("MaxPool", &[&x], &attributes(pool, pads), &[&maxima, &indices]);
    let flat = [windows.iter().product()];
    let indices = site.builder.reshape(&indices, &flat);
    let updates = site.builder.reshape(site.operand(1), &flat);
    let count = site.builder.sizes(&[target.iter().product()]);
    let zeros = site.step("ConstantOfShape", &[&count], &[]);
    let scattered = site.step(
        "ScatterElements",
        &[&zeros, &indices, &updates],
        &[("axis", 0_usize.into()), ("reduction", "add".into())],
    );
    if target == input {
        return site.last_reshape(&scattered);
    }
    let image = site.builder.reshape(&scattered, &target);
    let [top, left, ..] = geometry.pads;
    let starts = site.builder.sizes(&[top, left]);
    let ends = site.builder.sizes(&[top + input[2], left + input[3]]);
    let axes = site.builder.sizes(&[2, 3]);
    site.last("Slice", &[&image, &starts, &ends, &axes], &[]);
}

/// Operand 0 and the padding left for MaxPool itself: none where a Pad has to stand before it,
/// because runtimes refuse padding as large as the kernel even when dilation makes room for it.
fn padded(pool: &Pool, geometry: &Geometry, site: &mut Site<'_>) -> (String, [usize; 4]) {
    let [top, left, bottom, right] = geometry.pads;
    let x = site.operand(0);
    if top.max(bottom) < pool.kernel[0] && left.max(right) < pool.kernel[1] {
        return (x.to_owned(), geometry.pads);
    }
    let pads = site.builder.sizes(&[0, 0, top, left, 0, 0, bottom, right]);
    let lowest = site.builder.scalar(f32::NEG_INFINITY);
    (site.step("Pad", &[x, &pads, &lowest], &[("mode", "constant".into())]), [0; 4])
}

fn attributes(pool: &Pool, pads: [usize; 4]) -> [(&'static str, super::Attribute); 4] {
    [
        ("dilations", pool.dilations.into()),
        ("kernel_shape", pool.kernel.into()),
        ("pads", pads.into()),
        ("strides", pool.strides.into()),
    ]
}
