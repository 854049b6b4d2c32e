//! Ctrl-C: what looks at it ends at its next step (a frame, a packet, a board), anything else at
//! once; both with exit code 130 and no file half written.

use std::fmt;
use std::io::Write as _;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::Context;

/// 128 + SIGINT, as shells expect it.
pub const EXIT_CODE: u8 = 130;

static REQUESTED: AtomicBool = AtomicBool::new(false);
static LOOPS: AtomicUsize = AtomicUsize::new(0);
static WRITING: Mutex<()> = Mutex::new(());

/// The user pressed Ctrl-C.
#[derive(Clone, Copy, Debug)]
pub struct Interrupted;

impl fmt::Display for Interrupted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("interrupted")
    }
}

impl std::error::Error for Interrupted {}

/// Sets the handler; it runs on a thread of its own. A second Ctrl-C does not wait for loops.
pub fn install() -> anyhow::Result<()> {
    ctrlc::set_handler(|| {
        let again = REQUESTED.swap(true, Ordering::SeqCst);
        if again || LOOPS.load(Ordering::SeqCst) == 0 {
            let _whole_files_only = writing();
            say("interrupted");
            std::process::exit(i32::from(EXIT_CODE));
        }
    })
    .context("cannot handle Ctrl-C")
}

/// A line on standard error, whose reader the same Ctrl-C may have ended: then nobody is told, and
/// nothing else changes.
pub fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// While it lives, the first Ctrl-C is left to [`check`] and [`requested`]: for loops, and for
/// steps that are not to be left half way.
#[derive(Debug)]
pub struct Loop(());

impl Loop {
    /// From now on somebody calls [`check`] or [`requested`], or ends soon.
    pub fn enter() -> Loop {
        LOOPS.fetch_add(1, Ordering::SeqCst);
        Loop(())
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        LOOPS.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Whether Ctrl-C was pressed.
pub fn requested() -> bool {
    REQUESTED.load(Ordering::SeqCst)
}

/// Ends a loop after Ctrl-C.
pub fn check() -> anyhow::Result<()> {
    if requested() { Err(Interrupted.into()) } else { Ok(()) }
}

/// Held while a file is written, so that Ctrl-C waits for its last step.
pub fn writing() -> MutexGuard<'static, ()> {
    WRITING.lock().unwrap_or_else(PoisonError::into_inner)
}
