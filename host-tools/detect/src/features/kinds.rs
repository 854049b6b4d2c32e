//! What was made of normal frames: a kind and a severity each.

use super::FeatureSet;
use crate::DetectError;

/// Kinds of anomalies with what each frame is; empty for frames that are as they were found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kinds {
    /// Names of the kinds; no commas.
    pub names: Vec<String>,
    /// Those of them that a single frame does not show: measured, never trained on.
    pub in_time: Vec<String>,
    /// `[n]`, places among `names`.
    pub of_frame: Vec<i64>,
    /// `[n]`, 1 (slight) to 5.
    pub severities: Vec<i64>,
}

impl Kinds {
    /// Whether frames have no kinds.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// A frame's kind, among `names`; `None` without kinds.
    pub fn of(&self, frame: usize) -> Option<&str> {
        let kind = usize::try_from(*self.of_frame.get(frame)?).ok()?;
        self.names.get(kind).map(String::as_str)
    }

    /// Whether a single frame of this kind is as good as a normal one.
    pub fn is_in_time(&self, name: &str) -> bool {
        self.in_time.iter().any(|other| other == name)
    }

    /// Checks lengths, names and ranges for `n` frames.
    pub(super) fn validate(&self, n: usize) -> Result<(), DetectError> {
        let bad = |what: String| {
            Err(DetectError::Data(format!("{what}; compute the features again with --anomalous")))
        };
        if self.is_empty() {
            return match self.of_frame.is_empty() && self.severities.is_empty() {
                true => Ok(()),
                false => bad("frames have kinds without names".into()),
            };
        }
        if self.of_frame.len() != n || self.severities.len() != n {
            let (kinds, severities) = (self.of_frame.len(), self.severities.len());
            return bad(format!("{n} frames have {kinds} kinds and {severities} severities"));
        }
        let names = self.names.iter().chain(&self.in_time);
        if let Some(name) = names.clone().find(|name| name.is_empty() || name.contains([',', '\n']))
        {
            return bad(format!("\"{name}\" cannot name a kind"));
        }
        let known = 0..self.names.len() as i64;
        for (frame, (kind, severity)) in self.of_frame.iter().zip(&self.severities).enumerate() {
            if !known.contains(kind) || !(1..=5).contains(severity) {
                return bad(format!("frame {frame} has kind {kind}, severity {severity}"));
            }
        }
        Ok(())
    }

    /// Adds the kinds of another set's frames.
    fn append(&mut self, other: &Kinds) {
        let mut places = Vec::new();
        for name in &other.names {
            let found = self.names.iter().position(|own| own == name);
            places.push(found.unwrap_or(self.names.len()) as i64);
            if found.is_none() {
                self.names.push(name.clone());
            }
        }
        let moved = other.of_frame.iter().map(|kind| places.get(*kind as usize).unwrap_or(kind));
        self.of_frame.extend(moved);
        self.severities.extend(&other.severities);
        for name in &other.in_time {
            if !self.is_in_time(name) {
                self.in_time.push(name.clone());
            }
        }
    }
}

impl FeatureSet {
    /// Adds kinds and image statistics of another set, before its frames. Statistics stay where
    /// both sets have them.
    ///
    /// # Errors
    /// Frames with kinds and frames without.
    pub(super) fn append_made(&mut self, other: &FeatureSet) -> Result<(), DetectError> {
        let both = [self, other];
        let bare = both.map(|set| set.kinds.is_empty());
        if bare[0] != bare[1] {
            let [first, second] = both.map(|set| set.metadata.frames.clone());
            let text = |bare| if bare { "none" } else { "kinds of anomalies" }.to_owned();
            return Err(DetectError::Mixture {
                field: "kinds",
                first: (first, text(bare[0])),
                second: (second, text(bare[1])),
            });
        }
        self.kinds.append(&other.kinds);
        if self.image_statistics.is_empty() || other.image_statistics.is_empty() {
            self.image_statistics.clear();
        } else {
            self.image_statistics.extend(&other.image_statistics);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::synthetic;
    use super::*;

    fn kinds(names: &[&str], of_frame: &[i64]) -> Kinds {
        Kinds {
            names: names.iter().map(|&name| name.to_owned()).collect(),
            in_time: vec!["frozen".into()],
            of_frame: of_frame.to_vec(),
            severities: vec![3; of_frame.len()],
        }
    }

    #[test]
    fn joined_sets_keep_their_kinds_by_name() {
        let with = |names: &[&str], of_frame: &[i64]| {
            let mut set = synthetic(of_frame.len(), 0.0, 1, 1);
            set.kinds = kinds(names, of_frame);
            set
        };
        let mut first = with(&["fog", "noise"], &[0, 1]);
        first.image_statistics = vec![0.5; 20];
        let second = with(&["noise", "frozen"], &[0, 1, 0]);
        let all = FeatureSet::concat(vec![first.clone(), second]).unwrap();
        all.validate().unwrap();
        let names: Vec<&str> = (0..5).filter_map(|frame| all.kinds.of(frame)).collect();
        assert_eq!(names, ["fog", "noise", "noise", "frozen", "noise"]);
        assert!(all.kinds.is_in_time("frozen") && !all.kinds.is_in_time("fog"));
        assert!(all.image_statistics.is_empty());
        let error = FeatureSet::concat(vec![first, synthetic(2, 0.0, 1, 1)]).unwrap_err();
        assert!(error.to_string().contains("kinds"), "{error}");
    }

    #[test]
    fn what_does_not_fit_is_found() {
        let good = kinds(&["fog", "noise"], &[0, 1, 1]);
        good.validate(3).unwrap();
        Kinds::default().validate(3).unwrap();
        type Change = (&'static str, fn(&mut Kinds));
        let changes: [Change; 6] = [
            ("3 frames", |k| k.of_frame.truncate(2)),
            ("3 frames", |k| k.severities.push(1)),
            ("kind 2", |k| k.of_frame[1] = 2),
            ("severity 6", |k| k.severities[0] = 6),
            ("cannot name", |k| k.names[0] = "a,b".into()),
            ("without names", |k| k.names.clear()),
        ];
        for (wanted, change) in changes {
            let mut kinds = good.clone();
            change(&mut kinds);
            let error = kinds.validate(3).unwrap_err().to_string();
            assert!(error.contains(wanted), "{wanted}: {error}");
        }
    }
}
