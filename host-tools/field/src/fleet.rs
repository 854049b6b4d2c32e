//! Many boards: canaries first, then so many at a time, and a stop when too many fail.
//!
//! What was done stands in a [`Table`], so that a run that was broken off goes on; boards that it
//! calls done are asked before they are believed to be. How one board is flashed is the caller's.

mod inventory;
mod table;

use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use gradgate_link::message::{Digest, SlotState};

use crate::device::Slots;
use crate::error::Error;
use crate::flash::{Outcome, PhaseTime};
use crate::lock::Lock;

pub use inventory::{Board, parse};
pub use table::{Row, State, Table, csv, name, state_name};

/// How a fleet is flashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Boards at a time.
    pub jobs: usize,
    /// Boards that must all succeed before the rest begins.
    pub canary: usize,
    /// Failures that are borne; with more, no further board begins.
    pub failures_max: usize,
}

/// What came of one board.
#[derive(Clone, Debug)]
pub struct Flashed {
    /// How it ended.
    pub result: Result<Outcome, Error>,
    /// Phases with times.
    pub phases: Vec<PhaseTime>,
}

/// Whether a board holds the bundle as far as was wanted, or farther.
pub fn holds(slots: &Slots, bundle: &Digest, goal: Outcome) -> bool {
    let Some(slot) = slots.find(bundle).and_then(|number| slots.slot(number)) else { return false };
    let runs = slots.running().is_some_and(|running| running.identity == *bundle);
    match goal {
        Outcome::Suits => false,
        Outcome::Staged if slot.state == SlotState::Staged => true,
        Outcome::Staged | Outcome::OnTrial => {
            runs && matches!(slot.state, SlotState::Trial | SlotState::Confirmed)
        }
        Outcome::Already | Outcome::Confirmed => runs && slot.state == SlotState::Confirmed,
    }
}

/// Keeps a table for this program alone, until the lock is dropped.
///
/// # Errors
/// [`Error::File`] when another run has it, [`Error::Open`].
pub fn lock_table(path: &Path) -> Result<Lock, Error> {
    Lock::of_file(path).map_err(|error| match error {
        Error::Locked => Error::File {
            message: format!(
                "{}: another `gradgate flash` goes on with this table: wait for its end, or name \
                 another --table",
                path.display()
            ),
        },
        other => other,
    })
}

/// Flashes all boards that are not done: `still` asks one that the table calls done whether it is,
/// `one` flashes one, `each` hears of every board that was asked or ended. Boards that were not
/// begun keep the state that they had; one that was done and does not answer is told as failed,
/// and counts as no failure of this run. [`Error::Stopped`] of either ends the run, and is no
/// answer of a board that was to be asked.
///
/// # Errors
/// Those of `each`, such as a table that cannot be written: no further board begins.
pub fn run(
    boards: &[Board],
    plan: &Plan,
    table: &mut Table,
    still: impl Fn(&Board) -> Result<bool, Error> + Sync,
    one: impl Fn(&Board) -> Flashed + Sync,
    mut each: impl FnMut(&Table, &Row) -> Result<(), Error> + Send,
) -> Result<(), Error> {
    let (known, mut left): (Vec<&Board>, Vec<&Board>) =
        boards.iter().partition(|board| table.is_done(&board.name));
    let (mut done, mut stopped) = (0, false);
    batch(&known, plan.jobs, &still, |board, answer| {
        match &answer {
            Ok(true) => done += 1,
            Ok(false) => left.push(board),
            // It was not asked: nothing new is known of it.
            Err(Error::Stopped { .. }) => {
                stopped = true;
                return Ok(false);
            }
            Err(_) => {}
        }
        let row = table.asked(board, &answer);
        each(table, &row)?;
        Ok(true)
    })?;
    if stopped {
        return Ok(());
    }
    left.sort_by_key(|board| boards.iter().position(|other| other == *board));
    let canaries = plan.canary.saturating_sub(done).min(left.len());
    let (first, rest) = left.split_at(canaries);
    let mut failures = 0;
    for (boards, limit) in [(first, 0), (rest, plan.failures_max)] {
        let mut go_on = true;
        batch(boards, plan.jobs, &one, |board, flashed| {
            failures += usize::from(flashed.result.is_err());
            go_on &= failures <= limit && !matches!(flashed.result, Err(Error::Stopped { .. }));
            let row = table.note(board, flashed);
            each(table, &row)?;
            Ok(go_on)
        })?;
        if !go_on {
            break;
        }
    }
    Ok(())
}

