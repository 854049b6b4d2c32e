//! Every transition by table, every short string of verdicts against the rules said otherwise.

extern crate std;

use std::vec::Vec;

use gradgate_bundle::detector::Fault;
use gradgate_bundle::header::Policy;

use super::*;
use crate::policy::DEFAULT_POLICY;
use crate::verdict::Cause;

const PERIOD: u64 = 100_000;
const UNKNOWN: Verdict = Verdict::Unknown { cause: Cause::Caution };
const BROKEN: Verdict = Verdict::Unknown { cause: Cause::Fault(Fault::Score) };

fn policy(k: u8, m: u8, n: u8, lease_periods: u8) -> Policy {
    Policy { k, m, n, lease_periods, ..DEFAULT_POLICY }
}

/// A frame period: what came in it.
fn verdict(letter: u8) -> Option<Verdict> {
    match letter {
        b'P' => Some(Verdict::Pass),
        b'B' => Some(Verdict::Block),
        b'U' => Some(UNKNOWN),
        b'F' => Some(BROKEN),
        _ => None,
    }
}

/// States after each letter; `.` is a period in which nothing comes, `,` the same and nobody asks.
fn played(policy: &Policy, text: &[u8]) -> Vec<State> {
    let mut gate = Gate::new(policy).unwrap();
    let mut before = gate.state();
    let mut states = Vec::new();
    for (at, letter) in text.iter().enumerate() {
        let now = (at as u64 + 1) * PERIOD;
        let change = match (verdict(*letter), letter) {
            (Some(verdict), _) => gate.observe(now, verdict),
            (None, b'.') => gate.tick(now),
            (None, _) => None,
        };
        let changed = before.is_open() != gate.state().is_open();
        let wanted = changed.then_some(Change { state: gate.state(), at_us: now });
        assert_eq!(change, wanted, "{} at {at}", text.escape_ascii());
        before = gate.state();
        states.push(before);
    }
    states
}

/// The rules again, from the whole history and without a state but since when the gate is open.
fn modelled(policy: &Policy, text: &[u8]) -> Vec<State> {
    let lease = usize::from(policy.lease_periods);
    let mut open_since = None;
    let mut closed_for = Reason::Start;
    // A row of PASS may not reach back beyond this.
    let mut row_from = 0;
    let mut states = Vec::new();
    for (at, letter) in text.iter().enumerate() {
        if *letter != b',' {
            let past = &text[..at];
            let reason = open_since.and_then(|since: usize| {
                let fed = |i: &usize| matches!(text[*i], b'P' | b'B');
                let last = (since..at).rev().find(fed).unwrap_or(since);
                let judged: Vec<u8> =
                    text[since + 1..=at].iter().copied().filter(|l| b"PB".contains(l)).collect();
                let recent = judged.iter().rev().take(usize::from(policy.m));
                let blocks = recent.filter(|l| **l == b'B').count();
                match letter {
                    b'F' => Some(Reason::Fault),
                    _ if at - last > lease => Some(Reason::Lease),
                    b'B' if blocks >= usize::from(policy.k) => Some(Reason::Blocks),
                    _ => None,
                }
            });
            if let Some(reason) = reason {
                (open_since, closed_for) = (None, reason);
                row_from = if *letter == b'P' { at } else { at + 1 };
            } else if open_since.is_none() {
                closed_for = if *letter == b'F' { Reason::Fault } else { closed_for };
                let row = row(&past[row_from.min(at)..], lease);
                if *letter == b'P' && row + 1 >= usize::from(policy.n) {
                    open_since = Some(at);
                }
            }
        }
        states.push(if open_since.is_some() { State::Open } else { State::Closed(closed_for) });
    }
    states
}

/// PASS at the end of a history, no two of them further apart than the lease, nor the last from
/// what comes next.
fn row(past: &[u8], lease: usize) -> usize {
    let (mut count, mut silence) = (0, 1);
    for letter in past.iter().rev() {
        match letter {
            b'P' if silence <= lease => (count, silence) = (count + 1, 1),
            b'.' | b',' => silence += 1,
            _ => break,
        }
    }
    count
}

