//! Commands that talk to boards, over the loopback interface.

#[path = "../../../field/tests/common/mod.rs"]
pub mod common;

use common::{Fake, Script, Server, sized};
use gradgate_field::keys::SiteKey;
use gradgate_field::wire::Live;
use gradgate_link::Refusal;
use gradgate_link::message::SlotState;
use serde_json::Value;

use crate::support::{Bench, Outcome};

fn bench() -> Bench {
    let bench = Bench::new();
    bench.write("net.gate", &*sized(4000));
    bench
}

fn board(script: Script) -> Server<Fake> {
    Server::start(Fake::new(script))
}

fn state(server: &Server<Fake>, slot: usize) -> SlotState {
    server.board.lock().expect("no test panicked").slots[slot].state
}

/// An exit code, and one `error:` with what to do.
fn fails(outcome: &Outcome, code: i32, said: &str) {
    let Outcome { code: found, stdout, stderr } = outcome;
    assert_eq!(*found, code, "{stdout}{stderr}");
    assert!(stderr.contains(said), "{said}: {stderr}");
    assert_eq!(stderr.matches("error:").count(), 1, "{stderr}");
}

#[test]
fn a_bundle_is_checked_flashed_and_confirmed() {
    let (bench, server) = (bench(), board(Script::default()));
    let on = format!("--device {}", server.address);
    let text = bench.good(&format!("flash net.gate {on} --dry-run"));
    assert!(text.contains("suits"), "{text}");
    assert_eq!(state(&server, 1), SlotState::Empty);
    let arguments = format!("flash net.gate {on} --confirm --after-frames 2 --json --log log.json");
    let text = bench.good(&arguments);
    let json: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(json["outcome"], "confirmed");
    assert_eq!(json["slots"][1]["state"], "confirmed");
    assert_eq!(json["progress"]["sent"], 5012);
    let phases = json["phases"].as_array().expect("a list");
    let names: Vec<&str> = phases.iter().filter_map(|row| row["phase"].as_str()).collect();
    let expected = ["check", "erase", "upload", "verify", "activate", "trial", "confirm", "done"];
    assert_eq!(names, expected);
    assert_eq!(bench.read("log.json"), text.as_bytes());
    assert!(bench.good(&format!("slots {on}")).contains("* slot 1 confirmed"));
    assert!(bench.good(&format!("flash net.gate {on}")).contains("this very bundle"));
}

#[test]
fn a_trial_is_confirmed_or_reverted_later() {
    let (bench, server) = (bench(), board(Script::default()));
    let on = format!("--device {}", server.address);
    fails(&bench.run(&format!("confirm {on}")), 4, "not in this state");
    for (command, slot) in [("revert", 0), ("confirm --after-frames 2", 1)] {
        bench.good(&format!("flash net.gate {on} --retry-rejected"));
        assert_eq!(state(&server, 1), SlotState::Trial);
        bench.good(&format!("{command} {on}"));
        let active = server.board.lock().expect("no test panicked").active;
        assert_eq!(active, Some(slot), "{command}");
    }
    fails(&bench.run(&format!("revert {on}")), 4, "not in this state");
}

#[test]
fn exit_codes_tell_whose_turn_it_is() {
    let bench = bench();
    let good = Script::default;
    let table = [
        (Script { verify: Some(Refusal::SelfTest), ..good() }, 4, "the self-test's bits differ"),
        (Script { begin: Some(Refusal::Signature), ..good() }, 4, "not signed by the key"),
        (Script { silent: true, ..good() }, 5, "no answer in 0.5 s"),
        (Script { key: SiteKey::new([1; 32]).derive(&[2; 16]), ..good() }, 5, "--site-key"),
        (Script { falls_back_ms: Some(100), ..good() }, 6, "slot 0 runs (confirmed"),
        (Script { device_class: 2, ..good() }, 2, "pack it with --device-class cortex-m7"),
    ];
    for (script, code, said) in table {
        let server = board(script);
        let on = format!("--device {} --patience 0.5", server.address);
        let arguments = format!("flash net.gate {on} --confirm --after-frames 50 --log l.json");
        let outcome = bench.run(&arguments);
        fails(&outcome, code, said);
        assert!(outcome.stderr.contains(&server.address), "{}", outcome.stderr);
        let log: Value = serde_json::from_slice(&bench.read("l.json")).expect("JSON");
        assert_eq!(log["outcome"], "failed");
        assert!(log["error"].as_str().is_some_and(|error| error.contains(said)), "{log}");
    }
}

