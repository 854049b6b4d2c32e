//! Files of features on the command line: normal ones, and anomalous ones with names.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use gradgate_detect::FeatureSet;
use gradgate_detect::fit::Anomalous;

use crate::files;

/// What was given, not read yet.
pub struct FeatureFiles<'a> {
    normal: &'a [PathBuf],
    anomalous: Vec<(String, PathBuf)>,
}

impl<'a> FeatureFiles<'a> {
    /// From the arguments; an anomalous one is `[NAME=]FILE`.
    pub fn new(normal: &'a [PathBuf], anomalous: &[String]) -> FeatureFiles<'a> {
        FeatureFiles { normal, anomalous: anomalous.iter().map(|text| named(text)).collect() }
    }

    /// All paths, for checks.
    pub fn paths(&self) -> Vec<&Path> {
        let normal = self.normal.iter().map(PathBuf::as_path);
        normal.chain(self.anomalous.iter().map(|(_, path)| path.as_path())).collect()
    }

    /// Reads the normal frames as one set, and each anomalous source.
    pub fn read(&self) -> Result<(FeatureSet, Vec<Anomalous>)> {
        check_names(&self.anomalous)?;
        check_distinct(&self.paths())?;
        let normal = read_normal(self.normal)?;
        let read = |(name, path): &(String, PathBuf)| {
            Ok(Anomalous { name: name.clone(), set: read(path)? })
        };
        Ok((normal, self.anomalous.iter().map(read).collect::<Result<Vec<_>>>()?))
    }
}

/// Equal source numbers mean twins, across files too: such frames stay in one part.
fn read_normal(paths: &[PathBuf]) -> Result<FeatureSet> {
    let sets = paths.iter().map(|path| read(path)).collect::<Result<Vec<_>>>()?;
    Ok(FeatureSet::concat(sets)?)
}

fn read(path: &Path) -> Result<FeatureSet> {
    FeatureSet::read(path)
        .with_context(|| format!("{} (needs what `features` wrote)", path.display()))
}

/// Frames given twice would be their own twins, or normal and anomalous at once.
fn check_distinct(paths: &[&Path]) -> Result<()> {
    let mut seen = Vec::new();
    for path in paths {
        let Ok(place) = path.canonicalize() else { continue };
        if seen.contains(&place) {
            bail!("{} is given twice: each file of features once", path.display());
        }
        seen.push(place);
    }
    Ok(())
}

/// `NAME=FILE`, or a file whose name without ending is the name.
fn named(text: &str) -> (String, PathBuf) {
    match text.split_once('=') {
        // A path may hold `=`; a name holds no slash.
        Some((name, path)) if !name.is_empty() && !name.contains(['/', '\\']) => {
            (name.to_owned(), PathBuf::from(path))
        }
        _ => (files::stem(Path::new(text)), PathBuf::from(text)),
    }
}

fn check_names(anomalous: &[(String, PathBuf)]) -> Result<()> {
    for (index, (name, _)) in anomalous.iter().enumerate() {
        if anomalous[..index].iter().any(|(other, _)| other == name) {
            bail!("two anomalous sources are called {name}: name them, as in NAME=FILE");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_by_table() {
        let cases = [
            ("fog=a/b.safetensors", "fog", "a/b.safetensors"),
            ("a/b.safetensors", "b", "a/b.safetensors"),
            ("x/y=z/b.safetensors", "b", "x/y=z/b.safetensors"),
        ];
        for (text, name, path) in cases {
            assert_eq!(named(text), (name.to_owned(), PathBuf::from(path)));
        }
    }
}
