//! Convolution, and its gradients as ConvTranspose and as a convolution by the cotangent.

use super::site::Site;
use crate::ops::Conv;

/// Conv: x, w, optional bias.
pub(super) fn emit(conv: &Conv, site: &mut Site<'_>) {
    let kernel = site.shape(1)[2..].into();
    site.last(
        "Conv",
        &site.operands(),
        &[
            ("dilations", conv.dilations.into()),
            ("group", conv.groups.into()),
            ("kernel_shape", kernel),
            ("pads", conv.pads.into()),
            ("strides", conv.strides.into()),
        ],
    );
}

/// ConvTranspose of g by the same weight, whose layout `[O,C/g,kh,kw]` is already the right one.
///
/// Input rows behind the last window count as output padding: fewer than one stride, because
/// another window would fit otherwise.
pub(super) fn emit_input_gradient(conv: &Conv, input_hw: [usize; 2], site: &mut Site<'_>) {
    let (cotangent, weight) = (site.shape(0), site.shape(1));
    let mut rest = [0; 2];
    for axis in 0..2 {
        let window = conv.dilations[axis] * (weight[axis + 2] - 1) + 1;
        let covered = conv.strides[axis] * (cotangent[axis + 2] - 1) + window;
        rest[axis] = input_hw[axis] + conv.pads[axis] + conv.pads[axis + 2] - covered;
    }
    site.last(
        "ConvTranspose",
        &site.operands(),
        &[
            ("dilations", conv.dilations.into()),
            ("group", conv.groups.into()),
            ("kernel_shape", weight[2..].into()),
            ("output_padding", rest.into()),
            ("pads", conv.pads.into()),
            ("strides", conv.strides.into()),
        ],
    );
}

/// `dW[o,c] = sum over pixels of g[o] x[c]` as a convolution of x by the kernel g.
///
/// Strides and dilations change places. With G groups of c inputs, x becomes a batch
/// `[c,G,H,W]`, so that every batch entry meets each group's cotangents once: `[c,O,kh,kw]`.
pub(super) fn emit_weight_gradient(conv: &Conv, kernel_hw: [usize; 2], site: &mut Site<'_>) {
    let (x, g) = (site.shape(0), site.shape(1));
    let (groups, per_group) = (conv.groups, x[1] / conv.groups);
    let images = if per_group == 1 {
        site.operand(0).to_owned()
    } else if groups == 1 {
        site.builder
            .reshape(site.operand(0), &[per_group, 1, x[2], x[3]])
    } else {
        let split = site
            .builder
            .reshape(site.operand(0), &[groups, per_group, x[2], x[3]]);
        site.step("Transpose", &[&split], &[("perm", [1, 0, 2, 3].into())])
    };
    let kernel = site
        .builder
        .reshape(site.operand(1), &[g[1], 1, g[2], g[3]]);
    let mut gradient = site.step(
        "Conv",
        &[&images, &kernel],
        &[
            ("dilations", conv.strides.into()),
            ("group", groups.into()),
            ("kernel_shape", g[2..].into()),
            ("pads", conv.pads.into()),
            ("strides", conv.dilations.into()),
        ],
    );
    // Pixels behind the last window can make room for taps that the kernel does not have.
    let swapped = Conv {
        strides: conv.dilations,
        dilations: conv.strides,
        ..conv.clone()
    };
    if swapped.output_hw([x[2], x[3]], [g[2], g[3]]) != Some(kernel_hw) {
        let starts = site.builder.sizes(&[0, 0]);
        let ends = site.builder.sizes(&kernel_hw);
        let axes = site.builder.sizes(&[2, 3]);
        gradient = site.step("Slice", &[&gradient, &starts, &ends, &axes], &[]);
    }
    if per_group != 1 {
        gradient = site.step("Transpose", &[&gradient], &[("perm", [1, 0, 2, 3].into())]);
    }
    // `[1,O,kh,kw]` and `[O,1,kh,kw]` hold the same elements in the same order.
    site.last_reshape(&gradient);
}