#[test]
fn every_short_history_is_as_the_rules_say() {
    let policies =
        [(1, 1, 1, 1), (1, 1, 2, 2), (2, 2, 1, 1), (2, 3, 1, 2), (2, 3, 2, 2), (3, 4, 3, 3)];
    let letters = b"PBUF.,";
    let (mut opened, mut closed) = (0, [0; 6]);
    for (k, m, n, lease) in policies {
        let policy = policy(k, m, n, lease);
        // One PASS ahead lets histories of this length reach further.
        for number in 0..letters.len().pow(7) {
            let mut text = *b"PP......";
            for place in 0..7 {
                text[place + 1] = letters[number / letters.len().pow(place as u32) % letters.len()];
            }
            let states = played(&policy, &text);
            assert_eq!(states, modelled(&policy, &text), "{} {policy:?}", text.escape_ascii());
            match states.last() {
                Some(State::Open) => opened += 1,
                Some(State::Closed(reason)) => closed[*reason as usize] += 1,
                None => {}
            }
        }
    }
    // The histories reach every state that verdicts and silence can lead to.
    assert!(opened > 1_000);
    for reason in [Reason::Start, Reason::Blocks, Reason::Lease, Reason::Fault] {
        assert!(closed[reason as usize] > 1_000, "{reason}: {closed:?}");
    }
}

/// Two steps to OPEN, then what the table's row says.
#[test]
fn transitions_by_table() {
    use Reason::{Blocks, Fault, Lease, Start};
    use State::{Closed, Open};
    let rows: &[(&[u8], State)] = &[
        (b"", Closed(Start)),
        (b"P", Closed(Start)),
        (b"PP", Open),
        (b"PBP", Closed(Start)),
        (b"PUP", Closed(Start)),
        (b"P.PP", Open),
        (b"P..PP", Open),
        (b"P..P", Closed(Start)),
        (b"F", Closed(Fault)),
        (b"PFP", Closed(Fault)),
        (b"PFPP", Open),
        (b"PPP", Open),
        (b"PPB", Open),
        (b"PPBB", Closed(Blocks)),
        (b"PPBPB", Closed(Blocks)),
        (b"PPBPPB", Open),
        (b"PPBUB", Closed(Blocks)),
        (b"PPU", Open),
        (b"PPUU", Open),
        (b"PPUUU", Closed(Lease)),
        (b"PPBU.", Open),
        (b"PPBU..", Closed(Lease)),
        (b"PP..", Open),
        (b"PP...", Closed(Lease)),
        (b"PP..P", Closed(Lease)),
        (b"PP..PP", Open),
        (b"PPF", Closed(Fault)),
        (b"PPBBP", Closed(Blocks)),
        // The window begins empty: the BLOCK before the closing do not count.
        (b"PPBBPPB", Open),
    ];
    for (text, wanted) in rows {
        let states = played(&policy(2, 3, 2, 2), text);
        let state = states.last().copied().unwrap_or(Closed(Start));
        assert_eq!(state, *wanted, "{}", text.escape_ascii());
    }
}

fn open_gate(at: u64) -> Gate {
    let mut gate = Gate::new(&policy(1, 1, 1, 2)).unwrap();
    let change = gate.observe(at, Verdict::Pass);
    assert_eq!(change, Some(Change { state: State::Open, at_us: at }));
    gate
}

