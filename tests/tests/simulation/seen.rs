//! Counts of what happened, so that a simulation which looks elsewhere is noticed.

/// What was seen, to know that the simulation looks where things happen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    pub rounds: u64,
    pub starts: u64,
    pub cuts: u64,
    pub flash_cuts: u64,
    pub reboots: u64,
    pub verdicts: u64,
    pub camera_verdicts: u64,
    pub unfit: u64,
    pub opened: u64,
    pub open_rounds: u64,
    pub uploads: u64,
    pub confirmed: u64,
    pub answers: u64,
    pub telemetry: u64,
    pub link_faults: u64,
    pub flash_operations: u64,
    pub strange: u64,
    pub flips: u64,
    pub found: u64,
    pub started: u64,
    pub provisioned: u64,
    pub monitoring: u64,
    pub done: u64,
    pub refused: u64,
    pub given_up: u64,
    pub fell_back: u64,
}

impl Seen {
    /// All counts with their names.
    pub fn rows(&self) -> [(&'static str, u64); 26] {
        [
            ("rounds", self.rounds),
            ("starts", self.starts),
            ("power cuts", self.cuts),
            ("of them in flash", self.flash_cuts),
            ("reboots asked for", self.reboots),
            ("verdicts", self.verdicts),
            ("of them on the camera's frames", self.camera_verdicts),
            ("frames that were unfit", self.unfit),
            ("gate opened", self.opened),
            ("rounds with an OPEN pin", self.open_rounds),
            ("uploads staged", self.uploads),
            ("bundles confirmed", self.confirmed),
            ("answers", self.answers),
            ("telemetry", self.telemetry),
            ("frames of the link lost or spoilt", self.link_faults),
            ("flash operations", self.flash_operations),
            ("frames and noise of a stranger", self.strange),
            ("bits of memory flipped", self.flips),
            ("of them in the bundle in use, and found", self.found),
            ("verdicts on frames that a host began", self.started),
            ("keys given", self.provisioned),
            ("rounds of a bundle that only monitors", self.monitoring),
            ("errands done", self.done),
            ("errands refused", self.refused),
            ("errands given up", self.given_up),
            ("errands that fell back", self.fell_back),
        ]
    }

    /// Adds another run.
    pub fn add(&mut self, other: &Seen) {
        let all = [
            &mut self.rounds,
            &mut self.starts,
            &mut self.cuts,
            &mut self.flash_cuts,
            &mut self.reboots,
            &mut self.verdicts,
            &mut self.camera_verdicts,
            &mut self.unfit,
            &mut self.opened,
            &mut self.open_rounds,
            &mut self.uploads,
            &mut self.confirmed,
            &mut self.answers,
            &mut self.telemetry,
            &mut self.link_faults,
            &mut self.flash_operations,
            &mut self.strange,
            &mut self.flips,
            &mut self.found,
            &mut self.started,
            &mut self.provisioned,
            &mut self.monitoring,
            &mut self.done,
            &mut self.refused,
            &mut self.given_up,
            &mut self.fell_back,
        ];
        all.into_iter().zip(other.rows()).for_each(|(sum, (_, count))| *sum += count);
    }
}
