//! A person at the other end: random but sensible sequences of what people do to boards.

use std::cell::Cell;
use std::collections::VecDeque;

use gradgate_device::sim::{Torn, sim_key};
use gradgate_field::Keyring;
use gradgate_field::flash::{Confirm, Flash, Options};
use gradgate_field::job::{Step, step};
use gradgate_field::keys::LinkKey;
use gradgate_field::link::{Link, Patience};
use gradgate_link::Request;
use gradgate_link::channel::Random;
use gradgate_link::message::{Slot, SlotState};

use super::catalog::{Catalog, FRAME_BYTES, Kind};
use super::errand::{End, Errand, Frames, Once, Upload, slot_in};

/// The key of the link of that number: 0 is the one that the device has at first.
pub fn link_key(number: u8) -> [u8; 32] {
    let mut key = [0x5A; 32];
    key[31] = number;
    key
}

/// The number of a key of the link.
pub fn key_number(key: &[u8; 32]) -> Option<u8> {
    Some(key[31]).filter(|&number| *key == link_key(number))
}

/// What the device is called.
const NAME: &str = "simulated";

/// Whether it is keys that a device must take.
pub fn is_provision(request: &Request<'_>) -> bool {
    let signer = sim_key().verifying_key().to_bytes();
    matches!(request, Request::Provision { name: NAME, public_key, link_key }
        if *public_key == signer && key_number(link_key).is_some())
}

/// Nothing takes longer, in milliseconds: an upload with every packet at its last try.
const ERRAND_MS_MAX: u64 = 120_000;

/// What happens to the world besides the link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// Power fails now.
    PowerCut,
    /// Power fails at that operation of flash from now on, which ends so.
    CutAt(u64, Torn),
    /// The cable is out for so many milliseconds.
    Pull(u64),
    /// So many bytes of noise.
    Garbage(u64),
    /// So many frames that were sent before.
    Replay(u64),
    /// So many commands under another key.
    WrongKey(u64),
}

/// What the operator wants next.
#[derive(Clone, Copy, Debug)]
enum Wish {
    Flash { item: usize, confirm: Option<u32>, stage_only: bool },
    Upload(usize),
    Slots,
    Verify,
    Activate,
    Ask(Request<'static>),
    BadPiece,
    Provision,
    BadKeys,
    Frames(u32),
    Pause(u64),
    Act(Act),
}

/// How errands ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ends {
    /// By [`End`].
    pub done: u64,
    pub refused: u64,
    pub given_up: u64,
    pub fell_back: u64,
}

/// The person with a link.
pub struct Operator {
    link: Link,
    random: Random,
    nonces: Random,
    plan: VecDeque<Wish>,
    errand: Option<(Wish, Errand)>,
    since_ms: u64,
    /// Keys that the device may have, the one in use first.
    keys: VecDeque<u8>,
    /// Keys given so far.
    given: u8,
    /// Tries under other keys in a row.
    tries: usize,
    slots: Option<(Option<u8>, [Slot; 2])>,
    serial: u32,
    /// What the simulation shall do.
    pub acts: Vec<Act>,
    /// Ends of errands so far.
    pub ends: Ends,
    /// What ended since the simulation looked.
    pub ended: Vec<(String, End, Option<usize>)>,
    /// Whether only the plan is followed.
    scripted: bool,
}

fn link() -> Link {
    let keyring = Keyring::link(LinkKey::new(link_key(0)));
    let patience =
        Patience { timeout_ms: 60, tries: 4, silence_ms: 1500, work_ms: 4000, busy_ms: 8000 };
    Link::new(keyring, patience)
}

impl Operator {
    /// Knows nothing of the device yet.
    pub fn new(seed: u64) -> Operator {
        Operator {
            link: link(),
            random: Random::new(seed),
            nonces: Random::new(seed ^ 0xA5A5),
            plan: VecDeque::new(),
            errand: None,
            since_ms: 0,
            keys: [0].into(),
            given: 0,
            tries: 0,
            slots: None,
            serial: 1,
            acts: Vec::new(),
            ends: Ends::default(),
            ended: Vec::new(),
            scripted: false,
        }
    }

