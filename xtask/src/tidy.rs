//! `cargo xtask tidy`: the rules of STYLE.md and ARCHITECTURE.md that a machine can check.
//!
//! Each rule is a function from text to findings, tested on small texts beside it; this file reads
//! the repository once and hands every file to the rules that apply to it.

mod code;
mod edges;
mod layout;
mod length;
mod mask;
mod text;

use std::fmt;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::repo;

/// One broken rule at one place.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// Relative to the root.
    pub file: String,
    /// From 1; 0 where a whole file or the repository is meant.
    pub line: usize,
    /// What is wrong and what to do.
    pub message: String,
}

/// A text file of the repository.
#[derive(Clone, Debug)]
pub struct Source {
    /// Relative to the root, with `/`.
    pub path: String,
    /// As on disk.
    pub text: String,
    /// As `text`, with the inside of comments and strings blanked; empty unless it is Rust.
    pub code: String,
}

impl Finding {
    /// A finding in `file` at `line`.
    pub fn new(file: &str, line: usize, message: impl Into<String>) -> Self {
        Self { file: file.to_owned(), line, message: message.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(out, "{}: {}", self.file, self.message),
            line => write!(out, "{}:{line}: {}", self.file, self.message),
        }
    }
}

impl Source {
    /// Masks Rust sources once for all rules.
    pub fn new(path: &str, text: &str) -> Self {
        let code = if path.ends_with(".rs") { mask::mask(text) } else { String::new() };
        Self { path: path.to_owned(), text: text.to_owned(), code }
    }

    /// Whether it is Rust source.
    pub fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// Whether a program wrote it: length rules do not apply then.
    pub fn is_generated(&self) -> bool {
        // Split so that this file is not taken for a generated one.
        self.text.lines().take(5).any(|line| line.contains(concat!("@", "generated")))
    }
}

/// The subcommand.
pub fn run(args: &[String]) -> Result<bool> {
    if let Some(arg) = args.first() {
        bail!("tidy takes no argument, not '{arg}'");
    }
    let findings = check()?;
    for finding in &findings {
        println!("{finding}");
    }
    println!("tidy: {} findings", findings.len());
    Ok(findings.is_empty())
}

/// All findings, in order of place.
pub fn check() -> Result<Vec<Finding>> {
    let files = repo::files()?;
    let mut sources = Vec::new();
    for file in &files {
        if let Some(source) = read(file)? {
            sources.push(source);
        }
    }
    let mut findings = Vec::new();
    for source in &sources {
        findings.extend(text::check(source));
        findings.extend(code::check(source));
        findings.extend(length::check(source));
    }
    let paths: Vec<&str> = sources.iter().map(|source| source.path.as_str()).collect();
    findings.extend(length::check_ratchets(&sources));
    findings.extend(layout::check_mirrors(&paths));
    findings.extend(layout::check_lock_files());
    findings.extend(edges::check(&sources)?);
    findings.sort();
    Ok(findings)
}

/// `None` for a file that is not text.
fn read(file: &Path) -> Result<Option<Source>> {
    let bytes = fs::read(repo::root().join(file)).with_context(|| format!("{}", file.display()))?;
    let Ok(text) = String::from_utf8(bytes) else {
        return Ok(None);
    };
    if text.contains('\0') {
        return Ok(None);
    }
    let path = file.to_str().context("a file name is not UTF-8")?.replace('\\', "/");
    Ok(Some(Source::new(&path, &text)))
}
