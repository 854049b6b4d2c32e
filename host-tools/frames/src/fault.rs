//! Faults of cameras, made on purpose: what a guard should notice, and a user has no pictures of.
//!
//! A [`Fault`] changes the bytes of one frame in place and follows from kind, severity and seed
//! alone, with the same bits on every machine. At one seed a higher severity does the same damage
//! further. Severities go from 1, which an eye has to look for, to 5, which nobody overlooks.
//!
//! Sizes are shares of the frame: the frame is taken for all that the sensor saw.
//!
//! A frame that freezes needs what its source showed before: only opened frames can have it.
//!
//! Not here: anomalies that no camera makes ([`crate::synthetic`]), and attacks.

mod optics;
mod sensor;
mod transfer;

use std::fmt;
use std::str::FromStr;

use crate::codec::{Jpeg, Sampling};
use crate::frames::Pixels;
use crate::random::Random;

/// What a camera does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// Rows of the sensor that give black, white or a constant.
    DeadRows,
    /// The same with columns.
    DeadColumns,
    /// Single samples that are always black or always full.
    StuckPixels,
    /// Level waves of brightness, as of lamps on mains power.
    Banding,
    /// Additional noise, as of a high gain.
    Noise,
    /// Samples at either end of the scale, here and there.
    SaltAndPepper,
    /// Too little light.
    Underexposure,
    /// Too much light: what is bright is cut off.
    Overexposure,
    /// Wrong gains of red and blue.
    WhiteBalance,
    /// Rows from some row on are read with the colours of the Bayer pattern in the wrong order.
    BayerSwap,
    /// A lens out of focus.
    Defocus,
    /// Dried drops and dust on the lens.
    LensDirt,
    /// Fog, or a lens that is steamed up.
    Fog,
    /// Something sticks on the lens from one side.
    Occlusion,
    /// Blocks of a JPEG stream that did not arrive.
    BlockLoss,
    /// Rows from some row on belong to a moment at which the camera looked elsewhere.
    Tearing,
    /// Colours cross over into each other's channels, at the worst all of them.
    ChannelSwap,
    /// A JPEG of so low a quality that its blocks show.
    JpegBlocks,
    /// The frame of a moment before, once more.
    FrozenFrame,
}

/// A kind, its name, and what it does.
struct Entry {
    kind: FaultKind,
    name: &'static str,
    /// Needs red, green and blue.
    colour: bool,
    /// Belongs to the camera and stays where it is from frame to frame.
    lasting: bool,
    way: Way,
}

/// How a fault is made, by severity where there is a table.
#[derive(Clone, Copy)]
enum Way {
    /// From the frame alone.
    Alone(fn(&mut Shot, Severity, &mut Random)),
    /// Through JPEG of this quality.
    Codec([u8; 5]),
    /// The frame so many before.
    Earlier([usize; 5]),
}

/// The table of faults.
const FAULTS: [Entry; 19] = {
    use FaultKind::*;
    const fn entry(
        kind: FaultKind,
        name: &'static str,
        traits: (bool, bool),
        apply: fn(&mut Shot, Severity, &mut Random),
    ) -> Entry {
        Entry { kind, name, colour: traits.0, lasting: traits.1, way: Way::Alone(apply) }
    }
    const fn other(kind: FaultKind, name: &'static str, lasting: bool, way: Way) -> Entry {
        Entry { kind, name, colour: false, lasting, way }
    }
    const COLOUR: bool = true;
    const LASTING: bool = true;
    [
        entry(DeadRows, "dead-rows", (false, LASTING), sensor::dead_rows),
        entry(DeadColumns, "dead-columns", (false, LASTING), sensor::dead_columns),
        entry(StuckPixels, "stuck-pixels", (false, LASTING), sensor::stuck_pixels),
        entry(Banding, "banding", (false, false), sensor::banding),
        entry(Noise, "noise", (false, false), sensor::noise),
        entry(SaltAndPepper, "salt-and-pepper", (false, false), sensor::salt_and_pepper),
        entry(Underexposure, "underexposure", (false, LASTING), sensor::underexposure),
        entry(Overexposure, "overexposure", (false, LASTING), sensor::overexposure),
        entry(WhiteBalance, "white-balance", (COLOUR, LASTING), sensor::white_balance),
        entry(BayerSwap, "bayer-swap", (COLOUR, false), transfer::bayer_swap),
        entry(Defocus, "defocus", (false, LASTING), optics::defocus),
        entry(LensDirt, "lens-dirt", (false, LASTING), optics::lens_dirt),
        entry(Fog, "fog", (false, LASTING), optics::fog),
        entry(Occlusion, "occlusion", (false, LASTING), optics::occlusion),
        entry(BlockLoss, "block-loss", (false, false), transfer::block_loss),
        entry(Tearing, "tearing", (false, false), transfer::tearing),
        entry(ChannelSwap, "channel-swap", (COLOUR, LASTING), transfer::channel_swap),
        other(JpegBlocks, "jpeg-blocks", false, Way::Codec([25, 14, 8, 4, 1])),
        other(FrozenFrame, "frozen-frame", false, Way::Earlier([1, 2, 4, 8, 16])),
    ]
};

