//! `cargo xtask families`: networks of many families, by both PyTorch exporters, against PyTorch's
//! own float64 features; writes docs/families.md.
//!
//! tests/scripts/families.py makes the networks, the example `family` of gradgate-tests imports,
//! expands, interprets and runs one in a process of its own, and onnxruntime runs what it expanded.
//! What is refused gets its row too. A run that was broken off goes on with `--resume`.

mod row;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::peers::machine;
use crate::{oracle, page, process, repo, setup};
use row::Figures;

/// The page that the table stands on.
const PAGE: &str = "docs/families.md";

/// What decides what is exported.
const SCRIPT: &str = "tests/scripts/families.py";

/// Frames that the interpreter takes: it is slow, and every frame exercises every op.
const FRAMES: &str = "2";

/// Longest time that one network may take: a minute on two quiet cores, much more beside other
/// work.
const LIMIT: Duration = Duration::from_secs(60 * 60);

/// The subcommand.
pub fn run(args: &[String]) -> Result<bool> {
    if !oracle::is_ready(true)? {
        bail!("PyTorch is not installed: `cargo xtask setup --with-torch`");
    }
    let (options, names): (Vec<&String>, Vec<&String>) =
        args.iter().partition(|arg| arg.starts_with("--"));
    if options.iter().any(|option| *option != "--resume") {
        bail!("families takes names of networks and --resume, not '{}'", options[0]);
    }
    // What is built, not what lies there an hour later.
    let commit = machine::commit();
    export(&names)?;
    let mut cargo = Command::new("cargo");
    cargo.args(["build", "--locked", "--release", "--package=gradgate-tests"]);
    setup::step(cargo.args(["--example", "family"]).current_dir(repo::root()))?;
    let models = chosen(&folder(), &names)?;
    let mut rows = Vec::new();
    for model in &models {
        let figures = figures(model, !options.is_empty())?;
        println!("{}", figures.line());
        rows.push(figures);
    }
    let text = row::page(&rows, &commit);
    println!("{text}");
    if names.is_empty() {
        page::write(PAGE, "families", &text)?;
    }
    Ok(rows.iter().all(Figures::holds))
}

/// Networks and what was made of them.
fn folder() -> PathBuf {
    repo::target().join("families")
}

/// The program that measures one network.
fn program() -> PathBuf {
    repo::target().join("release/examples/family")
}

/// Writes the networks that this very script has not written yet.
fn export(names: &[&String]) -> Result<()> {
    let script = repo::root().join(SCRIPT);
    let text = fs::read_to_string(&script).context(SCRIPT)?;
    let folder = folder();
    let stamp = folder.join("exported-by.txt");
    if !fs::read_to_string(&stamp).is_ok_and(|by| by == text) {
        if folder.exists() {
            fs::remove_dir_all(&folder).with_context(|| format!("{}", folder.display()))?;
        }
        fs::create_dir_all(&folder).with_context(|| format!("{}", folder.display()))?;
        fs::write(&stamp, text).with_context(|| format!("{}", stamp.display()))?;
    }
    let mut python = Command::new(oracle::python());
    setup::step(python.arg(script).arg(&folder).args(names))
}

/// The exported files, those of the named networks if names are given.
fn chosen(folder: &Path, names: &[&String]) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| format!("{}", folder.display()))?;
    let mut models = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let (network, exporter) = row::names(&path);
        let wanted = names.is_empty() || names.contains(&&network);
        let is_model = path.extension().is_some_and(|e| e == "onnx") && !exporter.contains('.');
        if is_model && wanted {
            models.push(path);
        }
    }
    models.sort();
    if models.is_empty() {
        bail!("no network of {} is called {names:?}", folder.display());
    }
    Ok(models)
}

/// All figures of one exported file; with `resume` those that this very program found before.
fn figures(model: &Path, resume: bool) -> Result<Figures> {
    let kept = model.with_extension("figures.txt");
    let written = |path: &Path| fs::metadata(path).and_then(|file| file.modified());
    let is_new = |kept| written(&program()).is_ok_and(|built| built < kept);
    if resume && written(&kept).is_ok_and(is_new) {
        let (network, exporter) = row::names(model);
        let mut figures = Figures::new(&network, &exporter);
        figures.add(&fs::read_to_string(&kept).with_context(|| format!("{}", kept.display()))?);
        return Ok(figures);
    }
    let start = Instant::now();
    let mut figures = measure(model)?;
    figures.add(&format!("{}={:.1}\n", row::SECONDS, start.elapsed().as_secs_f64()));
    fs::write(&kept, figures.text()).with_context(|| format!("{}", kept.display()))?;
    Ok(figures)
}

fn measure(model: &Path) -> Result<Figures> {
    let (network, exporter) = row::names(model);
    let reference = folder().join(format!("{network}.reference.safetensors"));
    let expanded = folder().join(format!("{network}.{exporter}.expanded.onnx"));
    let mut ours = Command::new(program());
    ours.arg(model).arg(&reference).arg(&expanded).arg(FRAMES);
    let (end, text) = process::run_captured(&mut ours, LIMIT)?;
    let mut figures = Figures::new(&network, &exporter);
    figures.add(&text);
    if !end.success() && !figures.is_refused() {
        figures.add(&format!("refused={end}"));
    }
    if figures.is_refused() {
        return Ok(figures);
    }
    let mut check = Command::new(oracle::python());
    check.arg(repo::root().join("tests/scripts/check_expanded.py"));
    check.arg("family").arg(&expanded).arg(&reference);
    let (_, text) = process::run_captured(&mut check, LIMIT)?;
    figures.add(&text);
    fs::remove_file(&expanded).with_context(|| format!("{}", expanded.display()))?;
    Ok(figures)
}
