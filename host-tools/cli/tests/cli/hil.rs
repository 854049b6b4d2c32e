//! `hil`, `hil soak` and `monitor` against the real device's code behind a TCP port.

use std::path::{Path, PathBuf};

use gradgate_bundle::keys::secret_text;
use gradgate_device::sim::{SERVED_CAMERA, SERVED_LINK_KEY, Served, sim_key};
use gradgate_field::keys::LinkKey;
use gradgate_field::wire::Live;

use crate::support::Bench;

const SUITE: &str = r#"
name = "signs"
bundle = "signs.gate"

[[sequence]]
name = "drawn"
frames = ["signs:test"]
limit = 3

[[sequence]]
name = "camera"
frames = ["signs:test"]
limit = 4
input = "camera"
spoil = [{ at = 1, how = "duplicate" }, { at = 2, how = "repeat" }, { at = 3, how = "repeat" }]

[[gate]]
name = "silence"
case = "silence"
pass = { frames = ["signs:test"], limit = 20 }
# The device's clock goes on while a busy machine does not run it.
within_ms = 900
"#;

/// A folder with a suite, the shipped bundle, the key of the device and its expectation.
fn bench() -> Bench {
    let bench = Bench::new();
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/bundles/signs.gate");
    std::fs::copy(shipped, bench.path("signs.gate")).expect("copies");
    bench.write("key", secret_text(&sim_key()));
    bench.write("link", LinkKey::new(SERVED_LINK_KEY).text());
    let [width, height] = [SERVED_CAMERA.width, SERVED_CAMERA.height];
    let camera = format!("[camera]\nformat = \"yuyv\"\nwidth = {width}\nheight = {height}\n");
    bench.write("signs.toml", SUITE.replacen("\n\n", &format!("\n\n{camera}\n"), 1));
    let blessed = bench.good("hil signs.toml --bless");
    assert!(blessed.contains("+drawn: 0  ") && blessed.contains("+camera: 3  "), "{blessed}");
    bench
}

fn text(path: PathBuf) -> String {
    std::fs::read_to_string(path).expect("it was written")
}

#[test]
fn a_suite_runs_on_a_device() {
    let (bench, served) = (bench(), Served::start());
    let device = &served.address;
    assert!(bench.good("hil signs.toml --bless").contains("nothing changes"));
    let board = format!("--device {device} --link-key link");
    let run = |more: &str| bench.run(&format!("hil signs.toml {board} --sign key {more}"));

    let outcome = run("--only drawn --junit a.xml");
    assert_eq!(outcome.code, 2, "{}", outcome.stderr);
    assert!(outcome.stderr.contains("no bundle runs"), "{}", outcome.stderr);
    assert!(text(bench.path("a.xml")).contains("errors=\"1\""));

    let outcome = run("--flash --junit a.xml --html a.html --firmware key --commit abc");
    let said = format!("{}{}", outcome.stdout, outcome.stderr);
    assert_eq!(outcome.code, 0, "{said}");
    assert!(said.contains("passed   drawn: 3 frames"), "{said}");
    // The gate's case needs frames within its lease, which a busy machine may not manage.
    assert!(said.contains("0 failed, 0 errors"), "{said}");
    let xml = text(bench.path("a.xml"));
    for wanted in ["commit\" value=\"abc", "bundle.sha256", "firmware.sha256", "frame unfit (5)"] {
        assert!(xml.contains(wanted), "{wanted}\n{xml}");
    }
    let html = text(bench.path("a.html"));
    assert!(html.contains("Suite signs on hardware") && !html.contains("http"), "{html}");

    // Another expectation than the engine's is stale.
    let kept = text(bench.path("signs.expected"));
    bench.write("signs.expected", kept.replacen("\tPASS\t", "\tBLOCK\t", 1));
    let outcome = run("--only camera --json");
    assert_eq!(outcome.code, 1, "{}{}", outcome.stdout, outcome.stderr);
    assert!(outcome.stdout.contains("verdict PASS, stored BLOCK"), "{}", outcome.stdout);
    let outcome = bench.good("hil signs.toml --bless --only camera");
    assert!(outcome.contains("-camera: 0") && outcome.contains("+camera: 0"), "{outcome}");
    assert_eq!(text(bench.path("signs.expected")), kept);

    let seen = bench.good(&format!("monitor {board} --json --seconds 1"));
    assert!(seen.lines().any(|line| line.contains("\"type\":\"health\"")), "{seen}");
    let seen = bench.good(&format!("monitor {board} --seconds 1"));
    assert!(seen.contains("health: gate"), "{seen}");
}

