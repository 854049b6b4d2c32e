//! Picture files and folders of them: order, classes, what is passed over, what is an error.

mod common;

use std::path::Path;

use common::{bytes, first_error, golden, open_one, put};
use gradgate_frames::{Crop, Frames, OpenOptions, Pixels, open, save_png};
use tempfile::TempDir;

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

/// A 1 x 1 grey PNG.
fn dot(folder: &Path, name: &str, value: u8) {
    let path = put(folder, name, b"");
    save_png(&path, &Pixels::U8(vec![value]), [1, 1, 1]).unwrap();
}

fn dots() -> OpenOptions {
    OpenOptions::new(1, 1, 1)
}

fn values(frames: &Frames) -> Vec<(u8, Option<i64>)> {
    let read = |frame: gradgate_frames::Frame| (bytes(&frame.pixels)[0], frame.label);
    frames.iter().map(|frame| read(frame.unwrap())).collect()
}

#[test]
fn classes_are_the_folders_in_order() {
    let f = folder();
    for (name, value) in [
        ("set/dog/b.png", 4),
        ("set/dog/a.png", 3),
        ("set/cat/deep/er/x.png", 2),
        ("set/cat/1.png", 1),
        ("set/zebra/1.png", 5),
    ] {
        dot(f.path(), name, value);
    }
    let frames = open_one(&f.path().join("set"), &dots()).unwrap();
    let expected = [(1, Some(0)), (2, Some(0)), (3, Some(1)), (4, Some(1)), (5, Some(2))];
    assert_eq!(values(&frames), expected);
    assert_eq!(frames.class_names(), ["cat", "dog", "zebra"]);
    let unlabelled = OpenOptions { folder_labels: false, ..dots() };
    let frames = open_one(&f.path().join("set"), &unlabelled).unwrap();
    assert_eq!(values(&frames), expected.map(|(v, _)| (v, None)));
    assert!(frames.class_names().is_empty());
}

#[test]
fn a_class_without_files_is_an_error() {
    let f = folder();
    dot(f.path(), "set/cat/a.png", 1);
    std::fs::create_dir_all(f.path().join("set/dog/images")).unwrap();
    let error = first_error(&f.path().join("set"), &dots()).unwrap();
    assert!(error.contains("dog") && error.contains("a class without files"), "{error}");
    let unlabelled = OpenOptions { folder_labels: false, ..dots() };
    assert_eq!(first_error(&f.path().join("set"), &unlabelled), None);
    put(f.path(), "set/dog/readme.txt", b"");
    assert_eq!(first_error(&f.path().join("set"), &dots()), None);
}

/// ODIN's sets: pictures without classes, flat or in one folder within a folder.
#[test]
fn flat_folders_have_no_labels() {
    let f = folder();
    dot(f.path(), "LSUN_resize/LSUN_resize/1.png", 4);
    dot(f.path(), "LSUN_resize/LSUN_resize/0.png", 3);
    let inner = f.path().join("LSUN_resize/LSUN_resize");
    assert_eq!(values(&open_one(&inner, &dots()).unwrap()), [(3, None), (4, None)]);
    let unlabelled = OpenOptions { folder_labels: false, ..dots() };
    let frames = open_one(&f.path().join("LSUN_resize"), &unlabelled).unwrap();
    assert_eq!(values(&frames), [(3, None), (4, None)]);
}

#[test]
fn numbered_folders_are_their_own_labels() {
    let f = folder();
    dot(f.path(), "00014/a.png", 2);
    dot(f.path(), "00002/a.png", 1);
    let frames = open_one(f.path(), &dots()).unwrap();
    assert_eq!(values(&frames), [(1, Some(2)), (2, Some(14))]);
    assert!(frames.class_names().is_empty());
    dot(f.path(), "1e3/a.png", 3);
    let frames = open_one(f.path(), &dots()).unwrap();
    assert_eq!(values(&frames), [(1, Some(0)), (2, Some(1)), (3, Some(2))]);
}

