//! The whole device over its link: a bundle goes in, frames are judged as the engine judges them.

mod host;

use gradgate_bundle::align::AlignedBytes;
use gradgate_bundle::read::Bundle;
use gradgate_bundle::signature::VerifyingKey;
use gradgate_device::board::Level;
use gradgate_device::camera::Geometry;
use gradgate_device::device::Setup;
use gradgate_device::log::Code;
use gradgate_device::sim::{SimFlash, sim_key};
use gradgate_device::unfit::Unfit;
use gradgate_engine::{Engine, Frame};
use gradgate_frame::{Intake, PixelFormat, Size};
use gradgate_link::mac::UNPROVISIONED;
use gradgate_link::message::{Judged, Reply, SlotState, Verdict, events};
use gradgate_link::upload::{Progress, Sender};
use gradgate_link::{Refusal, Request};

use host::{Bench, CAMERA, LINK_KEY, layout, provisioned, setup, shipped};

const FRAME_BYTES: u32 = 32 * 32 * 3;

fn frame(seed: u32) -> Vec<u8> {
    let mix = |at: u32| (at ^ seed.wrapping_mul(77)).wrapping_mul(2_654_435_761) >> 24;
    (0..FRAME_BYTES).map(|at| mix(at) as u8).collect()
}

fn upload(bench: &mut Bench, image: &[u8]) -> Progress {
    let mut sender = Sender::new(image, 2048).expect("an image");
    while let Some(request) = sender.request() {
        let (mut offset, mut refused) = (None, None);
        match bench.ask(&request, |reply| match reply {
            Reply::Upload { offset } => Ok(Some(*offset)),
            Reply::Done => Ok(None),
            Reply::Refused(refusal) => Err(*refusal),
            other => panic!("{other:?}"),
        }) {
            Ok(found) => offset = found,
            Err(refusal) => refused = Some(refusal),
        }
        sender.answered(&match (offset, refused) {
            (_, Some(refusal)) => Reply::Refused(refusal),
            (Some(offset), None) => Reply::Upload { offset },
            (None, None) => Reply::Done,
        });
    }
    sender.progress()
}

fn done(bench: &mut Bench, request: &Request<'_>) -> Result<(), Refusal> {
    bench.ask(request, |reply| match reply {
        Reply::Done => Ok(()),
        Reply::Refused(refusal) => Err(*refusal),
        other => panic!("{request:?}: {other:?}"),
    })
}

fn judge(bench: &mut Bench, number: u32, pixels: &[u8]) -> Judged {
    let (first, rest) = pixels.split_at(2000);
    let piece = |offset, bytes| Request::SendFrame {
        frame: number,
        offset,
        total_bytes: FRAME_BYTES,
        bytes,
    };
    assert_eq!(done(bench, &piece(0, first)), Ok(()));
    bench.ask(&piece(2000, rest), |reply| match reply {
        Reply::Judged(judged) => *judged,
        other => panic!("{other:?}"),
    })
}

fn states(bench: &mut Bench) -> (Option<u8>, [SlotState; 2]) {
    bench.ask(&Request::ListSlots, |reply| match reply {
        Reply::Slots { active, slots } => (*active, slots.map(|slot| slot.state)),
        other => panic!("{other:?}"),
    })
}

