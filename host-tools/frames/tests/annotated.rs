//! GTSRB's and Tiny-ImageNet's folders: labels, tracks and regions from the tables beside pictures.

mod common;

use std::path::Path;

use common::{bytes, first_error, open_one, put};
use gradgate_frames::{Crop, Frames, OpenOptions, Pixels, save_png};
use tempfile::TempDir;

const HEAD: &str = "Filename;Width;Height;Roi.X1;Roi.Y1;Roi.X2;Roi.Y2";

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

/// A grey picture of 4 x 3 pixels: `value` to `value + 11`.
fn picture(folder: &Path, name: &str, value: u8) {
    let path = put(folder, name, b"");
    save_png(&path, &Pixels::U8((value..value + 12).collect()), [3, 4, 1]).unwrap();
}

fn options() -> OpenOptions {
    OpenOptions::new(3, 4, 1)
}

/// First sample, label and source of each frame.
fn values(frames: &Frames) -> Vec<(u8, Option<i64>, i64)> {
    let value =
        |frame: gradgate_frames::Frame| (bytes(&frame.pixels)[0], frame.label, frame.source);
    frames.iter().map(|frame| value(frame.unwrap())).collect()
}

/// Two classes; class 14 has two tracks, of two and one pictures.
fn training(root: &Path) {
    let rows = [("00000", 0, 1), ("00000", 1, 20), ("00001", 0, 40)];
    for (class, rows) in [(2, &rows[..1]), (14, &rows[..])] {
        let mut table = format!("{HEAD};ClassId\r\n");
        for (track, number, value) in rows {
            let name = format!("{track}_{number:05}.ppm");
            picture(root, &format!("{class:05}/{name}"), value + class);
            table += &format!("{name};4;3;1;1;3;3;{class}\r\n");
        }
        put(root, &format!("{class:05}/GT-{class:05}.csv"), table.as_bytes());
    }
}

#[test]
fn signs_have_their_class_and_track() {
    let f = folder();
    training(f.path());
    let frames = open_one(f.path(), &options()).unwrap();
    let expected = [(3, Some(2), 0), (15, Some(14), 1), (34, Some(14), 1), (54, Some(14), 2)];
    assert_eq!(values(&frames), expected);
    // One class alone, and with a group, which tracks go before.
    let grouped = OpenOptions { group: Some(10), ..options() };
    let frames = open_one(&f.path().join("00014"), &grouped).unwrap();
    assert_eq!(values(&frames), [(15, Some(14), 0), (34, Some(14), 0), (54, Some(14), 1)]);
}

#[test]
fn signs_are_cut_to_their_regions() {
    let f = folder();
    training(f.path());
    let region = OpenOptions { crop: Crop::Region, ..OpenOptions::new(2, 2, 1) };
    let frame = open_one(f.path(), &region).unwrap().get(0).unwrap();
    assert_eq!(bytes(&frame.pixels), [8, 9, 12, 13]);
    picture(f.path(), "other/a.png", 0);
    let error = first_error(&f.path().join("other"), &region).unwrap();
    assert!(error.contains("a.png") && error.contains("no region"), "{error}");
    let records = put(f.path(), "a.bin", &[0; 3073]);
    let error = first_error(&records, &region).unwrap();
    assert!(error.contains("a.bin") && error.contains("no region"), "{error}");
}

#[test]
fn test_signs_find_their_classes_where_the_archives_put_them() {
    let rows =
        |class: &str| format!("00000.ppm;4;3;0;0;4;3{class}\n00001.ppm;4;3;0;0;4;3{class}\n");
    let without = format!("{HEAD}\n{}", rows(""));
    let with = format!("{HEAD};ClassId\n{}", rows(";7"));
    let places = [None, Some("GTSRB/Final_Test/Images/"), Some("GTSRB/"), Some("")];
    for place in places {
        let f = folder();
        let images = f.path().join("GTSRB/Final_Test/Images");
        picture(&images, "00000.ppm", 10);
        picture(&images, "00001.ppm", 50);
        put(&images, "GT-final_test.test.csv", without.as_bytes());
        if let Some(place) = place {
            put(f.path(), &format!("{place}GT-final_test.csv"), with.as_bytes());
        }
        let label = place.map(|_| 7);
        let expected = [(10, label, 0), (50, label, 1)];
        for root in [images, f.path().join("GTSRB/Final_Test")] {
            assert_eq!(values(&open_one(&root, &options()).unwrap()), expected, "{place:?}");
        }
    }
}

