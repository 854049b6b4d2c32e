//! Tests of the pipeline: each fault by table, setups, and sources that misbehave.

extern crate std;

use std::vec;
use std::vec::Vec;

use gradgate_frame::{FormatError, PixelFormat, ResizeError};
use gradgate_gate::DEFAULT_POLICY;

use super::*;
use crate::camera::CameraError;

const CAMERA: Geometry = Geometry { format: PixelFormat::Rgb565Be, width: 8, height: 6 };
const MODEL: FrameShape = FrameShape { height: 3, width: 4, channels: 3 };
const SIZES: Sizes = Sizes::of(CAMERA, MODEL);
const BYTES: usize = 8 * 6 * 2;

/// 100 ms a frame, 3 equal frames are frozen, frames of up to 200 ms are fresh.
fn settings() -> Settings {
    Settings {
        camera: CAMERA,
        model: MODEL,
        policy: DEFAULT_POLICY,
        age_periods: 2,
        checks: CheckLimits::default(),
    }
}

struct Memory {
    line: [u8; SIZES.line],
    row: [u8; SIZES.row],
    sums: [u64; SIZES.sums],
    frame: [u8; SIZES.frame],
}

impl Memory {
    const EMPTY: Memory = Memory {
        line: [0; SIZES.line],
        row: [0; SIZES.row],
        sums: [0; SIZES.sums],
        frame: [0; SIZES.frame],
    };

    fn pipeline(&mut self) -> Pipeline<'_> {
        let Memory { line, row, sums, frame } = self;
        Pipeline::new(&settings(), Buffers { line, row, sums, frame }).unwrap()
    }
}

fn stamp(number: u32, captured_us: u64) -> Stamp {
    Stamp { number, captured_us }
}

/// A picture with something to see; another one for each seed.
fn picture(seed: u8) -> [u8; BYTES] {
    core::array::from_fn(|at| (at as u8).wrapping_mul(37).wrapping_add(seed))
}

/// What the pipeline says of one frame in pieces of `piece` bytes.
fn outcome(
    pipeline: &mut Pipeline<'_>,
    bytes: &[u8],
    stamp: Stamp,
    [begun_us, done_us]: [u64; 2],
) -> Result<Vec<u8>, Unfit> {
    pipeline.begin(stamp, CAMERA, begun_us)?;
    for piece in bytes.chunks(7) {
        pipeline.push(piece)?;
    }
    pipeline.finish(done_us).map(<[u8]>::to_vec)
}

