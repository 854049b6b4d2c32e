//! `gradgate run`: judge frames here, with the code and the bits of the device.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use gradgate_bundle::detector::{Judgement, Reason};
use gradgate_bundle::header::names;
use gradgate_engine::detector::predicted;
use gradgate_frame::{CheckLimits, FrozenWatch, check_frame};
use gradgate_frames::{Frame, FramesError};
use gradgate_gate::verdict::{Cause, Limits};
use gradgate_gate::{Verdict, decide};
use serde_json::{Value, json};

use crate::executor::{Executor, Kind, Packed, Worker, usable};
use crate::frames::FramesArgs;
use crate::output::{plain, print};
use crate::parallel::ThreadsArgs;
use crate::{parallel, progress, self_test};

/// Room for a frame's name, in characters; a longer one shifts its line.
const NAME_WIDTH: usize = 24;

/// Judge frames: class, score, threshold, verdict of each.
///
/// PASS: score at or under the threshold. BLOCK: above it. UNKNOWN: nothing can be promised (the
/// camera's fault, a value that is not finite, the caution zone). Reasons: SENSOR, the picture is
/// unusable; SHIFT, unlike the normal frames; DOUBT, the classifier is likely wrong. Exit code 0
/// when every frame was judged, whatever the verdicts; 2 when one could not be read.
#[derive(clap::Args, Debug)]
#[command(after_help = "Example:\n  gradgate run resnet20.gate photos/ --json")]
pub struct Args {
    /// The bundle
    #[arg(value_name = "BUNDLE")]
    bundle: PathBuf,
    #[command(flatten)]
    frames: FramesArgs,
    /// What runs the network
    #[arg(long, value_enum, default_value_t)]
    executor: Kind,
    /// Print one JSON object a line, one line a frame
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    threads: ThreadsArgs,
}

/// What is said of one frame.
struct Line {
    name: String,
    time_ns: Option<i64>,
    sequence: Option<String>,
    label: Option<i64>,
    class: Option<u32>,
    judgement: Option<Judgement>,
    verdict: Verdict,
    /// What is wrong with the picture itself.
    sensor: Option<String>,
    /// Empty for a frame that cannot be read.
    pixels: Vec<u8>,
}

/// Verdicts so far.
#[derive(Default)]
struct Counts {
    pass: usize,
    block: usize,
    unknown: usize,
    unreadable: usize,
    right: usize,
    labelled: usize,
}

/// What lines are printed with.
struct Page<'a> {
    json: bool,
    classes: Vec<&'a str>,
    /// Of the longest class in print.
    class_width: usize,
    limits: Limits,
}

/// Runs the subcommand.
pub fn run(args: Args) -> Result<ExitCode> {
    args.executor.check_bundle(&args.bundle)?;
    let packed = Packed::read(&args.bundle)?;
    let engine = packed.engine(&args.bundle)?;
    let header = engine.bundle().header();
    let name = args.bundle.display();
    let detector = header
        .detector
        .as_ref()
        .with_context(|| format!("{name} holds no detector: pack the model with --detector"))?;
    self_test::check(&engine).with_context(|| name.to_string())?;
    let shape = engine.bundle().manifest().input.map(|side| side.get() as usize);
    let frames = args.frames.open(shape)?;
    let classes: Vec<&str> = names(header.classes).collect();
    let page = Page {
        json: args.json,
        class_width: (0..header.schema.classes as usize)
            .map(|class| class_text(&classes, class).chars().count())
            .max()
            .unwrap_or(0),
        classes,
        limits: Limits::from(detector),
    };
    let executor = Executor::of_bundle(engine.clone(), args.executor)?;
    let threads = args.threads.count(frames.len());
    // Lines on a terminal are progress enough; a bar would tear them.
    let bar = match std::io::IsTerminal::is_terminal(&std::io::stdout()) {
        true => indicatif::ProgressBar::hidden(),
        false => progress::frames(frames.len(), "run"),
    };
    let (mut watch, mut counts) = (FrozenWatch::new(), Counts::default());
    let frozen = header.policy.frozen_frames;
    parallel::for_each(
        &frames,
        threads,
        &bar,
        || executor.worker(),
        |worker, frame| {
            let sequence = frame.as_ref().ok().and_then(|frame| frames.sequence(frame.source));
            let line = judge(usable(worker)?, &page.limits, shape, frame)?;
            Ok(Line { sequence, ..line })
        },
        |index, mut line| {
            // Order matters here, so it happens on one thread.
            if line.pixels.is_empty() {
                counts.unreadable += 1;
            } else if let Err(fault) = watch.observe(&line.pixels, frozen) {
                line.sensor.get_or_insert_with(|| fault.to_string());
            }
            counts.add(&line);
            print(&page.line(index, &line))
        },
    )?;
    let summary = counts.text();
    if args.json {
        eprint!("{summary}")
    } else {
        print(&summary)?
    }
    if counts.unreadable > 0 {
        let Counts { unreadable, .. } = counts;
        bail!("could not read {unreadable} of {} frames: UNKNOWN", frames.len());
    }
    Ok(ExitCode::SUCCESS)
}