    /// Drops everything and does what must succeed on a device that is well: the newest bundle,
    /// confirmed after frames that pass.
    pub fn finish(&mut self) {
        if let Some((Wish::Provision, _)) = self.errand.take() {
            self.keys.push_back(self.given);
        }
        self.scripted = true;
        self.link.leave(None);
        let item = Catalog::get().last();
        self.plan = [
            Wish::Slots,
            Wish::Ask(Request::SetStream { every: 1 }),
            // A bundle on trial stands in the way; without one this is refused.
            Wish::Ask(Request::Revert),
            Wish::Ask(Request::EraseInactive),
            Wish::Flash { item, confirm: Some(6), stage_only: false },
            Wish::Slots,
            Wish::Frames(12),
            Wish::Ask(Request::ReadCounters),
        ]
        .into();
    }

    /// Whether nothing is left of the plan.
    pub fn is_finished(&self) -> bool {
        self.plan.is_empty() && self.errand.is_none()
    }

    /// Takes bytes that arrived.
    pub fn receive(&mut self, bytes: &[u8], now_ms: u64) {
        self.link.receive(bytes, now_ms);
        while self.link.take_telemetry().is_some() {}
    }

    /// Does what is to be done now: frames to send, and the time until which nothing is.
    ///
    /// # Errors
    /// An errand that does not end.
    pub fn poll(&mut self, now_ms: u64, send: &mut dyn FnMut(&[u8])) -> Result<u64, String> {
        for _ in 0..1000 {
            let Some((wish, errand)) = &mut self.errand else {
                if self.scripted && self.plan.is_empty() {
                    return Ok(u64::MAX);
                }
                self.begin(now_ms);
                if !self.acts.is_empty() {
                    return Ok(now_ms);
                }
                continue;
            };
            if now_ms.saturating_sub(self.since_ms) > ERRAND_MS_MAX {
                return Err(format!("{wish:?} does not end"));
            }
            let nonces = &mut self.nonces;
            let step = step(&mut self.link, errand, now_ms, &mut || nonces.bits());
            match step {
                Ok(Step::Send) => send(self.link.frame()),
                Ok(Step::Wait(until_ms)) => return Ok(until_ms),
                Ok(Step::Done) => self.end(End::Done),
                Err(error) => self.end(End::from(&error)),
            }
        }
        Err("the operator does not come to rest".into())
    }

    fn end(&mut self, end: End) {
        let Some((wish, errand)) = self.errand.take() else { return };
        if self.other_key(wish, end) {
            return;
        }
        let mut item = None;
        match &errand {
            Errand::Upload(upload) => item = Some(upload.item),
            Errand::Once(once) if once.slots.is_some() => self.slots = once.slots,
            Errand::Flash(flash, frames, _) => {
                self.serial = frames.serial();
                if let Some(slots) = flash.slots() {
                    self.slots = Some((slots.active, slots.slots));
                }
            }
            Errand::Frames(frames) => self.serial = frames.serial(),
            _ => {}
        }
        let count = match end {
            End::Done => &mut self.ends.done,
            End::Refused => &mut self.ends.refused,
            End::GivenUp => &mut self.ends.given_up,
            End::FellBack => &mut self.ends.fell_back,
        };
        *count += 1;
        self.ended.push((format!("{wish:?}"), end, item));
    }

    /// Keys after an errand; whether it is tried again under another one.
    fn other_key(&mut self, wish: Wish, end: End) -> bool {
        if matches!(wish, Wish::Provision) && end != End::Refused {
            self.keys.push_back(self.given);
        }
        let restarts = matches!(wish, Wish::Ask(Request::Reboot)) && end == End::Done;
        if self.keys.len() == 1 || !(end == End::GivenUp || restarts) {
            self.tries = 0;
            // Whoever answers under a key goes behind it no more.
            if end == End::Done && !matches!(wish, Wish::Pause(_)) {
                let used = self.keys[0];
                self.keys.retain(|&key| key >= used);
            }
            return false;
        }
        self.keys.rotate_left(1);
        self.link.leave(Some(Keyring::link(LinkKey::new(link_key(self.keys[0])))));
        self.tries += 1;
        let again = self.scripted && !restarts && self.tries <= 2 * self.keys.len();
        if again {
            self.plan.push_front(wish);
        }
        again
    }