#[cfg(unix)]
#[test]
fn a_soak_counts_rounds_and_power_cuts() {
    let (bench, served) = (bench(), Served::start());
    let device = served.address.clone();
    // The hook asks the thread below, which has the device.
    let hook = "[hooks]\npower = \"touch cut; while [ -e cut ]; do sleep 0.01; done\"\n";
    let suite = text(bench.path("signs.toml"));
    bench.write("signs.toml", suite.replacen("\n\n", &format!("\n\n{hook}\n"), 1));
    let cut = bench.path("cut");
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let power = std::thread::spawn(move || {
        let mut cuts = 0;
        while stopped.try_recv().is_err() {
            if cut.exists() {
                served.power_cycle();
                cuts += 1;
                std::fs::remove_file(&cut).expect("it is there");
            }
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        cuts
    });
    let board = format!("--device {device} --link-key link --sign key");
    let outcome = bench.run(&format!("hil signs.toml {board} --flash --only drawn"));
    assert_eq!(outcome.code, 0, "{}{}", outcome.stdout, outcome.stderr);
    let soak = format!("hil soak signs.toml {board} --only drawn --hours 1 --junit soak.xml");
    let failed = bench.run(&format!("{soak} --rounds 2 --power-cycle no-such-command"));
    assert_eq!(failed.code, 1, "{}{}", failed.stdout, failed.stderr);
    assert!(failed.stdout.contains("1 power cuts (1 without"), "{}", failed.stdout);
    let outcome = bench.run(&format!("{soak} --rounds 3"));
    stop.send(()).expect("it runs");
    let cuts = power.join().expect("no panic");
    let said = format!("{}{}", outcome.stdout, outcome.stderr);
    assert_eq!((outcome.code, cuts), (0, 2), "{said}");
    assert!(said.contains("3 rounds") && said.contains("9 frames, 2 power cuts (0 "), "{said}");
    assert!(text(bench.path("soak.xml")).contains("tests=\"1\" failures=\"0\""));
}

#[test]
fn what_is_wrong_is_said_before_a_device_is_asked() {
    let bench = bench();
    let gone = "--device tcp://127.0.0.1:1";
    let rows = [
        ("name = ", "nome = ", "unknown field `nome`"),
        ("signs.gate", "absent.gate", "absent.gate"),
        ("signs:test", "absent", "--bless"),
        ("\"repeat\"", "\"upside-down\"", "unknown variant `upside-down`"),
    ];
    let suite = text(bench.path("signs.toml"));
    for (from, to, wanted) in rows {
        bench.write("wrong.toml", suite.replace(from, to));
        let outcome = bench.run(&format!("hil wrong.toml {gone}"));
        assert_eq!(outcome.code, 2, "{to}");
        assert!(outcome.stderr.contains(wanted), "{to}: {}", outcome.stderr);
    }
    let outcome = bench.run(&format!("hil signs.toml {gone} --only nothing"));
    assert!(outcome.code == 2 && outcome.stderr.contains("no case has this name"));
}

/// Somebody who takes connections and says nothing.
fn silent() -> (std::net::TcpListener, String) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = format!("tcp://{}", listener.local_addr().expect("bound"));
    (listener, address)
}

