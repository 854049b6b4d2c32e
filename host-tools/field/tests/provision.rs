//! Keys of links are given and changed, whatever is lost on the way.

mod common;

use common::{Fake, SERIAL, Script, Virtual, key};
use gradgate_bundle::keys::from_seed;
use gradgate_field::client::Client;
use gradgate_field::error::{Class, Error};
use gradgate_field::keys::{Keyring, LinkKey, Secret, SiteKey};
use gradgate_field::link::Patience;
use gradgate_field::provision::{Given, Provisioned, provision};
use gradgate_field::wire::Wire;
use gradgate_link::Refusal;

fn own(digit: u8) -> Secret {
    LinkKey::new([digit; 32]).into()
}

fn site(digit: u8) -> Secret {
    SiteKey::new([digit; 32]).into()
}

fn fake(script: Script, has: Option<Secret>) -> Virtual<Fake> {
    let key = has.map_or(LinkKey::UNPROVISIONED, |secret| secret.derive(&SERIAL));
    Virtual::new(Fake::new(Script { key, ..script }))
}

fn client<W: Wire>(wire: W, ring: Keyring) -> Client<W> {
    Client::new(wire, ring, Patience::default())
}

fn give<W: Wire>(
    wire: W,
    secret: Secret,
    old: Option<Secret>,
) -> (Client<W>, Result<Provisioned, Error>) {
    let public = key();
    let given = Given { name: None, public: &public, secret, old, restart: true };
    let mut client = client(wire, given.keyring());
    let result = provision(&mut client, &given);
    (client, result)
}

#[test]
fn every_key_can_be_changed_for_every_other() {
    let has = [None, Some(own(1)), Some(site(2)), Some(site(3))];
    for old in has {
        for secret in [own(1), own(4), site(2), site(3)] {
            let case = format!("{old:?} to {secret:?}");
            let (mut client, result) = give(fake(Script::default(), old), secret, old);
            let done = result.unwrap_or_else(|error| panic!("{case}: {error}"));
            assert_eq!(done.after.map(|status| status.boots), Some(2), "{case}");
            assert_eq!(done.name, common::NAME, "the name that it had");
            assert_eq!(client.wire().board.script.key, secret.derive(&SERIAL), "{case}");
            client.leave(Some(Keyring::of([secret])));
            assert!(client.identify().is_ok(), "{case}");
            client.leave(Some(Keyring::link(LinkKey::new([9; 32]))));
            assert!(matches!(client.identify(), Err(Error::Key { .. })), "{case}");
        }
    }
}

#[test]
fn a_key_that_nobody_named_is_asked_for() {
    let (_, result) = give(fake(Script::default(), Some(own(1))), site(2), Some(site(3)));
    let error = result.expect_err("its own key was not named");
    assert!(error.to_string().contains("--old-key"), "{error}");
    let unnamed = Script { name: String::new(), ..Script::default() };
    let (mut client, result) = give(fake(unnamed, None), site(2), None);
    assert!(result.expect_err("no name").to_string().contains("--name"));
    assert!(client.wire().board.provisioned.is_none());
}

#[test]
fn what_is_lost_locks_nobody_out() {
    let lost = |name| Script { loses_answer_to: Some(name), ..Script::default() };
    let gone = |name| Script { silent_after: Some(name), ..Script::default() };
    // What goes wrong, and what is said of it if the errand ends there.
    let table = [
        (lost("Provision"), None),
        (lost("Reboot"), None),
        (gone("Provision"), Some("is not known")),
        (gone("Reboot"), Some("power it off and on")),
        (Script { stays_up: 1, ..Script::default() }, None),
        (Script { stays_up: u32::MAX, ..Script::default() }, Some("did not start anew")),
        (
            Script { provision: Some(Refusal::Storage), ..Script::default() },
            Some("keep both files"),
        ),
    ];
    for (script, said) in table {
        for (restarts, old, secret) in [(true, own(1), site(2)), (false, site(2), own(1))] {
            let case = format!("{script:?} {restarts}");
            let (mut client, result) = give(fake(script.clone(), Some(old)), secret, Some(old));
            match (said, result) {
                (None, Ok(_)) => {}
                (Some(said), Err(error)) => {
                    assert!(matches!(error, Error::Halfway { .. }), "{case}: {error}");
                    let text = error.to_string();
                    assert!(text.contains(said) && text.contains("same command"), "{text}");
                    assert_ne!(error.class(), Class::Host);
                }
                (_, result) => panic!("{case}: {result:?}"),
            }
            let board = &mut client.wire().board;
            (board.script.silent, board.script.silent_after) = (false, None);
            (board.script.stays_up, board.script.provision) = (0, None);
            if restarts {
                board.restart();
            }
            client.leave(Some(Keyring::of([secret, old])));
            let public = key();
            let given =
                Given { name: None, public: &public, secret, old: Some(old), restart: true };
            let again = provision(&mut client, &given);
            assert!(again.is_ok(), "{case}: {again:?}");
            assert_eq!(client.wire().board.script.key, secret.derive(&SERIAL), "{case}");
        }
    }
}

#[test]
fn a_restart_that_is_lost_is_asked_for_again() {
    // How often it stays up, and how often it has started then.
    for (stays_up, boots) in [(0, Some(2)), (1, Some(2)), (u32::MAX, None)] {
        // The link's key stays: the device says its name at once, and whose bundles it takes when
        // it has started anew.
        for (name, public) in [(None, from_seed(&[9; 32]).verifying_key()), (Some("crane"), key())]
        {
            let secret = own(1);
            let wire = fake(Script { stays_up, ..Script::default() }, Some(secret));
            let given = Given { name, public: &public, secret, old: None, restart: true };
            let mut client = client(wire, given.keyring());
            match provision(&mut client, &given) {
                Ok(done) => assert_eq!(done.after.map(|status| status.boots), boots, "{name:?}"),
                Err(error) => {
                    assert!(boots.is_none() && matches!(error, Error::Halfway { .. }), "{error}");
                }
            }
        }
    }
}

#[test]
fn what_a_device_refuses_for_good_was_not_done() {
    let range = Script { provision: Some(Refusal::Range), ..Script::default() };
    let (_, result) = give(fake(range, Some(own(1))), site(2), Some(own(1)));
    assert!(matches!(result, Err(Error::Refused { refusal: Refusal::Range, .. })), "{result:?}");
}
