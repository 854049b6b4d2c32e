//! `gradgate expand`: the model with its backward pass as standard ONNX, for other runtimes.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use gradgate_detect::DetectorFile;
use gradgate_graph::expand::Expanded;
use gradgate_graph::export::{DetectorExport, ExportOptions, ExportOutput, export};

use crate::bundle::TOOL;
use crate::detector_onnx::OnnxDetector;
use crate::fitted;
use crate::model::{Model, ModelArgs, Recipe};
use crate::output::{bytes, hex, print};
use crate::taps::TapsArgs;
use crate::{files, label, references};

/// Write the model with its backward pass as standard ONNX.
///
/// Outputs: `logits`, `squared_norms`, `activation_norms`, `penultimate`, with references
/// `alignments`, and `score` with a detector. The input is the model's own; preprocessing stays
/// with the caller.
#[derive(clap::Args, Debug)]
#[command(after_help = "Example:
  gradgate expand resnet20.onnx -o expanded.onnx --detector detector.json")]
pub struct Args {
    /// The classifier
    #[arg(value_name = "MODEL.onnx")]
    model: PathBuf,
    /// Where the expanded model goes
    #[arg(short, long, value_name = "EXPANDED.onnx")]
    output: PathBuf,
    /// Add this detector's score; label and taps are then the detector's
    #[arg(long, value_name = "D.json", 
          conflicts_with_all = ["label", "taps", "mac_budget"])]
    detector: Option<PathBuf>,
    /// Confounding label: ones (the default), zeros, or a text file with one number a class
    #[arg(long, value_name = "ones|zeros|FILE")]
    label: Option<String>,
    #[command(flatten)]
    taps: TapsArgs,
    /// Add alignments with these references; the label is theirs, the preprocessing must be
    #[arg(long, value_name = "R.safetensors")]
    references: Option<PathBuf>,
    /// ONNX operator set to write
    #[arg(long, value_name = "N", default_value_t = 17)]
    opset: i64,
    #[command(flatten)]
    choices: ModelArgs,
}

/// Runs the subcommand.
pub fn run(args: Args) -> Result<ExitCode> {
    let mut inputs = vec![args.model.as_path()];
    inputs.extend(args.detector.as_deref());
    inputs.extend(args.references.as_deref());
    files::check_apart(&args.output, &inputs)?;
    files::check_writable(&args.output)?;
    let model = Model::read(&args.model, &args.choices)?;
    let (recipe, detector) = match &args.detector {
        Some(path) => {
            let file = fitted::read(path)?;
            let recipe = fitted::recipe(&file, path, &model, args.references.as_deref())?;
            let compiled = model.compile(&recipe, 0)?;
            fitted::check(&file, path, &model, &compiled, &recipe)?;
            (recipe, Some(file))
        }
        None => (recipe(&args, &model)?, None),
    };
    let unmatched = recipe.taps.unmatched(&model.imported.graph);
    if !unmatched.is_empty() {
        bail!(
            "no parameter matches the taps {}; `gradgate check` lists them",
            unmatched.join(", ")
        );
    }
    let expanded = recipe
        .expand(&model)
        .with_context(|| format!("{} cannot be expanded", args.model.display()))?;
    let file = to_onnx(&args, &model, &recipe, &expanded, detector.as_ref())?;
    files::write_atomic(&args.output, &file)?;
    print(&format!(
        "{}: {} gradient norms, {} activation norms, {} alignments{}, {}\n",
        args.output.display(),
        expanded.squared_norms.len(),
        expanded.activation_norms.len(),
        expanded.alignments.len(),
        if detector.is_some() { ", score" } else { "" },
        bytes(file.len() as u64),
    ))?;
    Ok(ExitCode::SUCCESS)
}

fn recipe(args: &Args, model: &Model) -> Result<Recipe> {
    let references = args.references.as_deref();
    let (label, preprocessing, references) =
        references::inherit(references, args.label.as_deref(), None)?;
    let recipe = Recipe { label, preprocessing, references, ..Recipe::default() };
    recipe.with_taps(&args.taps, model)
}

fn to_onnx(
    args: &Args,
    model: &Model,
    recipe: &Recipe,
    expanded: &Expanded,
    detector: Option<&DetectorFile>,
) -> Result<Vec<u8>> {
    let graph = &expanded.graph;
    let names = |taps: &[(gradgate_graph::graph::ValueId, _)]| {
        let names: Vec<&str> = taps.iter().map(|&(v, _)| graph.value(v).name.as_str()).collect();
        names.join(",")
    };
    let mut metadata = vec![
        ("gradgate.tool".to_owned(), TOOL.to_owned()),
        ("gradgate.label".to_owned(), label::to_text(&recipe.label)),
        ("gradgate.parameters".to_owned(), names(&expanded.squared_norms)),
        ("gradgate.layers".to_owned(), names(&expanded.activation_norms)),
        ("gradgate.alignments".to_owned(), names(&expanded.alignments)),
        ("gradgate.model_digest".to_owned(), hex(&model.digest)),
    ];
    if recipe.references.is_some() {
        let digest = hex(&recipe.references_digest()?);
        metadata.push(("gradgate.references_digest".to_owned(), digest));
    }
    if let Some(file) = detector {
        metadata.push(("gradgate.detector_digest".to_owned(), hex(&file.digest()?)));
        metadata.push(("gradgate.threshold".to_owned(), file.detector.threshold.to_string()));
        metadata.push(("gradgate.preprocessing".to_owned(), recipe.preprocessing.to_string()));
    }
    let options = ExportOptions { opset: args.opset, metadata, ..ExportOptions::default() };
    let onnx = detector.map(OnnxDetector);
    let hook = onnx.as_ref().map(|detector| detector as &dyn DetectorExport);
    export(graph, &ExportOutput::features(expanded), hook, &options)
        .with_context(|| format!("{} cannot be written as ONNX", args.model.display()))
}
