//! How long each phase took.

use serde::Serialize;

use super::Phase;

/// A phase that was entered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct PhaseTime {
    /// Which.
    pub phase: Phase,
    /// When, in milliseconds since the beginning.
    pub at_ms: u64,
    /// How long, in milliseconds; of the last phase up to the end.
    pub took_ms: u64,
}

/// The phases in order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Timeline {
    /// As they were entered.
    pub phases: Vec<PhaseTime>,
    #[serde(skip)]
    start_ms: Option<u64>,
}

impl Timeline {
    /// Tells the phase at a time; whether it is another than before.
    pub fn see(&mut self, phase: Phase, now_ms: u64) -> bool {
        let at_ms = now_ms.saturating_sub(*self.start_ms.get_or_insert(now_ms));
        if let Some(last) = self.phases.last_mut() {
            last.took_ms = at_ms.saturating_sub(last.at_ms);
            if last.phase == phase {
                return false;
            }
        }
        self.phases.push(PhaseTime { phase, at_ms, took_ms: 0 });
        true
    }

    /// Time since the beginning, in milliseconds.
    pub fn elapsed_ms(&self) -> u64 {
        self.phases.last().map_or(0, |last| last.at_ms.saturating_add(last.took_ms))
    }

    /// Time of a phase in all, in milliseconds.
    pub fn took_ms(&self, phase: Phase) -> u64 {
        self.phases.iter().filter(|row| row.phase == phase).map(|row| row.took_ms).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_phases_add_up() {
        let mut timeline = Timeline::default();
        let seen = [
            (Phase::Check, 100, true),
            (Phase::Check, 130, false),
            (Phase::Erase, 150, true),
            (Phase::Upload, 400, true),
            (Phase::Erase, 500, true),
            (Phase::Done, 510, true),
        ];
        for (phase, now_ms, new) in seen {
            assert_eq!(timeline.see(phase, now_ms), new, "{now_ms}");
        }
        let took = [Phase::Check, Phase::Erase, Phase::Upload, Phase::Done]
            .map(|phase| timeline.took_ms(phase));
        assert_eq!((took, timeline.elapsed_ms()), ([50, 260, 100, 0], 410));
    }
}
