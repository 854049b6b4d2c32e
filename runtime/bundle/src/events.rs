//! Evidence of gate events: the second line of the evidence's source, for the host alone.
//!
//! A device takes no part in it and reads one text. Without the line nothing was shown per hour.

use core::fmt;

/// What gates did on normal sequences that chose neither threshold nor policy.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EventEvidence {
    /// Gate events counted.
    pub events: u32,
    /// In so many hours of an open gate.
    pub open_hours: f64,
    /// Sequences.
    pub sequences: u32,
    /// Frames in them.
    pub frames: u32,
    /// Events an hour that were to be shown, at most.
    pub per_hour: f64,
    /// With this confidence.
    pub confidence: f64,
    /// Whether every judged frame had a time of its own, so that the hours passed as counted;
    /// otherwise frames counted as a frame period each, or nothing is known of it.
    pub recorded: bool,
}

impl EventEvidence {
    /// Name of the normal frames, and the evidence where the text's last line is one.
    pub fn of(source: &str) -> (&str, Option<EventEvidence>) {
        let Some(at) = source.bytes().rposition(|byte| byte == b'\n') else {
            return (source, None);
        };
        let (name, line) = (source.get(..at), source.get(at.saturating_add(1)..));
        match (name, line.and_then(EventEvidence::parse)) {
            (Some(name), Some(evidence)) => (name, Some(evidence)),
            _ => (source, None),
        }
    }

    /// The line, as [`fmt::Display`] writes it.
    fn parse(line: &str) -> Option<EventEvidence> {
        let mut words = line.split([' ']);
        let mut value = |key: &str| words.next()?.strip_prefix(key)?.strip_prefix('=');
        let mut evidence = EventEvidence {
            events: value("events")?.parse().ok()?,
            open_hours: value("open-hours")?.parse().ok()?,
            sequences: value("sequences")?.parse().ok()?,
            frames: value("frames")?.parse().ok()?,
            per_hour: value("per-hour")?.parse().ok()?,
            confidence: value("confidence")?.parse().ok()?,
            recorded: false,
        };
        evidence.recorded = match words.next() {
            Some("times=recorded") => true,
            Some("times=assumed") | None => false,
            Some(_) => return None,
        };
        (words.next().is_none() && evidence.is_sound()).then_some(evidence)
    }

    fn is_sound(&self) -> bool {
        let positive = |value: f64| value.is_finite() && value > 0.0;
        let hours = self.open_hours.is_finite() && self.open_hours >= 0.0;
        hours && positive(self.per_hour) && positive(self.confidence) && self.confidence < 1.0
    }
}

impl fmt::Display for EventEvidence {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let EventEvidence { events, open_hours, sequences, frames, per_hour, confidence, .. } =
            self;
        let times = if self.recorded { "recorded" } else { "assumed" };
        write!(
            out,
            "events={events} open-hours={open_hours} sequences={sequences} frames={frames} \
             per-hour={per_hour} confidence={confidence} times={times}"
        )
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use std::format;

    #[test]
    fn evidence_by_table() {
        let old = "events=2 open-hours=7.25 sequences=4 frames=261000 per-hour=1 confidence=0.95";
        let line = &format!("{old} times=recorded");
        let (events, open_hours, sequences, frames) = (2, 7.25, 4, 261_000);
        let wanted = EventEvidence {
            events,
            open_hours,
            sequences,
            frames,
            per_hour: 1.0,
            confidence: 0.95,
            recorded: true,
        };
        assert_eq!(&format!("{wanted}"), line);
        let full = format!("drive one\ndrive two\n{line}");
        assert_eq!(EventEvidence::of(&full), ("drive one\ndrive two", Some(wanted)));
        assert_eq!(EventEvidence::of(&format!("\n{line}")), ("", Some(wanted)));
        // Hours of a line that says nothing of times are not known to have passed.
        let assumed = EventEvidence { recorded: false, ..wanted };
        for less in [old.into(), format!("{assumed}")] {
            assert_eq!(EventEvidence::of(&format!("a\n{less}")), ("a", Some(assumed)));
        }
        // Anything else is the name alone.
        for text in [
            "",
            "cifar10/test.bin",
            line,
            "a\nb",
            &format!("a\n{line} more=1"),
            &format!("a\n{old} more=1"),
            &format!("a\n{old} times="),
            &format!("a\n{line}\n"),
            &format!("a\n{}", line.replace("7.25", "inf")),
            &format!("a\n{}", line.replace("7.25", "-1")),
            &format!("a\n{}", line.replace("0.95", "1")),
            &format!("a\n{}", line.replace("per-hour=1", "per-hour=0")),
            &format!("a\n{}", line.replace("events=2", "events=-2")),
            &format!("a\n{}", line.replace("sequences", "series")),
        ] {
            assert_eq!(EventEvidence::of(text), (text, None), "{text:?}");
        }
    }
}
