//! Residual networks.

use gradgate_graph::graph::ValueId;

use super::Shortcut;
use super::layers::{Layers, Window};
use crate::error::LabError;

/// ResNet-8 of MLPerf Tiny: `resnet_v1_eembc` of mlcommons/tiny, its image classification.
pub(super) fn resnet8(layers: &mut Layers, classes: usize) -> Result<(), LabError> {
    conv_norm(layers, "stem", 16, Window::keras(3, 1))?;
    layers.relu("stem.relu")?;
    for (stack, channels) in [(1, 16), (2, 32), (3, 64)] {
        let name = format!("stack{stack}");
        let stride = if stack == 1 { 1 } else { 2 };
        let input = layers.at;
        conv_norm(layers, &format!("{name}.1"), channels, Window::keras(3, stride))?;
        layers.relu(&format!("{name}.1.relu"))?;
        conv_norm(layers, &format!("{name}.2"), channels, Window::keras(3, 1))?;
        let shortcut = if stride == 1 {
            input
        } else {
            aside(layers, input, |layers| {
                layers.conv(&format!("{name}.shortcut"), channels, Window::keras(1, stride))
            })?
        };
        join(layers, &name, shortcut)?;
    }
    layers.classify(classes)
}

/// ResNet-20 for CIFAR: three stages of three blocks with 16, 32 and 64 channels.
pub(super) fn resnet20(
    layers: &mut Layers,
    shortcut: Shortcut,
    classes: usize,
) -> Result<(), LabError> {
    stages(layers, &[(16, 3), (32, 3), (64, 3)], shortcut)?;
    layers.classify(classes)
}

/// ResNet-18 for CIFAR: four stages of two blocks with 64 to 512 channels.
pub(super) fn resnet18(layers: &mut Layers, classes: usize) -> Result<(), LabError> {
    stages(layers, &[(64, 2), (128, 2), (256, 2), (512, 2)], Shortcut::B)?;
    layers.classify(classes)
}

/// A stem, then stages of basic blocks; every stage but the first halves the sides.
fn stages(
    layers: &mut Layers,
    stages: &[(usize, usize)],
    shortcut: Shortcut,
) -> Result<(), LabError> {
    conv_norm(layers, "stem", stages[0].0, Window::new(3, 1))?;
    layers.relu("stem.relu")?;
    for (stage, &(channels, blocks)) in stages.iter().enumerate() {
        for block in 0..blocks {
            let stride = if stage > 0 && block == 0 { 2 } else { 1 };
            let name = format!("stage{}.{}", stage + 1, block + 1);
            basic_block(layers, &name, channels, stride, shortcut)?;
        }
    }
    Ok(())
}

fn basic_block(
    layers: &mut Layers,
    name: &str,
    channels: usize,
    stride: usize,
    shortcut: Shortcut,
) -> Result<(), LabError> {
    let input = layers.at;
    let changes = stride != 1 || layers.channels() != channels;
    conv_norm(layers, &format!("{name}.1"), channels, Window::new(3, stride))?;
    layers.relu(&format!("{name}.1.relu"))?;
    conv_norm(layers, &format!("{name}.2"), channels, Window::new(3, 1))?;
    let way = format!("{name}.shortcut");
    let other = match shortcut {
        _ if !changes => input,
        Shortcut::A => aside(layers, input, |layers| layers.thin_out(&way, channels))?,
        Shortcut::B => aside(layers, input, |layers| {
            conv_norm(layers, &way, channels, Window::new(1, stride))
        })?,
    };
    join(layers, name, other)
}

/// Builds from another value; gives what came out of it, and leaves the present value in place.
fn aside(
    layers: &mut Layers,
    from: ValueId,
    build: impl FnOnce(&mut Layers) -> Result<(), LabError>,
) -> Result<ValueId, LabError> {
    let present = std::mem::replace(&mut layers.at, from);
    build(layers)?;
    Ok(std::mem::replace(&mut layers.at, present))
}

fn join(layers: &mut Layers, name: &str, other: ValueId) -> Result<(), LabError> {
    layers.add(&format!("{name}.sum"), other)?;
    layers.relu(&format!("{name}.relu"))
}

fn conv_norm(layers: &mut Layers, name: &str, out: usize, window: Window) -> Result<(), LabError> {
    layers.conv(&format!("{name}.conv"), out, window)?;
    layers.norm(&format!("{name}.norm"))
}
