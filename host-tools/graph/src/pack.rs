//! From a planned schedule to the records and blobs of a bundle.
//!
//! Knows nothing of detectors and policies: the caller completes the header and calls
//! `gradgate_bundle::write`.

use std::collections::HashMap;
use std::fmt;

use gradgate_bundle::header::{Layout, Schema};
use gradgate_bundle::op::NONE;
use gradgate_bundle::record::{OPERANDS, StepRecord, TensorKind, TensorRecord};
use gradgate_bundle::write::push_floats;

use crate::expand::Expanded;
use crate::graph::{Graph, ValueId};
use crate::lower::Products;
use crate::plan::Plan;
use crate::schedule::{Schedule, Storage, TensorId};

/// Why no records were made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PackError {
    /// More tensors than a step record can address.
    TooManyTensors(usize),
    /// More features than a parameter record can address.
    TooManyFeatures(usize),
    /// The blobs are longer than a bundle can state.
    TooLong,
    /// A name that a schema cannot hold.
    Name(String),
}

impl fmt::Display for PackError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooManyTensors(n) => write!(f, "{n} tensors, a bundle holds at most 65,534"),
            Self::TooManyFeatures(n) => write!(f, "{n} features, a bundle holds at most 65,534"),
            Self::TooLong => {
                write!(f, "the bundle would be longer than 4 GiB; use a smaller model")
            }
            Self::Name(name) => {
                write!(f, "the name {name:?} holds a comma or a line break; rename it in the model")
            }
        }
    }
}

impl std::error::Error for PackError {}

/// Fixed-width records and blobs of a bundle.
#[derive(Clone, Debug)]
pub struct Packed {
    /// Tensor records, in schedule order.
    pub tensors: Vec<TensorRecord>,
    /// Step records, in order.
    pub steps: Vec<StepRecord>,
    /// Parameter records; equal ones are stored once.
    pub params: Vec<u8>,
    /// Weights; detector tables and the self-test may be appended.
    pub blobs: Vec<u8>,
    /// Where the results lie.
    pub layout: Layout,
}

/// Names of the features, joined by line breaks as a header wants them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchemaNames {
    /// Parameters whose squared gradient norm is a feature.
    pub parameters: String,
    /// Layers whose squared activation norm is a feature.
    pub layers: String,
    /// Weights whose alignment is a feature.
    pub alignments: String,
    /// Number of classes.
    pub classes: u32,
    /// Length of the penultimate vector, 0 without one.
    pub penultimate: u32,
}

impl SchemaNames {
    /// The schema that these names make up, as a header and its digest want it.
    pub fn schema(&self, folded: bool, products: Products) -> Schema<'_> {
        Schema {
            parameters: &self.parameters,
            layers: &self.layers,
            alignments: &self.alignments,
            classes: self.classes,
            penultimate: self.penultimate,
            folded,
            products_kept: products == Products::Kept,
        }
    }
}

/// The feature names of an expanded graph.
///
/// # Errors
/// When a name holds a comma or a line break, which separate names in files.
pub fn schema_names(expanded: &Expanded) -> Result<SchemaNames, PackError> {
    let graph = &expanded.graph;
    let length = |value: Option<ValueId>| value.map_or(0, |v| graph.value(v).elements() as u32);
    Ok(SchemaNames {
        parameters: names(graph, &expanded.squared_norms)?,
        layers: names(graph, &expanded.activation_norms)?,
        alignments: names(graph, &expanded.alignments)?,
        classes: length(graph.logits),
        penultimate: length(expanded.penultimate),
    })
}

fn names(graph: &Graph, taps: &[(ValueId, ValueId)]) -> Result<String, PackError> {
    let name = |&(value, _): &(ValueId, ValueId)| {
        let name = &graph.value(value).name;
        match name.contains([',', '\n', '\r']) {
            true => Err(PackError::Name(name.clone())),
            false => Ok(name.as_str()),
        }
    };
    Ok(taps.iter().map(name).collect::<Result<Vec<_>, _>>()?.join("\n"))
}

