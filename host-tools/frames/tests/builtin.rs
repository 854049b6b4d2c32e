//! Built-in anomalies: how they are dealt, what they keep of their frames, what is refused.

mod common;

use std::collections::BTreeSet;
use std::path::Path;

use common::{bytes, open_one};
use gradgate_frames::builtin::{Anomalies, AnomalyKind, Made};
use gradgate_frames::fault::FaultKind;
use gradgate_frames::synthetic::SyntheticKind;
use gradgate_frames::{Frames, OpenOptions};

const ALL: [u8; 5] = [1, 2, 3, 4, 5];

fn frames(spec: &str, channels: usize) -> Frames {
    open_one(Path::new(spec), &OpenOptions::new(32, 32, channels)).unwrap()
}

fn made(anomalies: &Anomalies, frames: &Frames) -> Vec<Option<Made>> {
    (0..frames.len()).map(|index| anomalies.make(frames, index).unwrap()).collect()
}

#[test]
fn every_kind_gets_as_many_frames_of_every_severity() {
    for (name, severities) in [("faults", &ALL[..]), ("synthetic", &[1, 3, 5]), ("fog", &[2])] {
        let anomalies = Anomalies::new(name, severities, 7).unwrap();
        let kinds = anomalies.kinds().len();
        let mut counts = vec![[0; 6]; kinds];
        for index in 0..kinds * severities.len() * 2 {
            let (kind, severity) = anomalies.dealt(index);
            counts[kind][usize::from(severity)] += 1;
        }
        for count in counts {
            for (severity, &found) in count.iter().enumerate() {
                let wanted = if severities.contains(&(severity as u8)) { 2 } else { 0 };
                assert_eq!(found, wanted, "{name}, {severity}");
            }
        }
    }
    let dealt = |seed| {
        let anomalies = Anomalies::new("faults", &ALL, seed).unwrap();
        (0..40).map(|index| anomalies.dealt(index)).collect::<Vec<_>>()
    };
    assert_ne!(dealt(0), dealt(1));
}

#[test]
fn label_source_and_name_stay_and_pixels_change() {
    let frames = frames("signs:test:n=46", 3);
    for name in ["faults", "builtin:synthetic"] {
        let mut anomalies = Anomalies::new(name, &ALL, 0).unwrap();
        anomalies.fit_to(&frames, true).unwrap();
        let all = made(&anomalies, &frames);
        assert_eq!(all, made(&anomalies, &frames));
        let kinds: BTreeSet<usize> = all.iter().flatten().map(|made| made.kind).collect();
        assert_eq!(kinds.len(), anomalies.kinds().len());
        for (index, made) in all.into_iter().enumerate() {
            let (made, normal) = (made.unwrap(), frames.get(index).unwrap());
            assert_eq!((made.frame.label, made.frame.source), (normal.label, normal.source));
            assert_eq!(made.frame.name, normal.name);
            let kind = anomalies.kinds()[made.kind];
            let same = bytes(&made.frame.pixels) == bytes(&normal.pixels);
            let left = kind == AnomalyKind::Synthetic(SyntheticKind::RandomTarget);
            assert_eq!(same, left, "{index}: {}", kind.name());
        }
    }
}

#[test]
fn frozen_frames_repeat_their_track_and_the_first_has_none() {
    let frames = frames("signs:sequence:n=40,track=10", 3);
    let anomalies = Anomalies::new("frozen-frame", &ALL, 0).unwrap();
    for (index, made) in made(&anomalies, &frames).into_iter().enumerate() {
        let Some(made) = made else {
            assert_eq!(index % 10, 0);
            continue;
        };
        let shown = (index / 10 * 10..index)
            .find(|&earlier| frames.get(earlier).unwrap().pixels == made.frame.pixels);
        assert!(shown.is_some(), "{index}");
    }
}

