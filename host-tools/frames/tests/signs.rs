//! The procedural signs: independent of order and threads, balanced, smooth along tracks, opened
//! like files. Their bits are compared in the suite's `bits`.

mod common;

use std::path::Path;

use common::{bytes, cifar_size, open_one};
use gradgate_frames::signs::{CLASSES, Picture, Signs, Spec, Split, UNSEEN_CLASSES, contact_sheet};
use gradgate_frames::{OpenOptions, Pixels, open};

fn signs(text: &str) -> Signs {
    Signs::new(Spec::parse(text).unwrap())
}

/// Mean absolute difference of bytes.
fn distance(a: &[u8], b: &[u8]) -> f64 {
    assert_eq!(a.len(), b.len());
    let sum: u64 = a.iter().zip(b).map(|(&a, &b)| u64::from(a.abs_diff(b))).sum();
    sum as f64 / a.len() as f64
}

#[test]
fn frames_depend_on_neither_order_nor_threads_nor_count() {
    for text in ["signs:train", "signs:sequence:track=7"] {
        let forward: Vec<Picture> = (0..40).map(|i| signs(text).picture(i)).collect();
        let shared = signs(&format!("{text}{}n=1", if text.contains("track") { ',' } else { ':' }));
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let (shared, forward) = (&shared, &forward);
                scope.spawn(move || {
                    for i in (0..40).rev().filter(|i| i % 4 == thread) {
                        assert_eq!(shared.picture(i), forward[i], "{text}, frame {i}");
                    }
                });
            }
        });
    }
}

#[test]
fn splits_and_seeds_share_no_frame() {
    let specs = Split::ALL.map(|split| Spec::new(split).to_string());
    let mut pictures: Vec<(String, Vec<u8>)> = Vec::new();
    for text in specs.into_iter().flat_map(|s| [format!("{s}:seed=1"), format!("{s}:seed=2")]) {
        let pixels = signs(&text).picture(0).pixels;
        for (other, theirs) in &pictures {
            assert!(distance(theirs, &pixels) > 5.0, "{other} and {text}");
        }
        pictures.push((text, pixels));
    }
}

#[test]
fn every_block_of_sources_holds_each_class_once() {
    let known = CLASSES.len();
    let cases = [
        ("signs:train:size=8", 0..known, 1),
        ("signs:unseen:size=8", known..known + UNSEEN_CLASSES.len(), 1),
        ("signs:sequence:size=8,track=2", 0..known, 2),
    ];
    for (text, labels, track) in cases {
        let signs = signs(text);
        let block = labels.len();
        let mut orders: Vec<Vec<usize>> = Vec::new();
        for start in [0, block, 7 * block] {
            let sources = start..start + block;
            let order: Vec<usize> = sources.map(|s| signs.picture(s * track).label).collect();
            let mut sorted = order.clone();
            sorted.sort_unstable();
            assert_eq!(sorted, labels.clone().collect::<Vec<_>>(), "{text}");
            orders.push(order);
        }
        assert!(orders[0] != orders[1] || orders[1] != orders[2], "{text}: {orders:?}");
    }
}

/// A mean over 2 x 2 pixels: the same scene through a sensor of half the resolution.
fn halved(pixels: &[u8], size: usize) -> Vec<u8> {
    let at = |y: usize, x: usize, c: usize| u32::from(pixels[(y * size + x) * 3 + c]);
    let mean = |i: usize| {
        let (y, x, c) = (i / 3 / (size / 2) * 2, i / 3 % (size / 2) * 2, i % 3);
        (at(y, x, c) + at(y + 1, x, c) + at(y, x + 1, c) + at(y + 1, x + 1, c)) / 4
    };
    (0..size * size / 4 * 3).map(|i| mean(i) as u8).collect()
}

