//! Where frames come from, and how sources are drawn anew: frames of one source are near-twins, so
//! that sources are resampled, not frames.

use std::collections::BTreeMap;
use std::ops::Range;

use super::error::{Kind, MetricsError};
use super::side::{Side, Weights};
use crate::random::Random;

/// Scores of frames with the source of each: an image, a track, a sequence.
#[derive(Clone, Copy, Debug)]
pub struct Scored<'a, S = f32> {
    /// One a frame.
    pub scores: &'a [S],
    /// One a frame.
    pub sources: &'a [i64],
}

/// How intervals are drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Resampling {
    /// Draws of sources; 0 gives intervals without width.
    pub resamples: usize,
    /// Share of draws inside an interval, above 0 and below 1.
    pub confidence: f64,
    /// Equal seeds and sources give equal draws.
    pub seed: u64,
    /// Whether a normal and an anomalous frame with one id are twins, such as an image and its
    /// attacked copy, and are drawn together; otherwise ids of different sets have no relation.
    pub twins: bool,
}

/// Sets whose sources are numbered together.
pub(super) struct Sets {
    pub normal: Side,
    pub anomalous: Vec<Side>,
    strata: Strata,
    how: Resampling,
}

/// Numbers that are drawn among themselves.
pub(super) struct Strata(Vec<Range<usize>>);

impl Sets {
    /// Checks scores, sources and options.
    pub fn new<S: Copy + Into<f64>>(
        normal: Scored<'_, S>,
        anomalous: &[Scored<'_, S>],
        how: &Resampling,
    ) -> Result<Sets, MetricsError> {
        if anomalous.is_empty() {
            return Err(MetricsError::NoSets);
        }
        if !(how.confidence > 0.0 && how.confidence < 1.0) {
            return Err(MetricsError::Option { name: "confidence", value: how.confidence });
        }
        let mut numbering = Numbering::default();
        let normal = numbering.side(Kind::Normal, normal)?;
        numbering.close(!how.twins);
        let mut sides = vec![];
        for (index, set) in anomalous.iter().enumerate() {
            sides.push(numbering.side(Kind::Anomalous(index), *set)?);
            if !how.twins {
                numbering.close(true);
            }
        }
        numbering.close(true);
        Ok(Sets { normal, anomalous: sides, strata: numbering.strata(), how: *how })
    }

    /// A statistic on draw after draw. A draw that leaves a set without frames, which only few
    /// twins can, is left out.
    pub fn draws<T>(&self, purpose: &str, statistic: impl Fn(Weights<'_>) -> T) -> Vec<T> {
        let counts = |weights: &[u32]| {
            let mut sides = std::iter::once(&self.normal).chain(&self.anomalous);
            sides.all(|side| side.counts(weights))
        };
        self.strata.draws(&self.how, purpose, counts, statistic)
    }
}

impl Strata {
    /// A statistic on every draw that `counts`.
    pub fn draws<T>(
        &self,
        how: &Resampling,
        purpose: &str,
        counts: impl Fn(&[u32]) -> bool,
        statistic: impl Fn(Weights<'_>) -> T,
    ) -> Vec<T> {
        let mut random = Random::new(how.seed, purpose);
        let mut draws = vec![];
        for _ in 0..how.resamples {
            let weights = self.draw(&mut random);
            if counts(&weights) {
                draws.push(statistic(Some(&weights)));
            }
        }
        draws
    }

    /// How often each source is drawn.
    fn draw(&self, random: &mut Random) -> Vec<u32> {
        let mut weights = vec![0; self.0.last().map_or(0, |stratum| stratum.end)];
        for stratum in &self.0 {
            for _ in stratum.clone() {
                weights[stratum.start + random.below(stratum.len())] += 1;
            }
        }
        weights
    }
}

/// Numbers for ids, in order of appearance.
#[derive(Default)]
pub(super) struct Numbering {
    numbers: BTreeMap<i64, u32>,
    count: u32,
    strata: Vec<Range<usize>>,
}

impl Numbering {
    pub fn side<S: Copy + Into<f64>>(
        &mut self,
        kind: Kind,
        set: Scored<'_, S>,
    ) -> Result<Side, MetricsError> {
        if set.scores.len() != set.sources.len() {
            let (have, need) = (set.sources.len(), set.scores.len());
            return Err(MetricsError::Lengths { kind, have, need });
        }
        let numbers = set.sources.iter().map(|id| {
            *self.numbers.entry(*id).or_insert_with(|| {
                self.count += 1;
                self.count - 1
            })
        });
        let numbers: Vec<u32> = numbers.collect();
        Side::new(kind, set.scores, numbers.into_iter())
    }

    /// The strata that were ended.
    pub fn strata(self) -> Strata {
        Strata(self.strata)
    }

    /// Ends a stratum; with `forget`, an id met later is another source.
    pub fn close(&mut self, forget: bool) {
        let start = self.strata.last().map_or(0, |stratum| stratum.end);
        if self.count as usize > start {
            self.strata.push(start..self.count as usize);
        }
        if forget {
            self.numbers.clear();
        }
    }
}
