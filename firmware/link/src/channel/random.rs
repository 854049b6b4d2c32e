//! Random numbers that a seed repeats: SplitMix64 (Steele, Lea, Flood, 2014).

/// A stream of numbers; not for keys.
#[derive(Clone, Debug)]
pub struct Random {
    state: u64,
}

impl Random {
    /// The stream of `seed`.
    pub fn new(seed: u64) -> Random {
        Random { state: seed }
    }

    /// 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// Below `end`; 0 where `end` is 0. Uneven by `end` in 2^64.
    pub fn below(&mut self, end: u64) -> u64 {
        ((u128::from(self.bits()) * u128::from(end)) >> 64) as u64
    }

    /// True with this probability.
    pub fn chance(&mut self, probability: f64) -> bool {
        const UNIT: f64 = 1.0 / (1_u64 << 53) as f64;
        probability > 0.0 && ((self.bits() >> 11) as f64 * UNIT) < probability
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_the_published_ones() {
        // The generator's reference implementation, seed 1234567.
        let mut random = Random::new(1_234_567);
        let expected = [6_457_827_717_110_365_317, 3_203_168_211_198_807_973];
        assert_eq!([random.bits(), random.bits()], expected);
    }

    #[test]
    fn chances_are_about_as_often_as_they_say() {
        let mut random = Random::new(5);
        for (probability, low, high) in [(0.0, 0, 0), (0.01, 850, 1150), (1.0, 100_000, 100_000)] {
            let hits = (0..100_000).filter(|_| random.chance(probability)).count();
            assert!((low..=high).contains(&hits), "{hits} of 100,000 at {probability}");
        }
    }
}
