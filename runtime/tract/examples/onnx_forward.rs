//! tract's own forward pass over an ONNX file, on one thread: a peer of `cargo xtask bench-peers`.
//!
//! `onnx_forward MODEL.onnx` prints one JSON object with the least and the median time of a fixed
//! input. With a frame (a binary PPM) it serves instead: a greeting with `version` and `logits`;
//! then every line read is a number of frames, every line written holds their times.

use std::io::BufRead;
use std::path::Path;
use std::time::{Duration, Instant};

use tract_onnx::prelude::*;
use tract_onnx::tract_hir::infer::DimFact;
use tract_onnx::tract_hir::internal::{DimLike, Factoid, TractErrorContext};

/// As the root manifest pins it.
const VERSION: &str = "tract 0.23.9";
/// Frames of a run of its own.
const RUNS: usize = 100;
/// Running before the clock counts.
const WARM_UP: Duration = Duration::from_millis(200);

/// A loaded network and its input.
struct Network {
    state: TypedSimpleState,
    input: TValue,
}

fn main() -> TractResult<()> {
    let mut arguments = std::env::args().skip(1);
    let model = arguments.next().context("usage: onnx_forward MODEL.onnx [FRAME.ppm]")?;
    match arguments.next() {
        Some(frame) => serve(Network::load(model.as_ref(), Some(frame.as_ref()))?),
        None => report(Network::load(model.as_ref(), None)?),
    }
}

fn report(mut network: Network) -> TractResult<()> {
    network.warm_up()?;
    let mut times = network.times(RUNS)?;
    times.sort_by(f64::total_cmp);
    println!(
        "{{\"forward_ms_min\": {:.4}, \"forward_ms_median\": {:.4}, \"frames\": {RUNS}}}",
        times[0],
        times[RUNS / 2],
    );
    Ok(())
}

fn serve(mut network: Network) -> TractResult<()> {
    let logits = network.run()?;
    network.warm_up()?;
    println!("{{\"version\": \"{VERSION}\", \"logits\": {logits:?}}}");
    for line in std::io::stdin().lock().lines() {
        let count = line?.trim().parse()?;
        // The caches still hold another program's data.
        network.run()?;
        println!("{{\"ms\": {:?}}}", network.times(count)?);
    }
    Ok(())
}

impl Network {
    /// Reads and optimises a network; without a frame its input is a fixed pattern.
    fn load(path: &Path, frame: Option<&Path>) -> TractResult<Network> {
        let model = tract_onnx::onnx().model_for_path(path)?;
        let model = with_batch_of_one(model)?.into_optimized()?;
        let fact = model.input_fact(0)?.clone();
        let shape = fact.shape.as_concrete().context("the input's shape is open")?;
        let count = shape.iter().product();
        let pattern = || (0..count).map(|i| (i % 256) as f32 / 255.0).collect();
        let values: Vec<f32> = frame.map_or_else(|| Ok(pattern()), |path| planes(path, count))?;
        let input = Tensor::from_shape(shape, &values)?.into_tvalue();
        let state = model.into_runnable()?.spawn()?;
        Ok(Network { state, input })
    }

    /// Runs the input; gives the first output.
    fn run(&mut self) -> TractResult<Vec<f32>> {
        let outputs = self.state.run(tvec!(self.input.clone()))?;
        let plain = outputs[0].try_as_plain_ram()?;
        Ok(plain.as_slice::<f32>()?.to_vec())
    }

    /// Milliseconds of so many runs.
    fn times(&mut self, count: usize) -> TractResult<Vec<f64>> {
        let time = |_| {
            let begin = Instant::now();
            self.run()?;
            Ok(begin.elapsed().as_secs_f64() * 1e3)
        };
        (0..count).map(time).collect()
    }

    fn warm_up(&mut self) -> TractResult<()> {
        let begin = Instant::now();
        while begin.elapsed() < WARM_UP {
            self.run()?;
        }
        Ok(())
    }
}

/// The first input with every open length set to one.
fn with_batch_of_one(model: InferenceModel) -> TractResult<TypedModel> {
    let dims = model.input_fact(0)?.shape.dims();
    let length = |dim: &DimFact| dim.concretize().and_then(|dim| dim.to_usize().ok()).unwrap_or(1);
    let shape: Vec<usize> = dims.map(length).collect();
    model.with_input_fact(0, f32::fact(&shape).into())?.into_typed()
}

/// A binary PPM as planes of values in 0..1, as the network takes them.
fn planes(path: &Path, count: usize) -> TractResult<Vec<f32>> {
    let file = std::fs::read(path)?;
    let pixels = file.len().checked_sub(count).and_then(|header| file.get(header..));
    let pixels = pixels.with_context(|| format!("{} has another size", path.display()))?;
    let plane = count / 3;
    Ok((0..count).map(|i| f32::from(pixels[i % plane * 3 + i / plane]) / 255.0).collect())
}
