//! Raw frames from a pipe: pictures of one size and layout, one after the other without anything
//! between, as GStreamer's `fdsink`, `rpicam-vid -o -` and ffmpeg's `rawvideo` write them.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use crate::error::{FramesError, Problem};
use crate::frames::{Entry, Part, grouped, groups};
use crate::options::OpenOptions;
use crate::packed::PixelLayout;

/// What the raw frames of a pipe are.
#[derive(Clone, Debug, PartialEq)]
pub struct RawFrames {
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// How the samples lie; rows have no padding.
    pub layout: PixelLayout,
    /// Frames a second, from which their times follow; without it they have none.
    pub rate: Option<f64>,
}

/// Most bytes of frames that are held where their number must be known.
const HELD_MAX: usize = 1 << 30;

/// The most frames of a pipe whose end is not known.
const FRAMES_MAX: usize = 1 << 62;

/// For names and messages.
const NAME: &str = "standard input";

/// An opened pipe. Whoever asks for a frame reads up to it; frames that others are about to ask for
/// are kept for them.
pub(crate) struct Pipe {
    raw: RawFrames,
    frame_bytes: usize,
    /// Frames between these are dropped.
    stride: usize,
    group: Option<usize>,
    /// How many there are, where that is known.
    len: Option<usize>,
    state: Mutex<State>,
}

struct State {
    reader: Box<dyn Read + Send>,
    next: usize,
    kept: BTreeMap<usize, Vec<u8>>,
    ended: bool,
}

impl Pipe {
    /// Frames that are read when they are asked for, in about the order in which they come, each
    /// once, or with `options.live` off are held, so that their number is known.
    pub fn open(reader: Box<dyn Read + Send>, options: &OpenOptions) -> Result<Self, FramesError> {
        let Some(raw) = options.raw.clone() else {
            let what = "frames on standard input have no size of their own: give --size WxH and \
                        --pixel";
            return Err(FramesError::Options(what.to_owned()));
        };
        let RawFrames { width, height, layout, rate } = raw;
        layout.check(width, height).map_err(FramesError::Options)?;
        if rate.is_some_and(|rate| !rate.is_finite() || rate <= 0.0) {
            return Err(FramesError::Options("frames a second are a number above 0".to_owned()));
        }
        let frame_bytes = layout.bytes_without_padding(width, height).unwrap_or(usize::MAX);
        let stride = options.stride;
        let state = State { reader, next: 0, kept: BTreeMap::new(), ended: false };
        let (group, state) = (options.group, Mutex::new(state));
        let mut pipe = Pipe { raw, frame_bytes, stride, group, len: None, state };
        if !options.live {
            pipe.hold(options.limit)?;
        }
        Ok(pipe)
    }

    fn hold(&mut self, limit: Option<usize>) -> Result<(), FramesError> {
        let most = limit.map_or(usize::MAX, |limit| limit.saturating_mul(self.stride));
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        let mut held = 0_usize;
        while state.next < most {
            let number = state.next;
            let Some(frame) = state.frame(self.frame_bytes)? else { break };
            if number.is_multiple_of(self.stride) {
                held += frame.len();
                state.kept.insert(number, frame);
            }
            if held > HELD_MAX {
                let what = format!("more than {HELD_MAX} bytes of frames are to be held in memory");
                let remedy = "give --limit or --stride";
                return Err(malformed(Problem::new(format!("frame {number}"), what, remedy)));
            }
        }
        self.len = Some(state.next);
        Ok(())
    }

    fn bytes(&self, index: usize) -> Result<Vec<u8>, FramesError> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if self.len.is_some() {
            return state.kept.get(&index).cloned().ok_or(FramesError::End);
        }
        if let Some(frame) = state.kept.remove(&index) {
            return Ok(frame);
        }
        while state.next <= index {
            let number = state.next;
            let frame = state.frame(self.frame_bytes)?.ok_or(FramesError::End)?;
            if number == index {
                return Ok(frame);
            }
            if number.is_multiple_of(self.stride) {
                state.kept.insert(number, frame);
            }
        }
        Err(FramesError::Options(format!("frame {index} of {NAME} has gone by already")))
    }
}

impl State {
    /// The next frame; `None` where the pipe ends between two.
    fn frame(&mut self, bytes: usize) -> Result<Option<Vec<u8>>, FramesError> {
        if self.ended {
            return Ok(None);
        }
        let mut frame = Vec::new();
        let read = (&mut self.reader).take(bytes as u64).read_to_end(&mut frame);
        read.map_err(|error| FramesError::io(Path::new(NAME), "cannot read", error))?;
        let number = self.next;
        if frame.len() == bytes {
            self.next += 1;
            return Ok(Some(frame));
        }
        self.ended = true;
        let found = frame.len();
        match (number, found) {
            (0, 0) => {
                let found = "it ended before the first frame: did the program before it fail?";
                Err(FramesError::Empty { path: NAME.into(), found: found.to_owned() })
            }
            (_, 0) => Ok(None),
            _ => {
                let what = format!("it ended after {found} of the frame's {bytes} bytes");
                let remedy = "check --size and --pixel, or that the sender ended well";
                Err(malformed(Problem::new(format!("frame {number}"), what, remedy)))
            }
        }
    }
}

