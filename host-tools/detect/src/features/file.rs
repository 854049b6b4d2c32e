//! The feature file: safetensors with string metadata, written whole or not at all.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use safetensors::{Dtype, SafeTensors};

use super::{FeatureSet, Kinds, Metadata, SCHEMA_VERSION};
use crate::DetectError;
use crate::tensors::{TensorWriter, array, bytes_of, open};

/// For messages.
const KIND: &str = "feature";
/// The tensor of times and the metadata of sequences: absent where there are none.
const TIME: &str = "time_ns";
const SEQUENCES: &str = "sequences";
/// Tensors and metadata of frames that were made of others, and of their pixels: absent where there
/// are none.
const KIND_OF_FRAME: &str = "kind";
const SEVERITY: &str = "severity";
const KINDS: &str = "kinds";
const KINDS_IN_TIME: &str = "kinds_in_time";
const STATISTICS: &str = "image_statistics";

impl FeatureSet {
    /// Reads and checks a feature file.
    ///
    /// # Errors
    /// The file cannot be read, is not a feature file of this version, or holds values that
    /// cannot be used.
    pub fn read(path: &Path) -> Result<FeatureSet, DetectError> {
        let bytes = fs::read(path).map_err(|error| DetectError::io(path, error))?;
        FeatureSet::from_bytes(&bytes).map_err(|error| match error {
            DetectError::Data(problem) => DetectError::file(path, problem),
            other => other,
        })
    }

    /// As [`FeatureSet::read`], from memory.
    ///
    /// # Errors
    /// Not a feature file of this version, or values that cannot be used.
    pub fn from_bytes(bytes: &[u8]) -> Result<FeatureSet, DetectError> {
        let (metadata, tensors) = open(bytes)?;
        let sequences = read_sequences(&metadata)?;
        let kinds = read_kinds(&metadata, &tensors)?;
        let metadata = read_metadata(&metadata)?;
        let source = array(KIND, &tensors, "source", Dtype::I64, None, i64::from_le_bytes)?;
        let n = source.values.len();
        let two = Some(n);
        let logits = array(KIND, &tensors, "logits", Dtype::F32, two, f32::from_le_bytes)?;
        let norms = array(KIND, &tensors, "squared_norms", Dtype::F64, two, f64::from_le_bytes)?;
        let layers =
            array(KIND, &tensors, "activation_norms", Dtype::F64, two, f64::from_le_bytes)?;
        let penultimate =
            array(KIND, &tensors, "penultimate", Dtype::F32, two, f32::from_le_bytes)?;
        let cosines = array(KIND, &tensors, "alignments", Dtype::F32, two, f32::from_le_bytes)?;
        let labels = array(KIND, &tensors, "labels", Dtype::I64, None, i64::from_le_bytes)?;
        let time_ns = match tensors.tensor(TIME) {
            Ok(_) => array(KIND, &tensors, TIME, Dtype::I64, None, i64::from_le_bytes)?.values,
            Err(_) => Vec::new(),
        };
        let image_statistics = match tensors.tensor(STATISTICS) {
            Ok(_) => array(KIND, &tensors, STATISTICS, Dtype::F32, two, f32::from_le_bytes)?.values,
            Err(_) => Vec::new(),
        };
        let set = FeatureSet {
            time_ns,
            sequences,
            kinds,
            image_statistics,
            metadata,
            classes: logits.columns,
            penultimate_length: penultimate.columns,
            logits: logits.values,
            squared_norms: norms.values,
            activation_norms: layers.values,
            penultimate: penultimate.values,
            alignments: cosines.values,
            labels: labels.values,
            source: source.values,
        };
        set.validate()?;
        Ok(set)
    }

    /// Writes the file under a temporary name in the same folder, then renames it.
    ///
    /// # Errors
    /// Values that cannot be used, or what the system says; the old file is then untouched.
    pub fn write(&self, path: &Path) -> Result<(), DetectError> {
        let bytes = self.to_bytes()?;
        write_atomic(path, &bytes)
    }

