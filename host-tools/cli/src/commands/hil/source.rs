//! Frames of a suite: what is sent, and what the host's engine says of the same bytes.

use std::path::{Path, PathBuf};

use gradgate_bundle::header::names;
use gradgate_engine::{Engine, Features, Frame};
use gradgate_field::error::Error;
use gradgate_field::hil::{Camera, Expected, Given, How, Pictures, Sent, Source, Unfit, Verdict};
use gradgate_frame::{
    CheckLimits, FrameFault, PixelFormat, Size, check_frame, convert_row, resize, scratch_len,
};
use gradgate_frames::fault::Fault;
use gradgate_frames::{Frames, OpenOptions, camera_bytes, open};
use gradgate_gate::decide;
use gradgate_gate::verdict::Limits;

/// Any value of every byte makes a picture of one colour.
const CONSTANT: u8 = 128;

/// What frames are sent as.
#[derive(Clone, Debug, Default)]
pub struct Sending {
    /// The board's camera, where frames are sent as its.
    pub camera: Option<Camera>,
    /// How old they are said to be, in microseconds.
    pub age_us: u32,
    /// Frames with something wrong on purpose.
    pub spoil: Vec<(usize, How)>,
}

/// Frames of one case.
pub struct Recorded<'e, 'b> {
    engine: &'e Engine<'b>,
    frames: Frames,
    sending: Sending,
    limits: Limits,
    arena: Vec<f32>,
}

impl<'e, 'b> Recorded<'e, 'b> {
    /// Opens frames; paths are relative to the suite's file.
    pub fn open(
        engine: &'e Engine<'b>,
        file: &Path,
        pictures: &Pictures,
        sending: Sending,
    ) -> Result<Recorded<'e, 'b>, Error> {
        let shape = shape(engine);
        let [height, width, channels] = match sending.camera {
            Some(camera) => [usize::from(camera.height), usize::from(camera.width), 3],
            None => shape,
        };
        let mut options = OpenOptions::new(height, width, channels);
        options.limit = pictures.limit;
        options.stride = pictures.stride.unwrap_or(1);
        options.topics.clone_from(&pictures.topics);
        for text in &pictures.faults {
            let fault: Result<Fault, String> = text.parse();
            options.faults.push(fault.map_err(|error| wrong(format!("fault {text}: {error}")))?);
        }
        let paths: Vec<PathBuf> = pictures.frames.iter().map(|name| path(file, name)).collect();
        if paths.iter().any(|path| path == Path::new("-")) {
            return Err(wrong("frames: a suite reads no standard input: name files".to_owned()));
        }
        let frames = open(&paths, &options).map_err(|error| wrong(error.to_string()))?;
        let detector = engine.bundle().header().detector.as_ref();
        let limits = detector.map(Limits::from);
        let limits = limits.ok_or_else(|| wrong("the bundle has no detector: fit one".into()))?;
        let arena = vec![0.0; engine.arena_elements()];
        let late = sending.spoil.iter().find(|(at, _)| *at >= frames.len());
        if let Some((at, _)) = late {
            let (at, frames) = (*at, frames.len());
            return Err(wrong(format!("spoil: there is no frame {at} among {frames}, from 0")));
        }
        Ok(Recorded { engine, frames, sending, limits, arena })
    }

    fn how(&self, index: usize) -> Option<How> {
        self.sending.spoil.iter().find(|(at, _)| *at == index).map(|(_, how)| *how)
    }

    /// Name and bytes of a frame as they are sent.
    fn bytes(&self, index: usize) -> Result<(String, Vec<u8>), Error> {
        let shown = (0..=index).rev().find(|at| self.how(*at) != Some(How::Repeat)).unwrap_or(0);
        let frame = self.frames.get(shown).map_err(|error| wrong(error.to_string()))?;
        let rgb = frame.pixels.to_u8();
        let Some(camera) = self.sending.camera else { return Ok((frame.name, rgb)) };
        let bytes = camera_bytes(&rgb, usize::from(camera.width), format(camera));
        let mut bytes = bytes.ok_or_else(|| {
            wrong(format!("[camera]: no frame has {} columns of this format", camera.width))
        })?;
        if self.how(shown) == Some(How::Constant) {
            bytes.fill(CONSTANT);
        }
        Ok((frame.name, bytes))
    }

    /// Why the network must not see the picture, if it must not.
    fn unfit(
        &self,
        index: usize,
        bytes: &[u8],
        check: Result<(), FrameFault>,
    ) -> Result<Option<Unfit>, Error> {
        match check {
            Err(FrameFault::Constant) => return Ok(Some(Unfit::Constant)),
            Err(FrameFault::Blank) => return Ok(Some(Unfit::Blank)),
            Err(_) => return Err(wrong(format!("frame {index} is no frame of this camera"))),
            Ok(()) => {}
        }
        let limit = usize::from(self.engine.bundle().header().policy.frozen_frames);
        let mut run = 1;
        // Frames that are refused when they begin are not looked at.
        for before in (0..index).rev().filter(|at| self.how(*at).and_then(How::unfit).is_none()) {
            if run >= limit || self.bytes(before)?.1 != bytes {
                break;
            }
            run += 1;
        }
        Ok((run >= limit).then_some(Unfit::Frozen))
    }

