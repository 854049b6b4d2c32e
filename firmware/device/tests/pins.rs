//! Pin and watchdog around all that takes long or ends a bundle, with a bundle that enforces.

mod host;

use gradgate_bundle::align::AlignedBytes;
use gradgate_bundle::detector::Detector;
use gradgate_bundle::header::Policy;
use gradgate_bundle::manifest::DeviceClass;
use gradgate_bundle::read::Bundle;
use gradgate_bundle::write::{BundleParts, assemble, sign};
use gradgate_device::board::Level;
use gradgate_device::device::{CameraMemory, Device, Memory, Setup};
use gradgate_device::sim::{Broken, sim_key};
use gradgate_engine::{Engine, Frame};
use gradgate_link::frame::{FRAME_BYTES_MAX, encode};
use gradgate_link::message::{Reply, Verdict};
use gradgate_link::session::{Requester, Timing};
use gradgate_link::upload::{Progress, Sender};
use gradgate_link::{Key, Refusal, Request};

use host::{Bench, LINK_KEY, ROUND_US, Shared, Watched, layout, provisioned, setup, shipped};

const FRAME_BYTES: u32 = 32 * 32 * 3;
const PERIOD_US: u32 = 100_000;

fn frame(seed: u32) -> Vec<u8> {
    let mix = |at: u32| (at ^ seed.wrapping_mul(77)).wrapping_mul(2_654_435_761) >> 24;
    (0..FRAME_BYTES).map(|at| mix(at) as u8).collect()
}

/// The shipped bundle with a gate that opens at the first PASS and closes at the first BLOCK; a
/// frame that passes and one that does not.
fn enforcing() -> (Vec<u8>, Vec<u8>, Vec<u8>) {
    let bytes = AlignedBytes::from(&shipped()[..]);
    let bundle = Bundle::parse(&bytes).expect("own bundle");
    let engine = Engine::load(bundle.clone()).expect("own plan");
    let mut arena = vec![0.0; engine.arena_elements()];
    let mut scored: Vec<(f32, Vec<u8>)> = (0..6)
        .map(|seed| {
            let (_, judgement) = engine.judge(Frame::U8(&frame(seed)), &mut arena).expect("runs");
            (judgement.expect("a detector").expect("finite").score, frame(seed))
        })
        .collect();
    scored.sort_by(|one, other| one.0.total_cmp(&other.0));
    let mut header = bundle.header().clone();
    let (k, m, n, lease_periods, frozen_frames) = (1, 1, 1, 2, 3);
    header.policy =
        Policy { enforce: true, frame_period_us: PERIOD_US, k, m, n, lease_periods, frozen_frames };
    let detector = header.detector.take().expect("a detector");
    header.detector = Some(Detector { threshold: scored[2].0, caution: None, ..detector });
    let manifest = bundle.manifest();
    let parts = BundleParts {
        header,
        tensors: bundle.tensors().to_vec(),
        steps: bundle.steps().to_vec(),
        params: manifest.params.of(&bytes).expect("inside").to_vec(),
        blobs: bundle.blobs().to_vec(),
        device_class: DeviceClass::Any,
        security_counter: 7,
        input: manifest.input.map(|extent| extent.get()),
    };
    let mut image = assemble(&parts).expect("parts of a bundle").to_vec();
    sign(&mut image, &sim_key()).expect("a manifest");
    (image, scored[0].1.clone(), scored[5].1.clone())
}

fn answered(bench: &mut Bench, request: &Request<'_>) -> Result<Option<Verdict>, Refusal> {
    bench.ask(request, |reply| match reply {
        Reply::Refused(refusal) => Err(*refusal),
        Reply::Judged(judged) => Ok(Some(judged.verdict)),
        _ => Ok(None),
    })
}

fn judge(bench: &mut Bench, number: u32, bytes: &[u8]) -> Result<Option<Verdict>, Refusal> {
    let request = Request::SendFrame { frame: number, offset: 0, total_bytes: FRAME_BYTES, bytes };
    answered(bench, &request)
}

fn upload(bench: &mut Bench, image: &[u8]) {
    let mut sender = Sender::new(image, 2048).expect("an image");
    while let Some(request) = sender.request() {
        let reply = bench.ask(&request, |reply| match reply {
            Reply::Upload { offset } => Reply::Upload { offset: *offset },
            Reply::Refused(refusal) => Reply::Refused(*refusal),
            Reply::Done => Reply::Done,
            other => panic!("{other:?}"),
        });
        sender.answered(&reply);
    }
    assert_eq!(sender.progress(), Progress::Done);
}

/// On trial, with an OPEN pin.
fn open(setup: Setup) -> Bench {
    let (image, passes, _) = enforcing();
    let mut bench = Bench::start_as(provisioned(), LINK_KEY, setup);
    upload(&mut bench, &image);
    assert_eq!(answered(&mut bench, &Request::Activate { slot: 0 }), Ok(None));
    assert_eq!(bench.shared.world().pin, Some(Level::Closed));
    assert_eq!(judge(&mut bench, 1, &passes), Ok(Some(Verdict::Pass)));
    assert!(is_open(&bench));
    bench
}

fn is_open(bench: &Bench) -> bool {
    matches!(bench.shared.world().pin, Some(Level::Open { .. }))
}

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
    bench.say(&Request::Reboot);
    let shared = bench.shared.clone();
    bench.end();
    let world = shared.world();
    let open = |pin: &Option<Level>| matches!(pin, Some(Level::Open { .. }));
    let closed = world.rounds.iter().rev().take_while(|(pin, _)| !open(pin)).count();
    assert!((1..10).contains(&closed), "{closed} rounds");
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
