//! What must hold at every moment, judged by what the simulation itself knows.

mod damage;
mod frames;
mod keys;
mod told;

use std::cell::RefCell;
use std::rc::Rc;

use gradgate_bundle::digest::sha256;
use gradgate_bundle::header::Policy;
use gradgate_bundle::manifest::PREFIX_BYTES;
use gradgate_device::board::Level;
use gradgate_device::flash::Layout;
use gradgate_device::log::Code;
use gradgate_device::record::{Identity, Slot, SlotState};
use gradgate_device::sim::SimFlash;
use gradgate_device::slots::Slots;
use gradgate_device::watch::Watch;
use gradgate_gate::Verdict;
use gradgate_link::message::Event;

use super::board::{Chip, PinCall, SimBoard};
use super::catalog::{Catalog, Expected, Kind};
use super::gate::GateModel;
use super::ledger::{Deed, Ledger};
use super::{Flaw, Seen};
use damage::{Damage, is_found};
use keys::Keys;

/// Rounds without a feeding.
const STARVED_ROUNDS: u32 = 20;
struct Running {
    item: usize,
    /// Device time in microseconds.
    began_us: u64,
    gate: GateModel,
}

/// What is counted since the device started.
#[derive(Default)]
struct Counts {
    passed: u32,
    blocked: u32,
    unknown: u32,
    missed: u32,
    closed: u32,
    /// In this round a slot was erased at a host's wish, which sets the pin once more.
    erased: bool,
    changes: Vec<(u64, bool)>,
    told_changes: usize,
    events: Vec<Event>,
    told_events: usize,
    told_number: u32,
    /// Changes and events.
    told: u32,
    told_verdicts: u32,
    told_dropped: u32,
    /// Frame, verdict, bits of the score.
    judged: Vec<(u32, Verdict, u32)>,
    /// Frames that were judged by a bundle with a wrong bit.
    doubtful: Vec<u32>,
}

/// Everything known.
pub struct Checker {
    catalog: &'static Catalog,
    layout: Layout,
    flash: Rc<RefCell<SimFlash>>,
    /// Flash may fail without a power cut, so that a start may find no bundle that reads whole.
    pub flash_fails: bool,
    flaw: Flaw,
    ledger: Ledger,
    running: Option<Running>,
    counts: Counts,
    confirmed: Option<Identity>,
    /// A confirmation that was asked for may have been made.
    possible: Vec<Identity>,
    floor: u64,
    starved: u32,
    staged: Option<usize>,
    damage: Option<Damage>,
    /// Until when the verdict of this round lets the pin be OPEN.
    renewed_us: Option<u64>,
    keys: Keys,
    /// What was seen.
    pub seen: Seen,
}

impl Checker {
    /// A new device.
    pub fn new(layout: Layout, flash: Rc<RefCell<SimFlash>>, flaw: Flaw) -> Checker {
        Checker {
            catalog: Catalog::get(),
            layout,
            flash,
            flash_fails: false,
            flaw,
            ledger: Ledger::new(),
            running: None,
            counts: Counts::default(),
            confirmed: None,
            possible: Vec::new(),
            floor: 0,
            starved: 0,
            staged: None,
            damage: None,
            renewed_us: None,
            keys: Keys::default(),
            seen: Seen::default(),
        }
    }

    /// The item whose bytes lie whole in a slot.
    fn lies(&self, slot: Slot) -> Option<usize> {
        let flash = self.flash.borrow();
        let address = self.layout.slot(slot).address;
        let prefix = flash.solid(address, PREFIX_BYTES as u32)?;
        let item = self.catalog.find(&sha256(prefix))?;
        let image = &self.catalog.items[item].image;
        (flash.solid(address, image.len() as u32)? == image.as_slice()).then_some(item)
    }

