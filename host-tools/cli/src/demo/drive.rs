//! What the camera sees: the stretches of a drive.

use std::path::PathBuf;
use std::str::FromStr;

use anyhow::{Context, Result, anyhow, bail};
use gradgate_frames::fault::Fault;
use gradgate_frames::{Frames, OpenOptions, Pixels, open, rain};
use safetensors::SafeTensors;

/// Frames of `signs:test` that PGD made the classifier misread (8/255, 10 steps).
const ATTACKED: &[u8] = include_bytes!("../../../../models/bundles/signs-attacked.safetensors");
/// Frames of `signs:test` under a weak attack (PGD, 1/255), whether it succeeded or not.
const WEAK: &[u8] = include_bytes!("../../../../models/bundles/signs-attacked-weak.safetensors");
/// Frames that the classifier misreads and the detector lets pass, by `gradgate evade`.
const KNOWING: &[u8] =
    include_bytes!("../../../../models/bundles/signs-attacked-knowing.safetensors");

/// Frames of a stretch: the length of a drawn track.
const LENGTH: usize = 50;
/// Side of a drawn frame.
const SIDE: usize = 32;

/// What should become of a stretch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Like the frames of the calibration: should pass.
    Normal,
    /// Weather and light that a robot drives through: should pass, too.
    Harmless,
    /// Signs that the classifier never learnt.
    Unknown,
    /// A camera at fault.
    Fault,
    /// A camera so much at fault that pre-checks see it, before any network runs.
    Unusable,
    /// Attacked frames.
    Attack,
}

impl Kind {
    /// Whether the gate should stay open.
    pub fn should_pass(self) -> bool {
        matches!(self, Kind::Normal | Kind::Harmless)
    }

    /// Its word in print.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Normal => "normal",
            Kind::Harmless => "harmless",
            Kind::Unknown => "unknown sign",
            Kind::Fault => "camera fault",
            Kind::Unusable => "unusable picture",
            Kind::Attack => "attack",
        }
    }
}

/// What a classifier should say of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Truth {
    /// This class.
    Class(i64),
    /// No class of its: whatever it says is wrong.
    None,
    /// Nobody knows.
    Unknown,
}

/// A frame with its true class, if it has one that the classifier knows.
#[derive(Clone, Debug)]
pub struct Shown {
    /// Rows, columns, channels.
    pub pixels: Vec<u8>,
    /// What would be right.
    pub truth: Truth,
    /// When it was taken; `None`: a frame period after the one before.
    pub time_ns: Option<i64>,
}

/// Frames of one kind.
#[derive(Clone, Debug)]
pub struct Stretch {
    /// In print.
    pub what: String,
    /// What should become of it.
    pub kind: Kind,
    /// In order.
    pub frames: Vec<Shown>,
}

/// All that a camera saw.
pub struct Camera {
    /// Normal frames on which the rivals are fitted.
    pub ordinary: Vec<Shown>,
    /// Normal tracks, by which thresholds are set and false alarms counted.
    pub tracks: Vec<Vec<Shown>>,
    /// The drive.
    pub drive: Vec<Stretch>,
}

