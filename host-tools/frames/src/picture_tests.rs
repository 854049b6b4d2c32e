//! Tests of picture decoding: variants, limits, truncation at every byte, damage.

use super::*;
use image::codecs::pnm::{PnmEncoder, PnmSubtype, SampleEncoding};
use image::{ExtendedColorType, ImageEncoder};

const MAX: u64 = 1 << 20;
const PPM: PnmSubtype = PnmSubtype::Pixmap(SampleEncoding::Binary);

fn encoded(format: ImageFormat, samples: &[u8], w: u32, h: u32, c: ExtendedColorType) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    if format == ImageFormat::Pnm {
        // Left alone, the encoder writes PAM.
        let encoder = PnmEncoder::new(&mut bytes).with_subtype(PPM);
        encoder.write_image(samples, w, h, c).unwrap();
        return bytes.into_inner();
    }
    image::write_buffer_with_format(&mut bytes, samples, w, h, c, format).unwrap();
    bytes.into_inner()
}

fn gradient(n: usize) -> Vec<u8> {
    (0..n).map(|i| (i * 7 % 251) as u8).collect()
}

fn pixels(raw: &Raw) -> Vec<u8> {
    raw.pixels.to_u8()
}

#[test]
fn png_variants() {
    let words = |v: &[u16]| v.iter().flat_map(|s| s.to_ne_bytes()).collect::<Vec<u8>>();
    let cases: [(ExtendedColorType, Vec<u8>, usize, &[u8]); 8] = [
        (ExtendedColorType::L8, vec![9, 200], 1, &[9, 200]),
        (ExtendedColorType::La8, vec![9, 0, 200, 7], 1, &[9, 200]),
        (ExtendedColorType::Rgb8, vec![1, 2, 3, 4, 5, 6], 3, &[1, 2, 3, 4, 5, 6]),
        (ExtendedColorType::Rgba8, vec![1, 2, 3, 0, 4, 5, 6, 9], 3, &[1, 2, 3, 4, 5, 6]),
        (ExtendedColorType::L16, words(&[65535, 257]), 1, &[255, 1]),
        (ExtendedColorType::La16, words(&[128, 0, 129, 7]), 1, &[0, 1]),
        (
            ExtendedColorType::Rgb16,
            words(&[0, 257, 514, 65535, 385, 386]),
            3,
            &[0, 1, 2, 255, 1, 2],
        ),
        (ExtendedColorType::Rgba16, words(&[0, 257, 514, 9, 0, 0, 0, 9]), 3, &[0, 1, 2, 0, 0, 0]),
    ];
    for (colour, samples, channels, expected) in cases {
        let raw = decode(&encoded(ImageFormat::Png, &samples, 2, 1, colour), MAX).unwrap();
        assert_eq!((raw.width, raw.height, raw.channels), (2, 1, channels), "{colour:?}");
        assert_eq!(pixels(&raw), expected, "{colour:?}");
    }
}

#[test]
fn pnm_variants() {
    let cases: [(&[u8], usize, &[u8]); 9] = [
        (b"P6 2 1 255\n\x01\x02\x03\x04\x05\x06", 3, &[1, 2, 3, 4, 5, 6]),
        (b"P5\n# dark\n2 1\n255\n\x00\xff", 1, &[0, 255]),
        (b"P3 2 1 255 1 2 3 4 5 6\n", 3, &[1, 2, 3, 4, 5, 6]),
        (b"P2 2 1 255 7 8\n", 1, &[7, 8]),
        (b"P5 2 1 15\n\x0f\x05", 1, &[255, 85]),
        (b"P5 2 1 1023\n\x03\xff\x02\x00", 1, &[255, 128]),
        (b"P6 1 1 65535\n\xff\xff\x80\x80\x00\x00", 3, &[255, 128, 0]),
        (b"P1 2 1 0 1\n", 1, &[255, 0]),
        (b"P4 2 1\n\x40", 1, &[255, 0]),
    ];
    for (file, channels, expected) in cases {
        let name = String::from_utf8_lossy(file);
        let raw = decode(file, MAX).unwrap_or_else(|e| panic!("{name}: {e:?}"));
        assert_eq!((raw.channels, pixels(&raw)), (channels, expected.to_vec()), "{name}");
    }
}

#[test]
fn jpeg_of_a_flat_colour_and_grey() {
    for (colour, channels) in [(ExtendedColorType::Rgb8, 3), (ExtendedColorType::L8, 1)] {
        let samples = vec![120; 20 * 12 * channels];
        let raw = decode(&encoded(ImageFormat::Jpeg, &samples, 20, 12, colour), MAX).unwrap();
        assert_eq!((raw.width, raw.height, raw.channels), (20, 12, channels));
        assert!(pixels(&raw).iter().all(|v| v.abs_diff(120) <= 1), "{colour:?}");
    }
}

