//! Expectations in a file: a line a frame, so that a change reads well.
//!
//! A line has, between tabs, the frame's number, the first 16 digits of the SHA-256 of the bytes
//! that are sent, the verdict, class, bits of the score, the score in decimals, and the name. A
//! frame that the network must not see has the fault in the place of class and score.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use gradgate_bundle::digest::sha256;
use gradgate_link::message::Verdict;

use super::compare::number;
use super::{Expected, Given, Unfit};
use crate::device::{hex, plain};
use crate::error::Error;
use crate::words;

const HEAD: &str = "# gradgate hil expectation 1: what the host engine gives; written by --bless";
const BUNDLE: &str = "# bundle ";
const SEQUENCE: &str = "# sequence ";
/// Digits of a digest.
const DIGITS: usize = 16;

/// What is kept of a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    digest: String,
    verdict: String,
    class: String,
    bits: String,
    score: String,
    name: String,
}

/// What is kept of a suite.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    /// SHA-256 of the bundle behind its signature, so that it names the same however it is signed.
    pub bundle: String,
    /// Rows by sequence.
    pub sequences: BTreeMap<String, Vec<Row>>,
}

/// Names what a bundle does, whoever signed it: SHA-256 of what follows manifest and signature.
pub fn content(bundle: &[u8]) -> String {
    hex(&sha256(bundle.get(gradgate_bundle::manifest::PREFIX_BYTES..).unwrap_or_default()))
}

impl Row {
    /// What is kept of this frame.
    pub fn of(given: &Given) -> Row {
        let Expected { class, verdict, score, unfit } = given.expected;
        let dash = || "-".to_owned();
        let (class, bits, score) = match unfit {
            Some(unfit) => (unfit.to_string(), dash(), dash()),
            None => (class.to_string(), format!("{:08x}", score.to_bits()), score.to_string()),
        };
        Row {
            digest: hex(&sha256(&given.bytes))[..DIGITS].to_owned(),
            verdict: words::verdict(verdict).to_owned(),
            class,
            bits,
            score,
            name: plain(&given.name),
        }
    }

    fn text(&self, index: usize) -> String {
        let Row { digest, verdict, class, bits, score, name } = self;
        format!("{index}\t{digest}\t{verdict}\t{class}\t{bits}\t{score}\t{name}")
    }

    fn parse(line: &str, index: usize) -> Option<Row> {
        let cells: Vec<&str> = line.splitn(7, '\t').collect();
        let [number, digest, verdict, class, bits, score, name] = cells[..] else { return None };
        let is_hex = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let known = [Verdict::Pass, Verdict::Block, Verdict::Unknown].map(words::verdict);
        let judged = class.parse::<u16>().is_ok() && bits.len() == 8 && is_hex(bits);
        let unfit = Unfit::from_name(class).is_some() && bits == "-";
        let good = number.parse() == Ok(index)
            && digest.len() == DIGITS
            && is_hex(digest)
            && known.contains(&verdict)
            && (judged || unfit);
        let own = |text: &str| text.to_owned();
        good.then(|| Row {
            digest: own(digest),
            verdict: own(verdict),
            class: own(class),
            bits: own(bits),
            score: own(score),
            name: own(name),
        })
    }

    /// What of a frame is no longer as it was kept; names may change.
    pub fn difference(&self, given: &Given) -> Option<String> {
        let now = Row::of(given);
        let number = |row: &Row| match u32::from_str_radix(&row.bits, 16) {
            Ok(bits) => number(f32::from_bits(bits)),
            Err(_) => row.bits.clone(),
        };
        let pairs = [
            ("the frame's bytes (SHA-256)", now.digest.clone(), self.digest.clone()),
            ("verdict", now.verdict.clone(), self.verdict.clone()),
            ("class", now.class.clone(), self.class.clone()),
            ("score", number(&now), number(self)),
        ];
        let differ = pairs.into_iter().find(|(_, now, kept)| now != kept);
        differ.map(|(what, now, kept)| format!("{what} {now}, stored {kept}"))
    }
}

impl Table {
    /// Reads a file's text.
    ///
    /// # Errors
    /// [`Error::File`]: the first line that is wrong, to be read behind the file's name.
    pub fn parse(text: &str) -> Result<Table, Error> {
        let mut lines = text.lines();
        let wrong = |line: usize, what: &str| Error::File {
            message: format!("line {line}: {what}: write the file anew with --bless"),
        };
        if lines.next() != Some(HEAD) {
            return Err(wrong(1, "no expectation of this version"));
        }
        let (mut table, mut current) = (Table::default(), None::<&mut Vec<Row>>);
        for (at, line) in (2..).zip(lines) {
            if let Some(bundle) = line.strip_prefix(BUNDLE) {
                table.bundle = bundle.to_owned();
            } else if let Some(name) = line.strip_prefix(SEQUENCE) {
                if table.sequences.contains_key(name) {
                    return Err(wrong(at, "this sequence is there twice"));
                }
                current = Some(table.sequences.entry(name.to_owned()).or_default());
            } else {
                let rows = current.as_mut().ok_or_else(|| wrong(at, "a row before a sequence"))?;
                let row = Row::parse(line, rows.len());
                rows.push(row.ok_or_else(|| wrong(at, "no row that can be read"))?);
            }
        }
        Ok(table)
    }

