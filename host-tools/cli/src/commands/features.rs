//! `gradgate features`: what a network gives for each frame, in a file for `fit`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use gradgate_detect::Metadata;
use gradgate_detect::references::References;
use gradgate_frames::Frames;

use crate::builtin::{self, AnomalousArgs};
use crate::executor::{Executor, Kind, Numerics, Packed, metadata_of_bundle, metadata_of_model};
use crate::feature_set::{feature_set, made_set};
use crate::frames::{FramesArgs, exit_code};
use crate::image_slopes::ImageSlopes;
use crate::model::{Model, ModelArgs, ProductsArgs, Recipe};
use crate::parallel::ThreadsArgs;
use crate::taps::TapsArgs;
use crate::{files, output, references};

/// Features of frames: logits, squared gradient norms, squared activation norms, alignments.
///
/// Preprocessing, label and taps are chosen here, once; detector and bundle inherit them.
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  gradgate features resnet20.onnx cifar10/test.bin -o normal.safetensors
  gradgate features net.onnx photos/ -o f.safetensors --limit 500 \\
      --preprocessing 'range=0,1 order=bgr mean=0.4,0.4,0.4 std=0.2,0.2,0.2'
  gradgate features net.onnx photos/ -o f.safetensors --references r.safetensors
  gradgate features net.onnx photos/ -o f.safetensors --taps 'layer3.*,fc.*,!*.bias'
  gradgate features net.onnx photos/ -o f.safetensors --taps auto --mac-budget 1.5x
  gradgate features net.gate photos/ -o f.safetensors
  gradgate features resnet20.onnx cifar10/test.bin --anomalous builtin:faults \\
      -o faults.safetensors")]
pub struct Args {
    /// The classifier, or a bundle
    #[arg(value_name = "MODEL.onnx|BUNDLE")]
    model: PathBuf,
    #[command(flatten)]
    frames: FramesArgs,
    /// Where the features go (safetensors)
    #[arg(short, long, value_name = "F.safetensors")]
    output: PathBuf,
    /// What runs the network
    #[arg(long, value_enum, default_value_t)]
    executor: Kind,
    /// Arithmetic of the engine
    #[arg(long, value_enum, default_value_t)]
    numerics: Numerics,
    /// Confounding label: ones (the default), zeros, or a text file with one number a class
    #[arg(long, value_name = "ones|zeros|FILE")]
    label: Option<String>,
    #[command(flatten)]
    taps: TapsArgs,
    #[command(flatten)]
    products: ProductsArgs,
    /// Also measure how well gradients agree with these references (see `references`); label and
    /// preprocessing are theirs
    #[arg(long, value_name = "R.safetensors")]
    references: Option<PathBuf>,
    /// From pixels to the network's input [default: range=0,1 order=rgb]
    #[arg(long, value_name = "TEXT")]
    preprocessing: Option<String>,
    /// Make an anomaly of every frame, kind after kind in a seeded order: builtin:faults (of
    /// cameras), builtin:synthetic, or one kind, as in builtin:fog
    #[arg(long, value_name = "builtin:NAME")]
    anomalous: Option<String>,
    #[command(flatten)]
    making: AnomalousArgs,
    #[command(flatten)]
    threads: ThreadsArgs,
    #[command(flatten)]
    choices: ModelArgs,
}

/// Runs the subcommand.
pub fn run(args: Args) -> Result<ExitCode> {
    args.executor.check()?;
    if let Some(word) = &args.anomalous {
        builtin::check(word)?;
    }
    let mut inputs = args.frames.paths();
    inputs.push(&args.model);
    inputs.extend(args.references.as_deref());
    files::check_apart(&args.output, &inputs)?;
    files::check_writable(&args.output)?;
    if files::is_bundle(&args.model)? { of_bundle(&args) } else { of_model(&args) }
}

fn of_bundle(args: &Args) -> Result<ExitCode> {
    let choices = &args.choices;
    let fixed = [
        ("--label", args.label.is_some()),
        (args.taps.given().unwrap_or_default(), args.taps.given().is_some()),
        ("--keep-products", args.products.keep_products),
        ("--preprocessing", args.preprocessing.is_some()),
        ("--input-size", choices.input_size.is_some()),
        ("--logits", choices.logits.is_some()),
        ("--executor interp", args.executor == Kind::Interp),
    ];
    if let Some((option, _)) = fixed.iter().find(|(_, given)| *given) {
        let name = args.model.display();
        bail!("{name} is a bundle, which fixes what {option} would choose: give the ONNX model");
    }
    let packed = Packed::read(&args.model)?;
    let engine = packed.engine_with(&args.model, args.numerics, None)?;
    let shape = engine.bundle().manifest().input.map(|side| side.get() as usize);
    let frames = args.frames.open_live(shape)?;
    let metadata = metadata_of_bundle(engine.bundle(), args.executor, args.numerics);
    let references = references_of_bundle(args, &metadata)?;
    let executor = Executor::of_bundle(engine, args.executor)?;
    compute(args, &executor, &frames, metadata, references.as_ref(), None)
}

