//! Faults from outside: bad bundles, memory that changes, a link that is flooded.

use std::fs;
use std::thread;
use std::time::Duration;

use gradgate_device::log::Code;
use gradgate_device::record::Slot;
use gradgate_gate::Reason;
use gradgate_link::message::{Reply, Verdict};
use gradgate_link::upload::Progress;
use gradgate_link::{Refusal, Request};
use gradgate_tests::rng::Rng;

use crate::bundle::{foreign, other_bits, weights_at};
use crate::client::Client;
use crate::emulator::{Emulator, Pace};
use crate::flash::layout;
use crate::rig::{Bench, Rig};

/// The board's memory, which begins with the bundle that runs.
const BUNDLE: [&str; 2] = ["mps2_an500", "memory3ALL"];

/// Garbage in one go.
const FLOOD_BYTES: usize = 12 * 1024;

/// A reason's number in status and log.
fn number(reason: Reason) -> u32 {
    reason as u32 + 1
}

/// The bundle's weights on their way from memory to a NaN: the frame is at fault, at once.
pub fn nan_in_weights(bench: &Bench) -> String {
    let mut rig = bench.open(&bench.image);
    let weights = weights_at(&bench.bundle);
    let mut seen = Vec::new();
    let took = rig
        .closes(|rig| rig.poke(&BUNDLE, weights, f32::NAN.to_bits()), |rig| seen.push(rig.pass()));
    let faults = rig.client.logged(Code::Fault).len();
    let damaged = rig.client.logged(Code::Damaged).len();
    assert!(faults + damaged > 0, "{:?}", rig.client.log());
    assert!(rig.client.logged(Code::Closed).contains(&number(Reason::Fault)));
    // Memory is loaded anew from flash, and the gate may open again.
    rig.reopen();
    format!("{took}, verdicts {seen:?}")
}

/// A weight that is another finite number: only the hash over memory sees it.
pub fn corrupted_weights(bench: &Bench) -> String {
    let mut rig = bench.open(&bench.image);
    let weights = weights_at(&bench.bundle);
    let took = rig.closes(
        |rig| rig.poke(&BUNDLE, weights, 0.001_f32.to_bits()),
        |rig| {
            rig.pass();
        },
    );
    assert_eq!(rig.client.logged(Code::Damaged).len(), 1, "{:?}", rig.client.log());
    assert!(rig.client.logged(Code::Closed).contains(&number(Reason::Fault)));
    rig.reopen();
    took
}

/// Bundles that must not run: somebody else's, and one that gives other bits than were recorded.
pub fn bad_bundles(bench: &Bench) -> String {
    let mut rig = bench.open(&bench.image);
    let stranger = foreign(&bench.bundle);
    assert_eq!(rig.client.upload(&stranger), Progress::Refused(Refusal::Signature));
    assert_eq!(rig.client.upload(&other_bits(&bench.bundle)), Progress::Done);
    rig.reopen();
    let took = rig.closes(
        |rig| {
            let refused = rig.client.done(&Request::Activate { slot: 1 });
            assert_eq!(refused, Err(Refusal::SelfTest));
        },
        |_| {},
    );
    assert!(rig.client.logged(Code::Closed).contains(&number(Reason::Update)));
    assert!(rig.client.logged(Code::Refused).contains(&(Refusal::SelfTest as u32)));
    rig.reopen();
    format!("{took}, the old bundle runs")
}

/// Flash that lost a bit while there was no power.
pub fn damaged_flash(bench: &Bench) -> String {
    let flash = bench.flash("damaged");
    let mut bytes = fs::read(&flash).expect("a flash");
    bytes[layout().slot(Slot::A).address as usize + weights_at(&bench.bundle)] ^= 1;
    fs::write(&flash, bytes).expect("a flash");
    let mut emulator = Emulator::boot(&bench.image, &flash, Pace::Host);
    let mut client = Client::open(emulator.port()).expect("a device that answers");
    assert_eq!(client.logged(Code::FailState).len(), 1, "{:?}", client.log());
    assert_eq!(client.logged(Code::Refused), [Refusal::Digest as u32]);
    let total_bytes = bench.frame.len() as u32;
    let bytes = &bench.frame[..total_bytes.min(1000) as usize];
    let frame = Request::SendFrame { frame: 1, offset: 0, total_bytes, bytes };
    assert_eq!(client.done(&frame), Err(Refusal::State));
    assert!(!emulator.pin());
    "never open".to_owned()
}

