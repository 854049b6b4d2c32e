//! Real datasets, where they are present: counts, labels, sums of bytes, pre-checks.

mod common;

use std::path::PathBuf;

use common::{bytes, cifar_size, open_one};
use gradgate_frame::{CheckLimits, check_frame};
use gradgate_frames::{Frames, OpenOptions, open, save_png};

/// A path in the folder of shared data; `None`, said aloud, when it is absent.
fn shared(name: &str) -> Option<PathBuf> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data").join(name);
    if path.exists() {
        return Some(path);
    }
    eprintln!("SKIPPED: ../shared/data/{name} is absent");
    None
}

/// Opens shared data, and tells what it holds.
fn opened(name: &str, options: &OpenOptions) -> Option<Frames> {
    let path = shared(name)?;
    Some(open_one(&path, options).unwrap_or_else(|error| panic!("{error}")))
}

#[test]
fn record_sets() {
    for (name, len, classes) in [
        ("cifar10-lossless/test.bin", 1_017, 10),
        ("cifar10-lossless/train.bin", 8_068, 10),
        ("gtsrb/test.bin", 12_630, 43),
        ("gtsrb/train.bin", 19_605, 43),
        ("tinyimagenet/val.bin", 5_000, 200),
    ] {
        let options = OpenOptions { group: Some(15), ..cifar_size() };
        let Some(frames) = opened(name, &options) else {
            continue;
        };
        assert_eq!(frames.len(), len, "{name}");
        let last = frames.get(len - 1).unwrap();
        assert_eq!(last.source, (len as i64 - 1) / 15, "{name}");
        let mut blank = 0;
        for i in (0..len).step_by(7) {
            let frame = frames.get(i).unwrap();
            assert!((0..classes).contains(&frame.label.unwrap()), "{name} {i}");
            let verdict = check_frame(bytes(&frame.pixels), 3072, 3, CheckLimits::default());
            blank += usize::from(verdict.is_err());
        }
        eprintln!("{name}: {blank} of {} frames fail the pre-checks", len.div_ceil(7));
        assert!(blank * 1_000 < len, "{name}: the pre-checks refuse real frames");
    }
}

#[test]
fn mnist_with_its_labels() {
    // Frames per digit as in the published label file.
    let counts = [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009];
    let options = OpenOptions::new(28, 28, 1);
    let Some(frames) = opened("mnist/t10k-images-idx3-ubyte.gz", &options) else {
        return;
    };
    assert_eq!(frames.len(), 10_000);
    let mut found = [0; 10];
    for frame in frames.iter() {
        found[frame.unwrap().label.unwrap() as usize] += 1;
    }
    assert_eq!(found, counts);
    let Some(frames) = opened("mnist/t10k-images-idx3-ubyte.gz", &cifar_size()) else {
        return;
    };
    let frame = frames.get(0).unwrap();
    assert_eq!((bytes(&frame.pixels).len(), frame.label), (3072, Some(7)));
    let Some(frames) = opened("fashion-mnist/t10k-images-idx3-ubyte.gz", &options) else {
        return;
    };
    assert_eq!((frames.len(), frames.get(0).unwrap().label), (10_000, Some(9)));
}

#[test]
fn records_and_their_png_copies_are_the_same_frames() {
    let Some(records) = opened("cifar10-lossless/test.bin", &cifar_size()) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    for i in 0..40 {
        let frame = records.get(i).unwrap();
        let path = folder.path().join(format!("{:02}/{i:04}.png", frame.label.unwrap()));
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        save_png(&path, &frame.pixels, records.shape()).unwrap();
    }
    let copies = open(&[folder.path().to_owned()], &cifar_size()).unwrap();
    assert_eq!(copies.len(), 40);
    for copy in copies.iter() {
        let copy = copy.unwrap();
        let stem = PathBuf::from(&copy.name).file_stem().unwrap().to_str().unwrap().to_owned();
        let original = records.get(stem.parse().unwrap()).unwrap();
        assert_eq!((copy.pixels, copy.label), (original.pixels, original.label));
    }
}
