//! Suites against the real device's code behind a TCP port.

use gradgate_bundle::align::AlignedBytes;
use gradgate_bundle::write::sign;
use gradgate_device::sim::{SERVED_CAMERA, SERVED_LINK_KEY, Served, sim_key};
use gradgate_field::address::BAUD;
use gradgate_field::client::Client;
use gradgate_field::error::Error;
use gradgate_field::flash::{Flash, Options, Package};
use gradgate_field::hil::expected::Row;
use gradgate_field::hil::{
    Camera, Expected, Given, Hooks, How, Outcome, Ran, Rig, Sent, Source, Start, Unfit, Verdict,
    frames,
};
use gradgate_field::keys::{Keyring, LinkKey};
use gradgate_field::link::Patience;
use gradgate_field::wire::Live;

const SHIPPED: &[u8] = include_bytes!("../../../models/bundles/signs.gate");
/// Of the shipped bundle.
const SIDE: usize = 32;

/// A device that runs the shipped bundle.
fn bench() -> (Served, Rig<Live>) {
    let served = Served::start();
    let wire = Live::open(&served.address.parse().expect("an address"), BAUD).expect("it is there");
    let keyring = Keyring::link(LinkKey::new(SERVED_LINK_KEY));
    let client = Client::new(wire, keyring, Patience::default());
    let mut rig = Rig::new(client, &served.address, Hooks::default()).expect("it answers");
    let mut bundle = AlignedBytes::from(SHIPPED);
    sign(&mut bundle, &sim_key()).expect("a bundle");
    let package = Package::read(bundle, None).expect("a good bundle");
    let mut flash = Flash::new(&package, Options::default()).expect("not empty");
    rig.client().run(&mut flash, |_, _| {}).expect("it takes the bundle");
    rig.confirm().expect("it is on trial");
    (served, rig)
}

/// Frames that are held.
#[derive(Clone)]
struct Held(Vec<Given>);

impl Source for Held {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn frame(&mut self, index: usize) -> Result<Given, Error> {
        Ok(self.0[index].clone())
    }
}

fn picture(seed: usize) -> Vec<u8> {
    (0..SIDE * SIDE * 3).map(|at| ((at * (seed + 3)) >> 4) as u8).collect()
}

fn given(bytes: Vec<u8>, sent: Sent, expected: Expected) -> Given {
    let picture = picture(0);
    Given { name: format!("{:?}", &bytes[..2]), bytes, sent, expected, values: Vec::new(), picture }
}

/// Frames with what the device itself says of them: what a test then changes is the only
/// difference.
fn learnt(rig: &mut Rig<Live>, count: usize) -> Held {
    let learn = |seed: usize| {
        let nothing = Expected::unfit(Unfit::CONSTANT);
        let mut given = given(picture(seed), Sent::Model, nothing);
        let judged = rig.send(&given).expect("it judges");
        let (class, verdict, score) = (judged.class, judged.verdict, judged.score);
        given.expected = Expected { class, verdict, score, unfit: None };
        given.values = rig.values().expect("it tells");
        given
    };
    Held((0..count).map(learn).collect())
}

fn run(rig: &mut Rig<Live>, held: &Held, stored: Option<&[Row]>) -> Ran {
    let names: Vec<String> = (0..4000).map(|at| format!("tensor {at}")).collect();
    let settings = frames::Settings {
        name: "held",
        start: Start::Keep,
        timeout_ms: 60_000,
        ulps: 0,
        stored,
        names: &names,
    };
    frames::run(rig, &settings, &mut held.clone(), &mut |_| true)
}

