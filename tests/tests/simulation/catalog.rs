//! What an operator may send: small real bundles with what this simulation knows of them, and
//! images that no device may run.

use std::collections::HashMap;
use std::sync::OnceLock;

use gradgate_bundle::align::AlignedBytes;
use gradgate_bundle::detector::Detector;
use gradgate_bundle::digest::sha256;
use gradgate_bundle::header::Policy;
use gradgate_bundle::keys::from_seed;
use gradgate_bundle::manifest::{DeviceClass, PREFIX_BYTES};
use gradgate_bundle::read::Bundle;
use gradgate_bundle::write::{BundleParts, assemble, sign};
use gradgate_device::camera::Geometry;
use gradgate_device::record::Identity;
use gradgate_device::sim::{SIM_CLASS, sim_key};
use gradgate_engine::{Engine, Frame};
use gradgate_field::flash::Package;
use gradgate_frame::PixelFormat;
use gradgate_gate::{Limits, Verdict, decide};
use gradgate_graph::expand::{Label, expand};
use gradgate_graph::ops::Op;
use gradgate_graph::taps::Taps;
use gradgate_tests::cases::{Builder, same};
use gradgate_tests::compile_judged;
use gradgate_tests::rng::Rng;

/// Side and channels of every frame.
const SIDE: usize = 4;
const CHANNELS: usize = 3;
/// Length of every frame in bytes.
pub const FRAME_BYTES: usize = SIDE * SIDE * CHANNELS;
/// What the camera sends.
pub const CAMERA: Geometry =
    Geometry { format: PixelFormat::Rgb8, width: SIDE as u32, height: SIDE as u32 };
/// Frames that the camera sees.
pub const VARIED_FRAMES: usize = 40;
/// Arena that the simulated device has, in elements.
pub const ARENA_ELEMENTS: usize = 4096;
/// Longest image, in bytes.
pub const IMAGE_BYTES_MAX: usize = 8192;

/// Whether a device may run an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Signed, whole, for this device.
    Good,
    /// All right but for its recorded bits.
    FailsSelfTest,
    /// Signed by somebody else.
    OtherKey,
    /// For another class of devices.
    OtherClass,
    /// A good prefix before other bytes.
    Mixed,
    /// No signature.
    Unsigned,
    /// A right signature over a manifest that was changed afterwards.
    Forged,
}

/// What a bundle says of a frame.
#[derive(Clone, Copy, Debug)]
pub struct Expected {
    /// For the gate.
    pub verdict: Verdict,
    /// Bits of the score; of not a number without one.
    pub score: u32,
}

/// One image.
pub struct Item {
    /// For the trace.
    pub name: String,
    /// Whether it may run.
    pub kind: Kind,
    /// All bytes.
    pub image: Vec<u8>,
    /// Of its prefix.
    pub identity: Identity,
    /// Its security counter.
    pub counter: u64,
    /// How its gate must behave.
    pub policy: Policy,
    /// By number of the frame.
    pub expected: Vec<Expected>,
    /// As the host's tool takes it, if it does.
    pub package: Option<Package>,
}

/// All images and frames.
pub struct Catalog {
    /// Images.
    pub items: Vec<Item>,
    /// Frames of [`FRAME_BYTES`].
    pub frames: Vec<Vec<u8>>,
    by_identity: HashMap<Identity, usize>,
}

impl Catalog {
    /// Made once a process.
    pub fn get() -> &'static Catalog {
        static MADE: OnceLock<Catalog> = OnceLock::new();
        MADE.get_or_init(make)
    }

    /// The good or failing item of that identity.
    pub fn find(&self, identity: &Identity) -> Option<usize> {
        self.by_identity.get(identity).copied()
    }

    /// The item with the largest counter: whatever was confirmed, it may follow.
    pub fn last(&self) -> usize {
        let good = |index: &usize| self.items[*index].kind == Kind::Good;
        let all = (0..self.items.len()).filter(good);
        all.max_by_key(|&index| self.items[index].counter).expect("a good item")
    }
}

