//! A sequence: every frame sent, and what the device says compared with what it must say.

use gradgate_link::events::Code;
use gradgate_link::message::{Event, Judged, Verdict};

use super::compare::number;
use super::expected::Row;
use super::spoil::fault;
use super::{Given, Mismatch, Outcome, Ran, Rig, Source, Start};
use crate::error::Error;
use crate::wire::Wire;

/// Mismatches that are told of a sequence.
const TOLD: usize = 5;

/// How a sequence is run.
#[derive(Clone, Debug)]
pub struct Settings<'a> {
    /// The sequence's name.
    pub name: &'a str,
    /// How it begins.
    pub start: Start,
    /// Longest time, in milliseconds.
    pub timeout_ms: u64,
    /// Floats that a score may be away.
    pub ulps: u32,
    /// What is kept of earlier: one row a frame; `None`: nothing is kept.
    pub stored: Option<&'a [Row]>,
    /// Names of the values that the detector sees.
    pub names: &'a [String],
}

/// Runs a sequence; `go_on`, asked before each frame with its number, may end it.
pub fn run<W: Wire>(
    rig: &mut Rig<W>,
    settings: &Settings<'_>,
    source: &mut dyn Source,
    go_on: &mut dyn FnMut(usize) -> bool,
) -> Ran {
    let mut ran = Ran::new(settings.name);
    let start_ms = rig.now_ms();
    let ended = frames(rig, settings, source, go_on, &mut ran);
    let log = rig.log();
    ran.milliseconds = rig.now_ms().saturating_sub(start_ms);
    ran.outcome = match (ended, log) {
        (Err(outcome), log) => {
            ran.log.extend(log.unwrap_or_default());
            outcome
        }
        (Ok(()), Err(error)) => Outcome::Error(error.to_string()),
        (Ok(()), Ok(log)) => {
            ran.log.extend(log);
            outcome(&ran)
        }
    };
    ran
}

fn frames<W: Wire>(
    rig: &mut Rig<W>,
    settings: &Settings<'_>,
    source: &mut dyn Source,
    go_on: &mut dyn FnMut(usize) -> bool,
    ran: &mut Ran,
) -> Result<(), Outcome> {
    let error = |error: Error| Outcome::Error(error.to_string());
    rig.start(settings.start).map_err(error)?;
    let end_ms = rig.now_ms() + settings.timeout_ms;
    let (total, mut first_stale) = (source.len(), None);
    if let Some(stored) = settings.stored.filter(|stored| stored.len() != total) {
        let text = format!("{total} frames, the stored expectation has {}", stored.len());
        return Err(Outcome::Failed(format!("{text}: see what changed, then --bless")));
    }
    for index in 0..total {
        if !go_on(index) {
            return Err(Outcome::Error(format!("ended by the user before frame {index}")));
        }
        if rig.now_ms() >= end_ms {
            let seconds = settings.timeout_ms as f64 / 1000.0;
            let text = format!("no end after {seconds} s, at frame {index} of {total}");
            return Err(Outcome::Error(format!("{text}: raise timeout_s, or send fewer frames")));
        }
        let given = source.frame(index).map_err(error)?;
        let row = settings.stored.and_then(|stored| stored.get(index));
        if let Some(text) = row.and_then(|row| row.difference(&given)) {
            first_stale.get_or_insert(format!("frame {index} ({}): {text}", given.name));
        }
        let judged = rig.send(&given).map_err(error)?;
        compare(rig, settings, (index, &given), &judged, ran).map_err(error)?;
    }
    match first_stale.filter(|_| ran.mismatched == 0) {
        Some(text) => Err(Outcome::Failed(format!(
            "the stored expectation is not what this host's engine gives: {text}: see what \
             changed, then --bless"
        ))),
        None => Ok(()),
    }
}

fn compare<W: Wire>(
    rig: &mut Rig<W>,
    settings: &Settings<'_>,
    (index, given): (usize, &Given),
    judged: &Judged,
    ran: &mut Ran,
) -> Result<(), Error> {
    ran.count(judged.verdict);
    // A device keeps few entries: those of a frame that was not judged are read at once.
    let logged = match judged.verdict {
        Verdict::Unknown => rig.log()?,
        Verdict::Pass | Verdict::Block => Vec::new(),
    };
    let unfit = unfit(&logged);
    ran.log.extend(logged);
    let what = given.expected.differences(judged, unfit, settings.ulps);
    if what.is_empty() {
        return Ok(());
    }
    ran.mismatched += 1;
    if judged.verdict == Verdict::Unknown && given.expected.verdict != Verdict::Unknown {
        ran.unjudged += 1;
    }
    if ran.mismatches.len() < TOLD {
        let tensor = match unfit {
            Some(number) => format!("the network did not see it: {}", fault(number)),
            None => first_difference(&rig.values()?, &given.values, settings.names),
        };
        ran.mismatches.push(Mismatch {
            index,
            name: given.name.clone(),
            what,
            tensor,
            picture: given.picture.clone(),
        });
    }
    Ok(())
}

/// Number of the fault that was logged last.
fn unfit(logged: &[Event]) -> Option<u32> {
    let event = logged.iter().rev().find(|event| event.code == Code::Unfit as u16)?;
    Some(event.value)
}

/// The first value that differs, by its tensor's name, with both values.
fn first_difference(device: &[f32], host: &[f32], names: &[String]) -> String {
    let differs = |(one, other): (&f32, &f32)| one.to_bits() != other.to_bits();
    let at = device.iter().zip(host).position(differs);
    match at {
        Some(at) => {
            let name = names.get(at).map_or_else(|| format!("value {at}"), Clone::clone);
            let (ours, theirs) = (number(host[at]), number(device[at]));
            format!("first tensor that differs: {name}: device {theirs}, host {ours}")
        }
        None if device.len() != host.len() => format!(
            "the device has {} values, the host {}: another bundle, or too little memory for them",
            device.len(),
            host.len()
        ),
        None => format!("all {} values that the detector sees are equal", host.len()),
    }
}

fn outcome(ran: &Ran) -> Outcome {
    let Some(first) = ran.mismatches.first() else { return Outcome::Passed };
    let text = format!(
        "{} of {} frames differ; the first is {} ({}): {}; {}",
        ran.mismatched,
        ran.frames(),
        first.index,
        first.name,
        first.what.join(", "),
        first.tensor
    );
    if ran.unjudged == 0 { Outcome::Failed(text) } else { Outcome::Error(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_difference_has_a_name_and_both_values() {
        let names = ["logit 0".to_owned(), "norm of conv1".to_owned()];
        let rows: [(&[f32], &[f32], &str); 4] = [
            (&[1.0, 2.0], &[1.0, 2.5], "norm of conv1: device 2 [40000000], host 2.5 [40200000]"),
            (&[1.0, 2.0], &[1.0, 2.0], "all 2 values"),
            (&[1.0], &[1.0, 2.0], "the device has 1 values, the host 2"),
            (&[1.0, 2.0, 3.0], &[1.0, 2.0, 4.0], "value 2: device 3"),
        ];
        for (device, host, wanted) in rows {
            let found = first_difference(device, host, &names);
            assert!(found.contains(wanted), "{found}");
        }
    }
}
