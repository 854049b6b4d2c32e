//! Faults: every one is seen, grows with its severity, repeats, and stays or moves as it should.

mod common;

use std::path::Path;

use common::{bytes, open_one};
use gradgate_frames::OpenOptions;
use gradgate_frames::fault::{Fault, FaultKind};
use gradgate_frames::signs::{Signs, Spec, Split};

fn fault(kind: FaultKind, severity: u8) -> Fault {
    Fault::new(kind, severity).unwrap()
}

/// Faults of a frame alone.
fn alone() -> impl Iterator<Item = FaultKind> {
    FaultKind::all().filter(|kind| !kind.needs_time())
}

fn pictures(size: usize, count: usize) -> Vec<Vec<u8>> {
    let signs = Signs::new(Spec { size, ..Spec::new(Split::Test) });
    (0..count).map(|i| signs.picture(i).pixels).collect()
}

fn grey(pixels: &[u8]) -> Vec<u8> {
    pixels.chunks_exact(3).map(|p| p[1]).collect()
}

fn damaged(
    fault: Fault,
    pixels: &[u8],
    [width, height, channels]: [usize; 3],
    seed: u64,
) -> Vec<u8> {
    let mut pixels = pixels.to_vec();
    fault.apply(&mut pixels, width, height, channels, seed).unwrap();
    pixels
}

fn distance(a: &[u8], b: &[u8]) -> f64 {
    let sum: u64 = a.iter().zip(b).map(|(&a, &b)| u64::from(a.abs_diff(b))).sum();
    sum as f64 / a.len() as f64
}

#[test]
fn every_fault_is_seen_and_grows_with_its_severity() {
    for size in [32, 96] {
        let pictures = pictures(size, 40);
        for kind in alone() {
            let mut below = 0.0;
            for severity in 1..=5 {
                let mut mean = 0.0;
                for (seed, picture) in pictures.iter().enumerate() {
                    let shape = [size, size, 3];
                    let after = damaged(fault(kind, severity), picture, shape, seed as u64);
                    assert_ne!(after, *picture, "{}:{severity}, frame {seed}", kind.name());
                    mean += distance(&after, picture) / pictures.len() as f64;
                }
                let name = kind.name();
                assert!(mean > below * 1.05 + 0.05, "{size}, {name}:{severity}: {mean} {below}");
                below = mean;
            }
            // Nobody overlooks the worst.
            assert!(below > 4.0, "{size}, {}: {below}", kind.name());
        }
    }
}

#[test]
fn frames_of_any_shape_are_damaged_and_nothing_panics() {
    let shapes = [[1, 1, 3], [1, 9, 1], [9, 1, 3], [2, 3, 1], [33, 17, 3], [8, 8, 1], [3, 40, 3]];
    for [width, height, channels] in shapes {
        let picture: Vec<u8> =
            (0..width * height * channels).map(|i| (i * 37 % 251) as u8).collect();
        for kind in FaultKind::all() {
            for severity in 1..=5 {
                let fault = fault(kind, severity);
                let mut pixels = picture.clone();
                let done = fault.apply(&mut pixels, width, height, channels, 5);
                let possible = !kind.needs_time() && (channels == 3 || !kind.needs_colour());
                assert_eq!(done.is_ok(), possible, "{fault}");
            }
        }
    }
    let fog = fault(FaultKind::Fog, 2);
    for (len, shape) in [(0, [0, 0, 3]), (11, [2, 2, 3]), (8, [2, 2, 2]), (4, [usize::MAX, 2, 1])] {
        let error = fog.apply(&mut vec![9; len], shape[0], shape[1], shape[2], 0).unwrap_err();
        assert!(error.contains("are no frame of"), "{error}");
    }
}

#[test]
fn the_same_seed_repeats_and_another_differs() {
    let picture = &pictures(32, 1)[0];
    for kind in alone() {
        let with = |seed| damaged(fault(kind, 3), picture, [32, 32, 3], seed);
        assert_eq!(with(1), with(1), "{}", kind.name());
        // The lens and the codec have one way only; Bayer patterns slip in two, frames tear in few.
        if !matches!(kind, FaultKind::Defocus | FaultKind::JpegBlocks) {
            assert!((2..40).any(|seed| with(seed) != with(1)), "{}", kind.name());
        }
    }
}

#[test]
fn grey_frames_have_the_same_faults_but_those_of_colour() {
    let picture = grey(&pictures(32, 1)[0]);
    for kind in alone().filter(|kind| !kind.needs_colour()) {
        let after = damaged(fault(kind, 4), &picture, [32, 32, 1], 3);
        assert!(distance(&after, &picture) > 1.0, "{}", kind.name());
    }
}

