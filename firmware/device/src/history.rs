//! What a device remembers of its frames: the last one whole, the frames at which the gate closed,
//! and how often which scores were.

use gradgate_link::message::{Evidence, HISTOGRAM_BINS, Judged};

use crate::copy;

/// Closings of the gate that are kept.
pub const EVENTS_KEPT: usize = 8;

/// Parts of the memory: the last frame, and the events.
const PARTS: usize = EVENTS_KEPT + 1;

/// A judged frame in one part of the memory: features as `f32`, then the model input.
#[derive(Clone, Copy, Debug)]
struct Kept {
    judged: Judged,
    features: u16,
    input_bytes: u32,
}

#[derive(Clone, Copy, Debug)]
struct Closing {
    number: u32,
    time_us: u64,
    reason: u8,
    frame: Kept,
}

/// The last frame and the last closings.
pub struct History<'m> {
    memory: &'m mut [u8],
    /// Length of a part.
    part_bytes: usize,
    last: Option<Kept>,
    closings: [Option<Closing>; EVENTS_KEPT],
    next: u32,
}

/// Memory that keeps everything for a bundle with so many features and so long a frame.
pub const fn history_bytes(features: usize, frame_bytes: usize) -> usize {
    features.saturating_mul(4).saturating_add(frame_bytes).saturating_mul(PARTS)
}

impl<'m> History<'m> {
    /// Nothing yet. With too little memory frames are cut at the end.
    pub fn new(memory: &'m mut [u8]) -> Self {
        let closings = [None; EVENTS_KEPT];
        let part_bytes = memory.len().checked_div(PARTS).unwrap_or(0);
        Self { memory, part_bytes, last: None, closings, next: 0 }
    }

    /// Another bundle runs: what was kept has other features.
    pub fn begin(&mut self) {
        self.last = None;
        self.closings = [None; EVENTS_KEPT];
    }

    /// Keeps a judged frame as the last one.
    pub fn judged<'v>(
        &mut self,
        judged: Judged,
        features: impl Iterator<Item = &'v f32>,
        input: &[u8],
    ) {
        let Some(part) = self.memory.get_mut(..self.part_bytes) else { return };
        let (mut count, mut length) = (0_u16, 0_usize);
        for (value, place) in features.zip(part.as_chunks_mut::<4>().0) {
            *place = value.to_le_bytes();
            (count, length) = (count.saturating_add(1), length.saturating_add(4));
        }
        let free = part.get_mut(length..).unwrap_or_default();
        let fits = input.len().min(free.len());
        free.iter_mut().zip(input).for_each(|(to, from)| *to = *from);
        self.last = Some(Kept { judged, features: count, input_bytes: fits as u32 });
    }

    /// The gate closed: the last frame is kept as its reason, if there was one.
    pub fn closed(&mut self, time_us: u64, reason: u8) {
        let number = self.next;
        self.next = number.saturating_add(1);
        let Some(frame) = self.last else { return };
        let place = number as usize % EVENTS_KEPT;
        let start = self.part_bytes.saturating_mul(place.saturating_add(1));
        let end = start.saturating_add(self.part_bytes);
        if end <= self.memory.len() && self.part_bytes > 0 {
            // Parts do not overlap: the first is the last frame.
            let (last, kept) = self.memory.split_at_mut(self.part_bytes.min(self.memory.len()));
            let from = start.saturating_sub(last.len());
            let part = kept.get_mut(from..).unwrap_or_default();
            copy(part, last);
            if let Some(closing) = self.closings.get_mut(place) {
                *closing = Some(Closing { number, time_us, reason, frame });
            }
        }
    }

    /// Number that the next closing has.
    pub fn next(&self) -> u32 {
        self.next
    }

    /// The last frame, and its values from number `from` on, at most `room` bytes of them.
    pub fn features(&self, from: u16, room: usize) -> Option<(u32, u16, &[u8])> {
        let last = self.last?;
        let values = self.memory.get(..usize::from(last.features).checked_mul(4)?)?;
        let start = usize::from(from).checked_mul(4)?;
        let rest = values.get(start..)?;
        let whole = room.checked_sub(room % 4)?;
        Some((last.judged.frame, last.features, rest.get(..whole).unwrap_or(rest)))
    }

    /// What is kept of a closing, from byte `offset` on, at most `room` bytes.
    pub fn evidence(&self, event: u32, offset: u32, room: usize) -> Option<Evidence<'_>> {
        let place = event as usize % EVENTS_KEPT;
        let closing = (*self.closings.get(place)?).filter(|closing| closing.number == event)?;
        let Kept { judged, features, input_bytes } = closing.frame;
        let start = self.part_bytes.checked_mul(place.checked_add(1)?)?;
        let length = usize::from(features).checked_mul(4)?.checked_add(input_bytes as usize)?;
        let all = self.memory.get(start..start.checked_add(length)?)?;
        let rest = all.get(offset as usize..)?;
        let kept = self.closings.iter().flatten().map(|closing| closing.number);
        Some(Evidence {
            first: kept.min().unwrap_or(self.next),
            next: self.next,
            event,
            time_us: closing.time_us,
            closed: closing.reason,
            frame: judged.frame,
            verdict: judged.verdict,
            reason: judged.reason,
            class: judged.class,
            score: judged.score,
            features,
            input_bytes,
            offset,
            bytes: rest.get(..room).unwrap_or(rest),
        })
    }
}

