//! Nanoseconds a multiply-add takes on this machine, by pass.

use std::str::FromStr;
use std::time::{Duration, Instant};

use anyhow::Result;
use gradgate_detect::frontier::Rates;
use gradgate_engine::Engine;
use gradgate_frames::Pixels;
use gradgate_graph::cost::Macs;
use gradgate_graph::schedule::{Pass, Schedule};

use crate::executor::engine_frame;
use crate::{interrupt, self_test};

/// Frames whose times are taken; the least of each pass counts.
const FRAMES: usize = 30;
/// Slow networks stop early.
const PATIENCE: Duration = Duration::from_secs(3);

/// Rates as given on the command line: `FORWARD,BACKWARD,NORMS`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GivenRates([f64; 3]);

impl FromStr for GivenRates {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = |word: &str| {
            word.trim().parse().ok().filter(|rate: &f64| rate.is_finite() && *rate >= 0.0)
        };
        let numbers: Option<Vec<f64>> = text.split(',').map(number).collect();
        match numbers.as_deref() {
            Some(&[forward, backward, norms]) => Ok(GivenRates([forward, backward, norms])),
            _ => Err("give nanoseconds for forward, backward, norms, as in 0.2,0.3,0.2".to_owned()),
        }
    }
}

impl GivenRates {
    /// For a report.
    pub fn rates(self) -> Rates {
        let [forward, backward, norms] = self.0;
        Rates { forward, backward, norms, origin: "given".to_owned() }
    }
}

/// Runs a network with all taps and divides the least time of each pass by its multiply-adds. A
/// step without multiply-adds belongs to the pass in which it stands.
pub fn measure(engine: &Engine<'_>, schedule: &Schedule) -> Result<Rates> {
    let frame = Pixels::U8(self_test::frame(schedule.input));
    let passes = passes(schedule);
    let mut arena = vec![0.0; engine.arena_elements()];
    let mut least = [Duration::MAX; 3];
    let start = Instant::now();
    for _ in 0..FRAMES {
        interrupt::check()?;
        let mut spent = [Duration::ZERO; 3];
        let mut last = Instant::now();
        engine.run_observed(engine_frame(&frame), &mut arena, |step, _, _| {
            let now = Instant::now();
            if let Some(pass) = passes.get(step) {
                spent[*pass as usize] += now - last;
            }
            last = now;
        })?;
        for (least, spent) in least.iter_mut().zip(spent) {
            *least = (*least).min(spent);
        }
        if start.elapsed() > PATIENCE {
            break;
        }
    }
    let macs = Macs::of(schedule);
    let rate = |time: Duration, macs: u64| match macs {
        0 => 0.0,
        _ => time.as_secs_f64() * 1e9 / macs as f64,
    };
    Ok(Rates {
        forward: rate(least[0], macs.forward),
        backward: rate(least[1], macs.backward),
        norms: rate(least[2], macs.norms),
        origin: "measured here: engine, one thread".to_owned(),
    })
}

/// The pass of every step.
fn passes(schedule: &Schedule) -> Vec<Pass> {
    schedule.steps.iter().map(|step| step.pass).collect()
}

#[cfg(test)]
mod tests {
    use super::GivenRates;

    #[test]
    fn rates_by_table() {
        let cases = [
            ("0.2,0.3,0.25", Some([0.2, 0.3, 0.25])),
            ("1, 0, 2", Some([1.0, 0.0, 2.0])),
            ("1,2", None),
            ("1,2,3,4", None),
            ("1,-2,3", None),
            ("1,inf,3", None),
            ("1,nan,3", None),
            ("", None),
        ];
        for (text, expected) in cases {
            assert_eq!(text.parse().ok(), expected.map(GivenRates), "{text}");
        }
    }
}
