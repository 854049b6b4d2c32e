//! Flashing devices that misbehave, on a virtual clock.

mod common;

use common::{Board, Fake, Script, Virtual, key, other_key, sized};
use gradgate_field::client::Client;
use gradgate_field::error::{Class, Error};
use gradgate_field::flash::{Confirm, Flash, Options, Outcome, Package, Phase, Timeline};
use gradgate_field::job::{Step, step};
use gradgate_field::keys::{Keyring, LinkKey, SiteKey};
use gradgate_field::link::{Link, Patience};
use gradgate_field::wire::{Faulty, Wire};
use gradgate_link::Refusal;
use gradgate_link::message::SlotState;

fn package() -> Package {
    Package::read(sized(8000), Some(&key())).expect("a good bundle")
}

const CONFIRM: Options = Options {
    dry_run: false,
    stage_only: false,
    confirm: Some(Confirm { after_frames: 20, within_ms: 0 }),
    retry_rejected: false,
    chunk_bytes: 512,
};

struct Ran {
    result: Result<Outcome, Error>,
    timeline: Timeline,
    client: Client<Virtual<Fake>>,
    resumed_at: u32,
    took_ms: u64,
}

impl Ran {
    fn fake(&mut self) -> &mut Fake {
        &mut self.client.wire().board
    }

    fn executed(&mut self, name: &str) -> usize {
        self.fake().executed.iter().filter(|done| *done == name).count()
    }
}

fn client(script: Script) -> Client<Virtual<Fake>> {
    Client::new(Virtual::new(Fake::new(script)), Keyring::unprovisioned(), Patience::default())
}

fn flash(mut client: Client<Virtual<Fake>>, options: Options) -> Ran {
    let package = package();
    let mut flash = Flash::new(&package, options).expect("not empty");
    let mut timeline = Timeline::default();
    let start_ms = client.wire().now_ms();
    let result = client.run(&mut flash, |flash, now_ms| {
        timeline.see(flash.phase(), now_ms);
    });
    let result = result.map(|()| flash.outcome());
    let took_ms = client.wire().now_ms() - start_ms;
    Ran { result, timeline, client, resumed_at: flash.progress().resumed_at, took_ms }
}

#[test]
fn a_good_device_confirms_and_knows_the_bundle_afterwards() {
    let mut ran = flash(client(Script::default()), CONFIRM);
    assert_eq!(ran.result, Ok(Outcome::Confirmed));
    let phases: Vec<Phase> = ran.timeline.phases.iter().map(|row| row.phase).collect();
    use Phase::{Activate, Check, Confirm, Done, Erase, Trial, Upload, Verify};
    assert_eq!(phases, [Check, Erase, Upload, Verify, Activate, Trial, Confirm, Done]);
    assert!(ran.timeline.took_ms(Trial) >= 2000, "20 frames at 10 a second");
    let bytes = package().bytes().to_vec();
    let fake = ran.fake();
    assert_eq!((fake.active, fake.slots[1].state), (Some(1), SlotState::Confirmed));
    assert!(fake.slots[1].bytes == bytes);
    let again = flash(ran.client, CONFIRM);
    assert_eq!(again.result, Ok(Outcome::Already));
}

#[test]
fn options_end_early_and_change_no_more_than_they_say() {
    let plain = Options { confirm: None, ..CONFIRM };
    let table = [
        (Options { dry_run: true, ..plain }, Outcome::Suits, SlotState::Empty, 0),
        (Options { stage_only: true, ..plain }, Outcome::Staged, SlotState::Staged, 0),
        (plain, Outcome::OnTrial, SlotState::Trial, 1),
    ];
    for (options, outcome, state, active) in table {
        let mut ran = flash(client(Script::default()), options);
        assert_eq!(ran.result, Ok(outcome));
        assert_eq!(ran.fake().slots[1].state, state, "{outcome:?}");
        assert_eq!(ran.fake().active, Some(active), "{outcome:?}");
        // What was begun goes on, and is confirmed.
        let mut ran = flash(ran.client, CONFIRM);
        assert_eq!(ran.result, Ok(Outcome::Confirmed), "after {outcome:?}");
        assert_eq!(ran.fake().slots[1].state, SlotState::Confirmed);
    }
}

