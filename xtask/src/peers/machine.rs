//! What a time is worth nothing without: the machine, its load, the versions.

use std::process::Command;

use crate::{process, repo};

/// Vector instructions that matter here, in the order of their width.
const FLAGS: [&str; 5] = ["sse4_2", "avx", "avx2", "fma", "avx512f"];

/// Processor, cores, vector instructions.
pub fn describe() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let name = field(&info, "model name").unwrap_or(std::env::consts::ARCH);
    let flags: Vec<&str> = field(&info, "flags").unwrap_or_default().split(' ').collect();
    let known: Vec<&str> = FLAGS.into_iter().filter(|flag| flags.contains(flag)).collect();
    let known = if known.is_empty() { "no x86 flags".to_owned() } else { known.join(" ") };
    format!("{name}, {cores} cores, {known}")
}

/// Load averages: how quiet it was.
pub fn load() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').take(3).collect::<Vec<_>>().join(" ")
}

/// The commit, and whether files differ from it.
pub fn commit() -> String {
    let git = |words: &[&str]| {
        process::output(Command::new("git").args(words).current_dir(repo::root())).ok()
    };
    let Some(commit) = git(&["rev-parse", "--short=12", "HEAD"]) else {
        return "unknown commit".to_owned();
    };
    let changed = git(&["status", "--porcelain", "--untracked-files=no"]);
    let clean = changed.is_some_and(|text| text.trim().is_empty());
    format!("commit {}{}", commit.trim(), if clean { "" } else { " with changes" })
}

/// The compiler.
pub fn compiler() -> String {
    let version = process::output(Command::new("rustc").arg("--version").current_dir(repo::root()));
    version.map_or_else(|_| "unknown rustc".to_owned(), |text| text.trim().to_owned())
}

fn field<'a>(info: &'a str, name: &str) -> Option<&'a str> {
    let line = info.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_by_name() {
        let info = "processor\t: 0\nmodel name\t: Some CPU @ 2 GHz\nflags\t\t: fpu avx2 fma\n";
        assert_eq!(field(info, "model name"), Some("Some CPU @ 2 GHz"));
        assert_eq!(field(info, "flags"), Some("fpu avx2 fma"));
        assert_eq!(field(info, "Features"), None);
    }
}
