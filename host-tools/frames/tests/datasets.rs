//! Record files and idx, and damage to any dataset file: content, labels, sources, errors.

mod common;

use std::io::Write;

use common::{Rng, bytes, cifar_size, first_error, open_one, put, tensors, truncate_everywhere};
use gradgate_frames::{Frame, OpenOptions, RecordLayout, open};
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
            assert!(frame.name.ends_with(&format!("{name}#{i}")), "{}", frame.name);
            // Red, green and blue of the pixel in row 2, column 3.
            let planes = &record[labels..];
            let at = 2 * 32 + 3;
            let expected = [planes[at], planes[1024 + at], planes[2048 + at]];
            assert_eq!(bytes(&frame.pixels)[at * 3..at * 3 + 3], expected, "{name}");
        }
        assert!(frames.get(5).unwrap_err().to_string().contains("there are 5"));
    }
}

#[test]
fn limit_stride_group_and_several_files() {
    let folder = folder();
    let a = put(folder.path(), "a.bin", &records(1, 7));
    let b = put(folder.path(), "b.bin", &records(1, 4));
    // stride, limit, group -> (record numbers over both files, sources)
    type Case = (usize, Option<usize>, Option<usize>, &'static [usize], &'static [i64]);
    let cases: [Case; 5] = [
        (1, None, None, &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10], &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]),
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
        let options = OpenOptions { stride, limit, group, ..cifar_size() };
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
    assert!(error.contains("cut.bin") && error.contains("2 records of 3073 bytes"), "{error}");
    let as_100 = OpenOptions { records: RecordLayout::Cifar100, ..cifar_size() };
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
        ("p/t10k-images-idx3-ubyte", "p/t10k-labels-idx1-ubyte", false, false),
        ("q/t10k-images.idx3-ubyte", "q/t10k-labels.idx1-ubyte.gz", false, true),
        ("r/x-images-idx3-ubyte.gz", "r/x-labels-idx1-ubyte.gz", true, true),
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
            assert_eq!(bytes(&frame.pixels), &pixels[i * 20..][..20], "{image_file}");
            let label = if image_file.contains("images") { Some(labels[i].into()) } else { None };
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
        ("unbounded.gz", gzip(&[idx(&[1, 2, 2], &[]), vec![0; 50 << 20]].concat()), "more bytes"),
        ("overflow.gz", gzip(&idx(&[u32::MAX; 4], &[])), "can hold"),
        ("floats.gz", gzip(&[0, 0, 0x0d, 3, 0, 0, 0, 1]), "0x0d"),
        ("tar.gz", gzip(b"ustar and more of it"), "unpack others"),
        ("empty-set.gz", gzip(&idx(&[0, 5, 4], &[])), "0 images"),
        ("flat.gz", gzip(&idx(&[5, 0, 4], &[])), "0 x 4"),
        ("plain", idx(&[3, 5, 4], &pixels), "40 bytes"),
    ];
    for (name, content, expected) in cases {
        let expected = if name == "plain" { "header says" } else { expected };
        let path = put(folder.path(), name, &content);
        let error = first_error(&path, &OpenOptions::new(5, 4, 1)).unwrap();
        assert!(error.contains(name) && error.contains(expected), "{error}");
    }
    put(folder.path(), "b-images-idx3-ubyte", &idx(&[2, 2, 2], &[0; 8]));
    put(folder.path(), "b-labels-idx1-ubyte", &idx(&[3], &[0; 3]));
    let path = folder.path().join("b-images-idx3-ubyte");
    let error = first_error(&path, &OpenOptions::new(2, 2, 1)).unwrap();
    assert!(error.contains("b-labels") && error.contains("beside 2 images"), "{error}");
}

#[test]
fn truncation_at_many_places_is_an_error() {
    let folder = folder();
    let small = OpenOptions::new(5, 4, 1);
    let images = idx(&[3, 5, 4], &Rng(3).bytes(60));
    truncate_everywhere(folder.path(), "plain-idx", &images, &small, 1);
    truncate_everywhere(folder.path(), "packed.gz", &gzip(&images), &small, 1);
    let header = r#"{"images":{"dtype":"U8","shape":[2,3,2,2],"data_offsets":[0,24]},
        "labels":{"dtype":"I64","shape":[2],"data_offsets":[24,40]}}"#;
    let file = tensors(header, &Rng(4).bytes(40));
    truncate_everywhere(folder.path(), "t.safetensors", &file, &OpenOptions::new(2, 2, 3), 1);
    // A cut at a record's border leaves whole records, which nothing can tell from a shorter file.
    let whole = records(1, 2);
    truncate_everywhere(folder.path(), "c.bin", &whole[..3073], &cifar_size(), 7);
}

#[test]
fn damaged_headers_never_panic() {
    let folder = folder();
    let header = r#"{"images":{"dtype":"U8","shape":[2,3,2,2],"data_offsets":[0,24]}}"#;
    let good =
        [tensors(header, &[9; 24]), gzip(&idx(&[3, 5, 4], &[1; 60])), idx(&[3, 5, 4], &[1; 60])];
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
fn options_and_missing_files() {
    let ok = cifar_size();
    let cases = [
        OpenOptions { height: 0, ..ok.clone() },
        OpenOptions { width: 40_000, ..ok.clone() },
        OpenOptions { channels: 2, ..ok.clone() },
        OpenOptions { stride: 0, ..ok.clone() },
        OpenOptions { group: Some(0), ..ok.clone() },
        OpenOptions { limit: Some(0), ..ok.clone() },
    ];
    for options in cases {
        assert!(open(&["x".into()], &options).is_err(), "{options:?}");
    }
    assert!(open(&[], &ok).is_err());
    let error = open(&["no-such-file.png".into()], &ok).err().unwrap().to_string();
    assert!(error.contains("no-such-file.png"), "{error}");
    let folder = folder();
    let cases: [(&str, &[u8], &str); 5] = [
        ("nothing", b"", "empty"),
        ("batch", b"\x80\x04\x95", "the pickle"),
        ("a.gif", b"GIF89a", "PNG"),
        ("a.pam", b"P7\nWIDTH 1", "PAM"),
        ("a.xyz", b"abcdefgh", "61 62 63"),
    ];
    for (name, content, expected) in cases {
        let error = first_error(&put(folder.path(), name, content), &ok).unwrap();
        assert!(error.contains(name) && error.contains(expected), "{error}");
    }
}
