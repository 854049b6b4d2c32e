//! Drift: whether the scores of a recording are still those of the calibration frames.
//!
//! A test martingale bets against that. Each frame's conformal p-value, the share of calibration
//! frames that score at least as high, multiplies a capital; while scores are those of the
//! calibration frames or lower, the capital does not grow on average, and by Ville's inequality it
//! ever reaches 1/d with probability d at most. The bets are the Simple Jumper's (Vovk et al.,
//! "Retrain or not retrain: conformal test martingales for change-point detection", 2021) on small
//! p-values alone: 1 + e (p - 1/2) for e in {-1, -1/2, 0}, a share of the capital jumping between
//! them.
//!
//! The calibration frames are finitely many and the same for the whole recording, so that p-values
//! share an error. Half of the promised rate pays for it: by the inequality of Dvoretzky, Kiefer,
//! Wolfowitz and Massart all p-values are too small by sqrt(ln(2/d) / 2n) at most, but with
//! probability d/2; that much is added, and the alarm stands at 2/d. Ties count as at or above,
//! which makes p larger. What is promised holds for frames that are independent of each other;
//! neighbours in a video are not, so one frame in [`SPACING_US`] bets.

use std::f64;

/// A frame bets when this much time has passed since the last that did: neighbours look alike.
pub const SPACING_US: u64 = 1_000_000;

/// Chance that a recording without drift ever raises the alarm.
pub const RATE: f64 = 0.01;

/// Share of the capital that changes its bet at each frame.
const JUMP: f64 = 0.01;

/// Bets: the slope against p.
const SLOPES: [f64; 3] = [-1.0, -0.5, 0.0];

/// Capital over one recording.
#[derive(Clone, Debug)]
pub struct Martingale {
    /// The capital on each bet.
    capital: [f64; SLOPES.len()],
    /// Added to every p-value.
    widening: f64,
    alarm: f64,
    bets: u64,
    highest: f64,
    alarmed_at: Option<u64>,
}

impl Martingale {
    /// Against p-values from so many calibration frames, with [`RATE`].
    pub fn new(calibration_frames: u64) -> Martingale {
        let frames = calibration_frames.max(1) as f64;
        Martingale {
            capital: [1.0 / SLOPES.len() as f64; SLOPES.len()],
            widening: ((2.0 / RATE).ln() / (2.0 * frames)).sqrt(),
            alarm: 2.0 / RATE,
            bets: 0,
            highest: 1.0,
            alarmed_at: None,
        }
    }

    /// Takes the p-value of the next frame; what is no probability bets nothing.
    pub fn observe(&mut self, p_value: f32) {
        if !(0.0..=1.0).contains(&p_value) {
            return;
        }
        let p = (f64::from(p_value) + self.widening).min(1.0);
        let total: f64 = self.capital.iter().sum();
        let each = JUMP * total / SLOPES.len() as f64;
        for (capital, slope) in self.capital.iter_mut().zip(SLOPES) {
            *capital = ((1.0 - JUMP) * *capital + each) * (1.0 + slope * (p - 0.5));
        }
        self.bets += 1;
        let capital: f64 = self.capital.iter().sum();
        if capital > self.highest {
            self.highest = capital;
        }
        if capital >= self.alarm && self.alarmed_at.is_none() {
            self.alarmed_at = Some(self.bets);
        }
        // Alarms are long raised; infinity would end in NaN.
        if capital > 1e100 {
            self.capital = self.capital.map(|capital| capital * 1e-50);
        }
    }

    /// Frames that bet.
    pub fn bets(&self) -> u64 {
        self.bets
    }

    /// The highest capital so far, from 1 at the start.
    pub fn highest(&self) -> f64 {
        self.highest
    }

    /// The number of the bet, counted from 1, with which the alarm was raised.
    pub fn alarmed_at(&self) -> Option<u64> {
        self.alarmed_at
    }

    /// Whether so few calibration frames can ever raise the alarm: widened by half, no p-value is
    /// small.
    pub fn can_tell(&self) -> bool {
        self.widening < 0.25
    }
}

/// Which frames of a recording bet: see [`SPACING_US`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Spacing {
    last_us: Option<u64>,
}

