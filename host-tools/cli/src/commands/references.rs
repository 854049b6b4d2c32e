//! `gradgate references`: where normal frames' gradients point, for alignment features.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use gradgate_bundle::shape::reference_rows;
use gradgate_detect::references::{LayerFit, LayerShape, ReferenceFit, References};
use gradgate_engine::detector::predicted;
use gradgate_engine::{Engine, Written};
use gradgate_frames::Frames;
use gradgate_graph::alignment::{Weight, gradient_steps, weights};
use gradgate_graph::expand::expand;
use gradgate_graph::graph::ValueId;
use gradgate_graph::plan::PlanOptions;
use gradgate_graph::taps::Taps;

use crate::executor::{Packed, engine_frame};
use crate::frames::ChoiceArgs;
use crate::model::{Model, ModelArgs, Recipe};
use crate::output::{plain, print};
use crate::parallel::ThreadsArgs;
use crate::references::{fingerprint, inherit};
use crate::{files, parallel, progress};

/// Find the directions in which weight gradients of normal frames point.
///
/// For each layer and predicted class the mean of the unit gradients, kept as its best rank-1
/// factors. `features --references` then measures how well a frame's gradients agree with them.
/// A class that no frame is predicted as gets the mean over all classes. Frames that are used here
/// are left out by `features`: give some that can be spared, best from other recordings.
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  gradgate references resnet20.onnx --normal cifar10/train.bin --limit 1000 -o r.safetensors
  gradgate references net.onnx --normal photos/ --layers 'layer4.*,fc.*' -o r.safetensors
  gradgate features net.onnx photos/ --references r.safetensors -o normal.safetensors")]
pub struct Args {
    /// The classifier
    #[arg(value_name = "MODEL.onnx")]
    model: PathBuf,
    /// Normal frames
    #[arg(long, required = true, num_args = 1.., value_name = "FRAMES")]
    normal: Vec<PathBuf>,
    #[command(flatten)]
    choice: ChoiceArgs,
    /// Where the references go (safetensors)
    #[arg(short, long, value_name = "R.safetensors")]
    output: PathBuf,
    /// Weights to find directions for: globs, comma-separated [default: the last third of the
    /// convolutions and linear layers]
    #[arg(long, value_name = "GLOB,..")]
    layers: Option<String>,
    /// Confounding label: ones (the default), zeros, or a text file with one number a class
    #[arg(long, value_name = "ones|zeros|FILE")]
    label: Option<String>,
    /// From pixels to the network's input [default: range=0,1 order=rgb]
    #[arg(long, value_name = "TEXT")]
    preprocessing: Option<String>,
    #[command(flatten)]
    threads: ThreadsArgs,
    #[command(flatten)]
    choices: ModelArgs,
}

/// What the first pass finds of each frame.
struct Predictions {
    classes: Vec<usize>,
    fingerprints: Vec<i64>,
    /// Directions to fit: classes, two for a single logit.
    rows: usize,
}

/// Runs the subcommand.
pub fn run(args: Args) -> Result<ExitCode> {
    let mut inputs: Vec<&Path> = args.normal.iter().map(PathBuf::as_path).collect();
    inputs.push(&args.model);
    files::check_apart(&args.output, &inputs)?;
    files::check_writable(&args.output)?;
    let model = Model::read(&args.model, &args.choices)?;
    let (label, preprocessing, _) =
        inherit(None, args.label.as_deref(), args.preprocessing.as_deref())?;
    let recipe = Recipe { label, preprocessing, ..Recipe::default() };
    let layers = layers(&args, &model)?;
    let frames = args.choice.open(&args.normal, model.frame_shape()?)?;
    let begin = Instant::now();
    let predictions = predict(&args, &model, &recipe, &frames)?;
    let fit = collect(&args, &model, &recipe, &layers, &frames, &predictions)?;
    let (layers, counts, fits) = fit.finish()?;
    let references = References {
        fitted_for: recipe.references_for(&model),
        frames: args.choice.describe(&args.normal),
        counts,
        seen: predictions.fingerprints,
        layers,
    };
    files::write_atomic(&args.output, &references.to_bytes()?)?;
    let seconds = begin.elapsed().as_secs_f64();
    print(&report(&args, &references, &fits, seconds))?;
    Ok(ExitCode::SUCCESS)
}

/// The weights that were asked for, or those of the last third of the layers.
fn layers(args: &Args, model: &Model) -> Result<Vec<Weight>> {
    let graph = &model.imported.graph;
    let all = weights(graph);
    let Some(globs) = &args.layers else {
        let first = all.len() - all.len().div_ceil(3);
        if all.is_empty() {
            bail!("{}: no weight belongs to one layer alone", args.model.display());
        }
        return Ok(all[first..].to_vec());
    };
    let taps = Taps::parse(globs);
    let unmatched = taps.unmatched(graph);
    if !unmatched.is_empty() {
        bail!(
            "no parameter matches --layers {}: `gradgate check` lists the parameters",
            unmatched.join(", ")
        );
    }
    let chosen: Vec<Weight> =
        all.into_iter().filter(|weight| taps.selects(graph, weight.parameter)).collect();
    if chosen.is_empty() {
        bail!("--layers {globs}: no weight of one convolution or linear layer among them");
    }
    Ok(chosen)
}

