//! `provision` against the real device's code behind a TCP port: from each kind of key to each.

use gradgate_bundle::keys::{public_text, secret_text};
use gradgate_device::sim::{SERVED_LINK_KEY, Served, sim_key};
use gradgate_field::keys::LinkKey;

use crate::support::Bench;

#[test]
fn keys_go_from_own_to_site_to_site_to_own() {
    let (bench, served) = (Bench::new(), Served::start());
    let on = format!("--device {}", served.address);
    bench.write("release.pub", public_text(&sim_key().verifying_key()));
    bench.write("release", secret_text(&sim_key()));
    bench.write("first.key", LinkKey::new(SERVED_LINK_KEY).text());
    bench.good("keygen --site -o site.key");
    bench.good("keygen --site -o other.key");
    bench.good("keygen --link -o own.key");
    assert!(bench.bad("keygen --link -o own.key").contains("never overwritten"));
    let steps = [
        ("first.key", "--site-key site.key", "the site's key"),
        ("site.key", "--site-key other.key", "the site's key"),
        ("other.key", "--link-key own.key", "a key of its own"),
        ("own.key", "--site-key site.key", "the site's key"),
        ("site.key", "--site-key site.key", "the site's key"),
    ];
    for (at, (old, new, whose)) in steps.into_iter().enumerate() {
        // Without the key that it has nothing is done, and the flag is named.
        if new != format!("--site-key {old}") {
            let unnamed = bench.run(&format!("provision {on} --key release.pub {new}"));
            assert_eq!(unnamed.code, 5, "{}", unnamed.stderr);
            assert!(unnamed.stderr.contains("--old-key"), "{}", unnamed.stderr);
        }
        let text =
            bench.good(&format!("provision {on} --key release.pub {new} --old-key {old} --json"));
        let json: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(
            (json["name"].as_str(), json["restarted"].as_bool()),
            (Some("served"), Some(true))
        );
        assert_eq!(json["link_key_before"], old);
        assert_eq!(served.boots() as usize, at + 2);
        let text = bench.good(&format!("status {on} {new}"));
        assert!(text.contains(whose), "{text}");
        let text = bench.good(&format!("devices {} {new}", served.address));
        assert!(text.contains(whose), "{text}");
    }
    // While a site goes from one key to another, both are given.
    let both = "--site-key other.key --site-key site.key";
    let text = bench.good(&format!("status {on} {both}"));
    assert!(text.contains("the site's key (site.key)"), "{text}");
    assert!(bench.good(&format!("devices {} {both}", served.address)).contains("(site.key)"));
    let error = bench.bad(&format!("provision {on} --key release.pub {both}"));
    assert!(error.contains("one --site-key") && error.contains("--old-key"), "{error}");
    let other = bench.run(&format!("status {on} --site-key other.key"));
    assert_eq!(other.code, 5, "{}", other.stderr);
    let error = bench.bad(&format!("provision {on} --key release.pub --site-key own.key"));
    assert!(error.contains("own.key"), "{error}");
}
