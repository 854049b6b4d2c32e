//! Masks: the signs of 16 neighbours in one value.
//!
//! The value is the integer 0 to 65,535 whose bit i says `x[16 k + i] > 0`. Whatever is no such
//! integer gives NaN for its 16 elements, so that a corrupted mask fails closed.

use gradgate_bundle::op::MASK_BITS;

/// `mask[k]`, from the up to 16 elements of x that it speaks for; NaN where one of them is.
pub fn mask(x: &[f32], mask: &mut [f32]) -> Option<()> {
    if mask.len() != x.len().div_ceil(MASK_BITS) {
        return None;
    }
    for (word, x) in mask.iter_mut().zip(x.chunks(MASK_BITS)) {
        let (mut bits, mut nan) = (0u16, false);
        for (i, x) in x.iter().enumerate() {
            bits |= u16::from(*x > 0.0) << i;
            nan |= x.is_nan();
        }
        *word = if nan { f32::NAN } else { f32::from(bits) };
    }
    Some(())
}

/// `g` where the element's bit is set, +0 where it is not; `at` counts elements.
#[cfg_attr(not(target_arch = "arm"), inline(always))]
pub fn gradient(mask: &[f32], at: usize, g: &mut [f32]) -> Option<()> {
    let mut word = decode(*mask.get(at / MASK_BITS)?);
    for (i, g) in g.iter_mut().enumerate() {
        let at = at + i;
        if i > 0 && at.is_multiple_of(MASK_BITS) {
            word = decode(*mask.get(at / MASK_BITS)?);
        }
        *g = match word {
            Some(bits) if bits >> (at % MASK_BITS) & 1 == 1 => *g,
            Some(_) => 0.0,
            None => f32::NAN,
        };
    }
    Some(())
}

/// The bits; `None` for what is no integer of 16 bits.
#[inline(always)]
fn decode(word: f32) -> Option<u32> {
    // The conversion saturates, and takes NaN to 0.
    let bits = word as u32;
    (bits as f32 == word && bits <= u32::from(u16::MAX)).then_some(bits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signs_become_bits() {
        let mut x = [-1.0; 35];
        (x[0], x[3], x[15], x[16], x[34]) = (1.0, 1e-45, f32::INFINITY, 2.0, 5.0);
        (x[1], x[2]) = (0.0, -0.0);
        let mut words = [9.0; 3];
        mask(&x, &mut words).unwrap();
        assert_eq!(words, [32_768.0 + 8.0 + 1.0, 1.0, 4.0]);
        x[20] = f32::NAN;
        mask(&x, &mut words).unwrap();
        assert!(words[1].is_nan() && words[2] == 4.0);
        assert_eq!(mask(&x[..32], &mut words), None);
        mask(&[1.0; 32], &mut words[..2]).unwrap();
        assert_eq!(words[0], 65_535.0);
    }

    #[test]
    fn a_word_that_is_no_mask_gives_nan() {
        let broken =
            [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -1.0, 0.5, 65_536.0, 1e30, 1e-45, 3.000_1];
        for word in broken {
            let mut g = [1.0; 20];
            gradient(&[65_535.0, word, 0.0], 14, &mut g).unwrap();
            assert_eq!([g[0], g[1], g[18], g[19]], [1.0, 1.0, 0.0, 0.0], "{word}");
            assert!(g[2..18].iter().all(|g| g.is_nan()), "{word}");
        }
        assert_eq!(gradient(&[0.0], 12, &mut [1.0; 5]), None);
    }
}
