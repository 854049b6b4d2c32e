//! The command line: which subcommands there are, and what they share.

#[cfg(feature = "lab")]
mod attack;
mod bench;
mod calibrate;
mod check;
mod confirm;
mod data;
mod demo;
mod devices;
#[cfg(feature = "lab")]
mod evade;
#[cfg(feature = "lab")]
mod evaluate;
mod evidence;
mod expand;
mod explain;
mod features;
mod fit;
mod flash;
mod frames;
mod frontier;
mod hil;
mod histogram;
mod inspect;
mod keygen;
mod monitor;
mod pack;
mod provision;
mod references;
mod revert;
mod run;
mod scan;
mod slots;
mod status;
#[cfg(feature = "lab")]
mod train;
mod verify;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

const EXAMPLES: &str = "\
From a network to a verdict:
  gradgate check resnet20.onnx
  gradgate features resnet20.onnx normal/ -o normal.safetensors
  gradgate features resnet20.onnx strange/ -o strange.safetensors
  gradgate fit --normal normal.safetensors --anomalous strange.safetensors -o detector.json
  gradgate pack resnet20.onnx --detector detector.json -o resnet20.gate
  gradgate run resnet20.gate photos/
  gradgate calibrate resnet20.gate --normal monday.mcap tuesday.mcap -o ours.gate
  gradgate explain resnet20.gate photos/odd.png -o odd.html

FRAMES are image files and folders (PNG, JPEG, PPM; also GTSRB's and Tiny-ImageNet's), CIFAR's
binary records and Python batches, SVHN's MAT-files, idx files (also gzipped) or safetensors with
`images`; they are resized to the network's input. `gradgate data list` names published sets.
Recordings are MCAP files and rosbag2's .db3 (--topic chooses); - is raw frames on standard input,
with --size WxH, --pixel and --fps.
Without any files: signs:train, signs:calibration, signs:test, signs:unseen, signs:sequence and
signs:unseen-sequence are drawn on the spot, with options as in signs:train:n=4000,seed=1,size=48
(tracks: track=50).
`gradgate frames` shows them. --fault NAME[:SEVERITY] spoils any frames as a faulty camera would;
`features` and `fit` make anomalies of every frame with --anomalous builtin:faults.
Exit code: 0 done or judged, 1 calibrated without showing the promise, 2 error, 3 done with what is
whole of a cut recording, 4 a device refused, 5 no device answers, 6 a device fell back, 7 not all
boards were done, 130 interrupted.";

/// Tells, frame by frame, whether an image classifier can be trusted on what the camera sees.
#[derive(Parser, Debug)]
#[command(name = "gradgate", version, after_help = EXAMPLES, arg_required_else_help = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    Demo(demo::Args),
    Frames(frames::Args),
    Check(check::Args),
    Expand(expand::Args),
    References(references::Args),
    Features(features::Args),
    Fit(fit::Args),
    Frontier(frontier::Args),
    Pack(pack::Args),
    Calibrate(calibrate::Args),
    Keygen(keygen::Args),
    Verify(verify::Args),
    Inspect(inspect::Args),
    Run(run::Args),
    Scan(scan::Args),
    Explain(explain::Args),
    Bench(bench::Args),
    Data(data::Args),
    Devices(devices::Args),
    Provision(provision::Args),
    Flash(flash::Args),
    Hil(Box<hil::Args>),
    Monitor(monitor::Args),
    Slots(slots::Args),
    Confirm(confirm::Args),
    Revert(revert::Args),
    Status(status::Args),
    Evidence(evidence::Args),
    Histogram(histogram::Args),
    #[cfg(feature = "lab")]
    Train(train::Args),
    #[cfg(feature = "lab")]
    Attack(attack::Args),
    #[cfg(feature = "lab")]
    Evade(evade::Args),
    #[cfg(feature = "lab")]
    Evaluate(evaluate::Args),
}

/// Runs the subcommand.
pub fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    match cli.command {
        Command::Demo(args) => demo::run(args),
        Command::Frames(args) => frames::run(args),
        Command::Check(args) => check::run(args),
        Command::Expand(args) => expand::run(args),
        Command::References(args) => references::run(args),
        Command::Features(args) => features::run(args),
        Command::Fit(args) => fit::run(args),
        Command::Frontier(args) => frontier::run(args),
        Command::Pack(args) => pack::run(args),
        Command::Calibrate(args) => calibrate::run(args),
        Command::Keygen(args) => keygen::run(args),
        Command::Verify(args) => verify::run(args),
        Command::Inspect(args) => inspect::run(args),
        Command::Run(args) => run::run(args),
        Command::Scan(args) => scan::run(args),
        Command::Explain(args) => explain::run(args),
        Command::Bench(args) => bench::run(args),
        Command::Data(args) => data::run(args),
        Command::Devices(args) => devices::run(args),
        Command::Provision(args) => provision::run(args),
        Command::Flash(args) => flash::run(args),
        Command::Hil(args) => hil::run(*args),
        Command::Monitor(args) => monitor::run(args),
        Command::Slots(args) => slots::run(args),
        Command::Confirm(args) => confirm::run(args),
        Command::Revert(args) => revert::run(args),
        Command::Status(args) => status::run(args),
        Command::Evidence(args) => evidence::run(args),
        Command::Histogram(args) => histogram::run(args),
        #[cfg(feature = "lab")]
        Command::Train(args) => train::run(args),
        #[cfg(feature = "lab")]
        Command::Attack(args) => attack::run(args),
        #[cfg(feature = "lab")]
        Command::Evade(args) => evade::run(args),
        #[cfg(feature = "lab")]
        Command::Evaluate(args) => evaluate::run(args),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory;
        super::Cli::command().debug_assert();
    }
}
