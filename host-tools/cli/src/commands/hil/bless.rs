//! Expectations written anew, with what changes.

use anyhow::{Context, Result, bail};
use gradgate_engine::Engine;
use gradgate_field::hil::expected::{Row, Table, content};
use gradgate_field::hil::{Source, Suite};

use super::SuiteArgs;
use super::cases::recorded;
use crate::output::{plain, print};
use crate::{files, interrupt, progress};

/// Lines of a change that are shown.
const LINES_MAX: usize = 40;

/// Writes what this host's engine gives for the chosen sequences; others stay as they are.
pub fn bless(
    args: &SuiteArgs,
    suite: &Suite,
    engine: &Engine<'_>,
    chosen: &[String],
) -> Result<()> {
    if args.policy.is_some() {
        bail!("--bless: expectations are of the suite's own bundle: leave --policy out");
    }
    let file = args.file();
    let path = suite.expected_path(file);
    files::check_writable(&path)?;
    let old = match path.exists() {
        // What cannot be read is written anew, which is what it takes.
        true => Table::parse(&files::read_text(&path)?).unwrap_or_default(),
        false => Table::default(),
    };
    let guard = interrupt::Loop::enter();
    let mut new = Table { bundle: content(engine.bundle().bytes()), ..Table::default() };
    for sequence in &suite.sequences {
        let name = &sequence.name;
        if let (false, Some(rows)) = (chosen.contains(name), old.sequences.get(name)) {
            new.sequences.insert(name.clone(), rows.clone());
            continue;
        }
        let mut source = recorded(engine, file, suite, sequence)?;
        let bar = progress::frames(source.len(), "frames");
        let mut rows = Vec::new();
        for index in 0..source.len() {
            interrupt::check()?;
            rows.push(Row::of(&source.frame(index).with_context(|| plain(name))?));
            bar.inc(1);
        }
        new.sequences.insert(name.clone(), rows);
    }
    drop(guard);
    let changes = new.changes(&old, LINES_MAX);
    if changes.is_empty() {
        return print(&format!("{}: nothing changes\n", path.display()));
    }
    files::write_atomic(&path, new.text().as_bytes())?;
    let line = |line: &String| format!("{}\n", plain(&line.replace('\t', "  ")));
    let lines: String = changes.iter().map(line).collect();
    print(&format!("{lines}{}: written\n", path.display()))
}
