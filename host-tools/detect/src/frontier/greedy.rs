//! A choice of taps step by step: what gains most for its price is added next.

use super::{Frontier, parallel};
use crate::DetectError;
use crate::fit::HeadKind;

/// Steps at most: each fits every addition once.
pub const GREEDY_STEPS: usize = 6;

/// A smaller gain in AUROC ends the choice.
const GAIN_MIN: f64 = 0.001;
/// A price counts at least as this share of the forward pass: what costs nothing is not worth
/// everything.
const PRICE_MIN: f64 = 0.02;

/// Taps that may be added together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Addition {
    /// Columns of the features, ascending.
    pub columns: Vec<usize>,
}

/// The sets of columns after each step, each ascending and holding the one before. Gains are those
/// of the composite head, which needs no anomalous frames to fit, on the choosing frames; `macs`
/// gives the multiply-adds of a set, no set above `limit` is taken.
///
/// # Errors
/// A set that cannot be fitted or has no cost.
pub fn greedy(
    frontier: &Frontier<'_>,
    additions: &[Addition],
    limit: Option<u64>,
    threads: usize,
    macs: &(dyn Fn(&[usize]) -> Result<u64, DetectError> + Sync),
) -> Result<Vec<Vec<usize>>, DetectError> {
    let forward = macs(&[])?;
    let least = PRICE_MIN * forward as f64;
    let (mut taken, mut cost): (Vec<usize>, u64) = (vec![], forward);
    let mut value = frontier.tell(&[], HeadKind::Composite)?.choice.value;
    let mut steps: Vec<Vec<usize>> = vec![];
    while steps.len() < GREEDY_STEPS {
        let tried = parallel(additions.len(), threads, |index| {
            let columns = merged(&taken, &additions[index].columns);
            if columns == taken {
                return Ok(None);
            }
            let price = macs(&columns)?;
            if limit.is_some_and(|limit| price > limit) {
                return Ok(None);
            }
            let told = frontier.tell(&columns, HeadKind::Composite)?.choice.value;
            Ok(Some((columns, price, told)))
        })?;
        let worth = |(_, price, told): &(Vec<usize>, u64, f64)| {
            let extra = price.saturating_sub(cost) as f64;
            (told - value) / if extra > least { extra } else { least }
        };
        let gains = tried.into_iter().flatten().filter(|(_, _, told)| *told >= value + GAIN_MIN);
        // Of equals the first: `max_by` would take the last.
        let best = gains.reduce(|best, next| if worth(&next) > worth(&best) { next } else { best });
        let Some(best) = best else { break };
        (taken, cost, value) = best;
        steps.push(taken.clone());
    }
    Ok(steps)
}

fn merged(a: &[usize], b: &[usize]) -> Vec<usize> {
    let mut all = [a, b].concat();
    all.sort_unstable();
    all.dedup();
    all
}
