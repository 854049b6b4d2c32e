//! Suites against the real device's code behind a TCP port.

mod bench;
mod gate;
mod stall;

use bench::{Held, SIDE, bench, given, learnt};
use gradgate_device::sim::SERVED_CAMERA;
use gradgate_field::hil::expected::Row;
use gradgate_field::hil::{
    Camera, Expected, How, Outcome, Ran, Rig, Sent, Start, Unfit, Verdict, frames,
};
use gradgate_field::wire::Live;

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
        (Some(How::Constant), Unfit::Constant),
        (Some(How::Duplicate), Unfit::Duplicate),
        (Some(How::OutOfOrder), Unfit::OutOfOrder),
        (Some(How::Geometry), Unfit::Geometry),
        (Some(How::Late), Unfit::Late),
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
