//! Which gate policies make sense; the wire type is [`Policy`] in gradgate-bundle.

use core::fmt;

use gradgate_bundle::header::Policy;

/// Longest window: the history of verdicts is one bit each of a u64.
pub const WINDOW_LIMIT: u8 = 64;

/// What a bundle gets without a policy file: report only, 10 frames a second, open after 5 PASS,
/// close at 3 BLOCK of the last 5, lease of 2 frame periods.
pub const DEFAULT_POLICY: Policy = Policy {
    enforce: false,
    frame_period_us: 100_000,
    k: 3,
    m: 5,
    n: 5,
    lease_periods: 2,
    frozen_frames: 3,
};

/// A policy that no gate could follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PolicyError {
    /// `frame_period_us` is 0 or above ten seconds.
    FramePeriod,
    /// `k` is 0 or larger than `m`.
    Blocks,
    /// `m` is larger than [`WINDOW_LIMIT`].
    Window,
    /// `n` is 0 or larger than [`WINDOW_LIMIT`].
    Passes,
    /// `lease_periods` is 0.
    Lease,
    /// `frozen_frames` is below 2: a frame cannot repeat itself.
    Frozen,
}

impl fmt::Display for PolicyError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            PolicyError::FramePeriod => "frame_period_us must be 1 to 10000000",
            PolicyError::Blocks => "k must be at least 1 and at most m",
            PolicyError::Window => "m must be at most 64",
            PolicyError::Passes => "n must be 1 to 64",
            PolicyError::Lease => "lease_periods must be at least 1",
            PolicyError::Frozen => "frozen_frames must be at least 2",
        })
    }
}

impl core::error::Error for PolicyError {}

/// Refuses a policy that no gate could follow.
///
/// # Errors
/// The first rule that is broken.
pub fn check_policy(policy: &Policy) -> Result<(), PolicyError> {
    let rules = [
        ((1..=10_000_000).contains(&policy.frame_period_us), PolicyError::FramePeriod),
        (policy.k >= 1 && policy.k <= policy.m, PolicyError::Blocks),
        (policy.m <= WINDOW_LIMIT, PolicyError::Window),
        ((1..=WINDOW_LIMIT).contains(&policy.n), PolicyError::Passes),
        (policy.lease_periods >= 1, PolicyError::Lease),
        (policy.frozen_frames >= 2, PolicyError::Frozen),
    ];
    match rules.iter().find(|(holds, _)| !holds) {
        Some((_, error)) => Err(*error),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_by_table() {
        let ok = DEFAULT_POLICY;
        let cases = [
            (ok, Ok(())),
            (Policy { enforce: true, k: 1, m: 1, n: 1, ..ok }, Ok(())),
            (Policy { k: 64, m: 64, n: 64, ..ok }, Ok(())),
            (Policy { frame_period_us: 0, ..ok }, Err(PolicyError::FramePeriod)),
            (Policy { frame_period_us: 10_000_001, ..ok }, Err(PolicyError::FramePeriod)),
            (Policy { k: 0, ..ok }, Err(PolicyError::Blocks)),
            (Policy { k: 6, m: 5, ..ok }, Err(PolicyError::Blocks)),
            (Policy { k: 0, m: 0, ..ok }, Err(PolicyError::Blocks)),
            (Policy { m: 65, ..ok }, Err(PolicyError::Window)),
            (Policy { n: 0, ..ok }, Err(PolicyError::Passes)),
            (Policy { n: 65, ..ok }, Err(PolicyError::Passes)),
            (Policy { lease_periods: 0, ..ok }, Err(PolicyError::Lease)),
            (Policy { frozen_frames: 1, ..ok }, Err(PolicyError::Frozen)),
        ];
        for (policy, wanted) in cases {
            assert_eq!(check_policy(&policy), wanted, "{policy:?}");
        }
    }
}
