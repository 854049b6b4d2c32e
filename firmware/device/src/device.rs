//! The event loop: one round takes what the link brought, keeps the gate's deadlines, and does a
//! piece of what takes long. Nothing in it waits.
//!
//! [`Device::run`] runs a bundle until a [`Change`] ends it, makes the change with the memory that
//! is free then, and begins again with what the slots say. The gate starts CLOSED each time.

use gradgate_bundle::manifest::DeviceClass;
use gradgate_bundle::signature::VerifyingKey;
use gradgate_frame::CheckLimits;
use gradgate_gate::Reason;
use gradgate_link::mac::UNPROVISIONED;
use gradgate_link::message::Reply;
use gradgate_link::session::Ticket;
use gradgate_link::{Key, Refusal};

use crate::board::{Board, Description, Level};
use crate::flash::{Flash, Layout};
use crate::judge::{Running, judge_frame, judge_unfit};
use crate::log::Code;
use crate::pipeline::{self, Buffers, FrameShape, Pipeline, Polled};
use crate::rehash::Rehash;
use crate::self_test::EngineTest;
use crate::session::{Change, Context, Judging, LinkCounts, Session, refusal};
use crate::settings::Settings;
use crate::slots::Slots;
use crate::upload::Progress;
use crate::verify::Trust;
use crate::watch::Watch;
use crate::wire::Wire;

/// Memory that a board gives.
pub struct Memory<'m> {
    /// The bundle that runs, copied from its slot; begins at a multiple of 16 bytes.
    pub bundle: &'m mut [u8],
    /// Working memory of a verdict, in `f32`.
    pub arena: &'m mut [f32],
    /// Camera rows and the model's frame: as long as [`crate::pipeline::Sizes`] says.
    pub camera: CameraMemory<'m>,
    /// The frames at which the gate closed: [`crate::history::history_bytes`].
    pub evidence: &'m mut [u8],
}

/// Memory that makes the model's frame of a camera's.
pub struct CameraMemory<'m> {
    /// A row in pieces, in bytes.
    pub line: &'m mut [u8],
    /// A row after conversion, in bytes.
    pub row: &'m mut [u8],
    /// Sums of rows.
    pub sums: &'m mut [u64],
    /// The frame of the model's size.
    pub frame: &'m mut [u8],
}

/// What a board's firmware fixes.
pub struct Setup {
    /// Who the board is.
    pub description: Description,
    /// Where settings, journal and slots lie.
    pub layout: Layout,
    /// Hardware that bundles are planned for.
    pub device_class: DeviceClass,
    /// Smallest security counter, whatever the journal says: from fuses or from the firmware.
    pub counter_floor: u64,
    /// Working memory that there is for a verdict.
    pub arena_bytes_max: u32,
    /// First boot number of a device without settings; random where the chip has a source.
    pub seed: u32,
}

/// Why [`Device::run`] came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The host asked for a restart, and the answer is out.
    Reboot,
    /// The caller's closure said so.
    Stopped,
}

/// A device between power and power cut.
pub struct Device<'m, B, F> {
    /// Apart from the rest, as the bundle that runs borrows it.
    bundle: &'m mut [u8],
    camera: CameraMemory<'m>,
    core: Core<'m, B, F>,
}

struct Core<'m, B, F> {
    board: B,
    description: Description,
    settings: Settings,
    slots: Slots<F>,
    /// `None` without a boot number: sessions could come twice, so the link stays silent.
    wire: Option<Wire>,
    session: Session,
    watch: Watch<'m>,
    rehash: Rehash,
    arena: &'m mut [f32],
}

/// How a bundle stopped running.
enum Stop {
    /// For a change that a host waits for.
    Change(Ticket, Change),
    /// Its bytes in memory are no longer right: load it again.
    Damaged,
    /// The caller wants it.
    Stopped,
}

impl<'m, B: Board, F: Flash> Device<'m, B, F> {
    /// Decides what runs. The pin is closed before anything is read.
    pub fn start(mut board: B, mut flash: F, setup: Setup, memory: Memory<'m>) -> Self {
        board.set_pin(Level::Closed);
        board.feed_watchdog();
        let Memory { bundle, arena, camera, evidence } = memory;
        let Setup { description, layout, .. } = setup;
        let settings = Settings::open(&mut flash, &layout, setup.seed);
        let trust = trust(&setup, &settings);
        let link_key = settings.given().map_or(UNPROVISIONED, |given| given.link_key);
        let wire =
            settings.boot().map(|boot| Wire::new(Key::new(&link_key), boot, description.serial));
        let mut test = EngineTest::new(bundle, arena);
        let slots = Slots::boot(flash, layout, trust, &mut test);
        let mut watch = Watch::new(evidence);
        let now_us = board.now_us();
        watch.event(now_us, Code::Started, description.reset as u32);
        if let Some(refused) = slots.refusal() {
            watch.event(now_us, Code::Refused, refusal(refused.into()) as u32);
        }
        let core = Core {
            board,
            description,
            settings,
            slots,
            wire,
            session: Session::new(),
            watch,
            rehash: Rehash::default(),
            arena,
        };
        Self { bundle, camera, core }
    }

