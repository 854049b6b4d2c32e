//! What pictures are drawn with: axes, elements of SVG, the frame of a panel, colours.

mod axis;
mod element;
mod panel;

pub(crate) use axis::Axis;
pub(crate) use element::{escape, line, path, ring, text};
pub(crate) use panel::{Labels, Place, legend, panel};

/// Okabe and Ito's palette, which the colour-blind can tell apart.
pub(crate) const BLACK: &str = "#000000";
pub(crate) const BLUE: &str = "#0072B2";
pub(crate) const SKY: &str = "#56B4E9";
pub(crate) const ORANGE: &str = "#E69F00";
pub(crate) const GREEN: &str = "#009E73";
pub(crate) const PURPLE: &str = "#CC79A7";
pub(crate) const VERMILION: &str = "#D55E00";
/// For a limit or a choice.
pub(crate) const RED: &str = "#d00";

/// Styles of one series after the other: colour, and dashes that tell it in grey.
pub(crate) fn series(index: usize) -> (&'static str, &'static str) {
    const COLOURS: [&str; 7] = [BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, BLACK];
    const DASHES: [&str; 5] = ["none", "7 3", "2 3", "9 3 2 3", "4 2"];
    (COLOURS[index % COLOURS.len()], DASHES[index % DASHES.len()])
}

/// A finished picture: one SVG element without script, font or address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture(String);

impl Picture {
    /// Draws on a white ground of this size.
    pub(crate) fn draw(width: f64, height: f64, draw: impl FnOnce(&mut String)) -> Picture {
        let mut out = element::open(width, height);
        draw(&mut out);
        out.push_str("</svg>\n");
        Picture(out)
    }

    /// Its markup; a file of its own, or a part of a page.
    pub fn svg(&self) -> &str {
        &self.0
    }
}
