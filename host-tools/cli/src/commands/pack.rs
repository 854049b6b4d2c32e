//! `gradgate pack`: model, detector and policy in one file for the device.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use gradgate_bundle::detector::FeatureShape;
use gradgate_bundle::header::BlobRef;
use gradgate_bundle::keys::parse_secret;
use gradgate_bundle::manifest::DeviceClass;
use gradgate_bundle::write::sign;
use gradgate_detect::file::Model as DetectorModel;
use gradgate_graph::cost::Macs;

use crate::bundle::{Contents, assemble};
use crate::devices::{Device, Needs, parse_class};
use crate::executor::Packed;
use crate::model::{Compiled, Model, ModelArgs};
use crate::output::{bytes, print};
use crate::ram_budget::{BudgetArgs, again_text};
use crate::{enforce, files, fitted, policy, self_test};

/// Pack model, detector and policy into one bundle, with a self-test.
///
/// Preprocessing, label and taps are the detector's; a detector fitted for another model, other
/// features or other numerics is refused.
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  gradgate pack resnet20.onnx --detector detector.json -o resnet20.gate
  gradgate pack net.onnx --detector detector.json -o net.gate --policy policy.toml \\
      --classes names.txt --device-class cortex-m7 --release 3 --sign release-key

POLICY.toml, all keys optional:
  mode = \"monitor\"          # or \"enforce\": the pin follows the gate
  frame_period_us = 100000  # nominal time between frames
  k = 3                     # BLOCK among the last m that close the gate
  m = 5
  n = 5                     # PASS in a row that open it
  lease_periods = 2         # frame periods without a PASS before it closes
  frozen_frames = 3         # identical frames in a row that count as frozen")]
pub struct Args {
    /// The classifier
    #[arg(value_name = "MODEL.onnx")]
    model: PathBuf,
    /// What `fit` wrote
    #[arg(long, value_name = "D.json")]
    detector: PathBuf,
    /// What `references` wrote, for a detector that reads alignments: the file that its features
    /// were computed with
    #[arg(long, value_name = "R.safetensors")]
    references: Option<PathBuf>,
    /// Where the bundle goes
    #[arg(short, long, value_name = "NAME.gate")]
    output: PathBuf,
    /// When the gate opens and closes
    #[arg(long, value_name = "POLICY.toml")]
    policy: Option<PathBuf>,
    /// For mode = "enforce" on a detector whose evidence is alarms per frame: the name of its
    /// normal frames
    #[arg(long, value_name = "NAME")]
    enforce_on_dataset: Option<String>,
    /// Security counter: a device refuses smaller ones than it confirmed
    #[arg(long, value_name = "N", default_value_t = 0)]
    release: u64,
    /// Hardware it is for: any, cortex-m4f, cortex-m7, cortex-m33, cortex-m55, linux
    #[arg(long, value_name = "CLASS", default_value = "any")]
    device_class: String,
    /// Class names, one a line
    #[arg(long, value_name = "NAMES.txt")]
    classes: Option<PathBuf>,
    /// Sign with this secret key (see `keygen`)
    #[arg(long, value_name = "KEY")]
    sign: Option<PathBuf>,
    #[command(flatten)]
    choices: ModelArgs,
    #[command(flatten)]
    budget: BudgetArgs,
}

