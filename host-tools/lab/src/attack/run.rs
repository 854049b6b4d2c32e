//! Lets an attack loose on a stream of images.

use crate::array::Array;
use crate::classifier::{Classifier, logits_of};
use crate::error::LabError;

use super::carlini_wagner::CarliniWagnerSearch;
use super::iterative_sign::SignSearch;
use super::loss::argmax;
use super::options::{Attack, CleanWrong, Goal, Kind, Labels, Target};
use super::search::{Aim, Search};
use super::semantic::{HsvSearch, negative};
use super::square::{SquareSearch, SquareWalk};
use super::subject::{Outcome, Status, Subject, distortion, round_to_bytes};

/// What was done since the last call of an observer, in questions about one image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Work {
    /// Questions asked.
    pub asked: u64,
    /// Questions that turned out not to be needed, of [`Attack::image_steps`].
    pub spared: u64,
}

/// An image with what the classifier said of it.
struct Met {
    subject: Subject,
    class: usize,
    predicted: usize,
    aim: Aim,
}

/// An image under attack.
struct Running {
    met: Met,
    asked: u64,
    search: Box<dyn Search>,
}

/// An image whose attack has ended; `None` where nothing was found or tried.
struct Ended {
    met: Met,
    found: Option<Vec<f32>>,
}

struct Runner<'r> {
    classifier: &'r dyn Classifier,
    attack: &'r Attack,
    /// Channels, rows, columns.
    shape: [usize; 3],
    running: Vec<Running>,
    ended: Vec<Ended>,
    work: Work,
}

/// Attacks `subjects`, `width` of them at a time, and hands the outcomes to `emit` as they come,
/// in no order. `observe` hears of the progress; its error, or that of `emit`, ends the run.
///
/// # Errors
/// When the attack does not fit the model, a label is missing or no class of it, an image does not
/// fit, or the model gives numbers that are not finite.
pub fn run<E: From<LabError>>(
    classifier: &dyn Classifier,
    attack: &Attack,
    subjects: impl IntoIterator<Item = Result<Subject, E>>,
    width: usize,
    mut emit: impl FnMut(Outcome) -> Result<(), E>,
    mut observe: impl FnMut(Work) -> Result<(), E>,
) -> Result<(), E> {
    let mut runner = Runner::new(classifier, attack)?;
    let mut subjects = subjects.into_iter().fuse();
    loop {
        // Half empty before it is filled: on a GPU a question about one image costs as much as
        // about many.
        if runner.running.len() * 2 <= width {
            let room = width.max(1) - runner.running.len();
            let next = subjects.by_ref().take(room).collect::<Result<Vec<_>, E>>()?;
            if next.is_empty() && runner.running.is_empty() {
                return Ok(());
            }
            runner.meet(next)?;
        }
        if !runner.running.is_empty() {
            runner.ask()?;
        }
        runner.judge()?.into_iter().try_for_each(&mut emit)?;
        observe(std::mem::take(&mut runner.work))?;
    }
}

impl<'r> Runner<'r> {
    fn new(classifier: &'r dyn Classifier, attack: &'r Attack) -> Result<Self, LabError> {
        let graph = classifier.graph();
        attack.check(graph)?;
        let shape = graph.input.map(|id| graph.shape(id)).unwrap_or_default();
        let &[_, channels, rows, columns] = shape else {
            let text = format!("model `{}` takes {shape:?}, no image", graph.name);
            return Err(LabError::Model(text));
        };
        let shape = [channels, rows, columns];
        let (running, ended) = (Vec::new(), Vec::new());
        Ok(Self { classifier, attack, shape, running, ended, work: Work::default() })
    }

    /// Asks what the classifier says of clean images, and begins.
    fn meet(&mut self, subjects: Vec<Subject>) -> Result<(), LabError> {
        if subjects.is_empty() {
            return Ok(());
        }
        for subject in &subjects {
            self.check(subject)?;
        }
        let logits = self.logits(&subjects, |subject| (&subject.pixels, subject.index))?;
        for (at, subject) in subjects.into_iter().enumerate() {
            self.begin(subject, logits.frame(at));
        }
        Ok(())
    }

