//! Every bit of the bundle in use is looked at in one pass.

use gradgate_bundle::signature::VerifyingKey;
use gradgate_device::rehash::{PASS_US_MAX, Rehash};
use gradgate_device::sim::{SIM_CLASS, sim_bundle, sim_key};
use gradgate_device::verify::{Admitted, Trust};

fn admitted(bundle: &[u8]) -> Admitted {
    let trust = Trust {
        key: VerifyingKey::from(&sim_key()),
        device_class: SIM_CLASS,
        counter_floor: 0,
        arena_bytes_max: 1024,
    };
    let prefix = bundle.first_chunk().expect("a prefix");
    Admitted::check(prefix, &trust, 0).expect("a bundle of the simulation")
}

/// Whether a pass of this length, a round each `round_us`, finds the bundle whole.
fn pass(bundle: &[u8], admitted: &Admitted, round_us: u64) -> bool {
    let mut rehash = Rehash::new(0, u32::MAX);
    let mut now_us = 0;
    while rehash.found_whole() == 0 && now_us <= 2 * PASS_US_MAX {
        if !rehash.step(now_us, admitted, bundle) {
            return false;
        }
        now_us += round_us;
    }
    assert_eq!(rehash.found_whole(), 1, "a pass ends in time");
    true
}

#[test]
fn one_wrong_bit_anywhere_is_found_within_a_pass() {
    let bundle = sim_bundle(5000, 1, SIM_CLASS, &sim_key());
    let admitted = admitted(&bundle);
    for round_us in [200, 100_000, 900_000] {
        assert!(pass(&bundle, &admitted, round_us));
    }
    for at in (0..bundle.len()).step_by(7) {
        let mut wrong = bundle.clone();
        wrong[at] ^= 1 << (at % 8);
        assert!(!pass(&wrong, &admitted, 50_000), "byte {at}");
    }
}

#[test]
fn a_bit_that_changes_at_any_time_is_found_within_two_frame_periods() {
    const PERIOD_US: u64 = 50_000;
    // A verdict of a tenth of it in every round.
    const ROUND_US: u64 = PERIOD_US / 10;
    let bundle = sim_bundle(9000, 1, SIM_CLASS, &sim_key());
    let admitted = admitted(&bundle);
    for at in (0..bundle.len()).step_by(97) {
        for changes_us in (0..12).map(|round| round * ROUND_US) {
            let mut memory = bundle.clone();
            let mut rehash = Rehash::new(0, PERIOD_US as u32);
            let mut now_us = 0;
            loop {
                if now_us == changes_us {
                    memory[at] ^= 4;
                }
                if !rehash.step(now_us, &admitted, &memory) {
                    break;
                }
                now_us += ROUND_US;
                let late = now_us.saturating_sub(changes_us);
                assert!(late < 2 * PERIOD_US, "byte {at}, changed at {changes_us}");
            }
        }
    }
}