/// Records and blobs of a planned schedule. Deterministic.
///
/// # Errors
/// See [`PackError`].
pub fn pack(schedule: &Schedule, plan: &Plan) -> Result<Packed, PackError> {
    if schedule.features >= usize::from(NONE) {
        return Err(PackError::TooManyFeatures(schedule.features));
    }
    let mut blobs = Vec::new();
    let mut tensors = Vec::new();
    let mut numbers = vec![NONE; schedule.tensors.len()];
    for (id, tensor) in schedule.tensors.iter().enumerate() {
        let (kind, offset) = match (&tensor.storage, plan.offsets[id]) {
            (Storage::Blob(data), _) => {
                let blob = push_floats(&mut blobs, data).map_err(|_| PackError::TooLong)?;
                (TensorKind::Blob, blob.offset)
            }
            (Storage::Arena, Some(offset)) => (TensorKind::Arena, offset as u32),
            (Storage::Arena, None) => continue,
        };
        let number = u16::try_from(tensors.len()).ok().filter(|&n| n != NONE);
        numbers[id] = number.ok_or(PackError::TooManyTensors(schedule.tensors.len()))?;
        tensors.push(TensorRecord {
            kind: (kind as u32).into(),
            offset: offset.into(),
            elements: (tensor.elements as u32).into(),
        });
    }
    let (mut params, mut known) = (Vec::new(), HashMap::new());
    let steps = schedule.steps.iter().map(|step| {
        let mut operands = [NONE.into(); OPERANDS];
        for (place, operand) in operands.iter_mut().zip(&step.operands) {
            *place = operand.map_or(NONE, |TensorId(id)| numbers[id]).into();
        }
        StepRecord {
            opcode: (step.opcode as u16).into(),
            reserved: 0.into(),
            params: (intern(&mut params, &mut known, &step.params) as u32).into(),
            operands,
        }
    });
    let steps = steps.collect();
    let layout = Layout {
        arena_elements: plan.arena_elements as u32,
        features_offset: plan.features_offset as u32,
        logits: numbers[schedule.logits.0],
        penultimate: schedule.penultimate.map_or(NONE, |id| numbers[id.0]),
        scratch_offset: plan.scratch_offset as u32,
    };
    Ok(Packed { tensors, steps, params, blobs, layout })
}

/// Offset of a record in the section; equal ones are shared, whatever operation they belong to.
fn intern<'s>(
    section: &mut Vec<u8>,
    known: &mut HashMap<&'s [u8], usize>,
    record: &'s [u8],
) -> usize {
    *known.entry(record).or_insert_with(|| {
        section.extend_from_slice(record);
        section.len() - record.len()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expand::{Label, expand};
    use crate::graph::Tensor;
    use crate::ops::Op;
    use crate::taps::Taps;

    /// A linear classifier whose weight and first layer have the given names.
    fn expanded(weight: &str, layer: &str) -> Expanded {
        let mut graph = Graph::default();
        let image = graph.add_input("image", [1, 1, 2, 2]);
        let w = graph.add_constant(weight, Tensor::new([4, 4], vec![0.5; 16]));
        let flat = graph.push("flat", Op::Reshape { shape: vec![1, 4] }, &[image]).unwrap();
        let gemm = Op::Gemm { transpose_b: true };
        let hidden = graph.push_named("first", layer, gemm.clone(), &[flat, w]).unwrap();
        let hidden = graph.push("softmax", Op::Softmax { axis: 1 }, &[hidden]).unwrap();
        graph.logits = Some(graph.push("logits", gemm, &[hidden, w]).unwrap());
        graph.parameters = vec![w];
        expand(&graph, &Label::Ones, &Taps::all()).unwrap()
    }

    #[test]
    fn names_that_a_schema_cannot_hold_are_refused() {
        let names = schema_names(&expanded("fc.weight", "hidden")).unwrap();
        assert_eq!((names.parameters.as_str(), names.layers.as_str()), ("fc.weight", "hidden"));
        assert_eq!((names.classes, names.penultimate), (4, 4));
        for bad in ["a,b", "a\nb", "a\rb", ","] {
            let error = Err(PackError::Name(bad.to_owned()));
            assert_eq!(schema_names(&expanded(bad, "hidden")), error);
            assert_eq!(schema_names(&expanded("fc.weight", bad)), error);
        }
        let text = PackError::Name("a,b".into()).to_string();
        assert!(text.contains("\"a,b\"") && text.contains("rename"), "{text}");
    }

    #[test]
    fn equal_records_are_stored_once() {
        let (mut section, mut known) = (Vec::new(), HashMap::new());
        let records: [&[u8]; 4] = [b"abcd", b"efg", b"abcd", b"ab"];
        let offsets = records.map(|record| intern(&mut section, &mut known, record));
        assert_eq!(offsets, [0, 4, 0, 7]);
        assert_eq!(section, b"abcdefgab");
    }
}
