//! `--taps` and `--mac-budget`: which parameters a verdict listens to.

use anyhow::{Context, Result, bail};
use clap::Args;
use gradgate_graph::alignment::Reference;
use gradgate_graph::cost::{MacBudget, Macs};
use gradgate_graph::graph::Graph;
use gradgate_graph::lower::Products;
use gradgate_graph::taps::depth::choose;
use gradgate_graph::taps::{Taps, describe};

use crate::output::{count, plain};

const AUTO: &str = "auto";

/// The choice on the command line.
#[derive(Args, Clone, Debug, Default)]
pub struct TapsArgs {
    /// Parameters to listen to: globs, comma-separated, `!` leaves out; `none`: forward only;
    /// `auto`: as many layers, from the output backwards, as --mac-budget allows
    #[arg(long, value_name = "GLOB,..|auto")]
    pub taps: Option<String>,
    /// Multiply-adds that a verdict may take (60M), or a multiple of the forward pass (1.5x)
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    pub mac_budget: Option<MacBudget>,
}

impl TapsArgs {
    /// The option that was given, for refusals.
    pub fn given(&self) -> Option<&'static str> {
        match (&self.taps, self.mac_budget) {
            (Some(_), _) => Some("--taps"),
            (None, Some(_)) => Some("--mac-budget"),
            (None, None) => None,
        }
    }

    /// The taps; a choice of `auto` is made here and told on standard error. Files hold the
    /// parameters, never the word. The budget counts alignments with these references.
    pub fn resolve(
        &self,
        graph: &Graph,
        references: &[Reference],
        products: Products,
    ) -> Result<Taps> {
        let auto = self.taps.as_deref() == Some(AUTO);
        match (self.taps.as_deref(), self.mac_budget) {
            (_, Some(budget)) if auto => {
                let chosen = choose(graph, budget, references, products)
                    .with_context(|| format!("--mac-budget {budget}"))?;
                let of = format!("{} of {}", chosen.parameters.len(), graph.parameters.len());
                let from = match &chosen.deepest {
                    Some(layer) => format!("{} to the output", plain(layer)),
                    None => "forward only, no layer keeps within the budget".to_owned(),
                };
                eprintln!(
                    "taps: {} ({from}; {of} parameters)\ncost: {}, the budget is {}",
                    plain(&describe(graph, &chosen.parameters)),
                    cost_text(&chosen.macs),
                    count(budget.limit(chosen.macs.forward)),
                );
                Ok(chosen.taps)
            }
            (_, None) if auto => bail!(
                "--taps auto needs --mac-budget, as in 60M, or in 1.5x for a multiple of the \
                 forward pass"
            ),
            (_, Some(_)) => bail!("--mac-budget chooses the taps: give --taps auto with it"),
            (Some(text), None) => Ok(Taps::parse(text)),
            (None, None) => Ok(Taps::all()),
        }
    }
}

/// Multiply-adds of a verdict beside its forward pass.
pub fn cost_text(macs: &Macs) -> String {
    format!("{} multiply-adds, {:.2} x the forward pass", count(macs.total()), macs.factor())
}
