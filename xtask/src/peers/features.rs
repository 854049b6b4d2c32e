//! Throughput of `gradgate features` by one and by two threads.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, ensure};

use super::frame;
use super::ratio::Spread;
use crate::{process, repo};

/// Large enough that loading the model does not count.
const FRAMES: usize = 1500;
/// Pairs of runs.
const ROUNDS: usize = 3;

/// Frames in a second by one thread and by two, and the gain within each pair of runs.
#[derive(Clone, Copy, Debug)]
pub struct Scaling {
    /// One thread.
    pub one: Spread,
    /// Two.
    pub two: Spread,
    /// Time by one over time by two.
    pub gain: Spread,
}

/// Runs pairs, ResNet-20, over generated CIFAR-10 records.
pub fn scaling(gradgate: &Path, folder: &Path) -> Result<Scaling> {
    let records = folder.join("records.bin");
    fs::write(&records, noisy_records()).with_context(|| format!("{}", records.display()))?;
    let mut seconds = [Vec::new(), Vec::new()];
    for _ in 0..ROUNDS {
        for (threads, seconds) in ["1", "2"].iter().zip(&mut seconds) {
            let mut command = Command::new(gradgate);
            command.arg("features").arg(repo::shared().join("models/resnet20.onnx")).arg(&records);
            command.arg("-o").arg(folder.join("features.safetensors"));
            command.args(["--numerics", "fast", "--threads", threads]);
            let begin = Instant::now();
            ensure!(process::succeeds(&mut command), "{}: failed", process::line(&command));
            seconds.push(begin.elapsed().as_secs_f64());
        }
    }
    let rate = |seconds: &[f64]| Spread::of(seconds.iter().map(|s| FRAMES as f64 / s));
    let gain = Spread::of(seconds[0].iter().zip(&seconds[1]).map(|(one, two)| one / two));
    let nothing = "nothing was measured";
    Ok(Scaling {
        one: rate(&seconds[0]).context(nothing)?,
        two: rate(&seconds[1]).context(nothing)?,
        gain: gain.context(nothing)?,
    })
}

fn noisy_records() -> Vec<u8> {
    let mut state = 1;
    let mut record = || {
        let label = [(frame::noise(&mut state) % 10) as u8];
        let pixels: Vec<u8> = (0..3072).map(|_| frame::noise(&mut state) as u8).collect();
        [&label[..], &pixels].concat()
    };
    (0..FRAMES).flat_map(|_| record()).collect()
}
