//! Square attack, L_inf: random search by squares, on answers of the classifier alone.
//!
//! Source: Andriushchenko et al. 2020 (arXiv 1912.00049), with AutoAttack's schedule and margin.

use crate::random::Random;

use super::search::{Aim, Search};

/// The options of the attack.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Square {
    /// Radius of the ball in pixels of 0..1.
    pub eps: f64,
    /// Questions to the classifier, at most.
    pub queries: usize,
    /// Share of the image that the first squares cover.
    pub share: f64,
}

impl Square {
    /// Share of the image that a square covers at the question of a number; the schedule of the
    /// paper is for 10000 questions and is stretched to ours.
    fn share_at(&self, query: usize) -> f64 {
        const HALVED_AFTER: [usize; 9] = [10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000];
        let at = (query as f64 / self.queries as f64 * 10_000.0) as usize;
        let halved = HALVED_AFTER.iter().filter(|&&after| at > after).count();
        self.share / 2f64.powi(halved as i32)
    }
}

/// The random search on one image, for any loss that shall become small.
pub struct SquareWalk {
    options: Square,
    shape: [usize; 3],
    clean: Vec<f32>,
    best: Vec<f32>,
    best_loss: f64,
    image: Vec<f32>,
    random: Random,
    query: usize,
}

impl SquareWalk {
    /// Begins with vertical stripes on the image `index` of a set; `shape` is channels, rows,
    /// columns.
    pub fn new(
        options: Square,
        shape: [usize; 3],
        clean: &[f32],
        seed: u64,
        index: u64,
    ) -> SquareWalk {
        let mut random = Random::new(seed, "square", index);
        let [channels, rows, columns] = shape;
        let eps = options.eps as f32;
        let stripes: Vec<f32> = (0..channels * columns).map(|_| eps * random.sign()).collect();
        let offset = |at: usize| stripes[at / (rows * columns) * columns + at % columns];
        let moved = |(at, &x): (usize, &f32)| (x + offset(at)).clamp(0.0, 1.0);
        let image: Vec<f32> = clean.iter().enumerate().map(moved).collect();
        Self {
            options,
            shape,
            clean: clean.to_vec(),
            best: image.clone(),
            best_loss: f64::INFINITY,
            image,
            random,
            query: 0,
        }
    }

    /// The image whose loss is wanted.
    pub fn image(&self) -> &[f32] {
        &self.image
    }

    /// The image of the smallest loss, and the loss.
    pub fn best(&self) -> (&[f32], f64) {
        (&self.best, self.best_loss)
    }

    /// Takes the loss of [`SquareWalk::image`]; true when all questions are asked.
    pub fn advance(&mut self, loss: f64) -> bool {
        if loss < self.best_loss {
            self.best_loss = loss;
            self.best.clone_from(&self.image);
        }
        self.query += 1;
        if self.query == self.options.queries {
            return true;
        }
        self.propose();
        false
    }

    /// The best image with one square moved by 2 eps, up or down by channel.
    fn propose(&mut self) {
        let [channels, rows, columns] = self.shape;
        let eps = self.options.eps as f32;
        let covered = self.options.share_at(self.query - 1) * (rows * columns) as f64;
        let side = (covered.sqrt().round() as usize).clamp(1, rows.min(columns));
        let top = self.random.below(rows - side + 1);
        let left = self.random.below(columns - side + 1);
        self.image.clone_from(&self.best);
        for channel in 0..channels {
            let offset = 2.0 * eps * self.random.sign();
            for row in top..top + side {
                let start = (channel * rows + row) * columns + left;
                for at in start..start + side {
                    let clean = self.clean[at];
                    let moved = (self.best[at] + offset).clamp(clean - eps, clean + eps);
                    self.image[at] = moved.clamp(0.0, 1.0);
                }
            }
        }
    }
}

/// One image on its way.
pub struct SquareSearch {
    walk: SquareWalk,
    aim: Aim,
}

impl SquareSearch {
    /// Begins as [`SquareWalk::new`].
    pub fn new(walk: SquareWalk, aim: Aim) -> Self {
        Self { walk, aim }
    }
}

impl Search for SquareSearch {
    fn image(&self) -> &[f32] {
        self.walk.image()
    }

    fn cotangent(&self, _: &[f32], _: &mut [f32]) {}

    fn advance(&mut self, logits: &[f32], _: &[f32]) -> bool {
        let loss = self.aim.distance(logits);
        self.walk.advance(loss) || loss < 0.0
    }

    fn finish(self: Box<Self>) -> Option<Vec<f32>> {
        (self.walk.best_loss < 0.0).then_some(self.walk.best)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPTIONS: Square = Square { eps: 0.1, queries: 300, share: 0.8 };

    #[test]
    fn squares_shrink_by_the_schedule() {
        let options = Square { queries: 10_000, ..OPTIONS };
        for (query, share) in [(0, 0.8), (10, 0.8), (11, 0.4), (201, 0.1), (9_999, 0.8 / 512.0)] {
            assert_eq!(options.share_at(query), share, "{query}");
        }
        assert_eq!(OPTIONS.share_at(299), 0.8 / 512.0);
    }

    /// The loss counts pixels at the wrong end; all reach the right one, none leaves the ball.
    #[test]
    fn the_walk_finds_the_corner_of_the_ball() {
        let clean = vec![0.5; 2 * 4 * 5];
        let options = Square { queries: 3_000, ..OPTIONS };
        let mut walk = SquareWalk::new(options, [2, 4, 5], &clean, 1, 2);
        loop {
            assert!(walk.image().iter().all(|x| (x - 0.5).abs() <= 0.1 + 1e-6));
            let wrong = |(at, x): (usize, &f32)| (at % 7 < 3) == (*x > 0.5);
            let loss = walk.image().iter().enumerate().filter(|&pair| wrong(pair)).count();
            if walk.advance(loss as f64) {
                break;
            }
        }
        assert_eq!(walk.best().1, 0.0);
    }
}
