//! A drive in print: strips of characters, a summary, lines for machines.

use gradgate_gate::Verdict;
use serde_json::json;

use super::drive::{Kind, Stretch, Truth};
use super::judged::{JUDGES, Judged, Normal, Played};
use crate::output::plain;

const NAME: usize = 11;

/// One stretch: what it is, truth and gates frame by frame, and what came of it.
pub fn strip(stretch: &Stretch, played: &Played) -> String {
    let mut text = format!("{} ({})\n", plain(&stretch.what), stretch.kind.name());
    let truth: String = played.frames.iter().map(|one| truth(one.is_right())).collect();
    let right = right(played);
    text.push_str(&format!("  {:NAME$} {truth}  {right}\n", "classifier",));
    for (judge, name) in JUDGES.iter().enumerate() {
        let gate: String = played.frames.iter().map(|one| letter(one, judge)).collect();
        text.push_str(&format!(
            "  {name:NAME$} {gate}  {}\n",
            outcome(stretch.kind, played, judge)
        ));
    }
    text
}

fn truth(right: Option<bool>) -> char {
    match right {
        Some(true) => '.',
        Some(false) => 'x',
        None => '-',
    }
}

/// How many classes of a stretch are right, in words.
pub fn right(played: &Played) -> String {
    let known: Vec<bool> = played.frames.iter().filter_map(Judged::is_right).collect();
    match known.len() {
        0 => "truth unknown".to_owned(),
        all => format!("class right {}/{all}", known.iter().filter(|right| **right).count()),
    }
}

/// Gate open or closed; `?` where pre-checks refuse the picture.
fn letter(judged: &Judged, judge: usize) -> char {
    match (judged.open[judge], &judged.sensor) {
        (_, Some(_)) => '?',
        (true, None) => '.',
        (false, None) => '#',
    }
}

/// What came of a stretch, in words.
pub fn outcome(kind: Kind, played: &Played, judge: usize) -> String {
    let blocked = played.frames.iter().filter(|one| one.verdicts[judge] != Verdict::Pass).count();
    let closed = played.closed_after(judge);
    if kind.should_pass() {
        return match (played.fell(judge), played.stayed_closed(judge)) {
            (true, _) => format!("FALSE STOP ({blocked} frames not passed)"),
            (false, false) => "open".to_owned(),
            (false, true) => format!("STAYED CLOSED ({blocked} frames not passed)"),
        };
    }
    match closed {
        Some(_) if played.stayed_closed(judge) => "was closed already".to_owned(),
        Some(seconds) => {
            let share = 100.0 * played.open_share(judge);
            format!("closed after {seconds:.1} s, open for {share:.0} % of it")
        }
        None => format!("MISSED ({blocked} of {} frames blocked)", played.frames.len()),
    }
}

/// What was counted over the whole drive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Planted events that a network must see, and those in which an open gate closed.
    pub planted: usize,
    /// See `planted`.
    pub stopped: [usize; 3],
    /// Those before which a gate was closed anyway, and stayed so.
    pub closed_anyway: [usize; 3],
    /// Events that pre-checks see, and those that they saw.
    pub unusable: [usize; 2],
    /// Stretches that should pass, and those in which a gate closed or stayed closed.
    pub passing: usize,
    /// See `passing`.
    pub false_stops: [usize; 3],
    /// Frames that the classifier read wrongly, and those of them with an open gate.
    pub wrong: usize,
    /// See `wrong`.
    pub wrong_open: [usize; 3],
}

impl Totals {
    /// Counts a drive.
    pub fn of(stretches: &[Stretch], played: &[Played]) -> Totals {
        let mut totals = Totals::default();
        for (stretch, played) in stretches.iter().zip(played) {
            totals.add(stretch.kind, played);
        }
        totals
    }

