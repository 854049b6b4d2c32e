//! What is new, what is a repeat, what is nothing: a device and a host without a wire between.

use gradgate_link::frame::PACKET_BYTES_MAX;
use gradgate_link::message::{Hello, Refusal, Reply, Request, Welcome};
use gradgate_link::packet::{Header, Kind, Packet, message, write};
use gradgate_link::session::{
    AnswerError, Heard, Ignored, Poll, REPLY_BYTES_MAX, Received, RequestError, Ticket, Timing,
    WINDOW,
};
use gradgate_link::{Key, Requester, Responder, Telemetry};

fn key() -> Key {
    Key::new(&[3; 32])
}

fn device() -> Responder {
    Responder::new(key(), 9, PACKET_BYTES_MAX as u16)
}

fn host() -> Requester {
    Requester::new(key(), Timing { timeout_ms: 100, tries: 3 })
}

fn hello() -> Vec<u8> {
    let mut out = [0; 64];
    let hello = Hello { version_min: 1, version_max: 3, nonce: 77 };
    let header = Header { kind: Kind::Hello, session: 0, sequence: 0 };
    let length = write(header, &hello, &key(), &mut out).unwrap();
    out[..length].to_vec()
}

fn command(session: u64, sequence: u32, request: &Request<'_>) -> Vec<u8> {
    let mut out = [0; PACKET_BYTES_MAX];
    let header = Header { kind: Kind::Command, session, sequence };
    let length = write(header, request, &key(), &mut out).unwrap();
    out[..length].to_vec()
}

/// The session that the device offers.
fn offered(device: &mut Responder) -> u64 {
    let mut out = [0; PACKET_BYTES_MAX];
    let hello = hello();
    let Ok(Received::Send(length)) = device.receive(&hello, &mut out) else {
        panic!("a hello is answered");
    };
    let packet = Packet::parse(&out[..length]).unwrap();
    assert!(packet.kind == Kind::Welcome && packet.is_authentic(&key()));
    let welcome: Welcome = message(packet.body).unwrap();
    assert_eq!((welcome.version, welcome.nonce, welcome.window), (1, 77, WINDOW as u8));
    packet.session
}

/// Hands a command to the device, which must execute it.
fn ticket(device: &mut Responder, session: u64, sequence: u32) -> Ticket {
    let mut out = [0; PACKET_BYTES_MAX];
    match device.receive(&command(session, sequence, &Request::Confirm), &mut out) {
        Ok(Received::Execute(ticket, Request::Confirm)) => ticket,
        other => panic!("{sequence} is not executed but {other:?}"),
    }
}

/// The reply that the device sends for a command that it does not execute.
fn reply_to(device: &mut Responder, packet: &[u8]) -> Result<Reply<'static>, Ignored> {
    let mut out = [0; PACKET_BYTES_MAX];
    match device.receive(packet, &mut out)? {
        Received::Execute(..) => panic!("executed"),
        Received::Send(length) => {
            let packet = Packet::parse(out[..length].to_vec().leak()).unwrap();
            assert!(packet.kind == Kind::Reply && packet.is_authentic(&key()));
            Ok(message(packet.body).unwrap())
        }
    }
}

#[test]
fn a_command_is_executed_once_and_its_answer_repeated() {
    let (mut device, mut out) = (device(), [0; PACKET_BYTES_MAX]);
    let session = offered(&mut device);
    for sequence in 1..=20 {
        let ticket = ticket(&mut device, session, sequence);
        let again = command(session, sequence, &Request::Confirm);
        assert_eq!(reply_to(&mut device, &again), Err(Ignored::Pending));
        let reply = Reply::Upload { offset: sequence };
        device.answer(&ticket, &reply, &mut out).unwrap();
        for age in 0..sequence {
            let old = sequence - age;
            let expected = match (age as usize) < WINDOW {
                true => Ok(Reply::Upload { offset: old }),
                false => Err(Ignored::Stale),
            };
            let again = command(session, old, &Request::Confirm);
            assert_eq!(reply_to(&mut device, &again), expected, "{old} after {sequence}");
        }
        for (other, ignored) in [(0, Ignored::Stale), (sequence + 2, Ignored::Ahead)] {
            let packet = command(session, other, &Request::Confirm);
            assert_eq!(reply_to(&mut device, &packet), Err(ignored), "{other} after {sequence}");
        }
    }
    assert_eq!(device.counts().executed, 20);
}

