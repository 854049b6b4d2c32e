//! Many boards: what a run says, what the next one believes, and who has the table.

use gradgate_field::fleet::lock_table;
use gradgate_link::message::SlotState;

use crate::board::common::{Fake, Script, Server, sized};
use crate::support::{Bench, Outcome};

fn hall(names: &[&str]) -> (Bench, Vec<Server<Fake>>) {
    let bench = Bench::new();
    bench.write("net.gate", &*sized(8000));
    let board = |name: &&str| {
        Server::start(Fake::new(Script { name: (*name).to_owned(), ..Script::default() }))
    };
    let boards: Vec<Server<Fake>> = names.iter().map(board).collect();
    let lines: String =
        names.iter().zip(&boards).map(|(name, at)| format!("{name},{}\n", at.address)).collect();
    bench.write("hall.csv", format!("name,port\n{lines}"));
    (bench, boards)
}

fn uploads(server: &Server<Fake>) -> usize {
    let board = server.board.lock().expect("no test panicked");
    board.executed.iter().filter(|name| *name == "UploadBegin").count()
}

const FLASH: &str = "flash net.gate --inventory hall.csv --jobs 2 --stage-only";

#[test]
fn what_the_table_calls_done_is_asked_of_the_boards() {
    let (bench, boards) = hall(&["a", "b", "c"]);
    let first = bench.run(FLASH);
    assert_eq!(first.code, 0, "{}{}", first.stdout, first.stderr);
    for phase in ["a    ", "upload: ", "verify: ", "[3/3] "] {
        assert!(first.stderr.contains(phase), "{phase}: {}", first.stderr);
    }
    let quiet = bench.run(&format!("{FLASH} --json"));
    assert!(!quiet.stderr.contains("verify: "), "{}", quiet.stderr);
    // Somebody erases one, by hand; another is switched off.
    boards[1].board.lock().expect("no test panicked").slots[1].state = SlotState::Empty;
    boards[2].board.lock().expect("no test panicked").script.silent = true;
    let Outcome { code, stdout, stderr } = bench.run(FLASH);
    assert_eq!(code, 7, "{stdout}{stderr}");
    assert!(stderr.contains("holds something else by now"), "{stderr}");
    assert!(stdout.contains("2 of 3 boards are done"), "{stdout}");
    assert!(stdout.contains("it was done, and cannot be asked now: no answer"), "{stdout}");
    assert_eq!([0, 1, 2].map(|at| uploads(&boards[at])), [1, 2, 1]);
    boards[2].board.lock().expect("no test panicked").script.silent = false;
    assert_eq!(bench.run(FLASH).code, 0);
}

#[test]
fn one_run_at_a_time_has_the_table() {
    let (bench, boards) = hall(&["a"]);
    let held = lock_table(&bench.path("net.fleet.json")).expect("free");
    let error = bench.bad(FLASH);
    assert!(error.contains("net.fleet.json") && error.contains("another --table"), "{error}");
    assert_eq!(uploads(&boards[0]), 0);
    assert_eq!(bench.run(&format!("{FLASH} --dry-run").replace(" --stage-only", "")).code, 0);
    assert_eq!(bench.run(&format!("{FLASH} --table other.json --csv other.csv")).code, 0);
    drop(held);
    assert_eq!(bench.run(FLASH).code, 0);
}

#[test]
fn names_with_wildcards_are_no_names() {
    let (bench, _boards) = hall(&["a"]);
    bench.write("hall.csv", "name,port\ndock-*,tcp://127.0.0.1:1\n");
    let error = bench.bad(FLASH);
    assert!(error.contains("hall.csv: line 2") && error.contains("dock-*"), "{error}");
}
