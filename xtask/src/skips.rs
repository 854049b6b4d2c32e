//! What was left out: tests say `SKIPPED: reason` on standard error; the list is shown at the end.
//!
//! The test runner keeps a passing test's output, so stages ask it to print that output, and the
//! lines are collected from the log. No test can be skipped in silence by printing something else:
//! `#[ignore]` is counted by the runner itself and refused by tidy.

/// The mark that opens a line.
pub const MARK: &str = "SKIPPED: ";

/// The reasons in a log, each once, in order, with how often it was given.
pub fn collect(log: &str) -> Vec<(String, usize)> {
    let mut reasons: Vec<(String, usize)> = Vec::new();
    for line in log.lines() {
        let Some(reason) = reason(line) else { continue };
        match reasons.iter_mut().find(|(known, _)| known == reason) {
            Some((_, count)) => *count += 1,
            None => reasons.push((reason.to_owned(), 1)),
        }
    }
    reasons
}

fn reason(line: &str) -> Option<&str> {
    // Runners indent a test's output; anything else before the mark is prose about it.
    line.trim_start().strip_prefix(MARK).map(str::trim_end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_counted_and_prose_is_not() {
        let log = "    SKIPPED: no models\nran\nSKIPPED: no data \n\
                   the line SKIPPED: x\nSKIPPED: no models";
        let expected = [("no models".to_owned(), 2), ("no data".to_owned(), 1)];
        assert_eq!(collect(log), expected);
    }
}
