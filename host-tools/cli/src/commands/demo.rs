//! `gradgate demo`: a drawn drive, judged by the shipped bundle; needs no file.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::str::FromStr;

use anyhow::{Context, Result, anyhow};
use gradgate_engine::detector::predicted;
use gradgate_frames::fault::Fault;
use gradgate_frames::{OpenOptions, Pixels, open};
use gradgate_gate::verdict::Limits;
use gradgate_gate::{Verdict, decide};
use rayon::prelude::*;
use safetensors::SafeTensors;
use serde_json::json;

use crate::executor::{Packed, engine_frame};
use crate::{output, self_test};

/// ResNet-8 trained on `signs:train` (models/resnet8-signs.toml), composite detector calibrated on
/// `signs:calibration`; models/README.md says how to make it again.
const BUNDLE: &[u8] = include_bytes!("../../../../models/bundles/signs.gate");
/// Frames of `signs:test` that PGD made it misread.
const ATTACKED: &[u8] = include_bytes!("../../../../models/bundles/signs-attacked.safetensors");

/// A drive past signs, frame by frame: what passes, what is blocked, what is missed
///
/// Draws normal stretches, signs that the classifier never learnt, faulty cameras and, from a small
/// file, attacked frames, and judges them with the shipped bundle of a ResNet-8 that learnt drawn
/// signs. Nothing is downloaded. Each frame is a character: `.` PASS, `#` BLOCK, `?` UNKNOWN.
#[derive(clap::Args, Debug)]
#[command(after_help = "Example:\n  gradgate demo --seed 7")]
pub struct Args {
    /// Another seed draws another drive
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// Print one JSON object a line, one line a frame
    #[arg(long)]
    json: bool,
}

/// What frames of a stretch are, and so what should become of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Truth {
    /// Like the frames of the calibration: should pass.
    Normal,
    /// Should be blocked.
    Anomalous,
}

/// Where the frames of a stretch come from.
#[derive(Clone, Copy, Debug)]
enum Source {
    /// A set of drawn signs, a fault if any.
    Drawn(&'static str, Option<&'static str>),
    /// The committed file.
    Attacked,
}

struct Stretch {
    what: &'static str,
    truth: Truth,
    source: Source,
}

const fn stretch(what: &'static str, truth: Truth, source: Source) -> Stretch {
    Stretch { what, truth, source }
}

/// Frames of a stretch: the length of a track.
const LENGTH: usize = 50;
/// Below this share of blocked frames an anomaly counts as missed.
const FOUND: f64 = 0.5;

#[rustfmt::skip]
const DRIVE: &[Stretch] = {
    use Source::{Attacked, Drawn};
    use Truth::{Anomalous, Normal};
    &[
        stretch("known signs", Normal, Drawn("sequence", None)),
        stretch("unknown sign", Anomalous, Drawn("unseen-sequence", None)),
        stretch("known signs", Normal, Drawn("sequence", None)),
        stretch("light fog", Normal, Drawn("sequence", Some("fog:1"))),
        stretch("noise", Anomalous, Drawn("sequence", Some("noise:4"))),
        stretch("known signs", Normal, Drawn("sequence", None)),
        stretch("out of focus", Anomalous, Drawn("sequence", Some("defocus:4"))),
        stretch("dead rows", Anomalous, Drawn("sequence", Some("dead-rows:4"))),
        stretch("known signs", Normal, Drawn("sequence", None)),
        stretch("lost blocks", Anomalous, Drawn("sequence", Some("block-loss:4"))),
        stretch("wrong colours", Anomalous, Drawn("sequence", Some("white-balance:4"))),
        stretch("unknown sign", Anomalous, Drawn("unseen-sequence", None)),
        stretch("known signs", Normal, Drawn("sequence", None)),
        stretch("attacked (PGD)", Anomalous, Attacked),
        stretch("known signs", Normal, Drawn("sequence", None)),
    ]
};