#[test]
fn a_sequence_is_compared_frame_by_frame() {
    let (served, mut rig) = bench();
    let held = learnt(&mut rig, 3);
    assert!(held.0[0].values.len() > 100, "logits, norms and more");
    assert!(held.0.iter().all(|given| given.expected.verdict != Verdict::Unknown));
    let rows: Vec<Row> = held.0.iter().map(Row::of).collect();
    let ran = run(&mut rig, &held, Some(&rows));
    assert_eq!((ran.outcome.clone(), ran.frames()), (Outcome::Passed, 3), "{ran:?}");

    let mut off = held.clone();
    off.0[1].expected.score = f32::from_bits(off.0[1].expected.score.to_bits() + 1);
    off.0[1].values[7] += 1.0;
    let ran = run(&mut rig, &off, None);
    let Outcome::Failed(text) = &ran.outcome else { panic!("{ran:?}") };
    assert!(text.contains("1 of 3 frames differ") && text.contains("(1 ulps)"), "{text}");
    assert!(text.contains("first tensor that differs: tensor 7: device"), "{text}");
    assert_eq!((ran.mismatches[0].index, ran.mismatches[0].picture.len()), (1, SIDE * SIDE * 3));

    let mut other = rows.clone();
    other.swap(0, 1);
    for stored in [&other[..], &rows[..2]] {
        let ran = run(&mut rig, &held, Some(stored));
        let text = ran.outcome.text();
        assert!(matches!(ran.outcome, Outcome::Failed(_)) && text.contains("--bless"), "{text}");
    }
    let settings = frames::Settings {
        name: "ended",
        start: Start::Keep,
        timeout_ms: 1000,
        ulps: 0,
        stored: None,
        names: &[],
    };
    let ran = frames::run(&mut rig, &settings, &mut held.clone(), &mut |index| index < 1);
    assert!(matches!(ran.outcome, Outcome::Error(_)) && ran.frames() == 1, "{ran:?}");
    drop(served);
}

#[test]
fn a_camera_that_fails_is_told_by_name_also_after_a_restart() {
    let (served, mut rig) = bench();
    let [width, height] = [SERVED_CAMERA.width as u16, SERVED_CAMERA.height as u16];
    let camera: Camera = toml::from_str(&format!(
        "width = {width}\nheight = {height}\nformat = \"yuyv\"\nlate_ms = 400\n"
    ))
    .expect("a camera");
    let rows = [
        (Some(How::Constant), Unfit::CONSTANT),
        (Some(How::Duplicate), Unfit::DUPLICATE),
        (Some(How::OutOfOrder), Unfit::OUT_OF_ORDER),
        (Some(How::Geometry), Unfit::GEOMETRY),
        (Some(How::Late), Unfit::LATE),
    ];
    let frame = |(how, unfit): (Option<How>, Unfit)| {
        let columns = usize::from(width) - if how == Some(How::Geometry) { 2 } else { 0 };
        let mut bytes = vec![77; columns * 2 * usize::from(height)];
        if how != Some(How::Constant) {
            bytes.iter_mut().enumerate().for_each(|(at, byte)| *byte = (at >> 3) as u8);
        }
        given(bytes, Sent::Camera { camera, age_us: 0, how }, Expected::unfit(unfit))
    };
    let held = Held(rows.into_iter().map(frame).collect());
    for start in [Start::Keep, Start::Reboot] {
        let settings = frames::Settings {
            name: "camera",
            start,
            timeout_ms: 60_000,
            ulps: 0,
            stored: None,
            names: &[],
        };
        let ran = frames::run(&mut rig, &settings, &mut held.clone(), &mut |_| true);
        assert_eq!(ran.outcome, Outcome::Passed, "{ran:#?}");
        assert_eq!(ran.verdicts, [0, 0, 5]);
    }
    assert_eq!(served.boots(), 2);
    // A fault that is not told is a difference.
    let mut fine = held.clone();
    fine.0[0].expected = Expected { unfit: None, verdict: Verdict::Pass, ..fine.0[0].expected };
    let ran = run(&mut rig, &fine, None);
    assert!(matches!(ran.outcome, Outcome::Error(_)), "{ran:?}");
    assert!(ran.outcome.text().contains("CONSTANT instead of fit"), "{}", ran.outcome.text());
    served.power_cycle();
    assert_eq!(served.boots(), 3);
    assert!(rig.client().status().is_ok(), "it is found back");
}
