//! The picture with its table as one HTML page: no script, no font, no address.

use super::super::{FrontierReport, Point};
use super::picture;
use crate::report::{Column, Page, Table};

const COLUMNS: [(Column, &str); 11] = [
    (Column::Text, "taps"),
    (Column::Text, "kind"),
    (Column::Number, "M multiply-adds"),
    (Column::Number, "x forward"),
    (Column::Number, "arena KiB"),
    (Column::Number, "bundle KiB"),
    (Column::Number, "ms, estimated"),
    (Column::Number, "AUROC %, choosing"),
    (Column::Number, "AUROC %, reported"),
    (Column::Number, "gain over forward only"),
    (Column::Code, "--taps"),
];

/// The page.
pub fn html(report: &FrontierReport) -> String {
    let mut page = Page::new(&format!("{} frontier", report.model));
    page.picture(&picture(report), "");
    page.paragraph(&format!(
        "Knee: {}. It takes --taps '{}'. Shaded subsets are on the Pareto front of multiply-adds \
         and AUROC. A gain whose interval holds 0 is not shown to be one.",
        report.rule,
        report.knee().taps,
    ));
    let mut table = Table::new(&COLUMNS);
    for (at, point) in report.points.iter().enumerate() {
        row(&mut table, point, at == report.knee);
    }
    page.table(&table);
    page.html()
}

fn row(table: &mut Table, point: &Point, knee: bool) {
    let class = match (knee, point.front) {
        (true, _) => "marked",
        (false, true) => "front",
        (false, false) => "",
    };
    let cost = &point.cost;
    let [reported, gain] = [point.reported, point.gain]
        .map(|interval| [interval.value, interval.low, interval.high].map(|value| 100.0 * value));
    let cells = [
        point.name.clone(),
        point.family.to_string(),
        format!("{:.2}", cost.macs() as f64 / 1e6),
        format!("{:.2}", cost.macs() as f64 / cost.forward.max(1) as f64),
        format!("{:.1}", cost.arena_bytes as f64 / 1024.0),
        format!("{:.1}", cost.bundle_bytes as f64 / 1024.0),
        format!("{:.3}", cost.milliseconds),
        format!("{:.2}", 100.0 * point.choosing.value),
        format!("{:.2} [{:.2}, {:.2}]", reported[0], reported[1], reported[2]),
        format!("{:+.2} [{:+.2}, {:+.2}]", gain[0], gain[1], gain[2]),
        point.taps.clone(),
    ];
    table.classed_row(class, &cells);
}
