//! Messages, packets and a frame against the golden bytes of SPEC.md, both ways.

use std::collections::BTreeMap;
use std::fmt::Debug;

use gradgate_link::frame::encode;
use gradgate_link::message::{
    Counters, Event, Evidence, Hello, Identity, Judged, Reply, Request, Slot, SlotState, Status,
    Verdict, Welcome, events, push_event,
};
use gradgate_link::packet::{Header, Kind, Packet, message, write};
use gradgate_link::{Decoder, Key, Refusal, Telemetry};
use serde::{Deserialize, Serialize};

const JUDGED: Judged = Judged {
    frame: 300,
    time_us: 1_000_000,
    class: 7,
    verdict: Verdict::Block,
    reason: 2,
    score: 1.5,
    p_value: 0.25,
};
const EVENT: Event = Event { time_us: 1_000_000, code: 513, value: 70_000 };
const SESSION: u64 = (5 << 32) | 1;

/// The rows that no test has compared yet.
struct Golden(BTreeMap<&'static str, Vec<u8>>);

impl Golden {
    fn read() -> Golden {
        let text = include_str!("../SPEC.md");
        let rows = text.split_once("## Golden bytes").expect("the section is there").1;
        let rows = rows.lines().filter_map(|line| line.strip_prefix("| ")?.split_once(" | `"));
        Golden(
            rows.map(|(name, bytes)| {
                let bytes = bytes.trim_end_matches("` |").split(' ');
                let bytes = bytes.map(|byte| u8::from_str_radix(byte, 16).expect("hexadecimal"));
                (name, bytes.collect())
            })
            .collect(),
        )
    }

    fn take(&mut self, name: &str) -> Vec<u8> {
        self.0.remove(name).unwrap_or_else(|| panic!("SPEC.md has no golden bytes of '{name}'"))
    }
}

fn refuses_other_lengths<'b, M: Deserialize<'b> + PartialEq + Debug>(name: &str, bytes: &[u8]) {
    for end in 0..bytes.len() {
        let cut: &'b [u8] = bytes[..end].to_vec().leak();
        assert_eq!(message::<M>(cut), None, "{name} cut to {end}");
    }
    let longer: &'b [u8] = [bytes, &[0]].concat().leak();
    assert_eq!(message::<M>(longer), None, "{name} and a byte");
}

fn requests() -> [(&'static str, Request<'static>); 23] {
    let digest = core::array::from_fn(|at| at as u8);
    let (frame, age_us, width, height) = (300, 70_000, 160, 120);
    [
        ("identify", Request::Identify),
        ("list slots", Request::ListSlots),
        ("upload begin", Request::UploadBegin { total_bytes: 70_000, digest, prefix: b"GRAD" }),
        ("upload chunk", Request::UploadChunk { offset: 512, bytes: &[1, 2, 3] }),
        ("upload finish", Request::UploadFinish),
        ("verify", Request::Verify { slot: 1 }),
        ("activate", Request::Activate { slot: 1 }),
        ("confirm", Request::Confirm),
        ("revert", Request::Revert),
        ("erase inactive", Request::EraseInactive),
        (
            "send frame",
            Request::SendFrame { frame: 300, offset: 0, total_bytes: 3072, bytes: &[9, 8] },
        ),
        ("set stream", Request::SetStream { every: 300 }),
        ("read log", Request::ReadLog { from: 300 }),
        ("read counters", Request::ReadCounters),
        ("reboot", Request::Reboot),
        ("start frame", Request::StartFrame { frame, age_us, width, height, format: 4 }),
        ("read features", Request::ReadFeatures { from: 300 }),
        ("read evidence", Request::ReadEvidence { event: 5, offset: 300 }),
        ("read histogram", Request::ReadHistogram),
        ("set histogram", Request::SetHistogram { low: -1.5, high: 1.5 }),
        ("read status", Request::ReadStatus),
        ("provision", Request::Provision { name: "dock", public_key: digest, link_key: [7; 32] }),
        ("read upload", Request::ReadUpload),
    ]
}

fn identity() -> Identity<'static> {
    Identity {
        board: "mps2",
        firmware: "0.1",
        serial: core::array::from_fn(|at| at as u8),
        device_class: 1,
        container_version: 1,
        arena_bytes: 307_200,
        slot_bytes: 1_048_576,
        security_counter: 3,
    }
}

fn slots() -> [Slot; 2] {
    let identity = core::array::from_fn(|at| at as u8);
    let state = SlotState::Confirmed;
    let full = Slot { state, total_bytes: 70_000, identity, security_counter: 3 };
    let state = SlotState::Empty;
    [full, Slot { state, total_bytes: 0, identity: [0; 32], security_counter: 0 }]
}

fn evidence() -> Evidence<'static> {
    Evidence {
        first: 2,
        next: 6,
        event: 5,
        time_us: 1_000_000,
        closed: 2,
        frame: 300,
        verdict: Verdict::Block,
        reason: 2,
        class: 7,
        score: 1.5,
        features: 60,
        input_bytes: 3072,
        offset: 300,
        bytes: &[9, 8],
    }
}

fn status() -> Status<'static> {
    Status {
        time_us: 1_000_000,
        name: "dock",
        provisioned: true,
        key_id: [1, 2, 3, 4, 5, 6, 7, 8],
        boots: 300,
        reset: 2,
        open: true,
        reason: 0,
        enforce: true,
        threshold: 1.5,
        frame_period_us: 100_000,
        verdict_us: 70_000,
        rehashes: 300,
        stack_bytes: 16_384,
        stack_used: 300,
    }
}

