//! safetensors files with string metadata: what feature files and references share.

use std::collections::{BTreeMap, HashMap};

use safetensors::{Dtype, SafeTensors};

use crate::DetectError;

/// A file under construction; equal contents give equal bytes.
#[derive(Default)]
pub(crate) struct TensorWriter {
    data: Vec<u8>,
    header: BTreeMap<String, serde_json::Value>,
}

impl TensorWriter {
    /// Adds a tensor; those with the longest elements come first, so that all stay aligned.
    pub fn add(&mut self, name: &str, dtype: &str, shape: &[usize], bytes: Vec<u8>) {
        let start = self.data.len();
        self.data.extend(bytes);
        let offsets = [start, self.data.len()];
        let entry = serde_json::json!({"dtype": dtype, "shape": shape, "data_offsets": offsets});
        self.header.insert(name.to_owned(), entry);
    }

    /// The file's bytes.
    pub fn finish(mut self, metadata: &BTreeMap<&str, String>) -> Result<Vec<u8>, DetectError> {
        self.header.insert("__metadata__".to_owned(), serde_json::json!(metadata));
        let mut text = serde_json::to_vec(&self.header)
            .map_err(|error| DetectError::Data(format!("metadata: {error}")))?;
        text.resize(text.len().next_multiple_of(8), b' ');
        let mut bytes = (text.len() as u64).to_le_bytes().to_vec();
        bytes.extend(text);
        bytes.extend(self.data);
        Ok(bytes)
    }
}

/// Little-endian bytes of values.
pub(crate) fn bytes_of<T: Copy, const N: usize>(values: &[T], bytes: fn(T) -> [u8; N]) -> Vec<u8> {
    values.iter().flat_map(|value| bytes(*value)).collect()
}

/// Metadata and tensors of a file.
pub(crate) fn open(
    bytes: &[u8],
) -> Result<(HashMap<String, String>, SafeTensors<'_>), DetectError> {
    let broken = |error| DetectError::Data(format!("not a safetensors file: {error}"));
    let (_, header) = SafeTensors::read_metadata(bytes).map_err(broken)?;
    let metadata = header.metadata().clone().unwrap_or_default();
    Ok((metadata, SafeTensors::deserialize(bytes).map_err(broken)?))
}

/// Values of a tensor.
pub(crate) struct Array<T> {
    pub values: Vec<T>,
    pub columns: usize,
}

/// A tensor of the right type and shape: `[n]` without rows, `[rows, columns]` with. `kind` names
/// the file for messages.
pub(crate) fn array<T, const N: usize>(
    kind: &str,
    tensors: &SafeTensors<'_>,
    name: &str,
    dtype: Dtype,
    rows: Option<usize>,
    value: fn([u8; N]) -> T,
) -> Result<Array<T>, DetectError> {
    let view = tensors.tensor(name).map_err(|_| {
        DetectError::Data(format!("tensor \"{name}\" is missing; this is not a {kind} file"))
    })?;
    let columns = match (rows, view.shape()) {
        (None, [_]) => 1,
        (Some(rows), [have, columns]) if *have == rows => *columns,
        (_, shape) => {
            return Err(DetectError::Data(format!(
                "tensor \"{name}\" has shape {shape:?}, which does not fit {} rows",
                rows.map_or("the".to_owned(), |rows| rows.to_string())
            )));
        }
    };
    if view.dtype() != dtype {
        let have = view.dtype();
        return Err(DetectError::Data(format!("tensor \"{name}\" is {have:?}, not {dtype:?}")));
    }
    let (chunks, _) = view.data().as_chunks::<N>();
    Ok(Array { values: chunks.iter().map(|chunk| value(*chunk)).collect(), columns })
}
