//! `cargo xtask kernel-counts`: instructions per multiply-add of each kernel, by callgrind.
//!
//! `gradgate bench --steps` calls one function after every step; callgrind writes a file each time
//! that function returns, so that each file holds one step's instructions. Counts repeat, whatever
//! else the machine does, but they are no times: instructions take different numbers of cycles.
//! Valgrind knows AVX2 but not AVX-512.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::{page, process, repo, setup};

/// Callgrind's name of the function that returns after every step, and again where a step writes
/// more than one thing.
const FUNCTION: &str = "gradgate::commands::bench::profile::looked_after_step";
/// Emulation is some fifty times slower.
const RUN_LIMIT: Duration = Duration::from_secs(600);
/// Networks whose kernels are counted, where their files are: ordinary and depthwise convolutions.
const NETWORKS: [&str; 2] = ["models/resnet20.onnx", "peers/mobilenetv2-96.onnx"];

/// One way to compute: its heading and the arguments that choose it.
type Way = (&'static str, &'static [&'static str]);

const WAYS: [Way; 2] = [("exact", &[]), ("fast", &["--numerics", "fast"])];

/// Multiply-adds and instructions of the steps of a kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Sum {
    macs: u64,
    instructions: u64,
}

/// The subcommand.
pub fn run(args: &[String]) -> Result<bool> {
    if let Some(arg) = args.first() {
        bail!("kernel-counts takes no argument, not '{arg}'");
    }
    if !process::is_installed("valgrind") {
        bail!("no valgrind: install it, then call again");
    }
    let mut build = Command::new("cargo");
    setup::step(build.args(["build", "--locked", "--release", "--package=gradgate-cli"]))?;
    let mut text = String::new();
    for network in NETWORKS {
        let folder = if network.starts_with("models") { repo::shared() } else { repo::target() };
        let model = folder.join(network);
        if !model.is_file() {
            println!("left out, its file is absent: {network}");
            continue;
        }
        let name = model.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let mut sums = Vec::new();
        for (_, arguments) in WAYS {
            sums.push(count(&model, arguments)?);
        }
        text += &format!("{}\n", table(&name, &sums));
    }
    println!("{text}");
    page::write(page::PERFORMANCE, "kernel-counts", &text)?;
    Ok(true)
}

/// Sums by kind of step, over one frame.
fn count(model: &Path, arguments: &[&str]) -> Result<BTreeMap<String, Sum>> {
    let folder = repo::target().join("kernel-counts");
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("{}", folder.display()))?;
    }
    fs::create_dir_all(&folder).with_context(|| format!("{}", folder.display()))?;
    let out = folder.join("callgrind.out");
    let mut valgrind = Command::new("valgrind");
    valgrind.args(["--quiet", "--tool=callgrind"]);
    valgrind.arg(format!("--callgrind-out-file={}", out.display()));
    valgrind.arg(format!("--dump-after={FUNCTION}"));
    valgrind.arg(repo::target().join("release/gradgate")).arg("bench").arg(model);
    valgrind.args(["--steps", "--json", "--runs", "1"]).args(arguments);
    let (end, text) = process::run_captured(&mut valgrind, RUN_LIMIT)?;
    ensure!(end.success(), "{}: {end}", process::line(&valgrind));
    let profile: Value = serde_json::from_str(&text).context("a profile")?;
    let parts = parts(&out)?;
    sums(&profile, &parts).context("the profile and callgrind's files do not fit")
}

/// The count of every part, in order.
fn parts(out: &Path) -> Result<Vec<u64>> {
    let mut parts = Vec::new();
    loop {
        let mut name = out.as_os_str().to_owned();
        name.push(format!(".{}", parts.len() + 1));
        let part = PathBuf::from(name);
        if !part.is_file() {
            return Ok(parts);
        }
        let text = fs::read_to_string(&part).with_context(|| format!("{}", part.display()))?;
        let total = text.lines().find_map(|line| line.strip_prefix("totals:"));
        let total = total.and_then(|total| total.trim().parse().ok());
        parts.push(total.with_context(|| format!("{}: no total", part.display()))?);
    }
}