#[test]
fn what_is_wrong_here_is_said_before_anything_is_sent() {
    let (bench, server) = (bench(), board(Script::default()));
    let on = format!("--device {}", server.address);
    bench.write("other.pub", format!("gradgate-ed25519-public {}\n", "d7".repeat(32)));
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let nobody = format!("--device tcp://{}", free.local_addr().expect("bound"));
    drop(free);
    let table = [
        (format!("flash absent.gate {on}"), "absent.gate"),
        (format!("flash tiny.onnx {on}"), "tiny.onnx"),
        (format!("flash net.gate {on} --log absent/l.json"), "absent/l.json"),
        (format!("flash net.gate {on} --key other.pub"), "net.gate"),
        (format!("flash net.gate {nobody}"), "cannot be opened"),
        ("flash net.gate --device tcp://nohost".to_owned(), "names no port"),
        (format!("slots {on} --site-key tiny.onnx"), "tiny.onnx"),
        (format!("slots {on} --patience 0"), "--patience"),
        (format!("slots {on} --baud 0"), "--baud"),
        ("flash net.gate --inventory tiny.onnx".to_owned(), "tiny.onnx"),
        (format!("evidence {on} -o ."), "not empty"),
    ];
    for (arguments, said) in table {
        let error = bench.bad(&arguments);
        assert!(error.contains(said), "{arguments}: {error}");
    }
    assert!(server.board.lock().expect("no test panicked").executed.is_empty());
    let address = server.address.parse().expect("an address");
    let _held = Live::open(&address, 9600).expect("free");
    assert!(bench.bad(&format!("slots {on}")).contains("another program"));
}

#[test]
fn one_of_several_boards_must_be_named() {
    let bench = bench();
    let named = |name: &str, serial| {
        board(Script { name: name.to_owned(), serial: [serial; 16], ..Script::default() })
    };
    let (one, two) = (named("dock-1", 1), named("dock-2", 2));
    let silent = board(Script { silent: true, ..Script::default() });
    let ports = format!("--port {} --port {}", one.address, two.address);
    let error = bench.bad(&format!("slots {ports}"));
    assert!(error.contains("2 devices match") && error.contains("dock-1"), "{error}");
    for device in ["dock-2", "*2", &"02".repeat(16)] {
        let text = bench.good(&format!("slots {ports} --device {device} --json"));
        assert!(text.contains(&two.address), "{device}: {text}");
    }
    assert!(bench.bad(&format!("slots {ports} --device dock-3")).contains("is called \"dock-3\""));
    let list = bench.good(&format!("devices {} {} --json", one.address, silent.address));
    let list: Value = serde_json::from_str(&list).expect("JSON");
    assert_eq!(list["devices"][0]["name"], "dock-1");
    assert_eq!(list["devices"][0]["arena_bytes"], 4096);
    assert!(list["devices"][1]["error"].as_str().is_some_and(|error| error.contains("no answer")));
    assert_eq!(bench.run(&format!("devices {}", silent.address)).code, 5);
}

