//! Every detector of a run on every set, split by split.

use crate::baseline::{Budget, LabelBudget, Method};
use crate::error::LabError;

use super::cache::Cache;
use super::coded::CodedNormals;
use super::compare::{Scores, SplitScores, Who};
use super::definition::{Definition, Ours, Question, SetChoice, SetKind};
use super::examined::Examined;
use super::others::{Said, Seen, Trial, budgets, is_costly, needs_originals, reads_blocks};
use super::ours::{Chosen, FitParts, Fitted, Measured};
use super::parts::{Parts, Split};
use super::results::NotRun;
use super::watch::Watch;

/// What a detector learnt from: sets, and normal frames by the place of their codec.
type Fit = (Vec<usize>, Option<usize>);

/// All that is tested, and on what.
pub struct Bench<'a> {
    /// What is asked.
    pub definition: &'a Definition,
    /// Normal frames.
    pub normal: &'a Measured,
    /// The same behind the codecs that sets ask for.
    pub coded: &'a CodedNormals,
    /// Sets of the definition, harmless ones too, in its order.
    pub sets: &'a [Measured],
    /// One a seed.
    pub splits: &'a [Split],
    /// Who hears.
    pub watch: &'a dyn Watch,
}

/// Frames of a set as a split deals them.
fn of<'a>(set: &'a Measured, part: &'a [usize]) -> Chosen<'a> {
    Chosen { set, frames: part }
}

