//! `gradgate explain`: why one frame has its verdict.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, bail};
use gradgate_engine::Engine;

use crate::executor::{Executor, Kind, Packed};
use crate::explanation::{Explainer, Subject};
use crate::frames::ChoiceArgs;
use crate::neighbours::{Neighbours, NormalArgs};
use crate::{files, output, self_test};

/// Show why a frame has its verdict: one page that opens offline
///
/// The picture as the model saw it, class, score against threshold, how far every tensor is from
/// normal and which moved the score most, where in the picture a layer's gradient is made, and the
/// nearest normal frames (--normal).
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  gradgate explain resnet20.gate odd.png -o odd.html --normal photos/
  gradgate explain models/bundles/signs.gate signs:unseen --index 7 -o sign.html")]
pub struct Args {
    /// The bundle
    #[arg(value_name = "BUNDLE")]
    bundle: PathBuf,
    /// The frame, or frames of which --index chooses one
    #[arg(value_name = "FRAME")]
    frame: PathBuf,
    /// Which frame, counted from 0 [default: the only one]
    #[arg(long, value_name = "N")]
    index: Option<u64>,
    /// Where the page goes
    #[arg(short, long, value_name = "E.html")]
    output: PathBuf,
    /// Layer of the heat map: a weight's name or a part of it [default: the one that moved the
    /// score most]
    #[arg(long, value_name = "NAME")]
    layer: Option<String>,
    #[command(flatten)]
    normal: NormalArgs,
    #[command(flatten)]
    choice: ChoiceArgs,
}

/// Runs the subcommand.
pub fn run(args: Args) -> Result<ExitCode> {
    let mut inputs = vec![args.bundle.as_path(), args.frame.as_path()];
    inputs.extend(args.normal.normal.iter().map(PathBuf::as_path));
    files::check_apart(&args.output, &inputs)?;
    files::check_writable(&args.output)?;
    let packed = Packed::read(&args.bundle)?;
    let engine = packed.engine(&args.bundle)?;
    self_test::check(&engine)?;
    let shape = engine.bundle().manifest().input.map(|side| side.get() as usize);
    let frames = args.choice.open(std::slice::from_ref(&args.frame), shape)?;
    let index = match (args.index, frames.len()) {
        (Some(index), _) => usize::try_from(index).unwrap_or(usize::MAX),
        (None, 1) => 0,
        (None, count) => {
            let name = args.frame.display();
            bail!("{name} holds {count} frames: choose one with --index, 0 to {}", count - 1)
        }
    };
    let frame = frames.get(index)?;
    let neighbours = neighbours(&args.normal, &args.choice, &engine)?;
    let name = args.bundle.display().to_string();
    let explainer = Explainer::new(engine, name, args.layer.as_deref(), neighbours)?;
    let page = explainer.page(&Subject {
        name: &frame.name,
        pixels: &frame.pixels,
        sensor: None,
        about: "",
    })?;
    files::write_atomic(&args.output, page.as_bytes())?;
    output::print(&format!("{}: why {} has its verdict\n", args.output.display(), frame.name))?;
    Ok(ExitCode::SUCCESS)
}

/// The normal frames, when any were given, run through the bundle.
pub fn neighbours(
    args: &NormalArgs,
    choice: &ChoiceArgs,
    engine: &Engine<'_>,
) -> Result<Option<Neighbours>> {
    if args.normal.is_empty() {
        return Ok(None);
    }
    let shape = engine.bundle().manifest().input.map(|side| side.get() as usize);
    // The normal frames take the way of the frame, but its faults.
    let choice = ChoiceArgs {
        limit: Some(args.normal_limit),
        stride: None,
        fault: vec![],
        fault_seed: 0,
        ..choice.clone()
    };
    let frames = choice.open(&args.normal, shape)?;
    let executor = Executor::of_bundle(engine.clone(), Kind::Engine)?;
    Ok(Some(Neighbours::new(&executor, frames, choice.describe(&args.normal))?))
}
