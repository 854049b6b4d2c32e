//! Record files, idx and safetensors: content, labels, sources, damage.

mod common;

use std::io::Write;
use std::path::Path;

use common::{Rng, bytes, cifar_size, first_error, open_one, put};
use gradgate_frames::{
    Frame, OpenOptions, Pixels, RecordLayout, open, save_png, write_images_safetensors,
};
use tempfile::TempDir;

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

fn idx(dims: &[u32], elements: &[u8]) -> Vec<u8> {
    let mut file = vec![0, 0, 8, dims.len() as u8];
    file.extend(dims.iter().flat_map(|d| d.to_be_bytes()));
    file.extend(elements);
    file
}

/// A safetensors file with this header and data.
fn tensors(header: &str, data: &[u8]) -> Vec<u8> {
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(header.as_bytes());
    file.extend(data);
    file
}

fn records(labels: usize, n: usize) -> Vec<u8> {
    Rng(1).bytes(n * (3072 + labels))
}

#[test]
fn cifar_records() {
    let folder = folder();
    for (labels, name) in [(1, "a.bin"), (1, "data_batch"), (2, "fine.bin")] {
        let content = records(labels, 5);
        let path = put(folder.path(), name, &content);
        let frames = open_one(&path, &cifar_size()).unwrap();
        assert_eq!(frames.len(), 5, "{name}");
        for i in 0..5 {
            let record = &content[i * (3072 + labels)..][..3072 + labels];
            let frame = frames.get(i).unwrap();
            assert_eq!(frame.label, Some(i64::from(record[labels - 1])), "{name}");
            assert_eq!(frame.source, i as i64);
            assert!(
                frame.name.ends_with(&format!("{name}#{i}")),
                "{}",
                frame.name
            );
            // Red, green and blue of the pixel in row 2, column 3.
            let planes = &record[labels..];
            let at = 2 * 32 + 3;
            let expected = [planes[at], planes[1024 + at], planes[2048 + at]];
            assert_eq!(bytes(&frame.pixels)[at * 3..at * 3 + 3], expected, "{name}");
        }
        assert!(
            frames
                .get(5)
                .unwrap_err()
                .to_string()
                .contains("there are 5")
        );
    }
}

#[test]
fn limit_stride_group_and_several_files() {
    let folder = folder();
    let a = put(folder.path(), "a.bin", &records(1, 7));
    let b = put(folder.path(), "b.bin", &records(1, 4));
    // stride, limit, group -> (record numbers over both files, sources)
    type Case = (
        usize,
        Option<usize>,
        Option<usize>,
        &'static [usize],
        &'static [i64],
    );
    let cases: [Case; 5] = [
        (
            1,
            None,
            None,
            &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10],
            &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10],
        ),
        (1, Some(3), None, &[0, 1, 2], &[0, 1, 2]),
        (3, None, None, &[0, 3, 6, 9], &[0, 3, 6, 9]),
        (2, Some(5), Some(3), &[0, 2, 4, 6, 8], &[0, 0, 1, 2, 3]),
        (
            1,
            None,
            Some(100),
            &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10],
            &[0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1],
        ),
    ];
    let all = open(&[a.clone(), b.clone()], &cifar_size()).unwrap();
    for (stride, limit, group, numbers, sources) in cases {
        let options = OpenOptions {
            stride,
            limit,
            group,
            ..cifar_size()
        };
        let frames = open(&[a.clone(), b.clone()], &options).unwrap();
        let found: Vec<Frame> = frames.iter().map(Result::unwrap).collect();
        assert_eq!(found.len(), numbers.len(), "{options:?}");
        for ((frame, &number), &source) in found.iter().zip(numbers).zip(sources) {
            assert_eq!(frame.pixels, all.get(number).unwrap().pixels, "{options:?}");
            assert_eq!(frame.source, source, "{options:?}");
        }
    }
    // The same file twice is two sets of sources.
    let twice = open(&[a.clone(), a], &cifar_size()).unwrap();
    assert_eq!((twice.len(), twice.get(7).unwrap().source), (14, 7));
}

#[test]
fn record_files_of_odd_length_are_refused() {
    let folder = folder();
    let path = put(folder.path(), "cut.bin", &records(1, 3)[..3 * 3073 - 5]);
    let error = first_error(&path, &cifar_size()).unwrap();
    assert!(
        error.contains("cut.bin") && error.contains("2 records of 3073 bytes"),
        "{error}"
    );
    let as_100 = OpenOptions {
        records: RecordLayout::Cifar100,
        ..cifar_size()
    };
    let path = put(folder.path(), "ten.bin", &records(1, 3));
    assert!(first_error(&path, &as_100).is_some());
}

