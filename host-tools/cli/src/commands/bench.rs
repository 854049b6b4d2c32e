//! `gradgate bench`: time, memory and allocations of one verdict.

mod on_demand;
mod profile;

use std::path::PathBuf;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use allocation_counter::measure;
use anyhow::{Context, Result, bail};
use gradgate_engine::{Engine, Written};
use gradgate_frames::Pixels;
use gradgate_graph::taps::Taps;
use serde_json::{Value, json};

use crate::executor::{Executor, Kind, Numerics, Packed, Worker, engine_frame};
use crate::frames::ChoiceArgs;
use crate::interrupt;
use crate::model::{Model, ModelArgs, ProductsArgs, Recipe};
use crate::ram_budget::BudgetArgs;
use crate::taps::TapsArgs;
use crate::workers::Pool;
use crate::{files, output, progress, self_test};

/// Runs before the clock starts counting, per thread.
const WARM_UP: usize = 2;
/// Slow executors stop early, per measurement.
const PATIENCE: Duration = Duration::from_secs(8);

/// Time, memory and allocations of a verdict.
///
/// A verdict is the whole frame: preprocessing, forward, backward, norms and, in a bundle, score
/// and decision. Forward is the same network without the backward pass for an ONNX model; in a
/// bundle it is the time until the logits are there. Each of the threads runs frames of its own.
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:\n  gradgate bench resnet20.onnx --json\n  \
                        gradgate bench resnet20.onnx --steps")]
pub struct Args {
    /// The classifier, or a bundle
    #[arg(value_name = "BUNDLE|MODEL.onnx")]
    model: PathBuf,
    /// Frames to run [default: one built-in frame]
    #[arg(long, num_args = 1.., value_name = "FRAMES")]
    frames: Vec<PathBuf>,
    #[command(flatten)]
    choice: ChoiceArgs,
    /// What runs the network
    #[arg(long, value_enum, default_value_t)]
    executor: Kind,
    /// Arithmetic of the engine
    #[arg(long, value_enum, default_value_t)]
    numerics: Numerics,
    /// Threads that run frames at the same time
    #[arg(long, value_name = "N", default_value_t = 1, allow_negative_numbers = true,
          value_parser = clap::value_parser!(u64).range(1..=1024))]
    threads: u64,
    /// Threads that share one frame
    #[arg(long, value_name = "N", default_value_t = 1, allow_negative_numbers = true,
          value_parser = clap::value_parser!(u64).range(1..=16), conflicts_with = "threads")]
    intra_threads: u64,
    /// Measured runs a thread, at least; all frames are run at least once
    #[arg(long, value_name = "N", default_value_t = 50, allow_negative_numbers = true,
          value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    runs: u64,
    /// Show where the time goes, step by step
    #[arg(long, conflicts_with = "threads")]
    steps: bool,
    /// Take numbers of frames from standard input, a line each, and answer with their times
    #[arg(long, value_enum, value_name = "PASS", conflicts_with_all = ["steps", "threads"])]
    on_demand: Option<on_demand::Pass>,
    #[command(flatten)]
    taps: TapsArgs,
    #[command(flatten)]
    products: ProductsArgs,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    choices: ModelArgs,
    #[command(flatten)]
    budget: BudgetArgs,
}

/// What was measured of one way to run frames.
#[derive(Default)]
struct Timing {
    milliseconds: Vec<f64>,
    allocations: u64,
    /// Most heap that one run held, beside what stood before it.
    heap_bytes: u64,
    runs: u64,
}

/// Both measurements.
struct Outcome {
    verdict: Timing,
    forward: Timing,
    arena_bytes: u64,
}

/// Runs the subcommand.
pub fn run(args: Args) -> Result<ExitCode> {
    args.executor.check()?;
    match args.pool()? {
        // Between requests the threads must sleep: they would hold a core that a peer needs.
        Some(pool) if args.on_demand.is_none() => pool.inside(|| measure_all(args)),
        _ => measure_all(args),
    }
}

impl Args {
    /// Threads that share a frame.
    fn pool(&self) -> Result<Option<&'static Pool>> {
        Pool::get(self.intra_threads)
    }

    fn runs(&self, frames: usize) -> usize {
        usize::try_from(self.runs).unwrap_or(usize::MAX).max(frames)
    }
}