fn malformed(problem: Problem) -> FramesError {
    FramesError::malformed(Path::new(NAME), problem)
}

impl Part for Pipe {
    fn len(&self) -> usize {
        self.len.unwrap_or(FRAMES_MAX)
    }

    fn sources(&self) -> usize {
        if self.group.is_some() { groups(self.len(), self.group) } else { 1 }
    }

    fn sequence(&self, _source: i64) -> Option<String> {
        Some(NAME.to_owned())
    }

    fn read(&self, index: usize) -> Result<Entry, FramesError> {
        let bytes = self.bytes(index)?;
        let RawFrames { width, height, layout, rate } = self.raw;
        let raw = layout.read(width, height, None, &bytes).map_err(FramesError::Options)?;
        Ok(Entry {
            raw,
            label: None,
            source: if self.group.is_some() { grouped(index, self.group) } else { 0 },
            name: format!("{NAME}#{index}"),
            time_ns: rate.map(|rate| (index as f64 / rate * 1e9).round() as i64),
        })
    }
}

/// Standard input, unless somebody sits there typing.
pub(crate) fn standard_input() -> Result<Box<dyn Read + Send>, FramesError> {
    let input = io::stdin();
    if io::IsTerminal::is_terminal(&input) {
        let what = "- is standard input, and that is a terminal: pipe raw frames into it";
        return Err(FramesError::Options(what.to_owned()));
    }
    Ok(Box::new(input))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(live: bool) -> OpenOptions {
        let raw = RawFrames { width: 2, height: 1, layout: PixelLayout::Rgb24, rate: Some(4.0) };
        let mut options = OpenOptions::new(1, 2, 3);
        (options.raw, options.live) = (Some(raw), live);
        options
    }

    fn open(bytes: &[u8], options: &OpenOptions) -> Result<Pipe, FramesError> {
        Pipe::open(Box::new(io::Cursor::new(bytes.to_vec())), options)
    }

    /// The first samples and the times of frames.
    fn firsts(pipe: &Pipe, order: &[usize]) -> Vec<Result<(u8, Option<i64>), String>> {
        let first = |entry: Entry| (entry.raw.pixels.to_u8()[0], entry.time_ns);
        let read = |&index: &usize| pipe.read(index).map(first).map_err(|e| e.to_string());
        order.iter().map(read).collect()
    }

    #[test]
    fn frames_come_in_any_order_near_their_own() {
        let bytes: Vec<u8> = (0..4).flat_map(|n| [n; 6]).collect();
        let time = |n: i64| Some(n * 250_000_000);
        let pipe = open(&bytes, &options(true)).unwrap();
        let found = firsts(&pipe, &[1, 0, 2, 3]);
        let all = [1, 0, 2, 3].map(|n: u8| Ok((n, time(n.into()))));
        assert_eq!(found, all);
        assert!(matches!(pipe.read(4), Err(FramesError::End)));
        assert!(matches!(pipe.read(5), Err(FramesError::End)));
        assert!(pipe.read(0).err().unwrap().to_string().contains("gone by"));
        let held = open(&bytes, &options(false)).unwrap();
        assert_eq!((held.len(), firsts(&held, &[3, 1, 1])[2].clone()), (4, Ok((1, time(1)))));
        let some = OpenOptions { stride: 3, limit: Some(1), ..options(false) };
        assert_eq!(open(&bytes, &some).unwrap().len(), 3);
    }

    #[test]
    fn an_end_inside_a_frame_says_how_much_there_was() {
        let bytes = [7; 6 + 4];
        let pipe = open(&bytes, &options(true)).unwrap();
        let found = firsts(&pipe, &[0, 1, 2]);
        assert!(found[0].is_ok());
        let error = found[1].clone().unwrap_err();
        assert!(error.contains("frame 1") && error.contains("4 of the frame's 6"), "{error}");
        assert!(found[2].is_err());
        assert!(open(&bytes, &options(false)).err().unwrap().to_string().contains("4 of"));
        let error = open(&[], &options(false)).err().unwrap().to_string();
        assert!(error.contains("before the first frame"), "{error}");
    }

    #[test]
    fn what_says_nothing_is_refused() {
        let error = |change: fn(&mut OpenOptions)| {
            let mut options = options(true);
            change(&mut options);
            open(&[0; 6], &options).err().expect("refused").to_string()
        };
        assert!(error(|o| o.raw = None).contains("--size"));
        assert!(error(|o| o.raw.as_mut().unwrap().rate = Some(0.0)).contains("above 0"));
        assert!(error(|o| o.raw.as_mut().unwrap().rate = Some(f64::NAN)).contains("above 0"));
        assert!(error(|o| o.raw.as_mut().unwrap().width = 0).contains("sides"));
    }
}
