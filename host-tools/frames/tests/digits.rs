//! MAT-files of cropped digits: what they hold, and what is wrong with others.

mod common;

use std::io::Write;

use common::{Rng, bytes, check_golden, cifar_size, first_error, golden, open_one, put};
use gradgate_frames::OpenOptions;

const UINT8: u32 = 2;
const DOUBLE: u32 = 9;
const CLASS_DOUBLE: u8 = 6;
const CLASS_UINT8: u8 = 9;

/// A part: type, length, bytes, padded to eight.
fn part(kind: u32, bytes: &[u8]) -> Vec<u8> {
    let mut out = [kind.to_le_bytes(), (bytes.len() as u32).to_le_bytes()].concat();
    out.extend(bytes);
    out.resize(out.len().next_multiple_of(8), 0);
    out
}

/// An array as an element.
fn matrix(name: &str, class: u8, dimensions: &[i32], kind: u32, data: &[u8]) -> Vec<u8> {
    let dimensions: Vec<u8> = dimensions.iter().flat_map(|d| d.to_le_bytes()).collect();
    // A name of up to four letters stands in its tag.
    let mut short = [1_u32 | (name.len() as u32) << 16].map(u32::to_le_bytes).concat();
    short.extend(name.as_bytes());
    short.resize(8, 0);
    let name = if name.len() <= 4 { short } else { part(1, name.as_bytes()) };
    let flags = part(6, &[class, 0, 0, 0, 0, 0, 0, 0]);
    part(14, &[flags, part(5, &dimensions), name, part(kind, data)].concat())
}

fn packed(element: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(element).unwrap();
    let data = encoder.finish().unwrap();
    // Packed elements are not padded.
    [&15_u32.to_le_bytes()[..], &(data.len() as u32).to_le_bytes(), &data].concat()
}

fn file(elements: &[Vec<u8>]) -> Vec<u8> {
    let mut out = b"MATLAB 5.0 MAT-file, Platform: GLNXA64".to_vec();
    out.resize(124, b' ');
    out.extend([0, 1, b'I', b'M']);
    out.extend(elements.concat());
    out
}

fn labels(values: &[u8]) -> Vec<u8> {
    matrix("y", CLASS_DOUBLE, &[values.len() as i32, 1], UINT8, values)
}

#[test]
fn digits_plain_and_packed() {
    let folder = tempfile::tempdir().unwrap();
    // 2 rows, 3 columns, 3 channels, 4 images.
    let data = Rng(8).bytes(2 * 3 * 3 * 4);
    let x = matrix("X", CLASS_UINT8, &[2, 3, 3, 4], UINT8, &data);
    let y = labels(&[1, 10, 0, 9]);
    let other = matrix("comment", CLASS_DOUBLE, &[1, 1], DOUBLE, &1.5_f64.to_le_bytes());
    let cell = part(14, &part(6, &[1, 0, 0, 0, 0, 0, 0, 0]));
    let cases = [
        ("plain.mat", file(&[x.clone(), y.clone()]), true),
        ("packed.mat", file(&[packed(&x), packed(&y)]), true),
        ("mixed.mat", file(&[cell, packed(&y), packed(&other), x.clone()]), true),
        ("unlabelled.mat", file(&[x]), false),
    ];
    for (name, content, labelled) in cases {
        let path = put(folder.path(), name, &content);
        let frames = open_one(&path, &OpenOptions::new(2, 3, 3)).unwrap();
        assert_eq!(frames.len(), 4, "{name}");
        for (i, label) in [1, 0, 0, 9].into_iter().enumerate() {
            let frame = frames.get(i).unwrap();
            assert_eq!(frame.label, labelled.then_some(label), "{name}");
            for (at, &sample) in bytes(&frame.pixels).iter().enumerate() {
                let (row, column, channel) = (at / 9, at / 3 % 3, at % 3);
                let place = row + 2 * (column + 3 * (channel + 3 * i));
                assert_eq!(sample, data[place], "{name} {i} {at}");
            }
        }
    }
}

#[test]
fn digits_that_scipy_wrote() {
    check_golden(&golden("digits-compressed.mat"), [1, 0]);
    check_golden(&golden("digits-plain.mat"), [1, 0]);
}

