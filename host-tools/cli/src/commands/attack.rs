//! `gradgate attack`: images that a network gets wrong.

mod options;

use std::collections::HashSet;
use std::path::PathBuf;
use std::process::ExitCode;
use std::str::FromStr;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use gradgate_bundle::digest::sha256;
use gradgate_frame::Preprocessing;
use gradgate_frames::Frames;
use gradgate_lab::attack::checkpoint::{self, Checkpoint};
use gradgate_lab::attack::file::{AttackFile, Facts};
use gradgate_lab::attack::{Attack, CleanWrong, Labels, Outcome, Status, Subject, Summary, Work};
use gradgate_lab::preprocessed::Preprocessed;
use gradgate_lab::{Array, Classifier, Device, attack, device};

use self::options::OptionArgs;
use crate::frames::FramesArgs;
use crate::model::{Model, ModelArgs};
use crate::output::hex;
use crate::{files, interrupt, output, progress};

/// Images that a network gets wrong, made from FRAMES.
///
/// The file can be read as FRAMES again. Results depend neither on the batch nor on the order, and
/// a run that was killed goes on with --resume.
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  gradgate attack resnet20.onnx cifar10/test.bin --method pgd --eps 8/255 -o pgd.safetensors
  gradgate attack resnet20.onnx cifar10/test.bin --method cw --searches 5 --steps 200 \\
      --limit 200 --keep success -o cw.safetensors
  gradgate attack net.onnx photos/ --method bim --preset torchattacks2022 --round8 \\
      -o bim.safetensors
  gradgate features resnet20.onnx pgd.safetensors -o attacked.safetensors")]
pub struct Args {
    /// The classifier
    #[arg(value_name = "MODEL.onnx")]
    model: PathBuf,
    #[command(flatten)]
    frames: FramesArgs,
    #[command(flatten)]
    options: OptionArgs,
    /// Where the attacked images go
    #[arg(short, long, value_name = "ADV.safetensors")]
    output: PathBuf,
    /// Images to write: all, clean-right (those that the model got right before) or success
    #[arg(long, value_name = "WORD", default_value = "all")]
    keep: Keep,
    /// Go on with a run that was killed
    #[arg(long)]
    resume: bool,
    /// Where to compute: cpu or cuda
    #[arg(long, value_name = "NAME", default_value_t)]
    device: Device,
    /// Images under attack at a time; the result does not depend on it
    #[arg(long, value_name = "N", default_value_t = 64,
          value_parser = clap::value_parser!(u32).range(1..=65_536))]
    batch: u32,
    /// From pixels to the network's input [default: range=0,1 order=rgb]
    #[arg(long, value_name = "TEXT", default_value_t)]
    preprocessing: Preprocessing,
    #[command(flatten)]
    choices: ModelArgs,
}

/// Which images are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Keep {
    All,
    CleanRight,
    Success,
}

impl FromStr for Keep {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        match word {
            "all" => Ok(Keep::All),
            "clean-right" => Ok(Keep::CleanRight),
            "success" => Ok(Keep::Success),
            _ => Err("it is all, clean-right or success".to_owned()),
        }
    }
}

impl Keep {
    fn keeps(self, status: Status) -> bool {
        match self {
            Keep::All => true,
            Keep::CleanRight => status != Status::CleanWrong,
            Keep::Success => status == Status::Success,
        }
    }
}

/// Runs the subcommand.
pub fn run(args: Args) -> Result<ExitCode> {
    let attack = args.options.resolve()?;
    args.device.check()?;
    let mut inputs = args.frames.paths();
    inputs.push(&args.model);
    files::check_apart(&args.output, &inputs)?;
    files::check_writable(&args.output)?;
    let model = Model::read(&args.model, &args.choices)?;
    attack.check(&model.imported.graph)?;
    let shape = model.frame_shape()?;
    let frames = args.frames.open(shape)?;
    let classifier = classifier(&args, &model)?;
    let digest = look_through(&frames, &attack, classifier.as_ref())?;
    let facts = facts(&args, &attack, &model, &frames, &digest);
    let (mut checkpoint, before) = open_checkpoint(&args, &facts, shape)?;
    let done = attack_all(&args, &attack, classifier.as_ref(), &frames, &mut checkpoint, before)?;
    write(&args, facts, shape, done)?;
    checkpoint.remove()?;
    Ok(ExitCode::SUCCESS)
}

fn classifier(args: &Args, model: &Model) -> Result<Box<dyn Classifier>> {
    let graph = std::sync::Arc::new(model.imported.graph.clone());
    let classifier = device::open(graph, args.device)?;
    if args.preprocessing == Preprocessing::default() {
        return Ok(classifier);
    }
    Ok(Box::new(Preprocessed::new(classifier, args.preprocessing)))
}

/// Reads every frame once, so that one that is broken stops the run before it begins; the digest
/// of all pixels and labels. Refuses a model that knows no more of the first frames than chance.
fn look_through(frames: &Frames, attack: &Attack, classifier: &dyn Classifier) -> Result<String> {
    const FIRST: usize = 64;
    let channels = frames.shape()[2];
    let (mut digests, mut first) = (Vec::new(), Vec::new());
    for (index, frame) in frames.iter().enumerate() {
        interrupt::check()?;
        let subject = Subject::of_frame(index, &frame?, channels)?;
        ensure!(
            subject.label.is_some() || attack.labels == Labels::Own,
            "image {index} has no label: give labelled frames, or `--labels own` to move away from \
             what the classifier says itself"
        );
        let mut bytes: Vec<u8> = subject.pixels.iter().flat_map(|x| x.to_le_bytes()).collect();
        bytes.extend(subject.label.map_or(u64::MAX, |label| label as u64).to_le_bytes());
        digests.extend(sha256(&bytes));
        if first.len() < FIRST && subject.label.is_some() {
            first.push(subject);
        }
    }
    if first.len() >= FIRST / 2 && attack.clean_wrong == CleanWrong::Leave {
        check_knowledge(&first, classifier, frames.shape())?;
    }
    Ok(hex(&sha256(&digests)))
}