#[test]
fn exact_damage_by_table() {
    let ramp: Vec<u8> = (0..12).map(|i| i * 10).collect();
    let row = |kind, severity| damaged(fault(kind, severity), &ramp, [4, 1, 3], 8);
    // All rows: red and blue change places, or green stands where they were.
    let swapped = row(FaultKind::BayerSwap, 5);
    let exchanged = [20, 10, 0, 50, 40, 30, 80, 70, 60, 110, 100, 90];
    let slipped = [10, 10, 10, 40, 40, 40, 70, 70, 70, 100, 100, 100];
    assert!(swapped == exchanged || swapped == slipped, "{swapped:?}");
    let torn = row(FaultKind::Tearing, 1);
    let turned = |by: usize| {
        let mut pixels = ramp.clone();
        pixels.rotate_right(by);
        pixels
    };
    assert!(torn == turned(3) || torn == turned(9), "{torn:?}");
    // Every pixel has its samples in the same new order.
    let crossed = row(FaultKind::ChannelSwap, 5);
    let places: Vec<usize> = crossed[..3].iter().map(|&v| usize::from(v / 10)).collect();
    assert_ne!(places, [0, 1, 2]);
    for (pixel, own) in crossed.chunks(3).zip(ramp.chunks(3)) {
        assert!(pixel.iter().zip(&places).all(|(v, &from)| *v == own[from]), "{crossed:?}");
    }
    // One block, so one value.
    let lost = row(FaultKind::BlockLoss, 1);
    assert!(lost.iter().all(|v| v == &lost[0]), "{lost:?}");
}

#[test]
fn opened_frames_have_faults_that_stay_with_their_source_or_move() {
    let spec = Path::new("signs:sequence:n=6,track=3");
    let open = |kind: Option<FaultKind>| {
        let mut options = OpenOptions::new(32, 32, 3);
        options.faults = kind.into_iter().map(|kind| fault(kind, 3)).collect();
        let frames = open_one(spec, &options).unwrap();
        let frames = frames.iter().map(|frame| bytes(&frame.unwrap().pixels).to_vec());
        frames.collect::<Vec<_>>()
    };
    let clean = open(None);
    // Rows in which every pixel of all frames is the same.
    let dead = |frames: &[Vec<u8>]| -> Vec<usize> {
        let row = |frame: &Vec<u8>, y: usize| frame[y * 96..(y + 1) * 96].to_vec();
        let flat = |row: &[u8]| row.iter().all(|v| v == &row[0]);
        let same = |y: &usize| {
            frames.iter().all(|f| flat(&row(f, *y)) && row(f, *y) == row(&frames[0], *y))
        };
        (0..32).filter(same).collect()
    };
    let lasting = open(Some(FaultKind::DeadRows));
    assert_eq!(dead(&lasting[..3]).len(), 3);
    assert_eq!(dead(&lasting[3..]).len(), 3);
    assert_ne!(dead(&lasting[..3]), dead(&lasting[3..]));
    let moving = open(Some(FaultKind::SaltAndPepper));
    let struck =
        |i: usize| -> Vec<bool> { clean[i].iter().zip(&moving[i]).map(|(a, b)| a != b).collect() };
    assert_ne!(struck(0), struck(1));
    let mut options = OpenOptions::new(32, 32, 1);
    options.faults = vec![fault(FaultKind::WhiteBalance, 1)];
    let error = open_one(spec, &options).unwrap_err().to_string();
    assert!(error.contains("white-balance") && error.contains("grey"), "{error}");
}

#[test]
fn a_frozen_frame_is_an_earlier_one_of_its_track() {
    let spec = Path::new("signs:sequence:n=12,track=6");
    let read = |faults: &[Fault]| -> Vec<Vec<u8>> {
        let options = OpenOptions { faults: faults.to_vec(), ..OpenOptions::new(32, 32, 3) };
        let frames = open_one(spec, &options).unwrap();
        frames.iter().map(|frame| bytes(&frame.unwrap().pixels).to_vec()).collect()
    };
    let clean = read(&[]);
    // Severity, and for each frame of both tracks which one is shown.
    let cases =
        [(1, [0, 0, 1, 2, 3, 4, 6, 6, 7, 8, 9, 10]), (3, [0, 0, 0, 1, 0, 1, 6, 6, 6, 7, 6, 7])];
    for (severity, shown) in cases {
        let frozen = read(&[fault(FaultKind::FrozenFrame, severity)]);
        let wanted: Vec<Vec<u8>> = shown.iter().map(|&at| clean[at].clone()).collect();
        assert!(frozen == wanted, "{severity}");
    }
    // The noise of the earlier frame freezes with it.
    let noise = fault(FaultKind::Noise, 3);
    let both = read(&[noise, fault(FaultKind::FrozenFrame, 1)]);
    assert_eq!(both[1], both[0]);
    let mut options = OpenOptions::new(32, 32, 3);
    options.faults = vec![fault(FaultKind::FrozenFrame, 1)];
    let error = open_one(Path::new("signs:test:n=12"), &options).unwrap_err().to_string();
    assert!(error.contains("frozen-frame") && error.contains("--group"), "{error}");
}
