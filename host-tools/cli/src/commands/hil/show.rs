//! What is seen of a suite: a line a case, JUnit's XML, a page, frames that differ as PNG.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use gradgate_bundle::digest::sha256;
use gradgate_bundle::manifest::PREFIX_BYTES;
use gradgate_field::hil::{Ran, Report, Suite, junit};
use gradgate_frames::{Pixels, save_png};
use serde_json::json;

use super::SuiteArgs;
use super::bench::Bench;
use super::page::page;
use crate::bundle::TOOL;
use crate::files;
use crate::output::{hex, plain, print};

/// Where it is shown.
#[derive(clap::Args, Debug)]
pub struct ShowArgs {
    /// Write JUnit's XML, a case a sequence
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Write a page that opens offline
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Where frames that differ go as PNG files [default: SUITE-frames, if there are any]
    #[arg(long, value_name = "DIR")]
    frames: Option<PathBuf>,
    /// Print one JSON object at the end
    #[arg(long)]
    json: bool,
    /// The firmware's image on the device: its digest is kept in the reports
    #[arg(long, value_name = "IMAGE")]
    firmware: Option<PathBuf>,
    /// What was tested, in place of what git says in the suite's folder
    #[arg(long, value_name = "TEXT")]
    commit: Option<String>,
}

impl ShowArgs {
    /// Whether only JSON is wanted.
    pub fn is_quiet(&self) -> bool {
        self.json
    }

    /// Fails before anything was sent.
    pub fn check(&self) -> Result<()> {
        self.junit.iter().chain(&self.html).try_for_each(|path| files::check_writable(path))
    }
}

/// Follows a suite.
pub struct Show<'a> {
    args: &'a ShowArgs,
    report: Report,
}

impl<'a> Show<'a> {
    pub fn new(
        args: &'a ShowArgs,
        suite_args: &SuiteArgs,
        suite: &Suite,
        bundle: &[u8],
    ) -> Result<Show<'a>> {
        let commit = args.commit.clone().unwrap_or_else(|| commit(suite_args.file()));
        let identity = sha256(bundle.get(..PREFIX_BYTES).unwrap_or_default());
        let mut properties = vec![
            ("tool", TOOL.to_owned()),
            ("commit", commit),
            ("suite", suite_args.file().display().to_string()),
            ("bundle.sha256", hex(&sha256(bundle))),
            ("bundle.identity", hex(&identity)),
        ];
        if let Some(path) = &args.firmware {
            let image = std::fs::read(path);
            let image = image.with_context(|| format!("--firmware {}", path.display()))?;
            properties.push(("firmware.sha256", hex(&sha256(&image))));
        }
        let properties = properties.into_iter().map(|(name, value)| (name.to_owned(), value));
        let report = Report {
            suite: suite.name.clone(),
            properties: properties.collect(),
            cases: Vec::new(),
        };
        Ok(Show { args, report })
    }

    /// Notes who the device is.
    pub fn board(&mut self, rig: &mut Bench) -> Result<()> {
        let (identity, status) = (rig.client().identify()?, rig.client().status()?);
        let mut add = |name: &str, value: String| {
            self.report.properties.push((name.to_owned(), value));
        };
        add("board", identity.board);
        add("board.chip", hex(&identity.serial));
        add("board.name", status.name);
        add("firmware.version", identity.firmware);
        add("board.boots", status.boots.to_string());
        Ok(())
    }

    /// A line of a case that has ended.
    pub fn case(&self, ran: &Ran) -> Result<()> {
        if self.args.json { Ok(()) } else { print(&line(ran)) }
    }

    /// Writes all reports; whether a case failed.
    pub fn end(mut self, cases: Vec<Ran>, shape: [usize; 3]) -> Result<bool> {
        self.report.cases = cases;
        self.save_frames(shape)?;
        let report = &self.report;
        if let Some(path) = &self.args.junit {
            files::write_atomic(path, junit::text(report).as_bytes())?;
        }
        if let Some(path) = &self.args.html {
            files::write_atomic(path, page(report, shape)?.as_bytes())?;
        }
        let [passed, failed, errors, skipped] = report.counts();
        if self.args.json {
            print(&format!("{:#}\n", self.json()))?;
        } else {
            print(&format!(
                "{passed} passed, {failed} failed, {errors} errors, {skipped} skipped\n"
            ))?;
        }
        Ok(report.has_failed())
    }

    fn save_frames(&self, shape: [usize; 3]) -> Result<()> {
        let usual = || PathBuf::from(format!("{}-frames", file_name(&self.report.suite)));
        let folder = self.args.frames.clone().unwrap_or_else(usual);
        for case in &self.report.cases {
            for one in &case.mismatches {
                std::fs::create_dir_all(&folder)
                    .with_context(|| format!("--frames: cannot make {}", folder.display()))?;
                let name = format!("{}-{:04}.png", file_name(&case.name), one.index);
                save_png(&folder.join(&name), &Pixels::U8(one.picture.clone()), shape)?;
                if !self.args.json {
                    print(&format!(
                        "frame {} of {}: {}\n",
                        one.index,
                        case.name,
                        folder.join(&name).display()
                    ))?;
                }
            }
        }
        Ok(())
    }

    fn json(&self) -> serde_json::Value {
        let cases = self.report.cases.iter().map(|case| {
            let [pass, block, unknown] = case.verdicts;
            let mismatches = case.mismatches.iter().map(|one| {
                let (frame, name) = (one.index, &one.name);
                json!({"frame": frame, "name": name, "what": one.what, "tensor": one.tensor})
            });
            json!({
                "name": case.name,
                "outcome": case.outcome.word().to_lowercase(),
                "why": case.outcome.text(),
                "seconds": case.milliseconds as f64 / 1000.0,
                "pass": pass,
                "block": block,
                "unknown": unknown,
                "mismatched": case.mismatched,
                "mismatches": mismatches.collect::<Vec<_>>(),
                "notes": case.notes,
            })
        });
        let properties = self.report.properties.iter().cloned();
        json!({
            "suite": self.report.suite,
            "properties": properties.collect::<std::collections::BTreeMap<_, _>>(),
            "cases": cases.collect::<Vec<_>>(),
        })
    }
}

/// A case in a line.
pub fn line(ran: &Ran) -> String {
    let [pass, block, unknown] = ran.verdicts;
    let (word, name, seconds) =
        (ran.outcome.word(), plain(&ran.name), ran.milliseconds as f64 / 1000.0);
    let mut text = format!(
        "{word:<8} {name}: {} frames (PASS {pass}, BLOCK {block}, UNKNOWN {unknown}), {seconds:.1} \
         s\n",
        ran.frames()
    );
    for note in &ran.notes {
        text.push_str(&format!("         {note}\n"));
    }
    if !ran.outcome.text().is_empty() && !ran.notes.iter().any(|note| note == ran.outcome.text()) {
        text.push_str(&format!("         {}\n", plain(ran.outcome.text())));
    }
    text
}

/// What git says of the suite's folder; "unknown" where it says nothing.
fn commit(file: &Path) -> String {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
    let arguments = ["describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"];
    let mut git = Command::new("git");
    git.arg("-C").arg(folder.unwrap_or(Path::new("."))).args(arguments);
    let told = git.output().ok().filter(|output| output.status.success());
    let text = told.and_then(|output| String::from_utf8(output.stdout).ok());
    text.map_or_else(|| "unknown".to_owned(), |text| text.trim().to_owned())
}

/// A name without what paths mean something by.
fn file_name(name: &str) -> String {
    name.chars().map(|c| if c.is_alphanumeric() || c == '-' { c } else { '-' }).collect()
}
