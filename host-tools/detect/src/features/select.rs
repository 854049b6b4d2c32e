//! A feature set with fewer taps: what the network would have given with them.

use super::FeatureSet;
use crate::DetectError;

impl FeatureSet {
    /// Columns of parameters, by name.
    ///
    /// # Errors
    /// A parameter whose norms the set does not hold.
    pub fn columns(&self, parameters: &[String]) -> Result<Vec<usize>, DetectError> {
        let place = |name: &String| {
            let found = self.metadata.parameters.iter().position(|other| other == name);
            found.ok_or_else(|| {
                DetectError::Data(format!(
                    "the features of {} hold no norm of {name}; compute them without --taps",
                    self.metadata.frames
                ))
            })
        };
        parameters.iter().map(place).collect()
    }

    /// The same frames with the norms of these columns alone, in this order, and the alignments of
    /// their parameters: an alignment is a tap of its weight. Everything else stays.
    pub fn with_columns(&self, columns: &[usize]) -> FeatureSet {
        let names = &self.metadata.parameters;
        let mut set = self.clone();
        set.metadata.parameters = columns.iter().map(|&column| names[column].clone()).collect();
        set.squared_norms = selected(&self.squared_norms, names.len(), columns);
        set.keep_alignments(|name| columns.iter().any(|&column| names[column] == name));
        set
    }

    /// The same frames as if they had been computed without references.
    pub fn without_alignments(mut self) -> FeatureSet {
        self.keep_alignments(|_| false);
        self
    }

    fn keep_alignments(&mut self, keep: impl Fn(&str) -> bool) {
        let names = std::mem::take(&mut self.metadata.alignments);
        let kept: Vec<usize> = (0..names.len()).filter(|&column| keep(&names[column])).collect();
        self.alignments = selected(&self.alignments, names.len(), &kept);
        self.metadata.alignments = kept.iter().map(|&column| names[column].clone()).collect();
        if kept.is_empty() {
            self.metadata.references_digest.clear();
        }
        self.metadata.schema_digest = self.metadata.names_digest();
    }
}

/// Columns of rows of `width` values.
fn selected<T: Copy>(values: &[T], width: usize, columns: &[usize]) -> Vec<T> {
    let rows = values.chunks_exact(width.max(1));
    rows.flat_map(|row| columns.iter().map(|&column| row[column])).collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::synthetic;

    #[test]
    fn columns_are_taken_by_name_and_in_order() {
        let set = synthetic(5, 0.0, 1, 1);
        let names = ["w4", "w1"].map(str::to_owned);
        let columns = set.columns(&names).unwrap();
        let some = set.with_columns(&columns);
        some.validate().unwrap();
        assert_eq!(some.metadata.parameters, names);
        assert_eq!(some.squared_norms[..2], [set.squared_norms[4], set.squared_norms[1]]);
        assert_eq!(some.squared_norms[8], set.squared_norms[28]);
        assert_eq!(some.logits, set.logits);
        assert_ne!(some.metadata.schema_digest, set.metadata.schema_digest);
        // Alignments follow their weight; `synthetic` has those of w0 and w1.
        assert_eq!(some.metadata.alignments, ["w1"]);
        assert_eq!(some.alignments[..2], [set.alignments[1], set.alignments[3]]);
        assert!(!some.metadata.references_digest.is_empty());
        for bare in [set.with_columns(&[3]), set.clone().without_alignments()] {
            bare.validate().unwrap();
            assert!(bare.alignments.is_empty() && bare.metadata.references_digest.is_empty());
            assert_ne!(bare.metadata.schema_digest, set.metadata.schema_digest);
        }
        let bare = set.clone().without_alignments();
        assert_eq!(bare.squared_norms, set.squared_norms);
        let none = set.with_columns(&[]);
        none.validate().unwrap();
        assert_eq!((none.squared_norms.len(), none.len()), (0, 5));
        let error = set.columns(&["w9".to_owned()]).unwrap_err().to_string();
        assert!(error.contains("w9") && error.contains("--taps"), "{error}");
    }
}