#[test]
fn a_device_with_enough_to_do_says_so_and_takes_the_command_later() {
    let (mut device, mut out) = (device(), [0; PACKET_BYTES_MAX]);
    let session = offered(&mut device);
    let tickets: Vec<_> = (1..=4).map(|sequence| ticket(&mut device, session, sequence)).collect();
    let fifth = command(session, 5, &Request::Confirm);
    assert_eq!(reply_to(&mut device, &fifth), Ok(Reply::Busy));
    device.answer(&tickets[1], &Reply::Done, &mut out).unwrap();
    assert_eq!(reply_to(&mut device, &fifth), Ok(Reply::Busy), "the oldest is still under way");
    device.answer(&tickets[0], &Reply::Done, &mut out).unwrap();
    ticket(&mut device, session, 5);
    assert_eq!(device.counts().busy, 2);
}

#[test]
fn a_hello_ends_no_session_but_the_first_command_after_it_does() {
    let (mut device, mut out) = (device(), [0; PACKET_BYTES_MAX]);
    let first = offered(&mut device);
    assert_eq!(offered(&mut device), first, "nobody took it yet");
    let old = ticket(&mut device, first, 1);
    let second = offered(&mut device);
    assert_ne!(second, first);
    ticket(&mut device, first, 2);
    let late = command(second, 2, &Request::Confirm);
    assert_eq!(reply_to(&mut device, &late), Err(Ignored::Ahead), "a session opens with 1");
    ticket(&mut device, first, 3);
    ticket(&mut device, second, 1);
    let packet = command(first, 4, &Request::Confirm);
    assert_eq!(reply_to(&mut device, &packet), Err(Ignored::Session));
    let answered = device.answer(&old, &Reply::Done, &mut out);
    assert_eq!(answered, Err(AnswerError::Session), "nobody waits for it");
}

#[test]
fn strangers_are_ignored() {
    let (mut device, mut out) = (device(), [0; PACKET_BYTES_MAX]);
    let session = offered(&mut device);
    let good = command(session, 1, &Request::Reboot);
    for bit in 0..good.len() * 8 {
        let mut wrong = good.clone();
        wrong[bit / 8] ^= 1 << (bit % 8);
        assert!(device.receive(&wrong, &mut out).is_err(), "bit {bit}");
    }
    for end in 0..good.len() {
        assert!(device.receive(&good[..end], &mut out).is_err(), "{end} bytes");
    }
    let mut answer = good.clone();
    answer[0] = Kind::Reply as u8;
    assert_eq!(device.receive(&answer, &mut out), Err(Ignored::Malformed));
    assert!(!device.is_open());
    assert!(matches!(device.receive(&good, &mut out), Ok(Received::Execute(_, Request::Reboot))));
}

#[test]
fn a_request_of_a_newer_host_is_refused_and_counted_on() {
    let mut device = device();
    let session = offered(&mut device);
    let mut out = [0; 64];
    let header = Header { kind: Kind::Command, session, sequence: 1 };
    let length = write(header, &200_u8, &key(), &mut out).unwrap();
    assert_eq!(reply_to(&mut device, &out[..length]), Ok(Reply::Refused(Refusal::Unknown)));
    ticket(&mut device, session, 2);
}

#[test]
fn answers_that_cannot_be_kept_are_not_taken() {
    let (mut device, mut out) = (device(), [0; PACKET_BYTES_MAX]);
    let session = offered(&mut device);
    let ticket = ticket(&mut device, session, 1);
    let long = Reply::Log { first: 0, next: 0, events: &[0; REPLY_BYTES_MAX] };
    assert_eq!(device.answer(&ticket, &long, &mut out), Err(AnswerError::Long));
    assert_eq!(device.answer(&ticket, &Reply::Busy, &mut out), Err(AnswerError::Busy));
    let again = command(session, 1, &Request::Confirm);
    assert_eq!(reply_to(&mut device, &again), Err(Ignored::Pending), "still unanswered");
    assert!(device.answer(&ticket, &Reply::Done, &mut out).is_ok());
}