fn measure_all(args: Args) -> Result<ExitCode> {
    if let Some(option) = args.taps.given()
        && files::is_bundle(&args.model)?
    {
        let name = args.model.display();
        bail!("{name} is a bundle, which fixes what {option} would choose: give the ONNX model");
    }
    if let Some(pass) = args.on_demand {
        on_demand::serve(&args, pass)?;
        return Ok(ExitCode::SUCCESS);
    }
    if args.steps {
        profile::run(&args)?;
        return Ok(ExitCode::SUCCESS);
    }
    let bar = progress::spinner("measuring");
    let guard = interrupt::Loop::enter();
    let outcome = match files::is_bundle(&args.model)? {
        true if args.budget.bytes().is_some() => bail!(
            "{} is a bundle, whose arena is fixed: give --ram-budget to `pack`, or the ONNX model",
            args.model.display()
        ),
        true => bundle(&args)?,
        false => model(&args)?,
    };
    drop(guard);
    bar.finish_and_clear();
    let json = to_json(&args, &outcome)?;
    if args.json {
        output::print(&format!("{json}\n"))?;
    } else {
        output::print(&to_text(&args, &json))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn bundle(args: &Args) -> Result<Outcome> {
    args.executor.check_bundle(&args.model)?;
    let packed = Packed::read(&args.model)?;
    let engine = packed.engine_with(&args.model, args.numerics, args.pool()?)?;
    let shape = engine.bundle().manifest().input.map(|side| side.get() as usize);
    let frames = frames(args, shape)?;
    let executor = Executor::of_bundle(engine.clone(), args.executor)?;
    let verdict = measured(args, &frames, &executor, |worker, pixels| {
        let begin = Instant::now();
        worker.judge(pixels)?;
        Ok(begin.elapsed())
    })?;
    let forward = match &executor {
        #[cfg(feature = "tract")]
        Executor::Tract(_) => {
            let alone = gradgate_tract::TractModel::forward_only(engine)?;
            measured(args, &frames, &Executor::Tract(Box::new(alone)), timed_run)?
        }
        _ => until_logits(args, &frames, &executor, &engine)?,
    };
    Ok(Outcome { verdict, forward, arena_bytes: executor.arena_bytes() })
}

/// The engine's time until the logits are there.
fn until_logits(
    args: &Args,
    frames: &[Pixels],
    executor: &Executor<'_>,
    engine: &Engine<'_>,
) -> Result<Timing> {
    let last = logits_step(engine).context("no step writes the logits")?;
    measured(args, frames, executor, |worker, pixels| {
        let Worker::Engine(engine, arena) = worker else { return timed_run(worker, pixels) };
        let begin = Instant::now();
        let mut time = Duration::ZERO;
        engine.run_observed(engine_frame(pixels), arena, |step, written, _| {
            if step == last && matches!(written, Written::Operand(_)) {
                time = begin.elapsed();
            }
        })?;
        Ok(time)
    })
}

fn timed_run(worker: &mut Worker<'_, '_>, pixels: &Pixels) -> Result<Duration> {
    let begin = Instant::now();
    match worker {
        Worker::Interp(reference) => drop(reference.features(pixels)?),
        worker => drop(worker.run(pixels)?),
    }
    Ok(begin.elapsed())
}

/// The step after which the logits are complete: the last one that writes their tensor.
fn logits_step(engine: &Engine<'_>) -> Option<usize> {
    let bundle = engine.bundle();
    let logits = bundle.header().layout.logits;
    let writes = |step: &gradgate_bundle::record::StepRecord| {
        let opcode = gradgate_bundle::op::OpCode::from_number(step.opcode.get());
        let roles = opcode.map_or(&[][..], gradgate_bundle::shape::operands);
        let mut operands = roles.iter().zip(&step.operands);
        operands.any(|(role, operand)| role.writes() && operand.get() == logits)
    };
    bundle.steps().iter().rposition(writes)
}

fn model(args: &Args) -> Result<Outcome> {
    let model = Model::read(&args.model, &args.choices)?;
    let recipe = recipe(args, &model)?;
    let frames = frames(args, model.frame_shape()?)?;
    let scratch = model.usual_scratch(&recipe)?;
    let compiled = model.compile_within(&recipe, scratch, args.budget.bytes())?;
    let forward_recipe = Recipe { taps: Taps::none(), ..recipe.clone() };
    let forward = model.compile(&forward_recipe, 0)?;
    let time = |executor: &Executor<'_>| measured(args, &frames, executor, timed_run);
    if args.executor == Kind::Interp {
        let verdict = time(&Executor::interp(&compiled, recipe.preprocessing))?;
        let forward = time(&Executor::interp(&forward, recipe.preprocessing))?;
        return Ok(Outcome { verdict, forward, arena_bytes: 0 });
    }
    let both = Packed::of_model(&model, &compiled, &recipe)?;
    let alone = Packed::of_model(&model, &forward, &forward_recipe)?;
    let both = both.engine_with(&args.model, args.numerics, args.pool()?)?;
    let alone = alone.engine_with(&args.model, args.numerics, args.pool()?)?;
    let both = Executor::of_bundle(both, args.executor)?;
    let alone = Executor::of_bundle(alone, args.executor)?;
    Ok(Outcome { verdict: time(&both)?, forward: time(&alone)?, arena_bytes: both.arena_bytes() })
}

fn recipe(args: &Args, model: &Model) -> Result<Recipe> {
    let recipe = Recipe { products: args.products.products(), ..Recipe::default() };
    recipe.with_taps(&args.taps, model)
}

/// The frames, read before the clock starts.
fn frames(args: &Args, shape: [usize; 3]) -> Result<Vec<Pixels>> {
    if args.frames.is_empty() {
        return Ok(vec![Pixels::U8(self_test::frame(shape))]);
    }
    let opened = args.choice.open(&args.frames, shape)?;
    opened.iter().map(|frame| Ok(frame?.pixels)).collect()
}

/// Times `work` over the frames on every thread; allocations are counted around it alone.
fn measured(
    args: &Args,
    frames: &[Pixels],
    executor: &Executor<'_>,
    work: impl Fn(&mut Worker<'_, '_>, &Pixels) -> Result<Duration> + Sync,
) -> Result<Timing> {
    let one = |timing: &mut Timing| -> Result<()> {
        let mut worker = executor.worker()?;
        let begin = Instant::now();
        let runs = args.runs(frames.len());
        for run in 0..WARM_UP + runs {
            interrupt::check()?;
            let pixels = &frames[run % frames.len()];
            let mut time = Ok(Duration::ZERO);
            let allocated = measure(|| time = work(&mut worker, pixels));
            let time = time?;
            if run < WARM_UP {
                continue;
            }
            timing.milliseconds.push(time.as_secs_f64() * 1e3);
            timing.allocations += allocated.count_total;
            timing.heap_bytes = timing.heap_bytes.max(allocated.bytes_max);
            timing.runs += 1;
            if begin.elapsed() > PATIENCE {
                break;
            }
        }
        Ok(())
    };
    let timings: Vec<Result<Timing>> = thread::scope(|scope| {
        let work = || {
            let mut timing = Timing::default();
            one(&mut timing).map(|()| timing)
        };
        let threads: Vec<_> = (0..args.threads).map(|_| scope.spawn(work)).collect();
        let join = |thread: thread::ScopedJoinHandle<'_, Result<Timing>>| match thread.join() {
            Ok(timing) => timing,
            Err(panic) => std::panic::resume_unwind(panic),
        };
        threads.into_iter().map(join).collect()
    });
    let mut all = Timing::default();
    for timing in timings {
        let timing = timing?;
        all.milliseconds.extend(timing.milliseconds);
        all.allocations += timing.allocations;
        all.heap_bytes = all.heap_bytes.max(timing.heap_bytes);
        all.runs += timing.runs;
    }
    all.milliseconds.sort_by(f64::total_cmp);
    Ok(all)
}

/// Of sorted values.
fn median(sorted: &[f64]) -> Option<f64> {
    let (below, n) = (sorted.len().checked_sub(1)? / 2, sorted.len());
    Some((sorted[below] + sorted[n / 2]) / 2.0)
}

impl Timing {
    fn min(&self) -> Option<f64> {
        self.milliseconds.first().copied()
    }

    fn median(&self) -> Option<f64> {
        median(&self.milliseconds)
    }

    fn allocations_per_frame(&self) -> f64 {
        self.allocations as f64 / self.runs.max(1) as f64
    }
}

fn to_json(args: &Args, outcome: &Outcome) -> Result<Value> {
    let (verdict, forward) = (&outcome.verdict, &outcome.forward);
    let nothing = "nothing was measured";
    Ok(json!({
        "verdict_ms_min": verdict.min().context(nothing)?,
        "verdict_ms_median": verdict.median().context(nothing)?,
        "forward_ms_min": forward.min().context(nothing)?,
        "forward_ms_median": forward.median().context(nothing)?,
        "arena_bytes": outcome.arena_bytes,
        "heap_bytes_max": verdict.heap_bytes,
        "allocations_per_frame": verdict.allocations_per_frame(),
        "executor": args.executor.name(),
        "numerics": args.executor.numerics(args.numerics),
        "threads": args.threads,
        "frames": verdict.runs,
    }))
}

fn to_text(args: &Args, json: &Value) -> String {
    let number = |key: &str| json[key].as_f64().unwrap_or(f64::NAN);
    format!(
        "{}: {} {}, {} thread{}, {} frames\n\
         verdict      {:.3} ms median, {:.3} ms least\n\
         forward      {:.3} ms median, {:.3} ms least\n\
         ratio        {:.2} verdict to forward, least to least\n\
         arena        {}\n\
         heap         {} at most within a frame\n\
         allocations  {} a frame\n",
        args.model.display(),
        json["executor"].as_str().unwrap_or_default(),
        json["numerics"].as_str().unwrap_or_default(),
        args.threads,
        if args.threads == 1 { "" } else { "s" },
        json["frames"],
        number("verdict_ms_median"),
        number("verdict_ms_min"),
        number("forward_ms_median"),
        number("forward_ms_min"),
        number("verdict_ms_min") / number("forward_ms_min"),
        output::bytes(json["arena_bytes"].as_u64().unwrap_or(0)),
        output::bytes(json["heap_bytes_max"].as_u64().unwrap_or(0)),
        number("allocations_per_frame"),
    )
}

#[cfg(test)]
mod tests {
    use super::Timing;

    #[test]
    fn medians_by_table() {
        for (values, expected) in [
            (&[][..], None),
            (&[3.0], Some(3.0)),
            (&[1.0, 4.0], Some(2.5)),
            (&[1.0, 2.0, 9.0], Some(2.0)),
        ] {
            let timing = Timing { milliseconds: values.to_vec(), ..Timing::default() };
            assert_eq!(timing.median(), expected, "{values:?}");
        }
    }
}