#[test]
fn misbehaviour_has_its_error_and_leaves_the_confirmed_bundle_running() {
    let refused = |doing, refusal| Error::Refused { doing, refusal };
    let good = Script::default;
    let table: [(&str, Script, Error); 4] = [
        (
            "no signature",
            Script { begin: Some(Refusal::Signature), ..good() },
            refused("announcing the bundle", Refusal::Signature),
        ),
        (
            "counter",
            Script { begin: Some(Refusal::Counter), ..good() },
            refused("announcing the bundle", Refusal::Counter),
        ),
        (
            "self-test when verifying",
            Script { verify: Some(Refusal::SelfTest), ..good() },
            refused("verifying the slot", Refusal::SelfTest),
        ),
        (
            "self-test when starting",
            Script { activate: Some(Refusal::SelfTest), ..good() },
            refused("starting the bundle on trial", Refusal::SelfTest),
        ),
    ];
    for (name, script, error) in table {
        let mut ran = flash(client(script), CONFIRM);
        assert_eq!(ran.result, Err(error.clone()), "{name}");
        assert_eq!(error.class(), Class::Refused);
        assert_eq!(ran.fake().active, Some(0), "{name}");
        assert_eq!(ran.fake().slots[0].state, SlotState::Confirmed, "{name}");
    }
}

#[test]
fn failed_trials_are_told_and_taken_back() {
    let good = Script::default;
    let blind = Options { confirm: Some(Confirm { after_frames: 20, within_ms: 3000 }), ..CONFIRM };
    let table = [
        ("by itself", Script { falls_back_ms: Some(700), ..good() }, CONFIRM, "by itself", 0),
        ("fault", Script { logs: Some((900, 15, 3)), ..good() }, CONFIRM, "numbers at fault", 1),
        ("damage", Script { logs: Some((900, 16, 0)), ..good() }, CONFIRM, "damaged", 1),
        ("watchdog", Script { logs: Some((900, 1, 3)), ..good() }, CONFIRM, "started", 1),
        ("no frames", Script { blind: true, ..good() }, blind, "0 of 20 frames", 1),
    ];
    for (name, script, options, said, reverts) in table {
        let mut ran = flash(client(script), options);
        let error = ran.result.clone().expect_err(name);
        assert_eq!(error.class(), Class::FellBack, "{name}: {error}");
        let text = error.to_string();
        assert!(text.contains(said) && text.contains("slot 0 runs (confirmed"), "{name}: {text}");
        assert_eq!(ran.executed("Revert"), reverts, "{name}");
        assert_eq!(ran.executed("Confirm"), 0, "{name}");
        assert_eq!(ran.fake().slots[1].state, SlotState::Rejected, "{name}");
        // Not tried again by itself.
        let again = flash(ran.client, CONFIRM);
        assert!(matches!(again.result, Err(Error::Unsuitable { .. })), "{name}");
    }
}

#[test]
fn unfit_frames_and_asked_restarts_fail_no_trial() {
    for logs in [(900, 14, 2), (900, 1, 2), (900, 6, 1)] {
        let script = Script { logs: Some(logs), ..Script::default() };
        assert_eq!(flash(client(script), CONFIRM).result, Ok(Outcome::Confirmed), "{logs:?}");
    }
}

#[test]
fn a_device_that_dies_in_the_upload_goes_on_where_it_was() {
    let script = Script { dies_after: Some(6), ..Script::default() };
    let mut ran = flash(client(script), CONFIRM);
    assert_eq!(ran.result, Ok(Outcome::Confirmed));
    assert_eq!(ran.fake().boots, 2);
    // 6 chunks before, the rest after; none twice.
    let chunks = package().bytes().len().div_ceil(512);
    assert_eq!(ran.executed("UploadChunk"), chunks + 1, "one is refused after the restart");
    let forgets = Script { dies_after: Some(6), keeps: false, ..Script::default() };
    let mut ran = flash(client(forgets), CONFIRM);
    assert_eq!(ran.result, Ok(Outcome::Confirmed));
    assert_eq!(ran.executed("UploadChunk"), chunks + 7);
}

