//! A board in memory and a host on the other end of its port, for tests of the whole device.
#![allow(dead_code, unused_imports)]

pub mod enforcing;

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};

use gradgate_bundle::align::Aligned;
use gradgate_bundle::write::sign;
use gradgate_device::board::{Board, Level};
use gradgate_device::camera::NoCamera;
use gradgate_device::device::{CameraMemory, Device, Memory, Setup};
use gradgate_device::flash::{Flash, FlashError};
use gradgate_device::sim::{SimFlash, sim_key};
use gradgate_link::frame::{FRAME_BYTES_MAX, encode};
use gradgate_link::message::Reply;
use gradgate_link::packet::{Header, Kind, write};
use gradgate_link::session::{Heard, Timing};
use gradgate_link::{Decoder, Key, Request, Requester, Telemetry};

pub use gradgate_device::sim::{
    SERVED_CAMERA as CAMERA, SERVED_LINK_KEY as LINK_KEY, served_flash as provisioned,
    served_layout as layout, served_setup as setup,
};

/// Time that a round of the event loop takes.
pub const ROUND_US: u64 = 200;

/// What both ends of the port and the pin see.
#[derive(Default)]
pub struct World {
    pub now_us: u64,
    pub to_device: VecDeque<u8>,
    pub from_device: Vec<u8>,
    pub pin: Option<Level>,
    pub fed: u64,
    /// The port takes a few bytes at a time.
    pub is_slow: bool,
    /// After every round: pin, feedings of the watchdog so far.
    pub rounds: Vec<(Option<Level>, u64)>,
    /// Feedings when bytes of the link were taken last.
    fed_at_read: u64,
    /// Flash was read while the pin was not closed, or with no feeding since bytes were taken.
    pub touched_open: bool,
    pub touched_unfed: bool,
}

/// The board.
#[derive(Clone, Default)]
pub struct Shared(Arc<Mutex<World>>, NoCamera);

impl Shared {
    pub fn world(&self) -> MutexGuard<'_, World> {
        self.0.lock().expect("nobody panicked with it")
    }
}

impl Board for Shared {
    type Camera = NoCamera;

    fn camera(&mut self) -> &mut NoCamera {
        &mut self.1
    }
    fn now_us(&mut self) -> u64 {
        self.world().now_us
    }
    fn read(&mut self, bytes: &mut [u8]) -> usize {
        let mut world = self.world();
        let count = bytes.len().min(world.to_device.len());
        if count > 0 {
            world.fed_at_read = world.fed;
        }
        bytes.iter_mut().zip(world.to_device.drain(..count)).for_each(|(to, from)| *to = from);
        count
    }
    fn write(&mut self, bytes: &[u8]) -> usize {
        // A port that takes a little at a time.
        let mut world = self.world();
        let count = bytes.len().min(if world.is_slow { 10 } else { 100 });
        world.from_device.extend(&bytes[..count]);
        count
    }
    fn set_pin(&mut self, level: Level) {
        self.world().pin = Some(level);
    }
    fn feed_watchdog(&mut self) {
        self.world().fed += 1;
    }
}

/// Flash that looks at pin and watchdog when it is read.
pub struct Watched(pub SimFlash, pub Shared);

impl Flash for Watched {
    fn read(&mut self, address: u32, bytes: &mut [u8]) -> Result<(), FlashError> {
        let mut world = self.1.world();
        world.touched_open |= world.pin != Some(Level::Closed);
        world.touched_unfed |= world.fed == world.fed_at_read;
        drop(world);
        self.0.read(address, bytes)
    }

    fn program(&mut self, address: u32, bytes: &[u8]) -> Result<(), FlashError> {
        self.0.program(address, bytes)
    }

    fn erase(&mut self, address: u32, length: u32) -> Result<(), FlashError> {
        self.0.erase(address, length)
    }
}

/// The shipped bundle, signed with the simulation's key.
pub fn shipped() -> Vec<u8> {
    let mut bundle = include_bytes!("../../../../models/bundles/signs.gate").to_vec();
    sign(&mut bundle, &sim_key()).expect("a bundle");
    bundle
}

/// A device that runs in a thread of its own, one round at a time: whoever holds it says when.
pub struct Bench {
    pub shared: Shared,
    go: Sender<bool>,
    rounds: Receiver<()>,
    thread: JoinHandle<SimFlash>,
    requester: Requester,
    decoder: Decoder,
    pub telemetry: Vec<Telemetry>,
}