#[test]
fn one_numbering_over_several_folders() {
    let f = folder();
    dot(f.path(), "one/dog/a.png", 1);
    dot(f.path(), "two/cat/a.png", 2);
    dot(f.path(), "two/dog/a.png", 3);
    dot(f.path(), "single.png", 4);
    let paths = ["one", "single.png", "two"].map(|name| f.path().join(name));
    let frames = open(&paths, &dots()).unwrap();
    assert_eq!(values(&frames), [(1, Some(1)), (4, None), (2, Some(0)), (3, Some(1))]);
    let sources: Vec<i64> = frames.iter().map(|f| f.unwrap().source).collect();
    assert_eq!(sources, [0, 1, 2, 3]);
    assert!(frames.get(0).unwrap().name.ends_with("a.png"));
}

#[test]
fn others_are_passed_over_and_counted() {
    let f = folder();
    dot(f.path(), "a.png", 1);
    dot(f.path(), "content-counts.dat", 2);
    put(f.path(), "notes.txt", b"hello");
    put(f.path(), ".hidden.png", b"not a picture");
    put(f.path(), ".git/a.png", b"not a picture");
    put(f.path(), "sub/labels.csv", b"1,2");
    let frames = open_one(f.path(), &dots()).unwrap();
    assert_eq!(values(&frames), [(1, None), (2, None)]);
    assert_eq!(frames.ignored(), 3);
}

#[test]
fn broken_pictures_are_errors_by_name() {
    let f = folder();
    dot(f.path(), "a.png", 1);
    put(f.path(), "broken.jpg", b"this is no picture");
    let error = first_error(f.path(), &dots()).unwrap();
    assert!(error.contains("broken.jpg"), "{error}");
    std::fs::remove_file(f.path().join("broken.jpg")).unwrap();
    let whole = std::fs::read(f.path().join("a.png")).unwrap();
    put(f.path(), "cut.png", &whole[..whole.len() - 20]);
    let error = first_error(f.path(), &dots()).unwrap();
    assert!(error.contains("cut.png") && error.contains("truncated"), "{error}");
}

#[test]
fn folders_without_pictures_say_what_they_hold() {
    let f = folder();
    let error = first_error(f.path(), &dots()).unwrap();
    assert!(error.contains("empty"), "{error}");
    put(f.path(), "train.bin", &[0; 3073]);
    let error = first_error(f.path(), &dots()).unwrap();
    assert!(error.contains("train.bin"), "{error}");
}

#[cfg(unix)]
#[test]
fn links_work_and_loops_end() {
    let f = folder();
    dot(f.path(), "data/a.png", 1);
    std::os::unix::fs::symlink("../data/a.png", put(f.path(), "l/x", b"").with_file_name("b.png"))
        .unwrap();
    let frames = open_one(&f.path().join("l"), &dots()).unwrap();
    assert_eq!(values(&frames), [(1, None)]);
    std::os::unix::fs::symlink(".", f.path().join("data/loop")).unwrap();
    let error = first_error(&f.path().join("data"), &dots()).unwrap();
    assert!(error.contains("loop"), "{error}");
    std::os::unix::fs::symlink("gone.png", f.path().join("l/dangling.png")).unwrap();
    let error = first_error(&f.path().join("l"), &dots()).unwrap();
    assert!(error.contains("dangling.png"), "{error}");
}

#[test]
fn pictures_are_resized_and_converted_in_one_place() {
    let f = folder();
    let path = f.path().join("a.png");
    let pixels = Pixels::U8(vec![0, 0, 0, 100, 100, 100, 40, 40, 40, 61, 61, 61]);
    save_png(&path, &pixels, [2, 2, 3]).unwrap();
    for (shape, expected) in
        [([1, 1, 3], &[50, 50, 50][..]), ([1, 1, 1], &[50]), ([1, 2, 1], &[20, 81])]
    {
        let [h, w, c] = shape;
        let frame = open_one(&path, &OpenOptions::new(h, w, c)).unwrap().get(0).unwrap();
        assert_eq!(bytes(&frame.pixels), expected, "{shape:?}");
    }
}

