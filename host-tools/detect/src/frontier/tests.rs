//! A made-up network in which the right subset is known: two of eight norms tell, the others are
//! noise.

use super::*;
use crate::features::Metadata;
use crate::random::Random;

const WIDTH: usize = 8;
/// Columns that tell.
const TELLING: [usize; 2] = [5, 6];

fn made_up(frames: usize, shift: f64, seed: u64) -> FeatureSet {
    let mut random = Random::new(seed, "made up");
    let mut set = FeatureSet {
        metadata: Metadata {
            parameters: (0..WIDTH).map(|at| format!("w{at}")).collect(),
            layers: vec!["layer".into()],
            frames: format!("made up {seed}"),
            model_digest: "aa".into(),
            ..Metadata::default()
        },
        classes: 3,
        ..FeatureSet::default()
    };
    for frame in 0..frames {
        for at in 0..WIDTH {
            let told = if TELLING.contains(&at) { shift } else { 0.0 };
            set.squared_norms.push((random.normal() + told).exp());
        }
        set.activation_norms.push(random.normal().exp());
        for _ in 0..3 {
            set.logits.push(random.normal() as f32);
        }
        set.labels.push(0);
        set.source.push((1_000_000 * seed as usize + frame) as i64);
    }
    set
}

fn sets(shift: f64) -> (FeatureSet, Vec<Anomalous>) {
    let anomalous = Anomalous { name: "odd".into(), set: made_up(500, shift, 2) };
    (made_up(800, 0.0, 1), vec![anomalous])
}

/// A suffix of the columns costs 100 for the forward pass and 10 each.
fn suffixes() -> Vec<Subset> {
    let name = |at: usize| format!("w{at}");
    let suffix = |from: usize| Subset {
        name: if from == WIDTH { "forward only".into() } else { name(from) },
        family: if from == WIDTH { Family::Forward } else { Family::All },
        taps: String::new(),
        parameters: (from..WIDTH).map(name).collect(),
        cost: Cost { forward: 100, norms: 10 * (WIDTH - from) as u64, ..Cost::default() },
    };
    (0..=WIDTH).map(suffix).collect()
}

fn options() -> FitOptions {
    FitOptions { head: Some(HeadKind::Gaussian), resamples: 300, ..FitOptions::default() }
}

#[test]
fn the_knee_is_the_shortest_suffix_that_holds_all_that_tells() {
    let (normal, anomalous) = sets(2.0);
    let frontier = Frontier::new(&normal, &anomalous, &options()).unwrap();
    let report = frontier.measure(suffixes(), None, 2).unwrap();
    let knee = report.knee();
    assert_eq!(knee.name, "w5", "{}", report.to_text(true));
    assert!(knee.front && knee.reported.value > 0.75 && knee.gain.low > 0.1, "{knee:?}");
    // The forward pass tells nothing here.
    assert_eq!(report.points[0].name, "forward only");
    assert!((report.points[0].reported.value - 0.5).abs() < 0.1);
    assert!(report.points.is_sorted_by_key(|point| point.cost.macs()));
    // Within a budget, the best that it allows.
    let report = frontier.measure(suffixes(), Some(125), 1).unwrap();
    assert_eq!((report.knee().name.as_str(), report.limit), ("w6", Some(125)));
    let error = frontier.measure(suffixes(), Some(99), 1).unwrap_err().to_string();
    assert!(error.contains("budget"), "{error}");
}

#[test]
fn nothing_to_gain_means_forward_only() {
    let (normal, anomalous) = sets(0.0);
    let frontier = Frontier::new(&normal, &anomalous, &options()).unwrap();
    let report = frontier.measure(suffixes(), None, 2).unwrap();
    assert_eq!(report.knee().name, "forward only");
    assert!(report.to_text(false).contains("not shown to help"));
}

#[test]
fn threads_change_nothing_and_json_comes_back() {
    let (normal, anomalous) = sets(1.0);
    let frontier = Frontier::new(&normal, &anomalous, &options()).unwrap();
    let one = frontier.measure(suffixes(), None, 1).unwrap();
    let three = frontier.measure(suffixes(), None, 3).unwrap();
    assert_eq!(one, three);
    let text = one.to_json().unwrap();
    assert_eq!(serde_json::from_str::<FrontierReport>(&text).unwrap(), one);
    assert_eq!(draw::svg(&one), draw::svg(&three));
}

#[test]
fn the_greedy_choice_finds_the_columns_that_tell() {
    let (normal, anomalous) = sets(2.0);
    let frontier = Frontier::new(&normal, &anomalous, &options()).unwrap();
    let additions: Vec<Addition> = (0..WIDTH).map(|at| Addition { columns: vec![at] }).collect();
    let macs = |columns: &[usize]| Ok(100 + 10 * columns.len() as u64);
    let steps = greedy(&frontier, &additions, None, 2, &macs).unwrap();
    assert_eq!(steps[1], TELLING, "{steps:?}");
    let steps = greedy(&frontier, &additions, Some(110), 2, &macs).unwrap();
    assert_eq!(steps.len(), 1, "{steps:?}");
    assert!(greedy(&frontier, &additions, Some(105), 2, &macs).unwrap().is_empty());
}