/// A frame with its true class, if it has one that the classifier knows.
struct Shown {
    pixels: Pixels,
    label: Option<i64>,
}

/// What was said of a frame.
struct Judged {
    class: u32,
    label: Option<i64>,
    score: Option<f32>,
    verdict: Verdict,
}

/// Runs the subcommand.
pub fn run(args: Args) -> Result<ExitCode> {
    let packed = Packed::from_bytes(BUNDLE);
    let engine = packed.engine(Path::new("the shipped bundle"))?;
    self_test::check(&engine).context("the shipped bundle")?;
    let header = engine.bundle().header();
    let limits = header.detector.as_ref().map(Limits::from).context("it holds no detector")?;
    let mut totals = Totals::default();
    if !args.json {
        output::print(&beginning(limits.threshold))?;
    }
    for (number, stretch) in DRIVE.iter().enumerate() {
        let frames = stretch.frames(args.seed, number)?;
        let judged = judge(&engine, &limits, &frames)?;
        if args.json {
            output::print(&lines(number, stretch, &judged))?;
        } else {
            output::print(&strip(stretch, &judged))?;
        }
        totals.add(stretch, &judged);
    }
    if args.json {
        eprint!("{}", totals.text())
    } else {
        output::print(&totals.text())?
    }
    Ok(ExitCode::SUCCESS)
}

fn judge(
    engine: &gradgate_engine::Engine<'_>,
    limits: &Limits,
    frames: &[Shown],
) -> Result<Vec<Judged>> {
    let arena = || vec![0.0; engine.arena_elements()];
    let one = |arena: &mut Vec<f32>, frame: &Shown| {
        let (features, judgement) = engine.judge(engine_frame(&frame.pixels), arena)?;
        let judgement = judgement.context("the shipped bundle holds no detector")?;
        Ok(Judged {
            class: predicted(features.logits),
            label: frame.label,
            score: judgement.as_ref().ok().map(|judgement| judgement.score),
            verdict: decide(&judgement, limits),
        })
    };
    frames.par_iter().map_init(arena, one).collect()
}

impl Stretch {
    fn frames(&self, seed: u64, number: usize) -> Result<Vec<Shown>> {
        match self.source {
            Source::Attacked => attacked(),
            Source::Drawn(set, fault) => drawn(set, fault, seed, number),
        }
    }
}

fn drawn(set: &str, fault: Option<&str>, seed: u64, number: usize) -> Result<Vec<Shown>> {
    // A stretch is a track of its own: seeds of neighbours share nothing.
    let seed = seed.wrapping_mul(1_000).wrapping_add(number as u64);
    let spec = format!("signs:{set}:n={LENGTH},track={LENGTH},seed={seed}");
    let mut options = OpenOptions::new(32, 32, 3);
    options.fault_seed = seed;
    let fault = fault.map(Fault::from_str).transpose().map_err(|error| anyhow!("{error}"))?;
    options.faults.extend(fault);
    let frames = open(&[PathBuf::from(spec)], &options)?;
    let known = !set.starts_with("unseen");
    let shown = |frame: gradgate_frames::Frame| Shown {
        pixels: frame.pixels,
        label: frame.label.filter(|_| known),
    };
    Ok(frames.iter().map(|frame| frame.map(shown)).collect::<Result<_, _>>()?)
}

/// The committed frames, from planes to interleaved bytes.
fn attacked() -> Result<Vec<Shown>> {
    let file = SafeTensors::deserialize(ATTACKED).context("the shipped attacked frames")?;
    let (images, labels) = (file.tensor("images")?, file.tensor("labels")?);
    let labels = labels.data().chunks_exact(8).map(|bytes| {
        let mut label = [0; 8];
        label.copy_from_slice(bytes);
        i64::from_le_bytes(label)
    });
    let plane = 32 * 32;
    let shown = |(planes, label): (&[u8], i64)| {
        let bytes = (0..3 * plane).map(|at| planes[at % 3 * plane + at / 3]).collect();
        Shown { pixels: Pixels::U8(bytes), label: Some(label) }
    };
    Ok(images.data().chunks_exact(3 * plane).zip(labels).map(shown).take(LENGTH).collect())
}