#[test]
fn an_upload_is_never_shown_further_than_it_is() {
    let (package, dies) = (package(), Some(6));
    let total = package.total_bytes();
    // Told, dies after chunks, and where it goes on: at what the device has, not what it told.
    let table =
        [(5000, None, 0), (total + 1, None, 0), (u32::MAX, None, 0), (u32::MAX, dies, 3072)];
    for (told, dies_after, resumed_at) in table {
        let tells_of = Some((*package.identity(), told));
        let mut client = client(Script { tells_of, dies_after, ..Script::default() });
        let mut flash = Flash::new(&package, CONFIRM).expect("not empty");
        let result = client.run(&mut flash, |flash, _| {
            let now = flash.progress();
            assert!(now.resumed_at <= now.sent && now.sent <= total, "{told}: {now:?}");
        });
        assert_eq!((result, flash.progress().resumed_at), (Ok(()), resumed_at), "{told}");
    }
}

#[test]
fn an_upload_that_was_broken_off_is_resumed_by_the_next_tool() {
    let (package, mut fake) = (package(), Fake::new(Script::default()));
    let mut link = Link::new(Keyring::unprovisioned(), Patience::default());
    let mut half = Flash::new(&package, CONFIRM).expect("not empty");
    let mut now_ms = 0;
    // Whoever has a clock drives the errand itself.
    while half.progress().sent < 4096 {
        now_ms += 1;
        match step(&mut link, &mut half, now_ms, &mut || now_ms).expect("goes on") {
            Step::Send => link.receive(&fake.take(link.frame(), now_ms), now_ms),
            Step::Wait(until_ms) => now_ms = now_ms.max(until_ms),
            Step::Done => panic!("not yet"),
        }
    }
    let held = fake.slots[1].bytes.len() as u32;
    assert!((4096..8000).contains(&held));
    let patience = Patience::default();
    let client = Client::new(Virtual::new(fake), Keyring::unprovisioned(), patience);
    let ran = flash(client, CONFIRM);
    assert_eq!((ran.result, ran.resumed_at), (Ok(Outcome::Confirmed), held));
}

#[test]
fn lost_answers_to_what_is_done_once_are_found_out() {
    for name in ["Activate", "Confirm", "Verify", "UploadFinish"] {
        let script = Script { loses_answer_to: Some(name), ..Script::default() };
        let mut ran = flash(client(script), CONFIRM);
        assert_eq!(ran.result, Ok(Outcome::Confirmed), "{name}");
        assert_eq!(ran.fake().slots[1].state, SlotState::Confirmed, "{name}");
    }
}

#[test]
fn a_device_at_work_is_not_taken_for_dead_nor_asked_for_ever() {
    // Answers nothing for so long while it verifies: in time, in the second session, never.
    for (works_ms, good) in [(7_000, true), (25_000, true), (200_000, false)] {
        let script = Script { verifies_ms: works_ms, ..Script::default() };
        let ran = flash(client(script), CONFIRM);
        assert_eq!(ran.result.is_ok(), good, "{works_ms}: {:?}", ran.result);
        assert!(ran.took_ms < 150_000, "{works_ms}: {} ms", ran.took_ms);
    }
}

#[test]
fn a_busy_device_is_waited_for_but_not_for_ever() {
    let ran = flash(client(Script { erasing: 5, ..Script::default() }), CONFIRM);
    assert_eq!(ran.result, Ok(Outcome::Confirmed));
    assert!(ran.timeline.took_ms(Phase::Erase) >= 600, "20 + 40 + 80 + 160 + 320 ms");
    let mut ran = flash(client(Script { always_busy: true, ..Script::default() }), CONFIRM);
    let error = ran.result.clone().expect_err("never");
    assert!(matches!(error, Error::Busy { waited_ms: 120_000.., .. }), "{error:?}");
    assert!(ran.executed("Identify") < 200, "it is not asked in a frenzy");
}

#[test]
fn silence_and_garbage() {
    let ran = flash(client(Script { silent: true, ..Script::default() }), CONFIRM);
    let error = ran.result.expect_err("nobody is there");
    assert_eq!(error.class(), Class::Link);
    assert!((8000..9000).contains(&ran.took_ms), "{} ms", ran.took_ms);
    let ran = flash(client(Script { garbage: 3000, ..Script::default() }), CONFIRM);
    assert_eq!(ran.result, Ok(Outcome::Confirmed));
}

