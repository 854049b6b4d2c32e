//! Attacks on a classifier in plain Rust, and on one of the suite's graphs.

mod support;

use std::sync::Arc;

use gradgate_lab::attack::checkpoint::Checkpoint;
use gradgate_lab::attack::iterative_sign::Start;
use gradgate_lab::attack::{
    self, Attack, Choice, CleanWrong, Labels, Method, Outcome, Preset, Status, Subject, Summary,
    Target, Work, resolve,
};
use gradgate_lab::{Array, Classifier, Device, LabError, device};
use gradgate_tests::cases::cases;
use gradgate_tests::rng::Rng;
use support::{CLASSES, SHAPE, TwoLayers};

const EPS: f64 = 16.0 / 255.0;

/// Every method, with few steps.
fn attacks() -> Vec<Attack> {
    let none = Choice { seed: 5, ..Choice::default() };
    let ball = Choice { eps: Some(EPS), ..none };
    let random = Some(Target::Random);
    let table = [
        (Method::Fgsm, ball),
        (Method::Bim, ball),
        (Method::Pgd, ball),
        (Method::Pgd, Choice { target: random, clean_wrong: CleanWrong::Attack, ..ball }),
        (Method::IterLl, Choice { round8: true, ..ball }),
        (Method::Cw, Choice { searches: Some(4), steps: Some(40), initial_c: Some(0.1), ..none }),
        (Method::Cw, Choice { searches: Some(3), steps: Some(30), target: random, ..none }),
        (Method::SemanticNegative, none),
        (Method::SemanticHsv, Choice { steps: Some(20), ..none }),
        (Method::Square, Choice { steps: Some(60), ..ball }),
    ];
    let resolved = |(method, choice): (Method, Choice)| {
        resolve(method, Preset::Lab, &choice).unwrap_or_else(|error| panic!("{method}: {error}"))
    };
    table.into_iter().map(resolved).collect()
}

/// In the order of the images.
fn outcomes(
    classifier: &dyn Classifier,
    attack: &Attack,
    subjects: &[Subject],
    width: usize,
) -> Result<Vec<Outcome>, LabError> {
    let mut all = Vec::new();
    let emit = |outcome| {
        all.push(outcome);
        Ok(())
    };
    let subjects = subjects.iter().cloned().map(Ok);
    attack::run(classifier, attack, subjects, width, emit, |_| Ok(()))?;
    all.sort_by_key(|outcome| outcome.index);
    Ok(all)
}

fn summary(outcomes: &[Outcome]) -> Summary {
    let mut summary = Summary::default();
    outcomes.iter().for_each(|outcome| summary.add(outcome));
    summary
}

fn assert_independent(classifier: &dyn Classifier, shape: [usize; 3], count: usize) {
    let subjects = subjects(classifier, shape, count);
    let reversed: Vec<Subject> = subjects.iter().rev().cloned().collect();
    for attack in attacks() {
        if attack.check(classifier.graph()).is_err() {
            continue;
        }
        let together = outcomes(classifier, &attack, &subjects, 64).expect("runs");
        assert_eq!(together.len(), count);
        for (what, subjects, width) in
            [("alone", &subjects, 1), ("by three", &subjects, 3), ("reversed", &reversed, 64)]
        {
            let other = outcomes(classifier, &attack, subjects, width).expect("runs");
            assert!(other == together, "{} {what} differs", attack.method);
        }
    }
}

/// `count` images of 8 bits with the classifier's own class as label; every fifth has another one,
/// so that the classifier is wrong about it.
fn subjects(classifier: &dyn Classifier, shape: [usize; 3], count: usize) -> Vec<Subject> {
    let mut rng = Rng(23);
    let samples: usize = shape.iter().product();
    let classes = classifier.classes();
    (0..count)
        .map(|index| {
            let pixels: Vec<f32> =
                (0..samples).map(|_| f32::from(rng.bits() as u8) / 255.0).collect();
            let image = Array::new([1, shape[0], shape[1], shape[2]], pixels.clone());
            let logits = classifier.logits(&image).expect("logits");
            let class = gradgate_lab::attack::loss::argmax(logits.frame(0));
            let label = if index % 5 == 4 { (class + 1) % classes } else { class };
            Subject { index, source: index as i64, label: Some(label), pixels }
        })
        .collect()
}

