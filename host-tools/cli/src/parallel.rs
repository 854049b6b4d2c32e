//! Frames on all cores, results in the order of the frames.

use std::collections::BTreeMap;
use std::num::NonZero;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;

use anyhow::{Context, Result};
use gradgate_frames::{Frame, Frames, FramesError};
use indicatif::ProgressBar;

use crate::interrupt;

/// Results that may wait for the thread that takes them, per thread. On a busy machine that thread
/// waits for a core longer than a frame takes: with 4, workers stood still for it up to a tenth of
/// their time.
const AHEAD: usize = 64;

/// Threads for many frames.
#[derive(clap::Args, Clone, Copy, Debug, Default)]
pub struct ThreadsArgs {
    /// Threads [default: one a core]; the result does not depend on it
    #[arg(long, value_name = "N", allow_negative_numbers = true,
          value_parser = clap::value_parser!(u64).range(1..=1024))]
    threads: Option<u64>,
}

impl ThreadsArgs {
    /// What was asked for, or one per core, and no more than there are frames.
    pub fn count(self, frames: usize) -> usize {
        let cores = || thread::available_parallelism().map_or(1, NonZero::get);
        let wanted = self.threads.map_or_else(cores, |n| usize::try_from(n).unwrap_or(usize::MAX));
        wanted.min(frames).clamp(1, 1024)
    }
}

/// Reads every frame and applies `work`, also to a frame that cannot be read, on `threads` threads,
/// each with its own state from `start`; `sink` gets the results in order, on this thread. Ends at
/// the first error in the order of the frames, at the end of a pipe, or after Ctrl-C.
pub fn for_each<S, T: Send>(
    frames: &Frames,
    threads: usize,
    bar: &ProgressBar,
    start: impl Fn() -> S + Sync,
    work: impl Fn(&mut S, Result<Frame, FramesError>) -> Result<T> + Sync,
    sink: impl FnMut(usize, T) -> Result<()>,
) -> Result<()> {
    let all = |place| (place < frames.len()).then_some(place);
    for_each_at(frames, all, threads, bar, start, work, sink)
}

/// As [`for_each`], for the frames of `order`, in that order; `sink` gets the place in it.
pub fn for_each_of<S, T: Send>(
    frames: &Frames,
    order: &[usize],
    threads: usize,
    bar: &ProgressBar,
    start: impl Fn() -> S + Sync,
    work: impl Fn(&mut S, Result<Frame, FramesError>) -> Result<T> + Sync,
    sink: impl FnMut(usize, T) -> Result<()>,
) -> Result<()> {
    for_each_at(frames, |place| order.get(place).copied(), threads, bar, start, work, sink)
}

fn for_each_at<S, T: Send>(
    frames: &Frames,
    order: impl Fn(usize) -> Option<usize> + Sync,
    threads: usize,
    bar: &ProgressBar,
    start: impl Fn() -> S + Sync,
    work: impl Fn(&mut S, Result<Frame, FramesError>) -> Result<T> + Sync,
    sink: impl FnMut(usize, T) -> Result<()>,
) -> Result<()> {
    let read = |state: &mut S, index: usize| {
        let number = order(index)?;
        let frame = frames.get(number);
        if matches!(frame, Err(FramesError::End)) {
            return None;
        }
        let place = match &frame {
            Ok(frame) => format!("frame {number} ({})", frame.name),
            Err(_) => format!("frame {number}"),
        };
        Some(work(state, frame).context(place))
    };
    for_each_place(threads, bar, start, read, sink)
}

/// As [`for_each`], for work that reads its frames itself: of the places 0, 1, .. to the first for
/// which there is none.
pub fn for_each_place<S, T: Send>(
    threads: usize,
    bar: &ProgressBar,
    start: impl Fn() -> S + Sync,
    work: impl Fn(&mut S, usize) -> Option<Result<T>> + Sync,
    mut sink: impl FnMut(usize, T) -> Result<()>,
) -> Result<()> {
    let guard = interrupt::Loop::enter();
    let (next, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
    let (sender, receiver) = mpsc::sync_channel(threads * AHEAD);
    let worker = |sender: mpsc::SyncSender<(usize, Result<T>)>| {
        let mut state = start();
        while !stop.load(Ordering::Relaxed) && !interrupt::requested() {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(result) = work(&mut state, index) else { return };
            // Later frames are of no use after an error; earlier ones are being worked on already.
            if result.is_err() {
                stop.store(true, Ordering::Relaxed);
            }
            if sender.send((index, result)).is_err() {
                return;
            }
        }
    };
    let outcome = thread::scope(|scope| {
        for _ in 0..threads {
            let sender = sender.clone();
            scope.spawn(|| worker(sender));
        }
        drop(sender);
        let outcome = in_order(&receiver, bar, &mut sink);
        stop.store(true, Ordering::Relaxed);
        // Workers that wait for room in the channel learn that nobody listens.
        drop(receiver);
        outcome
    });
    bar.finish_and_clear();
    drop(guard);
    interrupt::check()?;
    outcome
}

fn in_order<T>(
    receiver: &mpsc::Receiver<(usize, Result<T>)>,
    bar: &ProgressBar,
    sink: &mut impl FnMut(usize, T) -> Result<()>,
) -> Result<()> {
    let mut waiting = BTreeMap::new();
    let mut due = 0;
    for (index, result) in receiver {
        waiting.insert(index, result);
        while let Some(result) = waiting.remove(&due) {
            sink(due, result?)?;
            due += 1;
            bar.inc(1);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use gradgate_frames::{OpenOptions, Pixels, open};

    fn records(count: usize) -> (tempfile::TempDir, Frames) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("r.bin");
        let bytes: Vec<u8> = (0..count).flat_map(|i| vec![i as u8 % 10; 3073]).collect();
        std::fs::write(&path, bytes).expect("writes");
        let frames = open(&[path], &OpenOptions::new(32, 32, 3)).expect("opens");
        (folder, frames)
    }

    #[test]
    fn results_come_in_order_and_the_first_error_wins() {
        let (_folder, frames) = records(40);
        let bar = ProgressBar::hidden();
        let value = |frame: &Frame| match &frame.pixels {
            Pixels::U8(values) => values[0],
            Pixels::F32(_) => 255,
        };
        for threads in [1, 3, 8] {
            let mut seen = vec![];
            let collect = |index, v| {
                seen.push((index, v));
                Ok(())
            };
            let work = |(): &mut (), frame: Result<Frame, _>| Ok(value(&frame?));
            for_each(&frames, threads, &bar, || (), work, collect).expect("runs");
            let expected: Vec<_> = (0..40).map(|i| (i, i as u8 % 10)).collect();
            assert_eq!(seen, expected);
            let work = |(): &mut (), frame: Result<Frame, _>| {
                let frame = frame?;
                anyhow::ensure!(!frame.name.ends_with("#17") && !frame.name.ends_with("#30"), "no");
                Ok(())
            };
            let error = for_each(&frames, threads, &bar, || (), work, |_, ()| Ok(())).unwrap_err();
            assert!(error.to_string().contains("frame 17"), "{error}");
        }
    }
}
