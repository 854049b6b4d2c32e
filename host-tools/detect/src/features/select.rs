//! A feature set with fewer gradient norms: what the network would have given with fewer taps.

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

    /// The same frames with the norms of these columns alone, in this order; everything else stays.
    pub fn with_columns(&self, columns: &[usize]) -> FeatureSet {
        let width = self.metadata.parameters.len();
        let mut set = self.clone();
        set.metadata.parameters =
            columns.iter().map(|&column| self.metadata.parameters[column].clone()).collect();
        set.metadata.schema_digest = set.metadata.names_digest();
        let rows = self.squared_norms.chunks_exact(width.max(1));
        set.squared_norms =
            rows.flat_map(|row| columns.iter().map(|&column| row[column])).collect();
        set
    }
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
        let none = set.with_columns(&[]);
        none.validate().unwrap();
        assert_eq!((none.squared_norms.len(), none.len()), (0, 5));
        let error = set.columns(&["w9".to_owned()]).unwrap_err().to_string();
        assert!(error.contains("w9") && error.contains("--taps"), "{error}");
    }
}
