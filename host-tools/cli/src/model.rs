//! An ONNX file through the compiler in one call: import, expand, lower, plan.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use clap::Args;
use gradgate_bundle::detector::{FeatureShape, Inputs};
use gradgate_bundle::digest::{schema_digest, sha256};
use gradgate_bundle::header::{Schema, names};
use gradgate_detect::references::{LayerReference, References, ReferencesFor};
use gradgate_frame::Preprocessing;
use gradgate_graph::alignment::Reference;
use gradgate_graph::expand::{Expanded, Label, expand_aligned};
use gradgate_graph::graph::ValueId;
use gradgate_graph::import::{ImportError, ImportOptions, Imported, import_file};
use gradgate_graph::lower::{Products, lower_with};
use gradgate_graph::pack::{SchemaNames, schema_names};
use gradgate_graph::plan::{Again, Plan, PlanOptions, Planned, plan};
use gradgate_graph::schedule::Schedule;
use gradgate_graph::taps::{Taps, describe};

use crate::label;
use crate::output::hex;
use crate::taps::TapsArgs;

/// Choices for ONNX files that leave something open.
#[derive(Args, Clone, Debug, Default)]
pub struct ModelArgs {
    /// Rows and columns of the image, for a file that leaves them open
    #[arg(long, value_name = "H,W")]
    pub input_size: Option<InputSize>,
    /// Value that holds the logits, for a file with several outputs
    #[arg(long, value_name = "NAME")]
    pub logits: Option<String>,
}

/// Rows and columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InputSize([usize; 2]);

impl FromStr for InputSize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let side = |word: &str| word.trim().parse().ok().filter(|side| (1..=65_535).contains(side));
        let parsed = text.split_once(',').and_then(|(h, w)| Some([side(h)?, side(w)?]));
        parsed.map(InputSize).ok_or_else(|| "give rows and columns, as in 32,32".to_owned())
    }
}

/// An imported model with its place.
#[derive(Clone, Debug)]
pub struct Model {
    /// The file.
    pub path: PathBuf,
    /// What the importer found.
    pub imported: Imported,
    /// SHA-256 of the file and of what was chosen beside it.
    pub digest: [u8; 32],
}

/// A model with its backward pass, ready to be packed.
#[derive(Clone, Debug)]
pub struct Compiled {
    /// Forward and backward nodes.
    pub expanded: Expanded,
    /// Kernel calls.
    pub schedule: Schedule,
    /// Their places in the arena.
    pub plan: Plan,
    /// What the backward pass computes again rather than keeps.
    pub again: Vec<Again>,
    /// Names of the features.
    pub names: SchemaNames,
    /// Whether the exporter folded BatchNormalization away.
    pub folded: bool,
    /// As the recipe's.
    pub products: Products,
}

/// Whether results of convolutions are kept, where it is chosen.
#[derive(clap::Args, Clone, Copy, Debug)]
pub struct ProductsArgs {
    /// Keep results of convolutions before their normalisation where that saves multiply-adds
    /// (norms by Gram matrices): faster, a larger arena, and other last bits; inherited by
    /// detector and bundle
    #[arg(long)]
    pub keep_products: bool,
}

impl ProductsArgs {
    /// The choice.
    pub fn products(self) -> Products {
        if self.keep_products { Products::Kept } else { Products::Dropped }
    }
}

/// What decides the features of a model.
#[derive(Clone, Debug, PartialEq)]
pub struct Recipe {
    /// The confounding label.
    pub label: Label,
    /// Parameters whose gradients are features.
    pub taps: Taps,
    /// From pixels to the input tensor.
    pub preprocessing: Preprocessing,
    /// Whether results of convolutions are kept before their normalisation.
    pub products: Products,
    /// Directions that alignments compare with.
    pub references: Option<Arc<References>>,
}

impl Default for Recipe {
    fn default() -> Self {
        Recipe {
            label: Label::Ones,
            taps: Taps::all(),
            preprocessing: Preprocessing::default(),
            products: Products::Dropped,
            references: None,
        }
    }
}

impl Recipe {
    /// SHA-256 of the references; zeros without.
    pub fn references_digest(&self) -> Result<[u8; 32]> {
        Ok(self.references.as_ref().map_or(Ok([0; 32]), |references| references.digest())?)
    }