impl Bench<'_> {
    /// Numbers of the sets that are anomalous.
    pub fn anomalous(&self) -> Vec<usize> {
        let kinds = self.definition.sets.iter().enumerate();
        let found = kinds.filter(|(_, set)| set.kind != SetKind::Control).map(|(at, _)| at);
        match self.definition.question {
            Question::OwnErrors => vec![0],
            _ => found.collect(),
        }
    }

    /// The normal frames that a set is told apart from.
    pub fn normal_of(&self, set: usize) -> &Measured {
        self.coded.of(set, self.normal)
    }

    /// A set as the protocol names it; the classifier's own errors are in none.
    fn choice(&self, set: usize) -> Option<&SetChoice> {
        match self.definition.question {
            Question::OwnErrors => None,
            _ => self.definition.sets.get(set),
        }
    }

    /// Which sets a detector that learns from anomalies learns from, for a tested set.
    fn lessons(&self, tested: usize) -> Vec<Vec<usize>> {
        let anomalous = self.anomalous();
        match self.definition.question {
            Question::Unseen => {
                let others: Vec<usize> =
                    anomalous.iter().copied().filter(|&set| set != tested).collect();
                let mut lessons: Vec<Vec<usize>> =
                    anomalous.into_iter().map(|set| vec![set]).collect();
                lessons.push(others);
                lessons
            }
            _ => vec![vec![tested]],
        }
    }

    /// Fits one of our detectors on the train and validation parts of a split, of these normal
    /// frames and of the sets of the lesson.
    ///
    /// # Errors
    /// As [`Ours::fit`].
    pub(super) fn fit(
        &self,
        ours: Ours,
        lesson: &[usize],
        frames: &Measured,
        split: &Split,
    ) -> Result<Fitted, LabError> {
        let parts = |parts: &'_ Parts| [parts.train.clone(), parts.validation.clone()];
        let normal = parts(&split.normal);
        let dealt: Vec<[Vec<usize>; 2]> =
            lesson.iter().map(|&set| parts(&split.sets[set].1)).collect();
        let fit = FitParts {
            normal: [of(frames, &normal[0]), of(frames, &normal[1])],
            anomalous: lesson
                .iter()
                .zip(&dealt)
                .map(|(&set, [train, early])| {
                    [of(&self.sets[set], train), of(&self.sets[set], early)]
                })
                .collect(),
        };
        ours.fit(&fit, split.seed)
    }

    /// Scores of one of our detectors: for each set and lesson, over all splits. `each` also hears
    /// of every fit.
    ///
    /// # Errors
    /// What fitting and scoring say; when the watcher stops.
    pub fn ours(
        &self,
        ours: Ours,
        each: &mut dyn FnMut(&Who, &Split, &Fitted) -> Result<(), LabError>,
    ) -> Result<Vec<Scores>, LabError> {
        let mut all: Vec<Scores> = Vec::new();
        let stage = format!("detector {}", ours.name());
        let total = self.splits.len() as u64;
        for (done, split) in self.splits.iter().enumerate() {
            let mut fits: Vec<(Fit, Fitted)> = Vec::new();
            for tested in self.anomalous() {
                self.watch.progress(&stage, done as u64, total)?;
                let lessons =
                    if ours.is_supervised() { self.lessons(tested) } else { vec![vec![]] };
                for lesson in lessons {
                    let who = self.who(ours, &lesson);
                    let fit = (lesson, self.coded.place(tested));
                    let at = match fits.iter().position(|(known, _)| *known == fit) {
                        Some(at) => at,
                        None => {
                            let fitted = self.fit(ours, &fit.0, self.normal_of(tested), split)?;
                            each(&who, split, &fitted)?;
                            fits.push((fit, fitted));
                            fits.len() - 1
                        }
                    };
                    let scores = self.test(&fits[at].1, tested, split)?;
                    self.file(&mut all, who, tested, scores);
                }
            }
        }
        Ok(all)
    }

    fn who(&self, ours: Ours, lesson: &[usize]) -> Who {
        use gradgate_detect::fit::options::HeadKind;
        let budget =
            if ours.is_supervised() { LabelBudget::PerSet } else { LabelBudget::NormalOnly };
        Who {
            detector: ours.name(),
            learnt_from: lesson.iter().map(|&set| self.sets[set].images.name.clone()).collect(),
            label_budget: budget,
            budget: Budget::Equal,
            is_network: matches!(ours, Ours::Statistics | Ours::Taps(HeadKind::Mlp, _)),
        }
    }

    fn test(&self, fitted: &Fitted, tested: usize, split: &Split) -> Result<SplitScores, LabError> {
        let (parts, normal) = (&split.sets[tested].1, self.normal_of(tested));
        Ok(SplitScores {
            seed: split.seed,
            validation: fitted.scores(&of(normal, &split.normal.validation))?,
            normal_frames: split.normal.test.clone(),
            normal: fitted.scores(&of(normal, &split.normal.test))?,
            anomalous_frames: parts.test.clone(),
            anomalous: fitted.scores(&of(&self.sets[tested], &parts.test))?,
        })
    }

    /// Adds a split to the scores that it belongs to.
    fn file<'s>(
        &self,
        all: &'s mut Vec<Scores>,
        who: Who,
        tested: usize,
        scores: SplitScores,
    ) -> &'s mut Scores {
        let set = &self.sets[tested].images.name;
        let known = all.iter().position(|one| one.who == who && one.set == *set);
        let at = known.unwrap_or_else(|| {
            let choice = self.choice(tested);
            all.push(Scores {
                who,
                set: set.clone(),
                kind: choice.map(|choice| choice.kind),
                notes: Vec::new(),
                published: choice.and_then(|choice| choice.published),
                splits: Vec::new(),
            });
            all.len() - 1
        });
        all[at].splits.push(scores);
        &mut all[at]
    }

    /// Scores of a detector of others on all sets, in each budget. Where it cannot be fitted or
    /// read its features, `not_run` says so.
    ///
    /// # Errors
    /// A file that cannot be written; when the watcher stops.
    pub fn others(
        &self,
        method: &Method,
        seen: &SeenSets<'_>,
        examined: &Examined,
        cache: &Cache,
        not_run: &mut Vec<NotRun>,
    ) -> Result<Vec<Scores>, LabError> {
        let others = &self.definition.others;
        let limit = if is_costly(method) { others.limit_steps } else { others.limit };
        let name = method.baseline().name();
        if reads_blocks(method) {
            seen.compute_blocks()?;
        }
        let mut all: Vec<Scores> = Vec::new();
        let splits = &self.splits[..others.seeds.min(self.splits.len())];
        let tested = self.anomalous();
        let total = (splits.len() * tested.len()) as u64;
        for (done, (split, &set)) in
            splits.iter().flat_map(|split| tested.iter().map(move |set| (split, set))).enumerate()
        {
            self.watch.progress(&format!("detector {name}"), done as u64, total)?;
            if needs_originals(method) && self.sets[set].images.twins.is_none() {
                continue;
            }
            for budget in budgets(method, &others.budgets) {
                let trial = Trial {
                    normal: (&seen.normal, split.normal.limited(limit)),
                    anomalous: (&seen.sets[set], split.sets[set].1.limited(limit)),
                    training: seen.training.as_ref(),
                };
                let key = key(&trial, method, budget, examined);
                let key: Vec<&str> = key.iter().map(String::as_str).collect();
                let found = cache.value("said", &key, || trial.run(method, budget));
                let said: Said = match found {
                    Ok(said) => said,
                    Err(error @ (LabError::Stopped | LabError::File(_))) => return Err(error),
                    Err(error) => {
                        not_run.push(NotRun::new(
                            name,
                            budget,
                            &trial.anomalous.0.set.name,
                            &error,
                        ));
                        continue;
                    }
                };
                let who = Who {
                    detector: said.normal.method.clone(),
                    learnt_from: Vec::new(),
                    label_budget: said.normal.label_budget,
                    budget,
                    is_network: false,
                };
                let scores = SplitScores {
                    seed: split.seed,
                    validation: said.validation,
                    normal_frames: trial.normal.1.test.clone(),
                    normal: said.normal.values,
                    anomalous_frames: trial.anomalous.1.test.clone(),
                    anomalous: said.anomalous.values,
                };
                self.file(&mut all, who, set, scores).notes = said.normal.notes;
            }
        }
        Ok(all)
    }
}

