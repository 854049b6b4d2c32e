//! Which crate may depend on which: ARCHITECTURE.md's `edges` block against the manifests.
//!
//! Both directions count: an edge that is not in the map needs a line there, and a line without an
//! edge is a stale map.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value;

use super::{Finding, Source};
use crate::{process, repo};

const MAP: &str = "ARCHITECTURE.md";
const FENCE: &str = "```edges";
const PREFIX: &str = "gradgate-";

/// `from` depends on `to`; names without the common prefix.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Edge {
    from: String,
    to: String,
    /// Only for tests.
    dev: bool,
}

/// The edge rule on the whole repository.
pub fn check(sources: &[Source]) -> Result<Vec<Finding>> {
    let Some(map) = sources.iter().find(|source| source.path == MAP) else {
        return Ok(vec![Finding::new(MAP, 0, "is missing")]);
    };
    let mut actual = manifest_edges(&repo::root())?;
    actual.extend(manifest_edges(&repo::boards())?);
    actual.extend(manifest_edges(&repo::root().join("tests/fuzz"))?);
    Ok(compare(&map.text, &actual))
}

fn compare(map: &str, actual: &BTreeSet<Edge>) -> Vec<Finding> {
    let (mapped, mut findings) = parse(map);
    for edge in actual.difference(&mapped) {
        let message = format!("the edge `{}` has no line in the `edges` block", edge.line());
        findings.push(Finding::new(MAP, 0, message));
    }
    for edge in mapped.difference(actual) {
        let message = format!("the edge `{}` is in no manifest", edge.line());
        findings.push(Finding::new(MAP, 0, message));
    }
    findings
}

impl Edge {
    fn line(&self) -> String {
        format!("{} -> {}{}", self.from, self.to, if self.dev { " (tests)" } else { "" })
    }
}

/// Lines `from -> to to .. (tests) to ..`: what follows `(tests)` is for tests only.
fn parse(map: &str) -> (BTreeSet<Edge>, Vec<Finding>) {
    let (mut edges, mut findings) = (BTreeSet::new(), Vec::new());
    let mut inside = false;
    let mut seen = false;
    for (index, line) in map.lines().enumerate() {
        if line.starts_with("```") {
            inside = line.trim_end() == FENCE;
            seen |= inside;
            continue;
        }
        if !inside || line.trim().is_empty() {
            continue;
        }
        match parse_line(line) {
            Some(parsed) => edges.extend(parsed),
            None => findings.push(Finding::new(MAP, index + 1, "not `crate -> crate ..`")),
        }
    }
    if !seen {
        findings.push(Finding::new(MAP, 0, format!("has no block that opens with {FENCE}")));
    }
    (edges, findings)
}

fn parse_line(line: &str) -> Option<Vec<Edge>> {
    let (from, to) = line.split_once("->")?;
    let from = from.trim();
    let mut edges = Vec::new();
    let mut dev = false;
    for word in to.split_whitespace() {
        match word {
            "(tests)" => dev = true,
            name => edges.push(Edge { from: from.to_owned(), to: name.to_owned(), dev }),
        }
    }
    let valid = !from.is_empty() && !from.contains(' ') && !edges.is_empty();
    valid.then_some(edges)
}

/// Edges between our own crates, as cargo reads the manifests in `folder`.
fn manifest_edges(folder: &Path) -> Result<BTreeSet<Edge>> {
    let mut cargo = Command::new("cargo");
    cargo.args(["metadata", "--format-version", "1", "--no-deps", "--offline"]);
    let text = process::output(cargo.current_dir(folder))?;
    edges_of(&text).context("cargo metadata said something else than expected")
}

fn edges_of(metadata: &str) -> Result<BTreeSet<Edge>> {
    let metadata: Value = serde_json::from_str(metadata)?;
    let mut edges = BTreeSet::new();
    for package in metadata["packages"].as_array().context("no packages")? {
        let from = package["name"].as_str().context("a package without a name")?;
        for dependency in package["dependencies"].as_array().context("no dependencies")? {
            let to = dependency["name"].as_str().context("a dependency without a name")?;
            // Only our own crates are given by path. A crate names itself to test a feature.
            if dependency["path"].is_null() || from == to {
                continue;
            }
            edges.insert(Edge {
                from: short(from),
                to: short(to),
                dev: dependency["kind"].as_str() == Some("dev"),
            });
        }
    }
    // What a crate may use, its tests may use with more features.
    let real: Vec<Edge> = edges.iter().filter(|edge| !edge.dev).cloned().collect();
    edges.retain(|edge| !edge.dev || !real.iter().any(|r| r.from == edge.from && r.to == edge.to));
    Ok(edges)
}

fn short(name: &str) -> String {
    name.strip_prefix(PREFIX).unwrap_or(name).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const METADATA: &str = r#"{"packages": [
        {"name": "gradgate-engine", "dependencies": [
            {"name": "gradgate-bundle", "kind": null, "path": "x"},
            {"name": "serde", "kind": null, "path": null},
            {"name": "gradgate-bundle", "kind": "dev", "path": "x"},
            {"name": "gradgate-graph", "kind": "dev", "path": "x"}]},
        {"name": "gradgate-bundle", "dependencies": []}]}"#;

    fn found(map: &str) -> Vec<String> {
        let actual = edges_of(METADATA).expect("valid metadata");
        compare(map, &actual).into_iter().map(|finding| finding.message).collect()
    }

    #[test]
    fn a_true_map_has_no_findings() {
        assert_eq!(found("x\n```edges\nengine -> bundle (tests) graph\n```\n"), [""; 0]);
    }

    #[test]
    fn a_new_edge_and_a_stale_line_are_found() {
        let messages = found("```edges\nengine -> bundle\nbundle -> engine\n```\n");
        assert_eq!(messages.len(), 2);
        assert!(messages[0].contains("engine -> graph (tests)"), "{messages:?}");
        assert!(messages[1].contains("bundle -> engine"), "{messages:?}");
    }

    #[test]
    fn a_test_edge_is_no_leave_for_a_real_one() {
        assert_eq!(found("```edges\nengine -> (tests) bundle graph\n```\n").len(), 2);
    }

    #[test]
    fn a_map_without_its_block_is_refused() {
        assert!(found("# nothing").iter().any(|message| message.contains("no block")));
        assert!(found("```edges\nengine bundle\n```").iter().any(|m| m.contains("not `crate")));
    }
}
