//! Rules on where files lie: the same name for an op in every layer, lock files tracked.

use super::Finding;
use crate::repo;

/// The folder whose file names are the names of ops.
const OPS: &str = "host-tools/graph/src/ops/";
/// Folders of other layers, whose files answer to them.
const MIRRORS: [&str; 3] = [
    "host-tools/graph/src/interp/",
    "host-tools/graph/src/export/",
    "host-tools/graph/src/lower/",
];
/// Files of a mirror that serve all ops, with what they hold.
const SHARED: &[(&str, &str)] = &[
    ("host-tools/graph/src/export/builder.rs", "names and nodes of the ONNX file being written"),
    ("host-tools/graph/src/export/detector.rs", "the detector's arithmetic as ONNX nodes"),
    ("host-tools/graph/src/export/site.rs", "where a node is being written"),
];

/// Lock files: the same sources must give the same program.
const LOCK_FILES: [&str; 2] = ["Cargo.lock", "firmware/boards/Cargo.lock"];

/// Files of a mirror without a namesake among the ops.
pub fn check_mirrors(paths: &[&str]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for mirror in MIRRORS {
        for path in paths {
            let Some(name) = path.strip_prefix(mirror) else {
                continue;
            };
            let namesake = format!("{OPS}{name}");
            let is_shared = SHARED.iter().any(|(shared, _)| shared == path);
            if !is_shared && !paths.contains(&namesake.as_str()) {
                let message = format!("no namesake {namesake}: an op has one name in every layer");
                findings.push(Finding::new(path, 0, message));
            }
        }
    }
    findings
}

/// Lock files that git does not track.
pub fn check_lock_files() -> Vec<Finding> {
    let untracked = |file: &&str| repo::is_tracked(file) == Some(false);
    let missing = |file: &&str| !repo::root().join(file).is_file();
    LOCK_FILES
        .iter()
        .filter(|file| untracked(file) || missing(file))
        .map(|file| Finding::new(file, 0, "the lock file must be committed"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_op_has_one_name_in_every_layer() {
        let paths = [
            "host-tools/graph/src/ops/conv.rs",
            "host-tools/graph/src/interp/conv.rs",
            "host-tools/graph/src/lower/convolution.rs",
            "host-tools/graph/src/lower.rs",
        ];
        let findings = check_mirrors(&paths);
        assert_eq!(findings.len(), 1);
        assert_eq!(findings[0].file, paths[2]);
    }
}