#[test]
fn a_bundle_goes_in_and_judges_as_the_engine_does() {
    let mut bench = Bench::start(provisioned(), LINK_KEY);
    let image = shipped();
    assert_eq!(states(&mut bench), (None, [SlotState::Empty; 2]));
    assert_eq!(bench.shared.world().pin, Some(Level::Closed), "no bundle: the fail state");
    assert_eq!(upload(&mut bench, &image), Progress::Done);
    let staged = [SlotState::Staged, SlotState::Empty];
    assert_eq!(states(&mut bench), (None, staged));
    assert_eq!(done(&mut bench, &Request::Verify { slot: 0 }), Ok(()));
    let not_there = done(&mut bench, &Request::Activate { slot: 1 });
    assert_eq!(not_there, Err(Refusal::State));
    assert_eq!(done(&mut bench, &Request::Activate { slot: 0 }), Ok(()));
    let trial = [SlotState::Trial, SlotState::Empty];
    assert_eq!(states(&mut bench), (Some(0), trial));

    let bytes = AlignedBytes::from(&image[..]);
    let engine = Engine::load(Bundle::parse(&bytes).expect("parses")).expect("loads");
    let mut arena = vec![0.0; engine.arena_elements()];
    for number in 0..4 {
        let pixels = frame(number);
        let judged = judge(&mut bench, number, &pixels);
        let (features, judgement) = engine.judge(Frame::U8(&pixels), &mut arena).expect("runs");
        let judgement = judgement.expect("a detector").expect("finite");
        assert_eq!(judged.score.to_bits(), judgement.score.to_bits());
        assert_eq!((judged.frame, u32::from(judged.class)), (number, judgement.class));
        let logits: Vec<u8> = features.logits.iter().flat_map(|v| v.to_le_bytes()).collect();
        bench.ask(&Request::ReadFeatures { from: 0 }, |reply| match reply {
            Reply::Features { frame, first: 0, values, .. } => {
                assert_eq!(*frame, number);
                assert_eq!(values[..logits.len()], logits);
            }
            other => panic!("{other:?}"),
        });
    }
    assert_eq!(done(&mut bench, &Request::Confirm), Ok(()));
    assert_eq!(done(&mut bench, &Request::Confirm), Err(Refusal::State));

    // After a power cut the same bundle runs, and nothing else is needed.
    let mut bench = Bench::start(bench.stop(), LINK_KEY);
    let confirmed = [SlotState::Confirmed, SlotState::Empty];
    assert_eq!(states(&mut bench), (Some(0), confirmed));
    let judged = judge(&mut bench, 9, &frame(0));
    assert_ne!(judged.verdict, Verdict::Unknown);
    // The shipped bundle only monitors.
    assert_eq!(bench.shared.world().pin, Some(Level::Idle));
}

