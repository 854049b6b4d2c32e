//! safetensors of images: read, refused, written.

mod common;

use common::{Rng, bytes, first_error, open_one, put, tensors};
use gradgate_frames::{Frame, OpenOptions, Pixels, open, save_png, write_images_safetensors};
use tempfile::TempDir;

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn frame(pixels: Pixels, label: Option<i64>, source: i64) -> Frame {
    Frame { pixels, label, source, name: String::new(), time_ns: None, picture: [0, 0] }
}

#[test]
fn safetensors_u8_and_f32() {
    let folder = folder();
    let data: Vec<u8> = (0..24).collect();
    let floats: Vec<u8> = data.iter().flat_map(|&v| (f32::from(v) / 255.0).to_le_bytes()).collect();
    let labels: Vec<u8> = [5_i64, -1].iter().flat_map(|v| v.to_le_bytes()).collect();
    let source: Vec<u8> = [900_i32, 900].iter().flat_map(|v| v.to_le_bytes()).collect();
    let header = |dtype: &str, n: usize| {
        format!(
            r#"{{"images":{{"dtype":"{dtype}","shape":[2,3,2,2],"data_offsets":[0,{n}]}},
            "labels":{{"dtype":"I64","shape":[2],"data_offsets":[{n},{}]}},
            "source":{{"dtype":"I32","shape":[2],"data_offsets":[{},{}]}}}}"#,
            n + 16,
            n + 16,
            n + 24
        )
    };
    let whole = |dtype, images: &[u8]| {
        tensors(&header(dtype, images.len()), &[images, &labels, &source].concat())
    };
    let a = put(folder.path(), "a", &whole("U8", &data));
    let b = put(folder.path(), "b", &whole("F32", &floats));
    let options = OpenOptions { group: Some(1), ..OpenOptions::new(2, 2, 3) };
    let frames = open(&[a, b], &options).unwrap();
    let found: Vec<Frame> = frames.iter().map(Result::unwrap).collect();
    assert_eq!(bytes(&found[0].pixels), [0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11]);
    assert_eq!(
        found.iter().map(|f| f.label).collect::<Vec<_>>(),
        [Some(5), Some(-1), Some(5), Some(-1)]
    );
    assert_eq!(found.iter().map(|f| f.source).collect::<Vec<_>>(), [0, 0, 1, 1]);
    for i in 0..2 {
        let Pixels::F32(floats) = &found[i + 2].pixels else { panic!("not f32") };
        let expected: Vec<f32> =
            bytes(&found[i].pixels).iter().map(|&v| f32::from(v) / 255.0).collect();
        assert_eq!(floats, &expected);
        assert_eq!(found[i + 2].pixels.to_u8(), bytes(&found[i].pixels));
    }
}

#[test]
fn safetensors_that_do_not_fit_are_refused() {
    let folder = folder();
    let one = |dtype: &str, shape: &str, bytes: usize| {
        let text = format!(
            r#"{{"images":{{"dtype":"{dtype}","shape":{shape},"data_offsets":[0,{bytes}]}}}}"#
        );
        tensors(&text, &vec![0; bytes])
    };
    let float = |v: f32| {
        let header = r#"{"images":{"dtype":"F32","shape":[1,1,1,1],"data_offsets":[0,4]}}"#;
        tensors(header, &v.to_le_bytes())
    };
    let cases: Vec<(Vec<u8>, &str)> = vec![
        (one("U8", "[1,2,2,3]", 12), "channels last"),
        (one("U8", "[1,4,2,2]", 16), "n x 3"),
        (one("U8", "[12]", 12), "n x 3"),
        (one("F64", "[1,1,1,1]", 8), "F64"),
        (one("F16", "[1,1,1,1]", 2), "F16"),
        (one("U8", "[0,3,2,2]", 0), "length 0"),
        (one("U8", "[2,3,2,2]", 12), ""),
        (one("U8", "[18446744073709551615,3,2,2]", 12), ""),
        (float(1.5), "outside 0..1"),
        (float(-0.1), "outside 0..1"),
        (float(f32::NAN), "outside 0..1"),
        (
            tensors(r#"{"pictures":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}"#, &[0]),
            "[pictures]",
        ),
        (tensors("{\"images\":", &[0]), "prescribes"),
        ([&(1_u64 << 40).to_le_bytes()[..], b"{}"].concat(), "at most"),
        ([&u64::MAX.to_le_bytes()[..], b"{}"].concat(), "at most"),
        (
            tensors(
                r#"{"images":{"dtype":"U8","shape":[1,1,1,1],"data_offsets":[0,1]},
                "labels":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}}"#,
                &[0; 3],
            ),
            "one integer per image",
        ),
    ];
    for (i, (content, expected)) in cases.iter().enumerate() {
        let path = put(folder.path(), &format!("case{i}.safetensors"), content);
        let error = first_error(&path, &OpenOptions::new(1, 1, 1));
        let text = error.unwrap_or_else(|| panic!("case {i} ({expected}) was read"));
        assert!(text.contains(&format!("case{i}")) && text.contains(expected), "{text}");
    }
}

#[test]
fn written_images_read_back() {
    let folder = folder();
    let mut rng = Rng(5);
    for (channels, floats, labelled) in [(3, false, true), (1, false, false), (3, true, true)] {
        let shape = [4, 5, channels];
        let frames: Vec<Frame> = (0..6)
            .map(|i| {
                let samples = rng.bytes(20 * channels);
                let pixels = if floats {
                    Pixels::F32(samples.iter().map(|&v| f32::from(v) / 255.0).collect())
                } else {
                    Pixels::U8(samples)
                };
                let label = labelled.then_some(i * 10);
                frame(pixels, label, i / 2)
            })
            .collect();
        let path = folder.path().join("out.safetensors");
        write_images_safetensors(&path, &frames, shape).unwrap();
        let back = open_one(&path, &OpenOptions::new(4, 5, channels)).unwrap();
        for (i, frame) in frames.iter().enumerate() {
            let read = back.get(i).unwrap();
            assert_eq!(
                (&read.pixels, read.label, read.source),
                (&frame.pixels, frame.label, frame.source)
            );
        }
        let png = folder.path().join("one.png");
        save_png(&png, &frames[0].pixels, shape).unwrap();
        let read = open_one(&png, &OpenOptions::new(4, 5, channels)).unwrap().get(0).unwrap();
        assert_eq!(read.pixels.to_u8(), frames[0].pixels.to_u8());
    }
    let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().collect();
    assert_eq!(left.len(), 2, "no part file stays behind: {left:?}");
}

#[test]
fn what_cannot_be_written_is_an_error_and_leaves_nothing() {
    let folder = folder();
    let frame = |pixels, label| frame(pixels, label, 0);
    let u8s = |n| Pixels::U8(vec![0; n]);
    let cases = [
        (vec![], "at least one"),
        (vec![frame(u8s(5), None)], "no frame of"),
        (vec![frame(u8s(4), None), frame(Pixels::F32(vec![0.0; 4]), None)], "all u8"),
        (vec![frame(u8s(4), None), frame(u8s(4), Some(1))], "1 of 2"),
    ];
    let path = folder.path().join("out");
    for (frames, expected) in cases {
        let error = write_images_safetensors(&path, &frames, [2, 2, 1]).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
    assert!(save_png(&path, &u8s(4), [2, 3, 1]).is_err());
    assert!(save_png(&path, &u8s(8), [2, 2, 2]).is_err());
    assert!(save_png(&folder.path().join("no/such/a.png"), &u8s(4), [2, 2, 1]).is_err());
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}