    fn begin(&mut self, now_ms: u64) {
        let wish = match self.plan.pop_front() {
            Some(wish) => wish,
            None => {
                self.wish();
                return;
            }
        };
        let errand = match wish {
            Wish::Flash { item, confirm, stage_only } => self.flash(item, confirm, stage_only),
            Wish::Upload(item) => {
                let chunk_bytes = [64, 200, 512, 1024, 2048][self.random.below(5) as usize];
                Errand::Upload(Upload::new(item, chunk_bytes))
            }
            Wish::Slots => Errand::Once(Once::new(Request::ListSlots)),
            Wish::Verify | Wish::Activate => {
                let staged = slot_in(&self.slots, SlotState::Staged);
                let slot = staged.unwrap_or(self.random.below(3) as u8);
                Errand::Once(Once::new(match wish {
                    Wish::Verify => Request::Verify { slot },
                    _ => Request::Activate { slot },
                }))
            }
            Wish::Ask(request) => Errand::Once(Once::new(request)),
            Wish::BadPiece => Errand::Once(Once::new(self.bad_piece())),
            Wish::Provision => {
                self.given += 1;
                Errand::Once(Once::new(provision(NAME, true, link_key(self.given))))
            }
            Wish::BadKeys => {
                let key = link_key(200);
                Errand::Once(Once::new(match self.random.below(3) {
                    0 => provision("", true, key),
                    1 => provision(NAME, false, key),
                    _ => provision(NAME, true, [0; 32]),
                }))
            }
            Wish::Frames(count) => Errand::Frames(self.frames(count)),
            Wish::Pause(ms) => Errand::Pause(now_ms + ms),
            Wish::Act(act) => {
                self.acts.push(act);
                return;
            }
        };
        self.since_ms = now_ms;
        self.errand = Some((wish, errand));
    }

    fn flash(&mut self, item: usize, confirm: Option<u32>, stage_only: bool) -> Errand {
        let Some(package) = &Catalog::get().items[item].package else {
            return Errand::Upload(Upload::new(item, 512));
        };
        let confirm = confirm.map(|after_frames| Confirm { after_frames, within_ms: 1500 });
        let retry_rejected = self.random.below(2) == 0 || self.scripted;
        let options =
            Options { stage_only, confirm, retry_rejected, chunk_bytes: 512, ..Options::default() };
        let seed = self.random.bits();
        let good = Some(item).filter(|&item| Catalog::get().items[item].kind == Kind::Good);
        let frames = Frames::new(seed, 400, self.serial, good, self.scripted);
        let flash = Flash::new(package, options).expect("an image");
        Errand::Flash(Box::new(flash), frames, Cell::new(false))
    }

    fn frames(&mut self, count: u32) -> Frames {
        let catalog = Catalog::get();
        let running = self.slots.as_ref().and_then(|(active, slots)| {
            let slot = slots.get(usize::from((*active)?))?;
            catalog.find(&slot.identity).filter(|&item| catalog.items[item].kind == Kind::Good)
        });
        Frames::new(self.random.bits(), count, self.serial, running, self.scripted)
    }

