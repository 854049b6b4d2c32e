//! Densely connected networks.

use super::layers::{Layers, Window};
use crate::error::LabError;

const GROWTH: usize = 12;
/// (100 - 4) / 6: a block of depth 100 with bottlenecks has two convolutions a layer.
const LAYERS: usize = 16;

/// DenseNet-BC of depth 100 and growth 12: 24 channels first, three blocks, transitions that halve
/// channels and sides.
pub(super) fn bc_100_12(layers: &mut Layers, classes: usize) -> Result<(), LabError> {
    layers.conv("stem", 2 * GROWTH, Window::new(3, 1))?;
    for block in 1..=3 {
        for layer in 1..=LAYERS {
            bottleneck(layers, &format!("block{block}.{layer}"))?;
        }
        if block < 3 {
            let name = format!("transition{block}");
            norm_relu_conv(layers, &name, layers.channels() / 2, 1)?;
            layers.average_pool(&format!("{name}.pool"))?;
        }
    }
    layers.norm("last.norm")?;
    layers.relu("last.relu")?;
    layers.classify(classes)
}

fn bottleneck(layers: &mut Layers, name: &str) -> Result<(), LabError> {
    let input = layers.at;
    norm_relu_conv(layers, &format!("{name}.1"), 4 * GROWTH, 1)?;
    norm_relu_conv(layers, &format!("{name}.2"), GROWTH, 3)?;
    layers.append_to(&format!("{name}.all"), input)
}

fn norm_relu_conv(
    layers: &mut Layers,
    name: &str,
    out: usize,
    kernel: usize,
) -> Result<(), LabError> {
    layers.norm(&format!("{name}.norm"))?;
    layers.relu(&format!("{name}.relu"))?;
    layers.conv(&format!("{name}.conv"), out, Window::new(kernel, 1))
}
