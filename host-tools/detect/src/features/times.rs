//! When frames were taken.

use super::FeatureSet;

/// A frame's time where it is unknown.
pub const NO_TIME: i64 = i64::MIN;

impl FeatureSet {
    /// When a frame was taken, in nanoseconds.
    pub fn time_ns(&self, frame: usize) -> Option<i64> {
        self.time_ns.get(frame).copied().filter(|&time| time != NO_TIME)
    }

    /// Adds the time of the next frame, before its `source`.
    pub fn push_time(&mut self, time_ns: Option<i64>) {
        if time_ns.is_some() || !self.time_ns.is_empty() {
            self.time_ns.resize(self.len(), NO_TIME);
            self.time_ns.push(time_ns.unwrap_or(NO_TIME));
        }
    }

    /// Adds the times of another set, before its frames.
    pub(super) fn append_times(&mut self, other: &FeatureSet) {
        if self.time_ns.is_empty() && other.time_ns.is_empty() {
            return;
        }
        self.time_ns.resize(self.len(), NO_TIME);
        self.time_ns.extend_from_slice(&other.time_ns);
        self.time_ns.resize(self.len() + other.len(), NO_TIME);
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::synthetic;
    use super::*;

    #[test]
    fn frames_without_a_time_keep_their_places() {
        let mut set = FeatureSet::default();
        for time in [None, None, Some(5), None] {
            set.push_time(time);
            set.source.push(0);
        }
        assert_eq!(set.time_ns, [NO_TIME, NO_TIME, 5, NO_TIME]);
        let found: Vec<_> = (0..5).map(|frame| set.time_ns(frame)).collect();
        assert_eq!(found, [None, None, Some(5), None, None]);
    }

    #[test]
    fn sets_with_and_without_times_are_joined() {
        let bare = synthetic(2, 0.0, 1, 1);
        let mut timed = bare.clone();
        timed.time_ns = vec![7, 8];
        timed.sequences.insert(0, "a.mcap /cam".to_owned());
        let cases = [
            ([&bare, &bare], vec![]),
            ([&bare, &timed], vec![NO_TIME, NO_TIME, 7, 8]),
            ([&timed, &bare], vec![7, 8, NO_TIME, NO_TIME]),
            ([&timed, &timed], vec![7, 8, 7, 8]),
        ];
        for (sets, times) in cases {
            let all = FeatureSet::concat(sets.into_iter().cloned().collect()).unwrap();
            all.validate().unwrap();
            assert_eq!(all.time_ns, times);
            assert_eq!(all.sequences.len(), usize::from(!times.is_empty()));
        }
    }
}
