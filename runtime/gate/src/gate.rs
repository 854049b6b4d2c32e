//! The gate: verdicts and times in, OPEN or CLOSED out.
//!
//! One state machine for device, daemon and command line. It reads no clock: the caller says what
//! time it is, in microseconds from any start. It knows no pin either: whether one follows the gate
//! is the policy's mode, and the caller's to obey.
//!
//! | gate | what comes | gate afterwards |
//! | --- | --- | --- |
//! | - | [`Gate::new`] | CLOSED, START |
//! | CLOSED | PASS, the n-th in a row | OPEN: window empty, lease begins |
//! | CLOSED | PASS, fewer than n in a row | CLOSED |
//! | CLOSED | BLOCK, UNKNOWN, silence longer than the lease | CLOSED: the row begins again |
//! | OPEN | PASS | OPEN: enters the window, renews the lease |
//! | OPEN | BLOCK, fewer than k among the last m | OPEN: enters the window, renews the lease |
//! | OPEN | BLOCK, the k-th among the last m | CLOSED, BLOCKS |
//! | OPEN | UNKNOWN without a fault | OPEN: neither enters the window nor renews the lease |
//! | OPEN | silence longer than the lease | CLOSED, LEASE |
//! | OPEN | time runs backwards | CLOSED, CLOCK |
//! | OPEN | UNKNOWN with a fault ([`Cause::is_fault`]) | CLOSED, FAULT |
//! | OPEN | [`Gate::close`] | CLOSED with the caller's reason |
//!
//! The window holds the last m verdicts that judged a frame, PASS or BLOCK, since the gate opened.
//! UNKNOWN judged nothing: if it took a place, frames that nobody could judge would push BLOCKs
//! out. What ends a series of UNKNOWN is the lease: `lease_periods` frame periods, and a verdict at
//! exactly that time is still in time. On a CLOSED gate, a fault, a closing and time that runs
//! backwards begin the row of PASS again. One call changes the gate once at most: a PASS that
//! finds the lease run out closes the gate, and counts in the row that may open it again.
//!
//! [`Cause::is_fault`]: crate::Cause::is_fault

use core::fmt;

use gradgate_bundle::header::Policy;

use crate::policy::{PolicyError, WINDOW_LIMIT, check_policy};
use crate::verdict::Verdict;

/// What the gate is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// The classifier may be trusted.
    Open,
    /// It may not, and why the gate closed.
    Closed(Reason),
}

/// Why the gate closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It has not been open yet.
    Start,
    /// k BLOCK among the last m.
    Blocks,
    /// Neither PASS nor a tolerated BLOCK came in time.
    Lease,
    /// Time ran backwards.
    Clock,
    /// The device, the bundle or a frame's numbers are at fault.
    Fault,
    /// A bundle is being replaced.
    Update,
}

impl Reason {
    /// All of them.
    pub const ALL: [Reason; 6] = [
        Reason::Start,
        Reason::Blocks,
        Reason::Lease,
        Reason::Clock,
        Reason::Fault,
        Reason::Update,
    ];

    /// Its name in print.
    pub fn name(self) -> &'static str {
        match self {
            Reason::Start => "START",
            Reason::Blocks => "BLOCKS",
            Reason::Lease => "LEASE",
            Reason::Clock => "CLOCK",
            Reason::Fault => "FAULT",
            Reason::Update => "UPDATE",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.name())
    }
}

impl State {
    /// Whether the classifier may be trusted.
    pub fn is_open(self) -> bool {
        self == State::Open
    }

    /// Why the gate closed; `None` while it is open.
    pub fn reason(self) -> Option<Reason> {
        match self {
            State::Open => None,
            State::Closed(reason) => Some(reason),
        }
    }

    /// OPEN or CLOSED.
    pub fn name(self) -> &'static str {
        if self.is_open() { "OPEN" } else { "CLOSED" }
    }
}

impl fmt::Display for State {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.name())
    }
}

/// The gate opened or closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// What it is now.
    pub state: State,
    /// When that was noticed: the time that the call was given.
    pub at_us: u64,
}

/// See the table above. No method panics, whatever it is given.
#[derive(Clone, Copy, Debug)]
pub struct Gate {
    k: u8,
    m: u8,
    n: u8,
    lease_us: u64,
    state: State,
    /// One bit a verdict of the window, the newest lowest; set for BLOCK.
    blocks: u64,
    /// PASS in a row on a closed gate, at most n.
    row: u8,
    /// When the last PASS or tolerated BLOCK came.
    renewed_us: u64,
    /// The time of the last call.
    now_us: u64,
}

