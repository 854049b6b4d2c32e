//! Anomalies for those who have none: faults of cameras and synthesised changes, dealt over normal
//! frames.
//!
//! [`Anomalies`] gives every frame one kind and one severity. Of each run of as many frames as
//! there are kinds, every kind gets one, in an order drawn for the run; from run to run a kind goes
//! through the severities. What lasts is the same for all frames of a source. Kinds, severities and
//! places follow from the seed and the frame's number alone.
//!
//! What was made keeps label and source of its frame, so that splits by source keep both together.
//! A mix keeps the source of the frame that shows the more; that of the other is not kept.

use crate::error::FramesError;
use crate::fault::{Fault, FaultKind};
use crate::frames::{Frame, Frames, Pixels};
use crate::random::Random;
use crate::synthetic::SyntheticKind;

/// What a word on the command line begins with.
pub const PREFIX: &str = "builtin:";

/// Draws of a second frame for a mix before none of another source is believed to be there.
const DRAWS: u64 = 64;

/// One of the built-in kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnomalyKind {
    /// A fault of a camera.
    Fault(FaultKind),
    /// A synthesised anomaly.
    Synthetic(SyntheticKind),
}

impl AnomalyKind {
    /// All kinds, faults first.
    pub fn all() -> impl Iterator<Item = AnomalyKind> {
        let faults = FaultKind::all().map(AnomalyKind::Fault);
        faults.chain(SyntheticKind::all().map(AnomalyKind::Synthetic))
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            AnomalyKind::Fault(kind) => kind.name(),
            AnomalyKind::Synthetic(kind) => kind.name(),
        }
    }

    /// Whether a single frame of it is as good as a normal one, so that nothing can be learnt from
    /// it.
    pub fn needs_time(self) -> bool {
        matches!(self, AnomalyKind::Fault(kind) if kind.needs_time())
    }

    /// Whether it takes the gradients of a network.
    pub fn needs_network(self) -> bool {
        matches!(self, AnomalyKind::Synthetic(kind) if kind.needs_network())
    }

    /// Why these frames cannot have it.
    fn hindrance(self, frames: &Frames, network: bool) -> Option<String> {
        let [_, _, channels] = frames.shape();
        match self {
            AnomalyKind::Fault(kind) if kind.needs_colour() && channels != 3 => {
                Some("it is a fault of colour, and frames are grey".to_owned())
            }
            AnomalyKind::Fault(kind) if kind.needs_time() => frames.timeless().map(str::to_owned),
            AnomalyKind::Synthetic(SyntheticKind::Mix) if frames.sources() < 2 => {
                Some("it takes frames of two sources, and there is one".to_owned())
            }
            AnomalyKind::Synthetic(kind) if kind.needs_network() && !network => {
                Some("it takes the gradients of an ONNX model".to_owned())
            }
            AnomalyKind::Fault(_) | AnomalyKind::Synthetic(_) => None,
        }
    }
}

/// Which anomalies are made of frames.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Anomalies {
    name: String,
    kinds: Vec<AnomalyKind>,
    severities: Vec<u8>,
    seed: u64,
    /// The name stands for several kinds.
    group: bool,
}

/// A frame with what was made of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Made {
    /// Label and source are those of the normal frame.
    pub frame: Frame,
    /// Its place in [`Anomalies::kinds`].
    pub kind: usize,
    /// 1 to 5.
    pub severity: u8,
    /// What another change of this frame draws from.
    pub seed: u64,
}

impl Anomalies {
    /// `faults`, `synthetic`, or one kind by its name, perhaps after `builtin:`; severities without
    /// repetition.
    ///
    /// # Errors
    /// An unknown name, with the known ones; severities out of 1 to 5 or none.
    pub fn new(name: &str, severities: &[u8], seed: u64) -> Result<Anomalies, String> {
        let name = name.strip_prefix(PREFIX).unwrap_or(name);
        let all = || AnomalyKind::all();
        let kinds: Vec<AnomalyKind> = match name {
            "faults" => all().filter(|kind| matches!(kind, AnomalyKind::Fault(_))).collect(),
            "synthetic" => all().filter(|kind| matches!(kind, AnomalyKind::Synthetic(_))).collect(),
            _ => all().filter(|kind| kind.name() == name).collect(),
        };
        if kinds.is_empty() {
            let known: Vec<&str> = all().map(AnomalyKind::name).collect();
            return Err(format!(
                "there are no built-in anomalies {name:?}; there are faults, synthetic, or one of \
                 {}",
                known.join(", ")
            ));
        }
        let mut severities = severities.to_vec();
        severities.sort_unstable();
        severities.dedup();
        if severities.is_empty() || severities.iter().any(|level| !(1..=5).contains(level)) {
            return Err("severities are 1 to 5, as in 1,3,5".to_owned());
        }
        let group = matches!(name, "faults" | "synthetic");
        Ok(Anomalies { name: name.to_owned(), kinds, severities, seed, group })
    }

    /// The kinds that frames are dealt.
    pub fn kinds(&self) -> &[AnomalyKind] {
        &self.kinds
    }

