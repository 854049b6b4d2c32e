//! What a device does with a bundle and with every frame, linked and never run.
//!
//! Three entries, so that none is optimised with what the others know: parse and load; judge and
//! decide; the gate. `cargo xtask no-panic` reads the image's symbols: [`gradgate_panicked`] is
//! among them exactly when some panic can be reached. Signatures are not covered: their crate may
//! panic.
#![no_std]
#![no_main]

use core::panic::PanicInfo;

use gradgate_bundle::Bundle;
use gradgate_engine::{Engine, Frame};
use gradgate_gate::{Cause, Gate, Limits, Reason, State, Verdict, decide};

/// A bundle's bytes to an engine; `None` where they are refused.
// SAFETY: no other symbol of the image has this name.
#[unsafe(no_mangle)]
pub fn gradgate_probe_load(bytes: &[u8]) -> Option<Engine<'_>> {
    Engine::load(Bundle::parse(bytes).ok()?).ok()
}

/// One frame to one verdict; the image's entry.
// SAFETY: no other symbol of the image has this name.
#[unsafe(no_mangle)]
pub fn gradgate_probe(engine: &Engine<'_>, frame: Frame<'_>, arena: &mut [f32]) -> Option<Verdict> {
    let limits = engine.bundle().header().detector.as_ref().map(Limits::from);
    let (_, judgement) = engine.judge(frame, arena).ok()?;
    Some(match (judgement, limits) {
        (Some(judgement), Some(limits)) => decide(&judgement, &limits),
        _ => Verdict::Unknown { cause: Cause::NoDetector },
    })
}

/// A verdict, or time without one, to the gate's state.
// SAFETY: no other symbol of the image has this name.
#[unsafe(no_mangle)]
pub fn gradgate_probe_gate(
    engine: &Engine<'_>,
    gate: &mut Option<Gate>,
    now_us: u64,
    verdict: Option<Verdict>,
) -> State {
    if gate.is_none() {
        *gate = Gate::new(&engine.bundle().header().policy).ok();
    }
    let Some(gate) = gate else { return State::Closed(Reason::Fault) };
    match verdict {
        Some(verdict) => gate.observe(now_us, verdict),
        None => gate.tick(now_us),
    };
    gate.state()
}

/// Stands for every panic: not inlined, so that its symbol tells.
// SAFETY: no other symbol of the image has this name.
#[unsafe(no_mangle)]
#[inline(never)]
pub fn gradgate_panicked() -> ! {
    loop {
        core::hint::spin_loop();
    }
}

#[panic_handler]
fn panic(_: &PanicInfo) -> ! {
    gradgate_panicked()
}