    fn add(&mut self, kind: Kind, played: &Played) {
        let fell = [0, 1, 2].map(|judge| played.fell(judge));
        let stayed = [0, 1, 2].map(|judge| played.stayed_closed(judge));
        let seen = played.frames.iter().any(|frame| frame.sensor.is_some());
        match kind {
            Kind::Unusable => {
                self.unusable[0] += 1;
                self.unusable[1] += usize::from(seen && (fell[0] || stayed[0]));
            }
            _ if kind.should_pass() => {
                self.passing += 1;
                for (judge, count) in self.false_stops.iter_mut().enumerate() {
                    *count += usize::from(fell[judge] || stayed[judge]);
                }
            }
            _ => {
                self.planted += 1;
                for judge in 0..3 {
                    self.stopped[judge] += usize::from(fell[judge]);
                    self.closed_anyway[judge] += usize::from(stayed[judge]);
                }
            }
        }
        let wrong = |one: &&Judged| one.is_right() == Some(false) && one.sensor.is_none();
        let wrong = played.frames.iter().filter(wrong);
        for frame in wrong {
            self.wrong += 1;
            for (judge, count) in self.wrong_open.iter_mut().enumerate() {
                *count += usize::from(frame.open[judge]);
            }
        }
    }
}

/// Rows of the summary: what is counted, then the three.
pub fn rows(totals: &Totals, normal: &Normal) -> Vec<(String, [String; 3])> {
    let share = |part: usize, all: usize| {
        format!("{part} ({:.1} %)", 100.0 * part as f64 / all.max(1) as f64)
    };
    let per_hour = normal.events.map(|rate| match rate.counted() {
        Some(counted) => format!("{counted:.0} (at most {:.0})", rate.upper()),
        None => "the gate never opened".to_owned(),
    });
    let minutes = 60.0 * normal.events[0].hours;
    vec![
        (
            format!("normal frames not passed, of {}", normal.frames),
            normal.blocked.map(|count| share(count, normal.frames)),
        ),
        (format!("false stops an hour, on {minutes:.0} min (95 %)"), per_hour),
        (
            format!("planted events stopped, of {}", totals.planted),
            [0, 1, 2].map(|judge| match totals.closed_anyway[judge] {
                0 => totals.stopped[judge].to_string(),
                anyway => format!("{} (closed anyway {anyway})", totals.stopped[judge]),
            }),
        ),
        (
            format!("stretches stopped that should pass, of {}", totals.passing),
            totals.false_stops.map(|count| count.to_string()),
        ),
        (
            format!("wrong classes under an open gate, of {}", totals.wrong),
            totals.wrong_open.map(|count| share(count, totals.wrong)),
        ),
    ]
}

/// What stands after the strips.
pub fn summary(totals: &Totals, normal: &Normal) -> String {
    const FIRST: usize = 48;
    let mut text = format!("\n{:FIRST$}{:>24}{:>24}{:>24}\n", "", JUDGES[0], JUDGES[1], JUDGES[2]);
    for (what, [ours, softmax, statistics]) in rows(totals, normal) {
        text.push_str(&format!("{what:FIRST$}{ours:>24}{softmax:>24}{statistics:>24}\n"));
    }
    text.push_str(&notes(totals, normal));
    text
}

/// How to read the figures.
pub fn notes(totals: &Totals, normal: &Normal) -> String {
    let (frames, rate) = normal.set_on;
    let [planted, seen] = totals.unusable;
    format!(
        "Set so that softmax and statistics block {:.1} % of {frames} other normal frames, as \
         gradgate does: equal rates per frame, not per hour.\n\
         Unusable pictures caught by pre-checks, before any network: {seen} of {planted}.\n\
         A frozen camera shows a picture that is right: the gate closes for want of fresh frames.\n\
         No detector here is a defence against an attacker who knows it.\n",
        100.0 * rate
    )
}

/// A line of JSON for each frame of a stretch.
pub fn json_lines(number: usize, stretch: &Stretch, played: &Played) -> String {
    let line = |(at, one): (usize, &Judged)| {
        let judges: serde_json::Map<String, serde_json::Value> = JUDGES
            .iter()
            .enumerate()
            .map(|(judge, name)| {
                let said = json!({
                    "score": one.scores[judge],
                    "verdict": one.verdicts[judge].to_string(),
                    "open": one.open[judge],
                });
                ((*name).to_owned(), said)
            })
            .collect();
        let object = json!({
            "stretch": number,
            "what": stretch.what,
            "kind": stretch.kind.name(),
            "should_pass": stretch.kind.should_pass(),
            "frame": at,
            "time_s": one.time_us as f64 / 1e6,
            "label": match one.truth {
                Truth::Class(label) => Some(label),
                Truth::None | Truth::Unknown => None,
            },
            "class": one.class,
            "right": one.is_right(),
            "sensor": one.sensor,
            "judges": judges,
        });
        format!("{object}\n")
    };
    played.frames.iter().enumerate().map(line).collect()
}