#[test]
fn faults_by_table() {
    let good = picture(0);
    let long: Vec<u8> = good.into_iter().chain([0]).collect();
    // Red 16 and 17 of 31 are 132 and 140: more than 4 apart; green 32 and 33 of 63 are 130 and
    // 134.
    let green = |odd: u16| (0..48).flat_map(move |at| ((32 + (at & odd)) << 5).to_be_bytes());
    let red = |odd: u16| (0..48).flat_map(move |at| ((16 + (at & odd)) << 11).to_be_bytes());
    type Case = (&'static str, Vec<u8>, Stamp, [u64; 2], Option<Unfit>);
    let at = stamp(9, 1_000_000);
    let now = [1_000_000, 1_200_000];
    let cases: [Case; 16] = [
        ("good", good.into(), at, now, None),
        ("no bytes", vec![], at, now, Some(Unfit::WrongSize)),
        ("one byte short", good[1..].into(), at, now, Some(Unfit::WrongSize)),
        ("half a frame", good[..BYTES / 2].into(), at, now, Some(Unfit::WrongSize)),
        ("one byte long", long, at, now, Some(Unfit::WrongSize)),
        ("black", vec![0; BYTES], at, now, Some(Unfit::Constant)),
        ("white", vec![255; BYTES], at, now, Some(Unfit::Constant)),
        ("one value", green(0).collect(), at, now, Some(Unfit::Constant)),
        ("noise", green(1).collect(), at, now, Some(Unfit::Blank)),
        ("more than noise", red(1).collect(), at, now, None),
        ("same number", good.into(), stamp(5, 950_000), now, Some(Unfit::Duplicate)),
        ("same time", good.into(), stamp(9, 900_000), now, Some(Unfit::Duplicate)),
        ("older number", good.into(), stamp(4, 950_000), now, Some(Unfit::OutOfOrder)),
        ("older time", good.into(), stamp(9, 899_999), now, Some(Unfit::OutOfOrder)),
        ("late when it began", good.into(), at, [1_200_001; 2], Some(Unfit::Late)),
        ("future", good.into(), at, [999_999, 1_000_000], Some(Unfit::Future)),
    ];
    for (name, bytes, stamp, times, wanted) in cases {
        let mut memory = Memory::EMPTY;
        let mut pipeline = memory.pipeline();
        let before = Stamp { number: 5, captured_us: 900_000 };
        outcome(&mut pipeline, &picture(1), before, [900_000; 2]).unwrap();
        let found = outcome(&mut pipeline, &bytes, stamp, times);
        assert_eq!(found.clone().err(), wanted, "{name}");
        // The next frame is none the worse for it.
        let next = Stamp { number: 10, captured_us: 1_300_000 };
        outcome(&mut pipeline, &picture(2), next, [1_300_000; 2]).expect(name);
    }
}

#[test]
fn a_frame_that_grows_old_or_whose_clock_goes_back_while_it_comes_is_refused() {
    for (done_us, wanted) in [(1_200_001, Unfit::Late), (999_999, Unfit::Future)] {
        let mut memory = Memory::EMPTY;
        let mut pipeline = memory.pipeline();
        let at = stamp(1, 1_000_000);
        let found = outcome(&mut pipeline, &picture(0), at, [1_000_000, done_us]);
        assert_eq!(found, Err(wanted));
    }
}

#[test]
fn another_geometry_is_refused() {
    let mut memory = Memory::EMPTY;
    let mut pipeline = memory.pipeline();
    let others = [
        Geometry { format: PixelFormat::Rgb565Le, ..CAMERA },
        Geometry { width: 6, height: 8, ..CAMERA },
        Geometry { height: 12, ..CAMERA },
    ];
    for (number, other) in (0..).zip(others) {
        let at = stamp(number, u64::from(number));
        assert_eq!(pipeline.begin(at, other, 9), Err(Unfit::Geometry));
        assert_eq!(pipeline.push(&picture(0)), Err(Unfit::Geometry));
        assert_eq!(pipeline.finish(9), Err(Unfit::Geometry));
    }
}

#[test]
fn bytes_and_ends_outside_of_a_frame_are_of_the_wrong_size() {
    let mut memory = Memory::EMPTY;
    let mut pipeline = memory.pipeline();
    assert_eq!(pipeline.finish(0), Err(Unfit::WrongSize));
    assert_eq!(pipeline.push(&[1]), Err(Unfit::WrongSize));
    assert_eq!(pipeline.finish(0), Err(Unfit::WrongSize));
    outcome(&mut pipeline, &picture(0), stamp(1, 1), [1; 2]).unwrap();
    pipeline.begin(stamp(2, 2), CAMERA, 2).unwrap();
    pipeline.abandon();
    assert_eq!(pipeline.finish(2), Err(Unfit::WrongSize));
}

#[test]
fn a_stream_is_frozen_from_the_limit_on() {
    let mut memory = Memory::EMPTY;
    let mut pipeline = memory.pipeline();
    let mut moved = picture(0);
    // One step of one pixel, which the average over four pixels rounds away.
    moved[5] ^= 1;
    let rows = [
        (picture(0), None),
        (picture(0), None),
        (picture(0), Some(Unfit::Frozen)),
        (picture(0), Some(Unfit::Frozen)),
        (moved, None),
        ([7; BYTES], Some(Unfit::Constant)),
        ([7; BYTES], Some(Unfit::Constant)),
        ([7; BYTES], Some(Unfit::Constant)),
        (moved, None),
    ];
    for (number, (bytes, wanted)) in (0_u32..).zip(rows) {
        let at = stamp(number, u64::from(number) * 100_000);
        let found = outcome(&mut pipeline, &bytes, at, [at.captured_us; 2]);
        assert_eq!(found.err(), wanted, "frame {number}");
    }
}

#[test]
fn setups_that_cannot_work_are_refused() {
    let odd = Geometry { format: PixelFormat::Yuyv, width: 7, height: 6 };
    let tall = Geometry { format: PixelFormat::Grey8, width: 2, height: 40_000 };
    let policy = Policy { frozen_frames: 1, ..DEFAULT_POLICY };
    let good = settings();
    let side = SetupError::Intake(IntakeError::Resize(ResizeError::Side));
    let channels = SetupError::Intake(IntakeError::Format(FormatError::Channels));
    let flat = FrameShape { height: 0, ..MODEL };
    let cases = [
        (Settings { camera: odd, ..good }, SetupError::Geometry),
        (Settings { camera: tall, ..good }, side),
        (Settings { camera: Geometry { width: 0, ..CAMERA }, ..good }, side),
        (Settings { model: flat, ..good }, side),
        (Settings { model: FrameShape { channels: 2, ..MODEL }, ..good }, channels),
        (Settings { policy, ..good }, SetupError::Policy(PolicyError::Frozen)),
    ];
    for (settings, wanted) in cases {
        let mut memory = Memory::EMPTY;
        let Memory { line, row, sums, frame } = &mut memory;
        let made = Pipeline::new(&settings, Buffers { line, row, sums, frame });
        assert_eq!(made.err(), Some(wanted), "{settings:?}");
    }
    for short in 0..4 {
        let mut memory = Memory::EMPTY;
        let Memory { line, row, sums, frame } = &mut memory;
        let cut = |index, length: usize| length - usize::from(short == index);
        let buffers = Buffers {
            line: &mut line[..cut(0, SIZES.line)],
            row: &mut row[..cut(1, SIZES.row)],
            sums: &mut sums[..cut(2, SIZES.sums)],
            frame: &mut frame[..cut(3, SIZES.frame)],
        };
        assert_eq!(Pipeline::new(&good, buffers).err(), Some(SetupError::Buffer));
    }
}

/// A camera that does what it is told, one event a poll.
struct Script<'s>(&'s [Result<Event<'s>, CameraError>]);

impl FrameSource for Script<'_> {
    fn geometries(&self) -> &[Geometry] {
        &[CAMERA]
    }

    fn configure(&mut self, _: Geometry) -> Result<(), CameraError> {
        Ok(())
    }

    fn poll(&mut self, _: u64) -> Result<Event<'_>, CameraError> {
        let (first, rest) = self.0.split_first().unwrap();
        self.0 = rest;
        *first
    }
}

