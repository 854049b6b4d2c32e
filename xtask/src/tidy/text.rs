//! Rules on any text: opening line, line length, marks of unfinished work, paths of one machine.

use super::{Finding, Source};

/// Columns that a line may take; two files fit side by side.
const COLUMNS_MAX: usize = 100;

/// Marks of unfinished work: half done must not pretend to be done. Split, or they find themselves.
const UNFINISHED: [&str; 5] = [
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("X", "XX"),
    concat!("to", "do!"),
    concat!("unimple", "mented!"),
];

/// Roots of paths that exist on one machine only.
const MACHINE_PATHS: [&str; 5] = [
    concat!("/wo", "rk/"),
    concat!("/ro", "ot/"),
    concat!("/ho", "me/"),
    concat!("/t", "mp/"),
    concat!("/fa", "rm/"),
];

/// All text rules on one file.
pub fn check(source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    if source.is_rust() && !has_header(&source.text) {
        let message = "opens without a `//!` line that says what the file is for";
        findings.push(Finding::new(&source.path, 1, message));
    }
    if is_measured(source) {
        findings.extend(long_lines(source));
    }
    if source.path.ends_with(".lock") {
        return findings;
    }
    for (index, line) in source.text.lines().enumerate() {
        for mark in UNFINISHED.into_iter().filter(|mark| holds_word(line, mark)) {
            let message = format!("`{mark}` marks unfinished work: finish it or open an issue");
            findings.push(Finding::new(&source.path, index + 1, message));
        }
        for path in MACHINE_PATHS.into_iter().filter(|path| holds_path(line, path)) {
            let message = format!("`{path}` exists on one machine only: use a relative path");
            findings.push(Finding::new(&source.path, index + 1, message));
        }
    }
    findings
}

fn has_header(text: &str) -> bool {
    let first = text.lines().next().unwrap_or_default();
    first.strip_prefix("//!").is_some_and(|tagline| !tagline.trim().is_empty())
}

fn is_measured(source: &Source) -> bool {
    // Not Markdown: there a sentence is a line.
    let kinds = [".rs", ".py", ".sh", "/run"];
    kinds.iter().any(|kind| source.path.ends_with(kind)) && !source.is_generated()
}

fn long_lines(source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (index, line) in source.text.lines().enumerate() {
        let columns = line.chars().count();
        let is_table = line.trim_start().trim_start_matches(['/', '!', ' ']).starts_with('|');
        if columns > COLUMNS_MAX && !is_table && !line.contains("://") {
            let message = format!("{columns} columns, {COLUMNS_MAX} at most");
            findings.push(Finding::new(&source.path, index + 1, message));
        }
    }
    findings
}

fn holds_word(line: &str, word: &str) -> bool {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        let (before, after) = (&line[..at], &line[at + word.len()..]);
        !before.ends_with(is_word) && !after.starts_with(is_word)
    })
}

/// Whether an absolute path below `root` stands in the line; `a/tmp/b` is none.
fn holds_path(line: &str, root: &str) -> bool {
    let continues = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '/' | '}' | '*');
    line.match_indices(root).any(|(at, _)| !line[..at].ends_with(continues))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(path: &str, text: &str) -> Vec<String> {
        check(&Source::new(path, text)).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_rust_file_opens_with_its_purpose() {
        assert_eq!(messages("a.rs", "//! Adds.\nfn f() {}\n"), [""; 0]);
        for text in ["fn f() {}\n", "//!\nfn f() {}\n", "// Adds.\n", ""] {
            assert_eq!(messages("a.rs", text).len(), 1, "{text:?}");
        }
        assert_eq!(messages("a.toml", "[package]\n"), [""; 0]);
    }

    #[test]
    fn lines_are_short_but_for_tables_and_addresses() {
        let long = "x".repeat(101);
        assert_eq!(messages("a.py", &long), ["a.py:1: 101 columns, 100 at most"]);
        assert_eq!(messages("a.py", &"é".repeat(100)), [""; 0]);
        assert_eq!(messages("a.py", &format!("| {long} |")), [""; 0]);
        assert_eq!(messages("a.py", &format!("https://{long}")), [""; 0]);
        assert_eq!(messages("a.md", &long), [""; 0]);
        let generated = format!("//! Messages, @{}.\n{long}", "generated");
        assert_eq!(messages("a.rs", &generated), [""; 0]);
    }

    #[test]
    fn unfinished_work_is_found_as_a_word() {
        for mark in UNFINISHED {
            assert_eq!(messages("a.md", &format!("x {mark} y")).len(), 1, "{mark}");
            assert_eq!(messages("a.md", &format!("x{mark}")), [""; 0], "{mark}");
        }
    }

    #[test]
    fn paths_of_one_machine_are_found() {
        for root in MACHINE_PATHS {
            assert_eq!(messages("a.md", &format!("see {root}x")).len(), 1, "{root}");
            assert_eq!(messages("a.md", &format!("see ..{root}x")), [""; 0], "{root}");
        }
    }
}