#[test]
fn the_lease_ends_at_its_microsecond() {
    for start in [0, 1, 12_345, u64::MAX / 2, u64::MAX - 200_002] {
        let gate = open_gate(start);
        let last = start + 200_000;
        assert_eq!(gate.deadline_us(), Some(last + 1));
        let calls: [fn(&mut Gate, u64) -> Option<Change>; 4] = [
            |gate, now| gate.tick(now),
            |gate, now| gate.observe(now, Verdict::Pass),
            |gate, now| gate.observe(now, UNKNOWN),
            |gate, now| gate.observe(now, Verdict::Block),
        ];
        for call in &calls[..3] {
            assert_eq!(call(&mut gate.clone(), last), None, "{start}");
        }
        for call in calls {
            let mut late = gate;
            let state = State::Closed(Reason::Lease);
            assert_eq!(call(&mut late, last + 1), Some(Change { state, at_us: last + 1 }));
            assert_eq!((late.state(), late.deadline_us()), (state, None));
        }
    }
}

#[test]
fn time_that_runs_backwards_closes_the_gate() {
    let closed = State::Closed(Reason::Clock);
    for (start, back) in [(5, 4), (200_000, 0), (u64::MAX, 0), (u64::MAX, u64::MAX - 1)] {
        let mut ticked = open_gate(start);
        assert_eq!(ticked.tick(back), Some(Change { state: closed, at_us: back }));
        let mut gate = open_gate(start);
        let change = gate.observe(back, Verdict::Pass);
        assert_eq!(change, Some(Change { state: closed, at_us: back }), "{start} {back}");
        // The new time counts from here on: the gate can open again.
        assert!(gate.observe(back, Verdict::Pass).is_some_and(|change| change.state.is_open()));
    }
    let mut gate = Gate::new(&policy(1, 1, 3, 2)).unwrap();
    for now in [10, 11, 9, 10, 11] {
        assert_eq!(gate.observe(now, Verdict::Pass), None, "a jump back begins the row again");
    }
    assert_eq!(gate.observe(12, Verdict::Pass).map(|change| change.state), Some(State::Open));
}

#[test]
fn the_same_time_twice_is_no_fault() {
    let mut gate = open_gate(7);
    assert_eq!((gate.tick(7), gate.observe(7, Verdict::Pass)), (None, None));
}

#[test]
fn the_last_microsecond_of_time_has_no_deadline() {
    let mut gate = open_gate(u64::MAX - 5);
    assert_eq!((gate.deadline_us(), gate.tick(u64::MAX)), (None, None));
}

#[test]
fn whoever_closes_it_gives_the_reason() {
    for reason in Reason::ALL {
        let mut gate = open_gate(3);
        let state = State::Closed(reason);
        assert_eq!(gate.close(reason), Some(Change { state, at_us: 3 }));
        assert_eq!(gate.close(Reason::Update), None);
        assert_eq!(gate.state(), State::Closed(Reason::Update), "the later reason holds");
        assert_eq!(reason as usize, Reason::ALL.iter().position(|one| *one == reason).unwrap());
    }
    let mut gate = open_gate(3);
    assert_eq!(gate.fault().map(|change| change.state), Some(State::Closed(Reason::Fault)));
}

#[test]
fn the_longest_window_counts_all_its_verdicts() {
    let mut gate = Gate::new(&policy(64, 64, 1, 2)).unwrap();
    gate.observe(0, Verdict::Pass);
    for frame in 1..64 {
        assert_eq!(gate.observe(frame, Verdict::Block), None);
    }
    assert!(gate.observe(64, Verdict::Block).is_some());
}

#[test]
fn a_policy_that_no_gate_could_follow_makes_none() {
    let error = Gate::new(&policy(6, 5, 1, 2)).unwrap_err();
    assert_eq!(error, PolicyError::Blocks);
}

#[test]
fn every_cause_but_those_of_the_picture_is_a_fault() {
    let causes = [Cause::Fault(Fault::Length), Cause::Judgement, Cause::Limits, Cause::NoDetector];
    for (cause, faulty) in causes
        .map(|cause| (cause, true))
        .into_iter()
        .chain([(Cause::Caution, false), (Cause::Sensor, false)])
    {
        let mut gate = open_gate(1);
        let change = gate.observe(2, Verdict::Unknown { cause });
        assert_eq!(change.is_some(), faulty, "{cause:?}");
    }
}
