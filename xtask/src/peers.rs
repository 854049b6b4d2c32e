//! `cargo xtask bench-peers`: what a verdict costs beside what others cost, in one run.
//!
//! Every peer is a program of its own that loads a network once and then times frames when asked
//! (see `worker`). They take turns of a few frames each, so that a machine that slows down slows
//! all of them; ratios are formed within a round. Before anything is timed every peer must give
//! our numbers for the same frame. One thread each, but where two are meant.

mod agree;
mod features;
mod frame;
pub mod machine;
mod ratio;
mod report;
mod rounds;
mod worker;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::stage::{Outcome, Stage};
use crate::{oracle, page, repo, setup, skips};
use rounds::Effort;
use worker::Worker;

/// A network that is measured.
pub struct Network {
    /// File name without `.onnx`.
    pub name: &'static str,
    /// Rows and columns of its image.
    pub side: usize,
    /// Made by tests/scripts/peer_networks.py; the others lie in ../shared/models.
    exported: bool,
}

const NETWORKS: [Network; 6] = [
    Network { name: "resnet8", side: 32, exported: false },
    Network { name: "resnet20", side: 32, exported: false },
    Network { name: "resnet18", side: 32, exported: true },
    Network { name: "densenet-bc-100-12", side: 32, exported: true },
    Network { name: "mobilenetv2-96", side: 96, exported: true },
    Network { name: "mobilenetv2-224", side: 224, exported: true },
];

/// The example of gradgate-tract that runs an ONNX file.
const TRACT: &str = "onnx_forward";

/// The network that is also run on two threads.
const TWO_THREADS: &str = "resnet18";

/// Who runs, and what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// onnxruntime's forward pass.
    OnnxRuntime,
    /// tract's forward pass.
    Tract,
    /// PyTorch eager: forward, backward, squared norms of all gradients.
    Torch,
    /// Our forward pass alone, fast.
    Forward,
    /// Our verdict, exact.
    Exact,
    /// Our verdict, fast.
    Fast,
    /// Our verdict, fast, with products of convolutions kept.
    Kept,
    /// Our verdict, fast, by two threads.
    TwoThreads,
}

impl Role {
    const ALL: [Role; 8] = [
        Role::OnnxRuntime,
        Role::Tract,
        Role::Torch,
        Role::Forward,
        Role::Exact,
        Role::Fast,
        Role::Kept,
        Role::TwoThreads,
    ];

    /// Heading of its column.
    pub fn name(self) -> &'static str {
        match self {
            Role::OnnxRuntime => "onnxruntime forward",
            Role::Tract => "tract forward",
            Role::Torch => "PyTorch verdict",
            Role::Forward => "our forward",
            Role::Exact => "verdict, exact",
            Role::Fast => "verdict, fast",
            Role::Kept => "fast, products kept",
            Role::TwoThreads => "fast, 2 threads",
        }
    }
}

/// A peer that ran.
pub struct Peer {
    /// Who.
    pub role: Role,
    /// What it said at first.
    pub greeting: agree::Greeting,
    /// Milliseconds of its best frame, a round each.
    pub rounds: Vec<f64>,
}

/// All that was measured of a network.
pub struct Measured {
    /// Which.
    pub network: &'static Network,
    /// In the order of [`Role::ALL`].
    pub peers: Vec<Peer>,
}

impl Measured {
    /// A peer's outcome, if it ran.
    pub fn peer(&self, role: Role) -> Option<&Peer> {
        self.peers.iter().find(|peer| peer.role == role)
    }
}

/// What to run.
struct Options {
    networks: Vec<&'static Network>,
    effort: Effort,
    /// Optimised as it is shipped; else as the tests are, which builds nothing anew.
    release: bool,
}

/// The subcommand.
pub fn run(args: &[String]) -> Result<bool> {
    let (mut quick, mut only) = (false, None);
    let mut rest = args.iter();
    while let Some(arg) = rest.next() {
        match arg.as_str() {
            "--quick" => quick = true,
            "--only" => only = Some(known_network(rest.next())?),
            other => bail!("bench-peers takes --quick and --only NETWORK, not '{other}'"),
        }
    }
    let networks = match only {
        Some(network) => vec![network],
        None => NETWORKS.iter().filter(|network| !quick || !network.exported).collect(),
    };
    let whole = networks.len() == NETWORKS.len();
    let effort = if quick { Effort::QUICK } else { Effort::FULL };
    let options = Options { networks, effort, release: true };
    for mut command in builds(&options) {
        setup::step(&mut command)?;
    }
    let before = machine::load();
    let (measured, skipped) = measure(&options, &mut |line| println!("{line}"))?;
    let threads = match whole {
        true => Some(features::scaling(&gradgate(&options), &folder()?)?),
        false => None,
    };
    let text = report::generated(&measured, threads, &before);
    println!("{text}");
    for reason in &skipped {
        println!("{}{reason}", skips::MARK);
    }
    if whole {
        page::write(page::PERFORMANCE, "bench-peers", &text)?;
    }
    Ok(true)
}

