//! Bits of memory that change: those of the bundle in use are found in time, the others do nothing.

use gradgate_device::log::Code;
use gradgate_link::message::Event;

use super::Checker;

/// Rounds of the event loop that two passes over a bundle may take besides their time: a pass ends
/// with the first round behind it or, as a round hashes no more than a piece, some later.
const ROUNDS: usize = 8;

/// A bit that changed.
pub struct Damage {
    since_us: u64,
    last_us: u64,
    /// How long each round since then took.
    rounds: Vec<u64>,
}

impl Checker {
    /// Length of the bundle that runs, where no bit of it is wrong.
    pub fn bytes_in_use(&self) -> Option<u64> {
        let running = self.running.as_ref().filter(|_| self.damage.is_none())?;
        Some(self.catalog.items[running.item].image.len() as u64)
    }

    /// Whether a bit of the bundle in use is wrong.
    pub fn is_damaged(&self) -> bool {
        self.damage.is_some()
    }

    /// A bit flips; whether it is one that must be found.
    pub fn flipped(&mut self, counts: bool, now_us: u64) {
        self.seen.flips += 1;
        if counts {
            self.damage = Some(Damage { since_us: now_us, last_us: now_us, rounds: Vec::new() });
        }
    }

    /// The device found its bundle damaged.
    pub(super) fn found(&mut self) -> Result<(), String> {
        self.damage.take().ok_or("damage was found, and no bit has changed")?;
        self.seen.found += 1;
        Ok(())
    }

    /// A wrong bit is found within two passes, of half a frame period each.
    pub(super) fn overdue(&mut self, now_us: u64) -> Result<(), String> {
        let Some((running, damage)) = self.running.as_ref().zip(self.damage.as_mut()) else {
            return Ok(());
        };
        damage.rounds.push(now_us.saturating_sub(damage.last_us));
        damage.last_us = now_us;
        let mut rounds = damage.rounds.clone();
        rounds.sort_unstable();
        let rounds_us: u64 = rounds.iter().rev().take(ROUNDS).sum();
        let period_us = u64::from(self.catalog.items[running.item].policy.frame_period_us);
        let since_us = damage.since_us;
        match now_us.saturating_sub(since_us) > period_us + rounds_us {
            true => Err(format!("a bit changed at {since_us} us and is not found at {now_us} us")),
            false => Ok(()),
        }
    }
}

/// Whether damage was found.
pub(super) fn is_found(events: &[Event]) -> bool {
    events.iter().any(|event| event.code == Code::Damaged as u16)
}