    /// What the host's engine says of the model's frame, and what its detector sees.
    fn judge(&mut self, picture: &[u8]) -> Result<(Expected, Vec<f32>), Error> {
        let (engine, limits) = (self.engine, self.limits);
        let outcome = engine.judge(Frame::U8(picture), &mut self.arena);
        let (features, judgement) = outcome.map_err(|error| wrong(error.to_string()))?;
        let none = Expected { unfit: None, ..Expected::unfit(Unfit::Constant) };
        let expected = match judgement {
            Some(Ok(judgement)) => Expected {
                class: u16::try_from(judgement.class).unwrap_or(u16::MAX),
                verdict: verdict(decide(&Ok(judgement), &limits)),
                score: judgement.score,
                unfit: None,
            },
            Some(Err(_)) | None => none,
        };
        let Features { logits, squared_norms, activation_norms, penultimate, alignments } =
            features;
        let parts = [logits, squared_norms, activation_norms, penultimate, alignments];
        Ok((expected, parts.concat()))
    }
}

impl Source for Recorded<'_, '_> {
    fn len(&self) -> usize {
        self.frames.len()
    }

    fn frame(&mut self, index: usize) -> Result<Given, Error> {
        let (name, bytes) = self.bytes(index)?;
        let how = self.how(index);
        let Some(camera) = self.sending.camera else {
            let (expected, values) = self.judge(&bytes)?;
            let (sent, picture) = (Sent::Model, bytes.clone());
            return Ok(Given { name, bytes, sent, expected, values, picture });
        };
        let sent = Sent::Camera { camera, age_us: self.sending.age_us, how };
        let (picture, check) = seen(camera, shape(self.engine), &bytes)?;
        let unfit = match how.and_then(How::unfit) {
            Some(unfit) => Some(unfit),
            None => self.unfit(index, &bytes, check)?,
        };
        let (expected, values) = match unfit {
            Some(unfit) => (Expected::unfit(unfit), Vec::new()),
            None => self.judge(&picture)?,
        };
        let bytes = match how {
            // As many as the wrong size has.
            Some(How::Geometry) => {
                let narrow = usize::from(camera.width.saturating_sub(2));
                let row = format(camera).row_bytes(narrow).unwrap_or(0);
                bytes[..bytes.len().min(row * usize::from(camera.height))].to_vec()
            }
            _ => bytes,
        };
        Ok(Given { name, bytes, sent, expected, values, picture })
    }
}

/// What a device makes of a camera's bytes, by the whole picture at once.
fn seen(
    camera: Camera,
    [height, width, channels]: [usize; 3],
    bytes: &[u8],
) -> Result<(Vec<u8>, Result<(), FrameFault>), Error> {
    let (columns, rows) = (usize::from(camera.width), usize::from(camera.height));
    let mut picture = vec![0; columns * rows * channels];
    let odd = || wrong("[camera]: frames of this size and format cannot be made".to_owned());
    let row_bytes = format(camera).row_bytes(columns).filter(|bytes| *bytes > 0).ok_or_else(odd)?;
    for (row, out) in bytes.chunks(row_bytes).zip(picture.chunks_mut(columns * channels)) {
        convert_row(format(camera), row, channels, out).map_err(|_| odd())?;
    }
    let check = check_frame(&picture, picture.len(), channels, CheckLimits::default());
    let size = |width: usize, height: usize| Size { width: width as u32, height: height as u32 };
    let mut frame = vec![0; height * width * channels];
    let mut sums = vec![0; scratch_len(width as u32, channels)];
    let (from, to) = (size(columns, rows), size(width, height));
    resize(&picture, from, &mut frame, to, channels, &mut sums).map_err(|_| odd())?;
    Ok((frame, check))
}

/// Rows, columns, channels of the model's frames.
pub fn shape(engine: &Engine<'_>) -> [usize; 3] {
    engine.bundle().manifest().input.map(|side| side.get() as usize)
}

/// Names of what the detector sees, in the order in which devices send it.
pub fn value_names(engine: &Engine<'_>) -> Vec<String> {
    let header = engine.bundle().header();
    let schema = &header.schema;
    let classes: Vec<&str> = names(header.classes).collect();
    let logit = |class: u32| match classes.get(class as usize) {
        Some(name) => format!("logit {class} ({name})"),
        None => format!("logit {class}"),
    };
    let of = |list: &str, what: &str| -> Vec<String> {
        names(list).map(|name| format!("{what} {name}")).collect()
    };
    let mut all: Vec<String> = (0..schema.classes).map(logit).collect();
    all.extend(of(schema.parameters, "squared gradient norm of"));
    all.extend(of(schema.layers, "squared activation norm of"));
    all.extend((0..schema.penultimate).map(|at| format!("penultimate value {at}")));
    all.extend(of(schema.alignments, "alignment of"));
    all
}

fn path(file: &Path, name: &str) -> PathBuf {
    let drawn = name.starts_with("signs:") || name == "-";
    if drawn { PathBuf::from(name) } else { gradgate_field::hil::beside(file, Path::new(name)) }
}

fn format(camera: Camera) -> PixelFormat {
    // Both lists are in the order of the wire.
    PixelFormat::ALL[camera.format as usize]
}

fn verdict(verdict: gradgate_gate::Verdict) -> Verdict {
    match verdict {
        gradgate_gate::Verdict::Pass => Verdict::Pass,
        gradgate_gate::Verdict::Block => Verdict::Block,
        gradgate_gate::Verdict::Unknown { .. } => Verdict::Unknown,
    }
}

fn wrong(message: String) -> Error {
    Error::File { message }
}