/// First pass: the predicted class of every frame, by the forward pass alone.
fn predict(args: &Args, model: &Model, recipe: &Recipe, frames: &Frames) -> Result<Predictions> {
    let recipe = Recipe { taps: Taps::none(), ..recipe.clone() };
    let compiled = model.compile(&recipe, 0)?;
    let packed = Packed::of_model(model, &compiled, &recipe)?;
    let engine = packed.engine(&args.model)?;
    let (mut classes, mut fingerprints) = (vec![], vec![]);
    parallel::for_each(
        frames,
        args.threads.count(frames.len()),
        &progress::frames(frames.len(), "classes"),
        || vec![0.0; engine.arena_elements()],
        |arena, frame| {
            let pixels = frame?.pixels;
            let features = engine.run(engine_frame(&pixels), arena)?;
            if features.logits.iter().any(|logit| !logit.is_finite()) {
                bail!("a logit is not finite; leave the frame out");
            }
            Ok((predicted(features.logits) as usize, fingerprint(&pixels)))
        },
        |_, (class, fingerprint)| {
            classes.push(class);
            fingerprints.push(fingerprint);
            Ok(())
        },
    )?;
    Ok(Predictions { classes, fingerprints, rows: reference_rows(compiled.names.classes as usize) })
}

/// Second pass: gradients, class by class, so that one class's sums are held at a time.
fn collect(
    args: &Args,
    model: &Model,
    recipe: &Recipe,
    layers: &[Weight],
    frames: &Frames,
    predictions: &Predictions,
) -> Result<ReferenceFit> {
    let graph = &model.imported.graph;
    let name = |weight: &Weight| graph.value(weight.parameter).name.clone();
    let parameters: Vec<ValueId> = layers.iter().map(|weight| weight.parameter).collect();
    let mut expanded = expand(graph, &recipe.label, &Taps::exactly(graph, &parameters))?;
    // Without a norm to feed, the gradients themselves are computed.
    expanded.squared_norms.clear();
    expanded.activation_norms.clear();
    let compiled = model.finish(expanded, recipe, PlanOptions::default())?;
    let packed = Packed::of_model(model, &compiled, recipe)?;
    let engine = packed.engine(&args.model)?;
    let mut layer_of_step = vec![None; compiled.schedule.steps.len()];
    for (step, parameter) in gradient_steps(&compiled.expanded, &compiled.schedule) {
        layer_of_step[step] = layers.iter().position(|weight| weight.parameter == parameter);
    }
    if layer_of_step.iter().flatten().count() != layers.len() {
        bail!("not every layer of --layers is reached by the loss: choose others");
    }
    let shapes = layers.iter().map(|weight| LayerShape {
        parameter: name(weight),
        outputs: weight.outputs,
        groups: weight.groups,
        inputs: weight.inputs,
    });
    let mut fit = ReferenceFit::new(shapes.collect(), predictions.rows);
    let mut order: Vec<usize> = (0..frames.len()).collect();
    order.sort_by_key(|&frame| predictions.classes[frame]);
    parallel::for_each_of(
        frames,
        &order,
        args.threads.count(frames.len()),
        &progress::frames(frames.len(), "gradients"),
        || vec![0.0; engine.arena_elements()],
        |arena, frame| gradients(&engine, engine_frame(&frame?.pixels), arena, &layer_of_step),
        |at, gradients| {
            let frame = order[at];
            fit.add(predictions.classes[frame], &gradients)
                .with_context(|| format!("frame {frame}"))
        },
    )?;
    Ok(fit)
}

/// One frame's gradients, by layer.
fn gradients(
    engine: &Engine<'_>,
    frame: gradgate_engine::Frame<'_>,
    arena: &mut [f32],
    layer_of_step: &[Option<usize>],
) -> Result<Vec<Vec<f32>>> {
    let mut gradients = vec![vec![]; layer_of_step.iter().flatten().count()];
    engine.run_observed(frame, arena, |step, written, values| {
        if let (Some(layer), Written::Operand(_)) = (layer_of_step[step], written) {
            gradients[layer] = values.to_vec();
        }
    })?;
    Ok(gradients)
}

fn report(args: &Args, references: &References, fits: &[LayerFit], seconds: f64) -> String {
    let name = args.output.display();
    let (frames, classes) = (references.seen.len(), references.counts.len());
    let mut text = format!(
        "{name}: {} layers, {classes} classes, {frames} frames; {seconds:.1} s\n",
        references.layers.len()
    );
    let empty = references.counts.iter().filter(|count| **count == 0).count();
    if empty > 0 {
        let _ = writeln!(text, "{empty} classes without frames get the mean over all classes");
    }
    let _ = writeln!(text, "\n{:40} agreement  kept by rank 1", "layer");
    for fit in fits {
        let LayerFit { parameter, agreement, kept } = fit;
        let kept = 100.0 * kept;
        let _ = writeln!(text, "{:40} {agreement:9.3}  {kept:13.1} %", plain(parameter));
    }
    let _ = write!(
        text,
        "\nagreement: length of the mean of unit gradients, 1 where all frames of a class agree\n\
         next: gradgate features {} NORMAL_FRAMES --references {name} -o normal.safetensors\n",
        args.model.display()
    );
    text
}