fn judge(
    worker: &mut Worker<'_, '_>,
    limits: &Limits,
    shape: [usize; 3],
    frame: Result<Frame, FramesError>,
) -> Result<Line> {
    let frame = match frame {
        Ok(frame) => frame,
        Err(error) => return unreadable(error),
    };
    let pixels = frame.pixels.to_u8();
    let check = check_frame(&pixels, shape.iter().product(), shape[2], CheckLimits::default());
    let mut line = Line {
        name: frame.name,
        time_ns: frame.time_ns,
        sequence: None,
        label: frame.label,
        class: None,
        judgement: None,
        verdict: Verdict::Unknown { cause: Cause::NoDetector },
        sensor: check.err().map(|fault| fault.to_string()),
        pixels,
    };
    if line.sensor.is_some() {
        return Ok(line);
    }
    let (features, judgement) = worker.judge(&frame.pixels)?;
    if let Some(judgement) = judgement {
        line.verdict = decide(&judgement, limits);
        line.judgement = judgement.ok();
    }
    if features.logits.iter().all(|logit| logit.is_finite()) {
        line.class = Some(predicted(features.logits));
    }
    Ok(line)
}

/// A file that holds no picture is a picture that cannot be judged; other errors end the command.
fn unreadable(error: FramesError) -> Result<Line> {
    let text = error.to_string();
    let path = match error {
        FramesError::Io { path, .. }
        | FramesError::Unrecognised { path, .. }
        | FramesError::Malformed { path, .. } => path,
        other => return Err(other.into()),
    };
    let name = path.display().to_string();
    let cause = text.strip_prefix(&name).unwrap_or(&text).trim_start_matches([':', ',', ' ']);
    Ok(Line {
        time_ns: None,
        sequence: None,
        label: None,
        class: None,
        judgement: None,
        verdict: Verdict::Unknown { cause: Cause::Sensor },
        sensor: Some(format!("cannot be read: {cause}")),
        pixels: Vec::new(),
        name,
    })
}

impl Line {
    fn verdict(&self) -> String {
        match &self.sensor {
            Some(_) => "UNKNOWN".to_owned(),
            None => self.verdict.to_string(),
        }
    }

