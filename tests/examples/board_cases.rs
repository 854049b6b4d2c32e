//! Writes the cases of the emulated board: `board_cases FOLDER` makes a folder per case with
//! `bundle.gate`, `frame.bin` and `expected.txt`, the last one from the engine on this machine.

use std::fs;
use std::path::{Path, PathBuf};

use gradgate_graph::expand::{Label, expand_aligned};
use gradgate_graph::graph::Graph;
use gradgate_graph::import::{ImportOptions, import_file};
use gradgate_graph::taps::Taps;
use gradgate_tests::cases::{cases, references};
use gradgate_tests::executor::report;
use gradgate_tests::reference::channels_last;
use gradgate_tests::rng::Rng;
use gradgate_tests::{compile_judged, shared};

/// Suite cases that together run every kernel; the board takes about a second for each.
const SUITE: [&str; 9] = [
    "residual block",
    "inverted residual",
    "dense block",
    "option A shortcut",
    "shared weight",
    "tokens",
    "max pool overlapping",
    "average pool counting pads",
    "squeeze and excitation",
];

fn main() {
    let folder = PathBuf::from(std::env::args().nth(1).expect("usage: board_cases FOLDER"));
    for case in cases().into_iter().filter(|case| SUITE.contains(&case.name)) {
        let elements = case.graph.input.map_or(0, |id| case.graph.value(id).elements());
        let mut rng = Rng(5);
        let normal: Vec<Vec<u8>> = (0..NORMAL).map(|_| rng.bytes(elements)).collect();
        let name = case.name.replace(' ', "-");
        write(&folder.join(name), &case.graph, &normal, &Rng(3).bytes(elements));
    }
    let (Some(model), Some(records)) =
        (shared("models/resnet8.onnx"), shared("data/cifar10-lossless/test.bin"))
    else {
        return;
    };
    let graph = import_file(&model, &ImportOptions::default()).expect("resnet8").graph;
    let records = fs::read(records).expect("readable");
    let mut frames = records.chunks(3073).map(|record| channels_last(&record[1..], 3));
    let normal: Vec<Vec<u8>> = frames.by_ref().take(NORMAL).collect();
    write(&folder.join("resnet8"), &graph, &normal, &frames.next().expect("more frames"));
}

/// Normal frames that fit a case's detector.
const NORMAL: usize = 300;

fn write(folder: &Path, graph: &Graph, normal: &[Vec<u8>], frame: &[u8]) {
    let references = references(graph);
    let expanded = expand_aligned(graph, &Label::Ones, &Taps::all(), &references);
    let expanded = expanded.expect("a classifier");
    let bytes = compile_judged(&expanded, normal);
    fs::create_dir_all(folder).expect("a folder");
    let expected = format!("self-test ok\n{}", report(&bytes, frame));
    let files: [(&str, &[u8]); 3] =
        [("bundle.gate", &bytes), ("frame.bin", frame), ("expected.txt", expected.as_bytes())];
    for (name, content) in files {
        fs::write(folder.join(name), content).expect("a file");
    }
}