    /// What runs and lies in the slots.
    pub fn slots(&self) -> &Slots<F> {
        &self.core.slots
    }

    /// Gate, counts, log.
    pub fn watch(&self) -> &Watch<'m> {
        &self.core.watch
    }

    /// Gives board and flash back.
    pub fn into_parts(self) -> (B, F) {
        (self.core.board, self.core.slots.into_flash())
    }

    /// Runs until a restart is asked for, or `go_on`, asked after every round, says no.
    pub fn run(&mut self, mut go_on: impl FnMut(&mut B, &Watch<'m>) -> bool) -> End {
        loop {
            match self.core.run_bundle(self.bundle, &mut self.camera, &mut go_on) {
                Stop::Stopped => return End::Stopped,
                Stop::Damaged if !go_on(&mut self.core.board, &self.core.watch) => {
                    return End::Stopped;
                }
                Stop::Damaged => {}
                Stop::Change(_, Change::Reboot) => return self.core.drain(&mut go_on),
                Stop::Change(ticket, change) => self.core.change(self.bundle, &ticket, change),
            }
        }
    }
}

impl<'m, B: Board, F: Flash> Core<'m, B, F> {
    /// Sends what waits before a restart: the answer to who asked for it.
    fn drain(&mut self, go_on: &mut impl FnMut(&mut B, &Watch<'m>) -> bool) -> End {
        let now_us = self.board.now_us();
        self.watch.close(now_us, Reason::Update);
        self.board.set_pin(Level::Closed);
        while let Some(wire) = self.wire.as_mut().filter(|wire| !wire.is_idle()) {
            wire.flush(&mut self.board, || None);
            self.board.feed_watchdog();
            if !go_on(&mut self.board, &self.watch) {
                return End::Stopped;
            }
        }
        End::Reboot
    }

    fn run_bundle(
        &mut self,
        memory: &mut [u8],
        camera: &mut CameraMemory<'_>,
        go_on: &mut impl FnMut(&mut B, &Watch<'m>) -> bool,
    ) -> Stop {
        let slot = self.slots.active().map(|active| active.slot as u32);
        let verified = self.slots.bundle().and_then(|mut bundle| bundle.load(memory).ok());
        let admitted = self.slots.active().map(|active| active.admitted);
        let (description, running) = (self.description, verified.and_then(Running::load));
        // A bundle whose frames this board cannot make is none.
        let (running, mut pipeline) = match running
            .and_then(|running| Some((pipeline(&description, &running, camera)?, running)))
        {
            Some((pipeline, running)) => (Some(running), Some(pipeline)),
            None => (None, None),
        };
        let policy = running.as_ref().map(|running| &running.engine().bundle().header().policy);
        let threshold = running.as_ref().map_or(f32::NAN, Running::threshold);
        self.watch.begin(policy, threshold);
        let now_us = self.board.now_us();
        match (&running, slot) {
            (Some(_), Some(slot)) => self.watch.event(now_us, Code::Runs, slot),
            _ => self.watch.event(now_us, Code::FailState, 0),
        }
        let period_us = self.watch.policy().map_or(0, |policy| policy.frame_period_us);
        self.rehash = Rehash::new(now_us, period_us);
        loop {
            let now_us = self.board.now_us();
            self.watch.tick(now_us);
            self.board.set_pin(self.watch.level());
            self.board.feed_watchdog();
            match self.board.lost() {
                0 => {}
                lost => self.watch.event(now_us, Code::Overflow, lost),
            }
            let mut judging = running.as_ref().zip(pipeline.as_mut());
            if let Some((ticket, change)) = self.receive(&mut judging) {
                return Stop::Change(ticket, change);
            }
            if let Some((running, pipeline)) = judging {
                self.poll(running, pipeline);
            }
            self.prepare();
            if let Some((running, admitted)) = running.as_ref().zip(admitted.as_ref())
                && !self.rehash.step(now_us, admitted, running.bytes())
            {
                self.watch.close(now_us, Reason::Fault);
                self.watch.event(now_us, Code::Damaged, 0);
                self.board.set_pin(Level::Closed);
                return Stop::Damaged;
            }
            if let Some(wire) = &mut self.wire {
                wire.flush(&mut self.board, || self.watch.telemetry());
            }
            if !go_on(&mut self.board, &self.watch) {
                return Stop::Stopped;
            }
        }
    }

    /// Takes at most one command.
    fn receive<'e>(
        &mut self,
        judging: &mut Option<(&Running<'e>, &mut Pipeline<'e>)>,
    ) -> Option<(Ticket, Change)> {
        let wire = self.wire.as_mut()?;
        let counts = wire.counts();
        let bad = counts.long.saturating_add(counts.cut).saturating_add(counts.crc);
        let link = LinkCounts { good: counts.good, bad, refused: wire.refused() };
        let Self { board, description, settings, slots, session, watch, rehash, arena, .. } = self;
        wire.receive(board, |board, answer, request| {
            let rehashes = rehash.found_whole();
            let judging =
                judging.as_mut().map(|(running, pipeline)| Judging { running, pipeline, arena });
            let mut context =
                Context { board, description, settings, slots, watch, judging, link, rehashes };
            session.execute(&mut context, answer, request)
        })
    }

    /// Asks the camera once, and judges the frame that is whole.
    fn poll(&mut self, running: &Running<'_>, pipeline: &mut Pipeline<'_>) {
        let now_us = self.board.now_us();
        if self.session.is_injecting(now_us) {
            return;
        }
        match pipeline.poll(self.board.camera(), now_us) {
            Polled::Nothing => {}
            Polled::Frame(stamp, frame) => {
                let judging = (running, &mut *self.arena);
                judge_frame(&mut self.board, &mut self.watch, judging, stamp.number, frame);
            }
            Polled::Unfit(stamp, unfit) => {
                let number = stamp.map_or(0, |stamp| stamp.number);
                judge_unfit(&mut self.board, &mut self.watch, number, unfit);
            }
        }
    }

    /// Erases one sector for an upload that waits for it.
    fn prepare(&mut self) {
        if !self.session.is_preparing() {
            return;
        }
        let Progress::Erase { .. } = self.slots.progress() else { return };
        let now_us = self.board.now_us();
        let period = self.watch.policy().map_or(0, |policy| policy.frame_period_us);
        if self.description.erase_us_max >= period {
            self.watch.close(now_us, Reason::Update);
            self.board.set_pin(self.watch.level());
        }
        if self.slots.prepare().is_err() {
            self.watch.event(now_us, Code::Storage, 0);
            self.session.forget();
        }
    }

    /// Makes a change that wants the bundle's memory, and answers who asked for it.
    fn change(&mut self, memory: &mut [u8], ticket: &Ticket, change: Change) {
        self.board.set_pin(Level::Closed);
        self.board.feed_watchdog();
        let mut test = EngineTest::new(memory, self.arena);
        let slots = &mut self.slots;
        let (code, result) = match change {
            Change::Verify(slot) => (None, slots.verify(slot, &mut test).map(drop)),
            Change::Activate => {
                let activated = slots.activate(&mut test);
                (Some(Code::Trial), activated.map(drop))
            }
            Change::Revert => (Some(Code::Reverted), slots.revert(&mut test)),
            Change::Reboot => return,
        };
        let now_us = self.board.now_us();
        let reply = match result {
            Ok(()) => {
                // Without a confirmed bundle it goes back to nothing: the fail state is told.
                if let Some((code, active)) = code.zip(self.slots.active()) {
                    self.watch.event(now_us, code, active.slot as u32);
                }
                Reply::Done
            }
            Err(error) => {
                let refused: Refusal = refusal(error);
                self.watch.event(now_us, Code::Refused, refused as u32);
                Reply::Refused(refused)
            }
        };
        if let Some(wire) = &mut self.wire {
            wire.answer(ticket, &reply);
        }
    }
}

/// Whose bundles the device takes; before it was told, nobody's: verification refuses the key of
/// low order.
fn trust(setup: &Setup, settings: &Settings) -> Trust {
    let signer = settings.given().map(|given| VerifyingKey::from_bytes(&given.signer));
    Trust {
        key: signer.and_then(Result::ok).unwrap_or_default(),
        device_class: setup.device_class,
        counter_floor: setup.counter_floor,
        arena_bytes_max: setup.arena_bytes_max,
    }
}

/// What makes the bundle's frames of this board's; `None` where that cannot be.
fn pipeline<'m>(
    description: &Description,
    running: &Running<'_>,
    memory: &'m mut CameraMemory<'_>,
) -> Option<Pipeline<'m>> {
    let bundle = running.engine().bundle();
    let [height, width, channels] = bundle.manifest().input.map(|side| side.get());
    let settings = pipeline::Settings {
        camera: description.camera,
        model: FrameShape { height, width, channels: channels as usize },
        policy: bundle.header().policy,
        age_periods: description.age_periods,
        checks: CheckLimits::default(),
    };
    let CameraMemory { line, row, sums, frame } = memory;
    Pipeline::new(&settings, Buffers { line, row, sums, frame }).ok()
}