fn known_network(name: Option<&String>) -> Result<&'static Network> {
    let given = name.map(String::as_str).unwrap_or_default();
    let names: Vec<&str> = NETWORKS.iter().map(|network| network.name).collect();
    let found = NETWORKS.iter().find(|network| network.name == given);
    found.with_context(|| format!("--only wants one of: {}", names.join(", ")))
}

/// The stage: all peers give the same numbers. Times are printed, not judged.
pub fn stage(stage: &Stage) -> Result<Outcome> {
    if !repo::shared().join("models").is_dir() {
        return Ok(Outcome::Skipped("../shared/models is absent".to_owned()));
    }
    let networks = NETWORKS.iter().filter(|network| !network.exported).collect();
    let options = Options { networks, effort: Effort::QUICK, release: false };
    let outcome = stage.run(&mut builds(&options))?;
    if outcome != Outcome::Passed {
        return Ok(outcome);
    }
    let (measured, skipped) = measure(&options, &mut |line| {
        // The log is for people; that it cannot be written shows elsewhere.
        let _ = stage.note(&format!("{line}\n"));
    })?;
    stage.note(&report::tables(&measured))?;
    for reason in skipped {
        stage.note(&format!("{}{reason}\n", skips::MARK))?;
    }
    Ok(Outcome::Passed)
}

/// Where networks, frames and logs of the peers lie.
fn folder() -> Result<PathBuf> {
    let folder = repo::target().join("peers");
    fs::create_dir_all(&folder).with_context(|| format!("{}", folder.display()))?;
    Ok(folder)
}

fn builds(options: &Options) -> Vec<Command> {
    let profile = if options.release { "--profile=release" } else { "--profile=test" };
    let build = |words: &[&str]| {
        let mut cargo = Command::new("cargo");
        cargo.args(["build", "--locked", profile]).args(words).current_dir(repo::root());
        cargo
    };
    let mut builds = vec![build(&["--package=gradgate-cli"])];
    // tract takes minutes to build: the stage takes what stands there, or leaves it out.
    if options.release && repo::root().join("runtime/tract").is_dir() {
        builds.push(build(&["--package=gradgate-tract", "--features=onnx", "--example", TRACT]));
    }
    builds
}

fn gradgate(options: &Options) -> PathBuf {
    let profile = if options.release { "release" } else { "debug" };
    repo::target().join(profile).join("gradgate")
}

fn tract() -> PathBuf {
    repo::target().join("release/examples").join(TRACT)
}

/// Runs the networks one after the other; returns also what was left out.
fn measure(options: &Options, say: &mut dyn FnMut(&str)) -> Result<(Vec<Measured>, Vec<String>)> {
    let mut skipped = Vec::new();
    if options.networks.iter().any(|network| network.exported) {
        export(&mut skipped)?;
    }
    let mut measured = Vec::new();
    for network in &options.networks {
        let Some(model) = model(network) else {
            skipped.push(format!("{}: its ONNX file is absent", network.name));
            continue;
        };
        say(&format!("{}: starting the peers", network.name));
        let workers = start(options, network, &model, &mut skipped)?;
        say(&format!("{}: they agree; measuring", network.name));
        let peers = rounds::run(workers, &options.effort)?;
        measured.push(Measured { network, peers });
    }
    skipped.sort();
    skipped.dedup();
    Ok((measured, skipped))
}

fn model(network: &Network) -> Option<PathBuf> {
    let folder = match network.exported {
        true => repo::target().join("peers"),
        false => repo::shared().join("models"),
    };
    Some(folder.join(format!("{}.onnx", network.name))).filter(|model| model.is_file())
}

