//! Raw frames from a pipe: pictures of one size and layout, one after the other without anything
//! between, as GStreamer's `fdsink`, `rpicam-vid -o -` and ffmpeg's `rawvideo` write them.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::Path;
use std::sync::{Condvar, Mutex, PoisonError};

use crate::error::{FramesError, Problem};
use crate::frames::{Entry, Part, group_name, grouped, groups};
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

/// An opened pipe. Whoever asks for a frame reads up to it, unless somebody is reading already;
/// frames that others ask for are kept for them.
pub(crate) struct Pipe {
    raw: RawFrames,
    frame_bytes: usize,
    /// Frames between these are dropped.
    stride: usize,
    group: Option<usize>,
    /// How many there are, where that is known.
    len: Option<usize>,
    /// Held while a frame is read, which may take until the sender has one.
    reader: Mutex<Box<dyn Read + Send>>,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    next: usize,
    /// Frames that were read, and the error in place of the first that could not be.
    kept: BTreeMap<usize, Result<Vec<u8>, FramesError>>,
    reading: bool,
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
        let (reader, state, changed) = (Mutex::new(reader), Mutex::default(), Condvar::new());
        let group = options.group;
        let mut pipe = Pipe { raw, frame_bytes, stride, group, len: None, reader, state, changed };
        if !options.live {
            pipe.hold(options.limit)?;
        }
        Ok(pipe)
    }

    fn hold(&mut self, limit: Option<usize>) -> Result<(), FramesError> {
        let most = limit.map_or(usize::MAX, |limit| limit.saturating_mul(self.stride));
        let (mut number, mut held) = (0, BTreeMap::new());
        while number < most {
            let Some(frame) = self.next_frame(number)? else { break };
            if number.is_multiple_of(self.stride) {
                held.insert(number, Ok(frame));
            }
            if held.len().saturating_mul(self.frame_bytes) > HELD_MAX {
                let what = format!("more than {HELD_MAX} bytes of frames are to be held in memory");
                let remedy = "give --limit or --stride";
                return Err(malformed(Problem::new(format!("frame {number}"), what, remedy)));
            }
            number += 1;
        }
        self.state.get_mut().unwrap_or_else(PoisonError::into_inner).kept = held;
        self.len = Some(number);
        Ok(())
    }

    fn bytes(&self, index: usize) -> Result<Vec<u8>, FramesError> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if self.len.is_some() {
            return match state.kept.get(&index) {
                Some(Ok(frame)) => Ok(frame.clone()),
                Some(Err(_)) | None => Err(FramesError::End),
            };
        }
        loop {
            if let Some(found) = state.kept.remove(&index) {
                return found;
            }
            if state.next > index {
                let what = format!("frame {index} of {NAME} has gone by already");
                return Err(FramesError::Options(what));
            }
            if state.ended {
                return Err(FramesError::End);
            }
            if state.reading {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            state.reading = true;
            let number = state.next;
            drop(state);
            let read = self.next_frame(number);
            state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            state.take(number, read, self.stride);
            self.changed.notify_all();
        }
    }

    /// The next frame, which is frame `number`; `None` where the pipe ends before it.
    fn next_frame(&self, number: usize) -> Result<Option<Vec<u8>>, FramesError> {
        let mut reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        let (bytes, mut frame) = (self.frame_bytes, Vec::new());
        let read = (&mut *reader).take(bytes as u64).read_to_end(&mut frame);
        read.map_err(|error| FramesError::io(Path::new(NAME), "cannot read", error))?;
        match (number, frame.len()) {
            (_, found) if found == bytes => Ok(Some(frame)),
            (0, 0) => {
                let found = "it ended before the first frame: did the program before it fail?";
                Err(FramesError::Empty { path: NAME.into(), found: found.to_owned() })
            }
            (_, 0) => Ok(None),
            (_, found) => {
                let what = format!("it ended after {found} of the frame's {bytes} bytes");
                let remedy = "check --size and --pixel, or that the sender ended well";
                Err(malformed(Problem::new(format!("frame {number}"), what, remedy)))
            }
        }
    }
}

impl State {
    fn take(&mut self, number: usize, read: Result<Option<Vec<u8>>, FramesError>, stride: usize) {
        self.reading = false;
        match read {
            Ok(Some(frame)) => {
                self.next = number + 1;
                if number.is_multiple_of(stride) {
                    self.kept.insert(number, Ok(frame));
                }
            }
            Ok(None) => self.ended = true,
            Err(error) => {
                self.ended = true;
                // Nobody asks for a frame that is dropped, but for the one after it.
                self.kept.insert(number.next_multiple_of(stride), Err(error));
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

    fn sequence(&self, source: i64) -> Option<String> {
        group_name(NAME, self.group, source)
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
        // Whoever asks first, the error is the cut frame's; behind it is the end.
        let pipe = open(&bytes, &options(true)).unwrap();
        assert!(matches!(pipe.read(2), Err(FramesError::End)));
        assert!(pipe.read(1).err().unwrap().to_string().contains("4 of the frame's 6"));
        // A frame that is dropped and cut is told to who asks for the next.
        let some = OpenOptions { stride: 5, ..options(true) };
        let pipe = open(&bytes, &some).unwrap();
        assert!(pipe.read(0).is_ok());
        assert!(pipe.read(5).err().unwrap().to_string().contains("frame 1"));
        assert!(open(&bytes, &options(false)).err().unwrap().to_string().contains("4 of"));
        let error = open(&[], &options(false)).err().unwrap().to_string();
        assert!(error.contains("before the first frame"), "{error}");
    }

    /// Gives one frame, then waits for a word before it ends.
    struct Slow(Option<u8>, std::sync::mpsc::Receiver<()>);

    impl Read for Slow {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            if let Some(value) = self.0.take() {
                into[..6].fill(value);
                return Ok(6);
            }
            let _ = self.1.recv();
            Ok(0)
        }
    }

    #[test]
    fn a_frame_does_not_wait_for_the_next() {
        let (word, end) = std::sync::mpsc::channel();
        let pipe = Pipe::open(Box::new(Slow(Some(9), end)), &options(true)).unwrap();
        std::thread::scope(|scope| {
            // It reads frame 0 for the other, and then waits for frame 1.
            let later = scope.spawn(|| pipe.read(1).err().map(|error| error.to_string()));
            while pipe.state.lock().unwrap().next == 0 {
                std::thread::yield_now();
            }
            assert_eq!(firsts(&pipe, &[0]), [Ok((9, Some(0)))]);
            word.send(()).unwrap();
            assert!(later.join().unwrap().is_some_and(|text| text.contains("no more")));
        });
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