    /// The file's bytes; equal sets give equal bytes.
    ///
    /// # Errors
    /// Values that cannot be used.
    pub fn to_bytes(&self) -> Result<Vec<u8>, DetectError> {
        self.validate()?;
        let n = self.len();
        let mut file = TensorWriter::default();
        let mut add = |name: &str, dtype: &str, shape: Vec<usize>, bytes: Vec<u8>| {
            file.add(name, dtype, &shape, bytes);
        };
        let meta = &self.metadata;
        // Eight-byte elements first, so that all tensors stay aligned.
        let norms = bytes_of(&self.squared_norms, f64::to_le_bytes);
        add("squared_norms", "F64", vec![n, meta.parameters.len()], norms);
        let layers = bytes_of(&self.activation_norms, f64::to_le_bytes);
        add("activation_norms", "F64", vec![n, meta.layers.len()], layers);
        add("labels", "I64", vec![n], bytes_of(&self.labels, i64::to_le_bytes));
        add("source", "I64", vec![n], bytes_of(&self.source, i64::to_le_bytes));
        if !self.time_ns.is_empty() {
            add(TIME, "I64", vec![n], bytes_of(&self.time_ns, i64::to_le_bytes));
        }
        if !self.kinds.is_empty() {
            add(KIND_OF_FRAME, "I64", vec![n], bytes_of(&self.kinds.of_frame, i64::to_le_bytes));
            add(SEVERITY, "I64", vec![n], bytes_of(&self.kinds.severities, i64::to_le_bytes));
        }
        add("logits", "F32", vec![n, self.classes], bytes_of(&self.logits, f32::to_le_bytes));
        let penultimate = bytes_of(&self.penultimate, f32::to_le_bytes);
        add("penultimate", "F32", vec![n, self.penultimate_length], penultimate);
        let cosines = bytes_of(&self.alignments, f32::to_le_bytes);
        add("alignments", "F32", vec![n, meta.alignments.len()], cosines);
        if !self.image_statistics.is_empty() {
            let columns = self.image_statistics.len() / n;
            let statistics = bytes_of(&self.image_statistics, f32::to_le_bytes);
            add(STATISTICS, "F32", vec![n, columns], statistics);
        }
        let mut text = write_metadata(&self.metadata);
        if !self.kinds.is_empty() {
            text.insert(KINDS, self.kinds.names.join(","));
            text.insert(KINDS_IN_TIME, self.kinds.in_time.join(","));
        }
        if !self.sequences.is_empty() {
            let names = serde_json::to_string(&self.sequences)
                .map_err(|error| DetectError::Data(format!("names of sequences: {error}")))?;
            text.insert(SEQUENCES, names);
        }
        file.finish(&text)
    }
}

/// Writes under a temporary name in the same folder, flushes to disk, then renames.
///
/// # Errors
/// What the system says; the temporary file is removed.
pub fn write_atomic(path: &Path, bytes: &[u8]) -> Result<(), DetectError> {
    let name = path.file_name().ok_or_else(|| DetectError::file(path, "not a file name"))?;
    let mut temporary = name.to_owned();
    temporary.push(format!(".{}.partial", std::process::id()));
    let temporary: PathBuf = path.with_file_name(temporary);
    let attempt = || {
        let mut file = fs::File::create(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        drop(file);
        fs::rename(&temporary, path)
    };
    attempt().map_err(|error| {
        // The first error is the one to report.
        let _ = fs::remove_file(&temporary);
        DetectError::io(path, error)
    })
}

fn write_metadata(metadata: &Metadata) -> BTreeMap<&'static str, String> {
    BTreeMap::from([
        ("schema", SCHEMA_VERSION.to_owned()),
        ("parameters", metadata.parameters.join(",")),
        ("layers", metadata.layers.join(",")),
        ("alignments", metadata.alignments.join(",")),
        ("preprocessing", metadata.preprocessing.clone()),
        ("label", metadata.label.clone()),
        ("executor", metadata.executor.clone()),
        ("numerics", metadata.numerics.clone()),
        ("model_digest", metadata.model_digest.clone()),
        ("schema_digest", metadata.schema_digest.clone()),
        ("references_digest", metadata.references_digest.clone()),
        ("frames", metadata.frames.clone()),
    ])
}

fn read_sequences(text: &HashMap<String, String>) -> Result<BTreeMap<i64, String>, DetectError> {
    let Some(names) = text.get(SEQUENCES) else { return Ok(BTreeMap::new()) };
    serde_json::from_str(names).map_err(|error| {
        DetectError::Data(format!(
            "metadata \"{SEQUENCES}\" is no object of names by source ({error}); write the file \
             with `gradgate features`"
        ))
    })
}

/// Names and, of each frame, kind and severity.
fn read_kinds(
    text: &HashMap<String, String>,
    tensors: &SafeTensors<'_>,
) -> Result<Kinds, DetectError> {
    let Some(names) = text.get(KINDS) else { return Ok(Kinds::default()) };
    let split = |text: &str| -> Vec<String> {
        text.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect()
    };
    let column = |name| array(KIND, tensors, name, Dtype::I64, None, i64::from_le_bytes);
    Ok(Kinds {
        names: split(names),
        in_time: text.get(KINDS_IN_TIME).map(|names| split(names)).unwrap_or_default(),
        of_frame: column(KIND_OF_FRAME)?.values,
        severities: column(SEVERITY)?.values,
    })
}

