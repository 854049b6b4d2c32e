//! The references file on the command line, and what features inherit from it.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use gradgate_bundle::digest::sha256;
use gradgate_detect::references::References;
use gradgate_frame::Preprocessing;
use gradgate_frames::Pixels;
use gradgate_graph::expand::Label;

use crate::label;

/// Reads what `references` wrote.
pub fn read(path: &Path) -> Result<References> {
    References::read(path)
        .with_context(|| format!("--references {} (needs what `references` wrote)", path.display()))
}

/// Label and preprocessing as given, else those of the references, else the usual ones. Whether
/// given ones are those of the references is checked when the model is expanded.
pub fn inherit(
    path: Option<&Path>,
    label: Option<&str>,
    preprocessing: Option<&str>,
) -> Result<(Label, Preprocessing, Option<Arc<References>>)> {
    let references = path.map(read).transpose()?;
    let theirs = references.as_ref().map(|references| &references.fitted_for);
    let label = match (label, theirs) {
        (Some(text), _) => label::from_argument(text)?,
        (None, Some(theirs)) => label::from_text(&theirs.label)?,
        (None, None) => Label::Ones,
    };
    let preprocessing = match (preprocessing, theirs) {
        (Some(text), _) => text.parse().with_context(|| format!("--preprocessing {text:?}"))?,
        (None, Some(theirs)) => {
            let text = &theirs.preprocessing;
            text.parse().with_context(|| format!("preprocessing {text:?} of the references"))?
        }
        (None, None) => Preprocessing::default(),
    };
    Ok((label, preprocessing, references.map(Arc::new)))
}

/// What tells a frame from others: the first half of a digest of its pixels.
pub fn fingerprint(pixels: &Pixels) -> i64 {
    let digest = match pixels {
        Pixels::U8(values) => sha256(values),
        Pixels::F32(values) => {
            let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
            sha256(&bytes)
        }
    };
    let mut first = [0; 8];
    first.copy_from_slice(&digest[..8]);
    i64::from_le_bytes(first)
}

/// Frames that fitted the references.
pub fn seen(references: Option<&References>) -> HashSet<i64> {
    references.map(|references| references.seen.iter().copied().collect()).unwrap_or_default()
}