fn run(
    shared: Shared,
    flash: SimFlash,
    setup: Setup,
    rounds: &Sender<()>,
    go: &Receiver<bool>,
) -> SimFlash {
    let mut bundle = Box::new(Aligned([0; 512 * 1024]));
    let (mut arena, mut frame) = (vec![0.0; 128 * 1024], vec![0; 4096]);
    let (mut line, mut row, mut sums) = ([0; 512], [0; 512], [0; 512]);
    let mut evidence = vec![0; 64 * 1024];
    let memory = Memory {
        bundle: &mut bundle.0,
        arena: &mut arena,
        camera: CameraMemory { line: &mut line, row: &mut row, sums: &mut sums, frame: &mut frame },
        evidence: &mut evidence,
    };
    let flash = Watched(flash, shared.clone());
    let mut device = Device::start(shared, flash, setup, memory);
    device.run(|board, _| {
        let mut world = board.world();
        world.now_us += ROUND_US;
        let seen = (world.pin, world.fed);
        world.rounds.push(seen);
        drop(world);
        rounds.send(()).is_ok() && go.recv() == Ok(true)
    });
    device.into_parts().1.0
}

impl Bench {
    /// Power on, and the host says hello.
    pub fn start(flash: SimFlash, link_key: [u8; 32]) -> Self {
        Self::start_as(flash, link_key, setup())
    }

    /// The same with another board.
    pub fn start_as(flash: SimFlash, link_key: [u8; 32], setup: Setup) -> Self {
        let shared = Shared::default();
        let (go, may_go) = channel();
        let (done, rounds) = channel();
        let board = shared.clone();
        let thread = thread::spawn(move || run(board, flash, setup, &done, &may_go));
        rounds.recv().expect("the first round");
        let requester = Requester::new(Key::new(&link_key), Timing { timeout_ms: 1000, tries: 3 });
        let (decoder, telemetry) = (Decoder::new(), Vec::new());
        let mut bench = Self { shared, go, rounds, thread, requester, decoder, telemetry };
        bench.hello();
        bench
    }

    /// Power off.
    pub fn stop(self) -> SimFlash {
        self.go.send(false).expect("the device runs");
        self.thread.join().expect("the device does not panic")
    }

    /// Goes on until the device ends by itself.
    pub fn end(self) -> SimFlash {
        while self.go.send(true).is_ok() && self.rounds.recv().is_ok() {}
        self.thread.join().expect("the device does not panic")
    }

    /// A command of this session under another key.
    pub fn say_under(&mut self, key: [u8; 32], request: &Request<'_>) {
        let mut packet = [0; 200];
        // The first start gave the device its keys.
        let header = Header { kind: Kind::Command, session: 2 << 32 | 1, sequence: 9 };
        let length = write(header, request, &Key::new(&key), &mut packet).expect("short");
        self.send(&packet[..length]);
    }

    /// Sends a request and waits for nothing.
    pub fn say(&mut self, request: &Request<'_>) {
        let now_ms = self.now_ms();
        let packet = self.requester.request(request, now_ms).expect("one at a time").to_vec();
        self.send(&packet);
    }

    /// One round of the event loop.
    pub fn round(&mut self) {
        self.go.send(true).expect("the device runs");
        self.rounds.recv().expect("the device does not panic");
    }

    fn send(&mut self, packet: &[u8]) {
        let mut out = [0; FRAME_BYTES_MAX];
        let length = encode(packet, &mut out).expect("packets of tests fit");
        self.shared.world().to_device.extend(&out[..length]);
    }

    fn now_ms(&self) -> u64 {
        self.shared.world().now_us / 1000
    }

    /// Runs the device until `each` gives something for what is heard.
    fn until<T>(&mut self, each: impl Fn(&Heard<'_>) -> Option<T>) -> T {
        for _ in 0..20_000 {
            self.round();
            let arrived = std::mem::take(&mut self.shared.world().from_device);
            let now_ms = self.now_ms();
            let (mut bytes, mut found) = (&arrived[..], None);
            while let Some(packet) = self.decoder.feed(&mut bytes) {
                let heard = self.requester.receive(packet, now_ms);
                if let Heard::Telemetry { telemetry, .. } = &heard {
                    self.telemetry.push(*telemetry);
                }
                found = found.or_else(|| each(&heard));
            }
            if let Some(found) = found {
                return found;
            }
        }
        panic!("the device answers nothing");
    }

    /// Asks for another session; the next command opens it.
    pub fn hello(&mut self) {
        let now_ms = self.now_ms();
        let packet = self.requester.hello(now_ms + 1, now_ms).to_vec();
        self.send(&packet);
        self.until(|heard| matches!(heard, Heard::Open(_)).then_some(()));
    }

    /// What `each` makes of the answer.
    pub fn ask<T>(&mut self, request: &Request<'_>, each: impl Fn(&Reply<'_>) -> T) -> T {
        self.say(request);
        self.until(|heard| match heard {
            Heard::Reply(reply) => Some(each(reply)),
            _ => None,
        })
    }
}
