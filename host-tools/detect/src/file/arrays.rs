//! The heads with their arrays owned, as they stand in the detector file.

use gradgate_bundle::detector::{Composite, Energy, Gaussian, Head, Mlp, Prototypes, Table};
use gradgate_bundle::header::BlobRef;
use serde::{Deserialize, Serialize};

use crate::exact;

/// Stores an array and says where.
type Add<'a> = dyn FnMut(&[f32]) -> BlobRef + 'a;

/// See [`Head`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HeadArrays {
    /// One hidden ReLU layer.
    Mlp(MlpArrays),
    /// Mahalanobis distance.
    Gaussian(GaussianArrays),
    /// Cosine distance.
    Prototypes(PrototypeArrays),
    /// Two-sided energy.
    Energy(EnergyNumbers),
    /// Sum of component levels.
    Composite(Box<CompositeArrays>),
}

/// See [`Mlp`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MlpArrays {
    /// Hidden units.
    pub hidden: u32,
    /// `[hidden][inputs]`
    #[serde(with = "exact::list")]
    pub w1: Vec<f32>,
    /// `[hidden]`
    #[serde(with = "exact::list")]
    pub b1: Vec<f32>,
    /// `[hidden]`
    #[serde(with = "exact::list")]
    pub w2: Vec<f32>,
    /// Output bias.
    #[serde(with = "exact::one")]
    pub b2: f32,
}

/// See [`Gaussian`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GaussianArrays {
    /// `[groups][inputs]`
    #[serde(with = "exact::list")]
    pub means: Vec<f32>,
    /// Lower triangle by rows.
    #[serde(with = "exact::list")]
    pub whitening: Vec<f32>,
}

/// See [`Prototypes`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PrototypeArrays {
    /// Prototypes of each class.
    pub per_class: u32,
    /// `[groups][per_class][penultimate]`, unit vectors.
    #[serde(with = "exact::list")]
    pub vectors: Vec<f32>,
}

/// See [`Energy`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnergyNumbers {
    /// Median energy of normal frames.
    #[serde(with = "exact::one")]
    pub median: f32,
    /// One over the lower side's scale.
    #[serde(with = "exact::one")]
    pub below: f32,
    /// One over the upper side's scale.
    #[serde(with = "exact::one")]
    pub above: f32,
}

/// See [`Composite`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CompositeArrays {
    /// Inputs against their normal distribution.
    pub gaussian: Option<(GaussianArrays, TableArrays)>,
    /// Penultimate vector against its class.
    pub prototypes: Option<(PrototypeArrays, TableArrays)>,
    /// Energy, two-sided.
    pub energy: Option<(EnergyNumbers, TableArrays)>,
    /// Minus the logarithm of the largest softmax probability.
    pub confidence: Option<TableArrays>,
}

/// See [`Table`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TableArrays {
    /// Strictly ascending.
    #[serde(with = "exact::list")]
    pub scores: Vec<f32>,
    /// `-ln p`, not descending.
    #[serde(with = "exact::list")]
    pub levels: Vec<f32>,
}

impl HeadArrays {
    /// Name on the command line.
    pub fn name(&self) -> &'static str {
        match self {
            HeadArrays::Mlp(_) => "mlp",
            HeadArrays::Gaussian(_) => "gaussian",
            HeadArrays::Prototypes(_) => "prototypes",
            HeadArrays::Energy(_) => "energy",
            HeadArrays::Composite(_) => "composite",
        }
    }

    /// The wire type.
    pub fn to_wire(&self, add: &mut Add<'_>) -> Head {
        match self {
            HeadArrays::Mlp(mlp) => Head::Mlp(Mlp {
                hidden: mlp.hidden,
                w1: add(&mlp.w1),
                b1: add(&mlp.b1),
                w2: add(&mlp.w2),
                b2: mlp.b2,
            }),
            HeadArrays::Gaussian(part) => Head::Gaussian(part.to_wire(add)),
            HeadArrays::Prototypes(part) => Head::Prototypes(part.to_wire(add)),
            HeadArrays::Energy(part) => Head::Energy(part.to_wire()),
            HeadArrays::Composite(part) => Head::Composite(part.to_wire(add)),
        }
    }
}

impl GaussianArrays {
    fn to_wire(&self, add: &mut Add<'_>) -> Gaussian {
        Gaussian { means: add(&self.means), whitening: add(&self.whitening) }
    }
}

impl PrototypeArrays {
    fn to_wire(&self, add: &mut Add<'_>) -> Prototypes {
        Prototypes { per_class: self.per_class, vectors: add(&self.vectors) }
    }
}

impl EnergyNumbers {
    fn to_wire(self) -> Energy {
        Energy { median: self.median, below: self.below, above: self.above }
    }
}

impl TableArrays {
    /// The wire type.
    pub fn to_wire(&self, add: &mut Add<'_>) -> Table {
        Table { scores: add(&self.scores), levels: add(&self.levels) }
    }
}

impl CompositeArrays {
    fn to_wire(&self, add: &mut Add<'_>) -> Composite {
        Composite {
            gaussian: self.gaussian.as_ref().map(|(part, t)| (part.to_wire(add), t.to_wire(add))),
            prototypes: self
                .prototypes
                .as_ref()
                .map(|(part, table)| (part.to_wire(add), table.to_wire(add))),
            energy: self.energy.as_ref().map(|(part, table)| (part.to_wire(), table.to_wire(add))),
            confidence: self.confidence.as_ref().map(|table| table.to_wire(add)),
        }
    }
}

/// [`gradgate_bundle::detector::Inputs`] as names, comma-separated.
pub mod input_names {
    use gradgate_bundle::detector::Inputs;
    use serde::{Deserialize, Deserializer, Serializer};

    use crate::fit::options::{input_names, parse_inputs};

    /// Writes.
    pub fn serialize<S: Serializer>(inputs: &Inputs, out: S) -> Result<S::Ok, S::Error> {
        out.serialize_str(&input_names(*inputs))
    }

    /// Reads.
    pub fn deserialize<'de, D: Deserializer<'de>>(input: D) -> Result<Inputs, D::Error> {
        parse_inputs(&String::deserialize(input)?).map_err(serde::de::Error::custom)
    }
}