#[test]
fn every_frame_of_a_source_is_told_once() {
    use Event::{Begin, Bytes, End};
    let (good, [zero, one, two]) = (picture(0), [stamp(0, 0), stamp(1, 1), stamp(2, 2)]);
    let begin = |at| Ok(Begin(CAMERA, at));
    let other = Geometry { height: 3, ..CAMERA };
    let (front, back) = good.split_at(31);
    let failed = Err(CameraError::Bus);
    type Row<'a> = (&'a [Result<Event<'a>, CameraError>], &'a [(Option<Stamp>, Option<Unfit>)]);
    let rows: [Row<'_>; 9] = [
        (&[Ok(Event::Nothing)], &[]),
        (&[begin(zero), Ok(Bytes(front)), Ok(Bytes(back)), Ok(End)], &[(Some(zero), None)]),
        (
            &[begin(zero), Ok(Bytes(front)), failed, failed],
            &[(Some(zero), Some(Unfit::Camera)), (None, Some(Unfit::Camera))],
        ),
        // Too long: told at once, and neither its other bytes, nor its end, nor an error again.
        (
            &[begin(zero), Ok(Bytes(&good)), Ok(Bytes(&good)), Ok(Bytes(&good)), Ok(End)],
            &[(Some(zero), Some(Unfit::WrongSize))],
        ),
        (
            &[begin(zero), Ok(Bytes(&good)), Ok(Bytes(&good)), failed],
            &[(Some(zero), Some(Unfit::WrongSize))],
        ),
        // Without an end, and the next one's fault is not lost.
        (
            &[begin(zero), Ok(Bytes(front)), Ok(Begin(other, one)), Ok(Bytes(front)), Ok(End)],
            &[(Some(zero), Some(Unfit::WrongSize)), (Some(one), Some(Unfit::Geometry))],
        ),
        (
            &[begin(zero), begin(one), Ok(Bytes(&good)), Ok(End)],
            &[(Some(zero), Some(Unfit::WrongSize)), (Some(one), None)],
        ),
        (
            &[begin(one), Ok(Bytes(&good)), Ok(End), begin(zero), Ok(Bytes(&good)), Ok(End)],
            &[(Some(one), None), (Some(zero), Some(Unfit::OutOfOrder))],
        ),
        (
            &[Ok(Bytes(front)), Ok(Bytes(back)), Ok(End), begin(two), Ok(Bytes(&good)), Ok(End)],
            &[(None, Some(Unfit::WrongSize)), (Some(two), None)],
        ),
    ];
    for (index, (script, wanted)) in rows.into_iter().enumerate() {
        let mut memory = Memory::EMPTY;
        let mut pipeline = memory.pipeline();
        let (mut source, mut told) = (Script(script), Vec::new());
        for _ in script {
            match pipeline.poll(&mut source, 100) {
                Polled::Nothing => {}
                Polled::Frame(stamp, frame) => {
                    assert_eq!(frame.len(), SIZES.frame);
                    told.push((Some(stamp), None));
                }
                Polled::Unfit(stamp, unfit) => told.push((stamp, Some(unfit))),
            }
        }
        assert_eq!(told, wanted, "row {index}");
    }
}