/// Garbage between the pieces of frames does no harm; garbage alone is silence.
pub fn link_flood(bench: &Bench) -> String {
    let mut rig = bench.open(&bench.image);
    let mut rng = Rng(7);
    for _ in 0..10 {
        rig.client.raw(&rng.bytes(200));
        rig.client.raw(&[0]);
        assert_eq!(rig.pass(), Verdict::Pass);
        assert!(rig.emulator.pin(), "frames still came in time");
    }
    // More than the port takes within the lease, all at once.
    let garbage = rng.bytes(FLOOD_BYTES);
    let took = rig.closes(|rig| rig.client.raw(&garbage), |_| {});
    rig.client.raw(&[0]);
    let counters = rig.client.ask(&Request::ReadCounters, |reply| match reply {
        Reply::Counters(counters) => *counters,
        other => panic!("{other:?}"),
    });
    let counters = counters.expect("a device that answers after a flood");
    assert!(counters.link_bad > 10, "{counters:?}");
    assert_eq!(counters.unknown, 0);
    assert!(rig.client.logged(Code::Closed).contains(&number(Reason::Lease)));
    rig.reopen();
    format!("{took}, {} bad frames", counters.link_bad)
}

/// Nobody sends frames any more.
pub fn silence(bench: &Bench) -> String {
    let mut rig = bench.open(&bench.image);
    let took = rig.closes(|_| {}, |_| thread::sleep(Duration::from_millis(1)));
    assert!(rig.client.logged(Code::Closed).contains(&number(Reason::Lease)));
    took
}

/// Power that fails while the gate is open.
pub fn power_cut(bench: &Bench) -> String {
    let mut rig = bench.open(&bench.image);
    let boots = rig.client.health().boots;
    rig.reopen();
    let took = rig.closes(|rig| rig.emulator.reset(), |_| {});
    rig.client.hello().expect("a device that starts anew");
    let health = rig.client.health();
    assert!(health.boots > boots, "{} after {boots}", health.boots);
    assert!(!health.open && !rig.emulator.pin());
    rig.reopen();
    took
}

/// Every request once, on the released image; the stack keeps a quarter of its room.
pub fn stack_room(bench: &Bench) -> String {
    let emulator = Emulator::boot(&bench.image, &bench.flash("stack"), Pace::Host);
    let mut client = Client::open(emulator.port()).expect("a device that answers");
    assert_eq!(client.upload(&bench.bundle), Progress::Done);
    assert_eq!(client.done(&Request::Verify { slot: 1 }), Ok(()));
    assert_eq!(client.done(&Request::Activate { slot: 1 }), Ok(()));
    client.judge(1, &bench.frame);
    look(&mut client);
    assert_eq!(client.done(&Request::Confirm), Ok(()));
    assert_eq!(client.done(&Request::EraseInactive), Ok(()));
    let (room, used) = client.health().stack;
    assert!(room > 0 && used > 0 && used * 4 <= room * 3, "{used} of {room} bytes of stack");
    format!("{used} of {room} bytes")
}

fn look(client: &mut Client) {
    client.log();
    let requests = [
        Request::Identify,
        Request::ReadCounters,
        Request::ReadFeatures { from: 0 },
        Request::ReadEvidence { event: 0, offset: 0 },
        Request::ReadHistogram,
        Request::SetHistogram { low: 0.0, high: 1.0 },
        Request::SetStream { every: 1 },
    ];
    for request in requests {
        client.ask(&request, |_| ()).expect("a device that answers");
    }
}

impl Rig {
    /// The reason of the last restart, once the device answers again.
    pub fn reset_reason(&mut self) -> u8 {
        self.client.hello().expect("a device that starts anew");
        self.client.health().reset
    }
}
