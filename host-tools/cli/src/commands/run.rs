//! `gradgate run`: judge frames here, with the code and the bits of the device.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use gradgate_bundle::header::names;
use gradgate_detect::events::Seen;
use gradgate_engine::Engine;
use gradgate_gate::verdict::Limits;

use super::explain::neighbours;
use crate::evidence::Evidence;
use crate::executor::{Executor, Kind, Packed, usable};
use crate::explanation::Explainer;
use crate::frames::{FramesArgs, exit_code};
use crate::gated::Gated;
use crate::judge::{Counts, Judged, class_text, judge};
use crate::neighbours::NormalArgs;
use crate::output::{plain, print};
use crate::parallel::ThreadsArgs;
use crate::{parallel, progress, self_test};

/// Room for a frame's name, in characters; a longer one shifts its line.
const NAME_WIDTH: usize = 24;

/// Judge frames: class, score, threshold, verdict of each.
///
/// PASS: score at or under the threshold. BLOCK: above it. UNKNOWN: nothing can be promised (the
/// camera's fault, a value that is not finite, the caution zone). Reasons: SENSOR, the picture is
/// unusable; SHIFT, unlike the normal frames; DOUBT, the classifier is likely wrong.
///
/// Frames of a sequence (a recording, a track, --group N) also pass the gate, which begins anew
/// with each: OPEN, or CLOSED with its reason. At the end stand gate events per hour with an exact
/// bound, drift, and the worst events. Exit code 0 when every frame was judged, whatever the
/// verdicts; 2 when one could not be read.
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  gradgate run resnet20.gate photos/ --json
  gradgate run mine.gate drive.mcap --evidence events/ --normal calm.mcap")]
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
    /// Write a page into this folder each time the gate closes, as `explain` does for one frame
    #[arg(long, value_name = "DIR")]
    evidence: Option<PathBuf>,
    #[command(flatten)]
    normal: NormalArgs,
    #[command(flatten)]
    threads: ThreadsArgs,
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
    let frames = args.frames.open_live(shape)?;
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
        false => progress::over(&frames, "run"),
    };
    let mut evidence = evidence(&args, &engine)?;
    let (mut gated, mut counts) = (Gated::new(engine.bundle())?, Counts::default());
    parallel::for_each(
        &frames,
        threads,
        &bar,
        || executor.worker(),
        |worker, frame| {
            let mut judged = judge(usable(worker)?, &page.limits, shape, frame)?;
            let choice = &args.frames.choice;
            judged.sequence = judged.source.and_then(|id| choice.sequence(&frames, id));
            Ok(judged)
        },
        |index, mut judged| {
            // Order matters here, so it happens on one thread.
            let seen = gated.take(&mut judged);
            counts.add(&judged);
            if let Some(evidence) = &mut evidence {
                gated.latest().iter().try_for_each(|event| evidence.write(event))?;
            }
            print(&page.line(index, &judged, seen))
        },
    )?;
    let mut summary = counts.text() + &gated.finish(&engine)?;
    summary.extend(evidence.map(|evidence| evidence.text()));
    if args.json {
        eprint!("{summary}")
    } else {
        print(&summary)?
    }
    if counts.unreadable > 0 {
        let Counts { unreadable, .. } = counts;
        bail!("could not read {unreadable} of {} frames: UNKNOWN", counts.total());
    }
    Ok(exit_code(&frames))
}

/// Where pages go, when they are asked for.
fn evidence<'a>(args: &Args, engine: &Engine<'a>) -> Result<Option<Evidence<'a>>> {
    let Some(folder) = &args.evidence else {
        if !args.normal.normal.is_empty() {
            bail!("--normal is for the pages of --evidence: say where they go");
        }
        return Ok(None);
    };
    let neighbours = neighbours(&args.normal, &args.frames.choice, engine)?;
    let name = args.bundle.display().to_string();
    let explainer = Explainer::new(engine.clone(), name, None, neighbours)?;
    Ok(Some(Evidence::new(folder, explainer)?))
}

impl Page<'_> {
    fn line(&self, index: usize, line: &Judged, seen: Option<Seen>) -> String {
        if self.json {
            return format!("{}\n", line.json(index, seen, &self.classes, &self.limits));
        }
        let class = match line.class {
            Some(class) => class_text(&self.classes, class as usize),
            None => "-".to_owned(),
        };
        let number = |value: Option<f32>| value.map_or("-".to_owned(), |v| format!("{v:.4}"));
        let score = number(line.score());
        let p_value = number(line.judgement.map(|judgement| judgement.p_value));
        let verdict = line.verdict.to_string();
        let mut why = String::new();
        if verdict != "PASS" {
            why = format!(" {}", line.reason().unwrap_or_default());
        }
        if let Some(cause) = line.cause() {
            why.push_str(&format!(" ({cause})"));
        }
        if let Some(seen) = seen {
            why.push_str(&format!("  gate {}", seen.state));
            if let Some(reason) = seen.state.reason() {
                why.push_str(&format!(" {reason}"));
            }
        }
        format!(
            "{:NAME_WIDTH$}  class {class:width$}  score {score:>9}  threshold {:.4}  \
             p {p_value:>6}  {verdict}{why}\n",
            plain(&line.name),
            self.limits.threshold,
            width = self.class_width,
        )
    }
}
