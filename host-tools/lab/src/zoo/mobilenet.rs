//! Inverted residuals with depthwise convolutions.

use super::layers::{Layers, Window};
use crate::error::LabError;

/// Expansion, channels and stride of each block.
const BLOCKS: [(usize, usize, usize); 7] =
    [(1, 16, 1), (6, 24, 2), (6, 24, 1), (6, 32, 2), (6, 32, 1), (6, 64, 1), (6, 64, 1)];

/// MobileNetV2's blocks for images of 32 x 32: two halvings, the last convolution to 128 channels.
pub(super) fn v2_small(layers: &mut Layers, classes: usize) -> Result<(), LabError> {
    conv_norm(layers, "stem", 16, Window::new(3, 1), true)?;
    for (index, (expansion, channels, stride)) in BLOCKS.into_iter().enumerate() {
        let name = format!("block{}", index + 1);
        let (input, from) = (layers.at, layers.channels());
        let inner = from * expansion;
        if expansion != 1 {
            conv_norm(layers, &format!("{name}.expand"), inner, Window::new(1, 1), true)?;
        }
        let depthwise = Window { groups: inner, ..Window::new(3, stride) };
        conv_norm(layers, &format!("{name}.depthwise"), inner, depthwise, true)?;
        conv_norm(layers, &format!("{name}.project"), channels, Window::new(1, 1), false)?;
        if stride == 1 && from == channels {
            layers.add(&format!("{name}.sum"), input)?;
        }
    }
    conv_norm(layers, "head", 128, Window::new(1, 1), true)?;
    layers.classify(classes)
}

fn conv_norm(
    layers: &mut Layers,
    name: &str,
    out: usize,
    window: Window,
    rectified: bool,
) -> Result<(), LabError> {
    layers.conv(&format!("{name}.conv"), out, window)?;
    layers.norm(&format!("{name}.norm"))?;
    if rectified { layers.relu6(&format!("{name}.relu")) } else { Ok(()) }
}
