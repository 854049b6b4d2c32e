//! Ctrl-C tells how the board was left.

use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use gradgate_bundle::keys::secret_text;
use gradgate_device::sim::{SERVED_LINK_KEY, Served, sim_key};
use gradgate_field::keys::LinkKey;
use gradgate_link::message::SlotState;
use serde_json::Value;

use crate::board::common::{Fake, Script, Server, sized};
use crate::support::{Bench, Outcome};

fn start(bench: &Bench, arguments: &str) -> Child {
    Command::new(env!("CARGO_BIN_EXE_gradgate"))
        .args(arguments.split_whitespace())
        .current_dir(bench.path("."))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("starts")
}

fn interrupt(child: &Child) {
    let id = child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &id]).status().expect("kill runs").success());
}

/// Presses Ctrl-C once this stood on standard error; JSON and passed cases are on standard output.
fn stop(bench: &Bench, arguments: &str, once: &str) -> Outcome {
    let mut child = start(bench, arguments);
    let (stdout, stderr) = (child.stdout.take().expect("piped"), child.stderr.take());
    let (mut out, mut err) = (BufReader::new(stdout), BufReader::new(stderr.expect("piped")));
    let (mut said, mut told) = (String::new(), String::new());
    let told_there = once.starts_with(['{', 'p']);
    let (reader, text): (&mut dyn BufRead, _) =
        if told_there { (&mut out, &mut told) } else { (&mut err, &mut said) };
    while !text.contains(once) {
        assert!(reader.read_line(text).expect("text") > 0, "ended before {once:?}: {text}");
    }
    interrupt(&child);
    let code = child.wait().expect("ends").code().expect("no signal");
    err.read_to_string(&mut said).expect("text");
    out.read_to_string(&mut told).expect("text");
    Outcome { code, stdout: told, stderr: said }
}

fn board(script: Script) -> Server<Fake> {
    Server::start(Fake::new(script))
}

#[test]
fn an_upload_is_kept_and_goes_on() {
    let (bench, server) = (Bench::new(), board(Script::default()));
    bench.write("net.gate", &*sized(800_000));
    let flash = format!("flash net.gate --device {} --stage-only --log log.json", server.address);
    let Outcome { code, stderr, .. } = stop(&bench, &flash, "upload");
    assert_eq!(code, 130, "{stderr}");
    let kept = stderr.split("upload kept at ").nth(1).expect("said");
    let kept: u64 = kept.split(' ').next().and_then(|word| word.parse().ok()).expect("a number");
    assert!(stderr.contains("of 801012 bytes, run the same command"), "{stderr}");
    assert!(stderr.contains("the board runs the bundle that it had"), "{stderr}");
    assert!(!stderr.contains("error"), "{stderr}");
    let log: Value = serde_json::from_slice(&bench.read("log.json")).expect("JSON");
    assert_eq!(
        (log["outcome"].as_str(), log["phase"].as_str()),
        (Some("interrupted"), Some("upload"))
    );
    let text = bench.good(&format!("{flash} --json"));
    let json: Value = serde_json::from_str(&text).expect("JSON");
    // One chunk may have been under way.
    let resumed = json["progress"]["resumed_at"].as_u64().expect("a number");
    assert!(resumed == kept || resumed == kept + 1024, "{kept} {resumed}");
}

#[test]
fn who_reads_may_be_gone_before() {
    // As in `2>&1 | tee log`, which the same Ctrl-C ends.
    let bench = Bench::new();
    bench.write("net.gate", &*sized(0));
    let trial = board(Script { blind: true, ..Script::default() });
    bench.write("hall.csv", format!("name,port\ndock-7,{}\n", trial.address));
    bench.good("keygen --site -o site.key");
    bench.good("keygen -o release");
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = format!("tcp://{}", silent.local_addr().expect("bound"));
    // Ends at once, as long as nothing was begun, at the next packet, with a table that is kept.
    let table = [
        format!("status --device {port} --patience 600"),
        format!("provision --device dock-7 --port {port} --key release.pub --site-key site.key"),
        format!("flash net.gate --device {} --confirm --within 3600", trial.address),
        "flash net.gate --inventory hall.csv --confirm --within 3600".to_owned(),
    ];
    let mut held = None;
    for arguments in table {
        let mut child = start(&bench, &arguments);
        if !arguments.starts_with("flash") {
            // Who connects has set its handler.
            held = Some(silent.accept().expect("it connects"));
        } else {
            let mut said = BufReader::new(child.stderr.take().expect("piped"));
            let mut text = String::new();
            while !text.contains("trial: ") {
                assert!(said.read_line(&mut text).expect("text") > 0, "{text}");
            }
        }
        drop((child.stdout.take(), child.stderr.take()));
        interrupt(&child);
        assert_eq!(child.wait().expect("ends").code(), Some(130), "{arguments}");
    }
    drop(held);
    let table: Value = serde_json::from_slice(&bench.read("net.fleet.json")).expect("JSON");
    assert_eq!(table["boards"]["dock-7"]["state"], "failed");
}

