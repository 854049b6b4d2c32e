//! Elements of SVG as lines of markup.

use std::fmt::Write as _;

/// Colour of the knee and the budget.
pub(super) const RED: &str = "#d00";

/// A text at a place; `style` holds attributes, the content is escaped.
pub(super) fn text(out: &mut String, (x, y): (f64, f64), style: &str, content: &str) {
    let content = escape(content);
    let _ = writeln!(out, r#"<text x="{x:.1}" y="{y:.1}" {style}>{content}</text>"#);
}

/// A path.
pub(super) fn path(out: &mut String, data: &str, style: &str) {
    let _ = writeln!(out, r#"<path d="{data}" {style}/>"#);
}

/// A ring around the knee.
pub(super) fn ring(out: &mut String, (x, y): (f64, f64), r: f64) {
    let style = format!(r#"fill="none" stroke="{RED}" stroke-width="2""#);
    let _ = writeln!(out, r#"<circle cx="{x:.1}" cy="{y:.1}" r="{r:.1}" {style}/>"#);
}

/// Text inside markup; control characters are dropped, since XML cannot hold them.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' => out.push_str("&#10;"),
            c if c.is_control() => {}
            c => out.push(c),
        }
    }
    out
}