    /// What references must have been fitted for to serve this recipe on a model.
    pub fn references_for(&self, model: &Model) -> ReferencesFor {
        ReferencesFor {
            model_digest: hex(&model.digest),
            label: label::to_text(&self.label),
            preprocessing: self.preprocessing.to_string(),
        }
    }

    /// The references' directions, none without references, which must be the model's own.
    pub fn directions(&self, model: &Model) -> Result<Vec<Reference>> {
        let Some(file) = &self.references else { return Ok(Vec::new()) };
        file.check_for(&self.references_for(model))?;
        let direction = |layer: &LayerReference| Reference {
            parameter: layer.shape.parameter.clone(),
            u: layer.u.clone(),
            v: layer.v.clone(),
        };
        Ok(file.layers.iter().map(direction).collect())
    }

    /// The recipe with the taps of the command line.
    pub fn with_taps(mut self, args: &TapsArgs, model: &Model) -> Result<Recipe> {
        let directions = self.directions(model)?;
        self.taps = args.resolve(&model.imported.graph, &directions, self.products)?;
        Ok(self)
    }

    /// Expands a model, with alignments where there are references, which must be its own.
    pub fn expand(&self, model: &Model) -> Result<Expanded> {
        let references = self.directions(model)?;
        let graph = &model.imported.graph;
        let expanded = expand_aligned(graph, &self.label, &self.taps, &references)?;
        if self.references.is_some() && expanded.alignments.is_empty() {
            bail!("no tapped parameter has references: widen --taps or leave out --references");
        }
        Ok(expanded)
    }
}

impl Model {
    /// Imports a file.
    pub fn read(path: &Path, args: &ModelArgs) -> Result<Model> {
        if crate::files::is_bundle(path)? {
            bail!("{} is a bundle, an ONNX model is needed here", path.display());
        }
        let options = ImportOptions {
            input_hw: args.input_size.map(|size| size.0),
            output: args.logits.clone(),
            ..ImportOptions::default()
        };
        if path.is_dir() {
            bail!("{} is a folder, an ONNX model is needed here", path.display());
        }
        let imported = import_file(path, &options).map_err(|error| refused(path, error))?;
        let digest = digest(&imported, args);
        Ok(Model { path: path.to_owned(), imported, digest })
    }

    /// Height, width, channels of a frame.
    pub fn frame_shape(&self) -> Result<[usize; 3]> {
        let graph = &self.imported.graph;
        match graph.input.map(|input| graph.shape(input)) {
            Some(&[1, channels, height, width]) if channels == 1 || channels == 3 => {
                Ok([height, width, channels])
            }
            shape => bail!(
                "{}: the input has shape {:?}; a classifier of one grey or RGB image is needed",
                self.path.display(),
                shape.unwrap_or(&[])
            ),
        }
    }

    /// Names that the file gives, for headers.
    pub fn name(&self) -> String {
        crate::files::stem(&self.path)
    }

    /// Expands, lowers and plans; `scratch` is what the detector needs, in f32 elements.
    pub fn compile(&self, recipe: &Recipe, scratch: usize) -> Result<Compiled> {
        self.compile_within(recipe, scratch, None)
    }

    /// The same in an arena of at most `budget` bytes.
    pub fn compile_within(
        &self,
        recipe: &Recipe,
        scratch: usize,
        budget: Option<usize>,
    ) -> Result<Compiled> {
        let options = PlanOptions { detector_scratch: scratch, budget, ..PlanOptions::default() };
        self.compile_inner(recipe, options)
            .with_context(|| format!("{} cannot be compiled", self.path.display()))
    }

    fn compile_inner(&self, recipe: &Recipe, options: PlanOptions) -> Result<Compiled> {
        self.finish(self.expand(recipe)?, recipe, options)
    }

    /// Lowers and plans a model that is expanded already.
    pub fn finish(
        &self,
        expanded: Expanded,
        recipe: &Recipe,
        options: PlanOptions,
    ) -> Result<Compiled> {
        let schedule = lower_with(&expanded, &recipe.preprocessing, recipe.products)?;
        let Planned { schedule, plan, again } = plan(schedule, options)?;
        let names = schema_names(&expanded)?;
        let (folded, products) = (self.imported.folded, recipe.products);
        Ok(Compiled { expanded, schedule, plan, again, names, folded, products })
    }

