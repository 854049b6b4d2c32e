//! What is known of one exported network, and the table of all.

use std::collections::BTreeMap;
use std::path::Path;

use crate::page::{heading, row};
use crate::peers::machine;

/// Columns behind the network's name.
const COLUMNS: [&str; 10] = [
    "exporter",
    "tensors",
    "parameters",
    "interpreter",
    "engine, median",
    "engine, frames",
    "onnxruntime, median",
    "MAC, forward + backward",
    "arena",
    "ms",
];

/// Tolerances of the interpreter, of the engine's median, and of onnxruntime's, which fuses what we
/// wrote out as it likes.
const LIMITS: [(&str, f64); 3] = [("interp", 1e-9), ("median", 1e-5), ("ort_median", 1e-4)];

/// Network and exporter of a file `NETWORK.EXPORTER.onnx`.
pub fn names(model: &Path) -> (String, String) {
    let stem = model.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let (network, exporter) = stem.split_once('.').unwrap_or((&stem, ""));
    (network.to_owned(), exporter.to_owned())
}

/// Figures by key, as the programs print them.
pub struct Figures {
    network: String,
    exporter: String,
    values: BTreeMap<String, String>,
}

impl Figures {
    /// None yet.
    pub fn new(network: &str, exporter: &str) -> Self {
        let (network, exporter) = (network.to_owned(), exporter.to_owned());
        Self { network, exporter, values: BTreeMap::new() }
    }

    /// Takes lines `key=value`.
    pub fn add(&mut self, text: &str) {
        let pairs = text.lines().filter_map(|line| line.split_once('='));
        self.values.extend(pairs.map(|(key, value)| (key.to_owned(), value.to_owned())));
    }

    /// Whether a stage refused the network.
    pub fn is_refused(&self) -> bool {
        self.values.contains_key("refused")
    }

    /// Whether it is refused by name, or within all tolerances.
    pub fn holds(&self) -> bool {
        let within = |&(key, limit): &(&str, f64)| self.number(key).is_some_and(|v| v <= limit);
        let engine = self.values.get("holds").is_some_and(|holds| holds == "true");
        self.is_refused() || engine && LIMITS.iter().all(within)
    }

    fn number(&self, key: &str) -> Option<f64> {
        self.values.get(key)?.parse().ok()
    }

    /// One line for whoever waits.
    pub fn line(&self) -> String {
        let state = match (self.is_refused(), self.holds()) {
            (true, _) => self.refusal(),
            (false, true) => "within all tolerances".to_owned(),
            (false, false) => format!("NOT within tolerances: {:?}", self.values),
        };
        format!("{}, {}: {state}", self.network, self.exporter)
    }

    /// The operators that the import names, or its whole message.
    fn refusal(&self) -> String {
        let message = self.values.get("refused").map(String::as_str).unwrap_or_default();
        let of_node = |part: &str| {
            let (_, rest) = part.split_once("` (")?;
            let (op, reason) = rest.split_once("): ")?;
            let unknown = reason.starts_with("the operator is not supported");
            let reason = reason.split([';', '(']).next().unwrap_or_default().trim();
            Some(if unknown { op.to_owned() } else { format!("{op} ({reason})") })
        };
        let mut ops: Vec<String> = message.split("node `").filter_map(of_node).collect();
        ops.sort_unstable();
        ops.dedup();
        if ops.is_empty() {
            return format!("refused: {}", message.replace('|', "/"));
        }
        format!("refused: {}", ops.join(", "))
    }

    fn cells(&self) -> [Option<String>; 10] {
        if self.is_refused() {
            let mut cells = [const { None }; 10];
            cells[0] = Some(self.exporter.clone());
            cells[1] = Some(self.refusal());
            return cells;
        }
        let plain = |key: &str| self.values.get(key).cloned();
        let small = |key: &str| Some(format!("{:.1e}", self.number(key)?));
        let mega = |key: &str| Some(format!("{:.1}", self.number(key)? / 1e6));
        let macs = || {
            let backward = self.number("verdict")? - self.number("forward")?;
            Some(format!("{} + {:.1} M", mega("forward")?, backward / 1e6))
        };
        [
            Some(self.exporter.clone()),
            plain("tensors"),
            mega("parameters").map(|text| text + " M"),
            small("interp"),
            small("median"),
            self.frames(),
            small("ort_median"),
            macs(),
            self.number("arena").map(|bytes| format!("{:.0} KiB", bytes / 1024.0)),
            self.number("ms").map(|ms| format!("{ms:.1}")),
        ]
    }

    /// Frames within 1e-4, and those that the signs of Relu outputs explain.
    fn frames(&self) -> Option<String> {
        let get = |key: &str| self.values.get(key);
        let explained = get("explained")?;
        let text = format!("{} of {}", get("within")?, get("frames")?);
        Some(if explained == "0" { text } else { format!("{text}, {explained} kinks") })
    }
}

/// The generated part of the page.
pub fn page(rows: &[Figures]) -> String {
    let mut text = format!(
        "Command: `cargo xtask families`, {}.\n\nMachine: {}; {}.\n\n{}",
        machine::commit(),
        machine::describe(),
        machine::compiler(),
        heading("network", &COLUMNS)
    );
    for figures in rows {
        text += &row(&figures.network, &figures.cells());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "tensors=3\nparameters=1500000\ninterp=1e-14\nmedian=2e-6\nwithin=31\n\
                        explained=1\nframes=32\nholds=true\nforward=1000000\nverdict=3000000\n\
                        arena=2048\nms=1.25\n";

    fn figures(text: &str) -> Figures {
        let (network, exporter) = names(Path::new("folder/net.dynamo.onnx"));
        let mut figures = Figures::new(&network, &exporter);
        figures.add(text);
        figures
    }

    #[test]
    fn a_row_holds_only_with_every_figure_within_its_tolerance() {
        assert!(!figures(GOOD).holds(), "onnxruntime has not run");
        let good = figures(&format!("{GOOD}ort_median=3e-6\n"));
        assert!(good.holds());
        let expected = "| net | dynamo | 3 | 1.5 M | 1.0e-14 | 2.0e-6 | 31 of 32, 1 kinks | 3.0e-6 \
                        | 1.0 + 2.0 M | 2 KiB | 1.2 |\n";
        assert_eq!(row("net", &good.cells()), expected);
        for bad in ["interp=1e-8", "median=NaN", "ort_median=2e-4", "holds=false"] {
            assert!(!figures(&format!("{GOOD}ort_median=3e-6\n{bad}\n")).holds(), "{bad}");
        }
    }

    #[test]
    fn refusals_name_their_operators() {
        let message = "refused=3 node(s) cannot be compiled   node `a` (Gelu): the operator is not \
                       supported; use Relu   node `b` (Gelu): the operator is not supported   node \
                       `c` (Concat): it joins a constant to values of the network; pad";
        let refused = figures(message);
        assert!(refused.holds());
        let text = "refused: Concat (it joins a constant to values of the network), Gelu";
        assert_eq!(refused.refusal(), text);
        assert_eq!(figures("refused=stopped | late").refusal(), "refused: stopped / late");
    }
}
