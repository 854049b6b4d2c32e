//! Elements of SVG as lines of markup.

use std::fmt::Write as _;

use super::RED;

/// The opening tag and a white ground.
pub(super) fn open(width: f64, height: f64) -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" \
         width=\"{width}\" height=\"{height}\" font-size=\"13\" fill=\"#222\" \
         font-family=\"system-ui, 'DejaVu Sans', sans-serif\">\n\
         <rect width=\"{width}\" height=\"{height}\" fill=\"white\"/>\n"
    )
}

/// A text at a place; `style` holds attributes, the content is escaped.
pub(crate) fn text(out: &mut String, (x, y): (f64, f64), style: &str, content: &str) {
    let content = escape(content);
    let _ = writeln!(out, r#"<text x="{x:.1}" y="{y:.1}" {style}>{content}</text>"#);
}

/// A path.
pub(crate) fn path(out: &mut String, data: &str, style: &str) {
    let _ = writeln!(out, r#"<path d="{data}" {style}/>"#);
}

/// A line through points; nothing where there are none.
pub(crate) fn line(out: &mut String, points: &[(f64, f64)], style: &str) {
    if points.is_empty() {
        return;
    }
    let points: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1} {y:.1}")).collect();
    path(out, &format!("M{}", points.join("L")), style);
}

/// A ring around what was chosen.
pub(crate) fn ring(out: &mut String, (x, y): (f64, f64), r: f64) {
    let style = format!(r#"fill="none" stroke="{RED}" stroke-width="2""#);
    let _ = writeln!(out, r#"<circle cx="{x:.1}" cy="{y:.1}" r="{r:.1}" {style}/>"#);
}

/// Text inside markup, between tags or quotes; characters that XML cannot hold are dropped.
pub(crate) fn escape(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\n' => out.push_str("&#10;"),
            '\u{fffe}' | '\u{ffff}' => {}
            c if c.is_control() => {}
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_in_text_stays_text() {
        let cases = [
            ("a < b & c > \"d\"", "a &lt; b &amp; c &gt; &quot;d&quot;"),
            ("it's\n\tso\0\u{1b}[31m", "it&#39;s&#10;so[31m"),
            ("</text><script>", "&lt;/text&gt;&lt;script&gt;"),
            ("größer \u{fffe}≥ 1", "größer ≥ 1"),
        ];
        for (given, wanted) in cases {
            assert_eq!(escape(given), wanted);
        }
    }
}