/// Deals the parts of the last frame out to the steps: a step has as many as it has `looks`.
fn sums(profile: &Value, parts: &[u64]) -> Option<BTreeMap<String, Sum>> {
    let steps = profile["steps"].as_array()?;
    let looks = |step: &Value| step["looks"].as_u64().map(|looks| looks as usize);
    let frame: usize = steps.iter().map(looks).sum::<Option<usize>>()?;
    let mut rest = parts.get(parts.len().checked_sub(frame)?..)?;
    let mut sums = BTreeMap::<String, Sum>::new();
    for step in steps {
        let (own, others) = rest.split_at_checked(looks(step)?)?;
        rest = others;
        let sum = sums.entry(step["kind"].as_str()?.to_owned()).or_default();
        sum.macs += step["macs"].as_u64()?;
        sum.instructions += own.iter().sum::<u64>();
    }
    (frame > 0).then_some(sums)
}

/// Kinds of steps down, ways across; those without multiply-adds together at the end.
fn table(name: &str, ways: &[BTreeMap<String, Sum>]) -> String {
    let headings: Vec<String> =
        WAYS.iter().map(|(way, _)| format!("{way}: million instructions, per MAC")).collect();
    let headings: Vec<&str> = headings.iter().map(String::as_str).collect();
    let mut text = page::heading(&format!("{name}, a verdict"), &headings);
    let cell = |sum: Sum| {
        let millions = sum.instructions as f64 / 1e6;
        match sum.macs {
            0 => format!("{millions:.3}"),
            macs => format!("{millions:.3}, {:.3}", sum.instructions as f64 / macs as f64),
        }
    };
    let mut kinds: Vec<&String> = ways.iter().flat_map(BTreeMap::keys).collect();
    kinds.sort();
    kinds.dedup();
    for kind in kinds {
        let cells = ways.iter().map(|sums| sums.get(kind).copied().map(cell));
        text += &page::row(kind, &cells.collect::<Vec<_>>());
    }
    let whole = ways.iter().map(|sums| {
        let add = |a: Sum, b: &Sum| Sum {
            macs: a.macs + b.macs,
            instructions: a.instructions + b.instructions,
        };
        Some(cell(sums.values().fold(Sum::default(), add)))
    });
    text + &page::row("all", &whole.collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile() -> Value {
        serde_json::json!({"steps": [
            {"kind": "Conv", "macs": 1000, "looks": 1},
            {"kind": "ConvWeightNorm direct", "macs": 500, "looks": 3},
            {"kind": "Conv", "macs": 3000, "looks": 1},
        ]})
    }

    #[test]
    fn parts_of_the_last_frame_are_dealt_out() {
        // One frame before, and what came before that.
        let parts = [9999, 1, 1, 1, 1, 1, 2000, 900, 50, 50, 6000];
        let sums = sums(&profile(), &parts).expect("fits");
        assert_eq!(sums["Conv"], Sum { macs: 4000, instructions: 8000 });
        assert_eq!(sums["ConvWeightNorm direct"], Sum { macs: 500, instructions: 1000 });
        let text = table("net", &[sums, BTreeMap::new()]);
        assert!(text.contains("| Conv | 0.008, 2.000 | - |"), "{text}");
        assert!(text.contains("| all | 0.009, 2.000 | 0.000 |"), "{text}");
    }

    #[test]
    fn too_few_parts_are_refused() {
        assert_eq!(sums(&profile(), &[1, 2, 3, 4]), None);
        assert_eq!(sums(&serde_json::json!({"steps": []}), &[1]), None);
        assert_eq!(sums(&serde_json::json!({}), &[1]), None);
    }
}
