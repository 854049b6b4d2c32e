//! What the host reads of a device: the host's own link, asking one thing after the other.

use gradgate_field::Keyring;
use gradgate_field::keys::LinkKey;
use gradgate_field::link::{Link, Patience, Poll};
use gradgate_link::Request;
use gradgate_link::frame::DELIMITER;
use gradgate_link::message::{Reply, Welcome, events};
use gradgate_link::packet::{Header, Kind};

use super::{KEY, SESSION, framed, messages};

/// The random number that the host drew.
pub const NONCE: u64 = 0x1234_5678_9ABC_DEF0;

/// What is asked, again and again.
const ASKED: [Request<'static>; 4] = [
    Request::Identify,
    Request::ListSlots,
    Request::ReadLog { from: 0 },
    Request::ReadEvidence { event: 0, offset: 0 },
];

/// Whether the host took an answer.
pub(in crate::doors) fn read(bytes: &[u8]) -> bool {
    let answered = heard(bytes);
    heard(&forged(bytes));
    answered
}

/// A welcome, then the messages as a device would send them.
fn forged(bytes: &[u8]) -> Vec<u8> {
    let (mut stream, mut answers, mut told) = (welcome(NONCE), 0, 0);
    for (kind, body) in messages(bytes) {
        let kind = kind.unwrap_or(Kind::Reply);
        let (session, sequence) = match kind {
            Kind::Telemetry => (SESSION, &mut told),
            _ => (SESSION, &mut answers),
        };
        *sequence += u32::from(kind != Kind::Welcome);
        let sequence = if kind == Kind::Welcome { 0 } else { *sequence };
        stream.extend(framed(Header { kind, session, sequence }, &body, &KEY));
    }
    stream
}

/// The frame of a welcome.
///
/// # Panics
/// Never: it is short.
pub fn welcome(nonce: u64) -> Vec<u8> {
    let welcome = Welcome { version: 1, nonce, window: 4, packet_bytes_max: 4092, serial: [7; 16] };
    let body = postcard::to_allocvec(&welcome).expect("plain data");
    framed(Header { kind: Kind::Welcome, session: SESSION, sequence: 0 }, &body, &KEY)
}

/// Gives the bytes to a host that asks, frame by frame; whether it took an answer.
fn heard(bytes: &[u8]) -> bool {
    let patience =
        Patience { timeout_ms: 50, tries: 2, silence_ms: 400, work_ms: 400, busy_ms: 400 };
    let mut link = Link::new(Keyring::link(LinkKey::new(KEY)), patience);
    let (mut now_ms, mut answers) = (0, 0);
    ask(&mut link, now_ms, &mut answers);
    for frame in bytes.split_inclusive(|&byte| byte == DELIMITER) {
        now_ms += 1;
        link.receive(frame, now_ms);
        ask(&mut link, now_ms, &mut answers);
    }
    // The host comes to an end whatever it heard.
    for _ in 0..100 {
        now_ms += 50;
        ask(&mut link, now_ms, &mut answers);
    }
    answers > 0
}

/// Polls until the link waits, and uses what it took.
fn ask(link: &mut Link, now_ms: u64, answers: &mut usize) {
    for _ in 0..20 {
        let request = &ASKED[*answers % ASKED.len()];
        match link.poll(now_ms, &mut || NONCE, request) {
            Ok(Poll::Send) => assert!(!link.frame().is_empty(), "nothing to send"),
            Ok(Poll::Wait(until_ms)) => {
                assert!(until_ms > now_ms, "a wait for what has passed");
                break;
            }
            Ok(Poll::Answered { .. }) => {
                *answers += 1;
                match link.reply() {
                    Some(Reply::Log { events: bytes, .. }) => {
                        assert!(events(bytes).count() <= bytes.len());
                    }
                    reply => assert!(!format!("{reply:?}").is_empty()),
                }
            }
            Err(error) => {
                assert!(!error.to_string().is_empty());
                break;
            }
        }
    }
    while let Some((_, telemetry)) = link.take_telemetry() {
        assert!(!format!("{telemetry:?}").is_empty());
    }
}