#[test]
fn results_depend_neither_on_batch_nor_on_order() {
    assert_independent(&TwoLayers::new(), SHAPE, 20);
}

#[test]
fn results_on_a_graph_depend_neither_on_batch_nor_on_order() {
    let case = cases().into_iter().find(|case| case.name == "residual");
    let graph = case.unwrap_or_else(|| cases().swap_remove(0)).graph;
    let &[_, channels, rows, columns] = graph.shape(graph.input.expect("an image")) else {
        panic!("an image");
    };
    let classifier = device::open(Arc::new(graph), Device::Cpu).expect("opens");
    assert_independent(classifier.as_ref(), [channels, rows, columns], 6);
}

#[test]
fn results_do_not_depend_on_a_constant_added_to_all_logits() {
    let plain = TwoLayers::new();
    let subjects = subjects(&plain, SHAPE, 20);
    for constant in [-128.0, 64.0] {
        let shifted = TwoLayers::shifted(constant);
        for attack in attacks() {
            let wanted = outcomes(&plain, &attack, &subjects, 64).expect("runs");
            let got = outcomes(&shifted, &attack, &subjects, 64).expect("runs");
            assert!(got == wanted, "{} differs when {constant} is added", attack.method);
        }
    }
}

/// The textbook's formula, with the slope of the plain classifier.
#[test]
fn fgsm_is_its_formula() {
    let classifier = TwoLayers::new();
    let subjects = subjects(&classifier, SHAPE, 8);
    let choice = Choice { eps: Some(EPS), clean_wrong: CleanWrong::Attack, ..Choice::default() };
    let attack = resolve(Method::Fgsm, Preset::Lab, &choice).expect("resolves");
    let got = outcomes(&classifier, &attack, &subjects, 64).expect("runs");
    for (subject, outcome) in subjects.iter().zip(&got) {
        let logits = classifier.logits_of(&subject.pixels);
        let label = subject.label.expect("a label");
        let total: f32 = logits.iter().map(|z| z.exp()).sum();
        let cotangent: Vec<f32> = (0..CLASSES)
            .map(|class| logits[class].exp() / total - f32::from(u8::from(class == label)))
            .collect();
        let slope = classifier.slope(&subject.pixels, &cotangent);
        for (at, (&x, g)) in subject.pixels.iter().zip(slope).enumerate() {
            if g.abs() < 1e-4 {
                continue;
            }
            let wanted = (x + EPS as f32 * g.signum()).clamp(0.0, 1.0);
            assert!((outcome.pixels[at] - wanted).abs() < 1e-6, "image {} at {at}", subject.index);
        }
    }
}

#[test]
fn stronger_attacks_succeed_more_often_and_stay_in_their_ball() {
    let classifier = TwoLayers::new();
    let subjects = subjects(&classifier, SHAPE, 40);
    let all: Vec<(Attack, Vec<Outcome>)> = attacks()
        .into_iter()
        .map(|attack| (attack, outcomes(&classifier, &attack, &subjects, 64).expect("runs")))
        .collect();
    let success = |method| {
        let found = all.iter().find(|(attack, _)| attack.method == method).expect("there");
        summary(&found.1).success().expect("attacked")
    };
    assert!(success(Method::Bim) >= success(Method::Fgsm));
    assert!(success(Method::Cw) > 0.99, "{}", success(Method::Cw));
    assert!(success(Method::Square) > 0.2, "{}", success(Method::Square));
    for (attack, outcomes) in &all {
        for outcome in outcomes {
            check_outcome(attack, &subjects[outcome.index], outcome, &classifier);
        }
    }
}