fn beginning(threshold: f32) -> String {
    format!(
        "ResNet-8 on drawn traffic signs, composite detector, threshold {threshold:.2}; nothing \
         was fitted on any anomaly.\n. PASS   # BLOCK   ? UNKNOWN, a frame each, {LENGTH} a \
         line\n\n"
    )
}

fn letter(verdict: Verdict) -> char {
    match verdict {
        Verdict::Pass => '.',
        Verdict::Block => '#',
        Verdict::Unknown { .. } => '?',
    }
}

fn passed(judged: &[Judged]) -> usize {
    judged.iter().filter(|one| one.verdict == Verdict::Pass).count()
}

fn right(judged: &[Judged]) -> usize {
    judged.iter().filter(|one| one.label == Some(i64::from(one.class))).count()
}

fn strip(stretch: &Stretch, judged: &[Judged]) -> String {
    let letters: String = judged.iter().map(|one| letter(one.verdict)).collect();
    let stopped = judged.len() - passed(judged);
    let share = stopped as f64 / judged.len().max(1) as f64;
    let outcome = match stretch.truth {
        Truth::Normal if stopped == 0 => "passed".to_owned(),
        Truth::Normal => format!("{stopped} FALSE"),
        Truth::Anomalous if share >= FOUND => format!("stopped {:.0} %", 100.0 * share),
        Truth::Anomalous => format!("MISSED, stopped {:.0} %", 100.0 * share),
    };
    let right = right(judged);
    format!(
        "{:<15} {letters:<LENGTH$}  class right {right:>2}/{}  {outcome}\n",
        stretch.what,
        judged.len()
    )
}

fn lines(number: usize, stretch: &Stretch, judged: &[Judged]) -> String {
    let line = |(at, one): (usize, &Judged)| {
        let object = json!({
            "stretch": number,
            "what": stretch.what,
            "normal": stretch.truth == Truth::Normal,
            "frame": at,
            "label": one.label,
            "class": one.class,
            "score": one.score,
            "verdict": one.verdict.to_string(),
        });
        format!("{object}\n")
    };
    judged.iter().enumerate().map(line).collect()
}

#[derive(Default)]
struct Totals {
    normal: usize,
    false_stops: usize,
    anomalous: usize,
    stopped: usize,
    wrong: usize,
    wrong_passed: usize,
}

impl Totals {
    fn add(&mut self, stretch: &Stretch, judged: &[Judged]) {
        let stopped = judged.len() - passed(judged);
        match stretch.truth {
            Truth::Normal => {
                self.normal += judged.len();
                self.false_stops += stopped;
            }
            Truth::Anomalous => {
                self.anomalous += judged.len();
                self.stopped += stopped;
            }
        }
        let wrong = judged.iter().filter(|one| one.label != Some(i64::from(one.class)));
        for one in wrong {
            self.wrong += 1;
            self.wrong_passed += usize::from(one.verdict == Verdict::Pass);
        }
    }

    fn text(&self) -> String {
        let Totals { normal, false_stops, anomalous, stopped, wrong, wrong_passed } = self;
        let share = |part: &usize, all: &usize| 100.0 * *part as f64 / (*all).max(1) as f64;
        format!(
            "\nnormal frames stopped: {false_stops} of {normal} ({:.1} %; promised at most 2 % for \
             independent frames)\nanomalous frames stopped: {stopped} of {anomalous} ({:.1} %)\n\
             frames that the classifier read wrongly: {wrong}, of which {wrong_passed} passed \
             ({:.1} %)\nIt is no defence against an attacker who knows the detector.\n",
            share(false_stops, normal),
            share(stopped, anomalous),
            share(wrong_passed, wrong),
        )
    }
}