/// How often which scores were.
#[derive(Clone, Copy, Debug)]
pub struct Histogram {
    low: f32,
    high: f32,
    /// Below, the bins, above, without a score.
    counts: [u32; HISTOGRAM_BINS + 3],
}

impl Histogram {
    /// Empty bins of equal width between two edges; `None` unless they are finite and in order.
    pub fn new(low: f32, high: f32) -> Option<Self> {
        let ordered = low.is_finite() && high.is_finite() && low < high;
        (ordered && (high - low).is_finite()).then_some(Self {
            low,
            high,
            counts: [0; HISTOGRAM_BINS + 3],
        })
    }

    /// Around a threshold, half of the bins on each side.
    pub fn around(threshold: f32) -> Self {
        let half = if threshold.abs() > 1.0 { threshold.abs() } else { 1.0 };
        let edges = Self::new(threshold - half, threshold + half);
        edges.unwrap_or(Self { low: 0.0, high: 1.0, counts: [0; HISTOGRAM_BINS + 3] })
    }

    /// Counts one score; not a number counts as none.
    pub fn count(&mut self, score: f32) {
        let bins = HISTOGRAM_BINS as f32;
        let place = if score.is_nan() {
            HISTOGRAM_BINS + 2
        } else if score < self.low {
            0
        } else if score >= self.high {
            HISTOGRAM_BINS + 1
        } else {
            let bin = (score - self.low) / (self.high - self.low) * bins;
            // A score just below the upper edge may be rounded up to it.
            (bin as usize).min(HISTOGRAM_BINS.saturating_sub(1)).saturating_add(1)
        };
        if let Some(count) = self.counts.get_mut(place) {
            *count = count.saturating_add(1);
        }
    }

    /// The edges.
    pub fn edges(&self) -> (f32, f32) {
        (self.low, self.high)
    }

    /// The counts as the link sends them.
    pub fn bytes(&self) -> [u8; (HISTOGRAM_BINS + 3) * 4] {
        let mut bytes = [0; (HISTOGRAM_BINS + 3) * 4];
        for (to, count) in bytes.as_chunks_mut::<4>().0.iter_mut().zip(self.counts) {
            *to = count.to_le_bytes();
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gradgate_link::message::Verdict;

    fn judged(frame: u32) -> Judged {
        let verdict = Verdict::Block;
        Judged { frame, time_us: 0, class: 3, verdict, reason: 1, score: 2.0, p_value: 0.5 }
    }

    #[test]
    fn closings_keep_their_frames() {
        let mut memory = [0; history_bytes(2, 3)];
        let mut history = History::new(&mut memory);
        history.begin();
        assert!(history.features(0, 100).is_none());
        history.closed(1, 1);
        assert!(history.evidence(0, 0, 100).is_none(), "nothing was judged yet");
        for frame in 1..=20_u32 {
            let values = [frame as f32, -1.0];
            history.judged(judged(frame), values.iter(), &[frame as u8, 2, 3]);
            history.closed(u64::from(frame), 2);
        }
        for event in 0..=22 {
            let evidence = history.evidence(event, 0, 100);
            assert_eq!(evidence.is_some(), (13..=20).contains(&event), "{event}");
            let Some(evidence) = evidence else { continue };
            assert_eq!((evidence.first, evidence.next, evidence.frame), (13, 21, event));
            let frame = event as u8;
            assert_eq!(evidence.bytes[..4], (event as f32).to_le_bytes());
            assert_eq!(evidence.bytes[8..], [frame, 2, 3]);
            assert_eq!(history.evidence(event, 9, 1).unwrap().bytes, [2]);
            assert!(history.evidence(event, 12, 1).is_none());
        }
        let (frame, total, values) = history.features(1, 7).unwrap();
        assert_eq!((frame, total, values), (20, 2, &(-1.0_f32).to_le_bytes()[..]));
        assert!(history.features(3, 8).is_none());
    }

    #[test]
    fn little_memory_keeps_less_and_none_keeps_nothing() {
        for length in 0..80 {
            let mut memory = [0; 80];
            let mut history = History::new(&mut memory[..length]);
            history.begin();
            history.judged(judged(1), [1.0_f32, 2.0].iter(), &[5; 6]);
            history.closed(1, 1);
            let bytes = history.evidence(0, 0, 100).map_or(0, |evidence| evidence.bytes.len());
            assert!(bytes <= length / 9, "{length}");
        }
    }

    #[test]
    fn every_score_is_counted_in_its_bin() {
        let mut histogram = Histogram::new(-1.0, 1.0).unwrap();
        let below = f32::from_bits(1.0_f32.to_bits() - 1);
        for score in [-1.0, -1.1, f32::NEG_INFINITY, below, 1.0, f32::INFINITY, f32::NAN, 0.0] {
            histogram.count(score);
        }
        let counts = histogram.bytes();
        let count = |place: usize| u32::from_le_bytes(counts.as_chunks::<4>().0[place]);
        assert_eq!([0, 1, 33, 64, 65, 66].map(count), [2, 1, 1, 1, 2, 1]);
        assert_eq!((0..67).map(count).sum::<u32>(), 8);
        for (low, high) in [(1.0, 1.0), (2.0, 1.0), (f32::NAN, 1.0), (f32::MIN, f32::MAX)] {
            assert!(Histogram::new(low, high).is_none(), "{low} {high}");
        }
        for threshold in [0.0, -7.0, f32::MAX, f32::NAN] {
            let (low, high) = Histogram::around(threshold).edges();
            assert!(low < high && low.is_finite() && high.is_finite());
        }
    }
}
