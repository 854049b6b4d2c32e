//! Pin and watchdog around all that takes long or ends a bundle, with a bundle that enforces.

mod host;

use gradgate_device::board::Level;
use gradgate_device::device::{CameraMemory, Device, Memory, Setup};
use gradgate_device::sim::Broken;
use gradgate_link::frame::{FRAME_BYTES_MAX, encode};
use gradgate_link::message::Verdict;
use gradgate_link::session::{Requester, Timing};
use gradgate_link::upload::Sender;
use gradgate_link::{Key, Refusal, Request};

use host::enforcing::{PERIOD_US, answered, enforcing, is_open, judge, open, upload};
use host::{Bench, LINK_KEY, ROUND_US, Shared, Watched, layout, provisioned, setup};

/// Of a board without room for any bundle.
fn memory(bundle: &mut [u8]) -> Memory<'_> {
    let camera = CameraMemory { line: &mut [], row: &mut [], sums: &mut [], frame: &mut [] };
    Memory { bundle, arena: &mut [], camera, evidence: &mut [] }
}

#[test]
fn a_start_closes_the_pin_and_feeds_the_watchdog_before_it_reads_flash() {
    let shared = Shared::default();
    let flash = Watched(provisioned(), shared.clone());
    Device::start(shared.clone(), flash, setup(), memory(&mut [0; 16]));
    let world = shared.world();
    assert_eq!((world.touched_open, world.touched_unfed), (false, false));
}

/// The pin is closed in the very round of a BLOCK, and shows until when a PASS holds it open.
#[test]
fn the_pin_follows_a_verdict_at_once() {
    let (_, passes, blocks) = enforcing();
    let mut bench = open(setup());
    let Some(Level::Open { until_us }) = bench.shared.world().pin else { panic!("closed") };
    let now_us = bench.shared.world().now_us;
    let lease_us = u64::from(2 * PERIOD_US);
    assert!((now_us..=now_us + 1).contains(&(until_us - lease_us + ROUND_US)));
    assert_eq!(judge(&mut bench, 2, &blocks), Ok(Some(Verdict::Block)));
    assert_eq!(bench.shared.world().pin, Some(Level::Closed));
    assert_eq!(judge(&mut bench, 3, &passes), Ok(Some(Verdict::Pass)));
    assert!(is_open(&bench));
}

#[test]
fn changes_close_the_pin_and_feed_the_watchdog_before_they_read_flash() {
    let (image, ..) = enforcing();
    for request in [Request::Verify { slot: 0 }, Request::Revert, Request::Activate { slot: 1 }] {
        let mut bench = open(setup());
        if let Request::Activate { .. } = request {
            assert_eq!(answered(&mut bench, &Request::Confirm), Ok(None));
            upload(&mut bench, &image);
            let (_, passes, _) = enforcing();
            assert_eq!(judge(&mut bench, 9, &passes), Ok(Some(Verdict::Pass)));
        }
        assert!(is_open(&bench));
        let mut world = bench.shared.world();
        (world.touched_open, world.touched_unfed) = (false, false);
        drop(world);
        assert_eq!(answered(&mut bench, &request), Ok(None));
        let world = bench.shared.world();
        assert_eq!(world.pin, Some(Level::Closed), "{request:?}");
        assert_eq!((world.touched_open, world.touched_unfed), (false, false), "{request:?}");
    }
}

#[test]
fn a_restart_that_was_asked_for_closes_the_pin_and_feeds_the_watchdog_to_its_end() {
    let mut bench = open(setup());
    // The answer takes some rounds.
    bench.shared.world().is_slow = true;
    bench.say(&Request::Reboot);
    let shared = bench.shared.clone();
    bench.end();
    let world = shared.world();
    let open = |pin: &Option<Level>| matches!(pin, Some(Level::Open { .. }));
    let closed = world.rounds.iter().rev().take_while(|(pin, _)| !open(pin)).count();
    assert!((3..10).contains(&closed), "{closed} rounds");
    let fed = world.rounds.windows(2).all(|two| two[1].1 > two[0].1);
    assert!(fed, "a round without a feeding");
}

/// An erase that stops the loop for a frame period or longer closes the gate before, a shorter one
/// leaves it.
#[test]
fn erases_close_the_gate_where_they_take_a_frame_period() {
    let (image, ..) = enforcing();
    for (erase_us_max, stays_open) in [(PERIOD_US - 1, true), (PERIOD_US, false)] {
        let mut setup = setup();
        setup.description.erase_us_max = erase_us_max;
        let mut bench = open(setup);
        assert_eq!(answered(&mut bench, &Request::Confirm), Ok(None));
        let sender = Sender::new(&image, 2048).expect("an image");
        let begin = sender.request().expect("the beginning");
        assert_eq!(answered(&mut bench, &begin), Err(Refusal::NotNow));
        (0..3).for_each(|_| bench.round());
        assert_eq!(is_open(&bench), stays_open, "{erase_us_max} us");
    }
}

/// Sessions without a number of this start could come twice.
#[test]
fn a_device_without_a_boot_number_says_nothing() {
    let timing = Timing { timeout_ms: 1000, tries: 3 };
    let mut frame = [0; FRAME_BYTES_MAX];
    let mut requester = Requester::new(Key::new(&LINK_KEY), timing);
    let length = encode(requester.hello(1, 0), &mut frame).expect("short");
    for broken in [false, true] {
        let mut flash = provisioned();
        for sector in *layout().settings().expect("given") {
            if broken {
                flash.break_sectors(sector, Broken::Writes);
            }
        }
        let shared = Shared::default();
        let mut bundle = [0; 16];
        let mut device = Device::start(shared.clone(), flash, setup(), memory(&mut bundle));
        shared.world().to_device.extend(&frame[..length]);
        let mut rounds = 0;
        device.run(|_, _| {
            rounds += 1;
            rounds < 50
        });
        assert_eq!(shared.world().from_device.is_empty(), broken);
    }
}

/// What the board says of security counters holds whatever the journal says.
#[test]
fn a_bundle_below_the_board_s_counter_is_refused() {
    let (image, ..) = enforcing();
    for (counter_floor, refused) in [(7, Refusal::NotNow), (8, Refusal::Counter)] {
        let mut bench =
            Bench::start_as(provisioned(), LINK_KEY, Setup { counter_floor, ..setup() });
        let sender = Sender::new(&image, 2048).expect("an image");
        let begin = sender.request().expect("the beginning");
        assert_eq!(answered(&mut bench, &begin), Err(refused));
    }
}
