//! A board with a confirmed, enforcing bundle, and the gate open.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use gradgate_bundle::align::AlignedBytes;
use gradgate_link::message::Verdict;

use crate::bundle::{enforcing, own_frame};
use crate::client::Client;
use crate::emulator::{Emulator, Pace};
use crate::flash::confirmed;
use crate::image::Symbols;

/// Nominal time between frames; the lease is twice that.
pub const FRAME_PERIOD: Duration = Duration::from_millis(500);

/// For the gate to open, in the host's time.
const PATIENCE: Duration = Duration::from_secs(60);
/// Two frame periods, and the millisecond of the pin's timer.
const CLOSES_WITHIN: Duration = Duration::from_millis(2 * 500 + 1);

/// What all cases share.
pub struct Bench {
    /// The image that is released.
    pub image: PathBuf,
    /// The image that can be made to fail.
    pub provoke: PathBuf,
    /// A small bundle whose pin follows the gate.
    pub bundle: AlignedBytes,
    /// A frame that passes.
    pub frame: Vec<u8>,
    folder: tempfile::TempDir,
}

impl Bench {
    /// Makes the flash of a board that runs the bundle.
    pub fn prepare(image: PathBuf, provoke: PathBuf, bundle: &[u8]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let bundle = enforcing(bundle, FRAME_PERIOD.as_micros() as u32);
        let frame = own_frame(&bundle);
        let bench = Self { image, provoke, bundle, frame, folder };
        fs::write(bench.kept(), confirmed(&bench.bundle)).expect("a flash");
        bench
    }

    fn kept(&self) -> PathBuf {
        self.folder.path().join("confirmed")
    }

    /// A flash with nothing in it.
    pub fn empty_flash(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A flash with the confirmed bundle.
    pub fn flash(&self, name: &str) -> PathBuf {
        let flash = self.folder.path().join(name);
        fs::copy(self.kept(), &flash).expect("a copy");
        flash
    }

    /// A board whose gate is open.
    pub fn open(&self, image: &Path) -> Rig {
        let flash = self.flash("open");
        let emulator = Emulator::boot(image, &flash, Pace::Instructions);
        let client = Client::open(emulator.port()).expect("a device that answers");
        let symbols = Symbols::read(image);
        let mut rig = Rig { emulator, client, symbols, frame: self.frame.clone(), number: 0 };
        assert!(!rig.emulator.pin(), "the pin is lit before anything was judged");
        rig.reopen();
        rig
    }
}

/// A board and who talks to it.
pub struct Rig {
    /// The board.
    pub emulator: Emulator,
    /// The link.
    pub client: Client,
    /// Addresses in its image.
    pub symbols: Symbols,
    /// A frame that passes.
    pub frame: Vec<u8>,
    number: u32,
}

impl Rig {
    /// Sends frames that pass until the gate opens; memory may have to be found wrong first.
    pub fn reopen(&mut self) {
        let begin = Instant::now();
        while begin.elapsed() < PATIENCE {
            self.pass();
            if self.emulator.pin() {
                return;
            }
        }
        panic!("the gate does not open: {:?}, {:?}", self.client.health(), self.client.log());
    }

    /// Sends the frame once.
    pub fn pass(&mut self) -> Verdict {
        self.number += 1;
        self.client.judge(self.number, &self.frame).verdict
    }

    /// Does something that must close the gate, and sees the pin close within two frame periods of
    /// the board's time. `meanwhile` goes on until then. Gives the time at which it was seen open
    /// last and the time at which it was seen closed.
    pub fn closes(
        &mut self,
        fault: impl FnOnce(&mut Self),
        mut meanwhile: impl FnMut(&mut Self),
    ) -> String {
        let (begin, open) = self.emulator.look();
        assert!(open, "the gate was not open");
        fault(self);
        let mut seen_open = Duration::ZERO;
        loop {
            let (now, open) = self.emulator.look();
            // The counter begins anew with the board.
            let Some(elapsed) = now.checked_sub(begin) else {
                assert!(!open);
                return "closed by its restart".to_owned();
            };
            if !open {
                let [after, before] = [seen_open, elapsed].map(|time| time.as_secs_f64() * 1e3);
                return format!("closed between {after:.1} and {before:.1} ms");
            }
            assert!(elapsed <= CLOSES_WITHIN, "the pin is open after {elapsed:?}");
            seen_open = elapsed;
            meanwhile(self);
        }
    }

    /// Writes a word of a named static.
    pub fn poke(&mut self, name: &[&str], offset: usize, word: u32) {
        let address = self.symbols.only(name) + offset as u32;
        self.emulator.poke(address, &word.to_le_bytes());
    }
}
