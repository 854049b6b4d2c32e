//! A bundle that enforces, and a device on which it has opened the gate.

use gradgate_bundle::align::AlignedBytes;
use gradgate_bundle::detector::Detector;
use gradgate_bundle::header::{Header, Policy};
use gradgate_bundle::manifest::DeviceClass;
use gradgate_bundle::read::Bundle;
use gradgate_bundle::write::{BundleParts, assemble, sign};
use gradgate_device::board::Level;
use gradgate_device::device::Setup;
use gradgate_device::sim::sim_key;
use gradgate_engine::{Engine, Frame};
use gradgate_link::message::{Reply, Verdict};
use gradgate_link::upload::{Progress, Sender};
use gradgate_link::{Refusal, Request};

use super::{Bench, LINK_KEY, provisioned, shipped};

pub const FRAME_BYTES: u32 = 32 * 32 * 3;
pub const PERIOD_US: u32 = 100_000;

pub fn frame(seed: u32) -> Vec<u8> {
    let mix = |at: u32| (at ^ seed.wrapping_mul(77)).wrapping_mul(2_654_435_761) >> 24;
    (0..FRAME_BYTES).map(|at| mix(at) as u8).collect()
}

/// The shipped bundle with a gate that opens at the first PASS and closes at the first BLOCK; a
/// frame that passes and one that does not.
pub fn enforcing() -> (Vec<u8>, Vec<u8>, Vec<u8>) {
    let bytes = AlignedBytes::from(&shipped()[..]);
    let engine = Engine::load(Bundle::parse(&bytes).expect("own bundle")).expect("own plan");
    let mut arena = vec![0.0; engine.arena_elements()];
    let mut scored: Vec<(f32, Vec<u8>)> = (0..6)
        .map(|seed| {
            let (_, judgement) = engine.judge(Frame::U8(&frame(seed)), &mut arena).expect("runs");
            (judgement.expect("a detector").expect("finite").score, frame(seed))
        })
        .collect();
    scored.sort_by(|one, other| one.0.total_cmp(&other.0));
    let image = edition(|header| {
        let (k, m, n, lease_periods, frozen_frames) = (1, 1, 1, 2, 3);
        let (enforce, frame_period_us) = (true, PERIOD_US);
        header.policy = Policy { enforce, frame_period_us, k, m, n, lease_periods, frozen_frames };
        let detector = header.detector.take().expect("a detector");
        header.detector = Some(Detector { threshold: scored[2].0, caution: None, ..detector });
    });
    (image.to_vec(), scored[0].1.clone(), scored[5].1.clone())
}

/// The shipped bundle without its detector.
pub fn undetected() -> AlignedBytes {
    edition(|header| header.detector = None)
}

/// The shipped bundle with another header, signed.
fn edition(change: impl FnOnce(&mut Header<'_>)) -> AlignedBytes {
    let bytes = AlignedBytes::from(&shipped()[..]);
    let bundle = Bundle::parse(&bytes).expect("own bundle");
    let mut header = bundle.header().clone();
    change(&mut header);
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
    let mut image = assemble(&parts).expect("parts of a bundle");
    sign(&mut image, &sim_key()).expect("a manifest");
    image
}

pub fn answered(bench: &mut Bench, request: &Request<'_>) -> Result<Option<Verdict>, Refusal> {
    bench.ask(request, |reply| match reply {
        Reply::Refused(refusal) => Err(*refusal),
        Reply::Judged(judged) => Ok(Some(judged.verdict)),
        _ => Ok(None),
    })
}

pub fn judge(bench: &mut Bench, number: u32, bytes: &[u8]) -> Result<Option<Verdict>, Refusal> {
    let request = Request::SendFrame { frame: number, offset: 0, total_bytes: FRAME_BYTES, bytes };
    answered(bench, &request)
}

pub fn upload(bench: &mut Bench, image: &[u8]) {
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
pub fn open(setup: Setup) -> Bench {
    let (image, passes, _) = enforcing();
    let mut bench = Bench::start_as(provisioned(), LINK_KEY, setup);
    upload(&mut bench, &image);
    assert_eq!(answered(&mut bench, &Request::Activate { slot: 0 }), Ok(None));
    assert_eq!(bench.shared.world().pin, Some(Level::Closed));
    assert_eq!(judge(&mut bench, 1, &passes), Ok(Some(Verdict::Pass)));
    assert!(is_open(&bench));
    bench
}

pub fn is_open(bench: &Bench) -> bool {
    matches!(bench.shared.world().pin, Some(Level::Open { .. }))
}
