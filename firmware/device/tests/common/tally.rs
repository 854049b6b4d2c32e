//! Counts cuts, and what they broke.

use gradgate_device::sim::{SimFlash, Torn};

use super::{Case, Flaw};

/// Cuts made, and the promises that were broken.
#[derive(Debug, Default)]
pub struct Tally {
    pub cuts: u64,
    /// Runs of several cuts.
    pub runs: u64,
    pub broken: Vec<String>,
}

impl Tally {
    /// Every operation of a case, every outcome; every `stride`th of these pairs from `first` on.
    pub fn sweep(&mut self, case: &Case, flaw: Flaw, first: u64, stride: u64) {
        let start = case.prepare();
        let operations = case.operations(&start, flaw);
        self.sample(case, flaw, &start, operations, (first, stride));
    }

    /// Two cuts in a row: every `strides.0`th first one, and after each every `strides.1`th that
    /// the update begun anew can meet.
    pub fn pairs(&mut self, case: &Case, strides: (usize, usize)) {
        let start = case.prepare();
        let operations = case.operations(&start, Flaw::None);
        // What was interrupted is written again: a record, or a sector from its beginning.
        let cuts = |count: u64, stride| {
            (0..count).flat_map(|at| Torn::ALL.map(|torn| (at, torn))).step_by(stride)
        };
        for first in cuts(operations, strides.0) {
            for second in cuts(operations + 2 * 96 / 8, strides.1) {
                self.runs += 1;
                if let Err(error) = case.cut(&start, first, Flaw::None, &[second]) {
                    self.broken.push(format!("{first:?}, {second:?}, {case:?}: {error}"));
                }
            }
        }
    }

    /// About so many cuts of a case, evenly spread, and a tenth as many runs of up to six cuts.
    pub fn spread(&mut self, case: &Case, cuts: u64) {
        let start = case.prepare();
        let operations = case.operations(&start, Flaw::None);
        let stride = (operations * Torn::ALL.len() as u64 / cuts).max(1);
        self.sample(case, Flaw::None, &start, operations, (case.seed % stride, stride));
        self.draw(case, &start, operations, cuts.div_ceil(10));
    }

    /// So many runs of two to six cuts, as the seed draws them.
    pub fn sequences(&mut self, case: &Case, runs: u64) {
        let start = case.prepare();
        let operations = case.operations(&start, Flaw::None);
        self.draw(case, &start, operations, runs);
    }

    fn draw(&mut self, case: &Case, start: &SimFlash, operations: u64, runs: u64) {
        for run in 0..runs {
            let mut mixed = case.seed << 32 | run;
            let mut any = || {
                mixed =
                    mixed.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(0x1405_7B7E_F767_814F);
                ((mixed >> 33) % (operations + 8), Torn::ALL[(mixed >> 20) as usize % 7])
            };
            let all: Vec<_> = (0..2 + run % 5).map(|_| any()).collect();
            self.runs += 1;
            if let Err(error) = case.cut(start, all[0], Flaw::None, &all[1..]) {
                self.broken.push(format!("{all:?}, {case:?}: {error}"));
            }
        }
    }

    fn sample(
        &mut self,
        case: &Case,
        flaw: Flaw,
        start: &SimFlash,
        operations: u64,
        (first, stride): (u64, u64),
    ) {
        // A multiple of the outcomes would meet one of them alone.
        let stride =
            if stride.is_multiple_of(Torn::ALL.len() as u64) { stride + 1 } else { stride };
        let cuts = (0..operations)
            .flat_map(|operation| Torn::ALL.map(|torn| (operation, torn)))
            .skip(first as usize)
            .step_by(stride as usize);
        for cut in cuts {
            self.cuts += 1;
            if let Err(error) = case.cut(start, cut, flaw, &[]) {
                self.broken.push(format!("{cut:?} of {operations}, {case:?}: {error}"));
            }
        }
    }

    pub fn assert_whole(&self) {
        let shown: Vec<_> = self.broken.iter().take(5).collect();
        let (broken, cuts) = (self.broken.len(), self.cuts);
        assert!(broken == 0, "{broken} of {cuts} broke a promise: {shown:#?}");
    }
}