    fn check(&self, subject: &Subject) -> Result<(), LabError> {
        let (index, classes) = (subject.index, self.classifier.classes());
        let data = |text: String| Err(LabError::Data(text));
        if subject.pixels.len() != self.shape.iter().product::<usize>() {
            let (got, shape) = (subject.pixels.len(), self.shape);
            return data(format!("image {index} has {got} samples, the model takes {shape:?}"));
        }
        if let Some(wrong) = subject.pixels.iter().find(|x| !(0.0..=1.0).contains(*x)) {
            return data(format!(
                "image {index} holds {wrong}: attacks take pixels in 0..1, and normalisation \
                 belongs into the model or into --preprocessing"
            ));
        }
        match subject.label {
            None if self.attack.labels == Labels::Given => data(format!(
                "image {index} has no label: give labelled frames, or `--labels own` to move away \
                 from what the classifier says itself"
            )),
            Some(label) if label >= classes => data(format!(
                "image {index} has label {label}, the model has classes 0 to {}",
                classes - 1
            )),
            _ => Ok(()),
        }
    }

    fn begin(&mut self, subject: Subject, logits: &[f32]) {
        let predicted = argmax(logits);
        let class = match (self.attack.labels, subject.label) {
            (Labels::Given, Some(label)) => label,
            _ => predicted,
        };
        let aim = self.attack.aim(logits, class, subject.index);
        let wrong = subject.label.is_some_and(|label| label != predicted);
        let met = Met { subject, class, predicted, aim };
        let left = wrong && self.attack.clean_wrong == CleanWrong::Leave;
        if left || met.aim == Aim::To(class) && matches!(self.attack.target, Target::Class(_)) {
            self.work.spared += self.attack.image_steps();
            self.ended.push(Ended { met, found: None });
            return;
        }
        match self.search(&met) {
            Some(search) => self.running.push(Running { met, asked: 0, search }),
            None => {
                let found = Some(negative(&met.subject.pixels));
                self.ended.push(Ended { met, found });
            }
        }
    }

    /// The search of the attack; `None` for the one that asks nothing.
    fn search(&self, met: &Met) -> Option<Box<dyn Search>> {
        let (clean, aim, seed) = (&met.subject.pixels, met.aim, self.attack.seed);
        let index = met.subject.index as u64;
        Some(match self.attack.kind {
            Kind::Sign(options) => Box::new(SignSearch::new(options, aim, clean, seed, index)),
            Kind::CarliniWagner(options) => Box::new(CarliniWagnerSearch::new(options, aim, clean)),
            Kind::SemanticHsv(options) => {
                Box::new(HsvSearch::new(options, aim, clean, seed, index))
            }
            Kind::Square(options) => {
                let walk = SquareWalk::new(options, self.shape, clean, seed, index);
                Box::new(SquareSearch::new(walk, aim))
            }
            Kind::SemanticNegative => return None,
        })
    }

    /// One question for every image under attack.
    fn ask(&mut self) -> Result<(), LabError> {
        let (logits, gradients) = if self.attack.needs_gradients() {
            let (logits, gradients) = self.gradients()?;
            (logits, Some(gradients))
        } else {
            (self.logits(&self.running, |one| (one.search.image(), one.met.subject.index))?, None)
        };
        self.work.asked += self.running.len() as u64;
        let bound = self.attack.image_steps();
        for (at, mut one) in std::mem::take(&mut self.running).into_iter().enumerate() {
            one.asked += 1;
            let gradient = gradients.as_ref().map_or(&[][..], |all| all.frame(at));
            if one.search.advance(logits.frame(at), gradient) {
                self.work.spared += bound.saturating_sub(one.asked);
                self.ended.push(Ended { met: one.met, found: one.search.finish() });
            } else {
                self.running.push(one);
            }
        }
        Ok(())
    }

    fn gradients(&self) -> Result<(Array, Array), LabError> {
        let wanted = [logits_of(self.classifier.graph())?];
        let images = self.array(self.running.iter().map(|one| one.search.image()));
        let mut searches = self.running.iter();
        let mut cotangents = |values: &[Array]| {
            let logits = &values[0];
            let mut cotangent = Array::zeros(logits.shape());
            for (at, one) in searches.by_ref().take(logits.frames()).enumerate() {
                one.search.cotangent(logits.frame(at), cotangent.frame_mut(at));
            }
            vec![cotangent]
        };
        let mut gradient = self.classifier.gradient(&images, &wanted, &mut cotangents)?;
        let logits = gradient.values.swap_remove(0);
        for (at, one) in self.running.iter().enumerate() {
            let index = one.met.subject.index;
            self.check_finite(index, "logit", logits.frame(at))?;
            self.check_finite(index, "gradient", gradient.images.frame(at))?;
        }
        Ok((logits, gradient.images))
    }