    /// The file's text.
    pub fn text(&self) -> String {
        let mut text = format!("{HEAD}\n{BUNDLE}{}\n", self.bundle);
        for (name, rows) in &self.sequences {
            let _ = writeln!(text, "{SEQUENCE}{name}");
            for (index, row) in rows.iter().enumerate() {
                let _ = writeln!(text, "{}", row.text(index));
            }
        }
        text
    }

    /// What this table changes of `old`: lines that go and that come, at most so many.
    pub fn changes(&self, old: &Table, lines_max: usize) -> Vec<String> {
        let (mut lines, mut changed) = (Vec::new(), 0_usize);
        let mut tell = |line: String| {
            changed += 1;
            if changed <= lines_max {
                lines.push(line);
            }
        };
        if self.bundle != old.bundle {
            let text = |bundle: &str| if bundle.is_empty() { "none" } else { bundle }.to_owned();
            tell(format!("-bundle {}", text(&old.bundle)));
            tell(format!("+bundle {}", text(&self.bundle)));
        }
        let names = old.sequences.keys().chain(self.sequences.keys());
        let names: std::collections::BTreeSet<&String> = names.collect();
        for name in names {
            let rows = |table: &Table| table.sequences.get(name).cloned().unwrap_or_default();
            let (before, after) = (rows(old), rows(self));
            for index in 0..before.len().max(after.len()) {
                let (before, after) = (before.get(index), after.get(index));
                if before == after {
                    continue;
                }
                let line = |sign: char, row: &Row| format!("{sign}{name}: {}", row.text(index));
                before.into_iter().for_each(|row| tell(line('-', row)));
                after.into_iter().for_each(|row| tell(line('+', row)));
            }
        }
        if changed > lines_max {
            lines.push(format!("... {} lines more", changed - lines_max));
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hil::Sent;

    fn given(byte: u8, score: f32) -> Given {
        Given {
            name: format!("f{byte}"),
            bytes: vec![byte; 4],
            sent: Sent::Model,
            expected: Expected { class: 3, verdict: Verdict::Block, score, unfit: None },
            values: Vec::new(),
            picture: Vec::new(),
        }
    }

    fn table(rows: &[Row]) -> Table {
        let sequences = BTreeMap::from([("signs".to_owned(), rows.to_vec())]);
        Table { bundle: content(&[7; 400]), sequences }
    }

    #[test]
    fn a_table_is_read_as_it_was_written() {
        let late = Given { expected: Expected::unfit(Unfit::Late), ..given(2, 0.0) };
        let table = table(&[Row::of(&given(1, 1.5)), Row::of(&late)]);
        let text = table.text();
        // SHA-256 of four bytes 01, by coreutils.
        assert!(text.contains("0\t27ecd0a598e76f8a\tBLOCK\t3\t3fc00000\t1.5\tf1\n"), "{text}");
        assert!(text.contains("\tUNKNOWN\tLATE\t-\t-\tf2\n"), "{text}");
        assert_eq!(Table::parse(&text), Ok(table));
    }

    #[test]
    fn damage_is_told_with_its_line() {
        let good = table(&[Row::of(&given(1, 1.5))]).text();
        let rows = [
            ("", "line 1: no expectation"),
            (&good.replace("BLOCK", "STOP"), "line 4: no row"),
            (&good.replace("0\t", "1\t"), "line 4: no row"),
            (&good.replace("3fc00000", "3fc0000"), "line 4: no row"),
            (&good.replace("# sequence signs\n", ""), "line 3: a row before"),
            (&format!("{good}# sequence signs\n"), "line 5: this sequence is there twice"),
        ];
        for (text, wanted) in rows {
            let found = Table::parse(text).expect_err(wanted).to_string();
            assert!(found.contains(wanted), "{found}");
        }
    }

    #[test]
    fn changes_are_told_line_by_line() {
        let [one, two, three] = [given(1, 1.5), given(1, 2.5), given(3, 1.5)];
        let row = Row::of(&one);
        assert_eq!(row.difference(&one), None);
        assert_eq!(
            row.difference(&two).expect("another score"),
            "score 2.5 [40200000], stored 1.5 [3fc00000]"
        );
        assert!(row.difference(&three).expect("other bytes").contains("SHA-256"));
        let (old, new) = (table(&[Row::of(&one)]), table(&[Row::of(&two), Row::of(&three)]));
        let changes = new.changes(&old, 10);
        let signs: String = changes.iter().filter_map(|line| line.chars().next()).collect();
        assert_eq!(signs, "-++", "{changes:?}");
        assert_eq!(new.changes(&old, 1).last().map(String::as_str), Some("... 2 lines more"));
        assert!(new.changes(&new, 10).is_empty());
    }
}
