//! The engine: a checked bundle, and frames through it.

use gradgate_bundle::Bundle;
use gradgate_bundle::detector::{Fault, Judgement};
use gradgate_bundle::op::NONE;

use crate::arena::{Interval, cut};
use crate::check::{arena_interval, check, feature_shape, features_interval};
use crate::compute::{Compute, ComputeError, LINE, line_offset};
use crate::detector::{DetectorView, FrameFeatures, evaluate};
use crate::error::{LoadError, RunError};
use crate::isa::Numerics;
use crate::step::{Call, Frame, Written, execute, prepared_elements, workspace_elements};

/// A loaded bundle. Holds no frame state: one engine may serve several arenas.
#[derive(Clone, Debug)]
pub struct Engine<'a> {
    bundle: Bundle<'a>,
    detector: Option<DetectorView<'a>>,
    places: Places,
    compute: Compute<'a>,
    /// Elements behind the arena that the vector kernels work in.
    workspace: usize,
}

/// Where the results lie in the arena.
#[derive(Clone, Copy, Debug)]
struct Places {
    norms: usize,
    layers: usize,
    features: Interval,
    logits: Interval,
    penultimate: Interval,
    scratch: Interval,
}

/// What the network gave for one frame: slices of the arena.
#[derive(Clone, Copy, Debug)]
pub struct Features<'m> {
    /// Logits, one per class.
    pub logits: &'m [f32],
    /// Squared gradient norms in schema order.
    pub squared_norms: &'m [f32],
    /// Squared activation norms in schema order.
    pub activation_norms: &'m [f32],
    /// The penultimate vector; empty when the model has none.
    pub penultimate: &'m [f32],
    /// Cosines of weight gradients against their references, in schema order.
    pub alignments: &'m [f32],
}

impl<'a> Engine<'a> {
    /// Checks everything that execution relies on.
    ///
    /// # Errors
    /// The first fault found.
    pub fn load(bundle: Bundle<'a>) -> Result<Engine<'a>, LoadError> {
        check(&bundle)?;
        let header = bundle.header();
        let detector = match &header.detector {
            Some(detector) => Some(
                DetectorView::new(detector, &feature_shape(&bundle), &mut |blob| {
                    bundle.floats(blob)
                })
                .map_err(LoadError::Detector)?,
            ),
            None => None,
        };
        let places = places(&bundle).ok_or(LoadError::Layout("a result has no place"))?;
        Ok(Engine { bundle, detector, places, compute: Compute::default(), workspace: 0 })
    }

    /// The same engine, computing with what the caller gives. Asks for a longer arena.
    ///
    /// # Errors
    /// Fast numerics or threads without an instruction set, prepared weights of another length.
    pub fn with_compute(self, compute: Compute<'a>) -> Result<Engine<'a>, ComputeError> {
        if compute.isa.is_none()
            && (compute.numerics != Numerics::Exact || compute.workers.is_some())
        {
            return Err(ComputeError::NoIsa);
        }
        let (expected, found) = (self.prepared_elements(compute.numerics), compute.prepared.len());
        if found != 0 && found != expected {
            return Err(ComputeError::Prepared { expected, found });
        }
        let steps = self.bundle.steps().iter();
        let workspace = steps.map(|step| workspace_elements(&self.bundle, step, &compute)).max();
        Ok(Engine { compute, workspace: workspace.unwrap_or(0), ..self })
    }

    /// What it computes with.
    pub fn compute(&self) -> &Compute<'a> {
        &self.compute
    }

    /// Length of the weights as the vector kernels read them, in f32 elements; 0 where there are
    /// none.
    pub fn prepared_elements(&self, numerics: Numerics) -> usize {
        let steps = self.bundle.steps().iter();
        steps.map(|step| prepared_elements(&self.bundle, step, numerics)).sum()
    }

    /// Writes the weights as the vector kernels read them, [`Engine::prepared_elements`] long, for
    /// [`Compute::prepared`].
    ///
    /// # Errors
    /// Another length.
    pub fn prepare(&self, numerics: Numerics, to: &mut [f32]) -> Result<(), ComputeError> {
        let (expected, found) = (self.prepared_elements(numerics), to.len());
        let mut rest = (expected == found).then_some(to);
        for step in self.bundle.steps() {
            let length = prepared_elements(&self.bundle, step, numerics);
            rest = rest.and_then(|rest| {
                let (place, behind) = rest.split_at_mut_checked(length)?;
                crate::step::prepare(&self.bundle, step, numerics, place)?;
                Some(behind)
            });
        }
        rest.map(|_| ()).ok_or(ComputeError::Prepared { expected, found })
    }

    /// The bundle.
    pub fn bundle(&self) -> &Bundle<'a> {
        &self.bundle
    }

