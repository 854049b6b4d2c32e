//! Names for files of equal name.

use std::path::{Component, Path, PathBuf};

/// As much of each path's end as no other path has; the file name alone where that is enough. Equal
/// paths have equal names.
pub fn labels(paths: &[PathBuf]) -> Vec<String> {
    let all: Vec<Vec<String>> = paths.iter().map(|path| parts(path)).collect();
    let label = |own: &Vec<String>| {
        let end =
            |parts: &[String], count: usize| parts[parts.len().saturating_sub(count)..].to_vec();
        let alone = |count: &usize| {
            all.iter().all(|other| other == own || end(other, *count) != end(own, *count))
        };
        let count = (1..own.len()).find(alone).unwrap_or(own.len());
        end(own, count).join("/")
    };
    all.iter().map(label).collect()
}

fn parts(path: &Path) -> Vec<String> {
    let text = |part: Component<'_>| part.as_os_str().to_string_lossy().into_owned();
    path.components().filter(|part| *part != Component::CurDir).map(text).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_by_table() {
        let cases: [(&[&str], &[&str]); 6] = [
            (&[], &[]),
            (&["a/b/rec.mcap"], &["rec.mcap"]),
            (&["d1/rec.mcap", "d2/rec.mcap"], &["d1/rec.mcap", "d2/rec.mcap"]),
            (&["/x/a/n/r", "/x/b/n/r", "/x/s"], &["a/n/r", "b/n/r", "s"]),
            (&["rec.mcap", "d1/rec.mcap"], &["rec.mcap", "d1/rec.mcap"]),
            (&["./rec.mcap", "rec.mcap"], &["rec.mcap", "rec.mcap"]),
        ];
        for (paths, wanted) in cases {
            let paths: Vec<PathBuf> = paths.iter().map(PathBuf::from).collect();
            assert_eq!(labels(&paths), wanted, "{paths:?}");
        }
    }
}
