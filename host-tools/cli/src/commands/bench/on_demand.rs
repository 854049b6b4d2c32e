//! `gradgate bench --on-demand`: frames timed when asked for.
//!
//! Programs that are compared on a busy machine have to take turns, a few frames each, so that
//! drift hits all of them alike. Loading and warming up are paid once: the first line says what
//! runs and what it gives, so that the others can be held against it; then every line read is a
//! number of frames and every line written holds their times. Ends with the input.

use std::io::BufRead;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use gradgate_engine::Engine;
use gradgate_engine::isa::Isa;
use gradgate_frames::Pixels;
use gradgate_graph::taps::Taps;
use serde_json::{Map, Value, json};

use super::{Args, frames, recipe};
use crate::bundle::TOOL;
use crate::executor::{Executor, Kind, Packed, engine_frame};
use crate::model::{Model, Recipe, owned_names};
use crate::output;

/// Frames in one request, at most.
const FRAMES_MAX: usize = 1_000_000;
/// Running before the first request.
const WARM_UP: Duration = Duration::from_millis(200);

/// What is timed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Pass {
    /// Forward, backward and norms
    Verdict,
    /// The network without its backward pass
    Forward,
}

/// Serves until standard input ends.
pub fn serve(args: &Args, pass: Pass) -> Result<()> {
    if args.executor == Kind::Interp {
        bail!("--on-demand has no use for the interpreter, which is no peer in speed");
    }
    let model = Model::read(&args.model, &args.choices)?;
    let recipe = match pass {
        Pass::Verdict => recipe(args, &model)?,
        Pass::Forward => Recipe { taps: Taps::none(), ..Recipe::default() },
    };
    let frames = frames(args, model.frame_shape()?)?;
    let compiled = model.compile(&recipe, 0)?;
    let packed = Packed::of_model(&model, &compiled, &recipe)?;
    let pool = args.pool()?;
    let engine = packed.engine_with(&args.model, args.numerics, pool)?;
    let mut arena = vec![0.0; engine.arena_elements()];
    let mut greeting = results(&engine, &frames, &mut arena)?;
    greeting.insert("version".to_owned(), json!(TOOL));
    greeting.insert("numerics".to_owned(), json!(args.executor.numerics(args.numerics)));
    greeting.insert("kernels".to_owned(), json!(engine.compute().isa.map(Isa::name)));
    greeting.insert("arena_bytes".to_owned(), json!(compiled.plan.arena_bytes()));
    greeting.insert("macs".to_owned(), json!(compiled.schedule.macs()));
    let executor = Executor::of_bundle(engine, args.executor)?;
    let mut worker = executor.worker()?;
    let mut due = 0;
    let mut run = || -> Result<f64> {
        let pixels = &frames[due % frames.len()];
        due += 1;
        let begin = Instant::now();
        worker.run(pixels)?;
        Ok(begin.elapsed().as_secs_f64() * 1e3)
    };
    let begin = Instant::now();
    while begin.elapsed() < WARM_UP {
        run()?;
    }
    output::print(&format!("{}\n", Value::Object(greeting)))?;
    for line in std::io::stdin().lock().lines() {
        let count = number(&line?)?;
        let mut answer = || -> Result<Vec<f64>> {
            // The caches still hold another program's data.
            run()?;
            (0..count).map(|_| run()).collect()
        };
        let times = match pool {
            Some(pool) => pool.inside(answer),
            None => answer(),
        };
        output::print(&format!("{}\n", json!({ "ms": times? })))?;
    }
    Ok(())
}

fn number(line: &str) -> Result<usize> {
    let number = line.trim().parse().ok().filter(|count| (1..=FRAMES_MAX).contains(count));
    number.with_context(|| format!("'{line}' is no number of frames from 1 to {FRAMES_MAX}"))
}

/// Logits of the first frame, and its norms by parameter name.
fn results(
    engine: &Engine<'_>,
    frames: &[Pixels],
    arena: &mut [f32],
) -> Result<Map<String, Value>> {
    let first = frames.first().context("there is no frame")?;
    let features = engine.run(engine_frame(first), arena)?;
    let names = owned_names(engine.bundle().header().schema.parameters);
    let norms: Map<String, Value> =
        names.into_iter().zip(features.squared_norms.iter().map(|norm| json!(norm))).collect();
    let mut results = Map::new();
    results.insert("logits".to_owned(), json!(features.logits));
    results.insert("norms".to_owned(), Value::Object(norms));
    Ok(results)
}

#[cfg(test)]
mod tests {
    use super::number;

    #[test]
    fn requests_by_table() {
        for (line, expected) in [
            ("1", Some(1)),
            (" 20 ", Some(20)),
            ("0", None),
            ("-1", None),
            ("x", None),
            ("", None),
            ("1000001", None),
        ] {
            assert_eq!(number(line).ok(), expected, "{line:?}");
        }
    }
}