#[test]
fn frames_that_cannot_be_are_refused() {
    let mut bench = Bench::start(provisioned(), LINK_KEY);
    let piece = |frame, offset, total_bytes, bytes| Request::SendFrame {
        frame,
        offset,
        total_bytes,
        bytes,
    };
    let refused = done(&mut bench, &piece(1, 0, FRAME_BYTES, &[0; 100]));
    assert_eq!(refused, Err(Refusal::State), "no bundle");
    assert_eq!(upload(&mut bench, &shipped()), Progress::Done);
    assert_eq!(done(&mut bench, &Request::Activate { slot: 0 }), Ok(()));
    let (width, height) = (CAMERA.width as u16, CAMERA.height as u16);
    let begin = Request::StartFrame { frame: 1, age_us: 0, width, height, format: 5 };
    let cases: [(&str, &[Request<'_>]); 7] = [
        ("another length", &[piece(1, 0, 3071, &[0; 100])]),
        ("too long for the device", &[piece(1, 0, u32::MAX, &[0; 100])]),
        ("no beginning", &[piece(1, 100, FRAME_BYTES, &[0; 100])]),
        ("a gap", &[piece(1, 0, FRAME_BYTES, &[0; 100]), piece(1, 101, FRAME_BYTES, &[0; 9])]),
        ("another frame", &[piece(1, 0, FRAME_BYTES, &[0; 9]), piece(2, 9, FRAME_BYTES, &[0; 9])]),
        ("beyond its end", &[piece(1, 0, FRAME_BYTES, &[0; 3073])]),
        ("another length than was begun", &[begin, piece(1, 0, 100, &[0; 100])]),
    ];
    for (name, pieces) in cases {
        let results: Vec<_> = pieces.iter().map(|one| done(&mut bench, one)).collect();
        assert_eq!(results.last(), Some(&Err(Refusal::Range)), "{name}");
    }
    let judged = judge(&mut bench, 3, &frame(3));
    assert_eq!(judged.frame, 3, "the device still judges");
}

#[test]
fn a_whole_pass_over_the_bundle_in_use_is_counted() {
    let mut bench = Bench::start(provisioned(), LINK_KEY);
    assert_eq!(upload(&mut bench, &shipped()), Progress::Done);
    assert_eq!(done(&mut bench, &Request::Activate { slot: 0 }), Ok(()));
    // Three quarters of the bundle's frame period, at 200 microseconds a round.
    (0..375).for_each(|_| bench.round());
    let rehashes = bench.ask(&Request::ReadStatus, |reply| match reply {
        Reply::Status(status) => status.rehashes,
        other => panic!("{other:?}"),
    });
    assert_eq!(rehashes, 1);
}

/// A frame as the camera would send it, in pieces; the verdict, and the gate's fault in the log.
fn inject(
    bench: &mut Bench,
    number: u32,
    age_us: u32,
    (width, height): (u16, u16),
    bytes: &[u8],
) -> (Judged, Option<u32>) {
    let logged = bench.ask(&Request::ReadLog { from: 0 }, |reply| match reply {
        Reply::Log { next, .. } => *next,
        other => panic!("{other:?}"),
    });
    let start = Request::StartFrame { frame: number, age_us, width, height, format: 5 };
    assert_eq!(done(bench, &start), Ok(()));
    let total_bytes = u32::from(width) * u32::from(height) * 2;
    let mut judged = None;
    for (index, bytes) in bytes.chunks(2477).enumerate() {
        let offset = index as u32 * 2477;
        let piece = Request::SendFrame { frame: number, offset, total_bytes, bytes };
        judged = bench.ask(&piece, |reply| match reply {
            Reply::Done => None,
            Reply::Judged(judged) => Some(*judged),
            other => panic!("{other:?}"),
        });
    }
    let judged = judged.expect("the last piece is judged");
    let new = bench.ask(&Request::ReadLog { from: logged }, |reply| match reply {
        Reply::Log { events: bytes, .. } => events(bytes).last(),
        other => panic!("{other:?}"),
    });
    (judged, new.filter(|event| event.code == Code::Unfit as u16).map(|event| event.value))
}

fn camera_frame(seed: u32) -> Vec<u8> {
    let bytes = CAMERA.frame_bytes().expect("a camera") as u32;
    let mix = |at: u32| (at ^ seed.wrapping_mul(77)).wrapping_mul(2_654_435_761) >> 24;
    (0..bytes).map(|at| mix(at) as u8).collect()
}

#[test]
fn a_camera_s_frame_is_made_the_model_s_as_on_the_host() {
    let mut bench = Bench::start(provisioned(), LINK_KEY);
    let image = shipped();
    assert_eq!(upload(&mut bench, &image), Progress::Done);
    assert_eq!(done(&mut bench, &Request::Activate { slot: 0 }), Ok(()));
    let bytes = camera_frame(1);
    let (judged, unfit) = inject(&mut bench, 1, 0, (80, 60), &bytes);
    assert_eq!(unfit, None);

    let (mut row, mut sums) = ([0; 240], [0; 192]);
    let size = |width, height| Size { width, height };
    let (from, to) = (size(80, 60), size(32, 32));
    let mut intake = Intake::new(CAMERA.format, from, to, 3, &mut row, &mut sums).expect("fits");
    let mut pixels = vec![0; FRAME_BYTES as usize];
    for line in bytes.chunks(160) {
        intake.push_row(line, &mut pixels).expect("a row");
    }
    let bytes = AlignedBytes::from(&image[..]);
    let engine = Engine::load(Bundle::parse(&bytes).expect("parses")).expect("loads");
    let mut arena = vec![0.0; engine.arena_elements()];
    let (_, judgement) = engine.judge(Frame::U8(&pixels), &mut arena).expect("runs");
    let judgement = judgement.expect("a detector").expect("finite");
    assert_eq!(judged.score.to_bits(), judgement.score.to_bits());
}

#[test]
fn unfit_frames_are_unknown_and_the_log_says_why() {
    let mut bench = Bench::start(provisioned(), LINK_KEY);
    assert_eq!(upload(&mut bench, &shipped()), Progress::Done);
    assert_eq!(done(&mut bench, &Request::Activate { slot: 0 }), Ok(()));
    let (good, size) = (camera_frame(1), (80, 60));
    let small = good[..40 * 30 * 2].to_vec();
    type Case = (&'static str, u32, u32, (u16, u16), Vec<u8>, Option<Unfit>);
    let cases: [Case; 8] = [
        ("good", 5, 0, size, good.clone(), None),
        ("the same number", 5, 0, size, camera_frame(2), Some(Unfit::Duplicate)),
        ("a number back", 4, 0, size, camera_frame(3), Some(Unfit::OutOfOrder)),
        ("late", 7, 300_000, size, camera_frame(4), Some(Unfit::OutOfOrder)),
        ("one pixel value", 8, 0, size, vec![128; good.len()], Some(Unfit::Constant)),
        ("another size", 9, 0, (40, 30), small, Some(Unfit::Geometry)),
        ("good again", 10, 0, size, camera_frame(5), None),
        ("good again", 11, 0, size, camera_frame(6), None),
    ];
    for (name, number, age_us, size, bytes, wanted) in cases {
        let (judged, unfit) = inject(&mut bench, number, age_us, size, &bytes);
        assert_eq!(unfit, wanted.map(|unfit| u32::from(unfit.code())), "{name}");
        let unknown = judged.verdict == Verdict::Unknown && judged.score.is_nan();
        assert_eq!(unknown, wanted.is_some(), "{name}");
    }
}

#[test]
fn a_device_takes_no_bundle_before_it_was_told_whose() {
    let mut bench = Bench::start(SimFlash::new(&layout(), 1), UNPROVISIONED);
    let status = |bench: &mut Bench| {
        bench.ask(&Request::ReadStatus, |reply| match reply {
            Reply::Status(status) => (status.name.to_owned(), status.provisioned, status.boots),
            other => panic!("{other:?}"),
        })
    };
    assert_eq!(status(&mut bench), (String::new(), false, 1));
    let refused = upload(&mut bench, &shipped());
    assert_eq!(refused, Progress::Refused(Refusal::Signature));
    let public_key = VerifyingKey::from(&sim_key()).to_bytes();
    let give = |name, public_key, link_key| Request::Provision { name, public_key, link_key };
    let cases = [
        ("no name", give("", public_key, LINK_KEY)),
        ("a long name", give("a name of more than thirty-two bytes", public_key, LINK_KEY)),
        ("a key of low order", give("dock", [0; 32], LINK_KEY)),
        ("the key that everybody knows", give("dock", public_key, UNPROVISIONED)),
    ];
    for (name, request) in cases {
        assert_eq!(done(&mut bench, &request), Err(Refusal::Range), "{name}");
    }
    assert_eq!(done(&mut bench, &give("dock", public_key, LINK_KEY)), Ok(()));

    let mut bench = Bench::start(bench.stop(), LINK_KEY);
    assert_eq!(status(&mut bench), ("dock".to_owned(), true, 2));
    assert_eq!(upload(&mut bench, &shipped()), Progress::Done);
}

/// A host that lost its connection after the last piece announces the bundle anew.
#[test]
fn a_bundle_that_waits_is_there_when_it_is_announced_again() {
    let mut bench = Bench::start(provisioned(), LINK_KEY);
    let image = shipped();
    assert_eq!(upload(&mut bench, &image), Progress::Done);
    assert_eq!(upload(&mut bench, &image), Progress::Done, "in the same session");
    assert_eq!(done(&mut bench, &Request::Verify { slot: 0 }), Ok(()));
    assert_eq!(upload(&mut bench, &image), Progress::Done, "after a check");
    let mut bench = Bench::start(bench.stop(), LINK_KEY);
    assert_eq!(upload(&mut bench, &image), Progress::Done, "after a power cut");
    assert_eq!(states(&mut bench), (None, [SlotState::Staged, SlotState::Empty]));
}

#[test]
fn a_bundle_that_does_not_run_is_not_confirmed() {
    let mut setup = setup();
    // A row of this camera does not fit into the board's memory.
    setup.description.camera.width = 1000;
    let mut bench = Bench::start_as(provisioned(), LINK_KEY, setup);
    assert_eq!(upload(&mut bench, &shipped()), Progress::Done);
    assert_eq!(done(&mut bench, &Request::Activate { slot: 0 }), Ok(()));
    assert_eq!(bench.shared.world().pin, Some(Level::Closed));
    assert_eq!(done(&mut bench, &Request::Confirm), Err(Refusal::State));
    assert_eq!(states(&mut bench).1, [SlotState::Trial, SlotState::Empty]);
    assert_eq!(done(&mut bench, &Request::Revert), Ok(()));
}

#[test]
fn pieces_too_far_apart_make_no_frame() {
    let mut bench = Bench::start(provisioned(), LINK_KEY);
    assert_eq!(upload(&mut bench, &shipped()), Progress::Done);
    assert_eq!(done(&mut bench, &Request::Activate { slot: 0 }), Ok(()));
    let pixels = frame(1);
    let (first, rest) = pixels.split_at(2000);
    let piece =
        |offset, bytes| Request::SendFrame { frame: 1, offset, total_bytes: FRAME_BYTES, bytes };
    assert_eq!(done(&mut bench, &piece(0, first)), Ok(()));
    // The camera is asked again after a second, and its frame goes into the same memory.
    (0..6000).for_each(|_| bench.round());
    assert_eq!(done(&mut bench, &piece(2000, rest)), Err(Refusal::Range));
    assert_eq!(judge(&mut bench, 2, &frame(2)).frame, 2);
}

/// A board whose camera sends frames as long as the model's, and their format's number.
fn square() -> (Setup, u8) {
    let mut setup = setup();
    setup.description.camera = Geometry { format: PixelFormat::Rgb8, width: 32, height: 32 };
    let rgb8 = PixelFormat::ALL.iter().position(|format| *format == PixelFormat::Rgb8);
    (setup, rgb8.expect("a format") as u8)
}

/// A late frame stays late, however its pieces come: also those that a host sends again after its
/// session was lost.
#[test]
fn a_frame_that_was_begun_is_never_taken_for_one_of_the_model_s() {
    let (setup, format) = square();
    let mut bench = Bench::start_as(provisioned(), LINK_KEY, setup);
    assert_eq!(upload(&mut bench, &shipped()), Progress::Done);
    assert_eq!(done(&mut bench, &Request::Activate { slot: 0 }), Ok(()));
    for (number, waits, loses) in [(7, false, false), (8, true, false), (9, false, true)] {
        let age_us = 300_000;
        let start = Request::StartFrame { frame: number, age_us, width: 32, height: 32, format };
        assert_eq!(done(&mut bench, &start), Ok(()));
        let pixels = frame(number);
        if loses {
            bench.hello();
        }
        if waits {
            (0..6000).for_each(|_| bench.round());
        } else {
            assert_eq!(judge(&mut bench, number, &pixels).verdict, Verdict::Unknown);
        }
        if loses {
            bench.hello();
        }
        let (offset, total_bytes) = (0, FRAME_BYTES);
        let again = Request::SendFrame { frame: number, offset, total_bytes, bytes: &pixels };
        assert_eq!(done(&mut bench, &again), Err(Refusal::Range));
        assert_ne!(judge(&mut bench, number + 10, &pixels).verdict, Verdict::Unknown);
        assert_ne!(judge(&mut bench, number, &pixels).verdict, Verdict::Unknown);
    }
}

#[test]
fn a_frame_older_than_the_device_s_clock_is_late() {
    let mut bench = Bench::start(provisioned(), LINK_KEY);
    assert_eq!(upload(&mut bench, &shipped()), Progress::Done);
    assert_eq!(done(&mut bench, &Request::Activate { slot: 0 }), Ok(()));
    assert_eq!(done(&mut bench, &Request::Confirm), Ok(()));
    let mut flash = bench.stop();
    for (age_us, late) in [(100_000, false), (200_001, true), (u32::MAX, true)] {
        let (setup, format) = square();
        let mut bench = Bench::start_as(flash, LINK_KEY, setup);
        let start = Request::StartFrame { frame: 1, age_us, width: 32, height: 32, format };
        assert_eq!(done(&mut bench, &start), Ok(()));
        let judged = judge(&mut bench, 1, &frame(1));
        assert_eq!(judged.verdict == Verdict::Unknown, late, "{age_us}");
        assert!(bench.shared.world().now_us < 100_000, "the clock has just begun");
        flash = bench.stop();
    }
}
