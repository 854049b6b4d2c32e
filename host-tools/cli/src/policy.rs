//! `POLICY.toml`: when the gate opens and closes.
//!
//! ```toml
//! mode = "monitor"          # or "enforce": the pin follows the gate
//! frame_period_us = 100000  # nominal time between frames
//! k = 3                     # BLOCK among the last m that close the gate
//! m = 5
//! n = 5                     # PASS in a row that open it
//! lease_periods = 2         # frame periods without a PASS before it closes
//! frozen_frames = 3         # identical frames in a row that count as frozen
//! ```

use std::path::Path;

use anyhow::{Context, Result};
use gradgate_bundle::header::Policy;
use gradgate_gate::{DEFAULT_POLICY, check_policy};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Mode {
    Monitor,
    Enforce,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PolicyFile {
    mode: Option<Mode>,
    frame_period_us: Option<u32>,
    k: Option<u8>,
    m: Option<u8>,
    n: Option<u8>,
    lease_periods: Option<u8>,
    frozen_frames: Option<u8>,
}

/// Reads a policy; without a file the default one. Keys left out keep their defaults.
pub fn read(path: Option<&Path>) -> Result<Policy> {
    let Some(path) = path else { return Ok(DEFAULT_POLICY) };
    let text = crate::files::read_text(path)?;
    parse(&text).with_context(|| format!("{}: no valid policy", path.display()))
}

fn parse(text: &str) -> Result<Policy> {
    let file: PolicyFile = toml::from_str(text).map_err(one_line)?;
    let default = DEFAULT_POLICY;
    let policy = Policy {
        enforce: file.mode.map_or(default.enforce, |mode| matches!(mode, Mode::Enforce)),
        frame_period_us: file.frame_period_us.unwrap_or(default.frame_period_us),
        k: file.k.unwrap_or(default.k),
        m: file.m.unwrap_or(default.m),
        n: file.n.unwrap_or(default.n),
        lease_periods: file.lease_periods.unwrap_or(default.lease_periods),
        frozen_frames: file.frozen_frames.unwrap_or(default.frozen_frames),
    };
    check_policy(&policy)?;
    Ok(policy)
}

/// The parser's message without its picture of the line, and where it is.
fn one_line(error: toml::de::Error) -> anyhow::Error {
    let place = error.span().map_or(0, |span| span.start);
    anyhow::anyhow!("{} (at byte {place})", error.message().replace('\n', " "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_by_table() {
        let enforce = Policy { enforce: true, k: 1, m: 2, ..DEFAULT_POLICY };
        let cases = [
            ("", Ok(DEFAULT_POLICY)),
            ("mode = \"enforce\"\nk = 1\nm = 2", Ok(enforce)),
            ("speed = 3", Err("unknown field `speed`")),
            ("k = 6\nm = 5", Err("k must be")),
            ("k = -1", Err("invalid value")),
            ("k = 300", Err("invalid value")),
            ("mode = \"maybe\"", Err("unknown variant `maybe`")),
            ("frame_period_us = nan", Err("invalid type")),
            ("k = ", Err("at byte")),
        ];
        for (text, expected) in cases {
            match (parse(text), expected) {
                (Ok(policy), Ok(wanted)) => assert_eq!(policy, wanted, "{text}"),
                (Err(error), Err(wanted)) => {
                    let error = error.to_string();
                    assert!(error.contains(wanted), "{text}: {error}");
                }
                (got, _) => panic!("{text}: {got:?}"),
            }
        }
    }
}
