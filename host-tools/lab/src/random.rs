//! Random numbers that depend on nothing but a seed, a purpose and an index.
//!
//! Every image, step or split draws from a stream of its own, so that no result depends on the
//! order of the work, on batches or on threads.

const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0100_0000_01b3;
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// One stream: output n is SplitMix64's mixing of `key + n * golden ratio`.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// The stream of `index` (of an image, an epoch, ..) for a seed and a purpose.
    pub fn new(seed: u64, purpose: &str, index: u64) -> Self {
        let fold = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(FNV_PRIME);
        let purpose = purpose.bytes().fold(FNV_OFFSET, fold);
        // Mixed in one after the other: sums of seed and index would make streams that meet.
        Self(mix(mix(purpose ^ mix(seed)) ^ index))
    }

    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(GOLDEN);
        mix(self.0)
    }

    /// Uniform in [0, 1).
    pub fn uniform(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Uniform in `low..high`.
    pub fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.uniform()
    }

    /// Uniform in 0..bound, which is at least 1; the bias is below bound / 2^64.
    pub fn below(&mut self, bound: usize) -> usize {
        ((u128::from(self.bits()) * bound as u128) >> 64) as usize
    }

    /// -1 or 1.
    pub fn sign(&mut self) -> f32 {
        if self.bits() >> 63 == 0 { 1.0 } else { -1.0 }
    }

    /// Standard normal, by Box and Muller.
    pub fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.uniform()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.uniform()).cos()
    }

    /// Puts the items in random order (Fisher and Yates).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }
}

/// Steele, Lea and Flood's finaliser of SplitMix64.
fn mix(z: u64) -> u64 {
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_are_repeatable_and_apart() {
        let draw = |seed, purpose, index| Random::new(seed, purpose, index).bits();
        assert_eq!(draw(1, "start", 2), draw(1, "start", 2));
        let streams = [
            draw(1, "start", 2),
            draw(2, "start", 1),
            draw(1, "start", 3),
            draw(1, "square", 2),
            draw(0, "start", 0),
        ];
        for (i, a) in streams.iter().enumerate() {
            assert!(streams[..i].iter().all(|b| b != a), "streams {i} and before meet");
        }
    }

    #[test]
    fn numbers_fill_their_range_evenly() {
        let (mut sum, mut signs, mut tenths) = (0.0, 0.0, [0; 10]);
        for index in 0..20_000 {
            let mut random = Random::new(5, "test", index);
            sum += random.between(-1.0, 3.0);
            signs += f64::from(random.sign());
            tenths[random.below(10)] += 1;
        }
        assert!((sum / 20_000.0 - 1.0).abs() < 0.03, "{sum}");
        assert!(f64::abs(signs) < 500.0, "{signs}");
        assert!(tenths.iter().all(|&count: &i32| (1_800..2_200).contains(&count)), "{tenths:?}");
    }

    #[test]
    fn normal_numbers_have_their_moments() {
        let mut random = Random::new(5, "normal", 0);
        let drawn: Vec<f64> = (0..50_000).map(|_| random.normal()).collect();
        let mean = drawn.iter().sum::<f64>() / 50_000.0;
        let square = drawn.iter().map(|x| x * x).sum::<f64>() / 50_000.0;
        assert!(mean.abs() < 0.02 && (square - 1.0).abs() < 0.03, "{mean} {square}");
        let mut order: Vec<u32> = (0..100).collect();
        random.shuffle(&mut order);
        assert!(order.windows(2).any(|pair| pair[0] > pair[1]));
        order.sort_unstable();
        assert!(order.into_iter().eq(0..100));
    }
}
