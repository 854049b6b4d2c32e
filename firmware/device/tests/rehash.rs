//! Every bit of the bundle in use is looked at in one pass.

use gradgate_bundle::manifest::PREFIX_BYTES;
use gradgate_bundle::signature::VerifyingKey;
use gradgate_device::rehash::{PASS_US, Rehash};
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
    let mut rehash = Rehash::new(0);
    let mut now_us = 0;
    while rehash.found_whole() == 0 && now_us <= 2 * PASS_US {
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
    for at in (PREFIX_BYTES..bundle.len()).step_by(7) {
        let mut wrong = bundle.clone();
        wrong[at] ^= 1 << (at % 8);
        assert!(!pass(&wrong, &admitted, 50_000), "byte {at}");
    }
}
