//! Files of features on the command line: normal ones, and anomalous ones with names.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use gradgate_detect::FeatureSet;
use gradgate_detect::fit::Anomalous;
use gradgate_frames::builtin::PREFIX;

use crate::{builtin, files};

/// The names of tensors stand in the first bytes of a safetensors file, after its metadata.
const HEAD: u64 = 1 << 20;

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

    /// Refuses names and files that are given twice.
    pub fn check(&self) -> Result<()> {
        check_names(&self.anomalous)?;
        check_distinct(&self.paths())
    }

    /// Reads the normal frames as one set, and each anomalous source; built-in anomalies are made
    /// by `make` from the normal frames' features and their name.
    pub fn read(
        &self,
        make: &dyn Fn(&FeatureSet, &str) -> Result<FeatureSet>,
    ) -> Result<(FeatureSet, Vec<Anomalous>)> {
        self.check()?;
        let normal = read_normal(self.normal)?;
        let anomalous = self.anomalous_or(&|path| match path.to_str() {
            Some(word) if builtin::is_meant(word) => make(&normal, word),
            _ => read(path),
        })?;
        Ok((normal, anomalous))
    }

    /// The normal frames' features; `None` when frames were given in their place.
    pub fn normal_features(&self) -> Result<Option<FeatureSet>> {
        match self.normal.iter().any(|path| is_features(path)) {
            true => Ok(Some(read_normal(self.normal)?)),
            false => Ok(None),
        }
    }

    /// Each anomalous source: read, or made by `compute` where frames were given.
    pub fn anomalous_or(
        &self,
        compute: &dyn Fn(&Path) -> Result<FeatureSet>,
    ) -> Result<Vec<Anomalous>> {
        let one = |(name, path): &(String, PathBuf)| {
            let set = if is_features(path) { read(path)? } else { compute(path)? };
            Ok(Anomalous { name: name.clone(), set })
        };
        self.anomalous.iter().map(one).collect()
    }
}

/// Whether a file begins as `features` writes them. Frames may be safetensors, too.
fn is_features(path: &Path) -> bool {
    let mut head = Vec::new();
    let opened = File::open(path).and_then(|file| file.take(HEAD).read_to_end(&mut head));
    let name = b"\"squared_norms\"";
    opened.is_ok() && head.windows(name.len()).any(|window| window == name)
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
pub fn check_distinct(paths: &[&Path]) -> Result<()> {
    let mut seen = Vec::new();
    for path in paths {
        let Ok(place) = path.canonicalize() else { continue };
        if seen.contains(&place) {
            bail!("{} is given twice: give each file once", path.display());
        }
        seen.push(place);
    }
    Ok(())
}

/// `NAME=FILE`, or a file whose name without ending is the name; built-in anomalies have theirs.
fn named(text: &str) -> (String, PathBuf) {
    match text.split_once('=') {
        // A path may hold `=`; a name holds no slash.
        Some((name, path)) if !name.is_empty() && !name.contains(['/', '\\']) => {
            (name.to_owned(), PathBuf::from(path))
        }
        _ if builtin::is_meant(text) => {
            (text.trim_start_matches(PREFIX).to_owned(), PathBuf::from(text))
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
            ("builtin:fog", "fog", "builtin:fog"),
            ("f=builtin:fog", "f", "builtin:fog"),
            ("x/y=z/b.safetensors", "b", "x/y=z/b.safetensors"),
        ];
        for (text, name, path) in cases {
            assert_eq!(named(text), (name.to_owned(), PathBuf::from(path)));
        }
    }
}