#[test]
fn a_file_that_shrinks_after_opening_is_an_error() {
    let folder = folder();
    let path = put(folder.path(), "a.bin", &records(1, 3));
    let frames = open_one(&path, &cifar_size()).unwrap();
    std::fs::write(&path, &records(1, 3)[..4000]).unwrap();
    assert!(frames.get(0).is_ok());
    assert!(frames.get(2).unwrap_err().to_string().contains("a.bin"));
}

#[test]
fn idx_plain_and_gzipped_with_labels_beside() {
    let folder = folder();
    let (pixels, labels) = (Rng(2).bytes(3 * 5 * 4), [7, 8, 9]);
    let (images, names) = (idx(&[3, 5, 4], &pixels), idx(&[3], &labels));
    let cases = [
        (
            "p/t10k-images-idx3-ubyte",
            "p/t10k-labels-idx1-ubyte",
            false,
            false,
        ),
        (
            "q/t10k-images.idx3-ubyte",
            "q/t10k-labels.idx1-ubyte.gz",
            false,
            true,
        ),
        (
            "r/x-images-idx3-ubyte.gz",
            "r/x-labels-idx1-ubyte.gz",
            true,
            true,
        ),
        ("s/other.gz", "s/unrelated", true, false),
    ];
    for (image_file, label_file, images_gz, labels_gz) in cases {
        let pack = |content: &[u8], gz| if gz { gzip(content) } else { content.to_vec() };
        let path = put(folder.path(), image_file, &pack(&images, images_gz));
        let label_path = put(folder.path(), label_file, &pack(&names, labels_gz));
        let frames = open_one(&path, &OpenOptions::new(5, 4, 1)).unwrap();
        assert_eq!(frames.len(), 3, "{image_file}");
        for i in 0..3 {
            let frame = frames.get(i).unwrap();
            assert_eq!(
                bytes(&frame.pixels),
                &pixels[i * 20..][..20],
                "{image_file}"
            );
            let label = if image_file.contains("images") {
                Some(labels[i].into())
            } else {
                None
            };
            assert_eq!(frame.label, label, "{image_file}");
        }
        let error = first_error(&label_path, &OpenOptions::new(5, 4, 1)).unwrap();
        assert!(error.contains("labels"), "{error}");
    }
}

#[test]
fn idx_that_lies_is_refused() {
    let folder = folder();
    let pixels = [0; 40];
    let bomb = [idx(&[u32::MAX, 1000, 1000], &[]), vec![0; 1 << 20]].concat();
    let cases: [(&str, Vec<u8>, &str); 10] = [
        ("short.gz", gzip(&idx(&[3, 5, 4], &pixels)), "fewer bytes"),
        ("long.gz", gzip(&idx(&[1, 5, 4], &pixels)), "more bytes"),
        ("bomb.gz", gzip(&bomb), "can hold"),
        (
            "unbounded.gz",
            gzip(&[idx(&[1, 2, 2], &[]), vec![0; 50 << 20]].concat()),
            "more bytes",
        ),
        ("overflow.gz", gzip(&idx(&[u32::MAX; 4], &[])), "can hold"),
        ("floats.gz", gzip(&[0, 0, 0x0d, 3, 0, 0, 0, 1]), "0x0d"),
        ("tar.gz", gzip(b"ustar and more of it"), "unpack others"),
        ("empty-set.gz", gzip(&idx(&[0, 5, 4], &[])), "0 images"),
        ("flat.gz", gzip(&idx(&[5, 0, 4], &[])), "0 x 4"),
        ("plain", idx(&[3, 5, 4], &pixels), "40 bytes"),
    ];
    for (name, content, expected) in cases {
        let expected = if name == "plain" {
            "header says"
        } else {
            expected
        };
        let path = put(folder.path(), name, &content);
        let error = first_error(&path, &OpenOptions::new(5, 4, 1)).unwrap();
        assert!(error.contains(name) && error.contains(expected), "{error}");
    }
    put(
        folder.path(),
        "b-images-idx3-ubyte",
        &idx(&[2, 2, 2], &[0; 8]),
    );
    put(folder.path(), "b-labels-idx1-ubyte", &idx(&[3], &[0; 3]));
    let path = folder.path().join("b-images-idx3-ubyte");
    let error = first_error(&path, &OpenOptions::new(2, 2, 1)).unwrap();
    assert!(
        error.contains("b-labels") && error.contains("beside 2 images"),
        "{error}"
    );
}

