//! The view of a terminal, as lines of text: no colours, so that a picture of it is text too.

use super::plain::stack;
use super::{Monitor, place};
use crate::device::hex;
use crate::words;

/// In front of every row.
const MARGIN: usize = 10;
/// Rows of scores.
const ROWS: usize = 8;
/// A verdict in the timeline.
const SIGNS: [char; 3] = ['.', 'B', '?'];
const BLANK: char = ' ';
const SCORE: char = 'o';
const LIMIT: char = '-';

pub(super) fn view(monitor: &Monitor, width: usize, height: usize) -> Vec<String> {
    let columns = width.saturating_sub(MARGIN).max(1);
    let mut lines = vec![head(monitor), gate(monitor), String::new()];
    lines.push(row("verdicts", &timeline(monitor, columns)));
    lines.push(row("", "newest at the right: . PASS, B BLOCK, ? UNKNOWN"));
    lines.extend(scores(monitor, columns));
    lines.push(String::new());
    lines.extend(rates(monitor));
    lines.extend(health(monitor));
    let free = height.saturating_sub(lines.len() + 2);
    if free > 0 && !monitor.news.is_empty() {
        lines.push(String::new());
        let newest = monitor.news.iter().rev().take(free).rev();
        lines.extend(newest.map(|line| line.trim_start().to_owned()));
    }
    lines.truncate(height);
    lines.into_iter().map(|line| line.chars().take(width).collect()).collect()
}

fn row(name: &str, text: &str) -> String {
    format!("{name:<MARGIN$}{text}").trim_end().to_owned()
}

fn head(monitor: &Monitor) -> String {
    let name = monitor.status.as_ref().map_or("", |status| status.name.as_str());
    let name = if name.is_empty() { "no name" } else { name };
    let board = monitor.identity.as_ref().map_or_else(String::new, |identity| {
        format!("  {} {}  chip {}", identity.board, identity.firmware, hex(&identity.serial))
    });
    format!("{name}  {}{board}", monitor.device)
}

fn gate(monitor: &Monitor) -> String {
    if let Some(reason) = &monitor.lost {
        return row("LINK LOST", reason);
    }
    let Some(status) = &monitor.status else { return row("gate", "not known yet") };
    let open = monitor.open.unwrap_or(status.open);
    let mode = if status.enforce { "enforce" } else { "monitor: the pin does not follow" };
    let state = match (open, status.open) {
        (true, _) => "OPEN".to_owned(),
        (false, false) => format!("CLOSED ({})", words::closed(status.reason)),
        (false, true) => "CLOSED".to_owned(),
    };
    row("gate", &format!("{state}  ({mode})"))
}

fn timeline(monitor: &Monitor, columns: usize) -> String {
    let shown = monitor.judged.len().min(columns);
    let newest = monitor.judged.iter().skip(monitor.judged.len() - shown);
    let signs: String = newest.map(|judged| SIGNS[place(judged.verdict)]).collect();
    format!("{signs:>columns$}")
}

/// Scores against the threshold, the largest on top.
fn scores(monitor: &Monitor, columns: usize) -> Vec<String> {
    let shown = monitor.judged.len().min(columns);
    let newest = monitor.judged.iter().skip(monitor.judged.len() - shown);
    let scores: Vec<f32> = newest.map(|judged| judged.score).collect();
    let threshold = monitor.threshold().filter(|threshold| threshold.is_finite());
    let finite = scores.iter().copied().filter(|score| score.is_finite()).chain(threshold);
    let ends = finite.fold(None, |ends: Option<(f32, f32)>, value| {
        Some(ends.map_or((value, value), |(low, high)| (low.min(value), high.max(value))))
    });
    let Some((low, high)) = ends else { return vec![row("score", "none yet")] };
    let place = |value: f32| {
        let share = if high > low { (value - low) / (high - low) } else { 0.5 };
        ROWS - 1 - (share * (ROWS - 1) as f32).round() as usize
    };
    let mut cells = vec![vec![BLANK; columns]; ROWS];
    if let Some(threshold) = threshold {
        cells[place(threshold)].fill(LIMIT);
    }
    for (at, score) in scores.iter().enumerate().filter(|(_, score)| score.is_finite()) {
        cells[place(*score)][columns - shown + at] = SCORE;
    }
    let name = |at: usize| match at {
        0 => format!("{high:.3}"),
        at if at == ROWS - 1 => format!("{low:.3}"),
        at if threshold.is_some_and(|threshold| place(threshold) == at) => {
            format!("{:.3}", threshold.unwrap_or_default())
        }
        _ => String::new(),
    };
    let rows = cells.iter().enumerate();
    let mut lines: Vec<String> =
        rows.map(|(at, cells)| row(&name(at), &cells.iter().collect::<String>())).collect();
    lines.push(row("", "o score, - threshold: above it is BLOCK"));
    lines
}

fn rates(monitor: &Monitor) -> Vec<String> {
    let total: u64 = monitor.verdicts.iter().sum();
    let share = |at: usize| 100.0 * monitor.verdicts[at] as f64 / total.max(1) as f64;
    let hours = monitor.hours();
    let per_second = match hours > 0.0 {
        true => format!(", {:.1} a second", total as f64 / (hours * 3600.0)),
        false => String::new(),
    };
    let hourly = match hours > 0.0 {
        true => format!(", {:.1} an hour", monitor.closings as f64 / hours),
        false => String::new(),
    };
    vec![
        row(
            "seen",
            &format!(
                "{total} verdicts{per_second}: PASS {:.1} %, BLOCK {:.1} %, UNKNOWN {:.1} %",
                share(0),
                share(1),
                share(2)
            ),
        ),
        row(
            "",
            &format!(
                "gate closed {} times{hourly}; telemetry lost {}, link lost {} times",
                monitor.closings, monitor.missed, monitor.losses
            ),
        ),
    ]
}

fn health(monitor: &Monitor) -> Vec<String> {
    let Some((status, counters)) = monitor.status.as_ref().zip(monitor.counters.as_ref()) else {
        return Vec::new();
    };
    let milliseconds = |us: u32| format!("{:.1} ms", f64::from(us) / 1000.0);
    vec![
        row(
            "device",
            &format!(
                "up {:.0} s, {} starts, the last for {}; PASS {} BLOCK {} UNKNOWN {}, closed {}",
                status.time_us as f64 / 1e6,
                status.boots,
                words::reset(status.reset),
                counters.passed,
                counters.blocked,
                counters.unknown,
                counters.closed
            ),
        ),
        row(
            "",
            &format!(
                "verdict {} of {}, rehashes {}, stack {}",
                milliseconds(status.verdict_us),
                milliseconds(status.frame_period_us),
                status.rehashes,
                stack(status.stack_used, status.stack_bytes)
            ),
        ),
        row(
            "",
            &format!(
                "frames missed {}; link good {} bad {} refused {}, telemetry dropped {}",
                counters.missed,
                counters.link_good,
                counters.link_bad,
                counters.link_refused,
                counters.telemetry_dropped
            ),
        ),
    ]
}