    fn expand(&self, recipe: &Recipe) -> Result<Expanded> {
        let graph = &self.imported.graph;
        let unmatched = recipe.taps.unmatched(graph);
        if !unmatched.is_empty() {
            bail!(
                "no parameter matches the taps {}: `gradgate check` lists the parameters",
                unmatched.join(", ")
            );
        }
        recipe.expand(self)
    }

    /// The recipe with the products that give this schema digest, in hex; unchanged where none do.
    /// The alignments are named, for what reads them may lie elsewhere.
    pub fn with_products_of(
        &self,
        recipe: Recipe,
        alignments: &[String],
        digest: &str,
    ) -> Result<Recipe> {
        let names = self.expand(&recipe).and_then(|expanded| Ok(schema_names(&expanded)?))?;
        let names = SchemaNames { alignments: alignments.join("\n"), ..names };
        let kept = schema_hex(&names.schema(self.imported.folded, Products::Kept)) == digest;
        let products = if kept { Products::Kept } else { Products::Dropped };
        Ok(Recipe { products, ..recipe })
    }

    /// Scratch of a typical detector on the recipe's features, in f32 elements.
    pub fn usual_scratch(&self, recipe: &Recipe) -> Result<usize> {
        let names = self.expand(recipe).and_then(|expanded| Ok(schema_names(&expanded)?));
        let names = names.with_context(|| format!("{} cannot be compiled", self.path.display()))?;
        Ok(usual_scratch(&feature_shape(&names.schema(self.imported.folded, recipe.products))))
    }
}

impl Compiled {
    /// The features' names as a bundle holds them.
    pub fn schema(&self) -> Schema<'_> {
        self.names.schema(self.folded, self.products)
    }

    /// The tapped parameters as the shortest globs.
    pub fn taps_text(&self) -> String {
        let tapped: Vec<ValueId> = self.expanded.squared_norms.iter().map(|&(p, _)| p).collect();
        describe(&self.expanded.graph, &tapped)
    }

    /// How many of each feature there are.
    pub fn shape(&self) -> FeatureShape {
        feature_shape(&self.schema())
    }
}

/// How many of each feature a schema names.
pub fn feature_shape(schema: &Schema<'_>) -> FeatureShape {
    let count = |list| names(list).count() as u32;
    FeatureShape {
        norms: count(schema.parameters),
        layers: count(schema.layers),
        alignments: count(schema.alignments),
        classes: schema.classes,
        penultimate: schema.penultimate,
    }
}

fn refused(path: &Path, error: ImportError) -> anyhow::Error {
    let advice = match error {
        ImportError::Malformed(_) => " (is it an ONNX file? if so, copy or export it again)",
        ImportError::File { .. } => " (check name and permissions)",
        _ => "",
    };
    anyhow::Error::new(error).context(format!("{} cannot be used{advice}", path.display()))
}

/// Names of a list, owned.
pub fn owned_names(list: &str) -> Vec<String> {
    names(list).map(str::to_owned).collect()
}

/// Digest of a schema, in hex.
pub fn schema_hex(schema: &Schema<'_>) -> String {
    crate::output::hex(&schema_digest(schema))
}

/// Taps that select exactly these parameters; names are compared again after expanding.
pub fn taps_of(parameters: &[String]) -> Taps {
    if parameters.is_empty() { Taps::none() } else { Taps::parse(&parameters.join(",")) }
}

/// Scratch of a typical detector on these features, in f32 elements, before one is fitted.
pub fn usual_scratch(shape: &FeatureShape) -> usize {
    let all = Inputs::NORM.with(Inputs::FORWARD).with(Inputs::ALIGNMENT);
    2 * shape.inputs(all).unwrap_or(0) as usize
}

fn digest(imported: &Imported, args: &ModelArgs) -> [u8; 32] {
    let ModelArgs { input_size, logits } = args;
    if input_size.is_none() && logits.is_none() {
        return imported.model_digest;
    }
    let mut text = imported.model_digest.to_vec();
    text.extend(format!("input-size={:?} logits={logits:?}", input_size.map(|s| s.0)).bytes());
    sha256(&text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_by_table() {
        let cases = [
            ("32,48", Some([32, 48])),
            ("32, 48", Some([32, 48])),
            ("32", None),
            ("0,1", None),
            ("-1,1", None),
            ("70000,1", None),
            ("a,b", None),
        ];
        for (text, expected) in cases {
            assert_eq!(text.parse().ok(), expected.map(InputSize), "{text}");
        }
    }
}
