//! Tests of the resize: against a definition over the whole image, and its properties.

extern crate std;
use super::*;
use std::vec;
use std::vec::Vec;

struct Rng(u64);

impl Rng {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
    fn below(&mut self, n: u32) -> u32 {
        (self.next() % u64::from(n)) as u32
    }
    fn bytes(&mut self, n: usize) -> Vec<u8> {
        (0..n).map(|_| self.next() as u8).collect()
    }
}

fn size(width: u32, height: u32) -> Size {
    Size { width, height }
}

fn resized<S: Sample + Default>(image: &[S], from: Size, to: Size, channels: usize) -> Vec<S> {
    let mut out = vec![S::default(); (to.width * to.height) as usize * channels];
    let mut scratch = vec![S::ZERO; scratch_len(to.width, channels)];
    resize(image, from, &mut out, to, channels, &mut scratch).unwrap();
    out
}

/// All weights of output sample `o` on an axis, from the definition in the module's header.
fn weights(from: u32, to: u32, o: u32) -> Vec<u128> {
    let (s, d, o) = (i128::from(from), i128::from(to), i128::from(o));
    let weight = |i: i128| {
        if d <= s {
            (((i + 1) * d).min((o + 1) * s) - (i * d).max(o * s)).max(0)
        } else {
            // Tent of width 2 D around the output centre, the position clamped to the centres.
            let position = ((2 * o + 1) * s - d).clamp(0, (s - 1) * 2 * d);
            (2 * d - (position - i * 2 * d).abs()).max(0)
        }
    };
    (0..s).map(|i| weight(i) as u128).collect()
}

fn by_definition(image: &[u8], from: Size, to: Size, channels: usize) -> Vec<u8> {
    let mut out = Vec::new();
    for oy in 0..to.height {
        let down = weights(from.height, to.height, oy);
        for ox in 0..to.width {
            let across = weights(from.width, to.width, ox);
            for c in 0..channels {
                let (mut sum, mut total) = (0, 0);
                for (y, wy) in down.iter().enumerate() {
                    for (x, wx) in across.iter().enumerate() {
                        let v = image[(y * from.width as usize + x) * channels + c];
                        sum += wy * wx * u128::from(v);
                        total += wy * wx;
                    }
                }
                out.push(((sum + total / 2) / total) as u8);
            }
        }
    }
    out
}

#[test]
fn random_sizes_equal_the_definition() {
    let seed = 11;
    let mut rng = Rng(seed);
    for case in 0..300 {
        let from = size(1 + rng.below(24), 1 + rng.below(24));
        let to = size(1 + rng.below(24), 1 + rng.below(24));
        let channels = 1 + rng.below(4) as usize;
        let image = rng.bytes((from.width * from.height) as usize * channels);
        let expected = by_definition(&image, from, to, channels);
        let out = resized(&image, from, to, channels);
        assert_eq!(out, expected, "seed {seed} case {case}: {from:?} to {to:?}, {channels}");
        let floats: Vec<f32> = image.iter().map(|&v| f32::from(v)).collect();
        for (f, e) in resized(&floats, from, to, channels).into_iter().zip(&expected) {
            assert!((f - f32::from(*e)).abs() <= 0.501, "seed {seed} case {case}: {f} {e}");
        }
    }
}

#[test]
fn equal_sizes_are_the_identity() {
    let mut rng = Rng(12);
    for (w, h, channels) in [(1, 1, 1), (32, 32, 3), (17, 5, 3), (160, 120, 1)] {
        let image = rng.bytes((w * h) as usize * channels);
        assert_eq!(resized(&image, size(w, h), size(w, h), channels), image);
        let floats: Vec<f32> = (0..image.len()).map(|_| rng.next() as f32 / 1.9e19).collect();
        let same = resized(&floats, size(w, h), size(w, h), channels);
        let bits = |v: &[f32]| v.iter().map(|f| f.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&same), bits(&floats));
    }
}

#[test]
fn a_constant_stays_constant() {
    let mut rng = Rng(13);
    for _ in 0..100 {
        let from = size(1 + rng.below(70), 1 + rng.below(70));
        let to = size(1 + rng.below(70), 1 + rng.below(70));
        let value = rng.next() as u8;
        let image = vec![value; (from.width * from.height * 3) as usize];
        assert!(resized(&image, from, to, 3).iter().all(|&v| v == value), "{from:?} {to:?}");
        let value = f32::from(value) / 255.0;
        let image = vec![value; (from.width * from.height * 3) as usize];
        assert!(resized(&image, from, to, 3).iter().all(|&v| v == value), "{from:?} {to:?}");
    }
}