#[test]
fn a_trial_stays_one() {
    let (bench, server) = (Bench::new(), board(Script { blind: true, ..Script::default() }));
    bench.write("net.gate", &*sized(0));
    let on = format!("--device {}", server.address);
    let flash = format!("flash net.gate {on} --confirm --after-frames 5 --within 3600");
    let Outcome { code, stderr, .. } = stop(&bench, &flash, "trial: ");
    assert_eq!(code, 130, "{stderr}");
    assert!(stderr.contains("on trial, 0 of 5") && stderr.contains("revert"), "{stderr}");
    assert_eq!(server.board.lock().expect("no test panicked").slots[1].state, SlotState::Trial);
}

#[test]
fn a_fleet_ends_with_its_table() {
    let (bench, server) = (Bench::new(), board(Script { blind: true, ..Script::default() }));
    bench.write("net.gate", &*sized(0));
    let other = board(Script { name: "b".to_owned(), ..Script::default() });
    bench.write("hall.csv", format!("name,port\ndock-7,{}\nb,{}\n", server.address, other.address));
    let flash = "flash net.gate --inventory hall.csv --jobs 1 --confirm --within 3600";
    let Outcome { code, stdout, stderr } = stop(&bench, flash, "trial: ");
    assert_eq!(code, 130, "{stderr}");
    assert!(stdout.contains("stopped: the bundle runs on trial"), "{stdout}");
    let table: Value = serde_json::from_slice(&bench.read("net.fleet.json")).expect("JSON");
    assert_eq!(table["boards"]["dock-7"]["state"], "failed");
    assert!(table["boards"]["b"].is_null(), "{table}");
    assert!(other.board.lock().expect("no test panicked").executed.is_empty());
}

#[test]
fn a_suite_ends_between_two_frames() {
    let (bench, served) = (Bench::new(), Served::start());
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/bundles/signs.gate");
    std::fs::copy(shipped, bench.path("signs.gate")).expect("copies");
    bench.write("key", secret_text(&sim_key()));
    bench.write("link", LinkKey::new(SERVED_LINK_KEY).text());
    let case = |name: &str, limit: u32| {
        format!("[[sequence]]\nname = \"{name}\"\nframes = [\"signs:test\"]\nlimit = {limit}\n")
    };
    let suite =
        format!("name = \"s\"\nbundle = \"signs.gate\"\n{}{}", case("a", 1), case("b", 500));
    bench.write("s.toml", suite);
    bench.good("hil s.toml --bless");
    let board = format!("--device {} --link-key link --sign key", served.address);
    let slow = format!("hil s.toml {board} --flash --junit j.xml --faults drop=0.2,seed=1");
    let Outcome { code, stderr, .. } = stop(&bench, &slow, "upload");
    assert_eq!(code, 130, "{stderr}");
    assert!(!bench.path("j.xml").exists(), "{stderr}");
    let Outcome { code, stdout, stderr } =
        stop(&bench, &format!("hil s.toml {board} --flash --junit j.xml"), "passed   a");
    assert_eq!(code, 130, "{stdout}{stderr}");
    assert!(stderr.contains("case b: the board goes on with the bundle"), "{stderr}");
    assert!(!bench.path("j.xml").exists());
    assert!(
        bench
            .good(&format!("slots --device {} --link-key link", served.address))
            .contains("confirmed")
    );
}

#[test]
fn who_only_watches_says_so() {
    let (bench, server) = (Bench::new(), board(Script::default()));
    let on = format!("monitor --device {} --json", server.address);
    let Outcome { code, stderr, .. } = stop(&bench, &on, "{");
    assert_eq!(code, 0, "{stderr}");
    assert!(stderr.contains("the board goes on as it was"), "{stderr}");
}
