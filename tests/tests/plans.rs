//! A plan never changes a bit: whatever is placed in place, put in another order, kept as a mask
//! or computed again, the engine takes the bundle and gives what it gives when every tensor has a
//! place of its own.
//!
//! `GRADGATE_SEED` starts the random networks elsewhere.

use gradgate_graph::expand::{Expanded, Label, expand_aligned};
use gradgate_graph::graph::Graph;
use gradgate_graph::import::{ImportOptions, import_file};
use gradgate_graph::taps::Taps;
use gradgate_tests::cases::random::random;
use gradgate_tests::cases::{cases, references};
use gradgate_tests::executor::report;
use gradgate_tests::rng::Rng;
use gradgate_tests::{compile, compile_within, shared};

/// Random networks per run.
const NETWORKS: u64 = 40;

/// How the plans of a run came out.
#[derive(Debug, Default)]
struct Tally {
    plans: usize,
    refused: usize,
    steps_again: usize,
    cosines: usize,
}

fn expanded(graph: &Graph, aligned: bool) -> Expanded {
    let references = if aligned { references(graph) } else { Vec::new() };
    expand_aligned(graph, &Label::Ones, &Taps::all(), &references)
        .unwrap_or_else(|error| panic!("{error}"))
}

/// As [`compare_one`], without alignments and with one of every weight: an alignment reads operands
/// and a feature after the norm, which the planner must keep for it.
fn compare(name: &str, graph: &Graph, rng: &mut Rng, tally: &mut Tally) {
    for aligned in [false, true] {
        let name = format!("{name}{}", if aligned { ", aligned" } else { "" });
        compare_one(&name, &expanded(graph, aligned), rng, tally);
    }
}

/// Holds plans without a budget and within shares of what that needs against the one in which
/// every tensor keeps its place.
fn compare_one(name: &str, expanded: &Expanded, rng: &mut Rng, tally: &mut Tally) {
    let graph = &expanded.graph;
    let elements = graph.input.map(|id| graph.value(id).elements()).unwrap();
    let frame = rng.bytes(elements);
    let kept = compile(expanded, true);
    let expected = report(&kept.bytes, &frame);
    let cosines = expected.lines().filter(|line| line.starts_with("alignment ")).count();
    assert_eq!(cosines, expanded.alignments.len(), "{name}");
    tally.cosines += cosines;
    let free = compile(expanded, false);
    assert!(free.plan.arena_elements <= kept.plan.arena_elements, "{name}");
    assert_eq!(report(&free.bytes, &frame), expected, "{name}: without a budget");
    for _ in 0..3 {
        let budget = free.plan.arena_bytes() * rng.range(70, 99) / 100;
        let Some(within) = compile_within(expanded, budget) else {
            tally.refused += 1;
            continue;
        };
        assert!(within.plan.arena_bytes() <= budget, "{name}: {budget} B");
        assert_eq!(report(&within.bytes, &frame), expected, "{name}: {budget} B");
        tally.plans += 1;
        tally.steps_again += within.schedule.steps.iter().filter(|step| step.again).count();
    }
}

#[test]
fn random_networks_keep_their_bits() {
    let start = std::env::var("GRADGATE_SEED").ok().and_then(|text| text.parse().ok());
    let start: u64 = start.unwrap_or(1);
    let mut tally = Tally::default();
    for seed in start..start + NETWORKS {
        println!("seed {seed}");
        compare(&format!("seed {seed}"), &random(seed), &mut Rng(seed), &mut tally);
    }
    println!("{tally:?}");
    assert!(tally.plans > 40 && tally.steps_again > 40 && tally.cosines > 100, "{tally:?}");
}

#[test]
fn suite_cases_keep_their_bits() {
    let (mut rng, mut tally) = (Rng(6), Tally::default());
    for case in cases() {
        compare(case.name, &case.graph, &mut rng, &mut tally);
    }
    println!("{tally:?}");
}

/// ResNet-8's activations that the backward pass needs take 294,912 B; two of them computed again
/// leave 196,608 B. Results, masks and scratch come on top, the frame lies elsewhere.
#[test]
fn resnet8_takes_little_more_than_what_must_be_kept() {
    let Some(model) = shared("models/resnet8.onnx") else { return };
    let imported = import_file(&model, &ImportOptions::default()).unwrap();
    let expanded = expanded(&imported.graph, false);
    let arena = compile(&expanded, false).plan.arena_bytes();
    assert!((294_912..=307_200).contains(&arena), "{arena} B");
    let within = compile_within(&expanded, 208_896).expect("two layers computed again");
    let extra: u64 = within.schedule.steps.iter().filter(|s| s.again).map(|s| s.macs).sum();
    // The yardstick's two layers are 0.44 M and 2.36 M multiply-adds.
    assert!(extra > 0 && extra <= 2_801_664, "{extra} multiply-adds");
    println!("{arena} B; {} B for {extra} multiply-adds", within.plan.arena_bytes());
    assert!(compile_within(&expanded, 100_000).is_none());
}
