//! `gradgate calibrate`: threshold and policy anew, on the user's own camera.

mod bundle;
mod scores;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use gradgate_bundle::Bundle;
use gradgate_bundle::events::EventEvidence;
use gradgate_bundle::header::Policy;
use gradgate_bundle::keys::parse_secret;
use gradgate_bundle::write::{SigningKey, sign};
use gradgate_detect::drift::Spacing;
use gradgate_detect::events::Tally;
use gradgate_detect::pace::Pace;
use gradgate_detect::sequences::{
    Choice, Goal, Sequence, choose, frame_period_us, pace, replay, split,
};
use gradgate_gate::Reason;
use gradgate_gate::verdict::Limits;

use crate::executor::Packed;
use crate::feature_files::check_distinct;
use crate::frames::ChoiceArgs;
use crate::output::{plain, print};
use crate::parallel::ThreadsArgs;
use crate::{enforce, files, policy, self_test};

/// With fewer calibration frames a second apart the bundle keeps its p-values.
const P_VALUES_MIN: usize = 100;

/// Set threshold and policy anew on normal sequences of your own camera, and write a new bundle.
///
/// Whole sequences calibrate, others audit what was chosen; nothing but threshold, p-values,
/// policy and evidence changes. What the audit shows, gate events per hour with their exact bound,
/// travels in the bundle. Exit code 0: the promise is shown; 1: the bundle is written, and the
/// hours are too few or the events too many to show the promise; 2: error, nothing is written.
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  gradgate calibrate net.gate --normal monday.mcap tuesday.mcap wednesday.mcap -o ours.gate
  gradgate run net.gate monday.mcap tuesday.mcap --json > scores.jsonl
  gradgate calibrate net.gate --normal scores.jsonl -o ours.gate --max-events-per-hour 0.5")]
pub struct Args {
    /// The bundle
    #[arg(value_name = "BUNDLE")]
    bundle: PathBuf,
    /// Normal frames in sequences (recordings, tracks, --group N), or one file of lines that `run
    /// --json` printed with this bundle
    #[arg(long, required = true, num_args = 1.., value_name = "FRAMES|scores.jsonl")]
    normal: Vec<PathBuf>,
    /// Where the new bundle goes
    #[arg(short, long, value_name = "NEW.gate")]
    output: PathBuf,
    /// Gate events an hour that are promised at most
    #[arg(long, value_name = "RATE", default_value_t = 1.0, allow_negative_numbers = true)]
    max_events_per_hour: f64,
    /// Confidence of the promise, from 0.5 to below 1
    #[arg(long, value_name = "SHARE", default_value_t = 0.95, allow_negative_numbers = true)]
    confidence: f64,
    /// Policy of the new bundle; its k and m are kept. Without it k and m are chosen, the frame
    /// period is that of the recordings, and the rest stays
    #[arg(long, value_name = "POLICY.toml")]
    policy: Option<PathBuf>,
    /// For mode = "enforce" where the promise is not shown, is weaker than 10 events an hour or a
    /// confidence of 0.95, or was shown on frames without times: the name of the normal frames
    #[arg(long, value_name = "NAME")]
    enforce_on_dataset: Option<String>,
    /// Sign with this secret key (see `keygen`); a signature of the old bundle does not stay
    #[arg(long, value_name = "KEY")]
    sign: Option<PathBuf>,
    /// Seed of the split into calibration and audit
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    #[command(flatten)]
    choice: ChoiceArgs,
    #[command(flatten)]
    threads: ThreadsArgs,
}

/// The parts and what was made of them.
struct Calibrated {
    choice: Choice,
    caution: Option<f32>,
    calibration: Vec<Sequence>,
    audit: Vec<Sequence>,
    calibrated: Tally,
    audited: Tally,
    evidence: EventEvidence,
    name: String,
    measured_period: bool,
    /// What is wrong with the frames' times.
    times: String,
}