#[test]
fn keys_of_sites_are_given_used_and_changed() {
    let (bench, server) = (bench(), board(Script { name: String::new(), ..Script::default() }));
    let on = format!("--device {}", server.address);
    for name in ["site.key", "new.key"] {
        bench.good(&format!("keygen --site -o {name}"));
    }
    bench.good("keygen -o release");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(bench.path("site.key")).expect("made").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    let give = format!("provision {on} --name dock-9 --key release.pub");
    assert!(bench.bad(&give).contains("--site-key"));
    for (name, said) in [("x".repeat(33).as_str(), "33 bytes"), ("dock-*", "--match")] {
        let error = bench
            .bad(&format!("provision {on} --name {name} --key release.pub --site-key site.key"));
        assert!(error.contains(said), "{error}");
    }
    let text = bench.good(&format!("{give} --site-key site.key"));
    assert!(text.contains("(was no name, link key none)"), "{text}");
    assert!(text.contains("answers under the key of site.key"), "{text}");
    assert_eq!(server.board.lock().expect("no test panicked").boots, 2);
    let text = bench.good(&format!("status {on} --site-key site.key"));
    assert!(text.contains("dock-9") && text.contains("its link has the site's key"), "{text}");
    fails(&bench.run(&format!("status {on}")), 5, "--site-key");
    fails(&bench.run(&format!("status {on} --site-key new.key")), 5, "another key");
    let rotate = format!("{give} --site-key new.key --old-key site.key --no-restart");
    assert!(bench.good(&rotate).contains("link key site.key"));
    server.board.lock().expect("no test panicked").restart();
    assert!(
        bench.good(&format!("devices {} --site-key new.key", server.address)).contains("dock-9")
    );
    fails(&bench.run(&format!("status {on} --site-key site.key")), 5, "another key");
}

#[test]
fn evidence_and_histogram_are_fetched_whole() {
    let (bench, server) = (bench(), board(Script::default()));
    let on = format!("--device {}", server.address);
    let text = bench.good(&format!("evidence {on} -o kept"));
    assert!(text.contains("8 closings") && text.contains("BLOCKS"), "{text}");
    let json: Value = serde_json::from_slice(&bench.read("kept/event-0009.json")).expect("JSON");
    assert_eq!(json["features"], serde_json::json!([1.5, -2.0, 9.0]));
    assert_eq!((json["verdict"].as_str(), json["reason"].as_str()), (Some("BLOCK"), Some("shift")));
    let png = bench.read("kept/event-0002.png");
    assert!(png.starts_with(b"\x89PNG"));
    // An 8 x 8 picture: width and height stand in the header.
    assert_eq!(png[16..24], [0, 0, 0, 8, 0, 0, 0, 8]);
    let csv = String::from_utf8(bench.read("kept/event-0003.csv")).expect("text");
    assert_eq!(csv, "number,name,value\n0,,1.5\n1,,-2\n2,,3\n");
    assert_eq!(std::fs::read_dir(bench.path("kept")).expect("a folder").count(), 24);
    assert!(bench.bad(&format!("histogram {on} --low -2 --high 2")).contains("with --reset"));
    let order = "--reset --low 2 --high -2";
    assert!(bench.bad(&format!("histogram {on} {order}")).contains("nothing was reset"));
    let outcome = bench.run(&format!("histogram {on} -o scores.csv --reset --low -2"));
    assert!(outcome.stderr.contains("begins anew from -2 to 3"), "{}", outcome.stderr);
    let text = outcome.stdout;
    assert!(text.contains("BLOCK") && text.contains("no score"), "{text}");
    let csv = String::from_utf8(bench.read("scores.csv")).expect("text");
    assert_eq!(csv.lines().count(), 68);
    assert_eq!(csv.lines().nth(3), Some("-0.9375,-0.875,2"));
    let executed = server.board.lock().expect("no test panicked").executed.clone();
    assert_eq!(executed.last().map(String::as_str), Some("SetHistogram"));
    let reset = format!("histogram {on} --reset --json --patience 0.5");
    let reset_to = |outcome: &Outcome| -> Value {
        serde_json::from_str::<Value>(&outcome.stdout).expect("JSON")["reset_to"].clone()
    };
    assert_eq!(reset_to(&bench.run(&reset)), serde_json::json!([-1.0, 3.0]));
    server.board.lock().expect("no test panicked").script.silent_after = Some("SetHistogram");
    let lost = bench.run(&reset);
    fails(&lost, 5, "no answer");
    assert!(reset_to(&lost).is_null(), "{}", lost.stdout);
}