#[test]
fn a_rig_that_is_absent_is_skipped_and_one_that_is_silent_is_an_error() {
    let bench = bench();
    let (_listener, silent) = silent();
    let (keyed, in_use) = (Served::start(), Served::start());
    let (keyed, busy) = (&keyed.address, &in_use.address);
    let _held = Live::open(&busy.parse().expect("an address"), 9600).expect("free");
    let rows: [(&str, &str, i32, &str, Option<&str>); 10] = [
        // Device, further flags, exit code, what is said, what JUnit counts.
        (
            "tcp://127.0.0.1:1",
            "",
            0,
            "no device, all cases are skipped",
            Some("errors=\"0\" skipped=\"3\""),
        ),
        (
            "tcp://127.0.0.1:1",
            "--no-skips",
            2,
            "cannot be opened",
            Some("errors=\"3\" skipped=\"0\""),
        ),
        ("/dev/no-such-port", "", 0, "all cases are skipped", Some("errors=\"0\" skipped=\"3\"")),
        (
            "dock-7",
            "--port tcp://127.0.0.1:1",
            0,
            "no device is called",
            Some("errors=\"0\" skipped=\"3\""),
        ),
        (
            "dock-7",
            &format!("--port {keyed}"),
            5,
            "another key",
            Some("errors=\"3\" skipped=\"0\""),
        ),
        ("dock-7", &format!("--port {busy}"), 2, "another program", Some("errors=\"3\"")),
        ("dock-7", &format!("--port {silent}"), 5, "no answer in", Some("errors=\"3\"")),
        (&silent, "--patience 0.3", 5, "no answer in", Some("errors=\"3\" skipped=\"0\"")),
        ("tcp://nowhere", "", 2, "names no port", None),
        ("tcp://127.0.0.1:1", "--link-key no-such-key", 2, "no-such-key", None),
    ];
    for (device, more, code, said, junit) in rows {
        let _ = std::fs::remove_file(bench.path("a.xml"));
        let outcome = bench.run(&format!("hil signs.toml --junit a.xml --device {device} {more}"));
        assert_eq!(outcome.code, code, "{device} {more}: {}", outcome.stderr);
        assert!(outcome.stderr.contains(said), "{device} {more}: {}", outcome.stderr);
        match junit {
            Some(junit) => assert!(text(bench.path("a.xml")).contains(junit), "{device} {more}"),
            None => assert!(!bench.path("a.xml").exists(), "{device} {more}"),
        }
    }
    let outcome = bench.run("hil soak signs.toml --hours 0 --device tcp://127.0.0.1:1");
    assert_eq!(outcome.code, 2, "{}", outcome.stderr);
}

#[test]
fn the_gate_is_timed_on_a_copy_whose_pin_follows_it() {
    let (bench, served) = (bench(), Served::start());
    bench.write("bench.toml", "mode = \"enforce\"\nframe_period_us = 500000\n");
    let latency = r#"
[[gate]]
name = "latency"
case = "latency"
pass = { frames = ["signs:test"], limit = 20 }
block = { frames = ["signs:unseen"], limit = 40 }
"#;
    bench.write("signs.toml", text(bench.path("signs.toml")) + latency);
    let board = format!("--device {} --link-key link --sign key --no-skips", served.address);
    let gate = format!("hil signs.toml {board} --only silence --only latency --only drawn");
    let outcome = bench.run(&format!("{gate} --flash --policy bench.toml"));
    assert!(
        outcome.code == 2 && outcome.stderr.contains("--enforce-on-dataset"),
        "{}",
        outcome.stderr
    );

    let named = "--policy bench.toml --enforce-on-dataset signs:calibration:n=6000";
    let outcome = bench.run(&format!("{gate} --flash {named}"));
    let said = format!("{}{}", outcome.stdout, outcome.stderr);
    assert_eq!(outcome.code, 0, "{said}");
    for wanted in
        ["passed   drawn", "passed   silence", "passed   latency", "upload\n", "at BLOCK 3 of 3"]
    {
        assert!(said.contains(wanted), "{wanted}: {said}");
    }
    assert!(!said.contains("monitors"), "{said}");
    assert!(served.pin_closed_us() > 0 && !served.pin_is_open());

    // A bound that this device cannot keep: no network is judged in no time.
    let tight =
        text(bench.path("signs.toml")).replace("limit = 40 }", "limit = 40 }\nwithin_ms = 0");
    bench.write("signs.toml", tight);
    let outcome = bench.run(&format!("{gate} {named}"));
    assert_eq!(outcome.code, 1, "{}", outcome.stdout);
    assert!(outcome.stdout.contains("FAILED   latency"), "{}", outcome.stdout);
}
