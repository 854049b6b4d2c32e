//! `--ram-budget`: how much memory the arena may take, and what staying within it costs.

use std::str::FromStr;

use clap::Args;
use gradgate_graph::cost::Macs;
use gradgate_graph::plan::Again;

use crate::output::{bytes, count, plain};

/// The limit on working memory.
#[derive(Args, Clone, Copy, Debug, Default)]
pub struct BudgetArgs {
    /// Most that the arena may take, as 200000, 204KiB or 1.5MiB (the frame's own buffer aside);
    /// cheap layers are computed twice to stay within it
    #[arg(long, value_name = "BYTES")]
    pub ram_budget: Option<RamBudget>,
}

impl BudgetArgs {
    /// In bytes.
    pub fn bytes(&self) -> Option<usize> {
        self.ram_budget.map(|budget| budget.0)
    }
}

/// A number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RamBudget(pub usize);

impl FromStr for RamBudget {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let (number, unit) = [("KiB", 1024.0), ("MiB", 1_048_576.0), ("B", 1.0)]
            .iter()
            .find_map(|&(suffix, unit)| Some((text.strip_suffix(suffix)?.trim_end(), unit)))
            .unwrap_or((text, 1.0));
        let plain = number.bytes().all(|b| b.is_ascii_digit() || b == b'.');
        let value = number.parse::<f64>().ok().filter(|_| plain).map(|value| value * unit);
        let whole = value.filter(|value| (1.0..4_294_967_296.0).contains(value));
        whole
            .map(|value| Self(value as usize))
            .ok_or_else(|| "give bytes below 4 GiB, as in 200000, 204KiB or 1.5MiB".to_owned())
    }
}

/// What the backward pass computes again, as a sentence; empty when nothing costs.
pub fn again_text(again: &[Again], macs: &Macs) -> String {
    let costly: Vec<&Again> = again.iter().filter(|again| again.macs > 0).collect();
    if costly.is_empty() {
        return String::new();
    }
    let names: Vec<String> = costly.iter().map(|again| plain(&again.name)).collect();
    let percent = 100.0 * macs.again as f64 / (macs.total() - macs.again).max(1) as f64;
    let kept: usize = costly.iter().map(|again| again.bytes).sum();
    format!(
        "{} multiply-adds (+{percent:.1} %), so that {} need not be kept: {}",
        count(macs.again),
        bytes(kept as u64),
        names.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn budgets_by_table() {
        for (text, expected) in [
            ("208896", Some(208_896)),
            ("204KiB", Some(208_896)),
            ("204 KiB", Some(208_896)),
            ("1.5MiB", Some(1_572_864)),
            ("12B", Some(12)),
            ("0", None),
            ("-1", None),
            ("1e9", None),
            ("nan", None),
            ("4096MiB", None),
            ("12KB", None),
            ("", None),
        ] {
            assert_eq!(text.parse().ok(), expected.map(RamBudget), "{text}");
        }
    }

    #[test]
    fn what_costs_nothing_is_not_told() {
        let again = |macs| Again { name: format!("n{macs}"), bytes: 2048, macs };
        let macs = Macs { forward: 1000, again: 100, ..Macs::default() };
        assert_eq!(again_text(&[again(0)], &macs), "");
        let text = again_text(&[again(0), again(100)], &macs);
        assert_eq!(
            text,
            "100 multiply-adds (+10.0 %), so that 2.0 KiB (2048 B) need not be kept: n100"
        );
    }
}
