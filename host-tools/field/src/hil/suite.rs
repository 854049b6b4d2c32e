//! The suite's file: TOML, every key known, every value checked before a device is asked.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::How;
use crate::error::Error;

/// A suite. tests/README.md describes its file.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Suite {
    /// Its name in reports.
    pub name: String,
    /// The bundle that the device must run; paths are relative to the suite's file.
    pub bundle: PathBuf,
    /// Where expectations are kept [the suite's file with the ending `.expected`].
    pub expected: Option<PathBuf>,
    /// Longest time of a case, in seconds.
    #[serde(default = "usual_timeout")]
    pub timeout_s: f64,
    /// Floats that a score may be away from the expected one.
    #[serde(default)]
    pub tolerance_ulps: u32,
    /// What the board's camera sends; needed where frames are sent as a camera's.
    pub camera: Option<Camera>,
    /// Commands that work the bench.
    #[serde(default)]
    pub hooks: Hooks,
    /// Frames to be compared.
    #[serde(default, rename = "sequence")]
    pub sequences: Vec<Sequence>,
    /// Times of the gate.
    #[serde(default, rename = "gate")]
    pub gates: Vec<Gate>,
}

/// What a board's camera sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Camera {
    /// Columns.
    pub width: u16,
    /// Rows.
    pub height: u16,
    /// How its pixels lie.
    pub format: Format,
    /// A frame of this age is late on this board, in milliseconds [four frame periods].
    pub late_ms: Option<u32>,
}

/// Pixel formats, at their numbers on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[repr(u8)]
pub enum Format {
    /// Red, green, blue.
    Rgb8 = 0,
    /// Blue, green, red.
    Bgr8 = 1,
    /// One byte a pixel.
    Grey8 = 2,
    /// Two bytes a pixel, the high one first.
    Rgb565Be = 3,
    /// Two bytes a pixel, the low one first.
    Rgb565Le = 4,
    /// YUV 4:2:2, luma first.
    Yuyv = 5,
    /// YUV 4:2:2, chroma first.
    Uyvy = 6,
}

/// Commands of the bench, run by the system's shell with `GRADGATE_DEVICE` set to the port.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hooks {
    /// Resets the board.
    pub reset: Option<String>,
    /// Takes its power away and gives it back.
    pub power: Option<String>,
    /// The device answers within this time afterwards, in seconds.
    #[serde(default = "usual_boot")]
    pub boot_s: f64,
}

impl Default for Hooks {
    fn default() -> Hooks {
        Hooks { reset: None, power: None, boot_s: usual_boot() }
    }
}

/// How a case begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Start {
    /// With the device as it is.
    #[default]
    Keep,
    /// After a restart that the link asks for.
    Reboot,
    /// After the reset hook.
    Reset,
    /// After the power hook.
    Power,
}

/// As what frames are sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Input {
    /// Of the model's size.
    #[default]
    Model,
    /// As the board's camera makes them.
    Camera,
}

/// Frames of a case.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pictures {
    /// Files, folders, recordings, or signs drawn on the spot.
    pub frames: Vec<String>,
    /// At most so many.
    pub limit: Option<usize>,
    /// Every n-th.
    pub stride: Option<usize>,
    /// Topics of recordings.
    #[serde(default)]
    pub topics: Vec<String>,
    /// Spoils every frame, as `--fault` does.
    #[serde(default)]
    pub faults: Vec<String>,
}

/// Frames to be compared.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sequence {
    /// Its name in reports and expectations.
    pub name: String,
    /// As in [`Pictures`].
    pub frames: Vec<String>,
    /// As in [`Pictures`].
    pub limit: Option<usize>,
    /// As in [`Pictures`].
    pub stride: Option<usize>,
    /// As in [`Pictures`].
    #[serde(default)]
    pub topics: Vec<String>,
    /// As in [`Pictures`].
    #[serde(default)]
    pub faults: Vec<String>,
    /// As what they are sent.
    #[serde(default)]
    pub input: Input,
    /// How old a camera's frame is said to be, in milliseconds.
    #[serde(default)]
    pub age_ms: u32,
    /// How it begins.
    #[serde(default)]
    pub start: Start,
    /// Frames with something wrong on purpose.
    #[serde(default)]
    pub spoil: Vec<Spoilt>,
    /// In place of the suite's.
    pub timeout_s: Option<f64>,
    /// In place of the suite's.
    pub tolerance_ulps: Option<u32>,
}

/// A frame with something wrong on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spoilt {
    /// Its number in the sequence, from 0.
    pub at: usize,
    /// What is wrong.
    pub how: How,
}