/// Writes the exported networks, unless this very script did.
fn export(skipped: &mut Vec<String>) -> Result<()> {
    let script = repo::root().join("tests/scripts/peer_networks.py");
    let text = fs::read_to_string(&script).with_context(|| format!("{}", script.display()))?;
    let stamp = folder()?.join("exported-by.txt");
    if fs::read_to_string(&stamp).is_ok_and(|by| by == text) {
        return Ok(());
    }
    if !oracle::is_ready(true)? {
        skipped.push(NO_TORCH.to_owned());
        return Ok(());
    }
    setup::step(Command::new(oracle::python()).arg(&script).arg(folder()?))?;
    fs::write(&stamp, text).with_context(|| format!("{}", stamp.display()))
}

const NO_TORCH: &str = "PyTorch is not installed: `cargo xtask setup --with-torch`";

/// Starts every peer that this machine has and holds its numbers against ours.
fn start(
    options: &Options,
    network: &Network,
    model: &Path,
    skipped: &mut Vec<String>,
) -> Result<Vec<(Role, Worker)>> {
    let frame = folder()?.join(format!("frame-{}.ppm", network.side));
    fs::write(&frame, frame::ppm(network.side))?;
    let mut workers: Vec<(Role, Worker)> = Vec::new();
    for role in Role::ALL {
        if role == Role::TwoThreads && network.name != TWO_THREADS {
            continue;
        }
        match command(options, role, network, model, &frame)? {
            Ok(mut command) => {
                let log = folder()?.join(format!("{}.log", role.name().replace([' ', ','], "-")));
                let worker = Worker::start(&mut command, &log)
                    .with_context(|| format!("{}, {}", network.name, role.name()))?;
                workers.push((role, worker));
            }
            Err(reason) => skipped.push(reason),
        }
    }
    let ours = workers.iter().find(|(role, _)| *role == Role::Exact);
    let ours = ours.context("our own verdict did not run")?.1.greeting.clone();
    for (role, worker) in &workers {
        agree::check(&ours, &worker.greeting)
            .with_context(|| format!("{}, {} beside ours", network.name, role.name()))?;
    }
    Ok(workers)
}

/// How a peer is started, or why it cannot be.
fn command(
    options: &Options,
    role: Role,
    network: &Network,
    model: &Path,
    frame: &Path,
) -> Result<Result<Command, String>> {
    let python = |peer: &str| {
        let mut command = Command::new(oracle::python());
        command.arg(repo::root().join("tests/scripts/peer_worker.py"));
        command.args([peer, network.name]).arg(model).arg(frame);
        command
    };
    let ours = |pass: &str, numerics: &str| {
        let mut command = Command::new(gradgate(options));
        command.arg("bench").arg(model).arg("--frames").arg(frame);
        command.args(["--on-demand", pass, "--numerics", numerics]);
        command
    };
    Ok(match role {
        Role::OnnxRuntime if !oracle::is_ready(false)? => {
            Err("onnxruntime is not installed: `cargo xtask setup`".to_owned())
        }
        Role::OnnxRuntime => Ok(python("onnxruntime")),
        Role::Torch if !oracle::is_ready(true)? => Err(NO_TORCH.to_owned()),
        Role::Torch => Ok(python("torch")),
        Role::Tract if !tract().is_file() => {
            Err("tract is not built here: `cargo xtask bench-peers --quick`".to_owned())
        }
        Role::Tract => {
            let mut command = Command::new(tract());
            command.arg(model).arg(frame);
            Ok(command)
        }
        Role::Forward => Ok(ours("forward", "fast")),
        Role::Exact => Ok(ours("verdict", "exact")),
        Role::Fast => Ok(ours("verdict", "fast")),
        Role::Kept => {
            let mut command = ours("verdict", "fast");
            command.arg("--keep-products");
            Ok(command)
        }
        Role::TwoThreads => {
            let mut command = ours("verdict", "fast");
            command.args(["--intra-threads", "2"]);
            Ok(command)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_found_by_name() {
        let known = |name: &str| known_network(Some(&name.to_owned())).map(|network| network.side);
        assert_eq!(known("mobilenetv2-96").expect("known"), 96);
        assert!(known("vgg").is_err() && known_network(None).is_err());
        assert!(known(TWO_THREADS).is_ok());
    }

    #[test]
    fn arguments_are_checked() {
        for bad in ["--fast", "--only", "--only vgg"] {
            let words: Vec<String> = bad.split(' ').map(str::to_owned).collect();
            assert!(run(&words).is_err(), "{bad}");
        }
    }
}