/// Where frames of a drawn stretch come from.
#[derive(Clone, Copy)]
enum Source {
    Known,
    /// A sign of an unknown class, by its place among the unseen ones.
    Unseen(i64),
    Fault(&'static str),
    Rain,
    Frozen,
    Black,
    File(&'static [u8]),
}

#[rustfmt::skip]
const DRIVE: &[(&str, Kind, Source)] = {
    use Source::{Black, Fault, File, Frozen, Known, Rain, Unseen};
    &[
        ("known signs", Kind::Normal, Known),
        ("dusk", Kind::Harmless, Fault("underexposure:1")),
        ("unknown: no-stopping", Kind::Unknown, Unseen(12)),
        ("known signs", Kind::Normal, Known),
        ("rain", Kind::Harmless, Rain),
        ("noise", Kind::Fault, Fault("noise:4")),
        ("known signs", Kind::Normal, Known),
        ("unknown: high-voltage", Kind::Unknown, Unseen(13)),
        ("known signs", Kind::Normal, Known),
        ("light blur", Kind::Harmless, Fault("defocus:1")),
        ("out of focus", Kind::Fault, Fault("defocus:4")),
        ("known signs", Kind::Normal, Known),
        ("attack: PGD (8/255)", Kind::Attack, File(ATTACKED)),
        ("known signs", Kind::Normal, Known),
        ("dead rows", Kind::Fault, Fault("dead-rows:4")),
        ("known signs", Kind::Normal, Known),
        ("attack: weak (1/255)", Kind::Attack, File(WEAK)),
        ("known signs", Kind::Normal, Known),
        ("wrong colours", Kind::Fault, Fault("white-balance:4")),
        ("known signs", Kind::Normal, Known),
        ("attack: knows the detector", Kind::Attack, File(KNOWING)),
        ("known signs", Kind::Normal, Known),
        ("lens dirt", Kind::Fault, Fault("lens-dirt:4")),
        ("known signs", Kind::Normal, Known),
        ("frozen camera", Kind::Unusable, Frozen),
        ("known signs", Kind::Normal, Known),
        ("black picture", Kind::Unusable, Black),
        ("known signs", Kind::Normal, Known),
    ]
};

/// The drawn world: equal seeds give equal drives; `tracks` normal ones beside.
pub fn signs(seed: u64, tracks: u32) -> Result<Camera> {
    let drive = DRIVE.iter().enumerate().map(|(number, one)| drawn(one, seed, number));
    Ok(Camera {
        ordinary: ordinary()?,
        tracks: normal_tracks(tracks)?,
        drive: drive.collect::<Result<_>>()?,
    })
}

fn drawn(
    &(what, kind, source): &(&str, Kind, Source),
    seed: u64,
    number: usize,
) -> Result<Stretch> {
    // A stretch is a track of its own: seeds of neighbours share nothing.
    let seed = seed.wrapping_mul(1_000).wrapping_add(number as u64);
    let frames = match source {
        Source::Known => sequence("sequence", None, None, seed)?,
        Source::Unseen(class) => sequence("unseen-sequence", None, Some(class), seed)?,
        Source::Fault(fault) => sequence("sequence", Some(fault), None, seed)?,
        Source::Rain => wet(sequence("sequence", None, None, seed)?, seed),
        Source::Frozen => {
            let moving = sequence("sequence", None, None, seed)?;
            moving.first().map(|frame| vec![frame.clone(); LENGTH]).unwrap_or_default()
        }
        Source::Black => {
            let black =
                Shown { pixels: vec![0; SIDE * SIDE * 3], truth: Truth::None, time_ns: None };
            vec![black; LENGTH]
        }
        Source::File(bytes) => attacked(bytes)?,
    };
    Ok(Stretch { what: what.to_owned(), kind, frames })
}

/// Tracks of `signs:SET`; one track, or the first one of a class.
fn sequence(set: &str, fault: Option<&str>, class: Option<i64>, seed: u64) -> Result<Vec<Shown>> {
    // Every four tracks hold each unseen class once.
    let count = if class.is_some() { 4 * LENGTH } else { LENGTH };
    let mut options = OpenOptions::new(SIDE, SIDE, 3);
    options.fault_seed = seed;
    let fault = fault.map(Fault::from_str).transpose().map_err(|error| anyhow!("{error}"))?;
    options.faults.extend(fault);
    let spec = format!("signs:{set}:n={count},track={LENGTH},seed={seed}");
    let frames = open(&[PathBuf::from(spec)], &options)?;
    let mut shown = vec![];
    for frame in frames.iter() {
        let frame = frame?;
        let wanted = class.is_none_or(|class| frame.label == Some(class));
        if wanted && shown.len() < LENGTH {
            let label = frame.label.filter(|_| class.is_none());
            let truth = label.map_or(Truth::None, Truth::Class);
            shown.push(Shown { pixels: bytes(frame.pixels), truth, time_ns: None });
        }
    }
    Ok(shown)
}

fn bytes(pixels: Pixels) -> Vec<u8> {
    match pixels {
        Pixels::U8(bytes) => bytes,
        floats @ Pixels::F32(_) => floats.to_u8(),
    }
}

fn wet(mut frames: Vec<Shown>, seed: u64) -> Vec<Shown> {
    for (number, frame) in frames.iter_mut().enumerate() {
        rain(&mut frame.pixels, [SIDE, SIDE, 3], seed.wrapping_add(number as u64));
    }
    frames
}

/// Committed frames, from planes to interleaved bytes.
fn attacked(file: &[u8]) -> Result<Vec<Shown>> {
    let file = SafeTensors::deserialize(file).context("shipped attacked frames")?;
    let (images, labels) = (file.tensor("images")?, file.tensor("labels")?);
    let labels = labels.data().chunks_exact(8).map(|bytes| {
        let mut label = [0; 8];
        label.copy_from_slice(bytes);
        i64::from_le_bytes(label)
    });
    let plane = SIDE * SIDE;
    let shown = |(planes, label): (&[u8], i64)| {
        let pixels = (0..3 * plane).map(|at| planes[at % 3 * plane + at / 3]).collect();
        Shown { pixels, truth: Truth::Class(label), time_ns: None }
    };
    Ok(images.data().chunks_exact(3 * plane).zip(labels).map(shown).take(LENGTH).collect())
}

/// Tracks of drawn known signs, for what is set on normal frames: nothing of them is in a drive.
fn normal_tracks(count: u32) -> Result<Vec<Vec<Shown>>> {
    // Drives have seeds of small numbers times a thousand.
    const SEED: u64 = 0x6e6f_726d_616c;
    (0..u64::from(count)).map(|track| sequence("sequence", None, None, SEED + track)).collect()
}

/// Independent drawn frames, for what is fitted on normal pictures.
fn ordinary() -> Result<Vec<Shown>> {
    let options = OpenOptions::new(SIDE, SIDE, 3);
    let frames = open(&[PathBuf::from("signs:calibration:n=1000")], &options)?;
    let shown = |frame: gradgate_frames::Frame| Shown {
        pixels: bytes(frame.pixels),
        truth: frame.label.map_or(Truth::Unknown, Truth::Class),
        time_ns: None,
    };
    Ok(frames.iter().map(|frame| frame.map(shown)).collect::<Result<_, _>>()?)
}

/// Faults that are played over real frames.
const REAL_FAULTS: [(&str, &str); 6] = [
    ("noise", "noise:4"),
    ("out of focus", "defocus:4"),
    ("dead rows", "dead-rows:4"),
    ("lens dirt", "lens-dirt:4"),
    ("overexposure", "overexposure:4"),
    ("lost blocks", "block-loss:4"),
];

/// Real frames in their order: the first half as normal tracks, the second as a drive in which
/// every other stretch has a camera fault.
pub fn real(frames: &Frames, seed: u64) -> Result<Camera> {
    const LEAST: usize = 6 * LENGTH;
    if frames.len() < LEAST {
        bail!("--real: {} frames are too few for a drive: {LEAST} at least", frames.len());
    }
    let [height, width, channels] = frames.shape();
    let mut all = vec![];
    for frame in frames.iter() {
        let frame = frame?;
        let truth = frame.label.map_or(Truth::Unknown, Truth::Class);
        let time_ns = frame.time_ns;
        all.push(Shown { pixels: bytes(frame.pixels), truth, time_ns });
    }
    let drive = all.split_off(all.len() / 2);
    let mut stretches = vec![];
    for (number, frames) in drive.chunks(LENGTH).enumerate() {
        let mut frames = frames.to_vec();
        let (what, kind) = match number % 2 {
            0 => ("as recorded", Kind::Normal),
            _ => {
                let (what, word) = REAL_FAULTS[number / 2 % REAL_FAULTS.len()];
                let fault = Fault::from_str(word).map_err(|error| anyhow!("{error}"))?;
                if fault.check(channels).is_err() {
                    continue;
                }
                for frame in &mut frames {
                    let seed = seed.wrapping_mul(1_000).wrapping_add(number as u64);
                    fault
                        .apply(&mut frame.pixels, width, height, channels, seed)
                        .map_err(|error| anyhow!("{error}"))?;
                }
                (what, Kind::Fault)
            }
        };
        stretches.push(Stretch { what: what.to_owned(), kind, frames });
    }
    let tracks = all.chunks(LENGTH).map(<[Shown]>::to_vec).collect();
    Ok(Camera { ordinary: all, tracks, drive: stretches })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drive_has_full_stretches_and_follows_its_seed() {
        let drive = signs(3, 8).unwrap().drive;
        assert_eq!(drive.len(), DRIVE.len());
        for stretch in &drive {
            let full = stretch.frames.len() == LENGTH || stretch.kind == Kind::Attack;
            assert!(full && !stretch.frames.is_empty(), "{}", stretch.what);
            let known = stretch.frames.iter().all(|frame| frame.truth != Truth::None);
            assert_eq!(
                known,
                !matches!(stretch.kind, Kind::Unknown) && stretch.what != "black picture"
            );
        }
        let pixels = |drive: &[Stretch]| drive[0].frames[0].pixels.clone();
        assert_eq!(pixels(&drive), pixels(&signs(3, 8).unwrap().drive));
        assert_ne!(pixels(&drive), pixels(&signs(4, 8).unwrap().drive));
        assert_ne!(pixels(&drive), drive[3].frames[0].pixels);
    }
}