/// What is timed of the gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GateCase {
    /// It opens, nothing more comes, and it closes when its lease ends.
    Silence,
    /// It opens, frames that the network blocks come, and it closes.
    Latency,
}

/// A case of the gate.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gate {
    /// Its name in reports.
    pub name: String,
    /// What is timed.
    pub case: GateCase,
    /// Frames of which those that PASS open the gate.
    pub pass: Pictures,
    /// Frames of which those that BLOCK close it.
    pub block: Option<Pictures>,
    /// Time that closing may take, in milliseconds: after the lease's end [half a frame period], or
    /// after the last byte of the deciding frame [two frame periods].
    pub within_ms: Option<u32>,
    /// How it begins.
    #[serde(default)]
    pub start: Start,
    /// In place of the suite's.
    pub timeout_s: Option<f64>,
}

fn usual_timeout() -> f64 {
    120.0
}

fn usual_boot() -> f64 {
    10.0
}

impl Sequence {
    /// What is sent.
    pub fn pictures(&self) -> Pictures {
        Pictures {
            frames: self.frames.clone(),
            limit: self.limit,
            stride: self.stride,
            topics: self.topics.clone(),
            faults: self.faults.clone(),
        }
    }

    /// What is wrong on purpose with this frame.
    pub fn how(&self, index: usize) -> Option<How> {
        self.spoil.iter().find(|spoilt| spoilt.at == index).map(|spoilt| spoilt.how)
    }
}

impl Suite {
    /// Reads a suite's text.
    ///
    /// # Errors
    /// [`Error::File`]: what is wrong where, to be read behind the file's name.
    pub fn parse(text: &str) -> Result<Suite, Error> {
        let refused = |message: String| Error::File { message };
        let suite: Suite = toml::from_str(text).map_err(|error| refused(error.to_string()))?;
        match suite.problem() {
            Some(problem) => Err(refused(problem)),
            None => Ok(suite),
        }
    }

    /// Where its expectations are kept.
    pub fn expected_path(&self, file: &Path) -> PathBuf {
        match &self.expected {
            Some(path) => beside(file, path),
            None => file.with_extension("expected"),
        }
    }

    /// Names of its cases in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let gates = self.gates.iter().map(|gate| gate.name.as_str());
        self.sequences.iter().map(|sequence| sequence.name.as_str()).chain(gates)
    }

    /// Milliseconds that a case may take.
    pub fn timeout_ms(&self, own: Option<f64>) -> u64 {
        (own.unwrap_or(self.timeout_s) * 1000.0) as u64
    }

    fn problem(&self) -> Option<String> {
        if self.names().next().is_none() {
            return Some("it has no [[sequence]] and no [[gate]]: nothing to run".to_owned());
        }
        let mut seen = BTreeSet::new();
        for name in self.names() {
            if name.trim().is_empty() || name.chars().any(char::is_control) {
                return Some(format!("name {name:?}: a line of text is needed"));
            }
            if !seen.insert(name) {
                return Some(format!("two cases are called {name:?}: names tell them apart"));
            }
        }
        let own = self.sequences.iter().map(|sequence| sequence.timeout_s);
        let own = own.chain(self.gates.iter().map(|gate| gate.timeout_s)).flatten();
        for seconds in own.chain([self.timeout_s, self.hooks.boot_s]) {
            if !(0.1..=86_400.0).contains(&seconds) {
                return Some(format!("{seconds} seconds: from 0.1 to 86400 are possible"));
            }
        }
        let sequences = self.sequences.iter().find_map(|one| self.sequence_problem(one));
        sequences.or_else(|| self.gates.iter().find_map(|one| self.gate_problem(one)))
    }

    fn sequence_problem(&self, sequence: &Sequence) -> Option<String> {
        let name = &sequence.name;
        let camera = sequence.input == Input::Camera;
        let first_needs_another = |spoilt: &Spoilt| {
            let needs = matches!(spoilt.how, How::Duplicate | How::OutOfOrder | How::Repeat);
            needs && spoilt.at == 0
        };
        let at: BTreeSet<usize> = sequence.spoil.iter().map(|spoilt| spoilt.at).collect();
        let table = [
            (sequence.frames.is_empty(), "frames is empty: name files, folders or signs"),
            (camera && self.camera.is_none(), "input = \"camera\" needs the table [camera]"),
            (
                !camera && (sequence.age_ms > 0 || !sequence.spoil.is_empty()),
                "age_ms and spoil are for input = \"camera\": frames of the model's size have no \
                 age, and no checks",
            ),
            (at.len() < sequence.spoil.len(), "one frame is spoilt twice"),
            (
                sequence.spoil.iter().any(first_needs_another),
                "frame 0 has no frame before it: duplicate, out-of-order and repeat need one",
            ),
            (!self.can(sequence.start), "start needs the hook of that name in [hooks]"),
            (sequence.age_ms > 3_600_000, "age_ms: an hour at most"),
        ];
        let found = table.into_iter().find(|(wrong, _)| *wrong);
        found.map(|(_, what)| format!("sequence {name:?}: {what}"))
    }

    fn gate_problem(&self, gate: &Gate) -> Option<String> {
        let name = &gate.name;
        let needs_block = gate.case == GateCase::Latency;
        let empty = |pictures: &Pictures| pictures.frames.is_empty();
        let table = [
            (empty(&gate.pass), "pass.frames is empty"),
            (gate.block.as_ref().is_some_and(empty), "block.frames is empty"),
            (
                needs_block && gate.block.is_none(),
                "case = \"latency\" needs block = { frames = .. }",
            ),
            (!needs_block && gate.block.is_some(), "case = \"silence\" sends no block"),
            (!self.can(gate.start), "start needs the hook of that name in [hooks]"),
        ];
        let found = table.into_iter().find(|(wrong, _)| *wrong);
        found.map(|(_, what)| format!("gate {name:?}: {what}"))
    }

    fn can(&self, start: Start) -> bool {
        match start {
            Start::Keep | Start::Reboot => true,
            Start::Reset => self.hooks.reset.is_some(),
            Start::Power => self.hooks.power.is_some(),
        }
    }
}

