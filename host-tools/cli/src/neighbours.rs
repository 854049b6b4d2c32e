//! Normal frames that look most like one to the detector.

use std::path::PathBuf;

use anyhow::{Context, Result};
use gradgate_detect::standardised::{StandardisedInput, standardised};
use gradgate_frames::{Frame, Frames};

use crate::executor::{Executor, usable};
use crate::parallel::ThreadsArgs;
use crate::{parallel, progress};

/// How many are shown.
const SHOWN: usize = 8;

/// What the detector reads of each normal frame.
pub struct Neighbours {
    frames: Frames,
    /// `[frames]`; `None` for a frame without features.
    inputs: Vec<Option<Vec<f32>>>,
    origin: String,
}

/// One of the nearest.
pub struct Neighbour {
    /// With its pixels.
    pub frame: Frame,
    /// Euclidean, over standardised inputs.
    pub distance: f32,
}

impl Neighbours {
    /// Runs all frames through a bundle on all cores; `origin` is how they are called in pages.
    pub fn new(executor: &Executor<'_>, frames: Frames, origin: String) -> Result<Neighbours> {
        let Executor::Engine(engine) = executor else {
            anyhow::bail!("neighbours are found by the engine alone");
        };
        let bundle = engine.bundle();
        let bar = progress::frames(frames.len(), "normal frames");
        let mut inputs = Vec::with_capacity(frames.len());
        parallel::for_each(
            &frames,
            ThreadsArgs::default().count(frames.len()),
            &bar,
            || executor.worker(),
            |worker, frame| {
                let pixels = frame?.pixels;
                let features = usable(worker)?.run(&pixels)?;
                let inputs = standardised(bundle, &features.input())?;
                let values: Vec<f32> = inputs.iter().map(|input| input.deviation).collect();
                Ok(values.iter().all(|value| value.is_finite()).then_some(values))
            },
            |_, values| {
                inputs.push(values);
                Ok(())
            },
        )?;
        let origin = format!("{} ({} frames)", origin, inputs.len());
        Ok(Neighbours { frames, inputs, origin })
    }

    /// How the frames are called, and how many there are.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// The nearest frames, nearest first; none where the frame itself has no inputs.
    pub fn nearest(&self, inputs: &[StandardisedInput]) -> Result<Vec<Neighbour>> {
        let own: Vec<f32> = inputs.iter().map(|input| input.deviation).collect();
        let distance = |other: &Vec<f32>| {
            let terms = own.iter().zip(other).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2));
            terms.sum::<f64>().sqrt() as f32
        };
        let known = self.inputs.iter().enumerate();
        let fits = |other: &&Vec<f32>| !own.is_empty() && other.len() == own.len();
        let mut all: Vec<(f32, usize)> = known
            .filter_map(|(at, other)| Some((distance(other.as_ref().filter(fits)?), at)))
            .collect();
        all.sort_by(|a, b| a.0.total_cmp(&b.0));
        let read = |(distance, at): (f32, usize)| {
            let frame = self.frames.get(at).context("a normal frame")?;
            Ok(Neighbour { frame, distance })
        };
        all.into_iter().take(SHOWN).map(read).collect()
    }
}

/// Normal frames on the command line.
#[derive(clap::Args, Clone, Debug, Default)]
pub struct NormalArgs {
    /// Normal frames to compare with: the page shows those nearest to the frame
    #[arg(long, num_args = 1.., value_name = "FRAMES")]
    pub normal: Vec<PathBuf>,
    /// At most this many of them
    #[arg(long, value_name = "N", default_value_t = 1_000, requires = "normal",
          value_parser = clap::value_parser!(u64).range(1..))]
    pub normal_limit: u64,
}