fn replies() -> [(&'static str, Reply<'static>); 14] {
    let counters = Counters {
        time_us: 1_000_000,
        passed: 1,
        blocked: 2,
        unknown: 3,
        closed: 4,
        missed: 5,
        link_good: 6,
        link_bad: 7,
        link_refused: 8,
        telemetry_dropped: 300,
    };
    let mut log = [0; 64];
    let one = push_event(&EVENT, &mut log, 0).expect("fits");
    let two = push_event(&EVENT, &mut log, one).expect("fits");
    let log: &[u8] = log[..two].to_vec().leak();
    assert_eq!(events(log).collect::<Vec<_>>(), [EVENT, EVENT]);
    [
        ("busy", Reply::Busy),
        ("refused", Reply::Refused(Refusal::Storage)),
        ("done", Reply::Done),
        ("identity", Reply::Identity(identity())),
        ("slots", Reply::Slots { active: Some(0), slots: slots() }),
        ("upload", Reply::Upload { offset: 512 }),
        ("judged", Reply::Judged(JUDGED)),
        ("log", Reply::Log { first: 7, next: 9, events: log }),
        ("counters", Reply::Counters(counters)),
        (
            "features",
            Reply::Features { frame: 300, first: 1, total: 300, values: &[0, 0, 192, 63] },
        ),
        ("evidence", Reply::Evidence(evidence())),
        (
            "histogram",
            Reply::Histogram { low: -1.5, high: 1.5, threshold: 0.25, counts: &[1, 0, 0, 0] },
        ),
        ("status", Reply::Status(status())),
        (
            "unfinished",
            Reply::Unfinished {
                slot: 1,
                identity: core::array::from_fn(|at| at as u8),
                offset: 512,
                total_bytes: 70_000,
            },
        ),
    ]
}

fn telemetry() -> [(&'static str, Telemetry); 4] {
    [
        ("judged", Telemetry::Judged(JUDGED)),
        ("gate", Telemetry::Gate { time_us: 1_000_000, open: false, reason: 2 }),
        ("logged", Telemetry::Logged(EVENT)),
        ("dropped", Telemetry::Dropped { count: 300 }),
    ]
}

/// A macro, as messages that borrow are a type for every lifetime.
macro_rules! compare {
    ($golden:expr, $type:ty, $name:expr, $value:expr) => {{
        let (name, value): (String, $type) = ($name, $value);
        let bytes: &'static [u8] = $golden.take(&name).leak();
        let mut out = [0; 512];
        assert_eq!(postcard::to_slice(&value, &mut out).expect("fits"), bytes, "{name}");
        assert_eq!(message::<$type>(bytes), Some(value), "{name}");
        refuses_other_lengths::<$type>(&name, bytes);
    }};
}

fn compare_packets(golden: &mut Golden) {
    let key = Key::new(&core::array::from_fn(|at| at as u8));
    let nonce = 0x0123_4567_89AB_CDEF;
    let hello = Hello { version_min: 1, version_max: 1, nonce };
    compare!(golden, Hello, "hello".to_owned(), hello);
    let serial = core::array::from_fn(|at| 0xF0 + at as u8);
    let welcome = Welcome { version: 1, nonce, window: 4, packet_bytes_max: 4092, serial };
    compare!(golden, Welcome, "welcome".to_owned(), welcome);
    let gate = Sent::Telemetry(telemetry()[1].1);
    let table = [
        ("packet hello", Kind::Hello, 0, 0, Sent::Hello(hello)),
        ("packet welcome", Kind::Welcome, SESSION, 0, Sent::Welcome(welcome)),
        ("packet reply", Kind::Reply, SESSION, 1, Sent::Reply(Reply::Done)),
        ("packet telemetry", Kind::Telemetry, SESSION, 1, gate),
        ("packet command", Kind::Command, SESSION, 1, Sent::Request(Request::Verify { slot: 1 })),
    ];
    let mut command = Vec::new();
    for (name, kind, session, sequence, sent) in table {
        let mut out = [0; 256];
        let length = write(Header { kind, session, sequence }, &sent, &key, &mut out);
        let bytes = golden.take(name);
        assert_eq!(&out[..length.expect("fits")], bytes, "{name}");
        let parsed = Packet::parse(&bytes).expect("golden bytes are a packet");
        let found = (parsed.kind, parsed.session, parsed.sequence, parsed.is_authentic(&key));
        assert_eq!(found, (kind, session, sequence, kind.is_tagged()), "{name}");
        command = bytes;
    }

    let (frame, mut out) = (golden.take("frame command"), [0; 256]);
    let length = encode(&command, &mut out).expect("fits");
    assert_eq!(out[..length], frame);
    assert_eq!(Decoder::<64>::new().feed(&mut &frame[..]), Some(&command[..]));
}

/// Any message, written as what it holds.
#[derive(Clone, Copy, Serialize)]
#[serde(untagged)]
enum Sent {
    Hello(Hello),
    Welcome(Welcome),
    Request(Request<'static>),
    Reply(Reply<'static>),
    Telemetry(Telemetry),
}

#[test]
fn every_message_has_its_golden_bytes() {
    let mut golden = Golden::read();
    for (name, request) in requests() {
        compare!(golden, Request<'static>, format!("request {name}"), request);
    }
    for (name, reply) in replies() {
        compare!(golden, Reply<'static>, format!("reply {name}"), reply);
    }
    for (name, telemetry) in telemetry() {
        compare!(golden, Telemetry, format!("telemetry {name}"), telemetry);
    }
    compare_packets(&mut golden);
    let left: Vec<&str> = golden.0.into_keys().collect();
    assert!(left.is_empty(), "golden bytes that nothing compares: {left:?}");
}