#[test]
fn crop_and_codec_stand_on_either_side_of_the_resize() {
    let f = folder();
    let path = f.path().join("wide.png");
    let samples = (0..32 * 64 * 3).map(|at: usize| (at * 37 % 251) as u8).collect();
    save_png(&path, &Pixels::U8(samples), [32, 64, 3]).unwrap();
    let whole = OpenOptions::new(16, 16, 3);
    let read = |options: &OpenOptions| {
        let frame = open_one(&path, options).unwrap().get(0).unwrap();
        bytes(&frame.pixels).to_vec()
    };
    let centre = OpenOptions { crop: Crop::Centre, ..whole.clone() };
    assert_ne!(read(&centre), read(&whole));
    // The middle 32 columns, cut by hand.
    let picture = read(&OpenOptions::new(32, 64, 3));
    let middle: Vec<u8> =
        picture.chunks(64 * 3).flat_map(|row| &row[16 * 3..48 * 3]).copied().collect();
    save_png(&f.path().join("middle.png"), &Pixels::U8(middle), [32, 32, 3]).unwrap();
    let cut = open_one(&f.path().join("middle.png"), &whole).unwrap().get(0).unwrap();
    assert_eq!(read(&centre), bytes(&cut.pixels));
    let codec = OpenOptions { codec: "60".parse().ok(), ..centre.clone() };
    let (passed, plain) = (read(&codec), read(&centre));
    assert_ne!(passed, plain);
    assert_eq!(passed.len(), plain.len());
    // Behind the resize: the codec sees a frame of 16 x 16, so a copy that has this size already
    // comes out the same.
    save_png(&f.path().join("small.png"), &Pixels::U8(plain), [16, 16, 3]).unwrap();
    let small = open_one(&f.path().join("small.png"), &codec).unwrap().get(0).unwrap();
    assert_eq!(bytes(&small.pixels), passed);
}

/// Encoders round alike and decoders do not: half a step on average, and more where colour was
/// sampled, which each spreads in its own way.
#[test]
fn the_codec_loses_what_libjpeg_loses() {
    let read = |name: &str, codec: Option<&str>| {
        let options = OpenOptions {
            codec: codec.and_then(|c| c.parse().ok()),
            ..OpenOptions::new(32, 32, 3)
        };
        let frame = open_one(&golden(name), &options).unwrap().get(0).unwrap();
        bytes(&frame.pixels).to_vec()
    };
    let apart = |a: &[u8], b: &[u8]| {
        let sum: u32 = a.iter().zip(b).map(|(a, b)| u32::from(a.abs_diff(*b))).sum();
        f64::from(sum) / a.len() as f64
    };
    let plain = read("codec.png", None);
    for (codec, file, most) in [
        ("75:444", "codec-75-444.png", 0.5),
        ("75:422", "codec-75-422.png", 1.0),
        ("75:420", "codec-75-420.png", 1.0),
        ("30:420", "codec-30-420.png", 1.0),
    ] {
        let (ours, peer) = (read("codec.png", Some(codec)), read(file, None));
        let (between, loss) = (apart(&ours, &peer), apart(&plain, &peer));
        println!("{codec}: {between:.3} apart, the loss is {loss:.3}");
        assert!(between <= most && 2.0 * between < loss, "{codec}: {between} {loss}");
    }
}

#[test]
fn frames_are_shared_between_threads() {
    fn shared<T: Send + Sync>(_: &T) {}
    let f = folder();
    for i in 0..20 {
        dot(f.path(), &format!("{i:02}.png"), i);
    }
    let frames = open_one(f.path(), &dots()).unwrap();
    shared(&frames);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for (i, frame) in frames.iter().enumerate() {
                    assert_eq!(bytes(&frame.unwrap().pixels), [i as u8]);
                }
            });
        }
    });
}