fn read_metadata(text: &HashMap<String, String>) -> Result<Metadata, DetectError> {
    let field = |name: &str| {
        text.get(name).cloned().ok_or_else(|| {
            DetectError::Data(format!(
                "metadata \"{name}\" is missing; write the file with `gradgate features`"
            ))
        })
    };
    let version = field("schema")?;
    if version != SCHEMA_VERSION {
        return Err(DetectError::Data(format!(
            "feature file version {version}; this tool reads version {SCHEMA_VERSION}: compute the \
             features again"
        )));
    }
    let names = |name: &str| -> Result<_, DetectError> {
        let text = field(name)?;
        let split = if text.is_empty() { vec![] } else { text.split(',').collect() };
        Ok(split.into_iter().map(str::to_owned).collect::<Vec<_>>())
    };
    Ok(Metadata {
        parameters: names("parameters")?,
        layers: names("layers")?,
        alignments: names("alignments")?,
        preprocessing: field("preprocessing")?,
        label: field("label")?,
        executor: field("executor")?,
        numerics: field("numerics")?,
        model_digest: field("model_digest")?,
        schema_digest: field("schema_digest")?,
        references_digest: field("references_digest")?,
        frames: field("frames")?,
    })
}

#[cfg(test)]
mod tests {
    use super::super::NO_TIME;
    use super::super::tests::synthetic;
    use super::*;

    #[test]
    fn what_is_written_comes_back() {
        let mut set = synthetic(20, 0.0, 3, 2);
        let folder = std::env::temp_dir().join(format!("gradgate-features-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join("f.safetensors");
        set.write(&path).unwrap();
        assert_eq!(FeatureSet::read(&path).unwrap(), set);
        let plain = fs::read(&path).unwrap();
        assert!(!plain.windows(TIME.len()).any(|window| window == TIME.as_bytes()));
        set.time_ns = (0..20).map(|frame| 1_700_000_000_000_000_000 + frame).collect();
        set.time_ns[3] = NO_TIME;
        set.sequences = BTreeMap::from([(0, "run.mcap \"/cam\", é".to_owned()), (7, "b".into())]);
        set.write(&path).unwrap();
        assert_eq!(FeatureSet::read(&path).unwrap(), set);
        set.image_statistics = (0..200).map(|at| at as f32).collect();
        set.kinds = Kinds {
            names: vec!["fog".into(), "frozen-frame".into()],
            in_time: vec!["frozen-frame".into()],
            of_frame: (0..20).map(|frame| frame % 2).collect(),
            severities: (0..20).map(|frame| 1 + frame % 5).collect(),
        };
        set.write(&path).unwrap();
        assert_eq!(FeatureSet::read(&path).unwrap(), set);
        assert_eq!(set.to_bytes().unwrap(), fs::read(&path).unwrap());
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
        // A network without norms, alignments and penultimate vector.
        set.metadata.parameters.clear();
        set.squared_norms.clear();
        set.metadata.alignments.clear();
        set.metadata.references_digest.clear();
        set.alignments.clear();
        (set.penultimate_length, set.penultimate) = (0, vec![]);
        assert_eq!(FeatureSet::from_bytes(&set.to_bytes().unwrap()).unwrap(), set);
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn files_of_another_kind_are_refused() {
        let bytes = synthetic(4, 0.0, 3, 1).to_bytes().unwrap();
        let replaced = |from: &str, to: &str| {
            let at = bytes.windows(from.len()).position(|window| window == from.as_bytes());
            let at = at.unwrap_or_else(|| panic!("no {from} in the file"));
            let mut changed = bytes.clone();
            changed[at..at + from.len()].copy_from_slice(to.as_bytes());
            FeatureSet::from_bytes(&changed).unwrap_err().to_string()
        };
        let cases = [
            ("\"schema\":\"1\"", "\"schema\":\"2\"", "version 2"),
            ("\"executor\"", "\"executir\"", "\"executor\" is missing"),
            ("\"labels\"", "\"lebels\"", "\"labels\" is missing"),
            ("\"shape\":[4,4]", "\"shape\":[2,8]", "does not fit 4 rows"),
        ];
        for (from, to, wanted) in cases {
            let error = replaced(from, to);
            assert!(error.contains(wanted), "{wanted}: {error}");
        }
        for length in [0, 7, 8, 100, bytes.len() - 1] {
            assert!(FeatureSet::from_bytes(&bytes[..length]).is_err());
        }
    }
}
