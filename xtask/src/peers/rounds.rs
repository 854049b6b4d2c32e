//! Turns: each round every peer runs a few frames, and its best frame stands for the round.
//!
//! Others on the machine only ever add time, so the best of a turn is the least disturbed; slow
//! drift of the clock hits all peers of a round alike and leaves their ratio. Every second round
//! goes backwards, so that nobody always follows the same neighbour.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::worker::Worker;
use super::{Peer, Role};

/// How long to measure a network.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    /// No further round after this, once there are enough.
    budget: Duration,
    /// Fewer rounds give no spread.
    rounds_min: usize,
    /// What a turn should take.
    turn: Duration,
}

impl Effort {
    /// For the table.
    pub const FULL: Effort =
        Effort { budget: Duration::from_secs(25), rounds_min: 7, turn: Duration::from_millis(60) };
    /// To see that it works.
    pub const QUICK: Effort =
        Effort { budget: Duration::from_secs(2), rounds_min: 3, turn: Duration::from_millis(20) };

    /// Frames of a turn for a peer that takes so long for one.
    fn frames(&self, milliseconds: f64) -> usize {
        let frames = self.turn.as_secs_f64() * 1e3 / milliseconds;
        (frames as usize).clamp(FRAMES_MIN, FRAMES_MAX)
    }
}

/// Fewer frames in a turn have no best one to speak of.
const FRAMES_MIN: usize = 3;
/// More do not make it better.
const FRAMES_MAX: usize = 200;

/// Measures all peers of a network.
pub fn run(mut workers: Vec<(Role, Worker)>, effort: &Effort) -> Result<Vec<Peer>> {
    let mut frames = Vec::new();
    for (_, worker) in &mut workers {
        frames.push(effort.frames(best(&worker.time(FRAMES_MIN)?)));
    }
    let mut rounds = vec![Vec::new(); workers.len()];
    let start = Instant::now();
    for round in 0.. {
        if round >= effort.rounds_min && start.elapsed() >= effort.budget {
            break;
        }
        for place in 0..workers.len() {
            let at = if round % 2 == 0 { place } else { workers.len() - 1 - place };
            let (role, worker) = &mut workers[at];
            let times = worker.time(frames[at]).with_context(|| role.name())?;
            rounds[at].push(best(&times));
        }
    }
    let peers = workers.into_iter().zip(rounds);
    Ok(peers
        .map(|((role, worker), rounds)| Peer { role, greeting: worker.greeting.clone(), rounds })
        .collect())
}

fn best(times: &[f64]) -> f64 {
    times.iter().copied().fold(f64::INFINITY, f64::min)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_are_alike_in_time_and_never_empty() {
        let effort = Effort { turn: Duration::from_millis(60), ..Effort::FULL };
        for (milliseconds, frames) in [(0.01, FRAMES_MAX), (1.0, 60), (20.0, 3), (900.0, 3)] {
            assert_eq!(effort.frames(milliseconds), frames, "{milliseconds}");
        }
        assert_eq!(best(&[3.0, 1.0, 2.0]), 1.0);
    }
}