    /// SENSOR, SHIFT or DOUBT; for a frame that passes, what speaks most against it.
    fn reason(&self) -> Option<&'static str> {
        match (&self.sensor, self.judgement) {
            (Some(_), _) => Some("SENSOR"),
            (None, Some(judgement)) => Some(match judgement.reason {
                Reason::Sensor => "SENSOR",
                Reason::Shift => "SHIFT",
                Reason::Doubt => "DOUBT",
            }),
            (None, None) => None,
        }
    }

    /// Why the verdict is UNKNOWN.
    fn cause(&self) -> Option<String> {
        if let Some(fault) = &self.sensor {
            return Some(fault.clone());
        }
        let Verdict::Unknown { cause } = self.verdict else { return None };
        Some(match cause {
            Cause::Caution => "the score lies between caution threshold and threshold".to_owned(),
            Cause::Fault(fault) => format!("the network gives no usable numbers ({fault:?})"),
            Cause::Judgement => "score or p-value is not usable".to_owned(),
            Cause::Limits => "the thresholds are not usable".to_owned(),
            Cause::NoDetector => "there is no detector".to_owned(),
            Cause::Sensor => "the picture is unusable".to_owned(),
        })
    }
}

/// Number and, if known, name of a class.
fn class_text(classes: &[&str], class: usize) -> String {
    let name = classes.get(class).copied().map(plain).unwrap_or_default();
    format!("{class} {name}").trim_end().to_owned()
}

impl Page<'_> {
    fn line(&self, index: usize, line: &Line) -> String {
        if self.json {
            return format!("{}\n", self.to_json(index, line));
        }
        let class = match line.class {
            Some(class) => class_text(&self.classes, class as usize),
            None => "-".to_owned(),
        };
        let number = |value: Option<f32>| value.map_or("-".to_owned(), |v| format!("{v:.4}"));
        let score = number(line.judgement.map(|judgement| judgement.score));
        let p_value = number(line.judgement.map(|judgement| judgement.p_value));
        let verdict = line.verdict();
        let mut why = String::new();
        if verdict != "PASS" {
            why = format!(" {}", line.reason().unwrap_or_default());
        }
        if let Some(cause) = line.cause() {
            why.push_str(&format!(" ({cause})"));
        }
        format!(
            "{:NAME_WIDTH$}  class {class:width$}  score {score:>9}  threshold {:.4}  \
             p {p_value:>6}  {verdict}{why}\n",
            plain(&line.name),
            self.limits.threshold,
            width = self.class_width,
        )
    }

    fn to_json(&self, index: usize, line: &Line) -> Value {
        json!({
            "frame": index,
            "name": line.name,
            "time_ns": line.time_ns,
            "sequence": line.sequence,
            "label": line.label,
            "class": line.class,
            "class_name": line.class.and_then(|class| self.class_name(class)),
            "score": line.judgement.map(|judgement| judgement.score),
            "threshold": self.limits.threshold,
            "caution": self.limits.caution,
            "p_value": line.judgement.map(|judgement| judgement.p_value),
            "verdict": line.verdict(),
            "reason": line.reason(),
            "cause": line.cause(),
        })
    }

    fn class_name(&self, class: u32) -> Option<&str> {
        self.classes.get(class as usize).copied()
    }
}

impl Counts {
    fn add(&mut self, line: &Line) {
        match (&line.sensor, line.verdict) {
            (None, Verdict::Pass) => self.pass += 1,
            (None, Verdict::Block) => self.block += 1,
            (Some(_), _) | (None, Verdict::Unknown { .. }) => self.unknown += 1,
        }
        if let (Some(label), Some(class)) = (line.label, line.class) {
            self.labelled += 1;
            self.right += usize::from(label == i64::from(class));
        }
    }

    fn text(&self) -> String {
        let Counts { pass, block, unknown, right, labelled, .. } = self;
        let total = pass + block + unknown;
        let share = |n: &usize| 100.0 * *n as f64 / total.max(1) as f64;
        let mut text = format!(
            "{total} frames: PASS {pass} ({:.1} %), BLOCK {block} ({:.1} %), UNKNOWN {unknown} \
             ({:.1} %)\n",
            share(pass),
            share(block),
            share(unknown)
        );
        if *labelled > 0 {
            let rate = 100.0 * *right as f64 / *labelled as f64;
            text.push_str(&format!(
                "class as the frame's label says: {right} of {labelled} ({rate:.1} %)\n"
            ));
        }
        text
    }
}