impl Spacing {
    /// Whether the frame at this time of its recording bets.
    pub fn admits(&mut self, time_us: u64) -> bool {
        let admitted = self.last_us.is_none_or(|last| time_us.saturating_sub(last) >= SPACING_US);
        if admitted {
            self.last_us = Some(time_us);
        }
        admitted
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::binomial::interval;
    use crate::calibrate::p_value_table;
    use crate::file::arrays::TableArrays;
    use crate::random::Random;

    fn p_value(table: &TableArrays, score: f32) -> f32 {
        match table.scores.partition_point(|knot| *knot <= score) {
            0 => 1.0,
            above => (-table.levels[above - 1]).exp(),
        }
    }

    fn stream(random: &mut Random, n: usize, frames: usize, shift: f64, grain: f64) -> Martingale {
        stream_into(Martingale::new(n as u64), random, (n, frames), shift, grain)
    }

    fn stream_into(
        mut martingale: Martingale,
        random: &mut Random,
        (n, frames): (usize, usize),
        shift: f64,
        grain: f64,
    ) -> Martingale {
        // Scores of one decimal place are tied, as those of saturated heads.
        let mut draw = |shift: f64| {
            let score = random.normal() + shift;
            (if grain > 0.0 { (score / grain).round() * grain } else { score }) as f32
        };
        let scores: Vec<f32> = (0..n).map(|_| draw(0.0)).collect();
        let table = p_value_table(&scores);
        (0..frames).for_each(|_| martingale.observe(p_value(&table, draw(shift))));
        martingale
    }

    #[test]
    fn recordings_without_drift_seldom_raise_the_alarm() {
        // Each stream has calibration frames of its own, few of them and many.
        let mut random = Random::new(3, "drift");
        for (n, frames, grain, streams) in
            [(100, 600, 0.0, 4_000), (500, 1_000, 0.0, 4_000), (300, 600, 0.5, 4_000)]
        {
            let alarms = (0..streams)
                .filter(|_| stream(&mut random, n, frames, 0.0, grain).alarmed_at().is_some())
                .count();
            let (low, high) = interval(alarms as u64, streams as u64, 0.95);
            println!("{n} frames: {alarms} of {streams} [{:.3} %, {:.3} %]", 1e2 * low, 1e2 * high);
            assert!(low <= RATE && (alarms as f64) <= RATE * streams as f64, "{n}: {alarms}");
        }
        // The error that p-values of one calibration share is worth its price.
        let unpaid = |random: &mut Random| {
            stream_into(Martingale::new(u64::MAX), random, (100, 600), 0.0, 0.0).alarmed_at()
        };
        let alarms = (0..1_000).filter(|_| unpaid(&mut random).is_some()).count();
        println!("100 frames, p-values not widened: {alarms} of 1000");
        assert!(alarms as f64 > 2.0 * RATE * 1_000.0, "{alarms}");
    }

    #[test]
    fn drift_is_found_within_frames() {
        let mut random = Random::new(4, "shifted");
        // Shift in standard deviations; bets within which 9 of 10 recordings alarm.
        for (n, shift, within) in [(300, 1.0, 100), (1_000, 1.0, 60), (1_000, 0.5, 300)] {
            let mut bets: Vec<u64> = (0..200)
                .map(|_| stream(&mut random, n, 500, shift, 0.0).alarmed_at().unwrap_or(u64::MAX))
                .collect();
            bets.sort_unstable();
            println!("{n} frames, shift {shift}: median {}, 9 of 10 {}", bets[100], bets[180]);
            assert!(bets[180] <= within, "{n} {shift}: {}", bets[180]);
        }
    }

    #[test]
    fn capital_by_hand_and_what_is_no_probability() {
        let mut martingale = Martingale::new(u64::MAX);
        for bad in [f32::NAN, -0.1, 1.5, f32::INFINITY] {
            martingale.observe(bad);
        }
        assert_eq!((martingale.bets(), martingale.highest()), (0, 1.0));
        martingale.observe(0.0);
        // A third of the capital each, times 1.5, 1.25 and 1.
        assert!((martingale.highest() - 1.25).abs() < 1e-9);
        (0..2_000).for_each(|_| martingale.observe(0.0));
        assert!(martingale.highest().is_finite() && martingale.alarmed_at().is_some());
        let mut high = Martingale::new(1_000);
        (0..2_000).for_each(|_| high.observe(1.0));
        assert!(high.alarmed_at().is_none());
        assert!(!Martingale::new(20).can_tell() && Martingale::new(100).can_tell());
    }

    #[test]
    fn neighbours_do_not_bet() {
        let mut spacing = Spacing::default();
        let admitted: Vec<u64> =
            (0..35).map(|frame| frame * 100_000).filter(|at| spacing.admits(*at)).collect();
        assert_eq!(admitted, [0, 1_000_000, 2_000_000, 3_000_000]);
    }
}