#[test]
fn whole_factors_keep_the_average() {
    let mut rng = Rng(14);
    for (factor, side) in [(2, 16), (3, 10), (4, 8), (5, 32)] {
        // Blocks whose sum is a multiple of their area lose nothing to rounding.
        let area = factor * factor;
        let blocks = rng.bytes((side * side) as usize);
        let wide = side * factor;
        let mut image = vec![0; (wide * wide) as usize];
        for y in 0..wide {
            for x in 0..wide {
                let mean = blocks[((y / factor) * side + x / factor) as usize].clamp(1, 254);
                let k = (y % factor) * factor + x % factor;
                let shift = if k + 1 == area && area % 2 == 1 { 0 } else { 1 - 2 * (k as i32 % 2) };
                image[(y * wide + x) as usize] = (i32::from(mean) + shift) as u8;
            }
        }
        let out = resized(&image, size(wide, wide), size(side, side), 1);
        let sum = |v: &[u8]| v.iter().map(|&b| u64::from(b)).sum::<u64>();
        assert_eq!(sum(&out) * u64::from(area), sum(&image), "factor {factor}");
    }
}

#[test]
fn extreme_sizes_do_not_overflow() {
    let long = MAX_SIDE;
    for (from, to) in [
        (size(long, 1), size(1, long)),
        (size(1, long), size(1_000, 1)),
        (size(long, 2), size(long - 1, 1)),
        (size(2, 2), size(3, long)),
    ] {
        let image = vec![255_u8; (from.width * from.height) as usize];
        assert!(resized(&image, from, to, 1).iter().all(|&v| v == 255), "{from:?} {to:?}");
    }
}

#[test]
fn misfits_are_errors() {
    let ok = size(4, 4);
    let new = |from, to, channels, scratch: &mut [u64]| {
        Resizer::<u8>::new(from, to, channels, scratch).err()
    };
    let s = &mut [0; 24][..];
    assert_eq!(new(size(0, 4), ok, 3, s), Some(ResizeError::Side));
    assert_eq!(new(ok, size(4, MAX_SIDE + 1), 3, s), Some(ResizeError::Side));
    assert_eq!(new(ok, ok, 0, s), Some(ResizeError::Channels));
    assert_eq!(new(ok, ok, 5, s), Some(ResizeError::Channels));
    assert_eq!(new(ok, ok, 3, &mut s[..23]), Some(ResizeError::Scratch));
    assert_eq!(new(ok, ok, 3, &mut s[..0]), Some(ResizeError::Scratch));
    let mut resizer = Resizer::<u8>::new(ok, size(2, 2), 1, s).unwrap();
    assert_eq!(resizer.push_row(&[0; 3], &mut [0; 4]), Err(ResizeError::Row));
    assert_eq!(resizer.push_row(&[0; 4], &mut [0; 5]), Err(ResizeError::Output));
    for rows in [0, 1, 1, 2] {
        assert_eq!(resizer.push_row(&[0; 4], &mut [0; 4]), Ok(rows));
    }
    assert_eq!(resizer.push_row(&[0; 4], &mut [0; 4]), Err(ResizeError::TooManyRows));
    let s = &mut [0; 24][..];
    assert_eq!(resize(&[0; 15], ok, &mut [0; 16], ok, 1, s), Err(ResizeError::Row));
}

#[test]
fn bits_are_the_same_on_every_target() {
    // Digests made on x86-64; integer sums and IEEE arithmetic leave other targets no choice.
    let from = size(160, 120);
    let image = Rng(15).bytes(160 * 120 * 3);
    let preprocessing: crate::Preprocessing =
        "range=-1,1 order=bgr mean=0.485,0.456,0.406 std=0.229,0.224,0.225".parse().unwrap();
    let cases = [
        (32, 32, 0x2f8d_b0ff_1bc3_f4ae),
        (28, 37, 0x0cbe_9573_e64f_00fa),
        (224, 224, 0x35bb_3634_83c2_2bfe),
        (200, 33, 0xc106_2313_04d3_681b),
    ];
    for (width, height, expected) in cases {
        let frame = resized(&image, from, size(width, height), 3);
        let mut tensor = vec![0.0; frame.len()];
        preprocessing.apply_u8(&frame, 3, &mut tensor).unwrap();
        let unit: Vec<f32> = image.iter().map(|&v| f32::from(v) / 255.0).collect();
        tensor.extend(resized(&unit, from, size(width, height), 3));
        let bytes: Vec<u8> = tensor.iter().flat_map(|v| v.to_bits().to_le_bytes()).collect();
        let digest = crate::digest(&bytes);
        assert_eq!(digest, expected, "{width} x {height}: {digest:#018x}");
    }
}
