//! The gate's rules a second time, from the table in gradgate-gate and over a plain list of
//! verdicts, so that the device's gate has a judge that shares no code with it.

use gradgate_bundle::header::Policy;
use gradgate_gate::Verdict;

/// A gate that remembers everything.
pub struct GateModel {
    policy: Policy,
    verdicts: Vec<(u64, Verdict)>,
    /// Verdicts before this one count for nothing.
    first: usize,
    open: bool,
    renewed_us: u64,
    /// How often it opened and closed.
    pub opened: u32,
    pub closed: u32,
}

impl GateModel {
    /// Closed.
    pub fn new(policy: Policy) -> GateModel {
        let (verdicts, first, open, renewed_us) = (Vec::new(), 0, false, 0);
        GateModel { policy, verdicts, first, open, renewed_us, opened: 0, closed: 0 }
    }

    /// Whether it may be OPEN.
    pub fn is_open(&self) -> bool {
        self.open
    }

    fn lease_us(&self) -> u64 {
        u64::from(self.policy.frame_period_us) * u64::from(self.policy.lease_periods)
    }

    /// The last microsecond at which the pin may be OPEN.
    pub fn until_us(&self) -> Option<u64> {
        self.open.then(|| self.renewed_us + self.lease_us())
    }

    /// Closes it for a reason outside the verdicts.
    pub fn close(&mut self) {
        self.first = self.verdicts.len();
        self.closed += u32::from(self.open);
        self.open = false;
    }

    /// Time passes.
    pub fn tick(&mut self, now_us: u64) {
        if self.open && now_us > self.renewed_us + self.lease_us() {
            self.close();
        }
    }

    /// A verdict.
    pub fn observe(&mut self, now_us: u64, verdict: Verdict) {
        let was_open = self.open;
        self.tick(now_us);
        self.verdicts.push((now_us, verdict));
        if matches!(verdict, Verdict::Unknown { cause } if cause.is_fault()) {
            return self.close();
        }
        if !self.open {
            if !was_open && self.row() >= usize::from(self.policy.n) {
                self.open = true;
                self.opened += 1;
                self.first = self.verdicts.len();
                self.renewed_us = now_us;
            }
            return;
        }
        let judged = |(_, verdict): &&(u64, Verdict)| !matches!(verdict, Verdict::Unknown { .. });
        let window = self.verdicts[self.first..].iter().filter(judged).rev();
        let blocks = window
            .take(usize::from(self.policy.m))
            .filter(|(_, verdict)| *verdict == Verdict::Block)
            .count();
        match verdict {
            Verdict::Block if blocks >= usize::from(self.policy.k) => self.close(),
            Verdict::Block | Verdict::Pass => self.renewed_us = now_us,
            Verdict::Unknown { .. } => {}
        }
    }

    /// PASS in a row up to now, none of them later than the lease after the one before.
    fn row(&self) -> usize {
        let mut later_us = None;
        let follows = |&&(at_us, verdict): &&(u64, Verdict)| {
            let near = later_us.is_none_or(|later_us| later_us - at_us <= self.lease_us());
            later_us = Some(at_us);
            near && verdict == Verdict::Pass
        };
        self.verdicts[self.first..].iter().rev().take_while(follows).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gradgate_gate::{Cause, Gate};
    use gradgate_link::channel::Random;

    #[test]
    fn the_model_agrees_with_the_gate() {
        let policies = [(1, 1, 1, 1), (2, 3, 2, 2), (3, 5, 4, 3), (4, 64, 20, 9)];
        for (seed, (k, m, n, lease_periods)) in (0..).zip(policies) {
            let mut random = Random::new(seed);
            let (enforce, frame_period_us, frozen_frames) = (true, 100, 3);
            let policy = Policy { enforce, frame_period_us, k, m, n, lease_periods, frozen_frames };
            let (mut gate, mut model) = (Gate::new(&policy).unwrap(), GateModel::new(policy));
            let (mut now_us, mut open) = (0, 0);
            for step in 0..20_000 {
                let longest_us = if random.below(30) == 0 { 2000 } else { 120 };
                now_us += random.below(longest_us);
                let verdict = match random.below(40) {
                    0 => Verdict::Unknown { cause: Cause::NoDetector },
                    1 => Verdict::Unknown { cause: Cause::Sensor },
                    2 if k < 4 || random.below(9) == 0 => Verdict::Block,
                    _ => Verdict::Pass,
                };
                match (random.below(8), random.below(9)) {
                    (0, _) => {
                        gate.tick(now_us);
                        model.tick(now_us);
                    }
                    (1, 0) => {
                        gate.fault();
                        model.close();
                    }
                    _ => {
                        gate.observe(now_us, verdict);
                        model.observe(now_us, verdict);
                    }
                }
                assert_eq!(gate.state().is_open(), model.is_open(), "{policy:?} step {step}");
                let until_us = model.until_us().map(|until_us| until_us + 1);
                assert_eq!(gate.deadline_us(), until_us, "{policy:?} step {step}");
                open += u32::from(model.is_open());
            }
            assert!(open > 100, "{policy:?}: {open}");
        }
    }
}
