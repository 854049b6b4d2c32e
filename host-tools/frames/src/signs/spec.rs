//! Which signs: the words on the command line, `signs:SPLIT` and its options.

use std::fmt;

/// A set of frames; each split has places and views of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Split {
    /// Known classes, for training classifiers.
    Train,
    /// Known classes, for fitting detectors and thresholds on what no classifier has seen.
    Calibration,
    /// Known classes, for figures.
    Test,
    /// Classes that no other split has.
    Unseen,
    /// Known classes in tracks: one place and sign each, seen from nearer and nearer.
    Sequence,
    /// Unseen classes in tracks.
    UnseenSequence,
}

impl Split {
    /// All splits.
    pub const ALL: [Split; 6] = [
        Split::Train,
        Split::Calibration,
        Split::Test,
        Split::Unseen,
        Split::Sequence,
        Split::UnseenSequence,
    ];

    /// Its name in a spec.
    pub fn name(self) -> &'static str {
        match self {
            Split::Train => "train",
            Split::Calibration => "calibration",
            Split::Test => "test",
            Split::Unseen => "unseen",
            Split::Sequence => "sequence",
            Split::UnseenSequence => "unseen-sequence",
        }
    }

    /// Whether its signs are those that classifiers do not learn.
    pub fn is_unseen(self) -> bool {
        matches!(self, Split::Unseen | Split::UnseenSequence)
    }

    /// Whether its frames come in tracks.
    pub fn is_sequence(self) -> bool {
        matches!(self, Split::Sequence | Split::UnseenSequence)
    }

    /// Frames without the option `n`.
    fn default_count(self) -> usize {
        match self {
            Split::Train => 6000,
            Split::Sequence | Split::UnseenSequence => 3000,
            Split::Calibration | Split::Test | Split::Unseen => 2000,
        }
    }

    /// What sets its stream of chance apart from the others'; never to be changed.
    pub(crate) fn stream(self) -> u64 {
        match self {
            Split::Train => 1,
            Split::Calibration => 2,
            Split::Test => 3,
            Split::Unseen => 4,
            Split::Sequence => 5,
            Split::UnseenSequence => 6,
        }
    }
}

/// A set of signs. A frame is a function of split, seed, track length, size and its index alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spec {
    /// Which frames.
    pub split: Split,
    /// How many frames; more begin with the same ones.
    pub count: usize,
    /// Another seed gives other frames.
    pub seed: u64,
    /// Rows and columns: 8 to 256.
    pub size: usize,
    /// Frames of a track, in the splits that have tracks.
    pub track: usize,
}

/// What a spec begins with.
const PREFIX: &str = "signs:";
/// Rows and columns that a frame may have.
const SIZES: std::ops::RangeInclusive<usize> = 8..=256;
/// Most frames of a set or track: beyond it a number is a slip.
const COUNT_MAX: usize = 1_000_000_000;

impl Spec {
    /// A split as it comes without options: 32 x 32 pixels, seed 0, tracks of 50 frames.
    pub fn new(split: Split) -> Self {
        Spec { split, count: split.default_count(), seed: 0, size: 32, track: 50 }
    }

    /// Whether a text is meant as a spec: `signs`, or something that begins with `signs:`.
    pub fn is_meant(text: &str) -> bool {
        text.starts_with(PREFIX) || text == PREFIX.trim_end_matches(':')
    }

    /// Reads `signs:SPLIT`, then perhaps `?` or `:` and options `key=value` with `&` or `,` between
    /// them. The error says what is wrong and what there is.
    pub fn parse(text: &str) -> Result<Self, String> {
        let rest = text.strip_prefix(PREFIX).unwrap_or_default();
        let (name, options) = match rest.split_once(['?', ':']) {
            Some((name, options)) => (name, Some(options)),
            None => (rest, None),
        };
        let Some(split) = Split::ALL.into_iter().find(|split| split.name() == name) else {
            let known = Split::ALL.map(|split| format!("{PREFIX}{}", split.name()));
            return Err(format!("{text}: there is no split {name:?}; say {}", known.join(", ")));
        };
        let mut spec = Spec::new(split);
        let mut seen: Vec<&str> = Vec::new();
        for option in options.iter().flat_map(|options| options.split(['&', ','])) {
            let (key, value) = option.split_once('=').unwrap_or((option, ""));
            if seen.contains(&key) {
                return Err(format!("{text}: {key} is given twice"));
            }
            seen.push(key);
            spec.set(key, value).map_err(|what| format!("{text}: {what}"))?;
        }
        Ok(spec)
    }

