//! `gradgate demo`: a drive, judged by the shipped bundle; needs no file.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use gradgate_engine::Engine;
use gradgate_gate::verdict::Limits;

use crate::demo::{self, Camera, Stretch, Totals};
use crate::executor::Packed;
use crate::frames::ChoiceArgs;
use crate::{files, output, self_test};

/// ResNet-8 trained on `signs:train` (models/resnet8-signs.toml), composite detector calibrated on
/// `signs:calibration`; models/README.md says how to make it again.
const BUNDLE: &[u8] = include_bytes!("../../../../models/bundles/signs.gate");

/// A drive past signs, frame by frame: whether the gate closes when it should, and only then
///
/// Draws normal stretches, weather, signs that the classifier never learnt, faulty cameras and,
/// from small files, attacked frames, and judges them with the shipped bundle of a ResNet-8 that
/// learnt drawn signs. Beside its gate stand those of two plain detectors with the same rate of
/// false alarms: the classifier's largest softmax, and ten statistics of the picture. Nothing is
/// downloaded; nothing was fitted on any anomaly. Each frame is a character: `.` gate open, `#`
/// closed, `?` the picture is unusable; for the classifier `.` right, `x` wrong.
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  gradgate demo --seed 7
  gradgate demo --real drive.mcap --bundle mine.gate")]
pub struct Args {
    /// Another seed draws another drive
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// Where the report goes
    #[arg(short, long, value_name = "DRIVE.html", default_value = "gradgate-demo.html")]
    output: PathBuf,
    /// Normal tracks of 5 s: on half of them the plain detectors are set, on the others false
    /// stops are counted
    #[arg(long, value_name = "N", default_value_t = 240,
          value_parser = clap::value_parser!(u32).range(8..=100_000), conflicts_with = "real")]
    normal_tracks: u32,
    /// Play these frames in their order instead, with camera faults in every other stretch of the
    /// second half; the first half is taken as normal
    #[arg(long, num_args = 1.., value_name = "FRAMES", requires = "bundle")]
    real: Vec<PathBuf>,
    /// The bundle that judges them
    #[arg(long, value_name = "BUNDLE", requires = "real")]
    bundle: Option<PathBuf>,
    /// Print one JSON object a line, one line a frame
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    choice: ChoiceArgs,
}

/// Runs the subcommand.
pub fn run(args: Args) -> Result<ExitCode> {
    let mut inputs: Vec<&Path> = args.real.iter().map(PathBuf::as_path).collect();
    inputs.extend(args.bundle.as_deref());
    files::check_apart(&args.output, &inputs)?;
    files::check_writable(&args.output)?;
    let (packed, name) = match &args.bundle {
        Some(path) => (Packed::read(path)?, path.clone()),
        None => (Packed::from_bytes(BUNDLE), PathBuf::from("the shipped bundle")),
    };
    let engine = packed.engine(&name)?;
    self_test::check(&engine).with_context(|| name.display().to_string())?;
    let header = engine.bundle().header();
    let limits = header.detector.as_ref().map(Limits::from);
    let limits = limits.with_context(|| format!("{} holds no detector", name.display()))?;
    let camera = camera(&args, &engine)?;
    let stretches = &camera.drive;
    let about = about(&args, &name, limits.threshold, stretches);
    if !args.json {
        output::print(&format!("{about}\n. open   # closed   ? unusable picture   x wrong\n\n"))?;
    }
    let normal = demo::judge_all(&engine, &limits, &camera)?;
    let mut number = 0;
    let played = demo::play(&engine, &limits, &normal.rivals, stretches, |stretch, played| {
        let text = match args.json {
            true => demo::json_lines(number, stretch, played),
            false => demo::strip(stretch, played),
        };
        number += 1;
        output::print(&text)
    })?;
    let totals = Totals::of(stretches, &played);
    let shape = engine.bundle().manifest().input.map(|side| side.get() as usize);
    let page = demo::page(&about, shape, stretches, &played, &normal)?;
    files::write_atomic(&args.output, page.as_bytes())?;
    let end = format!("{}report: {}\n", demo::summary(&totals, &normal), args.output.display());
    if args.json {
        eprint!("{end}")
    } else {
        output::print(&end)?
    }
    Ok(ExitCode::SUCCESS)
}

fn camera(args: &Args, engine: &Engine<'_>) -> Result<Camera> {
    if args.real.is_empty() {
        return demo::signs(args.seed, args.normal_tracks);
    }
    let shape = engine.bundle().manifest().input.map(|side| side.get() as usize);
    demo::real(&args.choice.open(&args.real, shape)?, args.seed)
}

fn about(args: &Args, name: &Path, threshold: f32, stretches: &[Stretch]) -> String {
    let frames: usize = stretches.iter().map(|stretch| stretch.frames.len()).sum();
    if args.real.is_empty() {
        return format!(
            "{frames} frames of a drive past drawn signs (seed {}): ResNet-8, composite detector \
             fitted on normal frames alone, threshold {threshold:.2}.",
            args.seed
        );
    }
    format!(
        "{frames} frames of {}, with camera faults in every other stretch (seed {}): judged by {}, \
         threshold {threshold:.2}.",
        args.choice.describe(&args.real),
        args.seed,
        name.display()
    )
}
