//! Carlini and Wagner's attack of least L2: an image in tanh space, Adam on distance plus c times
//! the margin, and a search for the smallest c that succeeds.
//!
//! Source: Carlini and Wagner 2016 (arXiv 1608.04644). Every image has a c, an optimiser, an end
//! and a best result of its own; where libraries share one of these over a batch, results depend
//! on who else is in it.

use super::search::{Aim, Search};

/// Keeps pixels of 0 and 1 at a finite place in tanh space.
const INSIDE: f64 = 0.999_999;
/// A loss above this share of the one a tenth of the steps before is no progress.
const PROGRESS: f64 = 0.9999;
/// With at least this many rounds, the last one repeats the smallest c that succeeded or, without
/// one, c as it stands, times ten; as the original does.
const REPEATED: usize = 10;
/// c is no longer multiplied beyond this.
const LARGEST_C: f64 = 1e10;

/// The options of the attack.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CarliniWagner {
    /// Rounds of the search for c.
    pub searches: usize,
    /// c of the first round; times ten until one succeeds, then halfway.
    pub initial_c: f64,
    /// Steps a round, at most.
    pub steps: usize,
    /// Adam's learning rate in tanh space.
    pub learning_rate: f64,
    /// Margin in logits that counts as success.
    pub kappa: f64,
    /// End a round that makes no progress.
    pub abort_early: bool,
}

/// Adam with its usual constants (0.9, 0.999, 1e-8).
struct Adam {
    first: Vec<f64>,
    second: Vec<f64>,
    steps: i32,
}

impl Adam {
    fn new(length: usize) -> Self {
        Self { first: vec![0.0; length], second: vec![0.0; length], steps: 0 }
    }

    fn restart(&mut self) {
        self.first.fill(0.0);
        self.second.fill(0.0);
        self.steps = 0;
    }

    fn step(&mut self, rate: f64, place: &mut [f64], gradient: impl Iterator<Item = f64>) {
        self.steps += 1;
        let correction = [0.9f64, 0.999].map(|beta| 1.0 - beta.powi(self.steps));
        let moments = self.first.iter_mut().zip(&mut self.second);
        for ((x, (first, second)), g) in place.iter_mut().zip(moments).zip(gradient) {
            *first = 0.9 * *first + 0.1 * g;
            *second = 0.999 * *second + 0.001 * g * g;
            let scale = (*second / correction[1]).sqrt() + 1e-8;
            *x -= rate * (*first / correction[0]) / scale;
        }
    }
}

/// One image on its way.
pub struct CarliniWagnerSearch {
    options: CarliniWagner,
    aim: Aim,
    clean: Vec<f32>,
    /// The clean image in tanh space, where every round starts.
    origin: Vec<f64>,
    place: Vec<f64>,
    /// `place` as pixels.
    image: Vec<f32>,
    adam: Adam,
    c: f64,
    failed_c: f64,
    succeeded_c: Option<f64>,
    round: usize,
    step: usize,
    succeeded: bool,
    loss_before: f64,
    /// Squared distance and pixels of the nearest success.
    best: Option<(f64, Vec<f32>)>,
}

impl CarliniWagnerSearch {
    /// Begins.
    pub fn new(options: CarliniWagner, aim: Aim, clean: &[f32]) -> Self {
        let origin: Vec<f64> =
            clean.iter().map(|&x| ((2.0 * f64::from(x) - 1.0) * INSIDE).atanh()).collect();
        Self {
            options,
            aim,
            clean: clean.to_vec(),
            image: origin.iter().map(|w| pixel(w.tanh()) as f32).collect(),
            place: origin.clone(),
            adam: Adam::new(clean.len()),
            origin,
            c: options.initial_c,
            failed_c: 0.0,
            succeeded_c: None,
            round: 0,
            step: 0,
            succeeded: false,
            loss_before: f64::INFINITY,
            best: None,
        }
    }

    /// Keeps the image when it is the nearest success so far.
    fn record(&mut self, distance: f64) {
        if distance >= -self.options.kappa {
            return;
        }
        self.succeeded = true;
        let squares = squared_distance(&self.clean, &self.image);
        if self.best.as_ref().is_none_or(|(best, _)| squares < *best) {
            self.best = Some((squares, self.image.clone()));
        }
    }

    /// Distance of the loss: to the clean image as tanh space holds it.
    fn loss_distance(&self) -> f64 {
        let pixels = self.image.iter().zip(&self.origin);
        pixels.map(|(&x, w)| (f64::from(x) - pixel(w.tanh())).powi(2)).sum()
    }

    /// Whether this round has come to nothing.
    fn stalls(&mut self, distance: f64) -> bool {
        if !self.options.abort_early || !self.step.is_multiple_of((self.options.steps / 10).max(1))
        {
            return false;
        }
        let hinge = (distance + self.options.kappa).max(0.0);
        let loss = self.loss_distance() + self.c * hinge;
        if loss > PROGRESS * self.loss_before {
            return true;
        }
        self.loss_before = loss;
        false
    }

    fn descend(&mut self, gradient: &[f32]) {
        let (c, origin) = (self.c, &self.origin);
        let slopes: Vec<f64> = self
            .place
            .iter()
            .enumerate()
            .map(|(at, w)| {
                let t = w.tanh();
                let pull = 2.0 * (pixel(t) - pixel(origin[at].tanh()));
                (pull + c * f64::from(gradient[at])) * (1.0 - t * t) / 2.0
            })
            .collect();
        self.adam.step(self.options.learning_rate, &mut self.place, slopes.into_iter());
        for (x, w) in self.image.iter_mut().zip(&self.place) {
            *x = pixel(w.tanh()) as f32;
        }
    }

