//! JUnit's XML, as CI servers read it: a case a sequence, the device's log attached.

use std::fmt::Write as _;

use gradgate_link::message::Event;

use super::{Outcome, Ran, Report};
use crate::words;

/// The file's text.
pub fn text(report: &Report) -> String {
    let [passed, failed, errors, skipped] = report.counts();
    let tests = passed + failed + errors + skipped;
    let seconds: f64 = report.cases.iter().map(seconds).sum();
    let counts = format!(
        "tests=\"{tests}\" failures=\"{failed}\" errors=\"{errors}\" skipped=\"{skipped}\" \
         time=\"{seconds:.3}\""
    );
    let name = escape(&report.suite);
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let _ = writeln!(out, "<testsuites name=\"gradgate hil\" {counts}>");
    let _ = writeln!(out, "<testsuite name=\"{name}\" {counts}>");
    let properties = properties(report);
    out.push_str(&properties);
    for case in &report.cases {
        push_case(&mut out, &name, &properties, case);
    }
    out.push_str("</testsuite>\n</testsuites>\n");
    out
}

fn properties(report: &Report) -> String {
    let mut out = String::from("<properties>\n");
    for (name, value) in &report.properties {
        let (name, value) = (escape(name), escape(value));
        let _ = writeln!(out, "<property name=\"{name}\" value=\"{value}\"/>");
    }
    out.push_str("</properties>\n");
    out
}

fn push_case(out: &mut String, suite: &str, properties: &str, case: &Ran) {
    let (name, seconds) = (escape(&case.name), seconds(case));
    let _ =
        writeln!(out, "<testcase classname=\"hil.{suite}\" name=\"{name}\" time=\"{seconds:.3}\">");
    out.push_str(properties);
    let message = escape(case.outcome.text());
    let details = escape(&details(case));
    let _ = match case.outcome {
        Outcome::Passed => Ok(()),
        Outcome::Failed(_) => {
            writeln!(out, "<failure message=\"{message}\">{details}</failure>")
        }
        Outcome::Error(_) => writeln!(out, "<error message=\"{message}\">{details}</error>"),
        Outcome::Skipped(_) => writeln!(out, "<skipped message=\"{message}\"/>"),
    };
    let _ = writeln!(out, "<system-out>{}</system-out>\n</testcase>", escape(&attached(case)));
}

fn seconds(case: &Ran) -> f64 {
    case.milliseconds as f64 / 1000.0
}

/// The frames that are told, a line each.
fn details(case: &Ran) -> String {
    let mut out = String::new();
    for one in &case.mismatches {
        let what = one.what.join(", ");
        let _ = writeln!(out, "frame {} ({}): {what}; {}", one.index, one.name, one.tensor);
    }
    out
}

fn attached(case: &Ran) -> String {
    let [pass, block, unknown] = case.verdicts;
    let mut out = format!("PASS {pass}, BLOCK {block}, UNKNOWN {unknown}\n");
    for note in &case.notes {
        let _ = writeln!(out, "{note}");
    }
    out.push_str("log of the device:\n");
    case.log.iter().for_each(|event| out.push_str(&log_line(event)));
    out
}

/// An entry of a device's log, for people.
pub fn log_line(event: &Event) -> String {
    let (seconds, word) = (event.time_us as f64 / 1e6, words::event(event));
    format!("{seconds:>12.6} s  {word} ({})\n", event.value)
}

/// Text as XML 1.0 can hold it: some characters cannot be written at all.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' | '\t' => out.push(c),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hil::Mismatch;

    #[test]
    fn a_report_is_written_as_it_went() {
        let mismatch = Mismatch {
            index: 2,
            name: "a<b>.png".to_owned(),
            what: vec!["class 1 instead of 2".to_owned()],
            tensor: "first tensor that differs: norm of \"w\"".to_owned(),
            picture: Vec::new(),
        };
        let failed = Ran {
            outcome: Outcome::Failed("1 of 3 & more".to_owned()),
            milliseconds: 1500,
            verdicts: [2, 1, 0],
            mismatches: vec![mismatch],
            log: vec![Event { time_us: 1_500_000, code: 14, value: 7 }],
            ..Ran::new("bad\u{1}")
        };
        let skipped = Ran::ended("gone", Outcome::Skipped("no board".to_owned()));
        let error = Ran::ended("odd", Outcome::Error("UNKNOWN".to_owned()));
        let report = Report {
            suite: "signs".to_owned(),
            properties: vec![("commit".to_owned(), "abc".to_owned())],
            cases: vec![Ran::new("good"), failed, skipped, error],
        };
        let text = text(&report);
        for wanted in [
            "tests=\"4\" failures=\"1\" errors=\"1\" skipped=\"1\" time=\"1.500\"",
            "<property name=\"commit\" value=\"abc\"/>",
            "<testcase classname=\"hil.signs\" name=\"bad\u{fffd}\" time=\"1.500\">",
            "<failure message=\"1 of 3 &amp; more\">frame 2 (a&lt;b&gt;.png): class 1 instead of \
             2; first tensor that differs: norm of &quot;w&quot;\n</failure>",
            "    1.500000 s  frame unfit (7)",
            "<skipped message=\"no board\"/>",
            "<error message=\"UNKNOWN\"></error>",
        ] {
            assert!(text.contains(wanted), "{wanted}\n{text}");
        }
        assert_eq!(text.matches("<property name").count(), 5);
    }
}