#[test]
fn a_bad_wire_costs_time_and_nothing_else() {
    let (bench, server) = (bench(), board(Script::default()));
    let on = format!("--device {}", server.address);
    // Always the same frames are lost; where bits flip, as many as there are bytes decide on that.
    let faults = "--faults drop=0.2,duplicate=0.05,seed=3";
    let text = bench.good(&format!("flash net.gate {on} {faults} --stage-only --json"));
    let json: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(json["outcome"], "staged");
    assert!(json["resent"].as_u64() > Some(0), "{text}");
    let outcome = bench.run(&format!("slots {on} --faults loss=1"));
    fails(&outcome, 2, "faults are flip");
}

#[test]
fn a_fleet_stops_goes_on_and_ends_with_a_line_a_board() {
    let bench = bench();
    let named =
        |name: &str, verify| board(Script { name: name.to_owned(), verify, ..Script::default() });
    let bad = Some(Refusal::SelfTest);
    let boards =
        [named("a", None), named("b", bad), named("c", None), named("d", bad), named("e", None)];
    let mut list = "name,port\n".to_owned();
    for (name, server) in ["a", "b", "c", "d", "e"].iter().zip(&boards) {
        list.push_str(&format!("{name},{}\n", server.address));
    }
    bench.write("hall.csv", &list);
    let flash = "flash net.gate --inventory hall.csv --jobs 1 --stage-only";
    let states = |outcome: &Outcome| -> Vec<String> {
        let csv = String::from_utf8(bench.read("net.fleet.csv")).expect("text");
        assert_eq!(outcome.stdout.lines().count(), 6, "{}", outcome.stdout);
        csv.lines().skip(1).map(|line| line.split(',').nth(2).unwrap_or("").to_owned()).collect()
    };
    let canary = bench.run(&format!("{flash} --canary 2 --max-failures 9"));
    assert_eq!(canary.code, 7);
    assert_eq!(states(&canary), ["done", "failed", "not-tried", "not-tried", "not-tried"]);
    let one = bench.run(&format!("{flash} --max-failures 1"));
    assert_eq!(one.code, 7);
    assert_eq!(states(&one), ["done", "failed", "done", "failed", "not-tried"]);
    assert!(one.stdout.contains("self-test"), "{}", one.stdout);
    let uploads = |server: &Server<Fake>| {
        let board = server.board.lock().expect("no test panicked");
        board.executed.iter().filter(|name| *name == "UploadBegin").count()
    };
    assert_eq!(uploads(&boards[0]), 1, "what is done is not done again");
    for server in &boards {
        server.board.lock().expect("no test panicked").script.verify = None;
    }
    let all = bench.run(flash);
    assert_eq!(all.code, 0, "{}{}", all.stdout, all.stderr);
    assert_eq!(states(&all), ["done"; 5]);
    assert!(bench.bad("flash net.gate --inventory hall.csv").contains("another --table"));
    // Cables that were swapped are found out by the boards' names.
    let swapped = list.replace("a,", "x,").replace("b,", "a,").replace("x,", "b,");
    bench.write("hall.csv", swapped);
    let swapped = bench.run("flash net.gate --inventory hall.csv --dry-run --max-failures 9");
    assert_eq!(swapped.code, 7);
    assert!(swapped.stdout.contains("cables swapped"), "{}", swapped.stdout);
}

#[test]
fn boards_are_chosen_by_name_and_many_at_a_time() {
    let bench = bench();
    let boards: Vec<_> = (0..4)
        .map(|number| board(Script { name: format!("dock-{number}"), ..Script::default() }))
        .collect();
    let ports: String = boards.iter().map(|server| format!(" --port {}", server.address)).collect();
    let text = bench.good(&format!("flash net.gate --match dock-? --stage-only --json{ports}"));
    let json: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(json["boards"].as_array().map(Vec::len), Some(4));
    assert!(boards.iter().all(|server| state(server, 1) == SlotState::Staged));
    let outcome = bench.run(&format!("flash net.gate --match crane-*{ports}"));
    fails(&outcome, 2, "no board is meant");
}
