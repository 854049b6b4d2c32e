//! `gradgate fit`: from features to a detector with a promise.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::ValueEnum;
use gradgate_bundle::header::Policy;
use gradgate_detect::fit::options::parse_inputs;
use gradgate_detect::fit::{FitOptions, HeadKind};
use gradgate_detect::scorer::Scorer;
use gradgate_detect::sequences::{Sequence, of_features, replay};
use gradgate_detect::split::{SplitMode, split_normal};
use gradgate_detect::{DetectError, FeatureSet, FitReport, Inputs, fit};
use gradgate_gate::verdict::Limits;

use crate::builtin::MakingArgs;
use crate::feature_files::FeatureFiles;
use crate::{files, output, policy, progress};

/// Gate events an hour that a robot can live with; what a bundle promises, `calibrate` is told.
const PER_HOUR: f64 = 1.0;

/// One part in this many of the normal frames calibrates.
const PARTS: usize = 5;

/// Fit a detector, set its threshold on frames that fitted nothing, and say how good it is.
///
/// Without --anomalous the normal frames alone are modelled. With them, each is reported with its
/// AUROC and interval, worst first; the head `mlp` also learns from them. Built-in anomalies are
/// also reported kind by kind, each left out of training once, beside plain baselines.
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  gradgate fit --normal normal.safetensors -o detector.json
  gradgate fit --normal day.safetensors night.safetensors \\
      --anomalous fog=fog.safetensors signs.safetensors -o detector.json --head mlp
  gradgate fit --normal normal.safetensors -o detector.json --false-alarm-rate 0.01
  gradgate fit --normal normal.safetensors --anomalous builtin:faults builtin:synthetic \\
      --model resnet20.onnx --frames normal/ --head mlp -o detector.json")]