#[test]
fn every_truncation_is_an_error_with_a_place() {
    let rgb = ExtendedColorType::Rgb8;
    for format in [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::Pnm] {
        let file = encoded(format, &gradient(16 * 16 * 3), 16, 16, rgb);
        assert!(decode(&file, MAX).is_ok(), "{format:?}");
        for end in 0..file.len() {
            let problem = decode(&file[..end], MAX);
            assert!(problem.is_err(), "{format:?} of {} bytes cut at {end}", file.len());
            assert!(!problem.unwrap_err().remedy.is_empty());
        }
    }
}

#[test]
fn damage_never_panics() {
    let seed = 21_u64;
    let mut state = seed;
    let mut next = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize
    };
    let rgb = ExtendedColorType::Rgb8;
    let (mut read, mut refused) = (0, 0);
    for format in [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::Pnm] {
        let file = encoded(format, &gradient(24 * 18 * 3), 24, 18, rgb);
        for _ in 0..1_500 {
            let mut damaged = file.clone();
            for _ in 0..1 + next() % 4 {
                let at = next() % damaged.len();
                damaged[at] = next() as u8;
            }
            match decode(&damaged, MAX) {
                Ok(raw) => {
                    assert_eq!(raw.pixels.len(), raw.width * raw.height * raw.channels);
                    read += 1;
                }
                Err(_) => refused += 1,
            }
        }
    }
    assert!(read > 0 && refused > 0, "seed {seed}: {read} read, {refused} refused");
}

#[test]
fn sizes_are_refused_before_decoding() {
    let mut png = encoded(ImageFormat::Png, &[0; 12], 2, 2, ExtendedColorType::Rgb8);
    png[16..20].copy_from_slice(&30_000_u32.to_be_bytes());
    png[20..24].copy_from_slice(&30_000_u32.to_be_bytes());
    let mut jpeg = encoded(ImageFormat::Jpeg, &[0; 12], 2, 2, ExtendedColorType::Rgb8);
    let sof = jpeg.windows(2).position(|w| w == [0xff, 0xc0]).unwrap();
    jpeg[sof + 5..sof + 9].copy_from_slice(&[0xf0, 0, 0xf0, 0]);
    let cases = [
        png,
        jpeg,
        b"P6 30000 30000 255\n\x00".to_vec(),
        b"P5 99999999999 99999999999 255\n\x00".to_vec(),
        b"P5 0 1 255\n\x00".to_vec(),
    ];
    for file in cases {
        let problem = decode(&file, 64 << 20).unwrap_err();
        assert!(problem.what.starts_with("a picture of"), "{problem:?}");
    }
    let small = encoded(ImageFormat::Png, &[0; 12], 2, 2, ExtendedColorType::Rgb8);
    assert!(decode(&small, 4).is_ok());
    assert!(decode(&small, 3).is_err());
}

/// The decoder joins digits around a comment and ends comments at a carriage return too.
#[test]
fn headers_with_two_meanings_are_refused() {
    let two = [&b"P5 1#\n5 1 255\n"[..], &[7; 15]].concat();
    let problem = decode(&two, 64).unwrap_err();
    assert!(problem.what.contains("1 x 5 or as 15 x 1"), "{problem:?}");
    let large = b"P2\n#\r22100\n1499 2 0255\n";
    let problem = decode(large, 1 << 14).unwrap_err();
    assert!(problem.what.starts_with("a picture of 22100 x 1499"), "{problem:?}");
    assert!(decode(b"P2\n# grey\r2 1\n255\n7 8\n", 64).is_ok());
}

#[test]
fn foreign_jpeg_variants_are_named() {
    let file = encoded(ImageFormat::Jpeg, &gradient(192), 8, 8, ExtendedColorType::Rgb8);
    let sof = file.windows(2).position(|w| w == [0xff, 0xc0]).unwrap();
    let cases = [(sof + 9, 4, "CMYK"), (sof + 9, 2, "2 components"), (sof + 4, 12, "12 bits")];
    for (at, value, expected) in cases {
        let mut changed = file.clone();
        changed[at] = value;
        let problem = decode(&changed, MAX).unwrap_err();
        assert!(problem.what.contains(expected), "{problem:?}");
    }
    let mut lossless = file.clone();
    lossless[sof + 1] = 0xc3;
    assert!(decode(&lossless, MAX).unwrap_err().what.contains("0xc3"));
}

#[test]
fn wrong_headers_are_errors() {
    let cases: [&[u8]; 8] = [
        b"P6 2 x 255\n",
        b"P6 -1 1 255\n\x00",
        b"P6 1 1 0\n\x00\x00\x00",
        b"P6 1 1 65536\n\x00\x00\x00",
        b"P6 # no end",
        b"\xff\xd8\xff\xd9",
        b"\xff\xd8\xff\xe0\x00\x01\xff\xd9",
        b"\x89PNG\r\n\x1a\n\x00\x00\x00\x00IEND\xae\x42\x60\x82",
    ];
    for file in cases {
        assert!(decode(file, MAX).is_err(), "{:?}", String::from_utf8_lossy(file));
    }
}
