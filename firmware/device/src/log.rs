//! The log: the last events of a device, numbered codes with one number each.

use gradgate_link::message::{Event, push_event};

pub use gradgate_link::events::{Code, Reset};

/// Events that are kept.
pub const LOG_EVENTS: usize = 64;

/// A ring of the last events.
pub struct Log {
    events: [Event; LOG_EVENTS],
    /// Number of the next event.
    next: u32,
    /// Events that nobody took as telemetry yet.
    untold: u32,
    /// Events that were lost untold.
    dropped: u32,
}

impl Default for Log {
    fn default() -> Self {
        Self::new()
    }
}

impl Log {
    /// An empty log.
    pub const fn new() -> Self {
        const NONE: Event = Event { time_us: 0, code: 0, value: 0 };
        Self { events: [NONE; LOG_EVENTS], next: 0, untold: 0, dropped: 0 }
    }

    /// Appends an event; the oldest is lost where the log is full.
    pub fn push(&mut self, time_us: u64, code: Code, value: u32) {
        #[cfg(feature = "defmt")]
        defmt::info!("{=u64} us: {=str} ({=u32})", time_us, code.name(), value);
        let place = self.next as usize % LOG_EVENTS;
        if let Some(event) = self.events.get_mut(place) {
            *event = Event { time_us, code: code as u16, value };
        }
        self.next = self.next.saturating_add(1);
        if self.untold == LOG_EVENTS as u32 {
            self.dropped = self.dropped.saturating_add(1);
        } else {
            self.untold = self.untold.saturating_add(1);
        }
    }

    /// Number of the next event.
    pub fn next(&self) -> u32 {
        self.next
    }

    /// Number of the oldest event that is kept.
    pub fn first(&self) -> u32 {
        self.next.saturating_sub(LOG_EVENTS as u32)
    }

    /// The event with this number, while it is kept.
    pub fn get(&self, number: u32) -> Option<&Event> {
        let kept = (self.first()..self.next).contains(&number);
        self.events.get(number as usize % LOG_EVENTS).filter(|_| kept)
    }

    /// The oldest event that was not told yet.
    pub fn tell(&mut self) -> Option<Event> {
        let number = self.next.checked_sub(self.untold)?;
        let event = *self.get(number)?;
        self.untold = self.untold.saturating_sub(1);
        Some(event)
    }

    /// How many events were lost before they were told; stops at its maximum.
    pub fn dropped(&self) -> u32 {
        self.dropped
    }

    /// Writes events from number `from` on to `out`, as many as fit; the first number, the next
    /// one to ask for, and the bytes written.
    pub fn read(&self, from: u32, out: &mut [u8]) -> (u32, u32, usize) {
        let first = from.clamp(self.first(), self.next);
        let (mut number, mut length) = (first, 0);
        while let Some(event) = self.get(number) {
            match push_event(event, out, length) {
                Some(longer) => length = longer,
                None => break,
            }
            number = number.saturating_add(1);
        }
        (first, number, length)
    }
}

/// The number of a gate's reason in telemetry, status and log; 0: open.
pub fn reason_number(state: gradgate_gate::State) -> u8 {
    state.reason().map_or(0, |reason| (reason as u8).saturating_add(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use gradgate_link::message::events;

    extern crate std;
    use std::vec::Vec;

    #[test]
    fn the_newest_events_are_kept_and_read_in_pieces() {
        let mut log = Log::new();
        for value in 0..100 {
            log.push(u64::from(value) * 1000, Code::Opened, value);
        }
        assert_eq!((log.first(), log.next()), (36, 100));
        assert!(log.get(35).is_none() && log.get(100).is_none());
        let (mut from, mut seen) = (0, Vec::new());
        loop {
            let mut out = [0; 50];
            let (first, next, length) = log.read(from, &mut out);
            assert!(first >= from && next >= first);
            seen.extend(events(&out[..length]).map(|event| event.value));
            if next == first {
                break;
            }
            from = next;
        }
        assert_eq!(seen, (36..100).collect::<Vec<_>>());
    }

    #[test]
    fn each_event_is_told_once() {
        let mut log = Log::new();
        assert_eq!(log.tell(), None);
        for value in 0..3 {
            log.push(0, Code::Closed, value);
        }
        let told = std::iter::from_fn(|| log.tell()).map(|event| event.value);
        assert_eq!((told.collect::<Vec<_>>(), log.dropped()), (std::vec![0, 1, 2], 0));
        (0..80).for_each(|value| log.push(0, Code::Closed, value));
        let told: Vec<u32> = std::iter::from_fn(|| log.tell()).map(|event| event.value).collect();
        assert_eq!((told.len(), told[0]), (64, 16), "what was lost is not told");
        assert_eq!(log.dropped(), 16, "and counted");
    }
}
