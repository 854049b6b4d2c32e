//! The frontier for people: a line a subset.

use std::fmt::Write as _;

use super::{FrontierReport, Parts, Point};
use crate::metrics::Interval;

impl FrontierReport {
    /// How it was measured, then the front, or every subset with `all`, then the knee.
    pub fn to_text(&self, all: bool) -> String {
        let mut text = self.method_text();
        let shown: Vec<(usize, &Point)> = self
            .points
            .iter()
            .enumerate()
            .filter(|(at, point)| all || point.front || *at == self.knee || *at == self.best)
            .collect();
        let width = shown.iter().map(|(_, point)| point.name.chars().count()).max().unwrap_or(0);
        let width = width.max("taps".len());
        let _ = writeln!(
            text,
            "\n  {:width$}  {:>8} {:>7} {:>9} {:>9} {:>8}  {:>8}  {:22}  against forward only",
            "taps",
            "M madds",
            "forward",
            "arena KiB",
            "file KiB",
            "time ms",
            "choosing",
            "reported AUROC %"
        );
        for (at, point) in &shown {
            self.line(&mut text, *at, point, width);
        }
        let hidden = self.points.len() - shown.len();
        if hidden > 0 {
            let _ = writeln!(text, "  and {hidden} subsets that others beat (--all shows them)");
        }
        self.knee_text(&mut text);
        text
    }

    fn method_text(&self) -> String {
        let mut text = String::new();
        let sources = self.points.first().map_or(0, |point| point.sources.len());
        let mean = if sources > 1 { ", mean over the anomalous sources" } else { "" };
        let Parts { choosing, reporting } = self.parts;
        let _ =
            writeln!(text, "head {}, inputs {}, seed {}{mean}", self.head, self.inputs, self.seed);
        let _ = writeln!(
            text,
            "front and knee are chosen on {} normal and {} anomalous sources, AUROC is reported on \
             {} and {} others",
            choosing[0], choosing[1], reporting[0], reporting[1]
        );
        let rates = &self.rates;
        let _ = writeln!(
            text,
            "time is an estimate: multiply-adds times {:.3}, {:.3}, {:.3} ns (forward, backward, \
             norms; {})",
            rates.forward, rates.backward, rates.norms, rates.origin
        );
        text
    }

    fn line(&self, text: &mut String, at: usize, point: &Point, width: usize) {
        let mark = match (at == self.knee, point.front) {
            (true, _) => '>',
            (false, true) => '*',
            (false, false) => ' ',
        };
        let cost = &point.cost;
        let kib = |bytes: u64| bytes as f64 / 1024.0;
        let _ = writeln!(
            text,
            "{mark} {:width$}  {:8.2} {:6.2}x {:9.1} {:9.1} {:8.3}  {:8.2}  {:22}  {}",
            point.name,
            cost.macs() as f64 / 1e6,
            cost.macs() as f64 / cost.forward.max(1) as f64,
            kib(cost.arena_bytes),
            kib(cost.bundle_bytes),
            cost.milliseconds,
            100.0 * point.choosing.value,
            percent(&point.reported),
            gain(&point.gain),
        );
    }

    fn knee_text(&self, text: &mut String) {
        let knee = self.knee();
        let _ = writeln!(text, "\n* on the Pareto front; > the knee: {}", self.rule);
        let _ = writeln!(text, "knee: {} (--taps '{}')", knee.name, knee.taps);
        for source in &knee.sources {
            let _ = writeln!(text, "  {}: AUROC {} %", source.name, percent(&source.auroc));
        }
        if knee.parameters.is_empty() {
            text.push_str(
                "gradients are not shown to help here: these frames do not earn a backward pass\n",
            );
        } else if knee.gain.low <= 0.0 {
            let _ = writeln!(
                text,
                "  whether it helps over the forward pass alone is open: {}",
                gain(&knee.gain)
            );
        }
    }
}

/// `94.63 [92.63, 96.46]`.
fn percent(interval: &Interval) -> String {
    let [value, low, high] = [interval.value, interval.low, interval.high].map(|v| 100.0 * v);
    format!("{value:.2} [{low:.2}, {high:.2}]")
}

/// `+1.20 [+0.31, +2.10]`; what does not exclude 0 shows nothing, and is said to.
fn gain(interval: &Interval) -> String {
    let [value, low, high] = [interval.value, interval.low, interval.high].map(|v| 100.0 * v);
    let shown = if low > 0.0 || high < 0.0 { "" } else { " (not shown)" };
    if value == 0.0 && low == 0.0 && high == 0.0 {
        return "-".to_owned();
    }
    format!("{value:+.2} [{low:+.2}, {high:+.2}]{shown}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gains_say_whether_they_are_shown() {
        let cases = [
            ((0.02, 0.01, 0.03), "+2.00 [+1.00, +3.00]"),
            ((-0.02, -0.03, -0.01), "-2.00 [-3.00, -1.00]"),
            ((0.01, -0.01, 0.02), "+1.00 [-1.00, +2.00] (not shown)"),
            ((0.0, 0.0, 0.0), "-"),
        ];
        for ((value, low, high), wanted) in cases {
            assert_eq!(gain(&Interval { value, low, high }), wanted);
        }
    }
}
