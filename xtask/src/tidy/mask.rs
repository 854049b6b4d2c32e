//! Blanks the inside of comments, strings and characters, so that rules see only code.
//!
//! Keeps every line break, so line numbers hold. Knows nested block comments, raw strings, byte
//! strings and the difference between a lifetime and a character.

/// `text` with the same lines, comments and literals replaced by spaces.
pub fn mask(text: &str) -> String {
    let mut masker = Masker { rest: text, out: String::with_capacity(text.len()), word: false };
    while let Some(first) = masker.rest.chars().next() {
        match masker.literal_length() {
            Some(length) => masker.blank(length),
            None => masker.copy(first),
        }
    }
    masker.out
}

struct Masker<'a> {
    rest: &'a str,
    out: String,
    /// Whether the last character belongs to a word: the `r` of `for"` opens no raw string.
    word: bool,
}

impl Masker<'_> {
    /// Bytes of the comment or literal that opens here.
    fn literal_length(&self) -> Option<usize> {
        let rest = self.rest;
        if rest.starts_with("//") {
            return Some(rest.find('\n').unwrap_or(rest.len()));
        }
        if rest.starts_with("/*") {
            return Some(block_comment(rest));
        }
        if rest.starts_with('"') {
            return Some(string(rest, 0));
        }
        if rest.starts_with('\'') {
            return character(rest);
        }
        if self.word {
            return None;
        }
        let prefix = ["br", "cr", "r", "b", "c"].into_iter().find(|prefix| {
            let after = rest.strip_prefix(prefix).unwrap_or_default();
            let raw = prefix.ends_with('r');
            after.starts_with('"') || raw && after.trim_start_matches('#').starts_with('"')
        })?;
        match prefix.ends_with('r') {
            true => raw_string(rest, prefix.len()),
            false => Some(string(rest, prefix.len())),
        }
    }

    fn blank(&mut self, length: usize) {
        let (literal, rest) = self.rest.split_at(length);
        self.out.extend(literal.chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
        self.rest = rest;
        self.word = false;
    }

    fn copy(&mut self, first: char) {
        self.out.push(first);
        self.rest = &self.rest[first.len_utf8()..];
        self.word = first.is_alphanumeric() || first == '_';
    }
}

fn block_comment(rest: &str) -> usize {
    let bytes = rest.as_bytes();
    let (mut depth, mut at) = (0usize, 0);
    while at + 1 < bytes.len() {
        let step = match &bytes[at..at + 2] {
            b"/*" => {
                depth += 1;
                2
            }
            b"*/" => {
                depth -= 1;
                2
            }
            _ => 1,
        };
        at += step;
        if depth == 0 {
            return at;
        }
    }
    rest.len()
}

fn string(rest: &str, prefix: usize) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(prefix + 1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

fn raw_string(rest: &str, prefix: usize) -> Option<usize> {
    let after = &rest[prefix..];
    let hashes = after.len() - after.trim_start_matches('#').len();
    let closing = format!("\"{}", "#".repeat(hashes));
    let body = prefix + hashes + 1;
    let end = rest.get(body..)?.find(&closing);
    Some(end.map_or(rest.len(), |end| body + end + closing.len()))
}

/// A character literal; `None` for a lifetime or a label.
fn character(rest: &str) -> Option<usize> {
    let mut chars = rest.char_indices().skip(1);
    let (_, first) = chars.next()?;
    if first == '\\' {
        chars.next()?;
        return chars.find(|(_, c)| *c == '\'').map(|(at, _)| at + 1);
    }
    let (at, second) = chars.next()?;
    (second == '\'').then_some(at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_code_is_left() {
        let cases = [
            ("a // b\nc", "a c"),
            ("a /* b /* c */ d */ e", "a e"),
            ("x(\"{ \\\" }\") y", "x( ) y"),
            ("r#\"a\"b\"# z", "z"),
            ("b\"q\" br\"q\" c\"q\" cr#\"q\"#", ""),
            ("'{' '\\'' '\\u{7d}' '\\n' z", "z"),
            ("fn f<'a>(x: &'a str)", "fn f<'a>(x: &'a str)"),
            ("'outer: loop {}", "'outer: loop {}"),
            ("r#type + bar", "r#type + bar"),
            ("\"a\nb\" c", "c"),
            ("'é' x", "x"),
        ];
        for (text, expected) in cases {
            let masked = mask(text);
            let code: Vec<&str> = masked.split_whitespace().collect();
            assert_eq!(code.join(" "), expected, "{text}");
            assert_eq!(masked.chars().count(), text.chars().count(), "{text}");
            assert_eq!(masked.lines().count(), text.lines().count(), "{text}");
        }
    }

    #[test]
    fn open_ends_do_not_panic() {
        for text in ["\"a", "/* a", "'", "'\\", "r#\"a", "br", "/", "b\"\\"] {
            assert_eq!(mask(text).lines().count(), text.lines().count(), "{text}");
        }
    }
}