fn network(name: &str, frames: &[Vec<u8>]) -> AlignedBytes {
    let (mut builder, image) = Builder::new(name, CHANNELS, SIDE);
    let x = builder.conv(image, 4, 3, same(3), true);
    let x = builder.op(Op::Relu, &[x]);
    let expanded = expand(&builder.classify(x), &Label::Ones, &Taps::all()).expect("a classifier");
    compile_judged(&expanded, frames)
}

/// What changes from bundle to bundle of one network.
struct Edition {
    counter: u64,
    policy: Policy,
    class: DeviceClass,
    /// Share of the frames that pass.
    passing: f32,
    caution: bool,
}

/// The network's bundle with other metadata; unsigned.
fn edition(bytes: &AlignedBytes, frames: &[Vec<u8>], edition: &Edition) -> Vec<u8> {
    let bundle = Bundle::parse(bytes).expect("own bundle");
    let mut header = bundle.header().clone();
    header.policy = edition.policy;
    let scores = scores(bytes, frames);
    if let Some(detector) = &mut header.detector {
        let at = |share: f32| scores[(share * (scores.len() - 1) as f32) as usize];
        let caution = edition.caution.then(|| at(edition.passing * 0.8));
        *detector = Detector { threshold: at(edition.passing), caution, ..detector.clone() };
    }
    let manifest = bundle.manifest();
    let params = manifest.params.of(bytes).expect("inside").to_vec();
    let parts = BundleParts {
        header,
        tensors: bundle.tensors().to_vec(),
        steps: bundle.steps().to_vec(),
        params,
        blobs: bundle.blobs().to_vec(),
        device_class: edition.class,
        security_counter: edition.counter,
        input: manifest.input.map(|extent| extent.get()),
    };
    assemble(&parts).expect("parts of a bundle").to_vec()
}

/// Scores of all frames, ascending.
fn scores(bytes: &AlignedBytes, frames: &[Vec<u8>]) -> Vec<f32> {
    let engine = Engine::load(Bundle::parse(bytes).expect("own bundle")).expect("own plan");
    let mut arena = vec![0.0; engine.arena_elements()];
    let mut scores: Vec<f32> = Vec::new();
    for frame in frames {
        let (_, judgement) = engine.judge(Frame::U8(frame), &mut arena).expect("own frame");
        scores.extend(judgement.expect("a detector").ok().map(|seen| seen.score));
    }
    scores.sort_by(f32::total_cmp);
    scores
}

fn expected(image: &[u8], frames: &[Vec<u8>]) -> Vec<Expected> {
    let bytes = AlignedBytes::from(image);
    let engine = Engine::load(Bundle::parse(&bytes).expect("own bundle")).expect("own plan");
    assert!(engine.arena_elements() <= ARENA_ELEMENTS && image.len() <= IMAGE_BYTES_MAX);
    let limits = engine.bundle().header().detector.as_ref().map(Limits::from).expect("a detector");
    let mut arena = vec![0.0; engine.arena_elements()];
    let mut judge = |frame: &Vec<u8>| {
        let (_, judgement) = engine.judge(Frame::U8(frame), &mut arena).expect("own frame");
        let judgement = judgement.expect("a detector");
        let score = judgement.map_or(f32::NAN, |seen| seen.score).to_bits();
        Expected { verdict: decide(&judgement, &limits), score }
    };
    frames.iter().map(&mut judge).collect()
}

fn make() -> Catalog {
    let mut rng = Rng(17);
    let normal: Vec<Vec<u8>> = (0..300).map(|_| rng.bytes(FRAME_BYTES)).collect();
    let mut frames: Vec<Vec<u8>> = (0..VARIED_FRAMES).map(|_| rng.bytes(FRAME_BYTES)).collect();
    frames.extend([0, 255, 128].map(|value| vec![value; FRAME_BYTES]));
    let networks = ["simulated one", "simulated two"].map(|name| network(name, &normal));
    let policy = |period_us, k, m, n, lease_periods| Policy {
        enforce: true,
        frame_period_us: period_us,
        k,
        m,
        n,
        lease_periods,
        frozen_frames: 3,
    };
    let policies =
        [policy(20_000, 2, 3, 2, 2), policy(10_000, 1, 1, 3, 3), policy(40_000, 3, 5, 1, 2)];
    let mut items = Vec::new();
    for (index, counter) in [1, 2, 2, 3, 5, 8, 8, 13, 100].into_iter().enumerate() {
        let which = Edition {
            counter,
            policy: Policy { enforce: ![2, 6].contains(&index), ..policies[index % 3] },
            class: [DeviceClass::Any, SIM_CLASS][index % 2],
            passing: [0.7, 0.9][index % 2],
            caution: index % 4 == 1,
        };
        let bytes = edition(&networks[index / 2 % 2], &frames, &which);
        items.push(item(format!("good {index} of {counter}"), Kind::Good, &bytes, &which, &frames));
        if counter == 5 {
            bad(&mut items, &bytes, &networks, &which, &frames);
        }
    }
    let whole = |(index, item): (usize, &Item)| {
        matches!(item.kind, Kind::Good | Kind::FailsSelfTest).then_some((item.identity, index))
    };
    let by_identity = items.iter().enumerate().filter_map(whole).collect();
    Catalog { items, frames, by_identity }
}

