//! Ratchets on length: files of 500 lines and functions of 70, and the larger ones that we know.
//!
//! A known larger one has a ceiling that only goes down: it may be a table, one state machine or a
//! facade, and its reason stands beside it.

use super::{Finding, Source};

/// Lines of a file: past this it is two things.
const FILE_LINES_MAX: usize = 500;
/// Lines of a function, from `fn` to its closing brace: past this it does not fit a screen.
const FUNCTION_LINES_MAX: usize = 70;
/// A ceiling may stand this far above the truth before it must come down.
const SLACK: usize = 20;

/// Larger files: path, ceiling in lines. Add one only with a reason.
const LARGER_FILES: &[(&str, usize)] = &[];
/// Larger functions: path, name, ceiling in lines. Add one only with a reason.
const LARGER_FUNCTIONS: &[(&str, &str, usize)] = &[
    // One exhaustive match: the length of every operand of every operation.
    ("runtime/bundle/src/shape.rs", "elements", 77),
    // One literal: every field of the smallest bundle.
    ("runtime/bundle/tests/common/mod.rs", "tiny", 119),
    // One table: a command line a row.
    ("host-tools/cli/tests/cli/refusals.rs", "bad_inputs_by_table", 100),
    // One table: a network a row.
    ("tests/src/cases.rs", "networks", 100),
];

/// A function's name, first line (from 1) and length in lines.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Function {
    name: String,
    line: usize,
    lines: usize,
}

/// Length rules on one file.
pub fn check(source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    if !source.is_rust() || source.is_generated() {
        return findings;
    }
    let lines = source.text.lines().count();
    let known = LARGER_FILES.iter().find(|(path, _)| *path == source.path);
    let ceiling = known.map_or(FILE_LINES_MAX, |(_, ceiling)| *ceiling);
    if lines > ceiling {
        let message =
            format!("{lines} lines, {ceiling} at most: split it by what changes together");
        findings.push(Finding::new(&source.path, 0, message));
    }
    for function in functions(&source.code) {
        let known = LARGER_FUNCTIONS
            .iter()
            .find(|(path, name, _)| *path == source.path && *name == function.name);
        let ceiling = known.map_or(FUNCTION_LINES_MAX, |(_, _, ceiling)| *ceiling);
        if function.lines > ceiling {
            let Function { name, line, lines } = function;
            let message = format!("fn {name} has {lines} lines, {ceiling} at most");
            findings.push(Finding::new(&source.path, line, message));
        }
    }
    findings
}

/// Ceilings that have become too high, or that name what is gone.
pub fn check_ratchets(sources: &[Source]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let find = |path: &str| sources.iter().find(|source| source.path == path);
    for (path, ceiling) in LARGER_FILES {
        let lines = find(path).map_or(0, |source| source.text.lines().count());
        findings.extend(stale(path, "file", lines, *ceiling, FILE_LINES_MAX));
    }
    for (path, name, ceiling) in LARGER_FUNCTIONS {
        let all = find(path).map_or_else(Vec::new, |source| functions(&source.code));
        let lengths = all.iter().filter(|function| function.name == *name);
        let lines = lengths.map(|function| function.lines).max().unwrap_or(0);
        findings.extend(stale(path, name, lines, *ceiling, FUNCTION_LINES_MAX));
    }
    findings
}

fn stale(path: &str, what: &str, lines: usize, ceiling: usize, limit: usize) -> Option<Finding> {
    let message = match lines {
        _ if lines <= limit => {
            format!("{what} has {lines} lines: take it off the list in length.rs")
        }
        _ if lines + SLACK < ceiling => format!("{what} has {lines} lines: lower its {ceiling}"),
        _ => return None,
    };
    Some(Finding::new(path, 0, message))
}

/// All functions with a body in masked code, nested ones too.
fn functions(code: &str) -> Vec<Function> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices("fn ") {
        let is_word = |c: char| c.is_alphanumeric() || c == '_';
        if code[..at].ends_with(is_word) {
            continue;
        }
        let name: String =
            code[at + 3..].trim_start().chars().take_while(|c| is_word(*c)).collect();
        let Some(end) = body_end(&code[at..]).filter(|_| !name.is_empty()) else {
            continue;
        };
        let line = code[..at].matches('\n').count() + 1;
        let lines = code[at..at + end].matches('\n').count() + 1;
        found.push(Function { name, line, lines });
    }
    found
}

/// Offset past the brace that closes the body; `None` when a `;` ends the signature.
fn body_end(code: &str) -> Option<usize> {
    let (mut braces, mut brackets) = (0usize, 0usize);
    for (at, c) in code.char_indices() {
        match c {
            '(' | '[' => brackets += 1,
            ')' | ']' => brackets = brackets.saturating_sub(1),
            ';' if braces == 0 && brackets == 0 => return None,
            '{' => braces += 1,
            '}' if braces <= 1 => return (braces == 1).then_some(at + 1),
            '}' => braces -= 1,
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn function(name: &str, line: usize, lines: usize) -> Function {
        Function { name: name.to_owned(), line, lines }
    }

    #[test]
    fn functions_are_found_and_measured() {
        let text = "trait T {\n    fn a(&self, x: [u8; 4]);\n    fn b() {\n        c();\n\
                    \x20   }\n}\nfn c() { let s = \"}\"; }\npub const fn d<T>()\nwhere\n\
                    \x20   T: Fn() -> u8,\n{\n}\ntype F = fn(u8) -> u8;\n";
        let source = Source::new("a.rs", text);
        let expected = [function("b", 3, 3), function("c", 7, 1), function("d", 8, 5)];
        assert_eq!(functions(&source.code), expected);
    }

    #[test]
    fn long_files_and_functions_are_found() {
        let body = "    x();\n".repeat(FUNCTION_LINES_MAX - 2);
        let fits = format!("//! A.\nfn f() {{\n{body}}}\n");
        assert_eq!(check(&Source::new("a.rs", &fits)), []);
        let too_long = format!("//! A.\nfn f() {{\n{body}    x();\n}}\n");
        assert_eq!(check(&Source::new("a.rs", &too_long)).len(), 1);
        let file = "//! A.\n".repeat(FILE_LINES_MAX + 1);
        assert_eq!(check(&Source::new("a.rs", &file)).len(), 1);
        let generated = format!("//! @{}\n{file}", "generated");
        assert_eq!(check(&Source::new("a.rs", &generated)), []);
    }

    #[test]
    fn ceilings_only_go_down() {
        assert_eq!(stale("a.rs", "file", 590, 600, 500), None);
        assert!(stale("a.rs", "file", 550, 600, 500).is_some());
        assert!(stale("a.rs", "file", 400, 600, 500).is_some());
        assert!(stale("gone.rs", "file", 0, 600, 500).is_some());
    }
}
