//! Rules on where files lie: the same name for an op in every layer, lock files tracked.

use super::Finding;
use crate::repo;

/// The folder whose file names are the names of ops.
const OPS: &str = "host-tools/graph/src/ops/";
/// Folders of other layers, whose files answer to them.
const MIRRORS: [&str; 3] =
    ["host-tools/graph/src/interp/", "host-tools/graph/src/export/", "host-tools/graph/src/lower/"];
/// Files of a mirror that serve all ops, with what they hold.
const SHARED: &[(&str, &str)] = &[
    ("host-tools/graph/src/export/builder.rs", "names and nodes of the ONNX file being written"),
    ("host-tools/graph/src/export/detector.rs", "the detector's arithmetic as ONNX nodes"),
    ("host-tools/graph/src/export/error.rs", "why a Graph cannot be written"),
    ("host-tools/graph/src/export/names.rs", "what is written, under which names"),
    ("host-tools/graph/src/export/output.rs", "the named results of the file"),
    ("host-tools/graph/src/export/site.rs", "where a node is being written"),
    ("host-tools/graph/src/export/table.rs", "which op is spelt by which file"),
    ("host-tools/graph/src/interp/choices.rs", "another executor's choices at kinks"),
    ("host-tools/graph/src/lower/backward.rs", "what one input gradient finishes"),
    ("host-tools/graph/src/lower/fuse.rs", "chains of nodes that one step computes"),
    ("host-tools/graph/src/lower/layout.rs", "how constants lie in the blobs"),
    ("host-tools/graph/src/lower/preprocess.rs", "the first step, which no node of the graph is"),
];

/// Lock files: the same sources must give the same program.
const LOCK_FILES: [&str; 3] = ["Cargo.lock", "firmware/boards/Cargo.lock", "tests/fuzz/Cargo.lock"];

/// Files of a mirror without a namesake among the ops, and entries of [`SHARED`] without a file.
pub fn check_mirrors(paths: &[&str]) -> Vec<Finding> {
    let mut findings = stale(paths, SHARED);
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

fn stale(paths: &[&str], shared: &[(&str, &str)]) -> Vec<Finding> {
    let gone = shared.iter().filter(|(path, _)| !paths.contains(path));
    gone.map(|(path, _)| Finding::new(path, 0, "is gone: take it off the list in layout.rs"))
        .collect()
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
        let missing: Vec<Finding> = check_mirrors(&paths)
            .into_iter()
            .filter(|finding| finding.message.starts_with("no namesake"))
            .collect();
        assert_eq!(missing.len(), 1);
        assert_eq!(missing[0].file, paths[2]);
    }

    #[test]
    fn the_list_of_shared_files_names_no_ghost() {
        assert_eq!(stale(&["a.rs"], &[("a.rs", "x")]), []);
        assert_eq!(stale(&["a.rs"], &[("b.rs", "x")]).len(), 1);
    }
}
