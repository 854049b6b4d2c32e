//! The table for people.

use std::fmt::Write as _;

use super::{Audit, Detected, KindReport, KindsReport};

/// Beside a baseline's figure that is better than the detector's.
const BETTER: char = '*';

impl KindsReport {
    /// Appends the table, worst row first.
    pub(crate) fn write_text(&self, text: &mut String) {
        let how = match self.left_out {
            true => "each kind left out of training once (`trained`: the shipped detector)",
            false => "kinds only measured, never trained on",
        };
        let _ = writeln!(text, "\nkinds of anomalies at the shipped threshold, worst first; {how}");
        let name = |row: &KindReport| format!("{}/{}", row.set, row.kind);
        let width = self.rows.iter().map(|row| name(row).chars().count()).max().unwrap_or(0).max(4);
        let _ = write!(text, "{:width$}  frames  sources  detected %  [95 % interval]", "kind");
        if self.left_out {
            text.push_str("  trained %");
        }
        for baseline in &self.baselines {
            let _ = write!(text, "  {} %", baseline.name);
        }
        text.push('\n');
        for row in &self.rows {
            let Detected { frames, share, interval: [low, high], .. } = row.detected;
            let range = format!("[{:.1}, {:.1}]", 100.0 * low, 100.0 * high);
            let _ = write!(
                text,
                "{:width$}  {frames:6}  {:7}  {:10.1}  {range:>15}",
                name(row),
                row.sources,
                100.0 * share,
            );
            if self.left_out {
                let trained = row.shipped.map_or("-".into(), |one| percent(one.share));
                let _ = write!(text, "  {trained:>9}");
            }
            for (baseline, theirs) in self.baselines.iter().zip(&row.baselines) {
                let width = baseline.name.chars().count() + 1;
                let mark = if theirs.above > row.detected.above { BETTER } else { ' ' };
                let _ = write!(text, "  {:>width$}{mark}", percent(theirs.share));
            }
            text.push('\n');
        }
        self.write_summary(text);
    }

    fn write_summary(&self, text: &mut String) {
        let rows = self.rows.iter().filter(|row| !row.in_time).count();
        for baseline in self.baselines.iter().filter(|_| rows > 0) {
            let _ = writeln!(
                text,
                "{} detects more ({BETTER}) in {} of {rows} rows, less in {}; {}",
                baseline.name,
                baseline.better_in,
                baseline.worse_in,
                alarms(&baseline.audit),
            );
        }
        let _ = writeln!(text, "detector: {}", alarms(&self.audit));
        let levels: Vec<String> = self
            .severities
            .iter()
            .map(|level| format!("{}: {}", level.severity, percent(level.detected.share)))
            .collect();
        if rows > 0 {
            let _ = writeln!(text, "detected % by severity, all rows: {}", levels.join(", "));
        }
        let unseen: Vec<&str> =
            self.rows.iter().filter(|row| row.in_time).map(|row| row.kind.as_str()).collect();
        if !unseen.is_empty() {
            let _ = writeln!(
                text,
                "{}: a single frame does not show it, so no head learns it and it is not counted \
                 above; a device's check of repeated frames is for it",
                unseen.join(", ")
            );
        }
    }
}

fn percent(share: f64) -> String {
    format!("{:.1}", 100.0 * share)
}

fn alarms(audit: &Audit) -> String {
    let rate = 100.0 * audit.alarms as f64 / audit.frames.max(1) as f64;
    format!("false alarms {rate:.1} % of {} audit frames", audit.frames)
}
