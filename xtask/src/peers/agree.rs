//! Whether a peer computes what we compute: nobody's time counts for another network.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// Logits: largest difference relative to the largest logit. Orders of summation differ.
const LOGITS_LIMIT: f64 = 1e-4;
/// Squared norms: the median of the relative errors over all parameters. A unit within rounding of
/// zero may fall on the other side of its ReLU: late in MobileNetV2 that made 5e-4.
const NORMS_MEDIAN_LIMIT: f64 = 5e-3;
/// Squared norms: the largest relative error, for the same reason. Two good f32 orders on ResNet-20
/// differ by up to 4.5e-2.
const NORMS_LIMIT: f64 = 5e-2;

/// What a peer says of itself, and its numbers for the common frame.
#[derive(Clone, Debug, PartialEq)]
pub struct Greeting {
    /// Name and version.
    pub version: String,
    /// One a class.
    pub logits: Vec<f64>,
    /// Squared gradient norms by parameter; empty where only the forward pass runs.
    pub norms: BTreeMap<String, f64>,
    /// Working memory, in bytes, where it says so.
    pub arena_bytes: Option<u64>,
    /// Multiply-adds of a frame, where it says so.
    pub macs: Option<u64>,
    /// Which kernels run, where it says so.
    pub kernels: Option<String>,
}

impl Greeting {
    /// From its line.
    pub fn parse(line: &str) -> Result<Greeting> {
        parse(line).with_context(|| format!("not a greeting: {line}"))
    }
}

fn parse(line: &str) -> Option<Greeting> {
    let value: Value = serde_json::from_str(line).ok()?;
    let logits = value["logits"].as_array()?.iter().map(Value::as_f64).collect::<Option<_>>()?;
    let mut norms = BTreeMap::new();
    for (name, norm) in value["norms"].as_object().into_iter().flatten() {
        norms.insert(name.clone(), norm.as_f64()?);
    }
    Some(Greeting {
        version: value["version"].as_str()?.to_owned(),
        logits,
        norms,
        arena_bytes: value["arena_bytes"].as_u64(),
        macs: value["macs"].as_u64(),
        kernels: value["kernels"].as_str().map(str::to_owned),
    })
}

/// Compares a peer's numbers with ours; its norms too where it has any.
pub fn check(ours: &Greeting, peer: &Greeting) -> Result<()> {
    let (logits, count) = (&ours.logits, peer.logits.len());
    ensure!(count == logits.len(), "{count} logits instead of {}", logits.len());
    let largest = logits.iter().fold(0.0, |most: f64, value| most.max(value.abs()));
    let differences = logits.iter().zip(&peer.logits).map(|(a, b)| (a - b).abs() / largest);
    let worst = differences.fold(0.0, worse);
    ensure!(worst <= LOGITS_LIMIT, "logits differ by {worst:.2e}, limit {LOGITS_LIMIT:.0e}");
    if peer.norms.is_empty() {
        return Ok(());
    }
    let names = |greeting: &Greeting| greeting.norms.keys().cloned().collect::<Vec<_>>();
    ensure!(names(ours) == names(peer), "norms of other parameters: {:?}", names(peer));
    let relative = |(a, b): (&f64, &f64)| (a - b).abs() / a.abs().max(f64::MIN_POSITIVE);
    let mut errors: Vec<f64> = ours.norms.values().zip(peer.norms.values()).map(relative).collect();
    errors.sort_by(f64::total_cmp);
    let median = errors[errors.len() / 2];
    let worst = errors.iter().copied().fold(0.0, worse);
    ensure!(
        median <= NORMS_MEDIAN_LIMIT && worst <= NORMS_LIMIT,
        "norms differ by {median:.2e} in the median, limit {NORMS_MEDIAN_LIMIT:.0e}, \
         by {worst:.2e} at most, limit {NORMS_LIMIT:.0e}"
    );
    Ok(())
}

/// The larger; NaN is worse than anything.
fn worse(a: f64, b: f64) -> f64 {
    if b <= a { a } else { b }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn greeting(logits: &str, norms: &str) -> Greeting {
        let line = format!(r#"{{"version": "x", "logits": {logits}, "norms": {norms}}}"#);
        Greeting::parse(&line).expect("a greeting")
    }

    #[test]
    fn differences_beyond_rounding_are_refused() {
        let norms = r#"{"a": 1.0, "b": 2.0, "c": 3.0}"#;
        let ours = greeting("[4.0, -1.0]", norms);
        let cases = [
            ("[4.0, -1.0]", "{}", true),
            ("[4.0, -1.0003]", norms, true),
            ("[4.0, -1.001]", norms, false),
            ("[4.0]", norms, false),
            ("[-1.0, 4.0]", norms, false),
            ("[4.0, -1.0]", r#"{"a": 1.0, "b": 2.0, "c": 3.1}"#, true),
            ("[4.0, -1.0]", r#"{"a": 1.0, "b": 2.0, "c": 3.2}"#, false),
            ("[4.0, -1.0]", r#"{"a": 1.01, "b": 2.02, "c": 3.0}"#, false),
            ("[4.0, -1.0]", r#"{"a": 1.0, "b": 2.0}"#, false),
            ("[4.0, -1.0]", r#"{"a": 1.0, "b": 2.0, "d": 3.0}"#, false),
        ];
        for (logits, norms, agrees) in cases {
            let result = check(&ours, &greeting(logits, norms));
            assert_eq!(result.is_ok(), agrees, "{logits} {norms}: {result:?}");
        }
    }

    #[test]
    fn what_is_not_a_number_never_agrees() {
        let zero = greeting("[0.0]", "{}");
        assert!(check(&zero, &zero).is_err());
        assert!(Greeting::parse(r#"{"version": "x", "logits": [null]}"#).is_err());
        assert!(Greeting::parse(r#"{"logits": [1]}"#).is_err());
    }
}