fn check_outcome(attack: &Attack, subject: &Subject, outcome: &Outcome, classifier: &TwoLayers) {
    let what = format!("{} of image {}", attack.method, outcome.index);
    let predicted = attack::loss::argmax(&classifier.logits_of(&outcome.pixels));
    assert_eq!(predicted, outcome.predicted_after, "{what}");
    assert!(outcome.pixels.iter().all(|x| (0.0..=1.0).contains(x)), "{what}");
    let bounded =
        !matches!(attack.method, Method::Cw | Method::SemanticNegative | Method::SemanticHsv);
    assert!(!bounded || f64::from(outcome.l_inf) <= EPS + 1e-6, "{what}: {}", outcome.l_inf);
    let label = subject.label.expect("a label");
    match outcome.status {
        Status::CleanWrong => assert_ne!(outcome.predicted_before, label, "{what}"),
        Status::Success if attack.target == Target::Random => {
            assert_eq!(Some(predicted), outcome.target, "{what}");
        }
        Status::Success => assert_ne!(predicted, label, "{what}"),
        Status::Failed if attack.target == Target::None => assert_eq!(predicted, label, "{what}"),
        Status::Failed | Status::AtTarget => {}
    }
    if attack.round8 {
        let whole = outcome.pixels.iter().all(|x| (x * 255.0 - (x * 255.0).round()).abs() < 1e-4);
        assert!(whole, "{what}");
    }
}

/// C&W stops at the boundary; BIM at full eps lies beyond it.
#[test]
fn least_l2_is_nearer_than_a_ball() {
    let classifier = TwoLayers::new();
    let subjects = subjects(&classifier, SHAPE, 20);
    let choice = Choice { searches: Some(6), steps: Some(100), ..Choice::default() };
    let cw = resolve(Method::Cw, Preset::Lab, &choice).expect("resolves");
    let least = outcomes(&classifier, &cw, &subjects, 64).expect("runs");
    let ball = Choice { eps: Some(EPS), ..Choice::default() };
    let bim = resolve(Method::Bim, Preset::Lab, &ball).expect("resolves");
    let within = outcomes(&classifier, &bim, &subjects, 64).expect("runs");
    let both = least
        .iter()
        .zip(&within)
        .filter(|(a, b)| a.status == Status::Success && b.status == Status::Success);
    let nearer: Vec<bool> = both.map(|(a, b)| a.l2 < b.l2).collect();
    assert!(nearer.len() >= 3 && nearer.iter().all(|&nearer| nearer), "{nearer:?}");
}

#[test]
fn what_does_not_fit_is_refused_with_its_place() {
    let classifier = TwoLayers::new();
    let good = subjects(&classifier, SHAPE, 3);
    let change = |edit: &dyn Fn(&mut Subject)| {
        let mut subjects = good.clone();
        edit(&mut subjects[1]);
        subjects
    };
    let pgd = |choice: Choice| resolve(Method::Pgd, Preset::Lab, &choice).expect("resolves");
    let plain = pgd(Choice::default());
    let cases = [
        (plain, change(&|s| s.label = None), "image 1 has no label"),
        (plain, change(&|s| s.label = Some(5)), "classes 0 to 4"),
        (plain, change(&|s| s.pixels[7] = 1.5), "image 1 holds 1.5"),
        (plain, change(&|s| s.pixels[7] = f32::NAN), "image 1 holds NaN"),
        (plain, change(&|s| s.pixels.truncate(9)), "image 1 has 9 samples"),
        (
            pgd(Choice { target: Some(Target::Class(5)), ..Choice::default() }),
            good.clone(),
            "target class 5",
        ),
    ];
    for (attack, subjects, says) in cases {
        let error = outcomes(&classifier, &attack, &subjects, 64).expect_err(says).to_string();
        assert!(error.contains(says), "{error}");
    }
    let nan = TwoLayers::shifted(f32::NAN);
    let error = outcomes(&nan, &plain, &good, 64).expect_err("NaN").to_string();
    assert!(error.contains("logit 0 of image 0 as NaN"), "{error}");
}