/// Images that must not run.
fn bad(
    items: &mut Vec<Item>,
    bytes: &[u8],
    networks: &[AlignedBytes],
    which: &Edition,
    frames: &[Vec<u8>],
) {
    let mut add = |kind: Kind, counter: u64, class: DeviceClass| {
        let which = Edition { counter, class, policy: which.policy, ..*which };
        let bytes = edition(&networks[0], frames, &which);
        items.push(item(format!("{kind:?} of {counter}"), kind, &bytes, &which, frames));
    };
    let other =
        DeviceClass::ALL.iter().find(|class| ![DeviceClass::Any, SIM_CLASS].contains(class));
    add(Kind::FailsSelfTest, 6, SIM_CLASS);
    add(Kind::OtherKey, 50, SIM_CLASS);
    add(Kind::OtherClass, 51, *other.expect("another class"));
    add(Kind::Mixed, 52, SIM_CLASS);
    add(Kind::Unsigned, 53, SIM_CLASS);
    add(Kind::Forged, 54, SIM_CLASS);
    let _ = bytes;
}

fn item(name: String, kind: Kind, bytes: &[u8], which: &Edition, frames: &[Vec<u8>]) -> Item {
    let mut image = bytes.to_vec();
    match kind {
        Kind::Good | Kind::OtherClass => signed(&mut image),
        Kind::FailsSelfTest => {
            // The recorded values stand at the end of the blobs.
            let last = image.len() - 2;
            image[last] ^= 1;
            gradgate_bundle::write::refresh_digests(&mut image);
            signed(&mut image);
        }
        Kind::OtherKey => sign(&mut image, &from_seed(&[9; 32])).expect("a manifest"),
        Kind::Mixed => {
            signed(&mut image);
            let place = PREFIX_BYTES + (image.len() - PREFIX_BYTES) / 2;
            image[place..].reverse();
        }
        Kind::Unsigned => {}
        Kind::Forged => {
            signed(&mut image);
            image[16] ^= 1;
        }
    }
    let identity = sha256(&image[..PREFIX_BYTES]);
    let expected = match kind {
        Kind::Good => expected(&image, frames),
        _ => Vec::new(),
    };
    let package = Package::read(AlignedBytes::from(&image[..]), None).ok();
    let (counter, policy) = (which.counter, which.policy);
    Item { name, kind, image, identity, counter, policy, expected, package }
}

fn signed(image: &mut [u8]) {
    sign(image, &sim_key()).expect("a manifest");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bundles_are_small_and_say_everything_of_frames() {
        let catalog = Catalog::get();
        for item in catalog.items.iter().filter(|item| item.kind == Kind::Good) {
            let count = |wanted: fn(&Verdict) -> bool| {
                item.expected.iter().filter(|seen| wanted(&seen.verdict)).count()
            };
            let passed = count(|verdict| *verdict == Verdict::Pass);
            let blocked = count(|verdict| *verdict == Verdict::Block);
            println!("{}: {} bytes, {passed} {blocked}", item.name, item.image.len());
            assert!(passed > 5 && blocked > 2, "{}: {passed} {blocked}", item.name);
            assert!(item.package.is_some());
        }
        assert_eq!(catalog.items[catalog.last()].counter, 100);
    }
}
