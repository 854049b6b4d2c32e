//! The first hours of a board: new, without a bundle, with half of one.

use gradgate_bundle::align::AlignedBytes;
use gradgate_bundle::keys::{public_text, secret_text};
use gradgate_bundle::write::sign;
use gradgate_device::sim::{SERVED_LINK_KEY, Served, sim_key};
use gradgate_field::address::BAUD;
use gradgate_field::client::Client;
use gradgate_field::error::Error;
use gradgate_field::flash::{Flash, Options, Package};
use gradgate_field::keys::{Keyring, LinkKey};
use gradgate_field::link::Patience;
use gradgate_field::wire::Live;
use serde_json::Value;

use crate::board::common::{Fake, Script, Server, sized};
use crate::support::Bench;

/// A folder with the device's key `link` and a shipped bundle that it takes, `signs.gate`.
fn bench() -> Bench {
    let bench = Bench::new();
    let shipped =
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/bundles/signs.gate");
    let bytes = std::fs::read(shipped).expect("shipped");
    let mut bytes = AlignedBytes::from(&bytes[..]);
    sign(&mut bytes, &sim_key()).expect("a bundle");
    bench.write("signs.gate", &*bytes);
    bench.write("link", LinkKey::new(SERVED_LINK_KEY).text());
    bench.write("key", secret_text(&sim_key()));
    bench.write("key.pub", public_text(&sim_key().verifying_key()));
    bench
}

#[test]
fn a_new_board_is_to_be_provisioned_first() {
    let (bench, server) = (Bench::new(), Server::start(Fake::new(Script::default())));
    bench.write("net.gate", &*sized(0));
    server.board.lock().expect("no test panicked").key_id = [0; 8];
    let on = format!("--device {}", server.address);
    let error = bench.bad(&format!("flash net.gate {on} --dry-run"));
    assert!(error.contains("is new and takes no bundle yet"), "{error}");
    assert!(error.contains("`gradgate provision --device DEVICE --name NAME --key"), "{error}");
    assert!(!error.contains("sign it with"), "{error}");
    let text = bench.good(&format!("devices {}", server.address));
    assert!(text.contains("new: no keys yet, takes no bundle"), "{text}");
    assert!(!text.contains("00000000"), "{text}");
}

/// Begins an upload of `signs.gate` and leaves it after so many bytes.
fn begin_upload(bench: &Bench, served: &Served, bytes: u32) {
    let package = Package::read(AlignedBytes::from(&bench.read("signs.gate")[..]), None);
    let package = package.expect("signed");
    let wire = Live::open(&served.address.parse().expect("an address"), BAUD).expect("free");
    let ring = Keyring::link(LinkKey::new(SERVED_LINK_KEY));
    let mut client = Client::new(wire, ring, Patience::default());
    let options = Options { chunk_bytes: 1000, ..Options::default() };
    let mut flash = Flash::new(&package, options).expect("not empty");
    let left = client.run_while(&mut flash, |flash, _| flash.progress().sent < bytes);
    assert!(matches!(left, Err(Error::Stopped { .. })), "{left:?}");
}

#[test]
fn an_upload_that_was_left_is_told_and_goes_on() {
    let (bench, served) = (bench(), Served::start());
    let on = format!("--device {} --link-key link", served.address);
    let slots = || -> Value {
        let text = bench.good(&format!("slots {on} --json"));
        serde_json::from_str::<Value>(&text).expect("JSON")["slots"][0].clone()
    };
    assert_eq!((slots()["state"].as_str(), slots().get("unfinished")), (Some("empty"), None));
    begin_upload(&bench, &served, 50_000);
    assert_eq!(slots()["unfinished"]["bytes"], 50_000);
    let text = bench.good(&format!("slots {on}"));
    assert!(text.contains("upload unfinished, 50000 of 350936 bytes"), "{text}");
    // The device forgets where it was, and looks: sectors have 4096 bytes.
    served.power_cycle();
    assert_eq!(slots()["unfinished"]["bytes"], 49_152);
    assert_eq!(slots()["unfinished"]["total_bytes"], 350_936);
    let text = bench.good(&format!("status {on}"));
    assert!(text.contains("upload unfinished, 49152 of 350936 bytes"), "{text}");
    let outcome = bench.run(&format!("flash signs.gate {on} --stage-only --log log.json"));
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    assert!(outcome.stderr.contains("upload: 49152 of 350936 bytes are there"), "{outcome:?}");
    assert!(!outcome.stderr.contains("erase"), "{outcome:?}");
    let log: Value = serde_json::from_slice(&bench.read("log.json")).expect("JSON");
    assert_eq!(log["progress"]["resumed_at"], 49_152);
    assert_eq!((slots()["state"].as_str(), slots().get("unfinished")), (Some("staged"), None));
}

#[test]
fn there_is_nothing_to_go_back_to_before_the_first_bundle() {
    let (bench, served) = (bench(), Served::start());
    let on = format!("--device {} --link-key link", served.address);
    let said = bench.good(&format!("flash signs.gate {on}"));
    assert!(said.contains("on trial"), "{said}");
    let said = bench.good(&format!("revert {on}"));
    assert!(said.contains("no bundle runs") && said.contains("rejected"), "{said}");
    let log = bench.good(&format!("status {on} --log-entries 64"));
    assert!(!log.contains("back to the confirmed bundle"), "{log}");
    let last = log.lines().last().unwrap_or_default();
    assert!(last.contains("fail state"), "{log}");
    // With one there is.
    bench.good(&format!("flash signs.gate {on} --retry-rejected --confirm --after-frames 0"));
    let log = bench.good(&format!("status {on} --log-entries 64"));
    assert!(log.contains("bundle confirmed"), "{log}");
}