    /// Leaves out what these frames, with a `network` or without, cannot have, and says why; a kind
    /// that was named itself must be possible.
    ///
    /// # Errors
    /// Nothing is left.
    pub fn fit_to(&mut self, frames: &Frames, network: bool) -> Result<Vec<String>, String> {
        if frames.is_live() {
            return Err("anomalies are made of frames that can be read again".to_owned());
        }
        let mut left_out = Vec::new();
        self.kinds.retain(|kind| {
            let hindrance = kind.hindrance(frames, network);
            left_out.extend(hindrance.as_ref().map(|why| format!("{}: {why}", kind.name())));
            hindrance.is_none()
        });
        if self.kinds.is_empty() || !self.group && !left_out.is_empty() {
            return Err(left_out.join("; "));
        }
        Ok(left_out)
    }

    /// In words: name, severities where some are left out, seed unless it is 0.
    pub fn describe(&self) -> String {
        let mut text = format!("{PREFIX}{}", self.name);
        if self.severities != [1, 2, 3, 4, 5] {
            let levels: Vec<String> = self.severities.iter().map(u8::to_string).collect();
            text.push_str(&format!(" severities={}", levels.join(",")));
        }
        if self.seed != 0 {
            text.push_str(&format!(" anomalous-seed={}", self.seed));
        }
        text
    }

    /// Place of the kind among [`Anomalies::kinds`], and severity, of frame `index`.
    pub fn dealt(&self, index: usize) -> (usize, u8) {
        let count = self.kinds.len();
        let run = index / count;
        let mut order: Vec<usize> = (0..count).collect();
        Random::of(&[self.seed, u64::from(b'D'), run as u64]).shuffle(&mut order);
        let kind = order[index % count];
        (kind, self.severities[(run + kind) % self.severities.len()])
    }

    /// What becomes of frame `index`; `None` where a frame that freezes is the first of its source,
    /// or where nothing changes: colours cannot be exchanged in a picture without any.
    /// Past the last frame it begins with the first again, dealt and placed otherwise. A kind that
    /// needs a network is left to the caller: the frame is the normal one.
    ///
    /// # Errors
    /// The frame cannot be read, or no other source is found for a mix.
    pub fn make(&self, frames: &Frames, index: usize) -> Result<Option<Made>, FramesError> {
        let number = frames.number(index % frames.len().max(1))?;
        let round = (index / frames.len().max(1)) as u64;
        let (place, severity) = self.dealt(index);
        let mut frame = frames.taken(number)?;
        let own = Random::of(&[self.seed, u64::from(b'A'), round, number as u64]).bits();
        let shape = frames.shape();
        let refused = FramesError::Options;
        match self.kinds[place] {
            AnomalyKind::Fault(kind) => {
                let fault = Fault::new(kind, severity)
                    .ok_or_else(|| refused("a severity is 1 to 5".to_owned()))?;
                let Some(pixels) = self.faulty(frames, &frame, (number, round), fault)? else {
                    return Ok(None);
                };
                frame.pixels = pixels;
            }
            AnomalyKind::Synthetic(kind) if kind.needs_network() => {}
            AnomalyKind::Synthetic(kind) => {
                let other = match kind {
                    SyntheticKind::Mix => stranger(frames, &frame, own)?,
                    _ => Vec::new(),
                };
                let before = frame.pixels.into_u8();
                let mut pixels = before.clone();
                kind.apply(severity, &mut pixels, shape, &other, own).map_err(refused)?;
                if pixels == before {
                    return Ok(None);
                }
                frame.pixels = Pixels::U8(pixels);
            }
        }
        let frame = frames.pass(frame)?;
        Ok(Some(Made { frame, kind: place, severity, seed: own }))
    }

    fn faulty(
        &self,
        frames: &Frames,
        frame: &Frame,
        (number, round): (usize, u64),
        fault: Fault,
    ) -> Result<Option<Pixels>, FramesError> {
        if let Some(back) = fault.frames_back() {
            let earlier = frames.earlier(number, frame.source, back)?;
            return earlier.map(|earlier| Ok(frames.taken(earlier)?.pixels)).transpose();
        }
        let of = if fault.kind().is_lasting() { frame.source as u64 } else { number as u64 };
        let seed = Random::of(&[self.seed, u64::from(b'F'), round, of]).bits();
        let [height, width, channels] = frames.shape();
        let before = frame.pixels.to_u8();
        let mut pixels = before.clone();
        let done = fault.apply(&mut pixels, width, height, channels, seed);
        done.map_err(FramesError::Options)?;
        Ok((pixels != before).then_some(Pixels::U8(pixels)))
    }
}

/// A frame of another source.
fn stranger(frames: &Frames, frame: &Frame, seed: u64) -> Result<Vec<u8>, FramesError> {
    let mut random = Random::of(&[seed, u64::from(b'M')]);
    for _ in 0..DRAWS {
        let other = frames.taken(frames.number(random.below(frames.len()))?)?;
        if other.source != frame.source {
            return Ok(other.pixels.into_u8());
        }
    }
    let what = "mix takes frames of two sources, and all of these seem to have one";
    Err(FramesError::Options(what.to_owned()))
}
