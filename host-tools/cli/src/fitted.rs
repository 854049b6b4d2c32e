//! What a detector file was fitted for, held against a model: `pack` and `expand` refuse others.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use gradgate_detect::DetectorFile;
use gradgate_detect::references::References;
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

/// Label, taps and preprocessing that the detector inherited, and the references that its
/// alignments need. Refuses another model's detector and other references.
pub fn recipe(
    file: &DetectorFile,
    path: &Path,
    model: &Model,
    references: Option<&Path>,
) -> Result<Recipe> {
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
        references: self::references(file, path, references)?,
        ..Recipe::default()
    };
    model.with_products_of(recipe, &ours.alignments, &ours.schema_digest)
}

/// The references that the detector's features were computed with, and no others.
fn references(
    file: &DetectorFile,
    path: &Path,
    given: Option<&Path>,
) -> Result<Option<Arc<References>>> {
    let (name, wanted) = (path.display(), &file.fitted_for.references_digest);
    match given {
        None if wanted.is_empty() => Ok(None),
        None => bail!(
            "{name} was fitted on alignments: give the file that `features --references` was \
             given (SHA-256 {wanted:.12}..) as --references"
        ),
        Some(given) if wanted.is_empty() => {
            bail!(
                "{name} was fitted without alignments: leave out --references {}",
                given.display()
            )
        }
        Some(given) => {
            let references = crate::references::read(given)?;
            let found = hex(&references.digest()?);
            if found != *wanted {
                bail!(
                    "{name} was fitted with other references than {} (SHA-256 {wanted:.12}.., not \
                     {found:.12}..): give those that `features --references` was given",
                    given.display()
                );
            }
            Ok(Some(Arc::new(references)))
        }
    }
}

/// Refuses a detector whose features are not this model's.
pub fn check(
    file: &DetectorFile,
    path: &Path,
    model: &Model,
    compiled: &Compiled,
    recipe: &Recipe,
) -> Result<()> {
    let ours = &file.fitted_for;
    let (name, other) = (path.display(), model.path.display());
    let theirs = metadata_of_model(model, compiled, recipe, Kind::Engine, Numerics::Exact)?;
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