    fn bad_piece(&mut self) -> Request<'static> {
        let bytes = &Catalog::get().frames[0];
        let random = &mut self.random;
        let total = FRAME_BYTES as u32;
        let (offset, total_bytes) =
            [(0, total - 1), (0, u32::MAX), (5, total), (0, total)][random.below(4) as usize];
        let length = 1 + random.below(FRAME_BYTES as u64 - 1) as usize;
        Request::SendFrame { frame: 0, offset, total_bytes, bytes: &bytes[..length] }
    }

    /// Draws what comes next.
    fn wish(&mut self) {
        let catalog = Catalog::get();
        let random = &mut self.random;
        let item = random.below(catalog.items.len() as u64) as usize;
        let frames = Wish::Frames(1 + random.below(20) as u32);
        let ms = 1 + random.below(400);
        let few = 1 + random.below(30);
        let after_frames = [0, 3, 3, 1000][random.below(4) as usize];
        let torn = Torn::ALL[random.below(7) as usize];
        // Not more than a person can keep apart.
        let give = if self.keys.len() < 3 && self.given < 100 { Wish::Provision } else { frames };
        let wishes: &[Wish] = match random.below(26) {
            0..=3 => &[
                Wish::Upload(item),
                Wish::Slots,
                Wish::Verify,
                Wish::Activate,
                Wish::Slots,
                frames,
                Wish::Ask(Request::Confirm),
                frames,
            ],
            4 | 5 => &[
                Wish::Flash { item, confirm: Some(after_frames), stage_only: false },
                Wish::Slots,
                frames,
            ],
            6 => &[Wish::Flash { item, confirm: None, stage_only: random.below(2) == 0 }],
            7 => &[Wish::Upload(item), Wish::Slots, Wish::Activate, Wish::Ask(Request::Revert)],
            8 => &[Wish::Ask(Request::SetStream { every: random.below(4) as u16 }), frames],
            9 | 10 => &[Wish::Slots, frames, Wish::Pause(ms), frames],
            // Nobody sends frames in the camera's place.
            11 => &[Wish::Pause(900 + 3 * ms)],
            12 => &[
                Wish::Ask(Request::ReadCounters),
                Wish::Ask(Request::ReadLog { from: random.below(40) as u32 }),
                Wish::Ask(Request::Identify),
                Wish::Ask(Request::ReadStatus),
            ],
            13 => &[
                Wish::Ask(Request::ReadEvidence { event: random.below(6) as u32, offset: 0 }),
                Wish::Ask(Request::ReadFeatures { from: random.below(9) as u16 }),
                Wish::Ask(Request::ReadHistogram),
                Wish::Ask(Request::SetHistogram { low: -1.0, high: 9.0 }),
            ],
            14 => &[Wish::Ask(Request::EraseInactive)],
            15 => &[Wish::Ask(Request::Reboot), Wish::Pause(ms)],
            16 => &[Wish::Act(Act::PowerCut)],
            17 | 18 => &[Wish::Act(Act::CutAt(random.below(150), torn))],
            19 => &[Wish::Act(Act::Pull(10 * ms))],
            20 => &[Wish::Act(Act::Garbage(few * 60)), frames],
            21 => &[Wish::Act(Act::Replay(few * 3)), frames],
            22 => &[Wish::Act(Act::WrongKey(few)), Wish::BadPiece],
            23 => &[give, frames, Wish::Ask(Request::Reboot), Wish::Pause(ms), frames],
            24 => &[Wish::BadKeys, give],
            _ => &[Wish::Ask(Request::Revert), Wish::Ask(Request::Confirm), Wish::Pause(ms)],
        };
        self.plan.extend(wishes);
    }
}

/// Keys under a name; the signer's is none where it is not right.
fn provision(name: &'static str, right: bool, link_key: [u8; 32]) -> Request<'static> {
    let signer = sim_key().verifying_key().to_bytes();
    Request::Provision { name, public_key: if right { signer } else { [0; 32] }, link_key }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn on_a_dead_wire_every_errand_is_given_up() {
        let mut operator = Operator::new(1);
        let (mut now_ms, mut sent) = (0, 0);
        while operator.ends.given_up < 10 {
            let wait = operator.poll(now_ms, &mut |_| sent += 1).expect("it ends");
            operator.acts.clear();
            now_ms = wait.max(now_ms + 1);
            assert!(now_ms < 100_000, "{:?}", operator.ends);
        }
        assert!(sent > 10);
    }

    #[test]
    fn an_errand_that_does_not_end_is_seen() {
        let mut operator = Operator::new(1);
        operator.plan.push_back(Wish::Pause(10 * ERRAND_MS_MAX));
        assert!(operator.poll(0, &mut |_| {}).is_ok());
        assert!(operator.poll(ERRAND_MS_MAX, &mut |_| {}).is_ok());
        assert!(operator.poll(ERRAND_MS_MAX + 1, &mut |_| {}).is_err());
    }
}
