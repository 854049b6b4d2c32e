//! `gradgate evaluate`: a protocol in, a folder with results, report and scores out.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use gradgate_detect::references::References;
use gradgate_lab::adaptive::Row;
use gradgate_lab::protocol::results::{Comparison, Results};
use gradgate_lab::protocol::{self, Definition, Run, Setting, Watch, markdown, page, samples};
use gradgate_lab::{Device, LabError};
use indicatif::ProgressBar;

use crate::model::{Model, ModelArgs};
use crate::{files, interrupt, output, progress};

/// Measure a classifier's detectors by a protocol: tables, curves, every score
///
/// Writes results.json, results.md, report.html (one page that opens offline), samples.csv (of
/// adaptive attacks adaptive.csv, too) and the protocol itself into a folder. Attacked frames,
/// features and scores that take long are kept in its folder `cache`: the same command goes on
/// where a run was stopped.
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  gradgate evaluate models/protocols/paper-table-1.toml --model resnet20.onnx --data data -o out
  gradgate evaluate own.toml -o out        # model and frames beside own.toml")]
pub struct Args {
    /// What to measure; see models/protocols for examples
    #[arg(value_name = "PROTOCOL.toml")]
    protocol: PathBuf,
    /// Folder for results.json, report.html, samples.csv and the cache
    #[arg(short, long, value_name = "DIR")]
    output: PathBuf,
    /// The classifier [default: what the protocol names, beside it]
    #[arg(long, value_name = "MODEL.onnx")]
    model: Option<PathBuf>,
    /// References for alignments [default: what the protocol names, beside it]
    #[arg(long, value_name = "R.safetensors")]
    references: Option<PathBuf>,
    /// Folder that the protocol's FRAMES lie in [default: the protocol's]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Folder for finished work [default: DIR/cache]; several protocols may share it
    #[arg(long, value_name = "DIR")]
    cache: Option<PathBuf>,
    /// cpu or cuda
    #[arg(long, value_name = "DEVICE", default_value = "cpu")]
    device: Device,
    #[command(flatten)]
    choices: ModelArgs,
}

/// Runs the subcommand.
pub fn run(args: Args) -> Result<ExitCode> {
    args.device.check()?;
    let definition = Definition::read(&args.protocol)?;
    let beside = args.protocol.parent().unwrap_or(Path::new("."));
    let model_path = match (&args.model, &definition.model) {
        (Some(given), _) => given.clone(),
        (None, Some(named)) => beside.join(named),
        (None, None) => bail!("{} names no model: give --model", args.protocol.display()),
    };
    let model = Model::read(&model_path, &args.choices)?;
    let named = definition.references.as_ref().map(|name| beside.join(name));
    let references = args.references.clone().or(named);
    let references = references.map(|path| References::read(&path)).transpose()?;
    std::fs::create_dir_all(&args.output)
        .with_context(|| format!("cannot make the folder {}", args.output.display()))?;
    let setting = Setting {
        model: &model_path.file_name().unwrap_or_default().to_string_lossy(),
        imported: &model.imported,
        references: references.as_ref(),
        recipe: &model_path.with_file_name("recipe.toml"),
        data: args.data.as_deref().unwrap_or(beside),
        cache: &args.cache.clone().unwrap_or_else(|| args.output.join("cache")),
        device: args.device,
    };
    let begin = Instant::now();
    let watcher = Watcher { bar: progress::counted(0, "", "evaluate") };
    let guard = interrupt::Loop::enter();
    let found = protocol::run(&definition, &setting, &watcher);
    drop(guard);
    watcher.bar.finish_and_clear();
    let run = match found {
        Err(LabError::Stopped) => {
            eprintln!("what is finished is kept: the same command goes on from here");
            return Err(interrupt::Interrupted.into());
        }
        found => found?,
    };
    write(&args.output, &run)?;
    output::print(&summary(&run.results))?;
    output::print(&format!(
        "{}: results.json, results.md, report.html, samples.csv; {:.1} s\n",
        args.output.display(),
        begin.elapsed().as_secs_f64()
    ))?;
    Ok(ExitCode::SUCCESS)
}

struct Watcher {
    bar: ProgressBar,
}

impl Watch for Watcher {
    fn say(&self, line: &str) {
        self.bar.suspend(|| eprintln!("{line}"));
    }

    fn progress(&self, stage: &str, done: u64, total: u64) -> Result<(), LabError> {
        self.bar.set_length(total);
        self.bar.set_position(done);
        self.bar.set_message(stage.to_owned());
        if interrupt::requested() { Err(LabError::Stopped) } else { Ok(()) }
    }
}

fn write(folder: &Path, run: &Run) -> Result<()> {
    let results = serde_json::to_string(&run.results)? + "\n";
    let protocol = toml::to_string(&run.results.definition)?;
    let mut files = vec![
        ("results.json", results),
        ("results.md", markdown::text(&run.results)),
        ("report.html", page::html(run)?),
        ("samples.csv", samples::csv(run)),
        ("protocol.toml", protocol),
    ];
    if let Some(found) = &run.adaptive {
        files.push(("adaptive.csv", found.csv()));
    }
    let placed = files.into_iter().map(|(name, text)| (folder.join(name), text.into_bytes()));
    files::write_together(&placed.collect::<Vec<_>>())
}

/// AUROC of every detector on every set, a line each.
fn summary(results: &Results) -> String {
    let mut text = String::new();
    for one in &results.comparisons {
        text.push_str(&line(one));
    }
    if let Some(found) = &results.adaptive {
        for row in &found.rows {
            text.push_str(&adaptive_line(row));
        }
        text.push_str(&format!("{}\n", found.verdict()));
    }
    text
}

fn adaptive_line(row: &Row) -> String {
    let [attack, eps, detector, rate, misclassified, evades, ..] = row.cells();
    format!(
        "{attack:<15} {eps:>5}/255 {detector:<24} at {rate:<4} wrong {misclassified:<18} evades \
         {evades}\n"
    )
}

fn line(one: &Comparison) -> String {
    let auroc = one.figures.auroc;
    let lesson = match one.learnt_from.as_slice() {
        [] => String::new(),
        [own] if *own == one.set => String::new(),
        others => format!(" (learnt from {})", others.join(" ")),
    };
    format!(
        "{:<24} {:<28} AUROC {:6.2} [{:.2}, {:.2}]{lesson}{}\n",
        one.set,
        format!("{} {}", one.detector, one.budget),
        100.0 * auroc.value,
        100.0 * auroc.low,
        100.0 * auroc.high,
        if one.confounded { " confounded" } else { "" },
    )
}
