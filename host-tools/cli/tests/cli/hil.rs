//! `hil`, `hil soak` and `monitor` against the real device's code behind a TCP port.

use std::path::{Path, PathBuf};

use gradgate_bundle::keys::secret_text;
use gradgate_device::sim::{SERVED_CAMERA, SERVED_LINK_KEY, Served, sim_key};
use gradgate_field::keys::LinkKey;

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
    // Nobody there: the reports say skipped.
    let outcome = bench.run(&format!("hil signs.toml {gone} --junit a.xml"));
    assert_eq!(outcome.code, 2, "{}", outcome.stderr);
    assert!(outcome.stderr.contains("cannot be opened"), "{}", outcome.stderr);
    assert!(text(bench.path("a.xml")).contains("skipped=\"3\""));
}