/// Cuts a good file at every `step`-th byte: each must be an error that names the file.
fn truncate_everywhere(
    folder: &Path,
    name: &str,
    content: &[u8],
    options: &OpenOptions,
    step: usize,
) {
    let whole = put(folder, name, content);
    assert_eq!(first_error(&whole, options), None, "{name}");
    for end in (0..content.len()).step_by(step) {
        let path = put(folder, name, &content[..end]);
        let error = first_error(&path, options);
        let text = error.unwrap_or_else(|| panic!("{name} cut at {end} was read"));
        assert!(text.contains(name), "{text}");
    }
}

#[test]
fn truncation_at_many_places_is_an_error() {
    let folder = folder();
    let small = OpenOptions::new(5, 4, 1);
    let images = idx(&[3, 5, 4], &Rng(3).bytes(60));
    truncate_everywhere(folder.path(), "plain-idx", &images, &small, 1);
    truncate_everywhere(folder.path(), "packed.gz", &gzip(&images), &small, 1);
    let header = r#"{"images":{"dtype":"U8","shape":[2,3,2,2],"data_offsets":[0,24]},"labels":{"dtype":"I64","shape":[2],"data_offsets":[24,40]}}"#;
    let file = tensors(header, &Rng(4).bytes(40));
    truncate_everywhere(
        folder.path(),
        "t.safetensors",
        &file,
        &OpenOptions::new(2, 2, 3),
        1,
    );
    // A cut at a record's border leaves whole records, which nothing can tell from a shorter file.
    let whole = records(1, 2);
    truncate_everywhere(folder.path(), "c.bin", &whole[..3073], &cifar_size(), 7);
}

#[test]
fn safetensors_u8_and_f32() {
    let folder = folder();
    let data: Vec<u8> = (0..24).collect();
    let floats: Vec<u8> = data
        .iter()
        .flat_map(|&v| (f32::from(v) / 255.0).to_le_bytes())
        .collect();
    let labels: Vec<u8> = [5_i64, -1].iter().flat_map(|v| v.to_le_bytes()).collect();
    let source: Vec<u8> = [900_i32, 900]
        .iter()
        .flat_map(|v| v.to_le_bytes())
        .collect();
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
        tensors(
            &header(dtype, images.len()),
            &[images, &labels, &source].concat(),
        )
    };
    let a = put(folder.path(), "a", &whole("U8", &data));
    let b = put(folder.path(), "b", &whole("F32", &floats));
    let options = OpenOptions {
        group: Some(1),
        ..OpenOptions::new(2, 2, 3)
    };
    let frames = open(&[a, b], &options).unwrap();
    let found: Vec<Frame> = frames.iter().map(Result::unwrap).collect();
    assert_eq!(
        bytes(&found[0].pixels),
        [0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11]
    );
    assert_eq!(
        found.iter().map(|f| f.label).collect::<Vec<_>>(),
        [Some(5), Some(-1), Some(5), Some(-1)]
    );
    assert_eq!(
        found.iter().map(|f| f.source).collect::<Vec<_>>(),
        [0, 0, 1, 1]
    );
    for i in 0..2 {
        let Pixels::F32(floats) = &found[i + 2].pixels else {
            panic!("not f32")
        };
        let expected: Vec<f32> = bytes(&found[i].pixels)
            .iter()
            .map(|&v| f32::from(v) / 255.0)
            .collect();
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
            tensors(
                r#"{"pictures":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}"#,
                &[0],
            ),
            "[pictures]",
        ),
        (tensors("{\"images\":", &[0]), "prescribes"),
        (
            [&(1_u64 << 40).to_le_bytes()[..], b"{}"].concat(),
            "at most",
        ),
        ([&u64::MAX.to_le_bytes()[..], b"{}"].concat(), "at most"),
        (
            tensors(
                r#"{"images":{"dtype":"U8","shape":[1,1,1,1],"data_offsets":[0,1]},"labels":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}}"#,
                &[0; 3],
            ),
            "one integer per image",
        ),
    ];
    for (i, (content, expected)) in cases.iter().enumerate() {
        let path = put(folder.path(), &format!("case{i}.safetensors"), content);
        let error = first_error(&path, &OpenOptions::new(1, 1, 1));
        let text = error.unwrap_or_else(|| panic!("case {i} ({expected}) was read"));
        assert!(
            text.contains(&format!("case{i}")) && text.contains(expected),
            "{text}"
        );
    }
}

