//! The same bits on every target: digests of the engine's results, of drawn signs and of faults
//! against committed ones.
//!
//! Runs natively and under qemu-aarch64. `GRADGATE_BLESS=1` writes the digests anew; the engine's
//! may change only together with runtime/engine/NUMERICS.md, those of signs and faults only
//! when every figure that was measured on them is measured again.

use std::fmt::Write;
use std::path::PathBuf;

use gradgate_bundle::digest::sha256;
use gradgate_frames::fault::{Fault, FaultKind};
use gradgate_frames::signs::{Signs, Spec, Split};
use gradgate_frames::synthetic::SyntheticKind;
use gradgate_graph::expand::{Label, expand, expand_aligned};
use gradgate_graph::import::{ImportOptions, import_file};
use gradgate_graph::taps::Taps;
use gradgate_tests::cases::{cases, references};
use gradgate_tests::executor::report;
use gradgate_tests::reference::channels_last;
use gradgate_tests::rng::Rng;
use gradgate_tests::{compile, shared};

fn compare(file: &str, found: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("golden").join(file);
    if std::env::var_os("GRADGATE_BLESS").is_some() {
        std::fs::write(&path, found).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    for (expected, found) in expected.lines().zip(found.lines()) {
        assert_eq!(found, expected, "{file}: other bits than committed");
    }
    assert_eq!(expected.lines().count(), found.lines().count(), "{file}: number of cases");
}

fn digest_line(out: &mut String, name: &str, bytes: &[u8]) {
    let digest = sha256(bytes);
    let hex: String = digest[..12].iter().map(|b| format!("{b:02x}")).collect();
    let _ = writeln!(out, "{name}: {hex}");
}

#[test]
fn suite_cases_give_the_committed_bits() {
    let mut out = String::new();
    for case in cases() {
        let expanded = expand(&case.graph, &Label::Ones, &Taps::all()).unwrap();
        let compiled = compile(&expanded, false);
        let elements = case.graph.input.map(|id| case.graph.value(id).elements()).unwrap();
        let mut rng = Rng(7);
        let text: String = (0..4).map(|_| report(&compiled.bytes, &rng.bytes(elements))).collect();
        digest_line(&mut out, case.name, text.as_bytes());
    }
    compare("suite-bits.txt", &out);
}

/// Cosines alone: what else such a bundle gives stands in the other digests.
#[test]
fn alignments_give_the_committed_bits() {
    let mut out = String::new();
    let mut cosines = 0;
    for case in cases() {
        let references = references(&case.graph);
        let expanded = expand_aligned(&case.graph, &Label::Ones, &Taps::all(), &references);
        let compiled = compile(&expanded.unwrap(), false);
        let elements = case.graph.input.map(|id| case.graph.value(id).elements()).unwrap();
        let mut rng = Rng(7);
        let reports = (0..4).map(|_| report(&compiled.bytes, &rng.bytes(elements)));
        let lines: Vec<String> = reports.map(|text| alignments_of(&text)).collect();
        cosines += lines.iter().map(|text| text.lines().count()).sum::<usize>();
        digest_line(&mut out, case.name, lines.concat().as_bytes());
    }
    assert!(cosines > 4 * 80, "{cosines}");
    compare("alignment-bits.txt", &out);
}

fn alignments_of(report: &str) -> String {
    report.split_inclusive('\n').filter(|line| line.starts_with("alignment ")).collect()
}

/// Real frames: 100 on ResNet-8, 10 on ResNet-20 (emulated aarch64 takes seconds for each); 10 on
/// ResNet-8 with alignments.
#[test]
fn real_frames_give_the_committed_bits() {
    let mut out = String::new();
    for (name, count, aligned) in
        [("resnet8", 100, false), ("resnet20", 10, false), ("resnet8", 10, true)]
    {
        let Some(model) = shared(&format!("models/{name}.onnx")) else { return };
        let Some(records) = shared("data/cifar10-lossless/test.bin") else { return };
        let imported = import_file(&model, &ImportOptions::default()).unwrap();
        let graph = &imported.graph;
        let references = if aligned { references(graph) } else { Vec::new() };
        let expanded = expand_aligned(graph, &Label::Ones, &Taps::all(), &references).unwrap();
        let compiled = compile(&expanded, false);
        let records = std::fs::read(records).unwrap();
        let frames = records.chunks(3073).take(count).map(|record| channels_last(&record[1..], 3));
        let text: String = frames.map(|frame| report(&compiled.bytes, &frame)).collect();
        let with = if aligned { ", with alignments" } else { "" };
        digest_line(&mut out, &format!("{name}{with}, {count} frames"), text.as_bytes());
    }
    compare("real-bits.txt", &out);
}

/// Every split at three sizes; the first frames hold every class, background and light.
#[test]
fn signs_have_the_committed_bits() {
    let mut out = String::new();
    for split in Split::ALL {
        for (size, count) in [(32, 60), (17, 20), (96, 4)] {
            let spec = Spec { size, seed: 5, track: 3, count, ..Spec::new(split) };
            let signs = Signs::new(spec);
            let mut text = Vec::new();
            for picture in (0..count).map(|index| signs.picture(index)) {
                text.extend(picture.pixels);
                text.push(picture.label as u8);
            }
            digest_line(&mut out, &spec.to_string(), &text);
        }
    }
    compare("signs-bits.txt", &out);
}

/// Every fault at every severity, on one sign.
#[test]
fn faults_have_the_committed_bits() {
    let mut out = String::new();
    let picture = Signs::new(Spec::new(Split::Test)).picture(0).pixels;
    for kind in FaultKind::all().filter(|kind| !kind.needs_time()) {
        let mut all = Vec::new();
        for fault in (1..=5).filter_map(|severity| Fault::new(kind, severity)) {
            let mut pixels = picture.clone();
            fault.apply(&mut pixels, 32, 32, 3, 9).unwrap();
            all.extend(pixels);
        }
        digest_line(&mut out, kind.name(), &all);
    }
    compare("faults-bits.txt", &out);
}

/// Every synthesised anomaly that takes no network, at every severity, on one sign.
#[test]
fn synthesised_anomalies_have_the_committed_bits() {
    let mut out = String::new();
    let signs = Signs::new(Spec::new(Split::Test));
    let [picture, other] = [0, 1].map(|index| signs.picture(index).pixels);
    for kind in SyntheticKind::all().filter(|kind| !kind.needs_network()) {
        let mut all = Vec::new();
        for severity in 1..=5 {
            let mut pixels = picture.clone();
            kind.apply(severity, &mut pixels, [32, 32, 3], &other, 9).unwrap();
            all.extend(pixels);
        }
        digest_line(&mut out, kind.name(), &all);
    }
    compare("synthetic-bits.txt", &out);
}
