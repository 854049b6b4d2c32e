//! Contact sheets: images lie inside the page.

use crate::DetectError;
use crate::draw::escape;

/// What every PNG file begins with.
const SIGNATURE: [u8; 8] = *b"\x89PNG\r\n\x1a\n";

/// An image with its caption.
#[derive(Clone, Copy, Debug)]
pub struct Thumbnail<'a> {
    /// A PNG file.
    pub png: &'a [u8],
    /// Below it: score, class, source.
    pub caption: &'a str,
}

impl Thumbnail<'_> {
    pub(super) fn markup(&self, index: usize) -> Result<String, DetectError> {
        let Thumbnail { png, caption } = self;
        if !png.starts_with(&SIGNATURE) {
            return Err(DetectError::Data(format!(
                "image {index} of a contact sheet (\"{caption}\") is no PNG; encode it as PNG"
            )));
        }
        let (data, caption) = (base64(png), escape(caption));
        Ok(format!(
            "<figure><img alt=\"{caption}\" src=\"data:image/png;base64,{data}\"/>\
             <figcaption>{caption}</figcaption></figure>\n"
        ))
    }
}

/// RFC 4648, with padding.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let at = |index: usize| u32::from(group.get(index).copied().unwrap_or(0));
        let bits = at(0) << 16 | at(1) << 8 | at(2);
        for digit in 0..4 {
            let value = (bits >> (18 - 6 * digit)) as usize & 63;
            out.push(if digit <= group.len() { DIGITS[value] as char } else { '=' });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_matches_the_standards_examples() {
        let cases = [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ];
        for (given, wanted) in cases {
            assert_eq!(base64(given.as_bytes()), wanted);
        }
        assert_eq!(base64(&[0xff, 0xef, 0xbe]), "/+++");
    }

    #[test]
    fn only_png_is_shown() {
        let good = Thumbnail { png: b"\x89PNG\r\n\x1a\n..", caption: "a \"b\"" };
        let wanted = "<figure><img alt=\"a &quot;b&quot;\" \
                      src=\"data:image/png;base64,iVBORw0KGgouLg==\"/>\
                      <figcaption>a &quot;b&quot;</figcaption></figure>\n";
        assert_eq!(good.markup(0).unwrap(), wanted);
        let bad = Thumbnail { png: b"\xff\xd8\xff", caption: "jpeg" };
        let error = bad.markup(3).unwrap_err().to_string();
        assert!(error.contains("image 3") && error.contains("no PNG"), "{error}");
    }
}
