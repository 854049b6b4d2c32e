//! The first hours of a board: new, without a bundle, with half of one.

use gradgate_bundle::keys::{public_text, secret_text};
use gradgate_device::sim::{SERVED_LINK_KEY, Served, sim_key};
use gradgate_field::keys::LinkKey;

use crate::board::common::{Fake, Script, Server, sized};
use crate::support::Bench;

/// A folder with the device's key `link` and a shipped bundle that it takes, `signs.gate`.
fn bench() -> Bench {
    let bench = Bench::new();
    let shipped =
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/bundles/signs.gate");
    let bytes = std::fs::read(shipped).expect("shipped");
    let mut bytes = gradgate_bundle::align::AlignedBytes::from(&bytes[..]);
    gradgate_bundle::write::sign(&mut bytes, &sim_key()).expect("a bundle");
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
    assert!(text.contains("new: no name, no keys, takes no bundle yet"), "{text}");
    assert!(!text.contains("00000000"), "{text}");
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
