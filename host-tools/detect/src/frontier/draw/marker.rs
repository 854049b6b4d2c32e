//! Markers: a shape and a colour for each family, told apart also in grey and by the colour-blind
//! (Okabe and Ito's palette).

use super::super::Family;
use crate::draw;

/// Colour of a family.
pub(super) fn colour(family: Family) -> &'static str {
    match family {
        Family::Forward => draw::BLACK,
        Family::All => draw::BLUE,
        Family::WithoutScales => draw::SKY,
        Family::Weights => draw::ORANGE,
        Family::Normalisation => draw::GREEN,
        Family::Shifts => draw::PURPLE,
        Family::Greedy => draw::VERMILION,
    }
}

/// A marker around a place.
pub(super) fn marker(family: Family, x: f64, y: f64, r: f64) -> String {
    let fill = colour(family);
    let polygon = |corners: &[(f64, f64)]| {
        let points: Vec<String> =
            corners.iter().map(|(dx, dy)| format!("{:.1},{:.1}", x + dx * r, y + dy * r)).collect();
        format!(r#"<polygon points="{}" fill="{fill}"/>"#, points.join(" "))
    };
    match family {
        Family::Forward => polygon(&[(-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)]),
        Family::All => format!(r#"<circle cx="{x:.1}" cy="{y:.1}" r="{r:.1}" fill="{fill}"/>"#),
        Family::WithoutScales => {
            let style = format!(r#"fill="white" stroke="{fill}" stroke-width="2""#);
            format!(r#"<circle cx="{x:.1}" cy="{y:.1}" r="{:.1}" {style}/>"#, r - 1.0)
        }
        Family::Weights => polygon(&[(0.0, -1.15), (1.05, 0.8), (-1.05, 0.8)]),
        Family::Normalisation => polygon(&[(0.0, -1.2), (1.2, 0.0), (0.0, 1.2), (-1.2, 0.0)]),
        Family::Shifts => polygon(&[(0.0, 1.15), (1.05, -0.8), (-1.05, -0.8)]),
        Family::Greedy => polygon(&[
            (-0.35, -1.1),
            (0.35, -1.1),
            (0.35, -0.35),
            (1.1, -0.35),
            (1.1, 0.35),
            (0.35, 0.35),
            (0.35, 1.1),
            (-0.35, 1.1),
            (-0.35, 0.35),
            (-1.1, 0.35),
            (-1.1, -0.35),
            (-0.35, -0.35),
        ]),
    }
}