#[test]
fn a_second_round_makes_others_of_the_same_frames() {
    let frames = frames("signs:test:n=6", 3);
    let noise = Anomalies::new("noise", &[3], 0).unwrap();
    let [first, second] = [1, 7].map(|index| noise.make(&frames, index).unwrap().unwrap().frame);
    assert_eq!((first.source, &first.name), (second.source, &second.name));
    assert_ne!(first.pixels, second.pixels);
}

#[test]
fn a_frame_in_which_nothing_changes_is_no_anomaly() {
    // Grey pictures in colour: nothing to exchange, but there is light to take away.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("grey.ppm");
    let grey = (0..64_u8).flat_map(|at| [at * 3; 3]).collect::<Vec<_>>();
    std::fs::write(&path, [b"P6\n8 8\n255\n".to_vec(), grey].concat()).unwrap();
    let frames = open_one(&path, &OpenOptions::new(8, 8, 3)).unwrap();
    for (name, seen) in [("channel-swap", false), ("underexposure", true), ("down-up", true)] {
        let anomalies = Anomalies::new(name, &ALL, 0).unwrap();
        assert_eq!(anomalies.make(&frames, 0).unwrap().is_some(), seen, "{name}");
    }
}

#[test]
fn the_codec_comes_after_what_was_made() {
    let mut options = OpenOptions::new(32, 32, 3);
    let fog = Anomalies::new("fog", &[3], 0).unwrap();
    let with = |options: &OpenOptions| {
        let frames = open_one(Path::new("signs:test:n=3"), options).unwrap();
        fog.make(&frames, 1).unwrap().unwrap().frame.pixels
    };
    let plain = with(&options);
    options.codec = Some("60".parse().unwrap());
    assert_ne!(with(&options), plain);
}

#[test]
fn what_frames_cannot_have_is_left_out_of_a_group_and_refused_alone() {
    let (grey, track, singles) =
        (frames("signs:test:n=9", 1), frames("signs:sequence:n=9,track=9", 3), "signs:test:n=9");
    let singles = frames(singles, 3);
    let cases = [
        ("faults", &grey, vec!["white-balance", "bayer-swap", "channel-swap", "frozen-frame"]),
        ("faults", &track, vec![]),
        ("faults", &singles, vec!["frozen-frame"]),
        ("synthetic", &track, vec!["mix"]),
        ("synthetic", &singles, vec![]),
    ];
    for (name, frames, wanted) in cases {
        let mut anomalies = Anomalies::new(name, &ALL, 0).unwrap();
        let left_out = anomalies.fit_to(frames, true).unwrap();
        let names: Vec<&str> = left_out.iter().filter_map(|why| why.split(':').next()).collect();
        assert_eq!(names, wanted, "{name}");
    }
    let alone = [
        ("white-balance", &grey, "grey"),
        ("frozen-frame", &singles, "--group"),
        ("mix", &track, "two sources"),
    ];
    for (name, frames, wanted) in alone {
        let error = Anomalies::new(name, &ALL, 0).unwrap().fit_to(frames, true).unwrap_err();
        assert!(error.contains(wanted) && error.contains(name), "{error}");
    }
    let mut without = Anomalies::new("synthetic", &ALL, 0).unwrap();
    assert_eq!(without.fit_to(&singles, false).unwrap().len(), 1);
    assert_eq!(without.kinds().len(), 4);
    let error = Anomalies::new("builtin:blur", &ALL, 0).unwrap_err();
    for part in ["\"blur\"", "faults, synthetic", "defocus", "random-target"] {
        assert!(error.contains(part), "{part}: {error}");
    }
    for severities in [&[][..], &[0], &[3, 6]] {
        assert!(Anomalies::new("fog", severities, 0).unwrap_err().contains("1 to 5"));
    }
    let fault = AnomalyKind::Fault(FaultKind::Fog);
    assert_eq!(Anomalies::new("fog", &[3, 1], 2).unwrap().kinds(), [fault]);
    let text = Anomalies::new("fog", &[3, 1], 2).unwrap().describe();
    assert_eq!(text, "builtin:fog severities=1,3 anomalous-seed=2");
}
