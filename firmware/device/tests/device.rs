//! The whole device over its link: a bundle goes in, frames are judged as the engine judges them.

mod host;

use gradgate_bundle::align::AlignedBytes;
use gradgate_bundle::read::Bundle;
use gradgate_device::board::Level;
use gradgate_device::sim::SimFlash;
use gradgate_engine::{Engine, Frame};
use gradgate_link::message::{Judged, Reply, SlotState, Verdict};
use gradgate_link::upload::{Progress, Sender};
use gradgate_link::{Refusal, Request};

use host::{Bench, layout, shipped};

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
    let mut bench = Bench::start(SimFlash::new(&layout(), 1), 1);
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
    let mut bench = Bench::start(bench.stop(), 2);
    let confirmed = [SlotState::Confirmed, SlotState::Empty];
    assert_eq!(states(&mut bench), (Some(0), confirmed));
    let judged = judge(&mut bench, 9, &frame(0));
    assert_ne!(judged.verdict, Verdict::Unknown);
    // The shipped bundle only monitors.
    assert_eq!(bench.shared.world().pin, Some(Level::Idle));
}

#[test]
fn frames_that_cannot_be_are_refused() {
    let mut bench = Bench::start(SimFlash::new(&layout(), 1), 1);
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
    let cases: [(&str, &[Request<'_>]); 6] = [
        ("another length", &[piece(1, 0, 3071, &[0; 100])]),
        ("too long for the device", &[piece(1, 0, u32::MAX, &[0; 100])]),
        ("no beginning", &[piece(1, 100, FRAME_BYTES, &[0; 100])]),
        ("a gap", &[piece(1, 0, FRAME_BYTES, &[0; 100]), piece(1, 101, FRAME_BYTES, &[0; 9])]),
        ("another frame", &[piece(1, 0, FRAME_BYTES, &[0; 9]), piece(2, 9, FRAME_BYTES, &[0; 9])]),
        ("beyond its end", &[piece(1, 0, FRAME_BYTES, &[0; 3073])]),
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
    let mut bench = Bench::start(SimFlash::new(&layout(), 1), 1);
    assert_eq!(upload(&mut bench, &shipped()), Progress::Done);
    assert_eq!(done(&mut bench, &Request::Activate { slot: 0 }), Ok(()));
    (0..30_000).for_each(|_| bench.round());
    let rehashes = bench.ask(&Request::ReadStatus, |reply| match reply {
        Reply::Status(status) => status.rehashes,
        other => panic!("{other:?}"),
    });
    assert_eq!(rehashes, 1);
}
