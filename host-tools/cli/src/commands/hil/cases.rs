//! Cases of a suite with all that they need on this side: frames, engine, expectation.

use std::path::Path;

use anyhow::{Context, Result, anyhow};
use gradgate_engine::Engine;
use gradgate_field::error::Error;
use gradgate_field::hil::expected::Table;
use gradgate_field::hil::{
    Camera, Gate, Input, Outcome, Pictures, Ran, Sequence, Source, Suite, frames, gate,
};
use gradgate_gate::gate::lease_us;

use super::bench::Bench;
use super::source::{Recorded, Sending, value_names};
use crate::{files, interrupt, progress};

/// A camera's frame of so many frame periods is late, where the suite does not say.
const LATE_PERIODS: u32 = 4;

/// What a suite leaves behind, wherever it ends.
const LEFT: &str = "the board goes on with the bundle that it runs; no report was written";

/// See the module.
pub struct Prepared<'a> {
    file: &'a Path,
    suite: &'a Suite,
    engine: &'a Engine<'a>,
    /// What expectations are of.
    content: &'a str,
    stored: Table,
    names: Vec<String>,
}

impl<'a> Prepared<'a> {
    /// Reads the expectation.
    pub fn new(
        file: &'a Path,
        suite: &'a Suite,
        engine: &'a Engine<'a>,
        content: &'a str,
    ) -> Result<Prepared<'a>> {
        let stored = match suite.sequences.is_empty() {
            true => Table::default(),
            false => stored(file, suite)?,
        };
        Ok(Prepared { file, suite, engine, content, stored, names: value_names(engine) })
    }

    /// Runs the case of this name.
    ///
    /// # Errors
    /// The user's Ctrl-C alone: what goes wrong with a case is its outcome.
    pub fn run(&self, rig: &mut Bench, name: &str) -> Result<Ran> {
        let guard = interrupt::Loop::enter();
        let sequence = self.suite.sequences.iter().find(|sequence| sequence.name == name);
        let gate = self.suite.gates.iter().find(|gate| gate.name == name);
        let ran = match (sequence, gate) {
            (Some(sequence), _) => self.sequence(rig, sequence),
            (None, Some(gate)) => self.gate(rig, gate),
            (None, None) => Err(Error::File { message: "no such case".to_owned() }),
        };
        drop(guard);
        if interrupt::requested() {
            let left = format!("case {name}: {LEFT}");
            return Err(Error::Stopped { left }.into());
        }
        Ok(ran.unwrap_or_else(|error| Ran::ended(name, Outcome::Error(error.to_string()))))
    }

    fn sequence(&self, rig: &mut Bench, sequence: &Sequence) -> Result<Ran, Error> {
        let mut source = recorded(self.engine, self.file, self.suite, sequence)?;
        let stored = self.stored.sequences.get(&sequence.name);
        let bundle = self.content;
        let stale = match stored {
            None => Some("the stored expectation does not know this sequence".to_owned()),
            Some(_) if bundle != self.stored.bundle => Some(format!(
                "the stored expectation is of bundle {:.16}, this is {bundle:.16}",
                self.stored.bundle
            )),
            Some(_) => None,
        };
        if let Some(stale) = stale {
            let text = format!("{stale}: see what changed, then --bless");
            return Ok(Ran::ended(&sequence.name, Outcome::Failed(text)));
        }
        let settings = frames::Settings {
            name: &sequence.name,
            start: sequence.start,
            timeout_ms: self.suite.timeout_ms(sequence.timeout_s),
            ulps: sequence.tolerance_ulps.unwrap_or(self.suite.tolerance_ulps),
            stored: stored.map(Vec::as_slice),
            names: &self.names,
        };
        let bar = progress::frames(source.len(), "frames");
        let mut go_on = |_| {
            bar.inc(1);
            !interrupt::requested()
        };
        Ok(frames::run(rig, &settings, &mut source, &mut go_on))
    }

    fn gate(&self, rig: &mut Bench, gate: &Gate) -> Result<Ran, Error> {
        let open = |pictures: &Pictures| {
            Recorded::open(self.engine, self.file, pictures, Sending::default())
        };
        let mut pass = open(&gate.pass)?;
        let mut block = gate.block.as_ref().map(open).transpose()?;
        let policy = self.engine.bundle().header().policy;
        let settings = gate::Settings {
            name: &gate.name,
            case: gate.case,
            start: gate.start,
            timeout_ms: self.suite.timeout_ms(gate.timeout_s),
            within_ms: gate.within_ms,
            policy: gate::Policy {
                n: policy.n.into(),
                k: policy.k.into(),
                m: policy.m.into(),
                lease_us: lease_us(&policy),
                frame_period_us: policy.frame_period_us.into(),
            },
        };
        let block = block.as_mut().map(|block| block as &mut dyn Source);
        Ok(gate::run(rig, &settings, &mut pass, block))
    }
}

/// Frames of a sequence, as they are sent.
pub fn recorded<'e, 'b>(
    engine: &'e Engine<'b>,
    file: &Path,
    suite: &Suite,
    sequence: &Sequence,
) -> Result<Recorded<'e, 'b>, Error> {
    let period_us = engine.bundle().header().policy.frame_period_us;
    let usual_ms = (period_us / 1000).saturating_mul(LATE_PERIODS);
    let camera = |camera: Camera| Camera { late_ms: camera.late_ms.or(Some(usual_ms)), ..camera };
    let sending = Sending {
        camera: suite.camera.map(camera).filter(|_| sequence.input == Input::Camera),
        age_us: sequence.age_ms.saturating_mul(1000),
        spoil: sequence.spoil.iter().map(|spoilt| (spoilt.at, spoilt.how)).collect(),
    };
    let opened = Recorded::open(engine, file, &sequence.pictures(), sending);
    opened.map_err(|error| Error::File { message: format!("{}: {error}", sequence.name) })
}

fn stored(file: &Path, suite: &Suite) -> Result<Table> {
    let path = suite.expected_path(file);
    if !path.exists() {
        let path = path.display();
        return Err(anyhow!("{path}: there is no expectation yet: --bless writes it"));
    }
    Table::parse(&files::read_text(&path)?).with_context(|| path.display().to_string())
}
