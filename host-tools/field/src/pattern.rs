//! Names with `*` for anything and `?` for one character.

/// Whether `text` is what the pattern says, letter case aside.
pub fn matches(pattern: &str, text: &str) -> bool {
    let lower = |text: &str| -> Vec<char> { text.to_lowercase().chars().collect() };
    let (pattern, text) = (lower(pattern), lower(text));
    // Where the last star stands, and how much of the text it has taken.
    let (mut star, mut taken) = (None, 0);
    let (mut at, mut place) = (0, 0);
    while place < text.len() {
        match pattern.get(at) {
            Some('*') => {
                (star, taken) = (Some(at), place);
                at += 1;
            }
            Some(&wanted) if wanted == '?' || wanted == text[place] => {
                at += 1;
                place += 1;
            }
            _ => match star {
                Some(star) => {
                    taken += 1;
                    (at, place) = (star + 1, taken);
                }
                None => return false,
            },
        }
    }
    pattern[at..].iter().all(|&rest| rest == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_in_a_shell() {
        let table = [
            ("dock-*", "dock-7", true),
            ("dock-*", "Dock-", true),
            ("dock-?", "dock-", false),
            ("*7*", "dock-17b", true),
            ("*ab*ab", "abxabab", true),
            ("*ab*abc", "abxabab", false),
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
            ("a**b", "ab", true),
        ];
        for (pattern, text, expected) in table {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
    }
}