/// All that decides what a detector of others says.
fn key(trial: &Trial<'_>, method: &Method, budget: Budget, examined: &Examined) -> Vec<String> {
    vec![
        examined.model_digest.clone(),
        trial.normal.0.digest.clone(),
        format!("{:?}", trial.normal.0.set.labels),
        trial.anomalous.0.digest.clone(),
        trial.training.map_or_else(String::new, |training| training.digest.clone()),
        text(&trial.normal.1),
        text(&trial.anomalous.1),
        text(method),
        budget.to_string(),
    ]
}

/// A value as the text that stands for it in a key.
fn text<T: serde::Serialize>(value: &T) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

/// All sets as the classifier sees them, for detectors of others.
pub struct SeenSets<'a> {
    /// Normal frames.
    pub normal: Seen<'a>,
    /// Sets in the order of the definition.
    pub sets: Vec<Seen<'a>>,
    /// Frames that the classifier was trained on.
    pub training: Option<Seen<'a>>,
}

impl<'a> SeenSets<'a> {
    /// All of them, with their logits.
    ///
    /// # Errors
    /// As [`Seen::new`].
    pub fn new(
        examined: &'a Examined,
        normal: &'a Measured,
        sets: &'a [Measured],
        training: Option<&'a super::sets::ImageSet>,
    ) -> Result<SeenSets<'a>, LabError> {
        let seen = |set| Seen::new(examined.classifier.as_ref(), set);
        Ok(SeenSets {
            normal: seen(&normal.images)?,
            sets: sets.iter().map(|set| seen(&set.images)).collect::<Result<_, _>>()?,
            training: training.map(seen).transpose()?,
        })
    }

    /// Computes every block of all frames, once for all parts of all splits.
    fn compute_blocks(&self) -> Result<(), LabError> {
        let all = [&self.normal].into_iter().chain(&self.sets).chain(&self.training);
        all.map(|seen| &seen.observed).try_for_each(|observed| observed.pooled().map(|_| ()))
    }
}
