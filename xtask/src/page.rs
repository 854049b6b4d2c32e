//! The generated parts of the pages in docs, each between two marks; people write the rest.

use std::fs;

use anyhow::{Context, Result};

use crate::repo;

/// The page of times and counts.
pub const PERFORMANCE: &str = "docs/performance.md";

/// Puts `text` between the marks `<!-- NAME: begin -->` and `<!-- NAME: end -->` of a page.
pub fn write(page_path: &str, name: &str, text: &str) -> Result<()> {
    let path = repo::root().join(page_path);
    let page = fs::read_to_string(&path).with_context(|| format!("{}", path.display()))?;
    let page = replaced(&page, name, text)
        .with_context(|| format!("{page_path} has no marks {:?}", marks(name)))?;
    fs::write(&path, page).with_context(|| format!("{}", path.display()))?;
    println!("written: {page_path}");
    Ok(())
}

fn marks(name: &str) -> [String; 2] {
    ["begin", "end"].map(|end| format!("<!-- {name}: {end} -->"))
}

fn replaced(page: &str, name: &str, text: &str) -> Option<String> {
    let [begin, end] = marks(name);
    let (before, rest) = page.split_once(&begin)?;
    let (_, after) = rest.split_once(&end)?;
    Some(format!("{before}{begin}\n\n{}\n\n{end}{after}", text.trim()))
}

/// Two lines that open a table.
pub fn heading(first: &str, columns: &[&str]) -> String {
    format!("| {first} | {} |\n|{}\n", columns.join(" | "), " --- |".repeat(columns.len() + 1))
}

/// A line of a table; what is absent is a dash.
pub fn row(name: &str, cells: &[Option<String>]) -> String {
    let cells = cells.iter().map(|cell| cell.as_deref().unwrap_or("-"));
    format!("| {name} | {} |\n", cells.collect::<Vec<_>>().join(" | "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_stands_between_the_marks_changes() {
        let page = "# A\n\n<!-- x: begin -->\nold\n<!-- x: end -->\n\n## Kept\n";
        let new = replaced(page, "x", "new\n").expect("has marks");
        assert_eq!(new, "# A\n\n<!-- x: begin -->\n\nnew\n\n<!-- x: end -->\n\n## Kept\n");
        assert_eq!(replaced(&new, "x", "new").as_ref(), Some(&new));
        assert_eq!(replaced(page, "y", "new"), None);
    }

    #[test]
    fn the_pages_have_all_marks() {
        let marks = [
            (PERFORMANCE, "bench-peers"),
            (PERFORMANCE, "kernel-counts"),
            ("docs/families.md", "families"),
        ];
        for (path, name) in marks {
            let page = fs::read_to_string(repo::root().join(path)).expect("the page");
            assert!(replaced(&page, name, "").is_some(), "{path}: {name}");
        }
    }

    #[test]
    fn a_table_has_as_many_cells_in_every_line() {
        let text = heading("a", &["b", "c"]) + &row("d", &[None, Some("1".to_owned())]);
        assert_eq!(text, "| a | b | c |\n| --- | --- | --- |\n| d | - | 1 |\n");
    }
}