#[test]
fn labels_of_every_type_and_a_single_image() {
    let folder = tempfile::tempdir().unwrap();
    let x = matrix("X", CLASS_UINT8, &[1, 1, 3], UINT8, &[7, 8, 9]);
    let cases: [(u32, &[u8]); 5] = [
        (1, &[4]),
        (3, &[4, 0]),
        (6, &[4, 0, 0, 0]),
        (7, &4.0_f32.to_le_bytes()),
        (DOUBLE, &4.0_f64.to_le_bytes()),
    ];
    for (kind, data) in cases {
        let y = matrix("y", CLASS_DOUBLE, &[1, 1], kind, data);
        let path = put(folder.path(), "one.mat", &file(&[x.clone(), y]));
        let frame = open_one(&path, &OpenOptions::new(1, 1, 3)).unwrap().get(0).unwrap();
        assert_eq!((bytes(&frame.pixels), frame.label), (&[7, 8, 9][..], Some(4)), "{kind}");
    }
}

#[test]
fn files_that_lie_or_are_of_another_kind_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let x = |dimensions: &[i32], data: &[u8]| matrix("X", CLASS_UINT8, dimensions, UINT8, data);
    let good = x(&[2, 2, 3, 1], &[0; 12]);
    let version = |bytes: [u8; 4]| {
        let mut file = file(&[]);
        file[124..].copy_from_slice(&bytes);
        file
    };
    let bomb = x(&[i32::MAX, 1, 3, i32::MAX], &[0; 12]);
    let float = matrix("X", CLASS_DOUBLE, &[1, 1, 3, 1], DOUBLE, &[0; 24]);
    let half = matrix("y", CLASS_DOUBLE, &[1, 1], DOUBLE, &0.5_f64.to_le_bytes());
    let mut broken = packed(&x(&[8, 8, 3, 4], &Rng(1).bytes(768)));
    let last = broken.len() - 1;
    broken[last] ^= 1;
    let cases = [
        (file(&[]), "no variable `X` among []"),
        (file(&[labels(&[1])]), "no variable `X` among [y]"),
        (file(&[good.clone(), labels(&[1, 2])]), "2 labels beside 1 images"),
        (file(&[good.clone(), labels(&[11])]), "image 0: label 11 is outside 0..10"),
        (file(&[good.clone(), half]), "not whole"),
        (file(&[good.clone(), x(&[2, 2, 3, 0], &[])]), "no images"),
        (file(&[x(&[2, 2, 4, 1], &[0; 16])]), "not rows x columns x 3 x n"),
        (file(&[x(&[12, 1], &[0; 12])]), "not rows x columns x 3 x n"),
        (file(&[x(&[2, 2, 3, 2], &[0; 12])]), "has 12 bytes"),
        (file(&[x(&[2, -2, 3, 1], &[0; 12])]), "negative"),
        (file(&[bomb]), "not rows x columns"),
        (file(&[packed(&x(&[32, 32, 3, i32::MAX], &[0; 12]))]), "has 12 bytes"),
        (file(&[float]), "elements are of double"),
        (file(&[broken]), "broken"),
        (file(&[part(UINT8, &[0; 8])]), "type 2, which is no array"),
        (version([0, 2, b'I', b'M']), "7.3"),
        (version([1, 0, b'M', b'I']), "big-endian"),
        (version([7, 7, 7, 7]), "unknown version"),
    ];
    for (i, (content, expected)) in cases.iter().enumerate() {
        let path = put(folder.path(), &format!("case{i}.mat"), content);
        let error = first_error(&path, &cifar_size()).unwrap_or_else(|| panic!("{expected}"));
        assert!(error.contains(&format!("case{i}.mat")) && error.contains(expected), "{error}");
    }
}

#[test]
fn truncated_mat_files_are_errors() {
    let folder = tempfile::tempdir().unwrap();
    let x = matrix("X", CLASS_UINT8, &[2, 3, 3, 4], UINT8, &Rng(8).bytes(72));
    let options = OpenOptions::new(2, 3, 3);
    // At the border between elements what is left may be a whole file: the labels come first.
    let start = file(&[labels(&[1, 2, 3, 4])]).len();
    for elements in [[labels(&[1, 2, 3, 4]), x.clone()], [labels(&[1, 2, 3, 4]), packed(&x)]] {
        let content = file(&elements);
        assert!(content.len() > start);
        common::truncate_everywhere(folder.path(), "cut.mat", &content, &options, 1);
    }
}
