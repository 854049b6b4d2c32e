//! A host that pauses in the middle of a frame.

use std::time::Duration;

use gradgate_device::sim::SERVED_LINK_KEY;
use gradgate_field::address::BAUD;
use gradgate_field::client::Client;
use gradgate_field::hil::{Hooks, Rig};
use gradgate_field::keys::{Keyring, LinkKey};
use gradgate_field::link::Patience;
use gradgate_field::wire::{Live, Wire};

use crate::bench::{bench, learnt};

/// Longer than a device waits for the next piece of a frame.
const PAUSE: Duration = Duration::from_millis(1200);

/// Pauses before one long packet: the second piece of a frame of three.
struct Pausing {
    live: Live,
    long: u32,
}

impl Wire for Pausing {
    fn now_ms(&mut self) -> u64 {
        self.live.now_ms()
    }

    fn read(&mut self, buffer: &mut [u8], until_ms: u64) -> usize {
        self.live.read(buffer, until_ms)
    }

    fn write(&mut self, frame: &[u8]) {
        self.long += u32::from(frame.len() > 500);
        if self.long == 2 && frame.len() > 500 {
            std::thread::sleep(PAUSE);
        }
        self.live.write(frame);
    }

    fn nonce(&mut self) -> u64 {
        self.live.nonce()
    }
}

#[test]
fn a_frame_that_a_pause_cut_is_sent_again() {
    let (served, mut rig) = bench();
    let held = learnt(&mut rig, 1);
    drop(rig);
    let live = Live::open(&served.address.parse().expect("an address"), BAUD).expect("free");
    let keyring = Keyring::link(LinkKey::new(SERVED_LINK_KEY));
    let client = Client::new(Pausing { live, long: 0 }, keyring, Patience::default());
    let mut rig = Rig::new(client, &served.address, Hooks::default()).expect("it answers");
    let judged = rig.send(&held.0[0]).expect("judged in the end");
    assert_eq!(judged.score.to_bits(), held.0[0].expected.score.to_bits());
    let pieces = held.0[0].bytes.len().div_ceil(1024) as u32;
    assert!(rig.client().wire().long > 1 + pieces, "some pieces in vain, then the whole frame");
}
