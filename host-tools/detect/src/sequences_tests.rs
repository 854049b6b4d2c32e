//! Choices on drawn sequences whose rate of events is known or can be counted.

use super::*;
use crate::features::tests::synthetic;
use gradgate_gate::DEFAULT_POLICY;

/// Scores that hang together as those of neighbours in a video do: an autoregressive normal with
/// tails made heavier, 10 frames a second.
fn video(random: &mut Random, frames: usize, name: &str) -> Sequence {
    let mut state = random.normal();
    let frame = |_| {
        state = 0.8 * state + 0.6 * random.normal();
        SequenceFrame { time_ns: None, score: Ok((state + 0.05 * state.powi(3)) as f32) }
    };
    Sequence { name: name.to_owned(), frames: (0..frames).map(frame).collect() }
}

fn videos(seed: u64, count: usize, frames: usize) -> Vec<Sequence> {
    let mut random = Random::new(seed, "video");
    (0..count).map(|index| video(&mut random, frames, &format!("drive {index}"))).collect()
}

const GOAL: Goal = Goal { per_hour: 1.0, keep_window: false, caution: None };

#[test]
fn a_choice_from_few_hours_keeps_its_promise_on_fresh_hours() {
    // 1.1 hours of calibration at 10 frames a second; 11 fresh hours each.
    let mut seldom = 0;
    for seed in 0..6 {
        let choice = choose(&DEFAULT_POLICY, &videos(seed, 8, 5_000), &GOAL).unwrap();
        let limits = Limits { threshold: choice.threshold, caution: None };
        let fresh = replay(&choice.policy, &limits, &videos(100 + seed, 4, 100_000)).unwrap();
        assert!(choice.extrapolated);
        seldom += usize::from(fresh.events() as f64 <= fresh.open_hours());
        println!("{choice:?}: {} events in {:.1} h", fresh.events(), fresh.open_hours());
    }
    assert!(seldom >= 5, "{seldom} of 6");
}

#[test]
fn a_window_that_tolerates_more_has_a_lower_threshold() {
    let calibration = videos(7, 8, 5_000);
    let mut scores: Vec<f32> = calibration.iter().flat_map(Sequence::scores).collect();
    scores.sort_by(f32::total_cmp);
    let mut last = f32::INFINITY;
    for (k, m) in [(1, 1), (3, 5), (8, 14)] {
        let policy = Policy { k, m, ..DEFAULT_POLICY };
        let choice = lowest_threshold(&policy, &calibration, &scores, &GOAL).unwrap();
        assert!(choice.threshold < last, "{k} of {m}: {} {last}", choice.threshold);
        last = choice.threshold;
        let kept = Goal { keep_window: true, ..GOAL };
        assert_eq!(choose(&policy, &calibration, &kept).unwrap(), choice);
    }
}

#[test]
fn with_hours_enough_the_threshold_is_that_of_counted_events() {
    // 22 hours, 2 of 3; one event an hour promised, so that 2 are tolerated here.
    let calibration = videos(9, 8, 100_000);
    let policy = Policy { k: 2, m: 3, ..DEFAULT_POLICY };
    let goal = Goal { keep_window: true, ..GOAL };
    let choice = choose(&policy, &calibration, &goal).unwrap();
    let at = |threshold| {
        let limits = Limits { threshold, caution: None };
        replay(&policy, &limits, &calibration).unwrap().events()
    };
    assert!(!choice.extrapolated);
    assert!(at(choice.threshold) <= 2 && at(choice.threshold * 0.97) > 2);
}