#[test]
fn keys_are_found_by_the_chip_s_number_or_asked_for() {
    let (site, old) = (SiteKey::new([3; 32]), SiteKey::new([4; 32]));
    let key = site.derive(&common::SERIAL);
    let provisioned = || Script { key, ..Script::default() };
    let ring = |keys: Vec<SiteKey>| Keyring::of(keys);
    let table = [
        ("derived", provisioned(), ring(vec![site]), None),
        ("second site", provisioned(), ring(vec![old, site]), None),
        ("not provisioned yet", Script::default(), ring(vec![site]), None),
        ("own", provisioned(), Keyring::link(key), None),
        ("none given", provisioned(), Keyring::unprovisioned(), Some(false)),
        ("other site", provisioned(), ring(vec![old]), Some(false)),
        ("own, not given", Script::default(), Keyring::link(LinkKey::new([9; 32])), Some(true)),
    ];
    for (name, script, ring, refused) in table {
        let wire = Virtual::new(Fake::new(script));
        let mut client = Client::new(wire, ring, Patience::default());
        let result = client.identify().map(|identity| identity.serial);
        let expected = match refused {
            None => Ok(common::SERIAL),
            Some(unprovisioned) => Err(Error::Key { serial: common::SERIAL, unprovisioned }),
        };
        assert_eq!(result, expected, "{name}");
        assert!(client.wire().now_ms() < 1100, "{name}: told at once");
    }
}

#[test]
fn what_does_not_suit_is_refused_before_anything_is_sent() {
    let good = Script::default;
    let table = [
        (Script { device_class: 2, ..good() }, "it is for cortex-m4f"),
        (Script { arena_bytes: 100, ..good() }, "arena of 128"),
        (Script { slot_bytes: 9000, ..good() }, "a slot holds 9000"),
        (Script { security_counter: 8, ..good() }, "counter is 7"),
    ];
    for (script, said) in table {
        let mut ran = flash(client(script), CONFIRM);
        let error = ran.result.clone().expect_err(said);
        assert_eq!(error.class(), Class::Host);
        assert!(error.to_string().contains(said), "{error}");
        assert_eq!(ran.executed("UploadBegin"), 0);
    }
    let two = Script { arena_bytes: 1, slot_bytes: 1, ..good() };
    let Err(Error::Unsuitable { reasons }) = flash(client(two), CONFIRM).result else { panic!() };
    assert_eq!(reasons.len(), 2, "all are told");
    assert!(Package::read(sized(0), Some(&other_key())).is_err(), "another signer");
    let mut unsigned = sized(0);
    unsigned[24..32].fill(0);
    unsigned[256..320].fill(0);
    let error = Package::read(unsigned, None).err().expect("unsigned").to_string();
    assert!(error.contains("--sign"), "{error}");
}

#[test]
fn bad_wires_end_in_the_same_place() {
    let faults = "drop=0.02,flip=2e-6,duplicate=0.02,reorder=0.02,burst=0.01,truncate=0.01,\
                  glue=0.01,zero=0.01,delay=5";
    let mut hit = 0;
    for seed in 0..20 {
        let wire = Faulty::new(
            Virtual::new(Fake::new(Script::default())),
            seed,
            faults.parse().expect("faults"),
        );
        let patience = Patience { timeout_ms: 60, ..Patience::default() };
        let mut client = Client::new(wire, Keyring::unprovisioned(), patience);
        let package = package();
        let mut flash = Flash::new(&package, CONFIRM).expect("not empty");
        let result = client.run(&mut flash, |_, _| {});
        assert_eq!(result, Ok(()), "seed {seed}");
        assert_eq!(flash.outcome(), Outcome::Confirmed, "seed {seed}");
        let tally = client.wire().tally();
        hit += tally.map(|tally| tally.dropped + tally.damaged).into_iter().sum::<u64>();
    }
    assert!(hit > 40, "{hit} frames: the wires were too good");
}
