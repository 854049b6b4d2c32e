//! Convolution and its gradients.

use super::site::Site;
use crate::ops::Conv;

/// Taps up to which the weight gradient is one product: each costs a Slice node.
const MAX_TAPS: usize = 25;

/// Elements of the columns of one layer up to which it is: 64 MiB.
const MAX_COLUMNS: usize = 1 << 24;

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

/// At stride 1 a Conv of g by the turned weight, which runtimes run several times faster;
/// otherwise ConvTranspose by the weight as it is.
pub(super) fn emit_input_gradient(conv: &Conv, input_hw: [usize; 2], site: &mut Site<'_>) {
    let (cotangent, weight) = (site.shape(0), site.shape(1));
    let mut window = [0; 2];
    let mut rest = [0; 2];
    for axis in 0..2 {
        window[axis] = conv.dilations[axis] * (weight[axis + 2] - 1) + 1;
        let covered = conv.strides[axis] * (cotangent[axis + 2] - 1) + window[axis];
        rest[axis] = input_hw[axis] + conv.pads[axis] + conv.pads[axis + 2] - covered;
    }
    let turned_pads = |side: usize| (window[side % 2] - 1).checked_sub(conv.pads[side]);
    if let ([1, 1], [Some(top), Some(left), Some(bottom), Some(right)]) =
        (conv.strides, [0, 1, 2, 3].map(turned_pads))
    {
        return emit_turned(conv, [top, left, bottom, right], site);
    }
    // Input rows behind the last window are output padding: fewer than one stride, because
    // another window would fit otherwise. `[O,C/g,kh,kw]` is already the layout wanted here.
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

/// Conv of g by the weight as `[C,O/g,kh,kw]`, rows and columns reversed; a runtime turns the
/// constant once, when it loads the file.
fn emit_turned(conv: &Conv, pads: [usize; 4], site: &mut Site<'_>) {
    let &[outs, ins, rows, columns] = site.shape(1) else {
        unreachable!("the shape rule wants a weight of rank 4");
    };
    let mut weight = site.operand(1).to_owned();
    if [rows, columns] != [1, 1] {
        let last = site.builder.initializer_i64(&[2], &[-1, -1]);
        // Any end before the first element; ONNX clamps it.
        let before = site.builder.initializer_i64(&[2], &[i64::MIN + 1, i64::MIN + 1]);
        let axes = site.builder.sizes(&[2, 3]);
        weight = site.step("Slice", &[&weight, &last, &before, &axes, &last], &[]);
    }
    let groups = conv.groups;
    if groups == 1 {
        weight = site.step("Transpose", &[&weight], &[("perm", [1, 0, 2, 3].into())]);
    } else {
        let split = [groups, outs / groups, ins, rows, columns];
        weight = site.builder.reshape(&weight, &split);
        weight = site.step("Transpose", &[&weight], &[("perm", [0, 2, 1, 3, 4].into())]);
        let merged = [groups * ins, outs / groups, rows, columns];
        weight = site.builder.reshape(&weight, &merged);
    }
    site.last(
        "Conv",
        &[site.operand(0), &weight],
        &[
            ("dilations", conv.dilations.into()),
            ("group", groups.into()),
            ("kernel_shape", [rows, columns].into()),
            ("pads", pads.into()),
            ("strides", [1, 1].into()),
        ],
    );
}

/// `dW[o,c] = sum over pixels of g[o] x[c]`: one product by the columns of x where they stay
/// small, else a convolution.
pub(super) fn emit_weight_gradient(conv: &Conv, kernel_hw: [usize; 2], site: &mut Site<'_>) {
    let pixels: usize = site.shape(1)[2..].iter().product();
    let columns = site.shape(0)[1] * kernel_hw[0] * kernel_hw[1] * pixels;
    if conv.groups == 1 && kernel_hw[0] * kernel_hw[1] <= MAX_TAPS && columns <= MAX_COLUMNS {
        emit_columns(conv, kernel_hw, site);
    } else {
        emit_by_cotangent(conv, kernel_hw, site);
    }
}

/// Every tap of the kernel is a slice of the padded x; stacked as `[C * kh * kw, pixels]`, one
/// Gemm by g gives all of them.
fn emit_columns(conv: &Conv, kernel_hw: [usize; 2], site: &mut Site<'_>) {
    let (x, g) = (site.shape(0), site.shape(1));
    let mut image = site.operand(0).to_owned();
    let mut lengths = [x[2], x[3]];
    if conv.pads != [0; 4] {
        let [top, left, bottom, right] = conv.pads;
        let pads = site.builder.sizes(&[0, 0, top, left, 0, 0, bottom, right]);
        image = site.step("Pad", &[&image, &pads], &[("mode", "constant".into())]);
        lengths = [x[2] + top + bottom, x[3] + left + right];
    }
    let image = site.builder.reshape(&image, &[x[1], 1, lengths[0], lengths[1]]);
    let axes = site.builder.sizes(&[2, 3]);
    let steps = site.builder.sizes(&conv.strides);
    let mut taps = Vec::new();
    for row in 0..kernel_hw[0] {
        for column in 0..kernel_hw[1] {
            let start = [row * conv.dilations[0], column * conv.dilations[1]];
            let end = [0, 1].map(|axis| start[axis] + (g[axis + 2] - 1) * conv.strides[axis] + 1);
            if start == [0, 0] && end == lengths {
                taps.push(image.clone());
                continue;
            }
            let (start, end) = (site.builder.sizes(&start), site.builder.sizes(&end));
            taps.push(site.step("Slice", &[&image, &start, &end, &axes, &steps], &[]));
        }
    }
    let mut columns = taps[0].clone();
    if taps.len() > 1 {
        let taps: Vec<&str> = taps.iter().map(String::as_str).collect();
        columns = site.step("Concat", &taps, &[("axis", 1_usize.into())]);
    }
    let pixels = g[2] * g[3];
    let columns = site.builder.reshape(&columns, &[x[1] * taps.len(), pixels]);
    let cotangent = site.builder.reshape(site.operand(1), &[g[1], pixels]);
    let gradient = site.step("Gemm", &[&cotangent, &columns], &[("transB", true.into())]);
    site.last_reshape(&gradient);
}

/// A convolution of x by the kernel g.
///
/// Strides and dilations change places. With G groups of c inputs, x becomes a batch
/// `[c,G,H,W]`, so that every batch entry meets each group's cotangents once: `[c,O,kh,kw]`.
fn emit_by_cotangent(conv: &Conv, kernel_hw: [usize; 2], site: &mut Site<'_>) {
    let (x, g) = (site.shape(0), site.shape(1));
    let (groups, per_group) = (conv.groups, x[1] / conv.groups);
    let images = if per_group == 1 {
        site.operand(0).to_owned()
    } else if groups == 1 {
        site.builder.reshape(site.operand(0), &[per_group, 1, x[2], x[3]])
    } else {
        let split = site.builder.reshape(site.operand(0), &[groups, per_group, x[2], x[3]]);
        site.step("Transpose", &[&split], &[("perm", [1, 0, 2, 3].into())])
    };
    let kernel = site.builder.reshape(site.operand(1), &[g[1], 1, g[2], g[3]]);
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
    let swapped = Conv { strides: conv.dilations, dilations: conv.strides, ..conv.clone() };
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