    /// The device has decided what runs.
    ///
    /// # Errors
    /// A promise that is broken.
    pub fn started(&mut self, slots: &Slots<Chip>) -> Result<(), String> {
        let state = slots.state();
        let confirmed = state.find(SlotState::Confirmed);
        let found = confirmed.map(|slot| state.content(slot).identity);
        let allowed = found == self.confirmed
            || found.is_some_and(|identity| self.possible.contains(&identity));
        if !allowed {
            return Err(format!("the confirmed bundle is lost: {:?}", state));
        }
        self.confirmed = found;
        self.possible.clear();
        let floor = slots.counter_floor();
        let confirmed_counter = found
            .and_then(|identity| self.catalog.find(&identity))
            .map(|item| self.catalog.items[item].counter);
        self.floor = self.floor.max(confirmed_counter.unwrap_or(0));
        if floor < self.floor {
            return Err(format!("the floor fell from {} to {floor}", self.floor));
        }
        match slots.active() {
            Some(active) => {
                self.may_run(active.slot)?;
                let state = state.content(active.slot).state;
                if state != SlotState::Trial && state != SlotState::Confirmed {
                    return Err(format!("a bundle runs that is {state:?}"));
                }
            }
            None if found.is_some() && !self.flash_fails => {
                return Err(format!("the confirmed bundle does not run: {:?}", slots.refusal()));
            }
            None => {}
        }
        self.seen.starts += 1;
        self.guard(slots.active().map(|active| active.slot).or(confirmed));
        Ok(())
    }

    /// Writing into a slot that runs breaks a rule of the flash from now on.
    fn guard(&self, slot: Option<Slot>) {
        self.flash.borrow().guard(slot.map(|slot| self.layout.slot(slot)));
    }

    fn may_run(&self, slot: Slot) -> Result<usize, String> {
        let item = self.lies(slot).ok_or("bytes run that nobody sent as they are")?;
        let Item { kind, counter, .. } = self.item(item);
        if kind != Kind::Good {
            return Err(format!("a bundle runs that is {kind:?}"));
        }
        if counter < self.floor {
            return Err(format!("a bundle of counter {counter} runs below {}", self.floor));
        }
        Ok(item)
    }

