//! Networks of the papers as graph builders, untrained.
//!
//! Structure, order of layers and numbers of channels are the papers'; every network takes pixels
//! in 0 to 1 and normalises them by a mean and a deviation of its own. Weights of convolutions are
//! drawn as by He et al. 2015 (normal, variance 2 / fan in), those of the last layer with variance
//! 1 / fan in; biases and shifts are 0, scales 1, running means 0, running variances 1.

mod densenet;
mod layers;
mod mobilenet;
mod resnet;

use std::fmt;
use std::str::FromStr;

use gradgate_graph::graph::Graph;

use crate::error::LabError;
use layers::Layers;

/// Which network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Architecture {
    /// ResNet-8 of MLPerf Tiny: three stacks of one block, convolutions with bias, shortcuts by
    /// convolutions without normalisation, padding as by Keras.
    ResNet8,
    /// ResNet-20 of He et al. 2016 for CIFAR.
    ResNet20(Shortcut),
    /// ResNet-18 with the 3 x 3 stem for CIFAR, no max pool.
    ResNet18,
    /// DenseNet-BC of Huang et al. 2017, depth 100, growth 12, compression 0.5.
    DenseNetBc100x12,
    /// Inverted residual blocks of Sandler et al. 2018, few of them: stem 16, then 16, 24, 24, 32,
    /// 32, 64, 64 channels, head 128, for images of 32 x 32.
    MobileNetV2Small,
}

/// What joins the ends of a residual block whose shape changes (He et al. 2016, section 3.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Shortcut {
    /// Every second pixel, with channels of zeros on both sides: no parameters.
    #[default]
    A,
    /// A 1 x 1 convolution with normalisation.
    B,
}

impl Architecture {
    /// All of them, by the names that recipes use.
    pub const ALL: [(&'static str, Architecture); 6] = [
        ("resnet8", Architecture::ResNet8),
        ("resnet20", Architecture::ResNet20(Shortcut::A)),
        ("resnet20-b", Architecture::ResNet20(Shortcut::B)),
        ("resnet18", Architecture::ResNet18),
        ("densenet-bc-100-12", Architecture::DenseNetBc100x12),
        ("mobilenet-v2-small", Architecture::MobileNetV2Small),
    ];
}

impl FromStr for Architecture {
    type Err = LabError;

    fn from_str(name: &str) -> Result<Self, LabError> {
        let known = Architecture::ALL.iter().find(|(known, _)| *known == name);
        known.map(|(_, architecture)| *architecture).ok_or_else(|| {
            let names = Architecture::ALL.map(|(name, _)| name).join(", ");
            LabError::Options(format!("network `{name}` is not in the zoo, which has {names}"))
        })
    }
}

impl fmt::Display for Architecture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = Architecture::ALL.iter().find(|(_, architecture)| architecture == self);
        f.write_str(known.map_or("", |(name, _)| name))
    }
}

/// A network to be built.
#[derive(Clone, Debug, PartialEq)]
pub struct Blueprint {
    /// Which.
    pub architecture: Architecture,
    /// Channels, rows and columns of the image.
    pub image: [usize; 3],
    /// How many classes.
    pub classes: usize,
    /// Subtracted from each channel of the pixels, which are 0 to 1.
    pub mean: Vec<f32>,
    /// Divides each channel after that.
    pub deviation: Vec<f32>,
    /// Seed of the weights.
    pub seed: u64,
}

/// Builds the network with its first weights.
///
/// # Errors
/// When the image is too small for the network's strides, or mean and deviation do not fit it.
pub fn build(blueprint: &Blueprint) -> Result<Graph, LabError> {
    let Blueprint { architecture, image, classes, mean, deviation, seed } = blueprint;
    let [channels, height, width] = *image;
    let wrong = |what: String| Err(LabError::Options(what));
    if mean.len() != channels || deviation.len() != channels {
        return wrong(format!(
            "mean and deviation have {} and {} numbers, the image has {channels} channels",
            mean.len(),
            deviation.len()
        ));
    }
    if let Some(bad) = deviation.iter().find(|d| !(d.is_finite() && **d > 0.0)) {
        return wrong(format!("a deviation is a number above 0, not {bad}"));
    }
    if *classes == 0 || height % 4 != 0 || width % 4 != 0 || height * width * channels == 0 {
        return wrong(format!(
            "{architecture} needs at least one class, and sides that 4 divides, not {classes} \
             classes of {height} x {width} pixels"
        ));
    }
    let mut layers = Layers::new(&architecture.to_string(), *image, *seed);
    layers.normalise(mean, deviation)?;
    match architecture {
        Architecture::ResNet8 => resnet::resnet8(&mut layers, *classes)?,
        Architecture::ResNet20(shortcut) => resnet::resnet20(&mut layers, *shortcut, *classes)?,
        Architecture::ResNet18 => resnet::resnet18(&mut layers, *classes)?,
        Architecture::DenseNetBc100x12 => densenet::bc_100_12(&mut layers, *classes)?,
        Architecture::MobileNetV2Small => mobilenet::v2_small(&mut layers, *classes)?,
    }
    Ok(layers.finish())
}