fn check_knowledge(
    first: &[Subject],
    classifier: &dyn Classifier,
    [height, width, channels]: [usize; 3],
) -> Result<()> {
    let pixels = first.iter().flat_map(|subject| subject.pixels.clone()).collect();
    let images = Array::new([first.len(), channels, height, width], pixels);
    let logits = classifier.logits(&images)?;
    let right = |&(at, subject): &(usize, &Subject)| {
        Some(attack::loss::argmax(logits.frame(at))) == subject.label
    };
    let right = first.iter().enumerate().filter(right).count();
    let (n, classes) = (first.len(), classifier.classes());
    ensure!(
        right * classes > n,
        "the model is right about {right} of the first {n} frames, no more than by chance among \
         {classes} classes: look whether labels and input range fit it (`--preprocessing`); \
         `--clean-wrong attack` goes on all the same"
    );
    Ok(())
}

/// All that decides the bits of the result, and where they come from.
fn facts(args: &Args, attack: &Attack, model: &Model, frames: &Frames, digest: &str) -> Facts {
    let file = args.model.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let choice = &args.frames.choice;
    let number = |value: Option<u64>| value.map_or_else(|| "-".to_owned(), |n| n.to_string());
    let mut facts: Facts =
        attack.options().into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    facts.extend(
        [
            ("model", file),
            ("model_digest", hex(&model.digest)),
            ("preprocessing", args.preprocessing.to_string()),
            ("frames", args.frames.describe()),
            ("frames_count", frames.len().to_string()),
            ("frames_digest", digest.to_owned()),
            ("limit", number(choice.limit)),
            ("stride", number(choice.stride)),
            ("group", number(choice.group)),
            ("device", args.device.to_string()),
            ("gradgate", env!("CARGO_PKG_VERSION").to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value)),
    );
    facts
}

fn open_checkpoint(
    args: &Args,
    facts: &Facts,
    shape: [usize; 3],
) -> Result<(Checkpoint, Vec<Outcome>)> {
    let path = checkpoint::path_of(&args.output);
    let description = serde_json::to_string(facts)?;
    match (path.exists(), args.resume) {
        (true, true) => {
            let samples = shape.iter().product();
            Ok(Checkpoint::resume(&path, &description, samples)?)
        }
        (true, false) => bail!(
            "{} was left by a run that was killed: go on with --resume, or delete it",
            path.display()
        ),
        (false, resume) => {
            if resume {
                eprintln!("note: no {} to go on with: begun anew", path.display());
            }
            Ok((Checkpoint::create(&path, &description)?, Vec::new()))
        }
    }
}

fn attack_all(
    args: &Args,
    attack: &Attack,
    classifier: &dyn Classifier,
    frames: &Frames,
    checkpoint: &mut Checkpoint,
    before: Vec<Outcome>,
) -> Result<Vec<Outcome>> {
    let seen: HashSet<usize> = before.iter().map(|outcome| outcome.index).collect();
    if !seen.is_empty() {
        eprintln!("note: {} of {} images are done already", seen.len(), frames.len());
    }
    let channels = frames.shape()[2];
    let left = (0..frames.len()).filter(|index| !seen.contains(index));
    let subjects = left.map(|index| -> Result<Subject> {
        Ok(Subject::of_frame(index, &frames.get(index)?, channels)?)
    });
    let total = attack.image_steps() * (frames.len() - seen.len()) as u64;
    let bar = progress::counted(total, "image-steps", "attack");
    let (begin, mut asked, mut done) = (Instant::now(), 0, before);
    let guard = interrupt::Loop::enter();
    let emit = |outcome: Outcome| {
        checkpoint.add(&outcome)?;
        done.push(outcome);
        Ok(())
    };
    let observe = |work: Work| {
        bar.inc(work.asked + work.spared);
        asked += work.asked;
        interrupt::check()
    };
    let result = attack::run(classifier, attack, subjects, args.batch as usize, emit, observe);
    bar.finish_and_clear();
    drop(guard);
    result.with_context(|| {
        let (count, path) = (done.len(), checkpoint::path_of(&args.output));
        format!("{count} images are kept in {}, `--resume` goes on from there", path.display())
    })?;
    let seconds = begin.elapsed().as_secs_f64();
    let rate = asked as f64 / seconds.max(1e-9);
    output::print(&format!("{seconds:.1} s, {rate:.0} image-steps/s on {}\n", args.device))?;
    Ok(done)
}

fn write(
    args: &Args,
    facts: Facts,
    [rows, columns, channels]: [usize; 3],
    mut outcomes: Vec<Outcome>,
) -> Result<()> {
    outcomes.sort_by_key(|outcome| outcome.index);
    let mut summary = Summary::default();
    outcomes.iter().for_each(|outcome| summary.add(outcome));
    outcomes.retain(|outcome| args.keep.keeps(outcome.status));
    output::print(&summary.to_string())?;
    let bytes = facts["round8"] == "true";
    let shape = [channels, rows, columns];
    let kept = outcomes.len();
    let file = AttackFile { facts, shape, bytes, outcomes };
    files::write_atomic(&args.output, &file.to_bytes()?)?;
    output::print(&format!("{}: {kept} images\n", args.output.display()))
}