    /// The next c, from the start; true when there is no next round.
    fn next_round(&mut self) -> bool {
        if self.succeeded {
            self.succeeded_c = Some(self.succeeded_c.map_or(self.c, |c| c.min(self.c)));
        } else {
            self.failed_c = self.failed_c.max(self.c);
        }
        self.round += 1;
        let last = self.round + 1 == self.options.searches;
        self.c = match self.succeeded_c {
            Some(c) if last && self.options.searches >= REPEATED => c,
            Some(c) => (self.failed_c + c) / 2.0,
            None => (self.c * 10.0).min(LARGEST_C),
        };
        self.place.clone_from(&self.origin);
        for (x, w) in self.image.iter_mut().zip(&self.place) {
            *x = pixel(w.tanh()) as f32;
        }
        self.adam.restart();
        (self.step, self.succeeded, self.loss_before) = (0, false, f64::INFINITY);
        self.round == self.options.searches
    }
}

/// From tanh space's -1..1 to 0..1.
fn pixel(t: f64) -> f64 {
    (t + 1.0) / 2.0
}

fn squared_distance(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum()
}

impl Search for CarliniWagnerSearch {
    fn image(&self) -> &[f32] {
        &self.image
    }

    /// The margin's, while it is on the wrong side; its weight c is applied in f64 afterwards.
    fn cotangent(&self, logits: &[f32], cotangent: &mut [f32]) {
        cotangent.fill(0.0);
        if self.aim.distance(logits) < -self.options.kappa {
            return;
        }
        let class = self.aim.class();
        let sign = if matches!(self.aim, Aim::From(_)) { 1.0 } else { -1.0 };
        cotangent[class] = sign;
        cotangent[super::loss::runner_up(logits, class)] = -sign;
    }

    fn advance(&mut self, logits: &[f32], gradient: &[f32]) -> bool {
        let distance = self.aim.distance(logits);
        self.record(distance);
        if self.stalls(distance) {
            return self.next_round();
        }
        self.step += 1;
        if self.step == self.options.steps {
            return self.next_round();
        }
        self.descend(gradient);
        false
    }

    fn finish(self: Box<Self>) -> Option<Vec<f32>> {
        self.best.map(|(_, image)| image)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPTIONS: CarliniWagner = CarliniWagner {
        searches: 9,
        initial_c: 1e-3,
        steps: 400,
        learning_rate: 1e-2,
        kappa: 0.0,
        abort_early: true,
    };

    /// Logits `[w . x, offset]`, whose nearest image of the other class is known.
    fn attack(options: CarliniWagner, weights: &[f32], offset: f32, clean: &[f32]) -> Option<f64> {
        let mut search = Box::new(CarliniWagnerSearch::new(options, Aim::From(0), clean));
        loop {
            let dot: f32 = search.image().iter().zip(weights).map(|(x, w)| x * w).sum();
            let logits = [dot, offset];
            let mut cotangent = [0.0; 2];
            search.cotangent(&logits, &mut cotangent);
            let gradient: Vec<f32> = weights.iter().map(|w| w * cotangent[0]).collect();
            if search.advance(&logits, &gradient) {
                break;
            }
        }
        search.finish().map(|image| squared_distance(clean, &image).sqrt())
    }

    #[test]
    fn a_linear_classifier_is_crossed_at_its_plane() {
        let (weights, clean) = ([3.0, -4.0, 1.0], [0.6, 0.2, 0.5]);
        let plane = (3.0 * 0.6 - 4.0 * 0.2 + 0.5 - 0.5) / 26f64.sqrt();
        let distance = attack(OPTIONS, &weights, 0.5, &clean).expect("it is within reach");
        assert!((1.0..1.02).contains(&(distance / plane)), "{distance}, plane at {plane}");
        let wide = CarliniWagner { kappa: 0.5, ..OPTIONS };
        let further = attack(wide, &weights, 0.5, &clean).expect("it is within reach");
        let plane = plane + 0.5 / 26f64.sqrt();
        assert!((1.0..1.02).contains(&(further / plane)), "{further}, plane at {plane}");
    }

    /// Tanh is flat there: at this rate it takes some 500 steps before such a pixel leaves, without
    /// progress that would keep a round going.
    #[test]
    fn pixels_at_the_ends_can_move() {
        let options = CarliniWagner { steps: 1500, abort_early: false, ..OPTIONS };
        let distance = attack(options, &[1.0, 1.0], 1.5, &[1.0, 1.0]).expect("within reach");
        let plane = 0.5 / 2f64.sqrt();
        assert!((1.0..1.03).contains(&(distance / plane)), "{distance}, plane at {plane}");
    }

    #[test]
    fn what_cannot_be_reached_is_not_found() {
        assert_eq!(attack(OPTIONS, &[1.0, 1.0], -0.1, &[0.5, 0.5]), None);
    }

    #[test]
    fn adam_takes_the_textbooks_first_steps() {
        let (mut adam, mut place) = (Adam::new(1), [1.0]);
        adam.step(0.1, &mut place, [4.0].into_iter());
        assert!((place[0] - 0.9).abs() < 1e-8);
        adam.step(0.1, &mut place, [-1.0].into_iter());
        // m = (.9*.4 - .1) / .19, v = (.999*.016 + .001) / .001999
        let wanted = 0.9 - 0.1 * (0.26 / 0.19) / (0.016_984f64 / 0.001_999).sqrt();
        assert!((place[0] - wanted).abs() < 1e-8, "{} {wanted}", place[0]);
    }
}