#[test]
fn what_reports_never_chooses() {
    // Anomalies that only the reporting frames hold change no choice.
    let (normal, anomalous) = sets(1.0);
    let options = options();
    let frontier = Frontier::new(&normal, &anomalous, &options).unwrap();
    let before = frontier.measure(suffixes(), None, 2).unwrap();
    let (_, assigned) = crate::split::split_normal(&normal.source, options.split, options.seed);
    let parts = crate::split::split_anomalous(&anomalous[0].set.source, &assigned, options.seed);
    let mut changed = anomalous.clone();
    for frame in parts.test {
        changed[0].set.squared_norms[frame * WIDTH] = 1e6;
    }
    let frontier = Frontier::new(&normal, &changed, &options).unwrap();
    let after = frontier.measure(suffixes(), None, 2).unwrap();
    assert_eq!((before.knee, before.best), (after.knee, after.best));
    for (before, after) in before.points.iter().zip(&after.points) {
        assert_eq!((before.choosing, before.front), (after.choosing, after.front));
    }
    let last = |report: &FrontierReport| report.points[WIDTH].reported.value;
    assert!(last(&after) > last(&before) + 0.05);
}

#[test]
fn what_cannot_be_compared_is_refused() {
    let (normal, anomalous) = sets(1.0);
    let none = normal.with_columns(&[]);
    let few = made_up(40, 0.0, 3);
    let odd = |set: FeatureSet| vec![Anomalous { name: "odd".into(), set }];
    let mut other = anomalous[0].set.clone();
    other.metadata.model_digest = "bb".into();
    let with = |change: fn(&mut FitOptions)| {
        let mut options = options();
        change(&mut options);
        options
    };
    let cases = [
        (&normal, vec![], options(), "anomalous"),
        (&none, odd(none.clone()), options(), "no gradient norms"),
        (&few, anomalous.clone(), options(), "10 different sources"),
        (&normal, odd(made_up(12, 1.0, 4)), options(), "10 different sources"),
        (&normal, odd(other), options(), "model_digest"),
        (&normal, anomalous.clone(), with(|o| o.inputs = Inputs::FORWARD), "must hold norm"),
        (&normal, anomalous.clone(), with(|o| o.head = Some(HeadKind::Energy)), "composite"),
    ];
    for (normal, anomalous, options, wanted) in cases {
        let error = Frontier::new(normal, &anomalous, &options).err().map(|e| e.to_string());
        assert!(error.as_ref().is_some_and(|e| e.contains(wanted)), "{wanted}: {error:?}");
    }
    let mut subsets = suffixes();
    subsets[0].parameters.push("w99".into());
    let frontier = Frontier::new(&normal, &anomalous, &options()).unwrap();
    assert!(frontier.measure(subsets, None, 1).unwrap_err().to_string().contains("w99"));
}

#[test]
fn pictures_are_closed_and_escaped() {
    let (normal, mut anomalous) = sets(1.0);
    anomalous[0].name = "<odd & \"ends\">".into();
    let frontier = Frontier::new(&normal, &anomalous, &options()).unwrap();
    let mut report = frontier.measure(suffixes(), Some(150), 2).unwrap();
    report.model = "a<b".into();
    for picture in [draw::svg(&report), draw::html(&report)] {
        assert!(!picture.contains("<odd") && !picture.contains("a<b"), "{picture}");
        assert!(!picture.contains("NaN") && !picture.contains("inf"), "{picture}");
        for tag in ["svg", "g", "title", "text"] {
            let open = picture.matches(&format!("<{tag}>")).count()
                + picture.matches(&format!("<{tag} ")).count();
            assert_eq!(open, picture.matches(&format!("</{tag}>")).count(), "{tag}");
        }
        // Every point has its tooltip in every panel.
        assert_eq!(picture.matches("against forward only").count(), 4 * (WIDTH + 1));
        assert!(picture.contains("budget") && picture.contains("knee"));
    }
}

/// Norms that tell nothing, with alignments of which one tells.
fn aligned(frames: usize, shift: f64, seed: u64) -> FeatureSet {
    let mut set = made_up(frames, 0.0, seed);
    let mut random = Random::new(seed, "alignments");
    set.metadata.alignments = vec!["w2".into(), "w6".into()];
    set.metadata.references_digest = "cc".into();
    for _ in 0..frames {
        set.alignments.push((0.2 * random.normal() - shift) as f32);
        set.alignments.push((0.2 * random.normal()) as f32);
    }
    set
}

#[test]
fn an_alignment_is_a_tap_of_its_weight() {
    let anomalous = [Anomalous { name: "odd".into(), set: aligned(500, 1.0, 2) }];
    let normal = aligned(800, 0.0, 1);
    let inputs = Inputs::NORM.with(Inputs::FORWARD);
    let reported = |inputs: Inputs| {
        let options = FitOptions { inputs, ..options() };
        let frontier = Frontier::new(&normal, &anomalous, &options).unwrap();
        let report = frontier.measure(suffixes(), None, 2).unwrap();
        let value = |name: &str| {
            report.points.iter().find(|point| point.name == name).unwrap().reported.value
        };
        (["forward only", "w7", "w3", "w2", "w0"].map(value), report.knee().name.clone())
    };
    // The one that tells is w2's: suffixes without w2 do not have it.
    let (told, knee) = reported(inputs.with(Inputs::ALIGNMENT));
    assert!(told[..3].iter().all(|value| (value - 0.5).abs() < 0.1), "{told:?}");
    assert!(told[3..].iter().all(|value| *value > 0.8), "{told:?}");
    assert_eq!(knee, "w2");
    // Not read, not told.
    let (told, knee) = reported(inputs);
    assert!(told.iter().all(|value| (value - 0.5).abs() < 0.1), "{told:?}");
    assert_eq!(knee, "forward only");
    let options = FitOptions { inputs: inputs.with(Inputs::ALIGNMENT), ..options() };
    let error = Frontier::new(&made_up(800, 0.0, 1), &[], &options).err().unwrap().to_string();
    assert!(error.contains("--anomalous"), "{error}");
    let bare = [Anomalous { name: "odd".into(), set: made_up(500, 1.0, 2) }];
    let error = Frontier::new(&made_up(800, 0.0, 1), &bare, &options).err().unwrap().to_string();
    assert!(error.contains("features --references"), "{error}");
}
