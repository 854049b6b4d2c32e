//! Seeded numbers, smooth noise and sines that have the same bits on every machine.
//!
//! Only additions, products, quotients, square roots and `floor` of IEEE 754 are used, here and in
//! all of `signs` and `fault`: the platform's sine, power or exponential may differ in its last
//! bit.

/// A generator (splitmix64) whose stream is a function of what it was made of.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    /// The stream that belongs to these words, in this order.
    pub fn of(words: &[u64]) -> Self {
        let absorb = |state: u64, &word: &u64| scramble(state ^ scramble(word ^ INCREMENT));
        Random(words.iter().fold(INCREMENT, absorb))
    }

    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(INCREMENT);
        scramble(self.0)
    }

    /// From 0 inclusive to 1 exclusive.
    pub fn unit(&mut self) -> f32 {
        (self.bits() >> 40) as f32 / 16_777_216.0
    }

    /// Uniform between two bounds.
    pub fn between(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * self.unit()
    }

    /// Between `-reach` and `reach`, most often near 0.
    pub fn around(&mut self, reach: f32) -> f32 {
        reach * (self.unit() - self.unit())
    }

    /// True this often.
    pub fn chance(&mut self, probability: f32) -> bool {
        self.unit() < probability
    }

    /// A number below `count`, which is at least 1 and small.
    pub fn below(&mut self, count: usize) -> usize {
        (((self.bits() >> 32) * count as u64) >> 32) as usize
    }

    /// One of the choices, which are not empty.
    pub fn choose<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    /// 0..N in a random order.
    pub fn order<const N: usize>(&mut self) -> [usize; N] {
        let mut order = std::array::from_fn(|i| i);
        for last in (1..N).rev() {
            order.swap(last, self.below(last + 1));
        }
        order
    }

    /// Puts items in a random order.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }

    /// Four numbers of mean 0 and deviation 1, nearly normal: each a sum of four bytes.
    pub fn normals(&mut self) -> [f32; 4] {
        let pairs = [self.bits(), self.bits()];
        std::array::from_fn(|i| {
            let bytes = (pairs[i / 2] >> (32 * (i % 2))) as u32;
            let sum: u32 = bytes.to_le_bytes().iter().map(|&b| u32::from(b)).sum();
            // A byte has the variance (256^2 - 1) / 12.
            (sum as f32 - 510.0) / 147.801
        })
    }
}

/// The fractional part of the golden ratio, which spreads consecutive states evenly.
const INCREMENT: u64 = 0x9e37_79b9_7f4a_7c15;

fn scramble(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Smooth random values over a plane: 0..1, one independent value at each whole point.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Noise(pub u32);

impl Noise {
    /// The value of a cell or lattice point.
    pub fn cell(self, x: i32, y: i32) -> f32 {
        let mut h = (x as u32).wrapping_mul(0x9e37_79b1)
            ^ (y as u32).wrapping_mul(0x85eb_ca77)
            ^ self.0.wrapping_mul(0xc2b2_ae3d);
        h = (h ^ (h >> 15)).wrapping_mul(0x2c1b_3c6d);
        h = (h ^ (h >> 12)).wrapping_mul(0x297a_2d39);
        ((h ^ (h >> 15)) >> 8) as f32 / 16_777_216.0
    }

    /// The value at a point.
    pub fn at(self, x: f32, y: f32) -> f32 {
        let (left, top) = (x.floor(), y.floor());
        let (u, v) = (smooth(x - left), smooth(y - top));
        let (i, j) = (left as i32, top as i32);
        let (a, b) = (self.cell(i, j), self.cell(i.wrapping_add(1), j));
        let j = j.wrapping_add(1);
        let (c, d) = (self.cell(i, j), self.cell(i.wrapping_add(1), j));
        let (upper, lower) = (a + (b - a) * u, c + (d - c) * u);
        upper + (lower - upper) * v
    }

    /// Two scales, the finer at `2.7` times the frequency and half the weight.
    pub fn rough(self, x: f32, y: f32) -> f32 {
        let fine = Noise(self.0 ^ 0x5bd1_e995).at(x * 2.7 + 0.4, y * 2.7 + 0.7);
        (self.at(x, y) * 2.0 + fine) / 3.0
    }
}

/// 0 at 0, 1 at 1, level at both ends.
pub(crate) fn smooth(t: f32) -> f32 {
    t * t * (3.0 - 2.0 * t)
}

/// Sine and cosine of an angle in turns, to 1e-7.
pub(crate) fn sine_cosine(turns: f32) -> (f32, f32) {
    let turns = f64::from(turns);
    (sine(turns) as f32, sine(turns + 0.25) as f32)
}

/// Sine of an angle in turns, to 1e-9.
pub(crate) fn sine(turns: f64) -> f64 {
    let mut r = turns - (turns + 0.5).floor();
    if r > 0.25 {
        r = 0.5 - r;
    } else if r < -0.25 {
        r = -0.5 - r;
    }
    let x = r * std::f64::consts::TAU;
    let s = x * x;
    // Taylor's series to x^13: the rest is below 1e-9 up to a quarter turn.
    let factors = [156.0, 110.0, 72.0, 42.0, 20.0, 6.0];
    x * factors.iter().fold(1.0, |sum, factor| 1.0 - s / factor * sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sines_agree_with_the_standard_library() {
        for step in -400..400 {
            let turns = step as f32 / 150.0;
            let (s, c) = sine_cosine(turns);
            let (es, ec) = (f64::from(turns) * std::f64::consts::TAU).sin_cos();
            assert!((f64::from(s) - es).abs() < 2e-7, "sine of {turns} turns");
            assert!((f64::from(c) - ec).abs() < 2e-7, "cosine of {turns} turns");
        }
    }

    #[test]
    fn streams_are_known_and_differ() {
        // splitmix64's published first output for the state 0.
        assert_eq!(Random(0).bits(), 0xe220_a839_7b1d_cdaf);
        let first = |words: &[u64]| Random::of(words).bits();
        assert_ne!(first(&[1, 2]), first(&[2, 1]));
        assert_ne!(first(&[0]), first(&[0, 0]));
    }

    #[test]
    fn draws_have_their_moments() {
        let mut random = Random::of(&[7]);
        let n = 20_000;
        let draws: Vec<f32> = (0..n / 4).flat_map(|_| random.normals()).collect();
        let mean = draws.iter().sum::<f32>() / n as f32;
        let variance = draws.iter().map(|d| d * d).sum::<f32>() / n as f32;
        assert!(mean.abs() < 0.03 && (variance - 1.0).abs() < 0.04, "{mean} {variance}");
        let mut counts = [0; 5];
        (0..5000).for_each(|_| counts[random.below(5)] += 1);
        assert!(counts.iter().all(|&c| (850..1150).contains(&c)), "{counts:?}");
        let mut order = random.order::<12>();
        order.sort_unstable();
        assert_eq!(order, std::array::from_fn::<usize, 12, _>(|i| i));
    }

    #[test]
    fn noise_is_continuous_and_meets_its_cells() {
        let noise = Noise(3);
        for (x, y) in [(0, 0), (-3, 7), (100, -100)] {
            let (fx, fy) = (x as f32, y as f32);
            assert_eq!(noise.at(fx, fy), noise.cell(x, y));
            assert!((noise.at(fx - 1e-3, fy) - noise.cell(x, y)).abs() < 1e-4);
        }
        assert_ne!(noise.cell(0, 0), Noise(4).cell(0, 0));
    }
}
