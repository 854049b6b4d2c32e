//! One network of the sweep of `cargo xtask families`: prints a line `key=value` for each figure.
//!
//! usage: family MODEL.onnx REFERENCE.safetensors EXPANDED.onnx [FRAMES]
//!
//! FRAMES (1) are interpreted in float64; the engine runs all. What refuses the network ends the
//! lines with `refused=`; then the exit status is 1.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::ExitCode;

use gradgate_graph::import::summary;
use gradgate_tests::families::Subject;
use gradgate_tests::reference::Reference;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let ([model, reference, expanded] | [model, reference, expanded, _]) = &arguments[..] else {
        eprintln!("usage: family MODEL.onnx REFERENCE.safetensors EXPANDED.onnx [FRAMES]");
        return ExitCode::FAILURE;
    };
    let frames = arguments.get(3).map_or(1, |text| text.parse().expect("a number of frames"));
    // The stages behind the import panic with their reason, which is said once, below.
    std::panic::set_hook(Box::new(|_| ()));
    let sweep = || sweep(Path::new(model), Path::new(reference), Path::new(expanded), frames);
    let reason = match catch_unwind(AssertUnwindSafe(sweep)) {
        Ok(Ok(())) => return ExitCode::SUCCESS,
        Ok(Err(reason)) => reason,
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            text.unwrap_or_else(|| "a stage panicked".to_owned())
        }
    };
    println!("refused={}", reason.replace('\n', " "));
    ExitCode::FAILURE
}

fn sweep(model: &Path, reference: &Path, expanded: &Path, frames: usize) -> Result<(), String> {
    let reference = Reference::read(reference);
    let subject = Subject::read(model, &reference)?;
    let figures = summary(&subject.imported);
    println!("tensors={}", figures.parameters.len());
    println!("parameters={}", figures.parameter_elements);
    std::fs::write(expanded, subject.to_onnx()?).map_err(|e| e.to_string())?;
    println!("interp={:e}", subject.interpret(frames));
    let run = subject.engine();
    let parity = &run.parity;
    println!("median={:e}\nworst={:e}", parity.median, parity.worst);
    println!("within={}\nexplained={}", parity.within, parity.explained);
    println!("farthest={:e}", parity.farthest);
    println!("frames={}\nframes_hold={}", parity.frames, parity.frames_hold());
    println!("forward={}\nverdict={}", run.macs.forward, run.macs.total());
    println!("arena={}\nms={:.3}", run.arena_bytes, run.ms);
    Ok(())
}