impl FaultKind {
    /// All kinds.
    pub fn all() -> impl Iterator<Item = FaultKind> {
        FAULTS.iter().map(|entry| entry.kind)
    }

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        self.entry().name
    }

    /// Whether grey frames cannot have it.
    pub fn needs_colour(self) -> bool {
        self.entry().colour
    }

    /// Whether it belongs to the camera and so is the same in all frames of a track, where others
    /// strike anew in every frame.
    pub fn is_lasting(self) -> bool {
        self.entry().lasting
    }

    /// Whether it takes an earlier frame of the same source. One such frame alone is as good as
    /// any other.
    pub fn needs_time(self) -> bool {
        matches!(self.entry().way, Way::Earlier(_))
    }

    fn entry(self) -> &'static Entry {
        // The table has the order of the enum; a test compares them.
        &FAULTS[self as usize]
    }
}

/// A fault of some severity; written `NAME` or `NAME:SEVERITY`, as in `lens-dirt:5`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    kind: FaultKind,
    severity: u8,
}

/// The severity where none is given.
const MIDDLE: u8 = 3;

impl Fault {
    /// None unless the severity is 1 to 5.
    pub fn new(kind: FaultKind, severity: u8) -> Option<Self> {
        (1..=5).contains(&severity).then_some(Fault { kind, severity })
    }

    /// What it is.
    pub fn kind(self) -> FaultKind {
        self.kind
    }

    /// 1 to 5.
    pub fn severity(self) -> u8 {
        self.severity
    }

    /// Damages a frame of rows, columns, 1 or 3 channels.
    ///
    /// The error says what does not fit: the number of samples, a fault of colour on grey, or a
    /// fault that takes an earlier frame.
    pub fn apply(
        self,
        pixels: &mut [u8],
        width: usize,
        height: usize,
        channels: usize,
        seed: u64,
    ) -> Result<(), String> {
        let samples = width.checked_mul(height).and_then(|n| n.checked_mul(channels));
        if samples != Some(pixels.len()) || pixels.is_empty() || !matches!(channels, 1 | 3) {
            let found = pixels.len();
            return Err(format!("{found} samples are no frame of {height} x {width} x {channels}"));
        }
        self.check(channels)?;
        let mut random = Random::of(&[seed, self.kind as u64]);
        let mut shot = Shot { pixels, width, height, channels };
        let severity = Severity(self.severity);
        match self.kind.entry().way {
            Way::Alone(change) => change(&mut shot, severity, &mut random),
            Way::Codec(qualities) => coarse(&mut shot, severity.of(qualities))?,
            Way::Earlier(_) => {
                return Err(format!("{} takes an earlier frame of its source", self.kind.name()));
            }
        }
        Ok(())
    }