#[test]
fn without_labels_the_classifiers_own_class_is_left() {
    let classifier = TwoLayers::new();
    let mut subjects = subjects(&classifier, SHAPE, 10);
    subjects.iter_mut().for_each(|subject| subject.label = None);
    let choice = Choice { labels: Labels::Own, eps: Some(EPS), ..Choice::default() };
    let attack = resolve(Method::Bim, Preset::Lab, &choice).expect("resolves");
    let all = outcomes(&classifier, &attack, &subjects, 64).expect("runs");
    for outcome in &all {
        let moved = outcome.predicted_before != outcome.predicted_after;
        assert_eq!(moved, outcome.status == Status::Success);
    }
    assert!(summary(&all).success() > Some(0.0));
    assert_eq!(summary(&all).accuracy(), None);
}

#[test]
fn an_image_of_the_target_class_is_left_alone() {
    let classifier = TwoLayers::new();
    let subjects = subjects(&classifier, SHAPE, 20);
    let class = subjects[0].label.expect("a label");
    let choice = Choice { target: Some(Target::Class(class)), ..Choice::default() };
    let attack = resolve(Method::Bim, Preset::Lab, &choice).expect("resolves");
    let all = outcomes(&classifier, &attack, &subjects, 64).expect("runs");
    assert_eq!(all[0].status, Status::AtTarget);
    assert_eq!(all[0].pixels, subjects[0].pixels);
    assert!(all.iter().any(|outcome| outcome.status == Status::Success));
}

/// Work adds up to the bound that progress counts to.
#[test]
fn work_asked_and_spared_is_the_whole() {
    let classifier = TwoLayers::new();
    let subjects = subjects(&classifier, SHAPE, 20);
    for attack in attacks() {
        let mut total = 0;
        let observe = |work: Work| {
            total += work.asked + work.spared;
            Ok::<(), LabError>(())
        };
        let all = subjects.iter().cloned().map(Ok);
        attack::run(&classifier, &attack, all, 8, |_| Ok(()), observe).expect("runs");
        assert_eq!(total, attack.image_steps() * 20, "{}", attack.method);
    }
}

#[test]
fn a_run_that_ended_early_goes_on_to_the_same_result() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("checkpoint");
    let classifier = TwoLayers::new();
    let subjects = subjects(&classifier, SHAPE, 30);
    for attack in attacks() {
        let whole = outcomes(&classifier, &attack, &subjects, 4).expect("runs");
        let mut checkpoint = Checkpoint::create(&path, "run").expect("creates");
        let mut left = 11;
        let emit = |outcome: Outcome| {
            checkpoint.add(&outcome)?;
            left -= 1;
            if left == 0 { Err(LabError::Data("killed".to_owned())) } else { Ok(()) }
        };
        let all = subjects.iter().cloned().map(Ok);
        let ended = attack::run(&classifier, &attack, all, 4, emit, |_| Ok(()));
        assert!(ended.is_err());
        drop(checkpoint);
        let (checkpoint, mut done) = Checkpoint::resume(&path, "run", 48).expect("resumes");
        assert_eq!(done.len(), 11);
        let seen = |subject: &&Subject| !done.iter().any(|one| one.index == subject.index);
        let rest: Vec<Subject> = subjects.iter().filter(seen).cloned().collect();
        done.extend(outcomes(&classifier, &attack, &rest, 4).expect("runs"));
        done.sort_by_key(|outcome| outcome.index);
        assert!(done == whole, "{}", attack.method);
        checkpoint.remove().expect("removes");
    }
}

#[test]
fn a_random_start_depends_on_seed_and_image() {
    let clean = vec![0.5; 48];
    let attack = |seed| {
        let choice = Choice { seed, start: Some(Start::Uniform), ..Choice::default() };
        resolve(Method::Bim, Preset::Lab, &choice).expect("resolves")
    };
    let first = |seed, index| match attack(seed).kind {
        attack::Kind::Sign(sign) => sign.first(&clean, seed, index),
        other => panic!("{other:?}"),
    };
    assert_eq!(first(1, 2), first(1, 2));
    assert_ne!(first(1, 2), first(2, 2));
    assert_ne!(first(1, 2), first(1, 3));
}