/// A path of a suite, which is relative to the suite's file.
pub fn beside(file: &Path, path: &Path) -> PathBuf {
    file.parent().unwrap_or(Path::new("")).join(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "name = \"s\"\nbundle = \"b.gate\"\n";

    fn refusal(text: &str) -> String {
        Suite::parse(&format!("{HEAD}{text}")).expect_err(text).to_string()
    }

    #[test]
    fn a_suite_is_read() {
        let text = "[camera]\nwidth = 160\nheight = 120\nformat = \"yuyv\"\n\
                    [[sequence]]\nname = \"a\"\nframes = [\"signs:test\"]\ninput = \"camera\"\n\
                    spoil = [{ at = 2, how = \"out-of-order\" }]\n\
                    [[gate]]\nname = \"g\"\ncase = \"silence\"\npass = { frames = [\"x\"] }\n";
        let suite = Suite::parse(&format!("{HEAD}{text}")).expect("good");
        assert_eq!(suite.names().collect::<Vec<_>>(), ["a", "g"]);
        assert_eq!(suite.camera.map(|camera| camera.format as u8), Some(5));
        assert_eq!(suite.sequences[0].how(2), Some(How::OutOfOrder));
        assert_eq!((suite.timeout_ms(None), suite.timeout_ms(Some(1.5))), (120_000, 1500));
        let file = Path::new("tests/hil/s.toml");
        assert_eq!(suite.expected_path(file), Path::new("tests/hil/s.expected"));
        assert_eq!(beside(file, Path::new("../x")), Path::new("tests/hil/../x"));
    }

    #[test]
    fn refusals_say_what_and_where() {
        let sequence = "[[sequence]]\nname = \"a\"\nframes = [\"x\"]\n";
        let gate = "[[gate]]\nname = \"g\"\npass = { frames = [\"x\"] }\n";
        let rows = [
            (String::new(), "nothing to run"),
            (format!("{sequence}speed = 3\n"), "unknown field `speed`"),
            (format!("timeout_s = 0\n{sequence}"), "from 0.1 to 86400"),
            (format!("timeout_s = nan\n{sequence}"), "from 0.1 to 86400"),
            (format!("{sequence}{sequence}"), "two cases are called \"a\""),
            (format!("{sequence}input = \"camera\"\n"), "needs the table [camera]"),
            (format!("{sequence}age_ms = 5\n"), "age_ms and spoil are for input"),
            (format!("{sequence}start = \"power\"\n"), "needs the hook"),
            (format!("{sequence}input = \"film\"\n"), "unknown variant `film`"),
            (format!("{gate}case = \"latency\"\n"), "needs block"),
            (
                format!("{gate}case = \"silence\"\nblock = {{ frames = [\"x\"] }}\n"),
                "sends no block",
            ),
            ("[[sequence]]\nname = \"a\"\nframes = []\n".to_owned(), "frames is empty"),
        ];
        for (text, wanted) in rows {
            let found = refusal(&text);
            assert!(found.contains(wanted), "{text}\n{found}");
        }
    }
}
