//! Every door that untrusted bytes come in by: the fuzzers' seeds, and small damage to them.
//!
//! `GRADGATE_SEED` starts the damage elsewhere, `GRADGATE_ROUNDS` sets how much there is. A search
//! that coverage guides is `cargo xtask fuzz`.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use gradgate_bundle::Bundle;
use gradgate_bundle::align::AlignedBytes;
use gradgate_bundle::error::ParseError;
use gradgate_detect::DetectorFile;
use gradgate_engine::Engine;
use gradgate_graph::expand::{Label, expand};
use gradgate_graph::ops::Op;
use gradgate_graph::taps::Taps;
use gradgate_tests::cases::{Builder, same};
use gradgate_tests::compile;
use gradgate_tests::doors::mutate::mutated;
use gradgate_tests::doors::{DOORS, Door};
use gradgate_tests::executor::{Executor, InterpExecutor, run_engine};
use gradgate_tests::rng::Rng;

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

#[test]
fn seeds_are_accepted_or_refused_as_their_names_say() {
    for door in &DOORS {
        let seeds = door.seeds();
        for (name, bytes) in &seeds {
            let accepted = door.check(bytes);
            let expected = match name.split('-').next() {
                Some("valid") => true,
                Some("attack") => false,
                _ => continue,
            };
            let remedy = "if the format changed: cargo xtask fuzz --seeds";
            assert_eq!(accepted, expected, "{}: {name}; {remedy}", door.name);
        }
        let attacks = seeds.iter().filter(|(name, _)| name.starts_with("attack-")).count();
        assert!(attacks >= 3, "{}: {attacks} seeds of attacks", door.name);
    }
}

fn damage(name: &str, rounds: u64) {
    let (door, seeds) = (Door::named(name), Door::named(name).seeds());
    let (first, rounds) = (setting("GRADGATE_SEED", 1), setting("GRADGATE_ROUNDS", rounds));
    let mut accepted = 0;
    for round in first..first + rounds {
        let mut rng = Rng(round);
        let (seed, bytes) = &seeds[rng.range(0, seeds.len() - 1)];
        let damaged = mutated(bytes, &mut rng);
        let result = catch_unwind(AssertUnwindSafe(|| door.check(&damaged)));
        match result {
            Ok(ok) => accepted += u64::from(ok),
            Err(_) => panic!("{name}: GRADGATE_SEED={round} GRADGATE_ROUNDS=1, seed {seed}"),
        }
    }
    println!("{name}: {rounds} rounds, {accepted} accepted");
}

#[test]
fn damaged_bundles_do_no_harm() {
    damage("bundle", 200_000);
}

#[test]
fn damaged_models_do_no_harm() {
    damage("import", 100_000);
}

#[test]
fn damaged_models_are_compiled_or_refused() {
    damage("compile", 20_000);
}

#[test]
fn damaged_images_do_no_harm() {
    damage("images", 30_000);
}

#[test]
fn damaged_recordings_do_no_harm() {
    damage("recordings", 3_000);
}

#[test]
fn damaged_features_do_no_harm() {
    damage("features", 100_000);
}

#[test]
fn damaged_detectors_do_no_harm() {
    damage("detector", 50_000);
}

#[test]
fn damaged_requests_do_a_device_no_harm() {
    damage("requests", 5_000);
}

#[test]
fn damaged_answers_do_a_host_no_harm() {
    damage("answers", 20_000);
}

/// tests/fuzz/README.md names a test for every shape of attack.
#[test]
fn every_attack_of_the_list_has_its_test() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let list = std::fs::read_to_string(root.join("tests/fuzz/README.md")).expect("the list");
    let named: Vec<(&str, &str)> =
        list.split('`').filter_map(|word| word.split_once(".rs::")).collect();
    for (file, test) in &named {
        let path = root.join(format!("{file}.rs"));
        let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{file}.rs: {e}"));
        let before = text.split_once(&format!("fn {test}()")).map(|(before, _)| before);
        let attributes = before.and_then(|before| before.rsplit("\n\n").next());
        assert!(attributes.is_some_and(|a| a.contains("#[test]")), "{file}.rs: {test}");
    }
    assert!(named.len() >= 25, "{} tests are named", named.len());
}

