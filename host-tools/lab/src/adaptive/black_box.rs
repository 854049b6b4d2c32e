//! Black box: random search on what a device says of bytes, its class scores and its score.
//!
//! It uses no gradient, so nothing that only hides gradients can stop it.

use crate::attack::loss::margin;
use crate::attack::square::{Square, SquareWalk};
use crate::error::LabError;

use super::aware::key;
use super::context::{Attacked, Context, Found, Keeper};

impl Context<'_> {
    /// Searches for an image with no margin and no score above the strictest threshold; what is
    /// missing of both, in logits and in the score's own unit, adds up to the loss.
    pub fn attack_blind(&self, attacked: Attacked<'_>, detector: usize) -> Result<Found, LabError> {
        let options = Square {
            eps: attacked.ball.eps,
            queries: self.options.queries,
            share: self.options.square_share,
        };
        let (clean, shape) = (attacked.ball.clean, self.engines.network.shape());
        let seed = self.options.seed;
        let mut walk = SquareWalk::new(options, shape, clean, seed, attacked.index());
        let enough = f64::from(self.detectors[detector].strictest());
        let mut keeper = Keeper::new(self, attacked);
        loop {
            let found = keeper.ask(walk.image())?;
            let score = key(found.judged.scores[detector]);
            let above = margin(&found.judged.logits, attacked.label).max(0.0);
            let loss = above + (score - enough).max(0.0);
            let passes = keeper.keep(found, |_| score).is_some_and(|score| score <= enough);
            if passes || walk.advance(loss) {
                return keeper.finish();
            }
        }
    }
}
