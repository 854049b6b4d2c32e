//! `gradgate evade`: images that a network gets wrong and its detector lets pass.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;
use gradgate_detect::DetectorFile;
use gradgate_frame::Preprocessing;
use gradgate_lab::adaptive::{self, Method, NamedDetector, Options, Recipe, Threshold};
use gradgate_lab::attack::file::{AttackFile, Facts};
use gradgate_lab::attack::{Outcome, Status, Subject};

use crate::frames::FramesArgs;
use crate::model::{Model, ModelArgs};
use crate::output::hex;
use crate::{files, interrupt, label, output, progress};

/// Images that a network gets wrong and its detector lets pass: an attacker who knows both
///
/// What `evaluate` with the question `adaptive` measures, for the images themselves. They are whole
/// grey levels; success is judged on the bits of a device. No detector here is a defence against
/// such an attacker.
#[derive(clap::Args, Debug)]
#[command(after_help = "Example:
  gradgate evade net.onnx photos/ --detector detector.json --eps255 4 -o adv.safetensors")]
pub struct Args {
    /// The classifier
    #[arg(value_name = "MODEL.onnx")]
    model: PathBuf,
    #[command(flatten)]
    frames: FramesArgs,
    /// The detector, as `fit` wrote it
    #[arg(long, value_name = "D.json")]
    detector: PathBuf,
    /// Which attack
    #[arg(long, value_enum, default_value_t)]
    method: MethodArg,
    /// Radius in L_inf, in 255ths of the pixel range
    #[arg(long, value_name = "X", default_value_t = 8.0)]
    eps255: f64,
    /// Steps of an attack by gradients
    #[arg(long, value_name = "N", default_value_t = 100)]
    steps: usize,
    /// Seed of all random numbers
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// Write images of failed attacks too
    #[arg(long)]
    keep_failed: bool,
    /// Where the images go
    #[arg(short, long, value_name = "ADV.safetensors")]
    output: PathBuf,
    #[command(flatten)]
    choices: ModelArgs,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum MethodArg {
    /// Away from the class, then down the detector's score
    #[default]
    Selective,
    /// The same, each step at right angles to the other aim
    Orthogonal,
    /// The logits of a normal image of another class
    LogitMatched,
    /// Misclassified, with the energy of normal images
    EnergyMatched,
    /// Random search without gradients
    Square,
}

impl MethodArg {
    fn method(self) -> Method {
        match self {
            MethodArg::Selective => Method::Selective,
            MethodArg::Orthogonal => Method::Orthogonal,
            MethodArg::LogitMatched => Method::LogitMatched,
            MethodArg::EnergyMatched => Method::EnergyMatched,
            MethodArg::Square => Method::Square,
        }
    }
}

/// Runs the subcommand.
pub fn run(args: Args) -> Result<ExitCode> {
    let mut inputs = args.frames.paths();
    inputs.extend([args.model.as_path(), args.detector.as_path()]);
    files::check_apart(&args.output, &inputs)?;
    files::check_writable(&args.output)?;
    let options = Options {
        eps: vec![args.eps255],
        steps: args.steps,
        seed: args.seed,
        ..Options::default()
    };
    options.check()?;
    let file = DetectorFile::read(&args.detector)?;
    let model = Model::read(&args.model, &args.choices)?;
    let detector = detector(&args, &file, &model)?;
    let [height, width, channels] = model.frame_shape()?;
    let frames = args.frames.open([height, width, channels])?;
    let subject = |index: usize| Ok(Subject::of_frame(index, &frames.get(index)?, channels)?);
    let subjects = (0..frames.len()).map(subject).collect::<Result<Vec<_>>>()?;
    let recipe = Recipe {
        preprocessing: file.fitted_for.preprocessing.parse::<Preprocessing>()?,
        label: label::from_text(&file.fitted_for.label)?,
        ..Recipe::default()
    };
    let graph = Arc::new(model.imported.graph.clone());
    let bar = progress::frames(subjects.len(), "evade");
    let guard = interrupt::Loop::enter();
    let method = args.method.method();
    let observe = |done: usize, _| {
        bar.set_position(done as u64);
        interrupt::check()
    };
    let outcomes =
        adaptive::images(&options, &graph, &recipe, &subjects, &detector, method, observe)?;
    bar.finish_and_clear();
    drop(guard);
    write(&args, &model, method, [channels, height, width], outcomes)
}

/// The detector under the threshold of its file.
fn detector(args: &Args, file: &DetectorFile, model: &Model) -> Result<NamedDetector> {
    let name = files::stem(&args.detector);
    let fitted = &file.fitted_for.model_digest;
    ensure!(
        *fitted == hex(&model.digest),
        "{} was fitted for another model than {}: give that one",
        args.detector.display(),
        args.model.display()
    );
    let rate = file.evidence.promised_rate.unwrap_or(0.05);
    let threshold = Threshold { rate, score: file.detector.threshold };
    Ok(NamedDetector::new(name, file, vec![threshold]))
}

fn write(
    args: &Args,
    model: &Model,
    method: Method,
    shape: [usize; 3],
    mut outcomes: Vec<Outcome>,
) -> Result<ExitCode> {
    let count = |status: Status| outcomes.iter().filter(|one| one.status == status).count();
    let (success, failed) = (count(Status::Success), count(Status::Failed));
    output::print(&format!(
        "{method} at {}/255, {} steps: {success} of {} images that were right and passed are \
         misclassified and pass\n",
        args.eps255,
        args.steps,
        success + failed,
    ))?;
    outcomes.retain(|one| {
        one.status == Status::Success || (args.keep_failed && one.status == Status::Failed)
    });
    let kept = outcomes.len();
    let facts: Facts = [
        ("attack", method.to_string()),
        ("eps255", args.eps255.to_string()),
        ("steps", args.steps.to_string()),
        ("seed", args.seed.to_string()),
        ("model_digest", hex(&model.digest)),
        ("frames", args.frames.describe()),
        ("gradgate", env!("CARGO_PKG_VERSION").to_owned()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into();
    let file = AttackFile { facts, shape, bytes: true, outcomes };
    files::write_atomic(&args.output, &file.to_bytes().context("nothing is written")?)?;
    output::print(&format!("{}: {kept} images\n", args.output.display()))?;
    Ok(ExitCode::SUCCESS)
}