    fn set(&mut self, key: &str, value: &str) -> Result<(), String> {
        let whole = |low: usize, high: usize| match value.parse() {
            Ok(number) if (low..=high).contains(&number) => Ok(number),
            _ => Err(format!("{key} is a whole number from {low} to {high}, not {value:?}")),
        };
        match key {
            "n" => self.count = whole(1, COUNT_MAX)?,
            "size" => self.size = whole(*SIZES.start(), *SIZES.end())?,
            "seed" => {
                let wrong = |_| format!("seed is a whole number, not {value:?}");
                self.seed = value.parse().map_err(wrong)?;
            }
            "track" if !self.split.is_sequence() => {
                let what = "only sequence and unseen-sequence have tracks";
                return Err(format!("{what}, not {}", self.split.name()));
            }
            "track" => self.track = whole(1, COUNT_MAX)?,
            _ => {
                return Err(format!("there is no option {key:?}; there are n, seed, size, track"));
            }
        }
        Ok(())
    }
}

impl fmt::Display for Spec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plain = Spec::new(self.split);
        let options = [
            ("n", self.count as u64, plain.count as u64),
            ("seed", self.seed, plain.seed),
            ("size", self.size as u64, plain.size as u64),
            ("track", self.track as u64, plain.track as u64),
        ];
        write!(f, "{PREFIX}{}", self.split.name())?;
        let told = options.iter().filter(|(_, value, default)| value != default);
        for (i, (key, value, _)) in told.enumerate() {
            write!(f, "{}{key}={value}", if i == 0 { ':' } else { ',' })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn specs_by_table() {
        let train = Spec::new(Split::Train);
        let cases = [
            ("signs:train", train, "signs:train"),
            (
                "signs:train?n=4000&seed=1&size=48",
                Spec { count: 4000, seed: 1, size: 48, ..train },
                "signs:train:n=4000,seed=1,size=48",
            ),
            ("signs:test:seed=7", Spec { seed: 7, ..Spec::new(Split::Test) }, "signs:test:seed=7"),
            (
                "signs:sequence?track=9,n=18",
                Spec { track: 9, count: 18, ..Spec::new(Split::Sequence) },
                "signs:sequence:n=18,track=9",
            ),
            ("signs:unseen-sequence", Spec::new(Split::UnseenSequence), "signs:unseen-sequence"),
        ];
        for (text, expected, short) in cases {
            assert_eq!(Spec::parse(text), Ok(expected), "{text}");
            assert_eq!(expected.to_string(), short);
            assert_eq!(Spec::parse(short), Ok(expected), "{short}");
        }
    }

    #[test]
    fn what_is_wrong_is_named_with_what_there_is() {
        let cases = [
            ("signs", "signs:train, signs:calibration, signs:test, signs:unseen"),
            ("signs:", "no split \"\""),
            ("signs:trian", "no split \"trian\""),
            ("signs:train?", "no option \"\"; there are n, seed, size, track"),
            ("signs:train?count=3", "no option \"count\""),
            ("signs:train?n=0", "n is a whole number from 1"),
            ("signs:train?n", "not \"\""),
            ("signs:train?n=5&n=6", "n is given twice"),
            ("signs:train?size=257", "from 8 to 256, not \"257\""),
            ("signs:train?seed=-1", "seed is a whole number"),
            ("signs:test?track=5", "only sequence and unseen-sequence have tracks, not test"),
            ("signs:sequence?track=0", "track is a whole number from 1"),
        ];
        for (text, expected) in cases {
            let error = Spec::parse(text).expect_err(text);
            assert!(Spec::is_meant(text) && error.contains(expected), "{error}");
        }
        assert!(!Spec::is_meant("signs.png") && !Spec::is_meant("photos/signs:train"));
    }
}
