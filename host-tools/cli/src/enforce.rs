//! Which bundles may close a robot's gate for real: those whose evidence is gate events per hour.

use anyhow::{Result, bail};
use gradgate_bundle::events::EventEvidence;
use gradgate_bundle::header::Policy;
use gradgate_detect::events::Rate;

use crate::output::plain;

/// What counted events show.
pub fn rate_of(evidence: &EventEvidence) -> Rate {
    Rate {
        events: u64::from(evidence.events),
        hours: evidence.open_hours,
        confidence: evidence.confidence,
    }
}

/// Refuses `enforce` on evidence that shows no events per hour, unless the evidence's source is
/// `named`.
pub fn check(policy: &Policy, source: &str, named: Option<&str>) -> Result<()> {
    let (name, events) = EventEvidence::of(source);
    if !policy.enforce {
        if named.is_some() {
            bail!("--enforce-on-dataset is for a policy with mode = \"enforce\": leave it out");
        }
        return Ok(());
    }
    let shown = events.is_some_and(|events| rate_of(&events).shows(events.per_hour));
    if shown || named == Some(name) {
        return Ok(());
    }
    let lacks = match events {
        Some(events) => format!(
            "gate events on \"{}\" do not show the promise of at most {} an hour",
            plain(name),
            events.per_hour
        ),
        None => format!(
            "all evidence is alarms per frame on \"{}\", which says nothing of gate events an hour",
            plain(name)
        ),
    };
    let wrong = named.map_or(String::new(), |named| format!(" (not \"{}\")", plain(named)));
    bail!(
        "mode = \"enforce\": {lacks}. Calibrate on the robot's own camera (pack for monitor, then \
         gradgate calibrate), or say --enforce-on-dataset with that name{wrong}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use gradgate_gate::DEFAULT_POLICY;

    #[test]
    fn enforce_needs_events_per_hour_or_its_source_by_name() {
        let events = |events, hours| {
            format!(
                "drives\nevents={events} open-hours={hours} sequences=4 frames=9 per-hour=1 \
                 confidence=0.95"
            )
        };
        let (shown, missing) = (events(0, "3.1"), events(2, "3.1"));
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