#[test]
fn versions_without_a_common_one_open_nothing() {
    let (mut device, mut out, mut sent) = (device(), [0; PACKET_BYTES_MAX], [0; 64]);
    let nonce = 5;
    host().hello(nonce, 0);
    for (version_min, version_max, version) in [(2, 9, 0), (0, 0, 0), (0, 1, 1), (1, 1, 1)] {
        let hello = Hello { version_min, version_max, nonce };
        let header = Header { kind: Kind::Hello, session: 0, sequence: 0 };
        let length = write(header, &hello, &key(), &mut sent).unwrap();
        let Ok(Received::Send(length)) = device.receive(&sent[..length], &mut out) else {
            panic!("a hello is answered");
        };
        let mut host = host();
        host.hello(nonce, 0);
        let heard = host.receive(&out[..length], 0);
        assert_eq!(matches!(heard, Heard::Open(_)), version == 1, "{version_min} {version_max}");
        assert_eq!(heard == Heard::Versions, version == 0, "{version_min} {version_max}");
        assert_eq!(host.is_open(), version == 1);
    }
}

#[test]
fn a_host_takes_no_old_welcome_and_no_old_answer() {
    let (mut device, mut host, mut out) = (device(), host(), [0; PACKET_BYTES_MAX]);
    let first = host.hello(1, 0).to_vec();
    let Ok(Received::Send(length)) = device.receive(&first, &mut out) else { panic!() };
    let old = out[..length].to_vec();
    let second = host.hello(2, 0).to_vec();
    assert_eq!(host.receive(&old, 0), Heard::Nothing, "another nonce");
    let Ok(Received::Send(length)) = device.receive(&second, &mut out) else { panic!() };
    assert!(matches!(host.receive(&out[..length], 0), Heard::Open(_)));
    let mut answers = Vec::<Vec<u8>>::new();
    for _ in 0..3 {
        let packet = host.request(&Request::Confirm, 0).unwrap().to_vec();
        assert_eq!(host.request(&Request::Confirm, 0), Err(RequestError::Waiting));
        let Ok(Received::Execute(ticket, _)) = device.receive(&packet, &mut out) else { panic!() };
        for old in &answers {
            assert_eq!(host.receive(old, 0), Heard::Nothing);
        }
        let length = device.answer(&ticket, &Reply::Done, &mut out).unwrap();
        answers.push(out[..length].to_vec());
        assert_eq!(host.receive(&out[..length], 0), Heard::Reply(Reply::Done));
        assert_eq!(host.receive(&out[..length], 0), Heard::Nothing, "twice");
    }
}

#[test]
fn a_host_sends_again_in_time_and_gives_up() {
    let mut host = host();
    assert_eq!(host.poll(0), Poll::Idle);
    assert_eq!(host.request(&Request::Reboot, 0), Err(RequestError::Closed));
    let hello = host.hello(1, 1000).to_vec();
    let steps = [(1000, Poll::Wait(1100)), (1100, Poll::Send(&hello)), (1150, Poll::Wait(1200))];
    for (now, expected) in steps {
        assert_eq!(host.poll(now), expected, "at {now}");
    }
    assert_eq!(host.poll(1200), Poll::Send(&hello));
    assert_eq!(host.poll(1300), Poll::GivenUp);
    assert_eq!(host.poll(1300), Poll::Idle);
}

#[test]
fn telemetry_counts_by_itself() {
    let (mut device, mut host, mut out) = (device(), host(), [0; PACKET_BYTES_MAX]);
    for sequence in 1..4 {
        let telemetry = Telemetry::Dropped { count: sequence * 10 };
        let length = device.telemetry(&telemetry, &mut out).unwrap();
        assert_eq!(host.receive(&out[..length], 0), Heard::Telemetry { sequence, telemetry });
    }
}

/// A session is offered until a command opens it, so two hosts can each hold its first command.
#[test]
fn the_answer_to_one_first_command_is_not_the_other_s() {
    let mut device = device();
    let session = offered(&mut device);
    assert_eq!(offered(&mut device), session, "nobody opened it");
    let mut out = [0; PACKET_BYTES_MAX];
    let ticket = ticket(&mut device, session, 1);
    let other = command(session, 1, &Request::Reboot);
    assert_eq!(reply_to(&mut device, &other), Err(Ignored::Stale), "while it is under way");
    device.answer(&ticket, &Reply::Done, &mut out).expect("the session is open");
    assert_eq!(reply_to(&mut device, &other), Err(Ignored::Stale), "and once it is answered");
    let same = command(session, 1, &Request::Confirm);
    assert_eq!(reply_to(&mut device, &same), Ok(Reply::Done));
    assert_ne!(offered(&mut device), session, "who got nothing says hello, and has one of his own");
}
