//! A line each: for people without a terminal, and for programs.

use gradgate_link::Telemetry;
use gradgate_link::message::Judged;
use serde_json::{Value, json};

use super::Monitor;
use crate::device::hex;
use crate::words;

/// For people.
pub(super) fn line(telemetry: &Telemetry, threshold: Option<f32>) -> String {
    match telemetry {
        Telemetry::Judged(judged) => {
            let Judged { frame, class, score, p_value, .. } = judged;
            let (at, verdict) = (time(judged.time_us), words::verdict(judged.verdict));
            let against =
                threshold.map_or(String::new(), |limit| format!("  threshold {limit:.4}"));
            let why = match judged.reason {
                0 => String::new(),
                number => format!("  {}", reason(number)),
            };
            format!(
                "{at}  {verdict:<7}  frame {frame}  class {class}  score {score:.4}{against}  \
                 p {p_value:.3}{why}"
            )
        }
        Telemetry::Gate { time_us, open, reason } => {
            let why = match *open {
                false => format!("CLOSED ({})", words::closed(*reason)),
                true => "OPEN".to_owned(),
            };
            format!("{}  gate {why}", time(*time_us))
        }
        Telemetry::Logged(event) => {
            format!("{}  log: {} ({})", time(event.time_us), words::event(event), event.value)
        }
        Telemetry::Dropped { count } => format!("telemetry that the device dropped: {count}"),
    }
}

fn time(time_us: u64) -> String {
    format!("{:>11.3} s", time_us as f64 / 1e6)
}

fn reason(number: u8) -> String {
    let known = ["", "SENSOR", "SHIFT", "DOUBT", "FAULT"].get(usize::from(number));
    known.map_or_else(|| format!("reason {number}"), |&word| word.to_owned())
}

/// For programs.
pub(super) fn json(telemetry: &Telemetry) -> Value {
    match telemetry {
        Telemetry::Judged(judged) => json!({
            "type": "verdict",
            "time_us": judged.time_us,
            "frame": judged.frame,
            "class": judged.class,
            "verdict": words::verdict(judged.verdict),
            "reason": judged.reason,
            "score": finite(judged.score),
            "p_value": finite(judged.p_value),
        }),
        Telemetry::Gate { time_us, open, reason } => json!({
            "type": "gate",
            "time_us": time_us,
            "gate": if *open { "OPEN" } else { "CLOSED" },
            "reason": (!*open).then(|| words::closed(*reason)),
        }),
        Telemetry::Logged(event) => json!({
            "type": "log",
            "time_us": event.time_us,
            "code": event.code,
            "what": words::event(event),
            "value": event.value,
        }),
        Telemetry::Dropped { count } => json!({ "type": "dropped", "count": count }),
    }
}

/// JSON has no NaN.
fn finite(value: f32) -> Option<f32> {
    value.is_finite().then_some(value)
}

/// How a device is, for people.
pub(super) fn health(monitor: &Monitor) -> String {
    if let Some(reason) = &monitor.lost {
        return format!("{}: {reason}", monitor.device);
    }
    let Some((status, counters)) = monitor.status.as_ref().zip(monitor.counters.as_ref()) else {
        return format!("{}: not asked yet", monitor.device);
    };
    let gate = if status.open { "OPEN".to_owned() } else { words::closed(status.reason) };
    format!(
        "{}  health: gate {gate}, up {:.0} s, {} starts ({}), verdict {:.1} ms, PASS {} BLOCK {} \
         UNKNOWN {}, closed {} times, rehashes {}, stack {}, link bad {} refused {}, frames missed \
         {}",
        time(status.time_us),
        status.time_us as f64 / 1e6,
        status.boots,
        words::reset(status.reset),
        f64::from(status.verdict_us) / 1000.0,
        counters.passed,
        counters.blocked,
        counters.unknown,
        counters.closed,
        status.rehashes,
        stack(status.stack_used, status.stack_bytes),
        counters.link_bad,
        counters.link_refused,
        counters.missed
    )
}

/// Most of the stack that was ever used.
pub(super) fn stack(used: u32, bytes: u32) -> String {
    match bytes {
        0 => "not measured".to_owned(),
        bytes => {
            format!("{used} of {bytes} B ({:.0} %)", 100.0 * f64::from(used) / f64::from(bytes))
        }
    }
}

/// How a device is, for programs.
pub(super) fn health_json(monitor: &Monitor) -> Value {
    if let Some(reason) = &monitor.lost {
        return json!({ "type": "lost", "device": monitor.device, "why": reason });
    }
    let status = monitor.status.as_ref();
    let counters = monitor.counters.as_ref();
    let identity = monitor.identity.as_ref();
    json!({
        "type": "health",
        "device": monitor.device,
        "board": identity.map(|identity| &identity.board),
        "firmware": identity.map(|identity| &identity.firmware),
        "chip": identity.map(|identity| hex(&identity.serial)),
        "name": status.map(|status| &status.name),
        "time_us": status.map(|status| status.time_us),
        "boots": status.map(|status| status.boots),
        "reset": status.map(|status| words::reset(status.reset)),
        "gate": status.map(|status| if status.open { "OPEN" } else { "CLOSED" }),
        "gate_reason": status.filter(|status| !status.open).map(|s| words::closed(s.reason)),
        "enforce": status.map(|status| status.enforce),
        "threshold": status.and_then(|status| finite(status.threshold)),
        "frame_period_us": status.map(|status| status.frame_period_us),
        "verdict_us": status.map(|status| status.verdict_us),
        "rehashes": status.map(|status| status.rehashes),
        "stack_bytes": status.map(|status| status.stack_bytes),
        "stack_used": status.map(|status| status.stack_used),
        "passed": counters.map(|counters| counters.passed),
        "blocked": counters.map(|counters| counters.blocked),
        "unknown": counters.map(|counters| counters.unknown),
        "closed": counters.map(|counters| counters.closed),
        "missed": counters.map(|counters| counters.missed),
        "link_good": counters.map(|counters| counters.link_good),
        "link_bad": counters.map(|counters| counters.link_bad),
        "link_refused": counters.map(|counters| counters.link_refused),
        "telemetry_dropped": counters.map(|counters| counters.telemetry_dropped),
        "telemetry_lost": monitor.missed,
        "link_losses": monitor.losses,
    })
}
