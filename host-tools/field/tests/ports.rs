//! Devices behind TCP ports: lost connections, locks, telemetry.

mod common;

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use common::{Fake, Script, Server, key, sized};
use gradgate_field::client::Client;
use gradgate_field::error::{Class, Error};
use gradgate_field::flash::{Flash, Options, Outcome, Package};
use gradgate_field::found;
use gradgate_field::keys::Keyring;
use gradgate_field::link::Patience;
use gradgate_field::wire::Live;
use gradgate_field::{Address, evidence};
use gradgate_link::message::Verdict;
use gradgate_link::{Request, Telemetry};

fn address(server: &Server<Fake>) -> Address {
    server.address.parse().expect("an address")
}

fn client(server: &Server<Fake>, silence_ms: u64) -> Client<Live> {
    let wire = Live::open(&address(server), 9600).expect("free");
    let patience = Patience { timeout_ms: 100, silence_ms, ..Patience::default() };
    Client::new(wire, Keyring::unprovisioned(), patience)
}

#[test]
fn a_connection_that_is_lost_is_made_again() {
    let server = Server::start(Fake::new(Script::default()));
    let mut client = client(&server, 8000);
    let package = Package::read(sized(20_000), Some(&key())).expect("a good bundle");
    let options = Options { stage_only: true, chunk_bytes: 512, ..Options::default() };
    let mut flash = Flash::new(&package, options).expect("not empty");
    let mut cuts = [4000, 9000, 15_000].into_iter().peekable();
    let done = client.run(&mut flash, |flash, _| {
        if cuts.next_if(|&at| flash.progress().sent > at).is_some() {
            server.hang_up.store(true, Ordering::Relaxed);
        }
    });
    assert_eq!((done, flash.outcome()), (Ok(()), Outcome::Staged));
    assert_eq!(cuts.next(), None, "it was cut three times");
    let board = server.board.lock().expect("no test panicked");
    assert_eq!(board.slots[1].bytes, package.bytes());
}

#[test]
fn a_device_that_is_gone_for_good_is_told_as_such() {
    let server = Server::start(Fake::new(Script::default()));
    let mut client = client(&server, 400);
    client.identify().expect("it is there");
    drop(server);
    let error = client.identify().expect_err("it is gone");
    assert_eq!(error.class(), Class::Link);
    assert!(matches!(&error, Error::Silent { trouble: Some(_), .. }), "{error:?}");
}

#[test]
fn one_program_at_a_time_has_a_port() {
    let server = Server::start(Fake::new(Script::default()));
    let address = address(&server);
    let first = Live::open(&address, 9600).expect("free");
    assert!(matches!(Live::open(&address, 9600), Err(Error::Locked)));
    drop(first);
    assert!(Live::open(&address, 9600).is_ok());
}

#[test]
fn telemetry_is_delivered_between_answers_and_alone() {
    let server = Server::start(Fake::new(Script::default()));
    let mut client = client(&server, 8000);
    let heard = Arc::new(Mutex::new(Vec::new()));
    let into = Arc::clone(&heard);
    client.listen_with(Box::new(move |sequence, telemetry| {
        into.lock().expect("one thread").push((sequence, *telemetry));
    }));
    client.order(&Request::SetStream { every: 1 }).expect("it streams");
    client.listen(450);
    client.counters().expect("it answers meanwhile");
    let heard = heard.lock().expect("one thread").clone();
    assert!((2..=6).contains(&heard.len()), "{} in half a second", heard.len());
    for (at, (sequence, telemetry)) in heard.iter().enumerate() {
        assert_eq!(*sequence as usize, at + 1, "none is lost");
        let Telemetry::Judged(judged) = telemetry else { panic!("{telemetry:?}") };
        assert_eq!(judged.verdict, Verdict::Pass);
    }
}

#[test]
fn devices_are_found_at_once_and_told_apart() {
    let script = |name: &str, serial| Script {
        name: name.to_owned(),
        serial: [serial; 16],
        ..Script::default()
    };
    let servers = [script("one", 1), script("two", 2), Script { silent: true, ..script("", 3) }]
        .map(|script| Server::start(Fake::new(script)));
    let addresses: Vec<Address> = servers.iter().map(address).collect();
    let ports = found::ports(&addresses).expect("named");
    let found = found::probe(ports, &Keyring::unprovisioned(), |at| Live::open(at, 9600));
    let names: Vec<_> =
        found.iter().map(|found| found.answer.as_ref().map(|a| &a.status.name)).collect();
    assert_eq!(names[..2], [Ok(&"one".to_owned()), Ok(&"two".to_owned())]);
    assert!(matches!(names[2], Err(Error::Silent { .. })));
    assert_eq!(
        found::only(found.clone(), Some("t?o")).map(|found| found.address),
        Ok(addresses[1].clone())
    );
    let error = found::only(found.clone(), None).expect_err("two answer").to_string();
    assert!(error.contains("2 devices match"), "{error}");
    assert!(found::only(found[..1].to_vec(), None).is_ok());
}

#[test]
fn evidence_is_put_together_from_its_pieces() {
    let server = Server::start(Fake::new(Script::default()));
    let kept = evidence::read(&mut client(&server, 8000)).expect("it answers");
    let numbers: Vec<u32> = kept.iter().map(|closing| closing.event).collect();
    assert_eq!(numbers, [2, 3, 4, 5, 6, 7, 8, 9]);
    let last = &kept[7];
    assert_eq!((last.features.as_slice(), last.input.len()), (&[1.5, -2.0, 9.0][..], 192));
    assert_eq!(last.input[191], 200, "191 and the event's number");
}

#[cfg(unix)]
#[test]
fn a_serial_port_is_a_port_like_others() {
    use std::io::{Read, Write};
    use std::sync::atomic::AtomicBool;
    use std::time::Duration;

    use common::Board;
    use serialport::{SerialPort, TTYPort};

    let (mut master, slave) = TTYPort::pair().expect("a pseudo-terminal");
    let name = slave.name().expect("a name");
    drop(slave);
    let address = Address::Serial { name };
    let wire = Live::open(&address, 115_200).expect("free");
    assert!(matches!(Live::open(&address, 115_200), Err(Error::Locked)));
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    let board = std::thread::spawn(move || {
        let (mut fake, mut bytes) = (Fake::new(Script::default()), [0; 512]);
        master.set_timeout(Duration::from_millis(20)).expect("set");
        while !stopped.load(Ordering::Relaxed) {
            let length = master.read(&mut bytes).unwrap_or(0);
            let answer = fake.take(&bytes[..length], 0);
            master.write_all(&answer).expect("the host reads");
        }
        fake.slots[1].bytes.len()
    });
    let mut client = Client::new(wire, Keyring::unprovisioned(), Patience::default());
    let package = Package::read(sized(8000), Some(&key())).expect("a good bundle");
    let options = Options { stage_only: true, ..Options::default() };
    let mut flash = Flash::new(&package, options).expect("not empty");
    assert_eq!(client.run(&mut flash, |_, _| {}), Ok(()));
    assert_eq!(flash.outcome(), Outcome::Staged);
    stop.store(true, Ordering::Relaxed);
    assert_eq!(board.join().expect("no panic"), package.bytes().len());
}
