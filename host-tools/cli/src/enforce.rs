//! Which bundles may close a robot's gate for real: those whose evidence is gate events per hour.

use anyhow::{Result, bail};
use gradgate_bundle::events::EventEvidence;
use gradgate_bundle::header::Policy;
use gradgate_detect::events::Rate;

use crate::output::plain;

/// Least confidence of a promise that a robot is stopped on: one in twenty promises may be wrong.
pub const CONFIDENCE_MIN: f64 = 0.95;

/// Most events an hour that may be promised: one every six minutes. A gate that closes more often
/// is switched off by whoever has to live with it, and then guards nothing.
pub const PER_HOUR_MAX: f64 = 10.0;

/// What counted events show.
pub fn rate_of(evidence: &EventEvidence) -> Rate {
    Rate {
        events: u64::from(evidence.events),
        hours: evidence.open_hours,
        confidence: evidence.confidence,
    }
}

/// Refuses `enforce` on evidence that shows no events per hour, or too little of them, unless the
/// evidence's source is `named`.
pub fn check(policy: &Policy, source: &str, named: Option<&str>) -> Result<()> {
    let (name, events) = EventEvidence::of(source);
    if !policy.enforce {
        if named.is_some() {
            bail!("--enforce-on-dataset is for a policy with mode = \"enforce\": leave it out");
        }
        return Ok(());
    }
    if named == Some(name) {
        return Ok(());
    }
    let (lacks, remedy) = match events {
        Some(events) => match lacks(&events, &plain(name)) {
            Some(found) => found,
            None => return Ok(()),
        },
        None => (
            format!(
                "all evidence is alarms per frame on \"{}\", which says nothing of gate events an \
                 hour",
                plain(name)
            ),
            CALIBRATE.to_owned(),
        ),
    };
    let wrong = named.map_or(String::new(), |named| format!(" (not \"{}\")", plain(named)));
    bail!(
        "mode = \"enforce\": {lacks}. {remedy}, or say --enforce-on-dataset with that name{wrong}"
    )
}

const CALIBRATE: &str =
    "Calibrate on the robot's own camera (pack for monitor, then gradgate calibrate)";

/// What events on the frames of a name lack, and what to do about it.
fn lacks(events: &EventEvidence, name: &str) -> Option<(String, String)> {
    let EventEvidence { per_hour, confidence, recorded, .. } = *events;
    if confidence < CONFIDENCE_MIN {
        return Some((
            format!(
                "the promise on \"{name}\" has a confidence of {confidence}, and it takes \
                 {CONFIDENCE_MIN} at least"
            ),
            format!("Calibrate with --confidence {CONFIDENCE_MIN} or more"),
        ));
    }
    if per_hour > PER_HOUR_MAX {
        return Some((
            format!(
                "the promise on \"{name}\" is {per_hour} gate events an hour, and it takes \
                 {PER_HOUR_MAX} at most"
            ),
            format!("Calibrate with --max-events-per-hour {PER_HOUR_MAX} or less"),
        ));
    }
    if !recorded {
        return Some((
            format!(
                "the {:.2} h on \"{name}\" never passed: its frames have no times, and counted as \
                 a frame period each",
                events.open_hours
            ),
            "Calibrate on recordings, or a pipe with --fps".to_owned(),
        ));
    }
    if !rate_of(events).shows(per_hour) {
        return Some((
            format!(
                "gate events on \"{name}\" do not show the promise of at most {per_hour} an hour"
            ),
            CALIBRATE.to_owned(),
        ));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use gradgate_gate::DEFAULT_POLICY;

    #[test]
    fn enforce_needs_events_per_hour_or_its_source_by_name() {
        let promise = |events, hours, promise| {
            format!("drives\nevents={events} open-hours={hours} sequences=4 frames=9 {promise}")
        };
        let usual = "per-hour=1 confidence=0.95 times=recorded";
        let (shown, missing) = (promise(0, "3.1", usual), promise(2, "3.1", usual));
        let most = promise(0, "0.31", "per-hour=10 confidence=0.95 times=recorded");
        let loose = promise(0, "9", "per-hour=10.01 confidence=0.95 times=recorded");
        let doubtful = promise(0, "9", "per-hour=1 confidence=0.94 times=recorded");
        let assumed = promise(0, "6.6", "per-hour=1 confidence=0.95 times=assumed");
        let old = promise(0, "6.6", "per-hour=1 confidence=0.95");
        let enforce = Policy { enforce: true, ..DEFAULT_POLICY };
        let cases = [
            (DEFAULT_POLICY, "cifar10", None, None),
            (DEFAULT_POLICY, "cifar10", Some("cifar10"), Some("leave it out")),
            (enforce, "cifar10", None, Some("alarms per frame on \"cifar10\"")),
            (enforce, "cifar10", Some("cifar"), Some("(not \"cifar\")")),
            (enforce, "cifar10", Some("cifar10"), None),
            (enforce, &shown, None, None),
            (enforce, &missing, None, Some("do not show the promise of at most 1 an hour")),
            (enforce, &missing, Some("drives"), None),
            (enforce, &most, None, None),
            (enforce, &loose, None, Some("10.01 gate events an hour, and it takes 10 at most")),
            (enforce, &doubtful, None, Some("confidence of 0.94, and it takes 0.95 at least")),
            (enforce, &assumed, None, Some("the 6.60 h on \"drives\" never passed")),
            (enforce, &old, None, Some("never passed")),
            (enforce, &assumed, Some("drives"), None),
            (enforce, &loose, Some("drives"), None),
        ];
        for (policy, source, named, wanted) in cases {
            let found = check(&policy, source, named).err().map(|error| error.to_string());
            let matches = match (&found, wanted) {
                (Some(error), Some(part)) => error.contains(part),
                (None, None) => true,
                _ => false,
            };
            assert!(matches, "{source} {named:?}: {found:?}");
        }
    }
}