#[test]
fn the_size_changes_the_sensor_and_not_the_scene() {
    let (small, large) = (signs("signs:test"), signs("signs:test:size=64"));
    let [mut same, mut other] = [0.0; 2];
    for i in 0..20 {
        let halved = halved(&large.picture(i).pixels, 64);
        same += distance(&halved, &small.picture(i).pixels) / 20.0;
        other += distance(&halved, &small.picture(i + 1).pixels) / 20.0;
    }
    assert!(same < 12.0 && other > 40.0, "{same} {other}");
    for size in [8, 33, 256] {
        let pixels = signs(&format!("signs:test:size={size}")).picture(3).pixels;
        assert_eq!(pixels.len(), size * size * 3);
    }
}

#[test]
fn tracks_are_smooth_and_of_one_class() {
    let signs = signs("signs:sequence:track=40");
    let [mut step, mut ends] = [0.0; 2];
    for track in 0..12 {
        let frames: Vec<Picture> =
            (track * 40..track * 40 + 40).map(|i| signs.picture(i)).collect();
        for pair in frames.windows(2) {
            assert_eq!((pair[0].label, pair[0].source), (pair[1].label, track));
            step += distance(&pair[0].pixels, &pair[1].pixels) / (39.0 * 12.0);
        }
        ends += distance(&frames[0].pixels, &frames[39].pixels) / 12.0;
    }
    assert!(step < 0.35 * ends, "a step changes {step}, a track {ends}");
}

#[test]
fn specs_open_like_files() {
    let options = OpenOptions { limit: Some(5), stride: 3, ..cifar_size() };
    let frames = open_one(Path::new("signs:test?n=14&seed=3"), &options).unwrap();
    assert_eq!(frames.len(), 5);
    let signs = signs("signs:test:seed=3");
    for (i, frame) in frames.iter().enumerate() {
        let (frame, picture) = (frame.unwrap(), signs.picture(i * 3));
        assert_eq!(bytes(&frame.pixels), picture.pixels);
        assert_eq!(frame.label, Some(picture.label as i64));
        assert_eq!(
            (frame.source, frame.name),
            (3 * i as i64, format!("signs:test?n=14&seed=3#{}", i * 3))
        );
    }
    assert_eq!(frames.class_names()[..CLASSES.len()], CLASSES);
    assert_eq!(frames.class_names()[CLASSES.len()..], UNSEEN_CLASSES);
}

#[test]
fn tracks_are_sources_and_groups_are_for_the_rest() {
    let options = OpenOptions { group: Some(2), ..OpenOptions::new(8, 8, 1) };
    let paths = ["signs:sequence:n=7,track=3", "signs:test:n=4"].map(Into::into);
    let frames = open(&paths, &options).unwrap();
    let sources: Vec<i64> = frames.iter().map(|frame| frame.unwrap().source).collect();
    assert_eq!(sources, [0, 0, 0, 1, 1, 1, 2, 3, 3, 4, 4]);
    assert_eq!(frames.get(0).unwrap().pixels.len(), 64);
}

#[test]
fn a_wrong_spec_says_what_there_is() {
    let error = |text: &str| open_one(Path::new(text), &cifar_size()).unwrap_err().to_string();
    assert!(error("signs:tset").contains("signs:test, signs:unseen"));
    assert!(error("signs").contains("say signs:train"));
    assert!(error("signs:test?N=3").contains("n, seed, size, track"));
    assert!(error("sign:test").contains("cannot open sign:test"));
}

#[test]
fn a_contact_sheet_holds_its_frames() {
    let frames: Vec<Vec<u8>> = (0..3).map(|v| vec![v; 4 * 3]).collect();
    let sheet = contact_sheet(&frames, 2, 2);
    assert_eq!(sheet.shape, [10, 10, 3]);
    let Pixels::U8(pixels) = &sheet.pixels else { panic!("not u8") };
    let at = |y: usize, x: usize| pixels[(y * 10 + x) * 3];
    let corners = [at(2, 2), at(3, 7), at(6, 2), at(6, 6), at(0, 0), at(4, 2)];
    assert_eq!(corners, [0, 1, 2, 255, 255, 255]);
}
