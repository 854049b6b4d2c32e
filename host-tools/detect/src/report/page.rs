//! The page: blocks in order, well-formed as XML too, so that other tools can read it back.

use std::fmt::Write as _;

use super::{Picture, Table, Thumbnail};
use crate::DetectError;
use crate::draw::escape;

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;color:#222;max-width:1180px;\
margin:24px auto;padding:0 16px}svg{max-width:100%;height:auto}figure{display:inline-block;\
margin:8px 16px 8px 0;vertical-align:top}figcaption{font-size:13px;color:#555;max-width:560px}\
table{border-collapse:collapse;font-size:13px;font-variant-numeric:tabular-nums;margin:8px 0}\
th,td{padding:3px 10px;text-align:right;border-bottom:1px solid #e6e6e6}\
td{white-space:nowrap}.text,td.code{text-align:left;white-space:normal}\
caption{text-align:left;color:#555}\
td.code{font-family:monospace;font-size:12px;word-break:break-all}\
tr.front{background:#f4f8fb}tr.marked{background:#fdeaea;font-weight:600}\
div.sheet figure{margin:0 8px 8px 0;width:112px}div.sheet img{width:112px;\
image-rendering:pixelated}div.sheet figcaption{font-size:11px;line-height:1.3;\
overflow-wrap:anywhere}div.pictures img{width:256px;image-rendering:pixelated}\
div.pictures figcaption{max-width:256px}";

/// A page under construction.
#[derive(Clone, Debug)]
pub struct Page {
    title: String,
    body: String,
}

impl Page {
    /// An empty page; the title names its tab.
    pub fn new(title: &str) -> Page {
        Page { title: escape(title), body: String::new() }
    }

    /// A heading; 1 is the page's own, 2 and 3 divide it.
    pub fn heading(&mut self, level: u8, text: &str) -> &mut Page {
        let level = level.clamp(1, 3);
        self.line(&format!("<h{level}>{}</h{level}>", escape(text)))
    }

    /// A paragraph.
    pub fn paragraph(&mut self, text: &str) -> &mut Page {
        self.line(&format!("<p>{}</p>", escape(text)))
    }

    /// A table.
    pub fn table(&mut self, table: &Table) -> &mut Page {
        self.line(&table.markup())
    }

    /// A picture with what it shows; pictures stand side by side where there is room.
    pub fn picture(&mut self, picture: &Picture, caption: &str) -> &mut Page {
        let caption = match caption {
            "" => String::new(),
            text => format!("<figcaption>{}</figcaption>", escape(text)),
        };
        self.line(&format!("<figure>\n{}{caption}</figure>", picture.svg()))
    }

    /// Images with captions, in rows.
    ///
    /// # Errors
    /// An image that is no PNG; nothing is added then.
    pub fn sheet(&mut self, images: &[Thumbnail<'_>]) -> Result<&mut Page, DetectError> {
        self.images("sheet", images)
    }

    /// A few images side by side, large enough to be looked at.
    ///
    /// # Errors
    /// An image that is no PNG; nothing is added then.
    pub fn pictures(&mut self, images: &[Thumbnail<'_>]) -> Result<&mut Page, DetectError> {
        self.images("pictures", images)
    }

    fn images(&mut self, class: &str, images: &[Thumbnail<'_>]) -> Result<&mut Page, DetectError> {
        let images: Vec<String> = images
            .iter()
            .enumerate()
            .map(|(index, image)| image.markup(index))
            .collect::<Result<_, _>>()?;
        Ok(self.line(&format!("<div class=\"{class}\">\n{}</div>", images.concat())))
    }

    fn line(&mut self, markup: &str) -> &mut Page {
        let _ = writeln!(self.body, "{markup}");
        self
    }

    /// The page's text.
    pub fn html(&self) -> String {
        let Page { title, body } = self;
        format!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\"/>\n\
             <title>{title}</title>\n<style>{STYLE}</style></head>\n\
             <body>\n{body}</body>\n</html>\n"
        )
    }
}
