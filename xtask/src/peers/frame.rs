//! The one frame that all peers see: a PPM of the network's size, the same in every run.

/// Slopes with noise, three channels.
pub fn ppm(side: usize) -> Vec<u8> {
    let mut state = 0x0070_6565_7273_u64;
    let mut bytes = format!("P6\n{side} {side}\n255\n").into_bytes();
    for y in 0..side {
        for x in 0..side {
            for slope in [x, y, (x + y) / 2] {
                bytes.push((slope * 176 / side + noise(&mut state) % 80) as u8);
            }
        }
    }
    bytes
}

/// SplitMix64 (Steele, Lea, Flood 2014), upper bits.
pub fn noise(state: &mut u64) -> usize {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((z ^ (z >> 31)) >> 33) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_a_whole_picture_with_contrast() {
        let bytes = ppm(32);
        assert!(bytes.starts_with(b"P6\n32 32\n255\n"));
        let pixels = &bytes[13..];
        assert_eq!(pixels.len(), 3 * 32 * 32);
        assert!(pixels.iter().max() > Some(&230) && pixels.iter().min() < Some(&20));
        assert_eq!(bytes, ppm(32));
    }
}