    fn item(&self, item: usize) -> Item<'_> {
        let item = &self.catalog.items[item];
        let policy = match self.flaw {
            // Another way to have a device that does not do as its bundle says.
            Flaw::LongLease => Policy { lease_periods: 1, ..item.policy },
            Flaw::OtherMode => Policy { enforce: !item.policy.enforce, ..item.policy },
            _ => item.policy,
        };
        Item { kind: item.kind, counter: item.counter, policy, expected: &item.expected }
    }

    /// Before a start.
    pub fn restart(&mut self) {
        (self.running, self.damage) = (None, None);
        self.keys.restart();
        self.counts = Counts::default();
        self.ledger.restart();
        self.starved = 0;
        self.flash.borrow().guard(None);
    }

    /// The device ended because a command asked it to.
    ///
    /// # Errors
    /// No command did.
    pub fn rebooted(&mut self) -> Result<(), String> {
        self.ledger.spend(Deed::Reboot)
    }

    /// The operator sends a frame.
    pub fn host_sent(&mut self, frame: &[u8]) {
        let deed = self.ledger.host_sent(frame);
        if let Some(Deed::Provision(number)) = deed {
            self.keys.asked = self.keys.asked.max(number);
        }
        if deed == Some(Deed::Confirm)
            && let Some(running) = &self.running
        {
            self.possible.push(self.catalog.items[running.item].identity);
        }
    }

    /// An errand says that an item lies in its slot.
    ///
    /// # Errors
    /// It does not.
    pub fn uploaded(&mut self, item: usize) -> Result<(), String> {
        match self.staged {
            Some(staged) if staged == item => Ok(()),
            staged => Err(format!("{item} was uploaded, {staged:?} was staged")),
        }
    }

    /// All faults are over, and the newest bundle was flashed and confirmed.
    ///
    /// # Errors
    /// It is not there, or did not open the gate.
    pub fn finished(&self) -> Result<(), String> {
        let last = self.catalog.last();
        let running = self.running.as_ref().map(|running| running.item);
        let confirmed = self.confirmed.and_then(|identity| self.catalog.find(&identity));
        if (running, confirmed) != (Some(last), Some(last)) {
            return Err(format!("{running:?} runs, {confirmed:?} is confirmed, not {last}"));
        }
        let opened = self.running.as_ref().is_some_and(|running| running.gate.opened > 0);
        if opened { Ok(()) } else { Err("the gate of a device that is well never opens".into()) }
    }

    /// A round has ended.
    ///
    /// # Errors
    /// A promise that is broken.
    pub fn round(&mut self, board: &mut SimBoard, watch: &Watch<'_>) -> Result<(), String> {
        self.starved = if board.fed > 0 { 0 } else { self.starved + 1 };
        board.fed = 0;
        if self.starved > STARVED_ROUNDS {
            return Err("the watchdog starves".into());
        }
        let pins = std::mem::take(&mut board.pins);
        let polled = std::mem::take(&mut board.camera.polled);
        let open_before = self.open_until();
        let events = self.new_events(watch)?;
        let damaged = is_found(&events);
        if damaged && pins.last().is_none_or(|pin| pin.level != Level::Closed) {
            return Err(format!("damage was found, and the pin is not closed: {pins:?}"));
        }
        // A verdict of that round came before.
        let early = if damaged { self.verdict(board, watch, polled, &events)? } else { None };
        let began_us = self.take(&events)?;
        let verdict = if damaged { early } else { self.verdict(board, watch, polled, &events)? };
        self.gate(&pins, began_us, verdict);
        self.overdue(board.supply.now_us())?;
        self.mode(&pins)?;
        self.compare(&pins, watch)?;
        self.add_up(watch)?;
        let after = [self.renewed_us.take(), self.open_until()];
        for pin in &pins {
            if let Level::Open { until_us } = pin.level {
                let allowed = after.into_iter().flatten().chain(open_before).max();
                // The timer closes the pin in the first microsecond behind the lease.
                if allowed.is_none_or(|allowed| until_us > allowed + 1) {
                    return Err(format!("{pin:?}, allowed until {allowed:?}"));
                }
            }
        }
        self.pin(board)?;
        match self.flash.borrow().violations() {
            0 => Ok(()),
            count => Err(format!("{count} rules of the flash are broken")),
        }
    }

    /// The pin itself, at any time.
    ///
    /// # Errors
    /// It is OPEN and must not be.
    pub fn pin(&mut self, board: &SimBoard) -> Result<(), String> {
        if !board.is_open() {
            return Ok(());
        }
        let now_us = board.supply.now_us();
        let allowed = self.open_until();
        self.seen.open_rounds += 1;
        match allowed {
            Some(until_us) if now_us <= until_us => Ok(()),
            allowed => Err(format!("the pin is OPEN at {now_us} us, allowed until {allowed:?}")),
        }
    }

    /// Until when the pin may be OPEN.
    fn open_until(&self) -> Option<u64> {
        let running = self.running.as_ref()?;
        running.gate.until_us().filter(|_| self.item(running.item).policy.enforce)
    }

    /// The pin shows what the mode of the bundle says.
    fn mode(&mut self, pins: &[PinCall]) -> Result<(), String> {
        let Some(running) = &self.running else { return Ok(()) };
        let enforces = self.item(running.item).policy.enforce;
        self.seen.monitoring += u64::from(!enforces);
        let mut rest = pins.iter().filter(|pin| pin.now_us >= running.began_us);
        let idle = |pin: &PinCall| pin.level == Level::Idle;
        // Closed alone is what comes before an end.
        let wrong = match enforces {
            true => rest.any(idle),
            false => rest.next().is_some_and(|pin| !idle(pin)) && pins.len() > 1,
        };
        if wrong { Err(format!("mode: enforces is {enforces}, {pins:?}")) } else { Ok(()) }
    }

    /// New entries of the log.
    fn new_events(&self, watch: &Watch<'_>) -> Result<Vec<Event>, String> {
        let numbers = self.counts.events.len() as u32..watch.log.next();
        let event = |number| watch.log.get(number).copied().ok_or("too many events in a round");
        Ok(numbers.map(event).collect::<Result<_, _>>()?)
    }

    /// Takes them; the time since when another bundle runs, if so.
    fn take(&mut self, events: &[Event]) -> Result<Option<u64>, String> {
        let mut began_us = None;
        for event in events {
            self.counts.events.push(*event);
            if self.event(event)? {
                began_us = Some(event.time_us);
            }
        }
        Ok(began_us)
    }

    /// Whether another bundle runs, or none.
    fn event(&mut self, event: &Event) -> Result<bool, String> {
        let is = |code: Code| event.code == code as u16;
        let deeds = [
            (Code::Upload, Deed::Upload),
            (Code::Staged, Deed::Finish),
            (Code::Trial, Deed::Activate),
            (Code::Confirmed, Deed::Confirm),
            (Code::Reverted, Deed::Revert),
            (Code::Erased, Deed::Erase),
        ];
        if let Some((_, deed)) = deeds.into_iter().find(|(code, _)| is(*code)) {
            self.ledger.spend(deed)?;
        }
        self.counts.erased |= is(Code::Erased);
        if is(Code::Provisioned) {
            self.ledger.spend_provision()?;
            self.seen.provisioned += 1;
        }
        if is(Code::Damaged) {
            self.found()?;
        }
        if is(Code::Opened) || is(Code::Closed) {
            self.counts.changes.push((event.time_us, is(Code::Opened)));
        }
        if is(Code::Staged) {
            self.staged = Some(self.find_staged()?);
            self.seen.uploads += 1;
        }
        if is(Code::Confirmed) {
            let running = self.running.as_ref().ok_or("confirmed, and nothing runs")?;
            let item = &self.catalog.items[running.item];
            (self.confirmed, self.floor) = (Some(item.identity), self.floor.max(item.counter));
            self.seen.confirmed += 1;
        }
        if is(Code::Runs) || is(Code::FailState) {
            self.close();
            (self.running, self.damage) = (None, None);
            self.guard(None);
        }
        if is(Code::Runs) {
            let slot = if event.value == 0 { Slot::A } else { Slot::B };
            let item = self.may_run(slot)?;
            self.guard(Some(slot));
            let gate = GateModel::new(self.item(item).policy);
            self.running = Some(Running { item, began_us: event.time_us, gate });
        }
        Ok(is(Code::Runs) || is(Code::FailState))
    }

    /// The item announced last must lie in a slot.
    fn find_staged(&self) -> Result<usize, String> {
        let prefix = self.ledger.announced.as_deref().ok_or("staged, and nothing was announced")?;
        let item = self.catalog.find(&sha256(prefix)).ok_or("staged, and not signed")?;
        let lies = Slot::ALL.into_iter().any(|slot| self.lies(slot) == Some(item));
        lies.then_some(item).ok_or_else(|| "staged, and other bytes lie in the slots".into())
    }

    fn close(&mut self) {
        if let Some(running) = &mut self.running {
            let before = running.gate.closed;
            running.gate.close();
            self.counts.closed += running.gate.closed - before;
        }
    }

    /// Lets the model see what the device saw, at the times that the device was told.
    fn gate(&mut self, pins: &[PinCall], began_us: Option<u64>, verdict: Option<Verdict>) {
        let Some(running) = &mut self.running else { return };
        let before = (running.gate.opened, running.gate.closed);
        let enforces = self.catalog.items[running.item].policy.enforce;
        let since_us = began_us.unwrap_or(0);
        let times = pins.iter().map(|pin| pin.now_us).filter(|&now_us| now_us >= since_us);
        let mut calls = times.collect::<Vec<u64>>().into_iter();
        // Calls in their order: after the gate's tick, the erasing of a slot at a host's wish, the
        // verdict, and the erasing of a sector; both close the gate where that takes long.
        if let Some(now_us) = calls.next() {
            running.gate.tick(now_us);
        }
        let asked =
            calls.len() > usize::from(verdict.is_some()) && self.ledger.is_open(Deed::Erase);
        if std::mem::take(&mut self.counts.erased) || asked {
            calls.next();
            running.gate.close();
        }
        if let Some(verdict) = verdict
            && let Some(now_us) = calls.next()
        {
            running.gate.observe(now_us, verdict);
            self.renewed_us = running.gate.until_us().filter(|_| enforces);
        }
        if calls.next().is_some() {
            running.gate.close();
        }
        self.counts.closed += running.gate.closed - before.1;
        self.seen.opened += u64::from(running.gate.opened - before.0);
    }

    fn compare(&self, pins: &[PinCall], watch: &Watch<'_>) -> Result<(), String> {
        let (state, may) = (watch.state(), self.running.as_ref().is_some_and(|r| r.gate.is_open()));
        // Before a restart that was asked for the pin is closed and the gate left as it was.
        let ending = pins.last().is_some_and(|pin| pin.level == Level::Closed);
        if state.is_open() && !may && !ending {
            return Err("the gate is OPEN and must not be".into());
        }
        if !state.is_open() && may {
            let reason = state.reason().map_or("", gradgate_gate::Reason::name);
            return Err(format!("the gate is CLOSED for {reason}, and nothing is wrong"));
        }
        let found = watch.counters();
        let Counts { passed, blocked, unknown, closed, missed, .. } = self.counts;
        let closed = if state.is_open() && ending { found.closed } else { closed };
        let expected = (passed, blocked, unknown, closed, missed);
        let found = (found.passed, found.blocked, found.unknown, found.closed, found.missed);
        if found != expected {
            return Err(format!(
                "passed, blocked, unknown, closed, missed are {found:?}, should be {expected:?}"
            ));
        }
        Ok(())
    }
}

struct Item<'a> {
    kind: Kind,
    counter: u64,
    policy: Policy,
    expected: &'a [Expected],
}
