//! What a detector file was fitted for, held against a model: `pack` and `expand` refuse others.

use std::path::Path;

use anyhow::{Context, Result, bail};
use gradgate_detect::DetectorFile;
use gradgate_frame::Preprocessing;

use crate::executor::{Kind, Numerics, metadata_of_model};
use crate::label;
use crate::model::{Compiled, Model, Recipe, taps_of};
use crate::output::hex;

/// What a refused detector's owner should do.
const AGAIN: &str = "compute the features with this model and fit again";

/// Reads what `fit` wrote.
pub fn read(path: &Path) -> Result<DetectorFile> {
    DetectorFile::read(path)
        .with_context(|| format!("--detector {} (needs what `fit` wrote)", path.display()))
}

/// Label, taps and preprocessing that the detector inherited. Refuses another model's detector.
pub fn recipe(file: &DetectorFile, path: &Path, model: &Model) -> Result<Recipe> {
    let ours = &file.fitted_for;
    let (name, other) = (path.display(), model.path.display());
    if ours.model_digest != hex(&model.digest) {
        bail!(
            "{name} was fitted for another model than {other} (SHA-256 {:.12}.., not {:.12}..; \
             --input-size and --logits count, too): {AGAIN}",
            ours.model_digest,
            hex(&model.digest)
        );
    }
    if ours.numerics != "exact" {
        bail!("{name} was fitted with {} numerics, bundles are exact: {AGAIN}", ours.numerics);
    }
    let preprocessing: Preprocessing = ours
        .preprocessing
        .parse()
        .with_context(|| format!("{name}: preprocessing {:?}; fit it again", ours.preprocessing))?;
    let recipe = Recipe {
        label: label::from_text(&ours.label).with_context(|| name.to_string())?,
        taps: taps_of(&ours.parameters),
        preprocessing,
        ..Recipe::default()
    };
    model.with_products_of(recipe, &ours.schema_digest)
}

/// Refuses a detector whose features are not this model's.
pub fn check(file: &DetectorFile, path: &Path, model: &Model, compiled: &Compiled) -> Result<()> {
    let ours = &file.fitted_for;
    let (name, other) = (path.display(), model.path.display());
    let recipe = recipe(file, path, model)?;
    let theirs = metadata_of_model(model, compiled, &recipe, Kind::Engine, Numerics::Exact);
    for (what, ours, theirs) in [
        ("parameters", &ours.parameters, &theirs.parameters),
        ("layers", &ours.layers, &theirs.layers),
        ("alignments", &ours.alignments, &theirs.alignments),
    ] {
        if ours != theirs {
            bail!("{name}: its {what} are not those of {other}: {AGAIN}");
        }
    }
    if ours.shape() != compiled.shape() || ours.schema_digest != theirs.schema_digest {
        bail!("{name}: its feature schema is not that of {other}: {AGAIN}");
    }
    Ok(())
}
