//! `gradgate scan`: judge a recording's frames, and write a copy with the verdicts in it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use gradgate_bundle::header::names;
use gradgate_engine::Engine;
use gradgate_frames::{AddedChannel, Copied, Frames, Pixels, Recording};
use gradgate_gate::verdict::Limits;

use crate::annotation::{self, Page};
use crate::executor::{Executor, Kind, Packed, usable};
use crate::frames::{ChoiceArgs, CropArg, exit_code};
use crate::gated::Gated;
use crate::judge::{Counts, judge};
use crate::output::{hex, print};
use crate::parallel::ThreadsArgs;
use crate::{files, parallel, progress, self_test};

/// Judge a recording, and write an MCAP copy of it with verdicts and marks for Foxglove.
///
/// The copy holds every channel, message, attachment and metadata record of the recording and,
/// for each image, a verdict on TOPIC/gradgate/verdict and foxglove.ImageAnnotations (in its ROS 2
/// form) on TOPIC/gradgate/annotations, at the time of the image's message. The recording is not
/// touched.
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  gradgate scan signs.gate drive.mcap -o drive.scanned.mcap
  gradgate scan signs.gate bag_0.db3 --topic /camera/image_raw -o scanned.mcap")]
pub struct Args {
    /// The bundle
    #[arg(value_name = "BUNDLE")]
    bundle: PathBuf,
    /// An MCAP file or a rosbag2 .db3 file with images
    #[arg(value_name = "RECORDING")]
    recording: PathBuf,
    /// The copy, an MCAP file
    #[arg(short, long, value_name = "ANNOTATED.mcap")]
    output: PathBuf,
    /// A topic of images [default: the only one]; can be repeated
    #[arg(long, value_name = "TOPIC")]
    topic: Vec<String>,
    /// Which part of an image becomes the frame
    #[arg(long, value_enum, default_value_t)]
    crop: CropArg,
    /// What runs the network
    #[arg(long, value_enum, default_value_t)]
    executor: Kind,
    #[command(flatten)]
    threads: ThreadsArgs,
}

/// What is written about each frame, and all of them.
struct Scanned {
    /// Verdict and marks, as messages.
    said: Vec<[Vec<u8>; 2]>,
    counts: Counts,
    summary: String,
}

/// Runs the subcommand.
pub fn run(args: Args) -> Result<ExitCode> {
    args.executor.check_bundle(&args.bundle)?;
    if args.recording.as_os_str() == "-" {
        bail!("standard input is no recording: `gradgate run` judges frames of a pipe");
    }
    if args.output.extension().is_none_or(|ending| ending != "mcap") {
        let name = args.output.display();
        bail!("{name}: what is written is MCAP: give -o a name that ends in .mcap");
    }
    files::check_apart(&args.output, &[&args.recording, &args.bundle])?;
    files::check_writable(&args.output)?;
    let packed = Packed::read(&args.bundle)?;
    let engine = packed.engine(&args.bundle)?;
    self_test::check(&engine).with_context(|| args.bundle.display().to_string())?;
    let shape = engine.bundle().manifest().input.map(|side| side.get() as usize);
    let choice = ChoiceArgs { topic: args.topic.clone(), crop: args.crop, ..ChoiceArgs::default() };
    let frames = choice.open(std::slice::from_ref(&args.recording), shape)?;
    let recording = frames.recordings().next().with_context(|| {
        let name = args.recording.display();
        format!(
            "{name} is no recording (MCAP or rosbag2's .db3): `gradgate run` judges other frames"
        )
    })?;
    let begin = Instant::now();
    let threads = args.threads.count(frames.len());
    let scanned = scan(&args, &engine, &frames, recording, threads)?;
    let judged = begin.elapsed().as_secs_f64();
    let copied = write(&args, &engine, recording, &scanned)?;
    let seconds = begin.elapsed().as_secs_f64();
    let Scanned { counts, summary, .. } = &scanned;
    print(&format!(
        "{}{}: {} messages copied, {} added\n{} frames in {seconds:.2} s on {threads} thread{}: \
         {:.1} frames/s ({:.2} s of it copying)\n",
        counts.text() + summary,
        args.output.display(),
        copied.messages,
        copied.added,
        frames.len(),
        if threads == 1 { "" } else { "s" },
        frames.len() as f64 / seconds.max(1e-9),
        seconds - judged,
    ))?;
    if counts.unreadable > 0 {
        let (unreadable, total) = (counts.unreadable, counts.total());
        bail!("{unreadable} of {total} images cannot be read: UNKNOWN in the copy, with the cause");
    }
    Ok(exit_code(&frames))
}

fn scan(
    args: &Args,
    engine: &Engine<'_>,
    frames: &Frames,
    recording: &Recording,
    threads: usize,
) -> Result<Scanned> {
    let header = engine.bundle().header();
    let name = args.bundle.display();
    let detector = header.detector.as_ref();
    let detector = detector
        .with_context(|| format!("{name} holds no detector: pack the model with --detector"))?;
    let page = Page { limits: Limits::from(detector), classes: names(header.classes).collect() };
    let shape = frames.shape();
    let executor = Executor::of_bundle(engine.clone(), args.executor)?;
    let topics: Vec<&str> = recording.topics().collect();
    let mut gated = Gated::new(engine.bundle())?;
    let mut scanned =
        Scanned { said: Vec::new(), counts: Counts::default(), summary: String::new() };
    parallel::for_each(
        frames,
        threads,
        &progress::over(frames, "scan"),
        || executor.worker(),
        |worker, frame| {
            let picture = frame.as_ref().map_or([0, 0], |frame| frame.picture);
            let mut judged = judge(usable(worker)?, &page.limits, shape, frame)?;
            judged.sequence = judged.source.and_then(|source| frames.sequence(source));
            Ok((judged, picture))
        },
        |index, (mut judged, picture)| {
            let (topic, logged) = recording.logged(index).unwrap_or_default();
            if judged.is_unreadable() {
                judged.name = format!("{}:{}", args.recording.display(), topics[topic]);
                judged.time_ns = Some(logged);
            }
            let seen = gated.take(&mut judged);
            scanned.counts.add(&judged);
            judged.pixels = Pixels::U8(Vec::new());
            let marks = page.marks(&judged, seen, picture);
            scanned.said.push([page.verdict(index, &judged, seen), marks]);
            Ok(())
        },
    )?;
    scanned.summary = gated.finish(engine)?;
    Ok(scanned)
}

fn write(
    args: &Args,
    engine: &Engine<'_>,
    recording: &Recording,
    scanned: &Scanned,
) -> Result<Copied> {
    let channels: Vec<AddedChannel> = recording.topics().flat_map(annotation::channels).collect();
    let provenance = &engine.bundle().header().provenance;
    let about = BTreeMap::from([
        ("version".to_owned(), env!("CARGO_PKG_VERSION").to_owned()),
        ("bundle".to_owned(), files::stem(&args.bundle)),
        ("model".to_owned(), provenance.model.to_owned()),
        ("model_digest".to_owned(), hex(&provenance.model_digest)),
        ("detector_digest".to_owned(), hex(&provenance.detector_digest)),
    ]);
    let mut each = |frame: usize| {
        let topic = recording.logged(frame).map_or(0, |(topic, _)| topic);
        match scanned.said.get(frame) {
            Some(said) => annotation::messages(topic, said),
            None => Vec::new(),
        }
    };
    files::write_atomic_with(&args.output, |out| {
        Ok(recording.annotate(out, &channels, ("gradgate", about), &mut each)?)
    })
}
