//! Built-in anomalies on the command line: which, how severe, and of which frames.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use gradgate_detect::{FeatureSet, Metadata};
use gradgate_frames::Frames;
use gradgate_frames::builtin::{Anomalies, PREFIX};

use crate::executor::{Executor, Kind, Numerics, Packed, metadata_of_model};
use crate::feature_set::made_set;
use crate::frames::ChoiceArgs;
use crate::image_slopes::ImageSlopes;
use crate::model::{Model, ModelArgs, Recipe, taps_of};
use crate::parallel::ThreadsArgs;
use crate::{label, output};

/// How built-in anomalies are made.
#[derive(clap::Args, Clone, Debug)]
pub struct AnomalousArgs {
    /// Severities of built-in anomalies, each 1 to 5
    #[arg(long, value_name = "N,..", default_value = "1,2,3,4,5", requires = "anomalous")]
    severities: Severities,
    /// Another seed deals and places built-in anomalies otherwise
    #[arg(long, value_name = "N", default_value_t = 0, requires = "anomalous")]
    anomalous_seed: u64,
    /// Built-in anomalies made of each frame, for sets with few frames
    #[arg(long, value_name = "N", default_value_t = 1, requires = "anomalous",
          allow_negative_numbers = true, value_parser = clap::value_parser!(u64).range(1..=1000))]
    copies: u64,
}

/// Comma-separated.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Severities(Vec<u8>);

impl FromStr for Severities {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let level = |word: &str| word.trim().parse().ok().filter(|level| (1..=5).contains(level));
        let levels: Option<Vec<u8>> = text.split(',').map(level).collect();
        levels.map(Severities).ok_or_else(|| "severities are 1 to 5, as in 1,3,5".to_owned())
    }
}

/// Whether an argument names built-in anomalies; a file of that name goes before.
pub fn is_meant(word: &str) -> bool {
    word.starts_with(PREFIX) && !Path::new(word).exists()
}

/// Refuses unknown names early, with the known ones.
pub fn check(word: &str) -> Result<()> {
    if !word.starts_with(PREFIX) {
        bail!(
            "--anomalous {word}: here anomalies are made, as in builtin:faults; features of \
             anomalous frames are computed by a call of their own"
        );
    }
    Anomalies::new(word, &[1], 0).map(|_| ()).map_err(anyhow::Error::msg)
}

impl AnomalousArgs {
    /// Anomalies made of each frame.
    pub fn copies(&self) -> usize {
        self.copies as usize
    }

    /// Those of a word that these frames can have; says which they cannot.
    pub fn anomalies(&self, word: &str, frames: &Frames, network: bool) -> Result<Anomalies> {
        let anomalies = Anomalies::new(word, &self.severities.0, self.anomalous_seed);
        let mut anomalies = anomalies.map_err(anyhow::Error::msg)?;
        let left_out = anomalies.fit_to(frames, network);
        let left_out = left_out.map_err(|why| anyhow::anyhow!("--anomalous {word}: {why}"))?;
        for why in left_out {
            eprintln!("note: left out of {word}: {why}");
        }
        Ok(anomalies)
    }
}

/// Model and frames, for `fit` to make anomalies itself.
#[derive(clap::Args, Clone, Debug)]
pub struct MakingArgs {
    /// The classifier, to make built-in anomalies of --frames
    #[arg(long, value_name = "MODEL.onnx", requires = "frames")]
    model: Option<PathBuf>,
    /// The normal frames themselves, as `features` was given them
    #[arg(long, num_args = 1.., value_name = "FRAMES", requires = "model")]
    frames: Vec<PathBuf>,
    #[command(flatten)]
    choice: ChoiceArgs,
    #[command(flatten)]
    making: AnomalousArgs,
    #[command(flatten)]
    choices: ModelArgs,
    #[command(flatten)]
    threads: ThreadsArgs,
}

impl MakingArgs {
    /// Model and frames, for checks.
    pub fn paths(&self) -> Vec<&Path> {
        let frames = self.frames.iter().map(PathBuf::as_path);
        frames.chain(self.model.as_deref()).collect()
    }