fn seed_of(door: &str, name: &str) -> Vec<u8> {
    let seeds = Door::named(door).seeds();
    let found = seeds.into_iter().find(|(seed, _)| seed == name);
    found.unwrap_or_else(|| panic!("no seed {door}/{name}")).1
}

#[test]
fn thresholds_that_are_no_numbers_are_refused() {
    let file = AlignedBytes::from(&seed_of("bundle", "attack-nan_threshold.gate")[..]);
    let bundle = Bundle::parse(&file).expect("its records are right");
    let error = Engine::load(bundle).expect_err("a threshold that is NaN");
    assert!(error.to_string().contains("threshold"), "{error}");
    for value in ["absent", "nan", "infinite"] {
        let text = seed_of("detector", &format!("attack-threshold_{value}.json"));
        let text = String::from_utf8(text).expect("text");
        assert!(DetectorFile::from_json(&text).is_err(), "{value}");
    }
}

#[test]
fn deep_json_is_refused() {
    let text = String::from_utf8(seed_of("detector", "attack-deep_nesting.json")).expect("text");
    let error = DetectorFile::from_json(&text).expect_err("deep");
    assert!(error.to_string().contains("detector file"), "{error}");
    let deep = "[".repeat(100_000);
    let header = format!("{{\"images\":{deep}");
    let bytes = [&(header.len() as u64).to_le_bytes()[..], header.as_bytes()].concat();
    assert!(!Door::named("images").check(&bytes));
    assert!(!Door::named("features").check(&bytes));
}

/// 400 KB of pixels behind a header that promises 200 KB: read to one byte past the promise.
#[test]
fn a_gzip_bomb_takes_no_more_than_its_header_says() {
    let bomb = seed_of("images", "attack-bomb.idx.gz");
    assert!(bomb.len() < 8_000, "{} bytes are no bomb", bomb.len());
    assert!(!Door::named("images").check(&bomb));
}

/// Finite weights whose normalisation has none: a writer that checks (`write`) refuses them too.
#[test]
fn scales_that_overflow_are_refused() {
    let (mut builder, image) = Builder::new("overflow", 3, 4);
    let y = builder.conv(image, 2, 3, same(3), false);
    let scale = builder.parameter(&[2], 0.0, f32::MAX);
    let shift = builder.parameter(&[2], 0.0, 0.0);
    let (mean, variance) = (builder.constant(&[2], 0.0, 0.0), builder.constant(&[2], 0.0, 1e-9));
    let y = builder.op(Op::BatchNorm { epsilon: 0.0 }, &[y, scale, shift, mean, variance]);
    let graph = builder.classify(y);
    let expanded = expand(&graph, &Label::Ones, &Taps::all()).expect("a network");
    let compiled = compile(&expanded, false);
    let error = Bundle::parse(&compiled.bytes).expect_err("an infinite scale");
    assert!(matches!(error, ParseError::NonFinite { .. }), "{error}");
}

/// Weights below the normal numbers are neither refused nor taken for zero.
#[test]
fn subnormal_weights_are_computed_with() {
    let (mut builder, image) = Builder::new("subnormal", 3, 4);
    let w = builder.parameter(&[4, 3, 3, 3], 1e-39, 0.0);
    let y = builder.op(Op::Conv(same(3)), &[image, w]);
    let expanded = expand(&builder.classify(y), &Label::Ones, &Taps::all()).expect("a network");
    let frame = Rng(3).bytes(3 * 4 * 4);
    let engine = run_engine(&compile(&expanded, false), &frame);
    let expected = InterpExecutor.features(&expanded, &frame).penultimate;
    assert!(expected.iter().all(|y| *y != 0.0 && y.abs() < f64::from(f32::MIN_POSITIVE)));
    for (got, expected) in engine.penultimate.iter().zip(&expected) {
        assert!((got - expected).abs() <= 1e-3 * expected.abs(), "{got:e} {expected:e}");
    }
}