#[cfg(test)]
mod tests {
    use gradgate_graph::cost::Macs;
    use gradgate_graph::lower::Products;
    use gradgate_graph::taps::Taps;

    use super::*;

    fn built(name: &str) -> Graph {
        let blueprint = Blueprint {
            architecture: name.parse().expect("in the zoo"),
            image: [3, 32, 32],
            classes: 10,
            mean: vec![0.5; 3],
            deviation: vec![0.25; 3],
            seed: 1,
        };
        build(&blueprint).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// Tensors, trainable numbers and multiply-adds: ResNet-8 by MLPerf Tiny (78,666 numbers with
    /// the running statistics, 12.5 M); ResNet-20 by its authors (0.27 M, 40.55 M); ResNet-18 and
    /// DenseNet-BC by PyTorch's models (11,173,962 and 769,162 numbers).
    #[test]
    fn sizes_are_the_published_ones() {
        for (name, tensors, numbers, macs) in [
            ("resnet8", 34, 78_666 - 2 * 2 * (16 + 32 + 64) - 2 * 16, 12_501_632),
            ("resnet20", 59, 269_722, 40_551_040),
            ("resnet20-b", 65, 272_474, 40_813_184),
            ("resnet18", 62, 11_173_962, 555_422_720),
            ("densenet-bc-100-12", 299, 769_162, 287_929_692),
        ] {
            let graph = built(name);
            let count: usize = graph.parameters.iter().map(|&id| graph.value(id).elements()).sum();
            assert_eq!(graph.parameters.len(), tensors, "{name}");
            assert_eq!(count, numbers, "{name}");
            let cost = Macs::with_taps(&graph, &Taps::all(), &[], Products::default());
            assert_eq!(cost.expect(name).forward, macs, "{name}");
        }
    }

    #[test]
    fn every_network_is_built_and_named() {
        for (name, architecture) in Architecture::ALL {
            let graph = built(name);
            assert_eq!(architecture.to_string(), name);
            assert_eq!(graph.shape(graph.logits.expect("logits")), [1, 10], "{name}");
            let mut names: Vec<&str> = graph.values.iter().map(|v| v.name.as_str()).collect();
            names.sort_unstable();
            assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "{name}: a name twice");
        }
    }

    #[test]
    fn weights_are_drawn_by_he() {
        let graph = built("resnet18");
        let weight = graph.parameters.iter().map(|&id| graph.value(id));
        for value in weight.filter(|value| value.shape.len() == 4 && value.elements() > 50_000) {
            let data = &value.constant.as_ref().expect("a constant").data;
            let square: f64 = data.iter().map(|x| f64::from(*x).powi(2)).sum();
            let fan_in = (value.elements() / value.shape[0]) as f64;
            let ratio = square / data.len() as f64 * fan_in / 2.0;
            assert!((ratio - 1.0).abs() < 0.03, "{}: {ratio}", value.name);
        }
        let other = Blueprint { seed: 2, ..resnet8() };
        let weights = |blueprint: &Blueprint| {
            let graph = build(blueprint).expect("builds");
            graph.value(graph.parameters[0]).constant.clone()
        };
        assert_eq!(weights(&resnet8()), weights(&resnet8()));
        assert_ne!(weights(&resnet8()), weights(&other));
    }

    fn resnet8() -> Blueprint {
        Blueprint {
            architecture: Architecture::ResNet8,
            image: [3, 32, 32],
            classes: 10,
            mean: vec![0.0; 3],
            deviation: vec![1.0; 3],
            seed: 1,
        }
    }

    #[test]
    fn what_cannot_be_built_is_refused() {
        let base = resnet8();
        for (blueprint, says) in [
            (Blueprint { mean: vec![0.0], ..base.clone() }, "3 channels"),
            (Blueprint { deviation: vec![0.0; 3], ..base.clone() }, "above 0"),
            (Blueprint { classes: 0, ..base.clone() }, "class"),
            (Blueprint { image: [3, 30, 32], ..base }, "30 x 32"),
        ] {
            let error = build(&blueprint).expect_err(says).to_string();
            assert!(error.contains(says), "{error}");
        }
        let error = "resnet9".parse::<Architecture>().expect_err("unknown").to_string();
        assert!(error.contains("densenet-bc-100-12"), "{error}");
    }
}
