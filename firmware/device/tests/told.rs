//! What a device tells of what it did: counts, scores, frames that closed the gate, verdicts as
//! they come.

mod host;

use gradgate_bundle::signature::VerifiedManifest;
use gradgate_device::judge::Running;
use gradgate_device::sim::sim_key;
use gradgate_gate::{Cause, Verdict as Judgement};
use gradgate_link::Request;
use gradgate_link::Telemetry;
use gradgate_link::message::{Reply, Verdict};
use gradgate_link::upload::{Progress, Sender};

use host::enforcing::{FRAME_BYTES, answered, enforcing, frame, judge, open, undetected, upload};
use host::{CAMERA, setup};

/// Counts below, in the bins, above, and without a score.
fn histogram(bench: &mut host::Bench) -> [u32; 4] {
    bench.ask(&Request::ReadHistogram, |reply| match reply {
        Reply::Histogram { counts, .. } => {
            let (counts, _) = counts.as_chunks::<4>();
            let counts: Vec<u32> = counts.iter().map(|bytes| u32::from_le_bytes(*bytes)).collect();
            [counts[0], counts[1..65].iter().sum(), counts[65], counts[66]]
        }
        other => panic!("{other:?}"),
    })
}

#[test]
fn every_verdict_is_in_the_histogram() {
    let mut bench = open(setup());
    assert_eq!(histogram(&mut bench).iter().sum::<u32>(), 1);
    for number in 2..5 {
        judge(&mut bench, number, &frame(number)).expect("a frame");
    }
    let before = histogram(&mut bench);
    assert_eq!((before.iter().sum::<u32>(), before[3]), (4, 0));
    // One pixel value: the network never sees it.
    let (width, height) = (CAMERA.width as u16, CAMERA.height as u16);
    let start = Request::StartFrame { frame: 9, age_us: 0, width, height, format: 5 };
    assert_eq!(answered(&mut bench, &start), Ok(None));
    let bytes = vec![128; CAMERA.frame_bytes().expect("a camera")];
    let total_bytes = bytes.len() as u32;
    let mut verdict = None;
    for (offset, bytes) in (0..).step_by(2000).zip(bytes.chunks(2000)) {
        let piece = Request::SendFrame { frame: 9, offset, total_bytes, bytes };
        verdict = answered(&mut bench, &piece).expect("a piece");
    }
    assert_eq!(verdict, Some(Verdict::Unknown));
    let [below, inside, above, without] = histogram(&mut bench);
    assert_eq!(([below, inside, above], without), (before[..3].try_into().expect("three"), 1));
}

#[test]
fn the_frame_that_closed_the_gate_is_evidence() {
    let (_, _, blocks) = enforcing();
    let mut bench = open(setup());
    assert_eq!(judge(&mut bench, 77, &blocks), Ok(Some(Verdict::Block)));
    let found = bench.ask(&Request::ReadEvidence { event: 0, offset: 0 }, |reply| match reply {
        Reply::Evidence(evidence) => (evidence.frame, evidence.input_bytes),
        other => panic!("{other:?}"),
    });
    assert_eq!(found, (77, FRAME_BYTES));
}

#[test]
fn a_stream_tells_every_second_verdict() {
    let mut bench = open(setup());
    for (every, wanted) in [(2, 3), (1, 6), (0, 0)] {
        assert_eq!(answered(&mut bench, &Request::SetStream { every }), Ok(None));
        bench.telemetry.clear();
        for number in 10..16 {
            judge(&mut bench, number, &frame(number)).expect("a frame");
        }
        (0..50).for_each(|_| bench.round());
        answered(&mut bench, &Request::ReadCounters).expect("an answer");
        let told = bench.telemetry.iter().filter(|it| matches!(it, Telemetry::Judged(_))).count();
        assert_eq!(told, wanted, "every {every}");
    }
}

#[test]
fn commands_under_another_key_are_counted() {
    let mut bench = open(setup());
    let refused = |bench: &mut host::Bench| {
        bench.ask(&Request::ReadCounters, |reply| match reply {
            Reply::Counters(counters) => counters.link_refused,
            other => panic!("{other:?}"),
        })
    };
    assert_eq!(refused(&mut bench), 0);
    bench.say_under([9; 32], &Request::Reboot);
    assert_eq!(refused(&mut bench), 1);
}

/// Erasing in the middle of an upload: the next one begins anew.
#[test]
fn an_upload_after_an_erase_begins_anew() {
    let (image, ..) = enforcing();
    let mut bench = open(setup());
    assert_eq!(answered(&mut bench, &Request::Confirm), Ok(None));
    let mut sender = Sender::new(&image, 2048).expect("an image");
    for _ in 0..400 {
        let Some(request) = sender.request() else { break };
        let reply = bench.ask(&request, |reply| match reply {
            Reply::Upload { offset } => Reply::Upload { offset: *offset },
            Reply::Refused(refusal) => Reply::Refused(*refusal),
            _ => Reply::Done,
        });
        sender.answered(&reply);
        if let Reply::Upload { offset: 4096.. } = reply {
            break;
        }
    }
    assert!(matches!(sender.progress(), Progress::Sending(_)));
    assert_eq!(answered(&mut bench, &Request::EraseInactive), Ok(None));
    upload(&mut bench, &image);
}

/// Nothing says what is normal: no frame passes.
#[test]
fn a_bundle_without_a_detector_lets_nothing_pass() {
    let image = undetected();
    let prefix = image.first_chunk().expect("a prefix");
    let manifest = VerifiedManifest::verify(prefix, &sim_key().verifying_key()).expect("signed");
    let running = Running::load(manifest.admit(&image).expect("whole")).expect("a plan");
    let mut arena = vec![0.0; running.engine().arena_elements()];
    let (outcome, features) = running.judge(5, &frame(1), &mut arena);
    assert_eq!(outcome.verdict, Judgement::Unknown { cause: Cause::NoDetector });
    assert_eq!(outcome.judged.verdict, Verdict::Unknown);
    assert!(outcome.judged.score.is_nan() && features.is_some());
}
