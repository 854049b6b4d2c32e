//! Streams of the link, in both directions.

use gradgate_link::frame::{FRAME_BYTES_MAX, encode};
use gradgate_link::message::{
    Counters, Evidence, Hello, Identity, Judged, Refusal, Reply, Request, Slot, SlotState, Verdict,
};
use gradgate_link::packet::{Header, Kind};
use gradgate_link::telemetry::Telemetry;
use gradgate_tests::doors::link::answers::{NONCE, welcome};
use gradgate_tests::doors::link::{KEY, SESSION, framed};
use serde::Serialize;

use crate::{Seed, seed};

fn body(message: &impl Serialize) -> Vec<u8> {
    postcard::to_allocvec(message).expect("plain data")
}

fn frame(kind: Kind, session: u64, sequence: u32, message: &impl Serialize) -> Vec<u8> {
    framed(Header { kind, session, sequence }, &body(message), &KEY)
}

fn hello() -> Vec<u8> {
    frame(Kind::Hello, 0, 0, &Hello { version_min: 1, version_max: 1, nonce: NONCE })
}

/// A packet of that many bytes in which nothing is right but the frame.
fn long(bytes: usize) -> Vec<u8> {
    let mut out = [0; FRAME_BYTES_MAX];
    let length = encode(&vec![3; bytes.min(4092)], &mut out).expect("it fits");
    let mut out = out[..length].to_vec();
    let place = out.len() - 2;
    out.splice(place..place, vec![7; bytes.saturating_sub(4092)]);
    out
}

fn commands() -> Vec<(&'static str, Request<'static>)> {
    let piece =
        |offset, total_bytes, bytes| Request::SendFrame { frame: 9, offset, total_bytes, bytes };
    let start =
        |age_us, width, format| Request::StartFrame { frame: 9, age_us, width, height: 4, format };
    vec![
        ("identify", Request::Identify),
        ("list_slots", Request::ListSlots),
        ("upload", Request::UploadBegin { total_bytes: 400, digest: [1; 32], prefix: &[0; 320] }),
        ("upload_short", Request::UploadBegin { total_bytes: 0, digest: [1; 32], prefix: &[] }),
        ("chunk", Request::UploadChunk { offset: 0, bytes: &[5; 64] }),
        ("finish", Request::UploadFinish),
        ("verify", Request::Verify { slot: 0 }),
        ("activate", Request::Activate { slot: 1 }),
        ("confirm", Request::Confirm),
        ("revert", Request::Revert),
        ("erase", Request::EraseInactive),
        ("frame", piece(0, 48, &[8; 48])),
        ("frame_piece", piece(0, 48, &[8; 20])),
        ("frame_beyond", piece(u32::MAX, u32::MAX, &[8; 20])),
        ("stream", Request::SetStream { every: 1 }),
        ("log", Request::ReadLog { from: 0 }),
        ("counters", Request::ReadCounters),
        ("reboot", Request::Reboot),
        ("start", start(0, 4, 0)),
        ("start_large", start(u32::MAX, u16::MAX, 5)),
        ("start_format", start(0, 4, 200)),
        ("features", Request::ReadFeatures { from: 0 }),
        ("evidence", Request::ReadEvidence { event: 0, offset: 0 }),
        ("histogram", Request::ReadHistogram),
        ("set_histogram", Request::SetHistogram { low: f32::NAN, high: f32::INFINITY }),
        ("status", Request::ReadStatus),
        ("provision", Request::Provision { name: "dock", public_key: [0; 32], link_key: [9; 32] }),
    ]
}

pub fn requests() -> Vec<Seed> {
    let command =
        |session, sequence, request: &Request<'_>| frame(Kind::Command, session, sequence, request);
    let mut seeds: Vec<Seed> = commands()
        .iter()
        .map(|(name, request)| {
            let bytes = [hello(), command(SESSION, 1, request)].concat();
            seed(&format!("valid-{name}.bin"), bytes)
        })
        .collect();
    let camera = commands();
    let wanted = ["stream", "start", "frame", "features", "log", "verify", "frame_piece"];
    let whole = (1..).zip(wanted).flat_map(|(sequence, name)| {
        let found = camera.iter().find(|(known, _)| *known == name).expect("a command");
        command(SESSION, sequence, &found.1)
    });
    seeds.push(seed("valid-session.bin", whole.collect::<Vec<u8>>()));
    let right = command(SESSION, 1, &Request::Identify);
    let mut wrong = framed(
        Header { kind: Kind::Command, session: SESSION, sequence: 1 },
        &body(&Request::Reboot),
        &[0x5B; 32],
    );
    seeds.push(seed("attack-other_key.bin", wrong.clone()));
    wrong.clone_from(&right);
    let middle = wrong.len() / 2;
    wrong[middle] ^= 4;
    seeds.extend([
        seed("attack-one_bit.bin", wrong),
        seed("attack-session_before.bin", command(1 << 32 | 1, 1, &Request::Reboot)),
        seed("attack-no_session.bin", command(0, 1, &Request::Reboot)),
        seed("attack-ahead.bin", command(SESSION, 2, &Request::Reboot)),
        seed("attack-sequence_zero.bin", command(SESSION, 0, &Request::Reboot)),
        seed("attack-cut.bin", &right[..right.len() - 3]),
        seed("attack-too_long.bin", long(6000)),
        seed("attack-longest.bin", long(4092)),
        seed("attack-reply_as_command.bin", frame(Kind::Reply, SESSION, 1, &Request::Reboot)),
        seed(
            "other-unknown_message.bin",
            framed(
                Header { kind: Kind::Command, session: SESSION, sequence: 1 },
                &[200, 1, 2, 3],
                &KEY,
            ),
        ),
    ]);
    seeds
}

