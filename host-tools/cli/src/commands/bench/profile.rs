//! `gradgate bench --steps`: where the time of a verdict goes.
//!
//! The engine shows an observer everything that a step writes; the time since it last looked is
//! the step's. Reading the clock adds some tens of nanoseconds to each step.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use gradgate_bundle::Bundle;
use serde_json::json;

use super::{Args, PATIENCE, WARM_UP, frames, median, recipe};
use crate::executor::{Kind, Packed, engine_frame};
use crate::model::Model;
use crate::steps::{self, StepLine};
use crate::{files, interrupt, output};

/// A step, or steps of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Cost {
    steps: usize,
    milliseconds: f64,
    macs: u64,
}

/// Runs frames and prints the profile.
pub fn run(args: &Args) -> Result<()> {
    if args.executor != Kind::Engine {
        bail!("--steps looks into the engine alone");
    }
    let (packed, lines) = load(args)?;
    let engine = packed.engine_with(&args.model, args.numerics, args.pool()?)?;
    let shape = engine.bundle().manifest().input.map(|side| side.get() as usize);
    let frames = frames(args, shape)?;
    let mut arena = vec![0.0; engine.arena_elements()];
    let mut samples = vec![Vec::new(); lines.len()];
    let mut looks = vec![0_u64; lines.len()];
    let guard = interrupt::Loop::enter();
    let start = Instant::now();
    for run in 0..WARM_UP + args.runs(frames.len()) {
        interrupt::check()?;
        let mut times = vec![Duration::ZERO; lines.len()];
        looks.fill(0);
        let mut last = Instant::now();
        let frame = engine_frame(&frames[run % frames.len()]);
        engine.run_observed(frame, &mut arena, |step, _, _| {
            looks[step] += 1;
            looked_after_step(&mut times[step], &mut last);
        })?;
        if run >= WARM_UP {
            let milliseconds = times.iter().map(|time| time.as_secs_f64() * 1e3);
            samples.iter_mut().zip(milliseconds).for_each(|(all, time)| all.push(time));
            if start.elapsed() > PATIENCE {
                break;
            }
        }
    }
    drop(guard);
    let costs: Vec<Cost> = lines.iter().zip(&mut samples).map(cost).collect();
    output::print(&match args.json {
        true => to_json(&lines, &costs, &looks),
        false => to_text(&lines, &costs),
    })
}

/// Gives a step the time since the last look. A function of its own, because `cargo xtask
/// kernel-counts` lets callgrind part the instructions where it returns.
#[inline(never)]
fn looked_after_step(time: &mut Duration, last: &mut Instant) {
    let now = Instant::now();
    *time += now - *last;
    *last = now;
}

/// The bundle to run, and what its steps are called.
fn load(args: &Args) -> Result<(Packed, Vec<StepLine>)> {
    if files::is_bundle(&args.model)? {
        let packed = Packed::read(&args.model)?;
        let (schedule, _) = steps::from_bundle(&Bundle::parse(packed.bytes())?);
        return Ok((packed, steps::lines(&schedule)));
    }
    let model = Model::read(&args.model, &args.choices)?;
    let recipe = recipe(args, &model)?;
    let compiled = model.compile(&recipe, 0)?;
    Ok((Packed::of_model(&model, &compiled, &recipe)?, steps::lines(&compiled.schedule)))
}

/// The median over the frames: one interrupted frame does not count.
fn cost((line, samples): (&StepLine, &mut Vec<f64>)) -> Cost {
    samples.sort_by(f64::total_cmp);
    Cost { steps: 1, milliseconds: median(samples).unwrap_or(0.0), macs: line.macs() }
}

/// Sums by kind of step, the dearest first.
fn kinds(lines: &[StepLine], costs: &[Cost]) -> Vec<(String, Cost)> {
    let mut sums = BTreeMap::<String, Cost>::new();
    for (line, cost) in lines.iter().zip(costs) {
        let sum = sums.entry(line.kind()).or_default();
        sum.steps += cost.steps;
        sum.milliseconds += cost.milliseconds;
        sum.macs += cost.macs;
    }
    let mut kinds: Vec<_> = sums.into_iter().collect();
    kinds.sort_by(|a, b| b.1.milliseconds.total_cmp(&a.1.milliseconds));
    kinds
}

impl Cost {
    /// Billions of multiply-adds in a second; 0 where there are none.
    fn gmacs(&self) -> f64 {
        if self.milliseconds > 0.0 { self.macs as f64 / self.milliseconds / 1e6 } else { 0.0 }
    }

    fn columns(&self, total: f64) -> String {
        let share = 100.0 * self.milliseconds / total;
        format!("{:9.4} {share:7.1} {:8.2}", self.milliseconds, self.gmacs())
    }
}

fn to_text(lines: &[StepLine], costs: &[Cost]) -> String {
    let total = costs.iter().map(|cost| cost.milliseconds).sum();
    let heading = format!("{:>9} {:>7} {:>8}", "ms", "share %", "GMAC/s");
    let mut text = format!("{heading}  {:25} {:>13}\n", "operation", "multiply-adds");
    for (line, cost) in lines.iter().zip(costs) {
        text += &format!("{}  {line}\n", cost.columns(total));
    }
    text += &format!("\n{heading}  {:25} {:>13}  steps\n", "operation", "multiply-adds");
    for (kind, cost) in kinds(lines, costs) {
        text += &format!("{}  {kind:25} {:13}  {}\n", cost.columns(total), cost.macs, cost.steps);
    }
    text + &format!("{total:9.4}   all steps\n")
}

/// `looks` says how often the observer was called after each step: once for each thing written.
fn to_json(lines: &[StepLine], costs: &[Cost], looks: &[u64]) -> String {
    let steps = lines.iter().zip(costs).zip(looks).map(|((line, cost), looks)| {
        let mut step = line.to_json();
        step["kind"] = json!(line.kind());
        step["ms_median"] = json!(cost.milliseconds);
        step["looks"] = json!(looks);
        step
    });
    let kinds = kinds(lines, costs).into_iter().map(|(kind, cost)| {
        json!({
            "kind": kind,
            "steps": cost.steps,
            "macs": cost.macs,
            "ms_median": cost.milliseconds,
        })
    });
    let kinds: Vec<_> = kinds.collect();
    format!("{}\n", json!({ "kinds": kinds, "steps": steps.collect::<Vec<_>>() }))
}

#[cfg(test)]
mod tests {
    use super::Cost;

    #[test]
    fn a_step_without_arithmetic_has_no_rate() {
        let cost = Cost { steps: 1, milliseconds: 0.5, macs: 0 };
        assert_eq!(cost.columns(2.0), "   0.5000    25.0     0.00");
        assert_eq!(Cost { macs: 4_000_000, ..cost }.gmacs(), 8.0);
        assert_eq!(Cost::default().gmacs(), 0.0);
    }
}