/// What the threads share.
struct Shared<'b, E> {
    left: VecDeque<&'b Board>,
    ended: E,
    outcome: Result<(), Error>,
}

/// Boards in order, `jobs` at a time; `ended` says whether another may begin, and is heard before
/// the thread takes another.
fn batch<'b, T>(
    boards: &[&'b Board],
    jobs: usize,
    one: &(impl Fn(&Board) -> T + Sync),
    ended: impl FnMut(&'b Board, T) -> Result<bool, Error> + Send,
) -> Result<(), Error> {
    let left = boards.iter().copied().collect();
    let shared = Mutex::new(Shared { left, ended, outcome: Ok(()) });
    // A thread that panicked ends the scope with its panic.
    let lock = || shared.lock().unwrap_or_else(PoisonError::into_inner);
    let work = || {
        loop {
            let Some(board) = lock().left.pop_front() else { return };
            let came = one(board);
            let mut shared = lock();
            match (shared.ended)(board, came) {
                Ok(true) => {}
                Ok(false) => shared.left.clear(),
                Err(error) => {
                    shared.left.clear();
                    shared.outcome = Err(error);
                }
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..jobs.clamp(1, boards.len().max(1)) {
            scope.spawn(work);
        }
    });
    shared.into_inner().unwrap_or_else(PoisonError::into_inner).outcome
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    fn boards(count: usize) -> Vec<Board> {
        let text: String = (0..count).map(|at| format!("b{at},tcp://h:{}\n", at + 1)).collect();
        parse(&format!("name,port\n{text}")).expect("a list")
    }

    fn flashed(good: bool) -> Flashed {
        let error = Error::Locked;
        Flashed { result: if good { Ok(Outcome::Staged) } else { Err(error) }, phases: Vec::new() }
    }

    fn still(_: &Board) -> Result<bool, Error> {
        Ok(true)
    }

    fn states(table: &Table, boards: &[Board]) -> String {
        let letter = |row: Row| match row.state {
            State::NotTried => '.',
            State::Done => 'd',
            State::Failed => 'f',
        };
        table.rows(boards).into_iter().map(letter).collect()
    }

    #[test]
    fn canaries_go_first_and_failures_stop_the_rest() {
        // Canaries, failures that are borne, boards that fail, what comes of six.
        let table = [
            (0, 0, "", "dddddd"),
            (0, 0, "b1", "df...."),
            (0, 1, "b1", "dfdddd"),
            (0, 1, "b1b3b4", "dfdf.."),
            (2, 9, "b1", "df...."),
            (2, 9, "b2", "ddfddd"),
            (9, 9, "b5", "dddddf"),
        ];
        for (canary, failures_max, bad, expected) in table {
            let boards = boards(6);
            let mut done = Table::new("x".into(), "staged");
            let plan = Plan { jobs: 1, canary, failures_max };
            let one = |board: &Board| flashed(!bad.contains(&board.name));
            run(&boards, &plan, &mut done, still, one, |_, _| Ok(())).expect("no error of each");
            assert_eq!(states(&done, &boards), expected, "{canary} {failures_max} {bad}");
            let again = Table::parse(&done.text(), "x", "staged").expect("its own file");
            assert_eq!(states(&again, &boards), expected);
        }
    }

    #[test]
    fn so_many_at_a_time_and_no_more_after_an_error() {
        let boards = boards(12);
        let (now, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let one = |_: &Board| {
            most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            std::thread::sleep(Duration::from_millis(20));
            now.fetch_sub(1, Ordering::SeqCst);
            flashed(true)
        };
        let plan = Plan { jobs: 3, canary: 0, failures_max: 0 };
        let mut table = Table::new("x".into(), "staged");
        run(&boards, &plan, &mut table, still, one, |_, _| Ok(())).expect("no error of each");
        assert_eq!((states(&table, &boards).as_str(), most.into_inner()), ("dddddddddddd", 3));
        let mut table = Table::new("x".into(), "staged");
        let full = Error::File { message: "the disk is full".into() };
        let one = |_: &Board| flashed(true);
        let plan = Plan { jobs: 1, ..plan };
        let result = run(&boards, &plan, &mut table, still, one, |_, _| Err(full.clone()));
        assert_eq!(result, Err(full));
        assert_eq!(states(&table, &boards), "d...........");
    }

    #[test]
    fn boards_that_were_done_are_asked() {
        let boards = boards(5);
        let plan = Plan { jobs: 1, canary: 0, failures_max: 0 };
        let mut table = Table::new("x".into(), "staged");
        run(&boards[..4], &plan, &mut table, still, |_| flashed(true), |_, _| Ok(()))
            .expect("good");
        // b1 holds something else by now, b2 does not answer.
        let still = |board: &Board| match board.name.as_str() {
            "b1" => Ok(false),
            "b2" => Err(Error::Locked),
            _ => Ok(true),
        };
        let order = Mutex::new(Vec::new());
        let one = |board: &Board| {
            order.lock().expect("no panic").push(board.name.clone());
            flashed(true)
        };
        let mut heard = 0;
        let each = |_: &Table, _: &Row| {
            heard += 1;
            Ok(())
        };
        run(&boards, &plan, &mut table, still, one, each).expect("good");
        assert_eq!(order.into_inner().expect("no panic"), ["b1", "b4"]);
        assert_eq!((states(&table, &boards).as_str(), heard), ("ddfdd", 6));
        assert!(table.boards["b2"].detail.starts_with("it was done"), "{:?}", table.boards["b2"]);
    }

    #[test]
    fn a_stop_while_boards_are_asked_leaves_the_rest_as_it_was() {
        let boards = boards(4);
        let plan = Plan { jobs: 1, canary: 0, failures_max: 9 };
        let mut table = Table::new("x".into(), "staged");
        run(&boards[..3], &plan, &mut table, still, |_| flashed(true), |_, _| Ok(()))
            .expect("good");
        let still = |board: &Board| match board.name.as_str() {
            "b1" => Err(Error::Stopped { left: String::new() }),
            _ => Ok(false),
        };
        let one = |board: &Board| panic!("{} is flashed", board.name);
        run(&boards, &plan, &mut table, still, one, |_, _| Ok(())).expect("good");
        assert_eq!(states(&table, &boards), ".dd.");
    }

    #[test]
    fn a_board_holds_a_bundle_as_far_as_wanted() {
        use SlotState::{Confirmed, Empty, Rejected, Staged, Trial};
        use gradgate_link::message::Slot;
        let goals = [Outcome::Staged, Outcome::OnTrial, Outcome::Confirmed];
        // State of its slot, whether that slot runs, whether it holds for each goal.
        let table = [
            (Staged, false, [true, false, false]),
            (Trial, true, [true, true, false]),
            (Trial, false, [false, false, false]),
            (Confirmed, true, [true, true, true]),
            (Rejected, false, [false, false, false]),
            (Empty, false, [false, false, false]),
        ];
        for (state, runs, expected) in table {
            let slot = |state, digit| Slot {
                state,
                total_bytes: 9,
                identity: [digit; 32],
                security_counter: 0,
            };
            let active = Some(u8::from(runs));
            let slots = Slots { active, slots: [slot(Confirmed, 1), slot(state, 2)] };
            assert_eq!(goals.map(|goal| holds(&slots, &[2; 32], goal)), expected, "{state:?}");
        }
    }

    #[test]
    fn a_table_of_another_bundle_or_goal_is_refused() {
        let text = Table::new("aa".into(), "staged").text();
        assert!(Table::parse(&text, "aa", "staged").is_ok());
        for (bundle, goal) in [("bb", "staged"), ("aa", "confirmed")] {
            let error = Table::parse(&text, bundle, goal).expect_err("another").to_string();
            assert!(error.contains("--table"), "{error}");
        }
        assert!(Table::parse("{}", "aa", "staged").is_err());
    }

    #[test]
    fn cells_are_split_and_run_by_no_spreadsheet() {
        let row = Row {
            name: "=1+1".into(),
            port: "a,\"b\"".into(),
            state: State::Failed,
            detail: "line\nbreak".into(),
            took_ms: 1250,
            phases: Vec::new(),
        };
        let expected =
            "name,port,state,detail,seconds\n'=1+1,\"a,\"\"b\"\"\",failed,line break,1.2\n";
        assert_eq!(csv(&[row]), expected);
    }
}