#[test]
fn damaged_headers_never_panic() {
    let folder = folder();
    let header = r#"{"images":{"dtype":"U8","shape":[2,3,2,2],"data_offsets":[0,24]}}"#;
    let good = [
        tensors(header, &[9; 24]),
        gzip(&idx(&[3, 5, 4], &[1; 60])),
        idx(&[3, 5, 4], &[1; 60]),
    ];
    let seed = 31;
    let mut rng = Rng(seed);
    let mut refused = 0;
    for file in &good {
        for _ in 0..600 {
            let mut damaged = file.clone();
            let at = rng.next() as usize % damaged.len().min(90);
            damaged[at] = rng.next() as u8;
            let path = put(folder.path(), "x", &damaged);
            refused += usize::from(first_error(&path, &OpenOptions::new(2, 2, 3)).is_some());
        }
    }
    assert!(refused > 600, "seed {seed}: {refused} refused");
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
                Frame {
                    pixels,
                    label,
                    source: i / 2,
                    name: String::new(),
                }
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
        let read = open_one(&png, &OpenOptions::new(4, 5, channels))
            .unwrap()
            .get(0)
            .unwrap();
        assert_eq!(read.pixels.to_u8(), frames[0].pixels.to_u8());
    }
    let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().collect();
    assert_eq!(left.len(), 2, "no part file stays behind: {left:?}");
}

#[test]
fn what_cannot_be_written_is_an_error_and_leaves_nothing() {
    let folder = folder();
    let frame = |pixels, label| Frame {
        pixels,
        label,
        source: 0,
        name: String::new(),
    };
    let u8s = |n| Pixels::U8(vec![0; n]);
    let cases = [
        (vec![], "at least one"),
        (vec![frame(u8s(5), None)], "no frame of"),
        (
            vec![frame(u8s(4), None), frame(Pixels::F32(vec![0.0; 4]), None)],
            "all u8",
        ),
        (vec![frame(u8s(4), None), frame(u8s(4), Some(1))], "1 of 2"),
    ];
    let path = folder.path().join("out");
    for (frames, expected) in cases {
        let error = write_images_safetensors(&path, &frames, [2, 2, 1])
            .unwrap_err()
            .to_string();
        assert!(error.contains(expected), "{error}");
    }
    assert!(save_png(&path, &u8s(4), [2, 3, 1]).is_err());
    assert!(save_png(&path, &u8s(8), [2, 2, 2]).is_err());
    assert!(save_png(&folder.path().join("no/such/a.png"), &u8s(4), [2, 2, 1]).is_err());
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn options_and_missing_files() {
    let ok = cifar_size();
    let cases = [
        OpenOptions {
            height: 0,
            ..ok.clone()
        },
        OpenOptions {
            width: 40_000,
            ..ok.clone()
        },
        OpenOptions {
            channels: 2,
            ..ok.clone()
        },
        OpenOptions {
            stride: 0,
            ..ok.clone()
        },
        OpenOptions {
            group: Some(0),
            ..ok.clone()
        },
        OpenOptions {
            limit: Some(0),
            ..ok.clone()
        },
    ];
    for options in cases {
        assert!(open(&["x".into()], &options).is_err(), "{options:?}");
    }
    assert!(open(&[], &ok).is_err());
    let error = open(&["no-such-file.png".into()], &ok)
        .err()
        .unwrap()
        .to_string();
    assert!(error.contains("no-such-file.png"), "{error}");
    let folder = folder();
    let cases: [(&str, &[u8], &str); 5] = [
        ("nothing", b"", "empty"),
        ("batch", b"\x80\x04\x95", "pickle"),
        ("a.gif", b"GIF89a", "PNG"),
        ("a.pam", b"P7\nWIDTH 1", "PAM"),
        ("a.xyz", b"abcdefgh", "61 62 63"),
    ];
    for (name, content, expected) in cases {
        let error = first_error(&put(folder.path(), name, content), &ok).unwrap();
        assert!(error.contains(name) && error.contains(expected), "{error}");
    }
}
