//! What is known of one exported network, and the table of all.

use std::collections::BTreeMap;
use std::path::Path;

use crate::page::{heading, row};
use crate::peers::machine;

/// Columns behind the network's name.
const COLUMNS: [&str; 11] = [
    "exporter",
    "tensors",
    "parameters",
    "interpreter",
    "engine, median",
    "engine, frames",
    "onnxruntime, median",
    "PyTorch in f32",
    "MAC, forward + backward",
    "arena",
    "ms",
];

/// The interpreter's tolerance.
const INTERP_LIMIT: f64 = 1e-9;

/// The tolerance of the medians of engine and onnxruntime.
const MEDIAN_LIMIT: f64 = 1e-5;

/// Where the median of PyTorch itself in f32 is near that limit or beyond, the network is what
/// rounding does so much to: then a median may be as many times PyTorch's.
const TIMES_TORCH: f64 = 2.0;

/// How long a row took.
pub const SECONDS: &str = "seconds";

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

    /// The lines that [`Figures::add`] takes.
    pub fn text(&self) -> String {
        self.values.iter().map(|(key, value)| format!("{key}={value}\n")).collect()
    }

    /// Whether it is refused by name, or within all tolerances.
    pub fn holds(&self) -> bool {
        let within = |key: &str, limit: f64| self.number(key).is_some_and(|value| value <= limit);
        let torch = self.number("torch_median").unwrap_or(0.0);
        let scaled = TIMES_TORCH * torch;
        let median = if scaled > MEDIAN_LIMIT { scaled } else { MEDIAN_LIMIT };
        let frames = self.values.get("frames_hold").is_some_and(|holds| holds == "true");
        let medians = within("median", median) && within("ort_median", median);
        self.is_refused() || frames && medians && within("interp", INTERP_LIMIT)
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

    fn cells(&self) -> [Option<String>; 11] {
        if self.is_refused() {
            let mut cells = [const { None }; 11];
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
            self.torch(),
            macs(),
            self.number("arena").map(|bytes| format!("{:.0} KiB", bytes / 1024.0)),
            self.number("ms").map(|ms| format!("{ms:.1}")),
        ]
    }

    /// Median, and frames within 1e-4.
    fn torch(&self) -> Option<String> {
        let within = self.values.get("torch_within")?;
        Some(format!("{:.1e}, {within} frames", self.number("torch_median")?))
    }

    /// Frames within 1e-4, and those that kinks explain.
    fn frames(&self) -> Option<String> {
        let get = |key: &str| self.values.get(key);
        let explained = get("explained")?;
        let text = format!("{} of {}", get("within")?, get("frames")?);
        let farthest = self.number("farthest")?;
        Some(match explained.as_str() {
            "0" => text,
            _ => format!("{text}, {explained} by kinks within {farthest:.0e}"),
        })
    }
}

/// The generated part of the page; rows are of this commit.
pub fn page(rows: &[Figures], commit: &str) -> String {
    let minutes = rows.iter().filter_map(|figures| figures.number(SECONDS)).sum::<f64>() / 60.0;
    let mut text = format!(
        "Command: `cargo xtask families`, {commit}; {minutes:.0} minutes of measuring, without the \
         export.\n\nMachine: {}; {}.\n\n{}",
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
                        explained=1\nfarthest=4.4e-7\nframes=32\nframes_hold=true\n\
                        forward=1000000\nverdict=3000000\narena=2048\nms=1.25\n\
                        torch_median=1e-6\ntorch_within=30\n";

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
        let expected = "| net | dynamo | 3 | 1.5 M | 1.0e-14 | 2.0e-6 | 31 of 32, 1 by kinks \
                        within 4e-7 | 3.0e-6 | 1.0e-6, 30 frames | 1.0 + 2.0 M | 2 KiB | 1.2 |\n";
        assert_eq!(row("net", &good.cells()), expected);
        let with = |line: &str| figures(&format!("{GOOD}ort_median=3e-6\n{line}\n"));
        for bad in ["interp=1e-8", "median=NaN", "median=2e-5", "ort_median=2e-5", "frames_hold=no"]
        {
            assert!(!with(bad).holds(), "{bad}");
        }
        assert_eq!(figures(&good.text()).text(), good.text());
    }

    #[test]
    fn a_median_beyond_the_limit_holds_only_beside_pytorchs() {
        let beside = |torch: &str| {
            let lines = format!("{GOOD}ort_median=3e-6\nmedian=2e-5\ntorch_median={torch}\n");
            figures(&lines).holds()
        };
        assert!(beside("1e-5"));
        assert!(!beside("9e-6") && !beside("NaN"));
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
