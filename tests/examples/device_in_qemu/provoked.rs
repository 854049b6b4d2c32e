//! Faults of the firmware itself, in an image that can be made to fail: the pin closes, and after
//! the restart the device says why it started.

use std::thread;
use std::time::Duration;

use gradgate_device::log::{Code, Reset};
use gradgate_link::Request;
use gradgate_link::message::Verdict;

use crate::client::Client;
use crate::emulator::{Emulator, Pace};
use crate::image::Symbols;
use crate::rig::Bench;

/// What the image does next; its numbers are those of the board's `provoke.rs`.
const COMMAND: [&str; 1] = ["GRADGATE_PROVOKE_NOW"];
/// Bytes that it took while it sent none.
const HEARD: [&str; 1] = ["GRADGATE_PROVOKE_HEARD"];
/// What it does at its next start.
const AT_START: [&str; 1] = ["GRADGATE_PROVOKE_START"];
/// Opens the word at the start: what lies there after power is no command.
const MARK: u32 = 0x5052_0000;

/// Number of a command, and the reason that the device must give afterwards.
const RESTARTS: [(&str, u32, Reset); 7] = [
    ("the event loop stands still", 1, Reset::Watchdog),
    ("the stack overflows", 2, Reset::Stack),
    ("a bus fault", 3, Reset::Fault),
    ("a panic", 4, Reset::Panic),
    ("no instruction", 5, Reset::Fault),
    ("a jump out of memory", 6, Reset::Fault),
    ("an interrupt that nobody handles", 7, Reset::Fault),
];

/// Each in turn.
pub fn restarts(bench: &Bench) -> String {
    let mut rig = bench.open(&bench.provoke);
    let mut lines = Vec::new();
    for (name, command, reset) in RESTARTS {
        rig.reopen();
        let took = rig.closes(|rig| rig.poke(&COMMAND, 0, command), |_| {});
        assert_eq!(rig.reset_reason(), reset as u8, "{name}");
        assert_eq!(rig.client.logged(Code::Started), [reset as u32], "{name}");
        assert!(!rig.emulator.pin(), "{name}");
        lines.push(format!("{name}: {took}"));
    }
    lines.join(", ")
}

/// Nobody takes what the device sends: frames are judged all the same, what is told falls out of
/// the queue, and the count of it is told.
pub fn queue_overflow(bench: &Bench) -> String {
    let mut rig = bench.open(&bench.provoke);
    rig.client.done(&Request::SetStream { every: 1 }).expect("taken");
    let pixels = bench.frame.len();
    let frames = [vec![0; pixels], vec![255; pixels], [0, 255].repeat(pixels / 2)];
    let is_blocked = |frame: &&Vec<u8>| rig.client.judge(1, frame).verdict == Verdict::Block;
    let blocked = frames.iter().find(is_blocked);
    let blocked = blocked.expect("a frame that is blocked");
    rig.reopen();
    let mut poured = 0;
    let took = rig.closes(
        |rig| {
            rig.poke(&COMMAND, 0, 8);
            poured = rig.client.pour_frames(30, blocked) as u32;
        },
        |_| {},
    );
    let heard = rig.symbols.only(&HEARD);
    while rig.emulator.register(heard) < poured {
        thread::sleep(Duration::from_millis(10));
    }
    rig.poke(&COMMAND, 0, 9);
    rig.client.hello().expect("a device that answers");
    rig.client.health();
    let dropped = rig.client.dropped();
    assert!(dropped > 0, "nothing was lost: {:?}", rig.client.told);
    assert_eq!(rig.client.health().reset, Reset::Power as u8, "it did not restart");
    let lost: u32 = rig.client.logged(Code::Overflow).iter().sum();
    rig.reopen();
    format!("{took}, {dropped} of telemetry dropped, {lost} bytes lost")
}

const DEFAULT_NAN: u32 = 1 << 25;
/// Float modes that were left behind by somebody else.
const MODES: [(&str, u32); 5] = [
    ("flush to zero", 1 << 24),
    ("default NaN", DEFAULT_NAN),
    ("round up", 1 << 22),
    ("round to zero", 3 << 22),
    ("all of them", 7 << 22),
];

/// Left behind before the device starts, they are overwritten. Set after that, no bundle loads
/// where the mode changes a result; what NaN looks like changes none, as every NaN is refused.
pub fn float_modes(bench: &Bench) -> String {
    let symbols = Symbols::read(&bench.provoke);
    let mut emulator = Emulator::boot(&bench.provoke, &bench.flash("modes"), Pace::Host);
    let mut client = Client::open(emulator.port()).expect("a device that answers");
    let right = client.judge(1, &bench.frame);
    assert_eq!(right.verdict, Verdict::Pass);
    for (name, mode) in MODES {
        for late in [false, true] {
            let word = MARK | mode >> 16 | u32::from(late);
            emulator.poke(symbols.only(&AT_START), &word.to_le_bytes());
            emulator.reset();
            client.hello().expect("a device that answers");
            let refused = client.logged(Code::FailState).len() == 1;
            assert_eq!(refused, late && mode != DEFAULT_NAN, "{name}, late: {late}");
            if refused {
                assert!(!emulator.pin());
                continue;
            }
            let seen = client.judge(2, &bench.frame);
            assert_eq!(seen.score.to_bits(), right.score.to_bits(), "{name}");
        }
    }
    format!("{} modes, each before and after the start", MODES.len())
}

/// The released image has nothing of all this.
pub fn released_image(bench: &Bench) -> String {
    let count = |image| Symbols::read(image).find(&["PROVOKE"]).len();
    assert_eq!(count(&bench.image), 0);
    assert_eq!(count(&bench.provoke), 3);
    "cannot be provoked".to_owned()
}