impl Gate {
    /// A closed gate.
    ///
    /// # Errors
    /// A policy that no gate could follow.
    pub fn new(policy: &Policy) -> Result<Gate, PolicyError> {
        check_policy(policy)?;
        Ok(Gate {
            k: policy.k,
            m: policy.m,
            n: policy.n,
            lease_us: lease_us(policy),
            state: State::Closed(Reason::Start),
            blocks: 0,
            row: 0,
            renewed_us: 0,
            now_us: 0,
        })
    }

    /// What it is.
    pub fn state(&self) -> State {
        self.state
    }

    /// The first microsecond at which [`Gate::tick`] would find the lease run out; `None` while
    /// the gate is closed, or where time ends before.
    pub fn deadline_us(&self) -> Option<u64> {
        let deadline = self.renewed_us.checked_add(self.lease_us)?.checked_add(1)?;
        self.state.is_open().then_some(deadline)
    }

    /// Takes one frame's verdict.
    pub fn observe(&mut self, now_us: u64, verdict: Verdict) -> Option<Change> {
        if now_us < self.now_us {
            self.now_us = now_us;
            return self.close(Reason::Clock);
        }
        self.now_us = now_us;
        if let Verdict::Unknown { cause } = verdict
            && cause.is_fault()
        {
            return self.close(Reason::Fault);
        }
        let closed = self.expire();
        let opened = match (verdict, self.state) {
            (Verdict::Pass, State::Closed(_)) => self.count_pass(closed.is_none()),
            (Verdict::Pass, State::Open) => self.enter_window(false),
            (Verdict::Block, State::Open) => self.enter_window(true),
            (Verdict::Unknown { .. }, State::Open) => None,
            (Verdict::Block | Verdict::Unknown { .. }, State::Closed(_)) => {
                self.row = 0;
                None
            }
        };
        closed.or(opened)
    }

    /// Lets time pass without a verdict.
    pub fn tick(&mut self, now_us: u64) -> Option<Change> {
        if now_us < self.now_us {
            self.now_us = now_us;
            return self.close(Reason::Clock);
        }
        self.now_us = now_us;
        self.expire()
    }

    /// Closes it at once. A closed gate takes the reason, which is no change.
    pub fn close(&mut self, reason: Reason) -> Option<Change> {
        let was_open = self.state.is_open();
        self.state = State::Closed(reason);
        self.row = 0;
        was_open.then_some(self.change())
    }

    /// Closes it at once for a fault outside the verdicts: [`Gate::close`] with its reason.
    pub fn fault(&mut self) -> Option<Change> {
        self.close(Reason::Fault)
    }

    fn change(&self) -> Change {
        Change { state: self.state, at_us: self.now_us }
    }

    /// Closes an open gate, or begins the row of PASS again, when the lease has run out.
    fn expire(&mut self) -> Option<Change> {
        // After a jump back of the clock the last renewal may lie ahead; the gate is closed then,
        // and its row is empty.
        if self.now_us.saturating_sub(self.renewed_us) <= self.lease_us {
            return None;
        }
        self.row = 0;
        match self.state {
            State::Open => self.close(Reason::Lease),
            State::Closed(_) => None,
        }
    }

    /// One more PASS on a closed gate, which opens if it may.
    fn count_pass(&mut self, may_open: bool) -> Option<Change> {
        self.renewed_us = self.now_us;
        self.row = self.row.saturating_add(1);
        if self.row < self.n || !may_open {
            return None;
        }
        (self.state, self.blocks, self.row) = (State::Open, 0, 0);
        Some(self.change())
    }

    fn enter_window(&mut self, block: bool) -> Option<Change> {
        let kept = u64::MAX >> WINDOW_LIMIT.saturating_sub(self.m).min(63);
        self.blocks = ((self.blocks << 1) | u64::from(block)) & kept;
        if block && self.blocks.count_ones() >= u32::from(self.k) {
            return self.close(Reason::Blocks);
        }
        self.renewed_us = self.now_us;
        None
    }
}

/// How long an open gate stays open without a PASS or a tolerated BLOCK, in microseconds.
pub fn lease_us(policy: &Policy) -> u64 {
    u64::from(policy.frame_period_us).saturating_mul(u64::from(policy.lease_periods))
}

#[cfg(test)]
#[path = "gate_tests.rs"]
mod tests;