fn replies() -> Vec<(&'static str, Reply<'static>)> {
    let judged = Judged {
        frame: 1,
        time_us: 2,
        class: 3,
        verdict: Verdict::Block,
        reason: 1,
        score: f32::NAN,
        p_value: 0.5,
    };
    let slot =
        Slot { state: SlotState::Trial, total_bytes: 9, identity: [1; 32], security_counter: 2 };
    let identity = Identity {
        board: "door",
        firmware: "0",
        serial: [7; 16],
        device_class: 1,
        container_version: 1,
        arena_bytes: 4,
        slot_bytes: 5,
        security_counter: 6,
    };
    let evidence = Evidence {
        first: 0,
        next: 1,
        event: 0,
        time_us: 5,
        closed: 1,
        frame: 2,
        verdict: Verdict::Block,
        reason: 1,
        class: 0,
        score: 1.0,
        features: 1,
        input_bytes: 4,
        offset: 0,
        bytes: &[0, 0, 128, 63, 1, 2, 3, 4],
    };
    vec![
        ("refused", Reply::Refused(Refusal::Range)),
        ("done", Reply::Done),
        ("identity", Reply::Identity(identity)),
        ("slots", Reply::Slots { active: Some(1), slots: [slot, slot] }),
        ("upload", Reply::Upload { offset: 7 }),
        ("judged", Reply::Judged(judged)),
        ("log", Reply::Log { first: 0, next: 9, events: &[9, 16, 192, 132, 61, 129, 4, 1, 2, 3] }),
        ("counters", Reply::Counters(Counters::default())),
        ("features", Reply::Features { frame: 1, first: 0, total: 1, values: &[0, 0, 128, 63] }),
        ("evidence", Reply::Evidence(evidence)),
    ]
}

pub fn answers() -> Vec<Seed> {
    let reply = |sequence, reply: &Reply<'_>| frame(Kind::Reply, SESSION, sequence, reply);
    let mut seeds: Vec<Seed> = replies()
        .iter()
        .map(|(name, said)| {
            seed(&format!("valid-{name}.bin"), [welcome(NONCE), reply(1, said)].concat())
        })
        .collect();
    let telemetry =
        [Telemetry::Gate { time_us: 1, open: true, reason: 0 }, Telemetry::Dropped { count: 3 }];
    let told: Vec<u8> = (1..)
        .zip(&telemetry)
        .flat_map(|(sequence, told)| frame(Kind::Telemetry, SESSION, sequence, told))
        .collect();
    let all = (1..).zip(replies()).flat_map(|(sequence, (_, said))| reply(sequence, &said));
    let all: Vec<u8> = all.collect();
    seeds.push(seed("valid-session.bin", [welcome(NONCE), told.clone(), all].concat()));
    let done = reply(1, &Reply::Done);
    let header = Header { kind: Kind::Reply, session: SESSION, sequence: 1 };
    let other = framed(header, &body(&Reply::Done), &[0x5B; 32]);
    seeds.extend([
        seed("attack-other_key.bin", [welcome(NONCE), other].concat()),
        seed("attack-another_nonce.bin", [welcome(NONCE + 1), done.clone()].concat()),
        seed("attack-no_welcome.bin", done.clone()),
        seed("attack-another_sequence.bin", [welcome(NONCE), reply(2, &Reply::Done)].concat()),
        seed(
            "attack-another_session.bin",
            [welcome(NONCE), frame(Kind::Reply, SESSION + 1, 1, &Reply::Done)].concat(),
        ),
        seed(
            "attack-busy_forever.bin",
            [welcome(NONCE), (0..40).flat_map(|_| reply(1, &Reply::Busy)).collect()].concat(),
        ),
        seed("attack-telemetry_alone.bin", told),
        seed("attack-too_long.bin", [welcome(NONCE), long(6000)].concat()),
        seed("attack-cut.bin", [welcome(NONCE), done[..done.len() - 3].to_vec()].concat()),
        seed(
            "other-unknown_message.bin",
            [welcome(NONCE), framed(header, &[200, 1, 2, 3], &KEY)].concat(),
        ),
    ]);
    seeds
}