    /// The detector, ready to use; `None` in a bundle that only yields features.
    pub fn detector(&self) -> Option<&DetectorView<'a>> {
        self.detector.as_ref()
    }

    /// Length of the arena that [`Engine::run`] needs, in f32 elements: the plan's, and the
    /// workspace of the vector kernels behind it.
    pub fn arena_elements(&self) -> usize {
        let line = if self.workspace == 0 { 0 } else { LINE - 1 };
        self.plan_elements().saturating_add(self.workspace).saturating_add(line)
    }

    fn plan_elements(&self) -> usize {
        self.bundle.header().layout.arena_elements as usize
    }

    /// Values of one frame: rows x columns x channels.
    pub fn frame_length(&self) -> usize {
        self.bundle.manifest().frame_bytes() as usize
    }

    /// Runs one frame. The arena's content does not matter before.
    ///
    /// # Errors
    /// A frame or an arena of the wrong length.
    pub fn run<'m>(
        &self,
        frame: Frame<'_>,
        arena: &'m mut [f32],
    ) -> Result<Features<'m>, RunError> {
        self.run_observed(frame, arena, |_, _, _| {})
    }

    /// As [`Engine::run`]; after every step `observer(step, what, values)` sees everything that the
    /// step wrote and may change it.
    ///
    /// # Errors
    /// A frame or an arena of the wrong length.
    pub fn run_observed<'m>(
        &self,
        frame: Frame<'_>,
        arena: &'m mut [f32],
        observer: impl FnMut(usize, Written, &mut [f32]),
    ) -> Result<Features<'m>, RunError> {
        Ok(self.steps(frame, arena, observer)?.0)
    }

    /// Runs one frame and judges it; `None` without a detector.
    ///
    /// # Errors
    /// A frame or an arena of the wrong length. A value that is not finite is the inner [`Fault`].
    pub fn judge<'m>(
        &self,
        frame: Frame<'_>,
        arena: &'m mut [f32],
    ) -> Result<(Features<'m>, Option<Result<Judgement, Fault>>), RunError> {
        self.judge_observed(frame, arena, |_, _, _| {})
    }

    /// [`Engine::judge`] with the observer of [`Engine::run_observed`].
    ///
    /// # Errors
    /// As [`Engine::judge`].
    pub fn judge_observed<'m>(
        &self,
        frame: Frame<'_>,
        arena: &'m mut [f32],
        observer: impl FnMut(usize, Written, &mut [f32]),
    ) -> Result<(Features<'m>, Option<Result<Judgement, Fault>>), RunError> {
        let (features, scratch) = self.steps(frame, arena, observer)?;
        let judgement =
            self.detector.as_ref().map(|view| evaluate(view, &features.input(), scratch));
        Ok((features, judgement))
    }

    /// Runs all steps; returns the results and the detector's scratch.
    fn steps<'m>(
        &self,
        frame: Frame<'_>,
        arena: &'m mut [f32],
        mut observer: impl FnMut(usize, Written, &mut [f32]),
    ) -> Result<(Features<'m>, &'m mut [f32]), RunError> {
        let (expected, found) = (self.frame_length(), frame.length());
        if expected != found {
            return Err(RunError::Frame { expected, found });
        }
        let (expected, found) = (self.arena_elements(), arena.len());
        let arena = arena.get_mut(..expected).ok_or(RunError::Arena { expected, found })?;
        let (arena, workspace) = arena
            .split_at_mut_checked(self.plan_elements())
            .ok_or(RunError::Arena { expected, found })?;
        let line = if self.workspace == 0 { 0 } else { line_offset(workspace) };
        let workspace = workspace.get_mut(line..).ok_or(RunError::Arena { expected, found })?;
        let places = &self.places;
        let mut prepared = self.compute.prepared;
        for (step, record) in self.bundle.steps().iter().enumerate() {
            let mut call = Call { compute: self.compute, workspace: &mut *workspace };
            if !prepared.is_empty() {
                let length = prepared_elements(&self.bundle, record, call.compute.numerics);
                (call.compute.prepared, prepared) =
                    prepared.split_at_checked(length).ok_or(RunError::Defect { step })?;
            }
            let observe = &mut |written, values: &mut [f32]| observer(step, written, values);
            execute(&self.bundle, record, frame, places.features, arena, call, observe)
                .ok_or(RunError::Defect { step })?;
        }
        places.results(arena).ok_or(RunError::Defect { step: self.bundle.steps().len() })
    }
}

impl<'m> Features<'m> {
    /// As the detector reads them.
    pub fn input(&self) -> FrameFeatures<'m> {
        FrameFeatures {
            norms: self.squared_norms,
            layers: self.activation_norms,
            logits: self.logits,
            penultimate: self.penultimate,
            alignments: self.alignments,
        }
    }
}

impl Places {
    fn results<'m>(&self, arena: &'m mut [f32]) -> Option<(Features<'m>, &'m mut [f32])> {
        let (readable, scratch, _) = cut(arena, self.scratch, Interval::default())?;
        let (squared_norms, rest) = readable.get(self.features)?.split_at_checked(self.norms)?;
        let (activation_norms, alignments) = rest.split_at_checked(self.layers)?;
        let features = Features {
            logits: readable.get(self.logits)?,
            squared_norms,
            activation_norms,
            penultimate: readable.get(self.penultimate)?,
            alignments,
        };
        Some((features, scratch))
    }
}

fn places(bundle: &Bundle<'_>) -> Option<Places> {
    let header = bundle.header();
    let layout = &header.layout;
    let result = |index: u16| arena_interval(bundle.tensors().get(usize::from(index))?);
    let scratch = match &header.detector {
        Some(d) => Interval::new(layout.scratch_offset as usize, d.scratch_elements()?)?,
        None => Interval::default(),
    };
    let empty = layout.penultimate == NONE;
    let shape = feature_shape(bundle);
    Some(Places {
        norms: shape.norms as usize,
        layers: shape.layers as usize,
        features: features_interval(bundle)?,
        logits: result(layout.logits)?,
        penultimate: if empty { Interval::default() } else { result(layout.penultimate)? },
        scratch,
    })
}
