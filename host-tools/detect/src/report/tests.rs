//! Whole pages: read back by an XML reader, nothing loaded from elsewhere, text stays text.

use super::*;
use crate::metrics::Curve;
use crate::random::Random;

const ODD: &str = "<b>&\"odd'\u{0}\u{ffff} größer</b>]]>";

fn page() -> String {
    let mut random = Random::new(1, "page");
    let mut draw =
        |n: usize, shift: f64| -> Vec<f64> { (0..n).map(|_| shift + random.normal()).collect() };
    let (normal, far, near) = (draw(400, 0.0), draw(300, 2.0), draw(200, 0.5));
    let (far, near) = (Curve::new(&normal, &far).unwrap(), Curve::new(&normal, &near).unwrap());
    let names: Vec<String> = (0..12).map(|layer| format!("layer{layer}.conv")).collect();
    let mut norms = |scale: f64| -> Vec<f64> {
        (0..50 * 12).map(|at| scale * (random.normal() + 0.5 * f64::from(at % 12)).exp()).collect()
    };
    let series = [
        Series { name: "clean", quartiles: quartiles(&norms(1.0), 12) },
        Series { name: ODD, quartiles: quartiles(&norms(9.0), 12) },
    ];
    let mut table = Table::new(&[(Column::Text, "set"), (Column::Number, "AUROC %")]);
    table.row(&[ODD, "97.10 [96.02, 98.11]"]);
    table.marked_row(&["near", "64.00 [60.90, 67.20]"]);
    let png = b"\x89PNG\r\n\x1a\n";
    let images = [Thumbnail { png, caption: ODD }, Thumbnail { png, caption: "score 1.5" }];
    let mut page = Page::new(ODD);
    page.heading(1, ODD).paragraph(ODD).table(&table.caption(ODD));
    page.picture(&roc(&[("far", &far), (ODD, &near)]), "ROC");
    page.picture(&histogram(&far, Some(1.5)), ODD);
    page.picture(&Layers { names: &names, label: ODD, series: &series }.picture(), "");
    page.sheet(&images).unwrap();
    page.html()
}

#[test]
fn a_page_is_well_formed_and_text_stays_text() {
    let page = page();
    let options = roxmltree::ParsingOptions { allow_dtd: true, ..Default::default() };
    let document = roxmltree::Document::parse_with_options(&page, options).unwrap();
    let shown = "<b>&\"odd' größer</b>]]>";
    let count =
        |name: &str| document.descendants().filter(|node| node.tag_name().name() == name).count();
    let cases = [("table", 1), ("svg", 3), ("img", 2), ("tr", 3), ("h1", 1), ("b", 0)];
    for (name, wanted) in cases {
        assert_eq!(count(name), wanted, "{name}");
    }
    // Title, heading, paragraph, caption, cell, ROC legend, figure's caption, axis, layers' legend,
    // thumbnail's caption; the alternative text is an attribute.
    let texts = document.descendants().filter(|node| node.is_text());
    let odd = texts.filter(|node| node.text().is_some_and(|text| text.contains(shown))).count();
    assert_eq!(odd, 10);
    let image = document.descendants().find(|node| node.has_tag_name("img")).unwrap();
    assert_eq!(image.attribute("alt"), Some(shown));
}

#[test]
fn a_page_loads_nothing() {
    let page = page();
    let document = page.replace("http://www.w3.org/2000/svg", "");
    for needle in ["http", "//", "<script", "@import", "url(", "onload", "NaN", "inf\""] {
        let data_uris = document.replace("base64,iVBORw0KGgo=", "");
        assert!(!data_uris.contains(needle), "{needle}");
    }
}

#[test]
fn an_image_that_is_none_leaves_the_page_as_it_was() {
    let mut page = Page::new("x");
    let before = page.html();
    assert!(page.sheet(&[Thumbnail { png: b"GIF89a", caption: "gif" }]).is_err());
    assert_eq!(page.html(), before);
}
