//! `gradgate train`: a recipe in, a trained model with its card and curves out.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args as ClapArgs;
use gradgate_lab::Device;
use gradgate_lab::train::{Epoch, Finished, Progress, Recipe, Run, Trained};

use crate::{interrupt, output, progress};

/// Train a classifier by a recipe; the same command goes on where a run was stopped
#[derive(ClapArgs, Debug)]
pub struct Args {
    /// What to train, from which frames and how; see models/ for examples
    #[arg(value_name = "RECIPE.toml")]
    recipe: PathBuf,
    /// Folder for model.onnx, card.toml, curves, recipe.toml and the checkpoint
    #[arg(short, long, value_name = "DIR")]
    output: PathBuf,
    /// Folder that the recipe's FRAMES and model lie in
    #[arg(long, value_name = "DIR", default_value = ".")]
    data: PathBuf,
    /// Another seed than the recipe's
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// cpu or cuda
    #[arg(long, value_name = "DEVICE", default_value = "cpu")]
    device: Device,
}

/// Runs the subcommand.
pub fn run(args: Args) -> Result<ExitCode> {
    let mut recipe = Recipe::read(&args.recipe)?;
    recipe.seed = args.seed.unwrap_or(recipe.seed);
    let mut run = Run::open(recipe, &args.data, args.device, &args.output)?;
    eprintln!("{}", beginning(&run));
    let bar = progress::steps(run.steps(), run.step());
    let until_interrupted = interrupt::Loop::enter();
    let trained = run.train(&mut |now| {
        bar.set_position(now.step as u64);
        bar.set_message(message(now));
        if let Some(epoch) = &now.ended {
            bar.suspend(|| eprintln!("{}", line(epoch)));
        }
        if interrupt::requested() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    drop(until_interrupted);
    bar.finish_and_clear();
    match trained? {
        Trained::Finished(finished) => {
            output::print(&summary(&finished))?;
            Ok(ExitCode::SUCCESS)
        }
        Trained::Stopped { step } => {
            eprintln!("interrupted after step {step}: the same command goes on from here");
            Ok(ExitCode::from(interrupt::EXIT_CODE))
        }
    }
}

fn beginning(run: &Run) -> String {
    let parts = run.parts();
    let from = match run.step() {
        0 => String::new(),
        step => format!(", going on from step {step}"),
    };
    format!(
        "{}: {} training frames of {} sources, {} to validate, {} to test; {} steps{from}",
        run.recipe().name,
        parts.train.len(),
        parts.train.source_count(),
        parts.validation.len(),
        parts.test.len(),
        run.steps(),
    )
}

fn message(now: &Progress) -> String {
    format!("epoch {}, loss {:.3}, {:.1} % right", now.epoch, now.loss, 100.0 * now.accuracy)
}

fn line(epoch: &Epoch) -> String {
    let Epoch { epoch: number, rate, loss, accuracy, .. } = epoch;
    let validation = match (epoch.validation_loss, epoch.validation_accuracy) {
        (Some(loss), Some(accuracy)) => {
            format!("; validation: loss {loss:.4}, {:.2} % right", 100.0 * accuracy)
        }
        _ => String::new(),
    };
    let right = 100.0 * accuracy;
    format!("epoch {number}: rate {rate:.4}, loss {loss:.4}, {right:.2} % right{validation}")
}

fn summary(finished: &Finished) -> String {
    let card = &finished.card;
    let parts = [("validation", &card.validation), ("test", &card.test)];
    let mut text = String::new();
    for (name, part) in parts.iter().filter_map(|(name, part)| Some((name, part.as_ref()?))) {
        text.push_str(&format!(
            "{name}: {:.2} % right ({} of {} frames, {} sources)\n",
            100.0 * part.accuracy,
            part.correct,
            part.frames,
            part.sources
        ));
    }
    let model = finished.model.display();
    format!("{text}{model}: {} parameters\nnext: gradgate check {model}\n", card.parameters)
}