    /// Features of built-in anomalies, computed as those of the normal frames were, which must be
    /// of the same model and frames.
    pub fn features(&self, normal: &FeatureSet, word: &str) -> Result<FeatureSet> {
        check(word)?;
        let Some(path) = &self.model else {
            bail!(
                "--anomalous {word} is made of the normal frames: give --model MODEL.onnx and \
                 --frames FRAMES, as `features` was given them"
            );
        };
        let model = Model::read(path, &self.choices)?;
        let meta = &normal.metadata;
        self.check_same(&model, meta)?;
        let recipe = recipe(&model, meta)?;
        let frames = self.choice.open(&self.frames, model.frame_shape()?)?;
        let compiled = model.compile(&recipe, 0)?;
        let (kind, numerics) = way(meta)?;
        let computed = metadata_of_model(&model, &compiled, &recipe, kind, numerics)?;
        let metadata = Metadata { frames: self.choice.describe(&self.frames), ..computed };
        meta.check_same(&metadata)?;
        let slopes = ImageSlopes::for_kinds(&model, &recipe, Some(word))?;
        let anomalies = self.making.anomalies(word, &frames, slopes.is_some())?;
        let making = (&anomalies, self.making.copies(), slopes.as_ref());
        let threads = self.threads.count(frames.len());
        let seen = Default::default();
        let packed = Packed::of_model(&model, &compiled, &recipe)?;
        let engine = packed.engine_with(path, numerics, None)?;
        let executor = Executor::of_bundle(engine, kind)?;
        let set = made_set(&executor, &frames, metadata, threads, &seen, making)?;
        let known: std::collections::HashSet<i64> = normal.source.iter().copied().collect();
        if let Some(source) = set.source.iter().find(|source| !known.contains(source)) {
            bail!(
                "the normal features hold no frame of source {source}, which --frames do: give the \
                 same frames, with the same --limit, --stride and --group"
            );
        }
        Ok(set)
    }

    fn check_same(&self, model: &Model, meta: &Metadata) -> Result<()> {
        if meta.model_digest != output::hex(&model.digest) {
            bail!(
                "the normal features are of another model than {}: give the model that they were \
                 computed with (--input-size and --logits count, too)",
                model.path.display()
            );
        }
        let ours = self.choice.describe(&self.frames);
        if meta.frames != ours && !meta.frames.split(", ").any(|one| one == ours) {
            bail!("the normal features are of {}, --frames of {ours}: give the same", meta.frames);
        }
        if !meta.references_digest.is_empty() {
            bail!(
                "the normal features hold alignments: compute those of the anomalies with \
                 `features --references R --anomalous builtin:NAME`, and give the file"
            );
        }
        Ok(())
    }
}

fn recipe(model: &Model, meta: &Metadata) -> Result<Recipe> {
    let name = || format!("the features of {}", meta.frames);
    let recipe = Recipe {
        label: label::from_text(&meta.label).with_context(name)?,
        taps: taps_of(&meta.parameters),
        preprocessing: meta.preprocessing.parse().with_context(name)?,
        ..Recipe::default()
    };
    model.with_products_of(recipe, &meta.alignments, &meta.schema_digest)
}

/// Executor and numerics of features; the interpreter takes too long to be chosen silently.
fn way(meta: &Metadata) -> Result<(Kind, Numerics)> {
    let kind = Kind::from_str(&meta.executor, false).ok().filter(|kind| *kind != Kind::Interp);
    let numerics = Numerics::from_str(&meta.numerics, false).ok();
    kind.zip(numerics).with_context(|| {
        format!(
            "the normal features were computed by {} in {} numerics: compute those of the \
             anomalies with `features --anomalous builtin:NAME` in the same way, and give the file",
            meta.executor, meta.numerics
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn severities_by_table() {
        let cases = [
            ("1,3,5", Some(vec![1, 3, 5])),
            ("2, 4", Some(vec![2, 4])),
            ("", None),
            ("0", None),
            ("1;2", None),
            ("6", None),
        ];
        for (text, wanted) in cases {
            assert_eq!(text.parse().ok(), wanted.map(Severities), "{text}");
        }
        assert!(check("fog.safetensors").unwrap_err().to_string().contains("builtin:faults"));
    }
}
