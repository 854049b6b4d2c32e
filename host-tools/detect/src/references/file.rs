//! The references file: safetensors with string metadata, written whole or not at all.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::Path;

use safetensors::Dtype;
use sha2::{Digest, Sha256};

use super::{LayerReference, LayerShape, References, ReferencesFor};
use crate::DetectError;
use crate::features::write_atomic;
use crate::tensors::{TensorWriter, array, bytes_of, open};

/// What the metadata's `schema` holds.
const SCHEMA: &str = "gradgate references 1";

/// For messages.
const KIND: &str = "references";

impl References {
    /// Reads and checks a references file.
    ///
    /// # Errors
    /// The file cannot be read, is of another kind or version, or holds values that cannot be used.
    pub fn read(path: &Path) -> Result<References, DetectError> {
        let bytes = fs::read(path).map_err(|error| DetectError::io(path, error))?;
        References::from_bytes(&bytes).map_err(|error| match error {
            DetectError::Data(problem) => DetectError::file(path, problem),
            other => other,
        })
    }

    /// As [`References::read`], from memory.
    ///
    /// # Errors
    /// A file of another kind or version, or values that cannot be used.
    pub fn from_bytes(bytes: &[u8]) -> Result<References, DetectError> {
        let (metadata, tensors) = open(bytes)?;
        let field = |name: &str| field(&metadata, name);
        let schema = field("schema")?;
        if schema != SCHEMA {
            return Err(DetectError::Data(format!(
                "\"{schema}\" is not \"{SCHEMA}\"; fit them with `gradgate references`"
            )));
        }
        let counts = array(KIND, &tensors, "counts", Dtype::I64, None, i64::from_le_bytes)?.values;
        let seen = array(KIND, &tensors, "seen", Dtype::I64, None, i64::from_le_bytes)?.values;
        let groups = list(&field("groups")?);
        let parameters = list(&field("parameters")?);
        if groups.len() != parameters.len() {
            return Err(DetectError::Data("groups and parameters differ in number".into()));
        }
        let mut layers = vec![];
        for (parameter, groups) in parameters.into_iter().zip(groups) {
            let factor = |which: &str| {
                let (name, rows) = (format!("{parameter}.{which}"), Some(counts.len()));
                array(KIND, &tensors, &name, Dtype::F32, rows, f32::from_le_bytes)
            };
            let (u, v) = (factor("u")?, factor("v")?);
            let groups = groups.parse().ok().filter(|&groups: &usize| {
                groups > 0 && u.columns % groups == 0 && v.columns % groups == 0
            });
            let groups = groups.ok_or_else(|| {
                DetectError::Data(format!("the groups of {parameter} do not divide its factors"))
            })?;
            let (outputs, inputs) = (u.columns, v.columns / groups);
            let shape = LayerShape { parameter, outputs, groups, inputs };
            layers.push(LayerReference { shape, u: u.values, v: v.values });
        }
        let references = References {
            fitted_for: ReferencesFor {
                model_digest: field("model_digest")?,
                label: field("label")?,
                preprocessing: field("preprocessing")?,
            },
            frames: field("frames")?,
            counts,
            seen,
            layers,
        };
        references.validate()?;
        Ok(references)
    }

    /// Writes the file under a temporary name in the same folder, then renames it.
    ///
    /// # Errors
    /// Values that cannot be used, or what the system says.
    pub fn write(&self, path: &Path) -> Result<(), DetectError> {
        write_atomic(path, &self.to_bytes()?)
    }

    /// The file's bytes; equal references give equal bytes.
    ///
    /// # Errors
    /// Values that cannot be used.
    pub fn to_bytes(&self) -> Result<Vec<u8>, DetectError> {
        self.validate()?;
        let classes = self.counts.len();
        let mut file = TensorWriter::default();
        file.add("counts", "I64", &[classes], bytes_of(&self.counts, i64::to_le_bytes));
        file.add("seen", "I64", &[self.seen.len()], bytes_of(&self.seen, i64::to_le_bytes));
        for LayerReference { shape, u, v } in &self.layers {
            let LayerShape { parameter, outputs, groups, inputs } = shape;
            let bytes = bytes_of(u, f32::to_le_bytes);
            file.add(&format!("{parameter}.u"), "F32", &[classes, *outputs], bytes);
            let bytes = bytes_of(v, f32::to_le_bytes);
            file.add(&format!("{parameter}.v"), "F32", &[classes, groups * inputs], bytes);
        }
        let join = |of: fn(&LayerShape) -> String| {
            self.layers.iter().map(|layer| of(&layer.shape)).collect::<Vec<_>>().join(",")
        };
        file.finish(&BTreeMap::from([
            ("schema", SCHEMA.to_owned()),
            ("model_digest", self.fitted_for.model_digest.clone()),
            ("label", self.fitted_for.label.clone()),
            ("preprocessing", self.fitted_for.preprocessing.clone()),
            ("frames", self.frames.clone()),
            ("parameters", join(|shape| shape.parameter.clone())),
            ("groups", join(|shape| shape.groups.to_string())),
        ]))
    }

    /// SHA-256 of the file's bytes.
    ///
    /// # Errors
    /// As [`References::to_bytes`].
    pub fn digest(&self) -> Result<[u8; 32], DetectError> {
        Ok(Sha256::digest(self.to_bytes()?).into())
    }

    fn validate(&self) -> Result<(), DetectError> {
        let bad = |problem: String| Err(DetectError::Data(problem));
        let classes = self.counts.len();
        if classes < 2 || self.counts.iter().any(|count| *count < 0) || self.layers.is_empty() {
            return bad("no layers, fewer than two classes or a negative count".into());
        }
        for LayerReference { shape, u, v } in &self.layers {
            let name = &shape.parameter;
            if name.is_empty() || name.contains([',', '\n', '\r']) {
                return bad(format!("\"{name}\" cannot name a weight; rename it in the model"));
            }
            let row = shape.groups.checked_mul(shape.inputs);
            let fits = classes.checked_mul(shape.outputs) == Some(u.len())
                && row.and_then(|row| classes.checked_mul(row)) == Some(v.len())
                && !u.is_empty()
                && !v.is_empty();
            if !fits || u.iter().chain(v).any(|value| !value.is_finite()) {
                return bad(format!("the factors of {name} have a wrong length or are not finite"));
            }
        }
        Ok(())
    }
}

fn field(metadata: &HashMap<String, String>, name: &str) -> Result<String, DetectError> {
    metadata.get(name).cloned().ok_or_else(|| {
        DetectError::Data(format!(
            "metadata \"{name}\" is missing; this is not what `gradgate references` writes"
        ))
    })
}

fn list(text: &str) -> Vec<String> {
    if text.is_empty() { vec![] } else { text.split(',').map(str::to_owned).collect() }
}