/// The references that a bundle was packed with: they say which frames must be left out.
fn references_of_bundle(args: &Args, metadata: &Metadata) -> Result<Option<References>> {
    let (name, wanted) = (args.model.display(), &metadata.references_digest);
    match &args.references {
        None if wanted.is_empty() => Ok(None),
        None => bail!(
            "{name} reads alignments: give the references that it was packed with (SHA-256 \
             {wanted:.12}..) as --references, so that frames which fitted them are left out"
        ),
        Some(path) => {
            let references = references::read(path)?;
            if output::hex(&references.digest()?) != *wanted {
                bail!("{name} was not packed with the references {}", path.display());
            }
            Ok(Some(references))
        }
    }
}

fn of_model(args: &Args) -> Result<ExitCode> {
    let model = Model::read(&args.model, &args.choices)?;
    let recipe = recipe(args, &model)?;
    let frames = args.frames.open_live(model.frame_shape()?)?;
    let compiled = model.compile(&recipe, 0)?;
    let metadata = metadata_of_model(&model, &compiled, &recipe, args.executor, args.numerics)?;
    let references = recipe.references.as_deref();
    let slopes = ImageSlopes::for_kinds(&model, &recipe, args.anomalous.as_deref())?;
    let slopes = slopes.as_ref();
    if compiled.names.classes == 1 && args.label.is_none() {
        eprintln!("note: a single logit: the label is 0.5 (`--label` chooses another)");
    }
    match args.executor {
        Kind::Interp => {
            let executor = Executor::interp(&compiled, recipe.preprocessing);
            compute(args, &executor, &frames, metadata, references, slopes)
        }
        Kind::Engine | Kind::Tract => {
            let packed = Packed::of_model(&model, &compiled, &recipe)?;
            let engine = packed.engine_with(&args.model, args.numerics, None)?;
            let executor = Executor::of_bundle(engine, args.executor)?;
            compute(args, &executor, &frames, metadata, references, slopes)
        }
    }
}

fn recipe(args: &Args, model: &Model) -> Result<Recipe> {
    let (label, preprocessing, references) = references::inherit(
        args.references.as_deref(),
        args.label.as_deref(),
        args.preprocessing.as_deref(),
    )?;
    let products = args.products.products();
    let recipe = Recipe { label, preprocessing, products, references, ..Recipe::default() };
    recipe.with_taps(&args.taps, model)
}

fn compute(
    args: &Args,
    executor: &Executor<'_>,
    frames: &Frames,
    metadata: Metadata,
    references: Option<&References>,
    slopes: Option<&ImageSlopes>,
) -> Result<ExitCode> {
    let threads = args.threads.count(frames.len());
    let begin = Instant::now();
    let metadata = Metadata { frames: args.frames.describe(), ..metadata };
    let seen = references::seen(references);
    let set = match &args.anomalous {
        None => feature_set(executor, frames, metadata, threads, &seen)?,
        Some(word) => {
            let anomalies = args.making.anomalies(word, frames, slopes.is_some())?;
            made_set(
                executor,
                frames,
                metadata,
                threads,
                &seen,
                (&anomalies, args.making.copies(), slopes),
            )?
        }
    };
    let seconds = begin.elapsed().as_secs_f64();
    let file = set.to_bytes().context("the features cannot be used")?;
    files::write_atomic(&args.output, &file)?;
    output::print(&format!(
        "{}: {} frames, {} gradient norms, {} activation norms, {} alignments, {} logits; \
         {seconds:.1} s on {threads} thread{}, {:.1} frames/s\n",
        args.output.display(),
        set.len(),
        set.metadata.parameters.len(),
        set.metadata.layers.len(),
        set.metadata.alignments.len(),
        set.classes,
        if threads == 1 { "" } else { "s" },
        set.len() as f64 / seconds.max(1e-9),
    ))?;
    Ok(exit_code(frames))
}