/// Runs the subcommand.
pub fn run(args: Args) -> Result<ExitCode> {
    let mut inputs = vec![args.model.as_path(), args.detector.as_path()];
    let others = [&args.policy, &args.classes, &args.sign, &args.references];
    inputs.extend(others.into_iter().flat_map(Option::as_deref));
    files::check_apart(&args.output, &inputs)?;
    files::check_writable(&args.output)?;
    let device_class = parse_class(&args.device_class).context("--device-class")?;
    let policy = policy::read(args.policy.as_deref())?;
    let key = match &args.sign {
        Some(path) => {
            let text = files::read_text(path)?;
            Some(parse_secret(&text).with_context(|| path.display().to_string())?)
        }
        None => None,
    };
    let file = fitted::read(&args.detector)?;
    enforce::check(&policy, &file.evidence.frames, args.enforce_on_dataset.as_deref())?;
    let model = Model::read(&args.model, &args.choices)?;
    let references = args.references.as_deref();
    let recipe = fitted::recipe(&file, &args.detector, &model, references)?;
    let scratch = scratch(&file.detector, file.fitted_for.shape())?;
    let compiled = model.compile_within(&recipe, scratch, args.budget.bytes())?;
    fitted::check(&file, &args.detector, &model, &compiled, &recipe)?;
    let classes = classes(args.classes.as_deref(), compiled.names.classes)?;
    let contents = Contents {
        detector: Some(&file),
        classes: &classes,
        policy,
        device_class,
        release: args.release,
        self_test: None,
    };
    // First without the self-test, to learn its bits from the engine.
    let draft = Packed::from_bytes(&assemble(&model, &compiled, &recipe, &contents)?);
    let frame = self_test::frame(compiled.schedule.input);
    let expected = self_test::outcome(&draft.engine(&args.output)?, &frame)?;
    let contents = Contents { self_test: Some((&frame, &expected)), ..contents };
    let mut bundle = assemble(&model, &compiled, &recipe, &contents)?;
    if let Some(key) = &key {
        sign(&mut bundle, key).context("the bundle cannot be signed")?;
    }
    check_device(device_class, &compiled, bundle.len())
        .with_context(|| args.model.display().to_string())?;
    // What was made is read back and runs before it is written.
    let packed = Packed::from_bytes(&bundle);
    let values = self_test::check(&packed.engine(&args.output)?)?;
    files::write_atomic(&args.output, &bundle)?;
    print(&summary(&args, &compiled, bundle.len(), values))?;
    Ok(ExitCode::SUCCESS)
}

fn summary(args: &Args, compiled: &Compiled, length: usize, values: usize) -> String {
    let name = args.output.display();
    let signature = match &args.sign {
        Some(path) => format!("signed with {}", path.display()),
        None => "unsigned: for the host; devices take signed bundles (--sign)".to_owned(),
    };
    let again = match again_text(&compiled.again, &Macs::of(&compiled.schedule)) {
        told if told.is_empty() => told,
        told => format!("computed again: {told}\n"),
    };
    format!(
        "{name}: {}, arena {}, class {}, release {}\n{again}{signature}\n\
         self-test: {values} values\nnext: gradgate run {name} FRAMES\n",
        bytes(length as u64),
        bytes(compiled.plan.arena_bytes() as u64),
        args.device_class,
        args.release,
    )
}

/// Scratch that the detector needs, in f32 elements.
fn scratch(detector: &DetectorModel, shape: FeatureShape) -> Result<usize> {
    let wire = detector.to_wire(shape, &mut |_| BlobRef::default());
    wire.scratch_elements().context("the detector is too large for a bundle")
}

fn check_device(class: DeviceClass, compiled: &Compiled, length: usize) -> Result<()> {
    let frame = compiled.schedule.input.iter().product::<usize>();
    let needs = Needs { ram: (compiled.plan.arena_bytes() + frame) as u64, flash: length as u64 };
    match Device::of(class) {
        Some(device) => device.check(&needs),
        None => Ok(()),
    }
}

/// The names, one a line; empty without a file.
fn classes(path: Option<&Path>, expected: u32) -> Result<String> {
    let Some(path) = path else { return Ok(String::new()) };
    let text = files::read_text(path)?;
    let names: Vec<&str> = text.lines().map(str::trim).collect();
    let names = match names.split_last() {
        Some((&"", rest)) => rest,
        _ => &names,
    };
    // A single logit tells two classes apart.
    let expected = if expected == 1 { 2 } else { expected as usize };
    if names.len() != expected || names.iter().any(|name| name.is_empty()) {
        bail!(
            "{}: {} names for {expected} classes; give one name a line, in the order of the logits",
            path.display(),
            names.iter().filter(|name| !name.is_empty()).count()
        );
    }
    Ok(names.join("\n"))
}
