//! Pictures and datasets of every kind that is read, and headers that lie.

use std::io::{Cursor, Write};

use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use image::{ExtendedColorType, ImageFormat, write_buffer_with_format};

use crate::{Seed, seed};

fn encoded(format: ImageFormat, side: u32, colour: ExtendedColorType) -> Vec<u8> {
    let length = (side * side) as usize * usize::from(colour.channel_count());
    let samples: Vec<u8> = (0..length).map(|i| (i * 7) as u8).collect();
    let mut bytes = Cursor::new(Vec::new());
    write_buffer_with_format(&mut bytes, &samples, side, side, colour, format).expect("encodes");
    bytes.into_inner()
}

fn idx(dims: [u32; 3], pixels: usize) -> Vec<u8> {
    let mut bytes = vec![0, 0, 8, 3];
    bytes.extend(dims.iter().flat_map(|dim| dim.to_be_bytes()));
    bytes.extend((0..pixels).map(|i| i as u8));
    bytes
}

fn gzipped(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).expect("packs");
    encoder.finish().expect("packs")
}

fn safetensors(header: &str, data: usize) -> Vec<u8> {
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.bytes());
    bytes.extend((0..data).map(|i| i as u8));
    bytes
}

/// GTSRB's table with one line.
fn table(line: &str) -> String {
    format!("Filename;Width;Height;Roi.X1;Roi.Y1;Roi.X2;Roi.Y2;ClassId\r\n{line}\r\n")
}

/// A MAT-file of black images, 1.2 MB in little more than 1 KB, and one that lacks their end.
fn mat(cut: bool) -> Vec<u8> {
    let part = |kind: u32, bytes: &[u8]| {
        [&kind.to_le_bytes()[..], &(bytes.len() as u32).to_le_bytes(), bytes].concat()
    };
    let dimensions = [32_u32, 32, 3, 400].map(u32::to_le_bytes).concat();
    let name = [&(1_u32 << 16 | 1).to_le_bytes()[..], b"X\0\0\0"].concat();
    let samples = part(2, &vec![0; 32 * 32 * 3 * 400]);
    let parts = [part(6, &[9, 0, 0, 0, 0, 0, 0, 0]), part(5, &dimensions), name, samples].concat();
    let mut packed = ZlibEncoder::new(Vec::new(), Compression::best());
    packed.write_all(&part(14, &parts)).expect("packs");
    let mut packed = packed.finish().expect("packs");
    if cut {
        packed.truncate(packed.len() / 2);
    }
    let mut bytes = b"MATLAB 5.0 MAT-file".to_vec();
    bytes.resize(124, b' ');
    bytes.extend(b"\0\x01IM");
    bytes.extend(part(15, &packed));
    bytes
}

pub fn seeds() -> Vec<Seed> {
    use ExtendedColorType::{L8, L16, Rgb8, Rgba8};
    let png = encoded(ImageFormat::Png, 9, Rgb8);
    let mut large = png.clone();
    large[16..24].copy_from_slice(&[0, 0, 0x75, 0x30].repeat(2));
    let jpeg = encoded(ImageFormat::Jpeg, 9, Rgb8);
    let tensors = r#"{"images":{"dtype":"U8","shape":[2,3,4,4],"data_offsets":[0,96]}}"#;
    let lying =
        r#"{"images":{"dtype":"U8","shape":[4294967296,4294967296,1,1],"data_offsets":[0,0]}}"#;
    vec![
        seed("valid-rgb.png", png.clone()),
        seed("valid-rgba.png", encoded(ImageFormat::Png, 5, Rgba8)),
        seed("valid-grey16.png", encoded_16(L16)),
        seed("valid-rgb.jpg", jpeg.clone()),
        seed("valid-grey.jpg", encoded(ImageFormat::Jpeg, 9, L8)),
        seed("valid-rgb.ppm", [&b"P6\n6 6\n255\n"[..], &[77; 108]].concat()),
        seed("valid-text.pgm", "P2\n# grey\n3 2\n255\n0 50 100\n150 200 255\n"),
        seed("valid-bits.pbm", "P1\n3 2\n0 1 0\n1 0 1\n"),
        seed("valid-images.idx", idx([2, 5, 4], 40)),
        seed("valid-images.idx.gz", gzipped(&idx([2, 5, 4], 40))),
        seed("valid-records.bin", vec![3; 3073]),
        seed("valid-images.safetensors", safetensors(tensors, 96)),
        seed("attack-large.png", large),
        seed("attack-truncated.png", &png[..png.len() - 20]),
        seed("attack-truncated.jpg", &jpeg[..jpeg.len() / 2]),
        seed("attack-large.ppm", "P6\n4294967295 4294967295\n255\n"),
        seed("attack-two_sizes.pgm", "P2\n#\r22100\n1499 2 0255\n"),
        seed("attack-overflow.idx", idx([u32::MAX; 3], 0)),
        seed("attack-bomb.idx.gz", gzipped(&idx([200_000, 1, 1], 100_000).repeat(4))),
        seed("attack-overflow.safetensors", safetensors(lying, 0)),
        seed("attack-header_beyond_the_file.safetensors", [&[0xff; 8][..], b"{}"].concat()),
        seed("attack-system.pickle", b"\x80\x02cposix\nsystem\nU\x02id\x85R."),
        seed("attack-memory.pickle", [&b"\x80\x04N"[..], &[0x94; 30_000]].concat()),
        seed("attack-stack.pickle", [&b"\x80\x04"[..], &[b'N'; 30_000]].concat()),
        seed("valid-region.csv", table("00000_00000.ppm;2;2;0;0;2;1;14")),
        seed("attack-region.csv", table("00000_00000.ppm;2;2;1;1;4294967295;4294967295;14")),
        seed("attack-size.csv", table("00000_00000.ppm;4000000000;2;0;0;4000000000;1;14")),
        seed("attack-truncated.csv", table("00000_00000.ppm;2;2;0;0;2;1;1")),
        seed("valid-dense.mat", mat(false)),
        seed("attack-dense.mat", mat(true)),
    ]
}

fn encoded_16(colour: ExtendedColorType) -> Vec<u8> {
    let samples: Vec<u8> = (0..50).map(|i| (i * 5) as u8).collect();
    let mut bytes = Cursor::new(Vec::new());
    write_buffer_with_format(&mut bytes, &samples, 5, 5, colour, ImageFormat::Png)
        .expect("encodes");
    bytes.into_inner()
}
