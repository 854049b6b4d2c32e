//! Times of the gate, of a device whose pin follows it.

use gradgate_bundle::Bundle;
use gradgate_bundle::align::AlignedBytes;
use gradgate_bundle::header::Policy;
use gradgate_bundle::write::{BundleParts, write};
use gradgate_field::hil::gate::{self, Settings};
use gradgate_field::hil::{GateCase, Outcome, Ran, Rig, Start};
use gradgate_field::wire::Live;
use gradgate_link::events::Code;

use crate::bench::{Held, SHIPPED, bench, flash, learnt};

const PERIOD_US: u32 = 400_000;

/// What the device's bundle has.
const POLICY: gate::Policy =
    gate::Policy { n: 5, k: 3, m: 5, lease_us: 800_000, frame_period_us: PERIOD_US as u64 };

/// The shipped bundle as one whose pin follows the gate, with another threshold.
fn enforcing(threshold: f32) -> AlignedBytes {
    let shipped = AlignedBytes::from(SHIPPED);
    let mut parts = BundleParts::of(&Bundle::parse(&shipped).expect("a bundle")).expect("known");
    let policy = parts.header.policy;
    parts.header.policy = Policy { enforce: true, frame_period_us: PERIOD_US, ..policy };
    parts.header.detector.as_mut().expect("it has one").threshold = threshold;
    AlignedBytes::from(&write(&parts).expect("still a bundle")[..])
}

/// Half of these frames PASS.
fn frames(rig: &mut Rig<Live>) -> Held {
    let held = learnt(rig, 6);
    let mut scores: Vec<f32> = held.0.iter().map(|given| given.expected.score).collect();
    scores.sort_by(f32::total_cmp);
    flash(rig, enforcing((scores[2] + scores[3]) / 2.0));
    learnt(rig, 6)
}

fn run(
    rig: &mut Rig<Live>,
    held: &Held,
    case: GateCase,
    within_ms: Option<u32>,
    policy: gate::Policy,
) -> Ran {
    let start = Start::Keep;
    let settings = Settings { name: "gate", case, start, timeout_ms: 20_000, within_ms, policy };
    gate::run(rig, &settings, &mut held.clone(), Some(&mut held.clone()))
}

#[test]
fn a_gate_is_timed_by_the_device_and_fails_where_it_is_late_early_or_deaf() {
    let (served, mut rig) = bench();
    let held = frames(&mut rig);
    use GateCase::{Latency, Silence};
    let usual = POLICY;
    let rows = [
        // As the bundle says.
        (Silence, Some(700), usual, true, "the lease is 800.0 ms, 700.0 ms more are allowed"),
        (Latency, None, usual, true, "closed at BLOCK 3 of 3"),
        // As if it said something else, which the device then does not do.
        (Silence, Some(100), gate::Policy { lease_us: 400_000, ..usual }, false, "400.0 ms, 100.0"),
        (Silence, None, gate::Policy { lease_us: 1_600_000, ..usual }, false, "1600.0 ms, 200.0"),
        (Latency, Some(0), usual, false, "0.0 ms are allowed"),
        (Latency, None, gate::Policy { k: 2, ..usual }, false, "still open after 2 BLOCK"),
        (Latency, None, gate::Policy { k: 4, ..usual }, false, "closed at BLOCK 3 of 4"),
        // The device still has two BLOCK of the case before the last in mind, or none.
        (Latency, None, gate::Policy { k: 2, ..usual }, false, "still open after 2 BLOCK"),
        (Latency, None, usual, true, "closed at BLOCK 3 of 3"),
    ];
    for (case, within_ms, policy, passes, wanted) in rows {
        let ran = run(&mut rig, &held, case, within_ms, policy);
        let told = format!("{} {}", ran.notes.join(" "), ran.outcome.text());
        assert!(told.contains(wanted), "{wanted}: {ran:#?}");
        match passes {
            true => {
                assert_eq!(ran.outcome, Outcome::Passed, "{wanted}");
                let closed = ran.log.iter().rfind(|event| event.code == Code::Closed as u16);
                let closed_us = closed.expect("it closed").time_us;
                assert!(!served.pin_is_open());
                // The same round of the event loop, on a machine that may be busy.
                let apart_us = served.pin_closed_us().abs_diff(closed_us);
                assert!(apart_us < 300_000, "{wanted}: {apart_us}");
            }
            false => assert!(matches!(ran.outcome, Outcome::Failed(_)), "{wanted}: {ran:#?}"),
        }
    }
}

#[test]
fn frames_that_come_too_slowly_skip_a_case_as_soon_as_that_is_known() {
    let (_served, mut rig) = bench();
    let held = frames(&mut rig);
    // The bundle that runs opens after as many as it says; no frames come within no time.
    let never = gate::Policy { n: 2, lease_us: 0, ..POLICY };
    let ran = run(&mut rig, &held, GateCase::Silence, None, never);
    assert!(
        matches!(&ran.outcome, Outcome::Skipped(text) if text.contains("--policy")),
        "{ran:#?}"
    );
    assert_eq!(ran.frames(), 3);
}

#[test]
fn a_bundle_that_monitors_is_told_as_such() {
    let (served, mut rig) = bench();
    let held = learnt(&mut rig, 1);
    let ran = run(&mut rig, &held, GateCase::Silence, None, POLICY);
    assert!(ran.notes.iter().any(|note| note.contains("the pin stays idle")), "{ran:#?}");
    assert!(!served.pin_is_open() && served.pin_closed_us() == 0);
}