pub struct Args {
    /// Features of normal frames; frames of equal source number count as twins, so give frames of
    /// unrelated origin to one `gradgate features` call, which numbers them apart
    #[arg(long, required = true, num_args = 1.., value_name = "F.safetensors")]
    normal: Vec<PathBuf>,
    /// Features of anomalous frames; a name before `=` stands in the report. Or builtin:faults,
    /// builtin:synthetic or one kind (builtin:fog), made of the normal frames: give --model and
    /// --frames
    #[arg(long, num_args = 1.., value_name = "[NAME=]F.safetensors|builtin:NAME")]
    anomalous: Vec<String>,
    /// Where the detector goes (JSON)
    #[arg(short, long, value_name = "D.json")]
    output: PathBuf,
    /// The score's formula: mlp, gaussian, prototypes, energy, composite [default: composite]
    #[arg(long, value_name = "HEAD")]
    head: Option<String>,
    /// What the detector reads: norm, forward, alignment, comma-separated [default: all that the
    /// features hold]
    #[arg(long, value_name = "KIND,..")]
    inputs: Option<String>,
    /// Highest rate of false alarms per frame that is promised, between 0 and 1
    #[arg(long, value_name = "RATE", default_value_t = 0.05, allow_negative_numbers = true)]
    false_alarm_rate: f64,
    /// Rate behind a second, lower threshold; between the two a verdict is UNKNOWN
    #[arg(long, value_name = "RATE", allow_negative_numbers = true)]
    caution_rate: Option<f64>,
    /// Confidence of the promise, between 0 and 1
    #[arg(long, value_name = "SHARE", default_value_t = 0.95, allow_negative_numbers = true)]
    confidence: f64,
    /// Seed of splits and start weights
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// How normal frames are divided
    #[arg(long, value_enum, default_value_t)]
    protocol: Protocol,
    #[command(flatten)]
    making: MakingArgs,
    /// The gate that counts events per hour, where normal frames are sequences [default: that of a
    /// bundle without policy]
    #[arg(long, value_name = "POLICY.toml")]
    policy: Option<PathBuf>,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Protocol {
    /// 40 % train, 20 % early stop, 20 % calibration, 20 % audit, by source
    #[default]
    Grouped,
    /// The paper's 40/40/20: no calibration frames, no promise
    Paper,
}

/// Runs the subcommand.
pub fn run(args: Args) -> Result<ExitCode> {
    let mut options = options(&args)?;
    let policy = policy::read(args.policy.as_deref())?;
    let sources = FeatureFiles::new(&args.normal, &args.anomalous);
    let inputs = [sources.paths(), args.making.paths()].concat();
    files::check_apart(&args.output, &inputs)?;
    files::check_writable(&args.output)?;
    let (normal, anomalous) = sources.read(&|normal, word| args.making.features(normal, word))?;
    if args.inputs.is_none() {
        options.inputs = all_inputs(&normal);
    }
    let bar = progress::spinner("fitting");
    let report = fit(&normal, &anomalous, &options);
    bar.finish_and_clear();
    let report = report.map_err(with_total)?;
    files::write_atomic(&args.output, report.detector.to_json()?.as_bytes())?;
    if args.json {
        output::print(&format!("{}\n", report.to_json()?))?;
    } else {
        output::print(&format!(
            "{}{}\n{}: fitted on {} frames in {:.1} s\nnext: gradgate pack MODEL.onnx --detector \
             {} -o NAME.gate\n",
            report.to_text(),
            events_text(&normal, &report, &policy)?,
            args.output.display(),
            normal.len(),
            report.fit_seconds,
            args.output.display(),
        ))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn options(args: &Args) -> Result<FitOptions> {
    let options = FitOptions {
        head: args.head.as_deref().map(HeadKind::parse).transpose().context("--head")?,
        inputs: match &args.inputs {
            Some(text) => parse_inputs(text).context("--inputs")?,
            None => FitOptions::default().inputs,
        },
        false_alarm_rate: args.false_alarm_rate,
        caution_rate: args.caution_rate,
        confidence: args.confidence,
        seed: args.seed,
        split: match args.protocol {
            Protocol::Grouped => SplitMode::Promise,
            Protocol::Paper => SplitMode::Paper,
        },
        ..FitOptions::default()
    };
    options.check()?;
    Ok(options)
}

/// Every kind that the features hold.
fn all_inputs(set: &FeatureSet) -> Inputs {
    let shape = set.shape();
    let kinds = [(Inputs::NORM, shape.norms), (Inputs::ALIGNMENT, shape.alignments)];
    let held = kinds.into_iter().filter(|(_, count)| *count > 0);
    held.fold(Inputs::FORWARD, |all, (kind, _)| all.with(kind))
}

/// Gate events on the audit part, whose frames set no threshold.
fn events_text(set: &FeatureSet, report: &FitReport, policy: &Policy) -> Result<String> {
    let file = &report.detector;
    let options = &file.options;
    let (parts, _) = split_normal(&set.source, options.split, options.seed);
    let scorer = Scorer::new(&file.detector, set.shape())?;
    let sequences = of_features(set, &parts.audit, &scorer.scores(set, &parts.audit)?);
    if sequences.is_empty() {
        let text = "gate events an hour: not shown, the audit frames are independent images; count \
                    them on sequences of the camera (gradgate calibrate)\n";
        return Ok(text.to_owned());
    }
    let limits = Limits { threshold: file.detector.threshold, caution: file.detector.caution };
    let tally = replay(policy, &limits, &sequences)?;
    let times = match sequences.iter().all(Sequence::is_recorded) {
        true => "at their recorded times".to_owned(),
        false => format!("without times, a frame every {} us", policy.frame_period_us),
    };
    Ok(format!(
        "held out, as {} sequences {times}, {} BLOCK of {}: {}\n{}\n",
        tally.sequences,
        policy.k,
        policy.m,
        tally.rate(options.confidence).text(),
        tally.rate(options.confidence).promise_text(PER_HOUR)
    ))
}

/// Says how much it takes in all, where the calibration part is too small for the promise.
fn with_total(error: DetectError) -> anyhow::Error {
    let total = match &error {
        DetectError::TooFew { need, unit, .. } if unit.contains("calibration") => need * PARTS,
        _ => return error.into(),
    };
    let advice = format!("{total} independent normal frames are needed in all");
    anyhow::Error::new(error).context(advice)
}
