//! Rules on Rust code: where unsafe may stand and with what reason, float operations that lose NaN
//! or fuse, tests that never run.

use super::{Finding, Source};

/// The only homes of unsafe code: instruction sets, and the wiring of boards.
const UNSAFE_HOMES: [&str; 2] = ["runtime/engine/src/isa", "firmware/boards/"];

/// In runtime/, where NaN must survive and bits must agree between targets.
const FLOAT_OPERATIONS: [(&str, &str); 6] = [
    ("f32::max", "drops NaN: write `if x <= lo { lo } else { x }`"),
    ("f32::min", "drops NaN: write `if x >= hi { hi } else { x }`"),
    ("f32::clamp", "write the two comparisons out, so that all targets agree"),
    (".mul_add(", "fuses multiply and add, which changes the bits"),
    ("f32::mul_add", "fuses multiply and add, which changes the bits"),
    ("fmaf(", "fuses multiply and add, which changes the bits"),
];

/// Methods that are those operations when their argument is a float literal.
const FLOAT_METHODS: [&str; 3] = [".max(", ".min(", ".clamp("];

/// Lines above an unsafe block within which its reason stands.
const REASON_LINES: usize = 12;

/// All code rules on one file.
pub fn check(source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    if !source.is_rust() {
        return findings;
    }
    let lines: Vec<&str> = source.text.lines().collect();
    let product_lines = product_lines(source);
    for (index, code) in source.code.lines().enumerate() {
        let mut found = |message: String| {
            findings.push(Finding::new(&source.path, index + 1, message));
        };
        if words(code).any(|word| word == "unsafe") {
            match UNSAFE_HOMES.iter().any(|home| source.path.starts_with(home)) {
                false => found(format!("unsafe outside {}", UNSAFE_HOMES.join(", "))),
                true if !has_reason(&lines, index) => {
                    found("unsafe without a `SAFETY:` comment above it".to_owned());
                }
                true => {}
            }
        }
        if source.path.starts_with("runtime/") && index < product_lines {
            float_operation(code).into_iter().for_each(&mut found);
        }
        let attribute: String = code.split_whitespace().collect();
        if attribute.contains("#[ignore]") {
            found("`#[ignore]` without a reason: an absent input is a skip, said aloud".to_owned());
        }
    }
    findings
}

/// Lines before the tests of a file; tests may compute their expectations as they like.
fn product_lines(source: &Source) -> usize {
    if source.path.contains("/tests/") || source.path.ends_with("/tests.rs") {
        return 0;
    }
    let is_tests = |line: &str| line.trim_start().starts_with("#[cfg(test)]");
    source.code.lines().position(is_tests).unwrap_or(usize::MAX)
}

fn words(code: &str) -> impl Iterator<Item = &str> {
    code.split(|c: char| !(c.is_alphanumeric() || c == '_'))
}

/// The reason stands on the line itself or in the comments and attributes right above.
fn has_reason(lines: &[&str], index: usize) -> bool {
    let states = |line: &str| line.contains("SAFETY:") || line.contains("# Safety");
    if lines.get(index).is_some_and(|line| states(line)) {
        return true;
    }
    lines[..index.min(lines.len())]
        .iter()
        .rev()
        .take(REASON_LINES)
        .map(|line| line.trim_start())
        .take_while(|line| line.starts_with("//") || line.starts_with("#["))
        .any(states)
}

fn float_operation(code: &str) -> Option<String> {
    for (operation, remedy) in FLOAT_OPERATIONS {
        if code.contains(operation) {
            return Some(format!("`{operation}` {remedy}"));
        }
    }
    for method in FLOAT_METHODS {
        for (at, _) in code.match_indices(method) {
            if opens_with_float(&code[at + method.len()..]) {
                return Some(format!("`{method}` on a float: write the comparison out"));
            }
        }
    }
    None
}

/// Whether a literal such as `-0.5` or `1f32` stands here.
fn opens_with_float(code: &str) -> bool {
    let digits = code.trim_start().trim_start_matches('-');
    let rest = digits.trim_start_matches(|c: char| c.is_ascii_digit() || c == '_');
    let is_number = digits.len() > rest.len() || digits.starts_with('_');
    is_number && (rest.starts_with('.') && !rest.starts_with("..") || rest.starts_with("f32"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(path: &str, text: &str) -> Vec<usize> {
        check(&Source::new(path, text)).iter().map(|finding| finding.line).collect()
    }

    #[test]
    fn unsafe_stands_in_its_homes_with_a_reason() {
        let home = "runtime/engine/src/isa/x86.rs";
        let bare = "fn f() {\n    unsafe { g() }\n}\n";
        let reasoned = "fn f() {\n    // SAFETY: detected.\n    unsafe { g() }\n}\n";
        let documented = "/// # Safety\n/// Needs AVX.\n#[inline]\nunsafe fn f() {}\n";
        assert_eq!(lines(home, bare), [2]);
        assert_eq!(lines(home, reasoned), [0; 0]);
        assert_eq!(lines(home, documented), [0; 0]);
        assert_eq!(lines("runtime/engine/src/lib.rs", reasoned), [3]);
        assert_eq!(lines("firmware/boards/x/src/main.rs", reasoned), [0; 0]);
        let words_only = "#![deny(unsafe_code)]\n// unsafe\nlet s = \"unsafe\";\n";
        assert_eq!(lines("runtime/engine/src/lib.rs", words_only), [0; 0]);
    }

    #[test]
    fn a_reason_further_up_does_not_count() {
        let text = "// SAFETY: other.\nlet a = 1;\nunsafe { g() }\n";
        assert_eq!(lines("firmware/boards/x/src/main.rs", text), [3]);
    }

    #[test]
    fn float_operations_that_lose_nan_or_fuse() {
        let bad =
            ["f32::max(a, b)", "x.max(0.0)", "x.min(-1.5)", "x.clamp(0f32, y)", "x.mul_add(y, z)"];
        let good = ["n.max(1)", "n.min(len)", "(0..n).max()", "// x.max(0.0)", "a.max(0..1)"];
        for code in bad {
            assert_eq!(lines("runtime/engine/src/a.rs", code), [1], "{code}");
            assert_eq!(lines("host-tools/cli/src/a.rs", code), [0; 0], "{code}");
        }
        for code in good {
            assert_eq!(lines("runtime/engine/src/a.rs", code), [0; 0], "{code}");
        }
    }

    #[test]
    fn tests_may_compute_as_they_like() {
        let text = "fn f() {}\n#[cfg(test)]\nmod tests {\n    x.max(0.0)\n}\n";
        assert_eq!(lines("runtime/engine/src/a.rs", text), [0; 0]);
        assert_eq!(lines("runtime/engine/tests/a.rs", "x.max(0.0)"), [0; 0]);
    }

    #[test]
    fn ignored_tests_have_a_reason() {
        let ignored = concat!("#[test]\n#[ign", "ore]\nfn f() {}\n");
        assert_eq!(lines("a/src/b.rs", ignored), [2]);
        let by_hand = "#[test]\n#[ignore = \"timing, by hand\"]\nfn f() {}\n";
        assert_eq!(lines("a/src/b.rs", by_hand), [0; 0]);
    }
}
