//! Writes what `cargo xtask qemu` compares a board with: for every case of the suite, and for the
//! real networks where they are present, a folder with a bundle, a frame, and the engine's results
//! on this machine as f32 bits.

use std::fmt::{Display, Write as _};
use std::fs;
use std::path::Path;
use std::process::ExitCode;

use gradgate_bundle::Bundle;
use gradgate_bundle::align::AlignedBytes;
use gradgate_bundle::header::{Header, SelfTest};
use gradgate_bundle::manifest::DeviceClass;
use gradgate_bundle::write::{BundleParts, push_bytes, push_floats, write};
use gradgate_engine::{Engine, Features, Frame};
use gradgate_graph::expand::{Label, expand};
use gradgate_graph::graph::Graph;
use gradgate_graph::import::{ImportOptions, import_file};
use gradgate_graph::taps::Taps;
use gradgate_tests::cases::cases;
use gradgate_tests::rng::Rng;
use gradgate_tests::{compile, shared};

/// Whatever went wrong, as text: the caller can only report it.
type Result<T> = std::result::Result<T, String>;

fn main() -> ExitCode {
    let Some(folder) = std::env::args_os().nth(1) else {
        eprintln!("usage: board_cases FOLDER");
        return ExitCode::from(2);
    };
    match write_all(Path::new(&folder)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn write_all(folder: &Path) -> Result<()> {
    for case in cases() {
        write_case(folder, &case.name.replace(' ', "-"), &case.graph)?;
    }
    for model in ["resnet8", "resnet20"] {
        // Says so itself when the file is absent.
        let Some(path) = shared(&format!("models/{model}.onnx")) else { continue };
        let imported = import_file(&path, &ImportOptions::default()).map_err(text)?;
        write_case(folder, model, &imported.graph)?;
    }
    Ok(())
}

fn write_case(folder: &Path, name: &str, graph: &Graph) -> Result<()> {
    let expanded = expand(graph, &Label::Ones, &Taps::all()).map_err(text)?;
    let plain = compile(&expanded, false).bytes;
    let length = graph.input.map_or(0, |image| graph.value(image).elements());
    // The self-test's frame and the other differ, so that a stale arena cannot hide.
    let mut rng = Rng(7);
    let (first, second) = (rng.bytes(length), rng.bytes(length));
    let bundle = with_self_test(&plain, &first)?;
    let results = run(&bundle, &second, lines)?;
    let case = folder.join(name);
    fs::create_dir_all(&case).map_err(text)?;
    let files: [(&str, &[u8]); 3] = [
        ("bundle.gate", &bundle),
        ("frame.bin", &second),
        ("expected.txt", results.as_bytes()),
    ];
    for (file, bytes) in files {
        let path = case.join(file);
        fs::write(&path, bytes).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    println!("{name}: bundle {} bytes", bundle.len());
    Ok(())
}

/// The same bundle with a frame and the engine's bits for it inside.
fn with_self_test(plain: &[u8], frame: &[u8]) -> Result<AlignedBytes> {
    let expected = run(plain, frame, |features| {
        [features.logits, features.squared_norms, features.activation_norms].concat()
    })?;
    let bundle = Bundle::parse(plain).map_err(text)?;
    let manifest = bundle.manifest();
    let mut blobs = bundle.blobs().to_vec();
    let self_test = SelfTest {
        frame_offset: push_bytes(&mut blobs, frame).map_err(text)?,
        frame_bytes: u32::try_from(frame.len()).map_err(text)?,
        expected: push_floats(&mut blobs, &expected).map_err(text)?,
    };
    let parts = BundleParts {
        header: Header { self_test: Some(self_test), ..bundle.header().clone() },
        tensors: bundle.tensors().to_vec(),
        steps: bundle.steps().to_vec(),
        params: manifest.params.of(plain).ok_or("no parameter section")?.to_vec(),
        blobs,
        device_class: DeviceClass::CortexM4F,
        security_counter: 0,
        input: manifest.input.map(|axis| axis.get()),
    };
    Ok(AlignedBytes::from(&write(&parts).map_err(text)?[..]))
}

/// One frame through the engine, in an arena full of NaN, which must not matter.
fn run<T>(bundle: &[u8], frame: &[u8], read: impl FnOnce(&Features<'_>) -> T) -> Result<T> {
    let engine = Engine::load(Bundle::parse(bundle).map_err(text)?).map_err(text)?;
    let mut arena = vec![f32::NAN; engine.arena_elements()];
    let features = engine.run(Frame::U8(frame), &mut arena).map_err(text)?;
    Ok(read(&features))
}

/// As the board prints them.
fn lines(features: &Features<'_>) -> String {
    let mut text = String::from("self-test ok\n");
    let parts = [
        ("logit", features.logits),
        ("squared_norm", features.squared_norms),
        ("activation_norm", features.activation_norms),
        ("penultimate", features.penultimate),
    ];
    for (name, values) in parts {
        for (index, value) in values.iter().enumerate() {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{name} {index} {:08x}", value.to_bits());
        }
    }
    text
}

fn text(error: impl Display) -> String {
    error.to_string()
}
