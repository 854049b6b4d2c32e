//! The picture with its table as one HTML page: no script, no font, no address.

use std::fmt::Write as _;

use super::super::{FrontierReport, Point};
use super::{escape, svg};

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;color:#222;max-width:1180px;\
margin:24px auto;padding:0 16px}svg{width:100%;height:auto}table{border-collapse:collapse;\
font-size:13px;font-variant-numeric:tabular-nums}th,td{padding:3px 10px;text-align:right;\
border-bottom:1px solid #e6e6e6}th:first-child,td:first-child,td.taps{text-align:left}\
td.taps{font-family:monospace;font-size:12px;word-break:break-all}tr.front{background:#f4f8fb}\
tr.knee{background:#fdeaea;font-weight:600}";

/// The page.
pub fn html(report: &FrontierReport) -> String {
    let mut out = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\">\n<title>{} frontier\
         </title>\n<style>{STYLE}</style></head>\n<body>\n",
        escape(&report.model)
    );
    out.push_str(&svg(report));
    let _ = writeln!(
        out,
        "<p>Knee: {}. It takes <code>--taps '{}'</code>. Shaded subsets are on the Pareto front \
         of multiply-adds and AUROC. A gain whose interval holds 0 is not shown to be one.</p>",
        escape(&report.rule),
        escape(&report.knee().taps),
    );
    out.push_str(
        "<table>\n<tr><th>taps<th>kind<th>M multiply-adds<th>x forward<th>arena KiB<th>bundle \
         KiB<th>ms, estimated<th>AUROC %, choosing<th>AUROC %, reported<th>gain over forward \
         only<th>--taps</tr>\n",
    );
    for (at, point) in report.points.iter().enumerate() {
        row(&mut out, point, at == report.knee);
    }
    out.push_str("</table>\n</body>\n</html>\n");
    out
}

fn row(out: &mut String, point: &Point, knee: bool) {
    let class = match (knee, point.front) {
        (true, _) => "knee",
        (false, true) => "front",
        (false, false) => "",
    };
    let cost = &point.cost;
    let [reported, gain] = [point.reported, point.gain]
        .map(|interval| [interval.value, interval.low, interval.high].map(|value| 100.0 * value));
    let _ = writeln!(
        out,
        "<tr class=\"{class}\"><td>{}<td>{}<td>{:.2}<td>{:.2}<td>{:.1}<td>{:.1}<td>{:.3}<td>{:.2}\
         <td>{:.2} [{:.2}, {:.2}]<td>{:+.2} [{:+.2}, {:+.2}]<td class=\"taps\">{}</tr>",
        escape(&point.name),
        point.family,
        cost.macs() as f64 / 1e6,
        cost.macs() as f64 / cost.forward.max(1) as f64,
        cost.arena_bytes as f64 / 1024.0,
        cost.bundle_bytes as f64 / 1024.0,
        cost.milliseconds,
        100.0 * point.choosing.value,
        reported[0],
        reported[1],
        reported[2],
        gain[0],
        gain[1],
        gain[2],
        escape(&point.taps),
    );
}