#[test]
fn sequences_stay_whole_and_both_parts_have_some() {
    for (count, frames) in [(2, 10), (3, 500), (40, 25)] {
        let all = videos(3, count, frames);
        let (calibration, audit) = split(all.clone(), 5).unwrap();
        assert!(!calibration.is_empty() && !audit.is_empty());
        let mut names: Vec<&str> =
            calibration.iter().chain(&audit).map(|sequence| sequence.name.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
        assert_eq!(split(all, 5).unwrap(), (calibration.clone(), audit));
        if count == 40 {
            assert!((12..=15).contains(&calibration.len()), "{}", calibration.len());
        }
    }
    for few in [vec![], videos(1, 1, 100)] {
        let error = split(few, 0).unwrap_err().to_string();
        assert!(error.contains("2 normal sequences"), "{error}");
    }
}

#[test]
fn groups_of_one_recording_stay_on_one_side() {
    let named = |name: &str, mut sequence: Sequence| {
        sequence.name = name.to_owned();
        sequence
    };
    let names: Vec<String> =
        (0..12).map(|index| format!("{}.mcap:/cam group {index}", index % 3)).collect();
    let all: Vec<Sequence> =
        names.iter().zip(videos(1, 12, 50)).map(|(name, one)| named(name, one)).collect();
    for seed in 0..20 {
        let (calibration, audit) = split(all.clone(), seed).unwrap();
        assert_eq!(calibration.len() + audit.len(), 12);
        for one in &calibration {
            assert!(audit.iter().all(|other| other.origin() != one.origin()), "{}", one.name);
        }
    }
    let one: Vec<Sequence> = all.into_iter().filter(|one| one.name.starts_with("0.mcap")).collect();
    let error = split(one, 0).unwrap_err().to_string();
    assert!(error.contains("groups of one recording are not independent"), "{error}");
    for (name, origin) in [
        ("a.mcap:/cam group 12", "a.mcap:/cam"),
        ("a.mcap:/cam", "a.mcap:/cam"),
        ("group 3", "group 3"),
        ("a group 3.mcap:/cam", "a group 3.mcap:/cam"),
        ("a group ", "a group "),
    ] {
        assert_eq!(named(name, Sequence::default()).origin(), origin);
    }
}

#[test]
fn the_frame_period_is_what_times_say() {
    let timed = |times: &[Option<i64>]| Sequence {
        name: "drive".into(),
        frames: times
            .iter()
            .map(|ms| SequenceFrame { time_ns: ms.map(|ms| ms * 1_000_000), score: Ok(0.0) })
            .collect(),
    };
    let cases: [(&[Option<i64>], Option<u32>); 5] = [
        (&[None, None], None),
        (&[Some(5)], None),
        (&[Some(0), Some(100), Some(199), Some(60_000)], Some(100_000)),
        (&[Some(0), None, Some(200), Some(233)], Some(33_000)),
        (&[Some(0), Some(0), Some(0)], Some(1)),
    ];
    for (times, wanted) in cases {
        assert_eq!(frame_period_us(&pace(&[timed(times)]).0), wanted, "{times:?}");
    }
    // A stamp that runs back is told, and no reason to refuse the rest.
    let back = [timed(&[Some(5), Some(6)]), timed(&[Some(5), Some(4), Some(7), Some(3)])];
    let (pace, first) = pace(&back);
    assert_eq!((pace.backward(), first), (2, Some(("drive", 1))));
    assert_eq!(frame_period_us(&pace), Some(3_000));
}

#[test]
fn goals_and_scores_that_cannot_be_used_are_refused() {
    let calibration = videos(1, 2, 50);
    for per_hour in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        let error = choose(&DEFAULT_POLICY, &calibration, &Goal { per_hour, ..GOAL });
        assert!(error.unwrap_err().to_string().contains("above 0"), "{per_hour}");
    }
    let unscored = Sequence {
        name: "dark".into(),
        frames: vec![SequenceFrame { time_ns: None, score: Err(Cause::Sensor) }; 5],
    };
    assert!(choose(&DEFAULT_POLICY, &[unscored], &GOAL).is_err());
    let constant = Sequence {
        name: "constant".into(),
        frames: vec![SequenceFrame { time_ns: None, score: Ok(1.0) }; 50],
    };
    let choice = choose(&DEFAULT_POLICY, &[constant], &GOAL).unwrap();
    assert_eq!((choice.threshold, choice.policy.k), (1.0, 1));
}

#[test]
fn sources_with_several_frames_are_sequences() {
    let mut set = synthetic(9, 0.0, 1, 3);
    set.source[8] = 7;
    set.sequences.insert(0, "a.mcap /camera".into());
    let frames: Vec<usize> = (0..9).collect();
    let scores: Vec<f32> = frames.iter().map(|frame| *frame as f32).collect();
    let found = of_features(&set, &frames, &scores);
    let names: Vec<(&str, usize)> =
        found.iter().map(|one| (one.name.as_str(), one.frames.len())).collect();
    assert_eq!(names, [("a.mcap /camera", 3), ("source 1", 3), ("source 2", 2)]);
    assert!(of_features(&set, &[0, 3, 6], &[0.0; 3]).is_empty());
}