/// Runs the subcommand.
pub fn run(args: Args) -> Result<ExitCode> {
    check_numbers(&args)?;
    let mut inputs: Vec<&Path> = vec![&args.bundle];
    inputs.extend(args.normal.iter().map(PathBuf::as_path));
    inputs.extend([&args.policy, &args.sign].into_iter().flat_map(Option::as_deref));
    files::check_apart(&args.output, &inputs)?;
    files::check_writable(&args.output)?;
    // A recording that calibrates and audits would be its own evidence.
    check_distinct(&args.normal.iter().map(PathBuf::as_path).collect::<Vec<_>>())?;
    let key = args.sign.as_deref().map(read_key).transpose()?;
    let packed = Packed::read(&args.bundle)?;
    let engine = packed.engine(&args.bundle)?;
    let header = engine.bundle().header();
    let detector = header
        .detector
        .as_ref()
        .with_context(|| format!("{}: no detector to calibrate", args.bundle.display()))?;
    self_test::check(&engine).with_context(|| args.bundle.display().to_string())?;
    let limits = Limits::from(detector);
    let sequences = match scores::lines_file(&args.normal)? {
        Some(path) => scores::read(path, &limits)?,
        None => scores::of_frames(&engine, &limits, &args.normal, &args.choice, args.threads)?,
    };
    let found = calibrate(&args, header.policy, limits.caution, sequences)?;
    let source = format!("{}\n{}", found.name, found.evidence);
    enforce::check(&found.choice.policy, &source, args.enforce_on_dataset.as_deref())?;
    let p_scores = spaced_scores(&found.calibration, found.choice.policy.frame_period_us);
    let change = bundle::Change {
        threshold: found.choice.threshold,
        caution: found.caution,
        policy: found.choice.policy,
        p_scores: (p_scores.len() >= P_VALUES_MIN).then_some(&p_scores[..]),
        evidence: bundle::evidence(&found.calibration, &found.audit, &found.choice, &source),
        confidence: args.confidence,
    };
    let mut bytes = bundle::rewrite(engine.bundle(), &change)?;
    if let Some(key) = &key {
        sign(&mut bytes, key).context("the bundle cannot be signed")?;
    }
    // What was made is read back and runs before it is written.
    self_test::check(&Packed::from_bytes(&bytes).engine(&args.output)?)?;
    files::write_atomic(&args.output, &bytes)?;
    print(&summary(&args, &found, engine.bundle(), change.p_scores.is_some()))?;
    let shown = enforce::rate_of(&found.evidence).shows(args.max_events_per_hour);
    Ok(if shown { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

fn check_numbers(args: &Args) -> Result<()> {
    let rate = args.max_events_per_hour;
    if !(rate.is_finite() && rate > 0.0) {
        bail!("--max-events-per-hour {rate}: give a number above 0; 0 can never be shown");
    }
    let share = args.confidence;
    if !(0.5..1.0).contains(&share) {
        bail!(
            "--confidence {share}: give a share from 0.5 to below 1, as 0.95; a promise that is as \
             likely wrong as right is none"
        );
    }
    Ok(())
}

fn read_key(path: &Path) -> Result<SigningKey> {
    parse_secret(&files::read_text(path)?).with_context(|| path.display().to_string())
}

fn calibrate(
    args: &Args,
    old: Policy,
    caution: Option<f32>,
    sequences: Vec<Sequence>,
) -> Result<Calibrated> {
    let (pace, first_back) = pace(&sequences);
    let first_back = first_back.map(|(name, frame)| (name.to_owned(), frame));
    let period = frame_period_us(&pace);
    let base = match &args.policy {
        Some(path) => policy::read(Some(path))?,
        None => Policy { frame_period_us: period.unwrap_or(old.frame_period_us), ..old },
    };
    let name = args.choice.describe(&args.normal).replace('\n', " ");
    let (calibration, audit) = split(sequences, args.seed)?;
    let goal =
        Goal { per_hour: args.max_events_per_hour, keep_window: args.policy.is_some(), caution };
    let choice = choose(&base, &calibration, &goal)?;
    let caution = caution.filter(|low| *low <= choice.threshold);
    let limits = Limits { threshold: choice.threshold, caution };
    let calibrated = replay(&choice.policy, &limits, &calibration)?;
    let audited = replay(&choice.policy, &limits, &audit)?;
    let narrow = |count: u64| u32::try_from(count).unwrap_or(u32::MAX);
    let evidence = EventEvidence {
        events: narrow(audited.events()),
        open_hours: audited.open_hours(),
        sequences: narrow(audited.sequences),
        frames: narrow(audited.frames),
        per_hour: args.max_events_per_hour,
        confidence: args.confidence,
        recorded: audit.iter().all(Sequence::is_recorded),
    };
    Ok(Calibrated {
        choice,
        caution,
        calibration,
        audit,
        calibrated,
        audited,
        evidence,
        name,
        measured_period: args.policy.is_none() && period.is_some(),
        times: times_text(&pace, first_back, &choice.policy),
    })
}

/// Frames too far apart for the lease, and clocks that ran back.
fn times_text(pace: &Pace, first_back: Option<(String, usize)>, policy: &Policy) -> String {
    let mut text = pace.warning(policy);
    if let Some((name, frame)) = first_back {
        text.push_str(&format!(
            "CLOCK: frames earlier than the one before them: {}, the first is {} frame {frame}; \
             the gate closes there\n",
            pace.backward(),
            plain(&name),
        ));
    }
    text
}

/// Scores a second apart, for p-values of frames that are not neighbours.
fn spaced_scores(sequences: &[Sequence], period_us: u32) -> Vec<f32> {
    let mut scores = Vec::new();
    for sequence in sequences {
        let (mut spacing, mut untimed) = (Spacing::default(), 0);
        let first = sequence.frames.iter().find_map(|frame| frame.time_ns);
        for frame in &sequence.frames {
            let since = frame.time_ns.zip(first).map(|(now, first)| now.saturating_sub(first));
            let now = since.map_or(untimed, |ns| u64::try_from(ns / 1_000).unwrap_or(0));
            untimed = now + u64::from(period_us);
            if let Ok(score) = frame.score
                && spacing.admits(now)
            {
                scores.push(score);
            }
        }
    }
    scores
}

fn summary(args: &Args, found: &Calibrated, old: &Bundle<'_>, p_values: bool) -> String {
    let output = args.output.display();
    let (Policy { k, m, n, frame_period_us, .. }, header) = (found.choice.policy, old.header());
    let before = header.detector.as_ref().map_or(f32::NAN, |detector| detector.threshold);
    let rate = enforce::rate_of(&found.evidence);
    let part = |what: &str, tally: &Tally| {
        let causes = match tally.causes() {
            causes if causes.is_empty() => causes,
            causes => format!(" ({causes})"),
        };
        format!(
            "{what}: {} sequences, {} frames; {}{causes}\n",
            tally.sequences,
            tally.frames,
            tally.rate(args.confidence).text()
        )
    };
    let mut text = part("calibration", &found.calibrated) + &part("audit", &found.audited);
    text.push_str(&rate.promise_text(args.max_events_per_hour));
    let how = if found.choice.extrapolated {
        " (above the calibration part's events, by the slope of its rarest)"
    } else {
        ""
    };
    let period = if found.measured_period { " as recorded" } else { "" };
    text.push_str(&format!(
        "\nthreshold {before} -> {}{how}\npolicy: closes at {k} BLOCK of {m} (before: {} of {}), \
         opens after {n} PASS, a frame every {frame_period_us} us{period}\n",
        found.choice.threshold, header.policy.k, header.policy.m,
    ));
    text.push_str(&found.times);
    let silent = Reason::Lease as usize;
    if found.calibrated.closed[silent] + found.audited.closed[silent] > 0 {
        let periods = found.choice.policy.lease_periods;
        text.push_str(&format!(
            "LEASE: for more than {periods} frame periods nothing but UNKNOWN came, or no frame; a \
             camera that pauses needs more lease_periods (--policy)\n"
        ));
    }
    if header.detector.as_ref().and_then(|detector| detector.caution) != found.caution {
        text.push_str("the caution threshold lies above the new threshold and is gone\n");
    }
    if !p_values {
        text.push_str(&format!(
            "p-values stay as they were: fewer than {P_VALUES_MIN} calibration frames a second \
             apart\n"
        ));
    }
    let signature = match &args.sign {
        Some(path) => format!("signed with {}", path.display()),
        None => "unsigned: for the host; devices take signed bundles (--sign)".to_owned(),
    };
    text.push_str(&format!(
        "{output}: evidence from \"{}\"; {signature}\nnext: gradgate run {output} FRAMES\n",
        plain(&found.name)
    ));
    text
}