#[test]
fn tables_that_do_not_fit_are_refused() {
    let f = folder();
    training(f.path());
    let table = f.path().join("00014/GT-00014.csv");
    let good = std::fs::read_to_string(&table).unwrap();
    let second = "00000_00001.ppm;4;3;1;1;3;3;14";
    assert!(good.contains(second));
    let with = |row: &str| good.replace(second, row);
    let cases = [
        (good[..good.len() - 10].to_owned(), "line 4: 5 fields, not 8"),
        (good[..good.find("00001_").unwrap()].to_owned(), "does not list it"),
        (with("00000_00009.ppm;4;3;1;1;3;3;14"), "00000_00001.ppm: "),
        (format!("{good}00003_00000.ppm;4;3;1;1;3;3;14\n"), "lists 00003_00000.ppm, and no such"),
        (with("00000_00000.ppm;4;3;1;1;3;3;14"), "listed twice"),
        (with("00000_00001.ppm;4;3;1;1;3;3;1"), "class 1 in the table of class 14"),
        (with("00000_00001.ppm;4;3;1;1;3;3;-1"), "`-1` is no whole number"),
        (with("00000_00001.ppm;4;3;3;1;3;3;14"), "not inside 4 x 3"),
        (with("00000_00001.ppm;4;3;0;0;5;3;14"), "not inside 4 x 3"),
        (good.replace("Roi.Y2", "Roi"), "no column Roi.Y2"),
        (String::new(), "no column"),
    ];
    for (content, expected) in cases {
        std::fs::write(&table, content).unwrap();
        let error = first_error(f.path(), &options()).unwrap();
        assert!(error.contains("GT-00014.csv") && error.contains(expected), "{error}");
    }
    std::fs::write(&table, [0xff, 0xfe]).unwrap();
    assert!(first_error(f.path(), &options()).unwrap().contains("UTF-8"));
    // A picture of another size than the table says, which only a cut notices.
    std::fs::write(&table, good.replace(";4;3;1;1;3;3;", ";5;3;1;1;3;3;")).unwrap();
    assert_eq!(first_error(f.path(), &options()), None);
    let region = OpenOptions { crop: Crop::Region, ..options() };
    let error = first_error(f.path(), &region).unwrap();
    assert!(error.contains("stated for 5 x 3 pixels, and it has 4 x 3"), "{error}");
}

/// Classes n2, n1 in that order; two training pictures, three of validation, one of test.
fn tiny(root: &Path) {
    put(root, "wnids.txt", b"n2\nn1\n");
    picture(root, "train/n1/images/n1_0.JPEG", 1);
    put(root, "train/n1/n1_boxes.txt", b"n1_0.JPEG\t0\t0\t3\t2\n");
    picture(root, "train/n2/images/n2_0.JPEG", 2);
    let mut table = String::new();
    for (number, class) in [(0, "n1"), (1, "n2"), (2, "n1")] {
        picture(root, &format!("val/images/val_{number}.JPEG"), 10 + number);
        table += &format!("val_{number}.JPEG\t{class}\t0\t0\t3\t2\n");
    }
    put(root, "val/val_annotations.txt", table.as_bytes());
    picture(root, "test/images/test_0.JPEG", 20);
}

#[test]
fn tiny_imagenet_has_one_order_of_classes() {
    let f = folder();
    tiny(f.path());
    let opened = |name: &str| open_one(&f.path().join(name), &options()).unwrap();
    assert_eq!(values(&opened("train")), [(1, Some(1), 0), (2, Some(0), 1)]);
    let validation = [(10, Some(1), 0), (11, Some(0), 1), (12, Some(1), 2)];
    assert_eq!(values(&opened("val")), validation);
    assert_eq!(opened("val").class_names(), ["n2", "n1"]);
    assert_eq!(values(&opened("val/images")), validation);
    assert_eq!(values(&opened("test")), [(20, None, 0)]);
    let error = first_error(f.path(), &options()).unwrap();
    assert!(error.contains("train, val or test"), "{error}");
}

#[test]
fn tiny_imagenet_that_does_not_fit_is_refused() {
    let cases: [(&str, &str, &str, &str); 7] = [
        ("wnids.txt", "n2\n", "train", "class n1 is none of the 1"),
        ("wnids.txt", "n2\nn1\nn2\n", "train", "n2 stands in it twice"),
        ("wnids.txt", "", "val", "no class"),
        ("val/val_annotations.txt", "val_0.JPEG\tn1\t0\t0\t3\t2\n", "val", "does not list it"),
        ("val/val_annotations.txt", "val_0.JPEG\tn1\t0\n", "val", "line 1: 3 fields"),
        ("val/val_annotations.txt", "val_0.JPEG\tn3\t0\t0\t3\t2\n", "val", "class n3 is none"),
        ("train/n3/images/n3_0.txt", "", "train", ""),
    ];
    for (file, content, opened, expected) in cases {
        let f = folder();
        tiny(f.path());
        put(f.path(), file, content.as_bytes());
        match first_error(&f.path().join(opened), &options()) {
            Some(error) => assert!(!expected.is_empty() && error.contains(expected), "{error}"),
            None => assert!(expected.is_empty(), "{expected}"),
        }
    }
    let f = folder();
    tiny(f.path());
    std::fs::remove_file(f.path().join("wnids.txt")).unwrap();
    let error = first_error(&f.path().join("val"), &options()).unwrap();
    assert!(error.contains("wnids.txt"), "{error}");
}