    /// What became of the images whose attack has ended.
    fn judge(&mut self) -> Result<Vec<Outcome>, LabError> {
        let mut ended = std::mem::take(&mut self.ended);
        if ended.is_empty() {
            return Ok(Vec::new());
        }
        let mut finals: Vec<Vec<f32>> =
            ended.iter_mut().map(|one| self.final_pixels(one)).collect();
        let index = |at: usize| ended[at].met.subject.index;
        let pairs: Vec<(usize, &Vec<f32>)> = finals.iter().enumerate().collect();
        let logits = self.logits(&pairs, |(at, pixels)| (pixels, index(*at)))?;
        let after: Vec<usize> = (0..ended.len()).map(|at| argmax(logits.frame(at))).collect();
        let outcome = |((one, after), pixels): ((Ended, usize), &mut Vec<f32>)| {
            self.outcome(one, after, std::mem::take(pixels))
        };
        Ok(ended.into_iter().zip(after).zip(&mut finals).map(outcome).collect())
    }

    fn final_pixels(&self, one: &mut Ended) -> Vec<f32> {
        let mut pixels = one.found.clone().unwrap_or_else(|| one.met.subject.pixels.clone());
        if self.attack.round8 {
            round_to_bytes(&mut pixels);
        }
        pixels
    }

    fn outcome(&self, one: Ended, after: usize, mut pixels: Vec<f32>) -> Outcome {
        let Ended { met: Met { subject, class, predicted, aim }, found } = one;
        let target = if let Aim::To(target) = aim { Some(target) } else { None };
        let reached = found.is_some()
            && match self.attack.goal {
                Goal::Misclassified => after != class,
                Goal::Target => Some(after) == target,
            };
        let status = if subject.label.is_some_and(|label| label != predicted) {
            Status::CleanWrong
        } else if target == Some(class) && matches!(self.attack.target, Target::Class(_)) {
            Status::AtTarget
        } else if reached {
            Status::Success
        } else {
            Status::Failed
        };
        let mut predicted_after = after;
        if status == Status::Failed && self.gives_up() {
            pixels.clone_from(&subject.pixels);
            if self.attack.round8 {
                round_to_bytes(&mut pixels);
            }
            predicted_after = predicted;
        }
        let (l_inf, l2) = distortion(&subject.pixels, &pixels);
        let Subject { index, source, label, .. } = subject;
        let predicted_before = predicted;
        Outcome {
            index,
            source,
            label,
            status,
            predicted_before,
            predicted_after,
            target,
            l_inf,
            l2,
            pixels,
        }
    }

    /// Whether a missed goal gives the clean image back.
    fn gives_up(&self) -> bool {
        match self.attack.kind {
            Kind::Sign(_) | Kind::SemanticNegative => false,
            Kind::CarliniWagner(_) | Kind::SemanticHsv(_) | Kind::Square(_) => true,
        }
    }

    fn logits<'s, T>(
        &self,
        all: &'s [T],
        image: impl Fn(&'s T) -> (&'s [f32], usize),
    ) -> Result<Array, LabError> {
        let images = self.array(all.iter().map(|one| image(one).0));
        let logits = self.classifier.logits(&images)?;
        for (at, one) in all.iter().enumerate() {
            self.check_finite(image(one).1, "logit", logits.frame(at))?;
        }
        Ok(logits)
    }

    fn array<'s>(&self, images: impl Iterator<Item = &'s [f32]>) -> Array {
        let mut data = Vec::new();
        images.for_each(|image| data.extend_from_slice(image));
        let [channels, rows, columns] = self.shape;
        let frames = data.len() / (channels * rows * columns);
        Array::new([frames, channels, rows, columns], data)
    }

    fn check_finite(&self, index: usize, what: &str, numbers: &[f32]) -> Result<(), LabError> {
        match numbers.iter().position(|x| !x.is_finite()) {
            None => Ok(()),
            Some(at) => Err(LabError::NotFinite(format!(
                "model `{}` gives {what} {at} of image {index} as {}: it cannot be attacked; look \
                 for a division or logarithm in it, and whether its input range is 0..1",
                self.classifier.graph().name,
                numbers[at]
            ))),
        }
    }
}
