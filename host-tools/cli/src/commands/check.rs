//! `gradgate check`: can it be done, what does it cost, which device holds it, what next?

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Result, bail};
use gradgate_graph::cost::Macs;
use gradgate_graph::import::{ImportError, Note, summary};
use serde_json::{Value, json};

use crate::bundle::{Contents, assemble};
use crate::devices::{DEVICES, Device, Needs, smallest_text};
use crate::executor::Packed;
use crate::model::{Compiled, Model, ModelArgs, ProductsArgs, Recipe};
use crate::output::{bytes, count, hex, plain, print};
use crate::ram_budget::{BudgetArgs, again_text};
use crate::references;
use crate::taps::{TapsArgs, cost_text};

/// Is a network supported, what does it cost, which device holds it?
///
/// Names every node that is not supported and what to do about it. Figures are for all taps, or
/// those chosen, and a detector on all features.
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  gradgate check resnet20.onnx --json
  gradgate check resnet20.onnx --taps auto --mac-budget 1.5x
  gradgate check resnet20.onnx --ram-budget 400KiB
  gradgate check resnet20.onnx --references r.safetensors")]
pub struct Args {
    /// The classifier
    #[arg(value_name = "MODEL.onnx")]
    model: PathBuf,
    #[command(flatten)]
    choices: ModelArgs,
    #[command(flatten)]
    taps: TapsArgs,
    #[command(flatten)]
    products: ProductsArgs,
    #[command(flatten)]
    budget: BudgetArgs,
    /// Count alignments with these references, too (see `references`)
    #[arg(long, value_name = "R.safetensors")]
    references: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// What the pages of the report are made of.
struct Costs {
    compiled: Compiled,
    /// As globs, `*` for all.
    taps: String,
    macs: Macs,
    arena_bytes: u64,
    bundle_bytes: u64,
    needs: Needs,
}

/// Runs the subcommand.
pub fn run(args: Args) -> Result<ExitCode> {
    let model = match Model::read(&args.model, &args.choices) {
        Ok(model) => model,
        Err(error) => return refused(&args, error),
    };
    let costs = costs(&model, &args)?;
    if args.json {
        print(&format!("{:#}\n", to_json(&model, &costs)))?;
    } else {
        print(&to_text(&args, &model, &costs))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// A model that the importer refuses: all nodes, not only the first.
fn refused(args: &Args, error: anyhow::Error) -> Result<ExitCode> {
    let Some(ImportError::Unsupported(nodes)) = error.downcast_ref::<ImportError>() else {
        return Err(error);
    };
    if args.json {
        let list: Vec<Value> = nodes
            .iter()
            .map(|n| json!({"node": n.node, "op": n.op, "reason": n.reason, "remedy": n.remedy}))
            .collect();
        let model = args.model.display().to_string();
        print(&format!("{:#}\n", json!({"model": model, "supported": false, "nodes": list})))?;
    }
    let mut text = format!("{}: not supported, {} nodes:", args.model.display(), nodes.len());
    for node in nodes {
        let _ = write!(text, "\n  {}", plain(&node.to_string()));
    }
    bail!(text)
}

fn costs(model: &Model, args: &Args) -> Result<Costs> {
    model.frame_shape()?;
    let (label, preprocessing, references) =
        references::inherit(args.references.as_deref(), None, None)?;
    let products = args.products.products();
    let recipe = Recipe { label, preprocessing, products, references, ..Recipe::default() };
    let recipe = recipe.with_taps(&args.taps, model)?;
    let budget = args.budget.bytes();
    let scratch = model.usual_scratch(&recipe)?;
    let compiled = model.compile_within(&recipe, scratch, budget)?;
    let file = assemble(model, &compiled, &recipe, &Contents::default())?;
    // What `run` would do first: a model that packs but does not load is not supported.
    Packed::from_bytes(&file).engine(&model.path)?;
    let frame = compiled.schedule.input.iter().product::<usize>() as u64;
    let arena_bytes = compiled.plan.arena_bytes() as u64;
    let bundle_bytes = file.len() as u64;
    Ok(Costs {
        macs: Macs::of(&compiled.schedule),
        taps: compiled.taps_text(),
        compiled,
        arena_bytes,
        bundle_bytes,
        needs: Needs { ram: arena_bytes + frame, flash: bundle_bytes },
    })
}

fn to_json(model: &Model, costs: &Costs) -> Value {
    let summary = summary(&model.imported);
    let parameters: Vec<Value> = summary
        .parameters
        .iter()
        .map(|(name, shape)| json!({"name": name, "shape": shape}))
        .collect();
    let list = |names| gradgate_bundle::header::names(names).collect::<Vec<_>>();
    let names = &costs.compiled.names;
    let devices: Vec<Value> = DEVICES
        .iter()
        .map(|d| {
            let class = d.class.name();
            json!({"class": class, "ram": d.ram, "flash": d.flash, "fits": d.fits(&costs.needs)})
        })
        .collect();
    let notes: Vec<String> = model.imported.notes.iter().map(ToString::to_string).collect();
    json!({
        "model": model.path.display().to_string(),
        "supported": true,
        "model_digest": hex(&model.digest),
        "producer": model.imported.producer,
        "opset": model.imported.opset,
        "input_shape": summary.input_shape,
        "classes": summary.classes,
        "folded": summary.folded,
        "normalisation_inside": summary.normalisation_inside,
        "notes": notes,
        "parameters": parameters,
        "parameter_elements": summary.parameter_elements,
        "taps": costs.taps,
        "layers": list(&names.layers),
        "alignments": list(&names.alignments),
        "penultimate": names.penultimate,
        "macs": {
            "forward": costs.macs.forward,
            "backward": costs.macs.backward,
            "norms": costs.macs.norms,
            "again": costs.macs.again,
            "verdict": costs.macs.total(),
        },
        "arena_bytes": costs.arena_bytes,
        "bundle_bytes": costs.bundle_bytes,
        "devices": devices,
        "smallest_class": Device::smallest(&costs.needs).map(|device| device.class.name()),
    })
}

fn to_text(args: &Args, model: &Model, costs: &Costs) -> String {
    let path = &args.model;
    let mut text = model_text(path, model);
    let summary = summary(&model.imported);
    let _ = writeln!(
        text,
        "\nparameters: {} tensors, {} values; each is one gradient feature",
        summary.parameters.len(),
        count(summary.parameter_elements)
    );
    for (name, shape) in &summary.parameters {
        let shape: Vec<String> = shape.iter().map(ToString::to_string).collect();
        let _ = writeln!(text, "  {:40} {}", plain(name), shape.join(" x "));
    }
    let names = &costs.compiled.names;
    let layers: Vec<&str> = gradgate_bundle::header::names(&names.layers).collect();
    let _ = writeln!(text, "layers: {}; each is one activation feature", layers.len());
    for layer in layers {
        let _ = writeln!(text, "  {}", plain(layer));
    }
    let aligned: Vec<String> =
        gradgate_bundle::header::names(&names.alignments).map(plain).collect();
    if !aligned.is_empty() {
        let _ = writeln!(text, "alignments of {} weights: {}", aligned.len(), aligned.join(" "));
    }
    let _ = writeln!(text, "penultimate vector: {} values", names.penultimate);
    text.push_str(&costs_text(costs));
    let _ = write!(
        text,
        "\nnext: gradgate features {} NORMAL_FRAMES -o normal.safetensors{}\n",
        path.display(),
        features_options(args, costs)
    );
    text
}

/// What `features` must be given for these costs.
fn features_options(args: &Args, costs: &Costs) -> String {
    let mut options = match costs.taps.as_str() {
        "*" => String::new(),
        taps => format!(" --taps '{}'", plain(taps)),
    };
    if args.products.keep_products {
        options.push_str(" --keep-products");
    }
    if let Some(path) = &args.references {
        let _ = write!(options, " --references {}", path.display());
    }
    options
}

fn model_text(path: &Path, model: &Model) -> String {
    let imported = &model.imported;
    let summary = summary(imported);
    let shape: Vec<String> = summary.input_shape.iter().map(ToString::to_string).collect();
    let mut text = format!("{}: supported\n", path.display());
    let producer = if imported.producer.is_empty() { "unknown" } else { &imported.producer };
    let _ = writeln!(text, "  exported by    {}, opset {}", plain(producer), imported.opset);
    let _ = writeln!(text, "  input          {}", shape.join(" x "));
    let _ = writeln!(text, "  classes        {}", summary.classes);
    let folded = if summary.folded { "folded into convolutions" } else { "not folded" };
    let _ = writeln!(text, "  BatchNorm      {folded}");
    let inside = if summary.normalisation_inside {
        "inside the model: leave --preprocessing at its default"
    } else {
        "not in the model: if it was trained on normalised images, say so with --preprocessing"
    };
    let _ = writeln!(text, "  normalisation  {inside}");
    if summary.classes == 1 {
        text.push_str("  label          a single logit: the default label `ones` is 0.5\n");
    }
    for note in &imported.notes {
        // The export recipe keeps its line breaks: it is meant to be copied.
        let indent = if matches!(note, Note::Folded { .. }) { "\n        " } else { " " };
        let _ = writeln!(text, "  note: {}", note.to_string().replace('\n', indent));
    }
    text
}

fn costs_text(costs: &Costs) -> String {
    let Macs { forward, backward, norms, again: _ } = costs.macs;
    let mut text = match costs.taps.as_str() {
        "*" => String::from("\nper frame, all taps:\n"),
        taps => format!("\nper frame, taps {}:\n", plain(taps)),
    };
    let _ = writeln!(
        text,
        "  multiply-adds  forward {}, backward {}, norms {}",
        count(forward),
        count(backward),
        count(norms)
    );
    let _ = writeln!(text, "  verdict        {}", cost_text(&costs.macs));
    let told = again_text(&costs.compiled.again, &costs.macs);
    if !told.is_empty() {
        let _ = writeln!(text, "  computed again {told}");
    }
    let _ = writeln!(text, "  arena          {}", bytes(costs.arena_bytes));
    let _ = writeln!(text, "  bundle         {} and the detector", bytes(costs.bundle_bytes));
    text.push_str("\ndevice class   RAM assumed       flash assumed     example      fits\n");
    for device in &DEVICES {
        let short = |n: u64| bytes(n).split(" (").next().unwrap_or_default().to_owned();
        let verdict = match (costs.needs.ram <= device.ram, costs.needs.flash <= device.flash) {
            (true, true) => "yes",
            (false, true) => "no: RAM",
            (true, false) => "no: flash",
            (false, false) => "no: RAM and flash",
        };
        let _ = writeln!(
            text,
            "{:14} {:17} {:17} {:12} {verdict}",
            device.class.name(),
            short(device.ram),
            short(device.flash),
            device.example
        );
    }
    let _ = writeln!(text, "smallest class that holds it: {}", smallest_text(&costs.needs));
    text
}
