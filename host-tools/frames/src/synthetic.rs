//! Anomalies that are made of normal frames and that no camera gives: for a detector that learns
//! from anomalous frames where there are none.
//!
//! Each follows from kind, severity and seed alone, with the same bits on every machine
//! ([`SyntheticKind::RandomTarget`] as far as its gradients have them). Severities go from 1 to 5.
//!
//! Not here: faults of cameras ([`crate::fault`]), and the gradients of a network.

mod attack;
mod fourier;
mod space;

pub use attack::{Look, Slopes, random_target};

use crate::random::Random;

/// What is done to a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyntheticKind {
    /// Patches of a grid change places.
    PatchShuffle,
    /// A frame of another source shines through.
    Mix,
    /// The strength of every spatial frequency stays, its place becomes random.
    PhaseScramble,
    /// Made smaller and larger again: what is fine is gone.
    DownUp,
    /// A few steps towards a class drawn at random, no sample by more than a few grey levels.
    RandomTarget,
}

/// The table: kind, name.
const KINDS: [(SyntheticKind, &str); 5] = [
    (SyntheticKind::PatchShuffle, "patch-shuffle"),
    (SyntheticKind::Mix, "mix"),
    (SyntheticKind::PhaseScramble, "phase-scramble"),
    (SyntheticKind::DownUp, "down-up"),
    (SyntheticKind::RandomTarget, "random-target"),
];

impl SyntheticKind {
    /// All kinds.
    pub fn all() -> impl Iterator<Item = SyntheticKind> {
        KINDS.iter().map(|&(kind, _)| kind)
    }

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        // The table has the order of the enum; a test compares them.
        KINDS[self as usize].1
    }

    /// Whether it takes the gradients of a network: see [`random_target`].
    pub fn needs_network(self) -> bool {
        self == SyntheticKind::RandomTarget
    }

    /// Changes a frame of `[height, width, channels]`, 1 or 3 channels, with a severity of 1 to 5.
    /// `other` is a frame of the same shape from another source; only a mix reads it.
    ///
    /// # Errors
    /// What does not fit: a number of samples, a severity, or a kind that needs a network.
    pub fn apply(
        self,
        severity: u8,
        pixels: &mut [u8],
        shape: [usize; 3],
        other: &[u8],
        seed: u64,
    ) -> Result<(), String> {
        let [height, width, channels] = shape;
        let samples = height.checked_mul(width).and_then(|n| n.checked_mul(channels));
        if samples != Some(pixels.len()) || pixels.is_empty() || !matches!(channels, 1 | 3) {
            let found = pixels.len();
            return Err(format!("{found} samples are no frame of {height} x {width} x {channels}"));
        }
        let level = Level::new(severity)?;
        let random = &mut Random::of(&[seed, self as u64, u64::from(b'S')]);
        match self {
            SyntheticKind::PatchShuffle => {
                space::shuffle_patches(
                    pixels,
                    shape,
                    level.of([0.2, 0.35, 0.5, 0.75, 1.0]),
                    random,
                );
            }
            SyntheticKind::Mix => {
                if other.len() != pixels.len() {
                    return Err("a mix takes a second frame of the same shape".to_owned());
                }
                space::mix(pixels, other, level.of([0.2, 0.3, 0.4, 0.45, 0.5]));
            }
            SyntheticKind::PhaseScramble => {
                fourier::scramble(pixels, shape, level.of([0.2, 0.4, 0.6, 0.8, 1.0]), random);
            }
            SyntheticKind::DownUp => {
                space::down_up(pixels, shape, level.of([1.5, 2.0, 3.0, 4.0, 6.0]));
            }
            SyntheticKind::RandomTarget => {
                return Err("random-target takes the gradients of a network".to_owned());
            }
        }
        Ok(())
    }
}

/// 1 to 5, as a table of five values reads it.
#[derive(Clone, Copy)]
struct Level(usize);

impl Level {
    fn new(severity: u8) -> Result<Level, String> {
        let fits = (1..=5).contains(&severity);
        fits.then(|| Level(usize::from(severity) - 1)).ok_or("a severity is 1 to 5".to_owned())
    }

    fn of<T: Copy>(self, values: [T; 5]) -> T {
        values[self.0]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signs::{Signs, Spec, Split};

    const SHAPE: [usize; 3] = [32, 32, 3];

    fn pictures(count: usize) -> Vec<Vec<u8>> {
        let signs = Signs::new(Spec::new(Split::Test));
        (0..count).map(|i| signs.picture(i).pixels).collect()
    }

    fn made_alone() -> impl Iterator<Item = SyntheticKind> {
        SyntheticKind::all().filter(|kind| !kind.needs_network())
    }

    #[test]
    fn the_table_has_the_order_of_the_enum() {
        for (i, (kind, name)) in KINDS.iter().enumerate() {
            assert_eq!((*kind as usize, kind.name()), (i, *name));
        }
    }

    #[test]
    fn every_kind_is_seen_grows_and_repeats() {
        let pictures = pictures(31);
        for kind in made_alone() {
            let mean = |severity| {
                let one = |i: usize| {
                    let mut pixels = pictures[i].clone();
                    kind.apply(severity, &mut pixels, SHAPE, &pictures[i + 1], i as u64).unwrap();
                    let mut again = pictures[i].clone();
                    kind.apply(severity, &mut again, SHAPE, &pictures[i + 1], i as u64).unwrap();
                    assert_eq!(pixels, again);
                    let pairs = pixels.iter().zip(&pictures[i]);
                    let sum: u64 = pairs.map(|(&a, &b)| u64::from(a.abs_diff(b))).sum();
                    sum as f64 / pixels.len() as f64
                };
                (0..30).map(one).sum::<f64>() / 30.0
            };
            let means: Vec<f64> = (1..=5).map(mean).collect();
            let name = kind.name();
            assert!(means[0] > 1.0 && means[4] > means[0] * 1.2, "{name}: {means:?}");
        }
    }

    #[test]
    fn frames_of_any_shape_are_changed_and_nothing_panics() {
        for shape in [[1, 1, 3], [9, 1, 1], [1, 9, 3], [3, 2, 1], [17, 33, 3], [7, 40, 1]] {
            let count = shape.iter().product::<usize>();
            let picture: Vec<u8> = (0..count).map(|i| (i * 37 % 251) as u8).collect();
            for (kind, severity) in made_alone().flat_map(|kind| (1..=5).map(move |s| (kind, s))) {
                let mut pixels = picture.clone();
                kind.apply(severity, &mut pixels, shape, &picture, 3).unwrap();
            }
        }
        let cases = [
            (SyntheticKind::Mix, 3, vec![0; 12], [2, 2, 3], "second frame"),
            (SyntheticKind::DownUp, 6, vec![0; 12], [2, 2, 3], "1 to 5"),
            (SyntheticKind::DownUp, 3, vec![0; 11], [2, 2, 3], "no frame of"),
            (SyntheticKind::DownUp, 3, vec![], [usize::MAX, 2, 3], "no frame of"),
            (SyntheticKind::RandomTarget, 3, vec![0; 12], [2, 2, 3], "gradients"),
        ];
        for (kind, severity, mut pixels, shape, wanted) in cases {
            let error = kind.apply(severity, &mut pixels, shape, &[], 0).unwrap_err();
            assert!(error.contains(wanted), "{error}");
        }
    }
}
