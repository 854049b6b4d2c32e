//! Where things lie in the repository, and its list of files.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

/// The root of the repository.
pub fn root() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().unwrap_or(manifest).to_path_buf()
}

/// The workspace of the boards, which is not part of the host's.
pub fn boards() -> PathBuf {
    root().join("firmware/boards")
}

/// The folder of build output, `CARGO_TARGET_DIR` if set.
pub fn target() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(folder) => root().join(folder),
        None => root().join("target"),
    }
}

/// The boards' folder of build output: their own, so that neither workspace waits for the other.
pub fn boards_target() -> PathBuf {
    target().join("boards")
}

/// Real data and models that never enter the repository; may be absent.
pub fn shared() -> PathBuf {
    root().join("../shared")
}

/// All files of the project, relative to the root: what git tracks or would track.
pub fn files() -> Result<Vec<PathBuf>> {
    let listing = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(root())
        .output();
    let mut files = match listing {
        Ok(output) if output.status.success() => parse_listing(&output.stdout)?,
        // A copy without its history, such as a source archive.
        _ => walk(&root())?,
    };
    files.retain(|file| root().join(file).is_file());
    files.sort();
    Ok(files)
}

/// Whether git tracks `file`; `None` outside a git checkout.
pub fn is_tracked(file: &str) -> Option<bool> {
    let run = |args: &[&str]| Command::new("git").args(args).current_dir(root()).output().ok();
    run(&["rev-parse", "--git-dir"]).filter(|output| output.status.success())?;
    let output = run(&["ls-files", "--", file])?;
    Some(!output.stdout.is_empty())
}

fn parse_listing(bytes: &[u8]) -> Result<Vec<PathBuf>> {
    let text = std::str::from_utf8(bytes).context("a file name is not UTF-8")?;
    Ok(text.split('\0').filter(|name| !name.is_empty()).map(PathBuf::from).collect())
}

fn walk(root: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut pending = vec![root.to_path_buf()];
    while let Some(folder) = pending.pop() {
        for entry in folder.read_dir().with_context(|| format!("{}", folder.display()))? {
            let entry = entry?;
            let path = entry.path();
            if !entry.file_type()?.is_dir() {
                found.push(path.strip_prefix(root)?.to_path_buf());
            } else if entry.file_name() != "target" && entry.file_name() != ".git" {
                pending.push(path);
            }
        }
    }
    if found.is_empty() {
        bail!("no file below {}", root.display());
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_listing_names_this_file_and_no_build_output() {
        let files = files().expect("a list of files");
        assert!(files.contains(&PathBuf::from("xtask/src/repo.rs")));
        assert!(!files.iter().any(|file| file.starts_with("target")));
    }

    #[test]
    fn a_walk_finds_the_same_sources() {
        let walked = walk(&root().join("xtask/src")).expect("a list of files");
        assert!(walked.contains(&PathBuf::from("repo.rs")));
        assert!(walked.contains(&PathBuf::from("tidy/mask.rs")));
    }
}