    /// How many frames before is the one to be shown, for a kind that needs time.
    pub(crate) fn frames_back(self) -> Option<usize> {
        match self.kind.entry().way {
            Way::Earlier(counts) => Some(Severity(self.severity).of(counts)),
            Way::Alone(_) | Way::Codec(_) => None,
        }
    }

    /// Whether frames of so many channels can have it; the error says why not.
    pub fn check(self, channels: usize) -> Result<(), String> {
        if self.kind.needs_colour() && channels != 3 {
            return Err(format!("{} is a fault of colour, and frames are grey", self.kind.name()));
        }
        Ok(())
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.kind.name(), self.severity)
    }
}

impl FromStr for Fault {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, severity) = match text.split_once(':') {
            Some((name, severity)) => (name, severity.parse().ok()),
            None => (text, Some(MIDDLE)),
        };
        let Some(kind) = FaultKind::all().find(|kind| kind.name() == name) else {
            let names: Vec<&str> = FaultKind::all().map(FaultKind::name).collect();
            return Err(format!("there is no fault {name:?}; there are {}", names.join(", ")));
        };
        let fault = severity.and_then(|severity| Fault::new(kind, severity));
        fault.ok_or_else(|| format!("a severity is 1 to 5, as in {name}:{MIDDLE}"))
    }
}

/// Passes a frame through JPEG.
fn coarse(shot: &mut Shot, quality: u8) -> Result<(), String> {
    let Shot { pixels, width, height, channels } = shot;
    if u16::try_from((*width).max(*height)).is_err() {
        return Err(format!("a frame of {height} x {width} pixels is too large for JPEG"));
    }
    let codec = Jpeg::new(quality, Sampling::Quarter).ok_or("a quality is 1 to 100")?;
    let passed = codec.pass(Pixels::U8(pixels.to_vec()), [*height, *width, *channels])?;
    pixels.copy_from_slice(&passed.to_u8());
    Ok(())
}

/// A frame that is being damaged: rows, columns, channels.
struct Shot<'a> {
    pixels: &'a mut [u8],
    width: usize,
    height: usize,
    channels: usize,
}

impl Shot<'_> {
    /// Replaces every sample by a function of its row, column, channel and value, in 0..255.
    fn map(&mut self, mut change: impl FnMut(usize, usize, usize, f32) -> f32) {
        let (width, channels) = (self.width, self.channels);
        for (i, sample) in self.pixels.iter_mut().enumerate() {
            let pixel = i / channels;
            let value = change(pixel / width, pixel % width, i % channels, f32::from(*sample));
            *sample = (value + 0.5) as u8;
        }
    }

    /// The samples of one pixel.
    fn pixel(&mut self, row: usize, column: usize) -> &mut [u8] {
        let start = (row * self.width + column) * self.channels;
        &mut self.pixels[start..start + self.channels]
    }
}

/// 1 to 5, as a table of five values reads it.
#[derive(Clone, Copy)]
struct Severity(u8);

impl Severity {
    fn of<T: Copy>(self, values: [T; 5]) -> T {
        values[usize::from(self.0) - 1]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_the_order_of_the_enum() {
        for (i, entry) in FAULTS.iter().enumerate() {
            assert_eq!(entry.kind as usize, i, "{}", entry.name);
            assert_eq!(entry.kind.name(), entry.name);
        }
    }

    #[test]
    fn words_by_table() {
        let fault = |kind, severity| Ok(Fault { kind, severity });
        let cases = [
            ("fog", fault(FaultKind::Fog, 3)),
            ("fog:1", fault(FaultKind::Fog, 1)),
            ("salt-and-pepper:5", fault(FaultKind::SaltAndPepper, 5)),
        ];
        for (text, expected) in cases {
            assert_eq!(text.parse(), expected, "{text}");
        }
        for text in ["fog:0", "fog:6", "fog:", "fog:x", "fog:3:1"] {
            assert!(text.parse::<Fault>().unwrap_err().contains("1 to 5"), "{text}");
        }
        let error = "blur".parse::<Fault>().unwrap_err();
        assert!(error.contains("\"blur\"") && error.contains("defocus, lens-dirt"), "{error}");
    }
}
