//! A whole device behind a TCP port of the loopback interface, as an emulator's UART is: for tests
//! of what talks to devices.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use core::time::Duration;
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread::{JoinHandle, sleep, spawn};
use std::time::Instant;

use gradgate_bundle::align::Aligned;
use gradgate_bundle::manifest::DeviceClass;
use gradgate_bundle::signature::VerifyingKey;
use gradgate_frame::PixelFormat;

use super::{SimFlash, sim_key};
use crate::board::{Board, Description, Level};
use crate::camera::{Geometry, NoCamera};
use crate::device::{CameraMemory, Device, End, Memory, Setup};
use crate::flash::{Layout, Region};
use crate::log::Reset;
use crate::settings::{Given, Name, Settings};

/// What a host may send in the place of its camera.
pub const SERVED_CAMERA: Geometry = Geometry { format: PixelFormat::Yuyv, width: 80, height: 60 };
/// Secret of its link.
pub const SERVED_LINK_KEY: [u8; 32] = [0x5A; 32];
/// Nothing came: so long until the next round.
const IDLE: Duration = Duration::from_micros(100);

/// A device that runs until it is dropped. It begins with empty slots, called `served`, trusts
/// [`sim_key`] and has [`SERVED_LINK_KEY`].
pub struct Served {
    /// Where it answers, as `tcp://HOST:PORT`.
    pub address: String,
    asked: Arc<Asked>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Asked {
    stop: AtomicBool,
    cut: AtomicBool,
    boots: AtomicU32,
    pin: Pin,
}

#[derive(Default)]
struct Pin {
    open: AtomicBool,
    closed_us: AtomicU64,
}

struct Port {
    asked: Arc<Asked>,
    listener: TcpListener,
    stream: Option<TcpStream>,
    start: Instant,
    camera: NoCamera,
    quiet: bool,
}

impl Default for Served {
    fn default() -> Self {
        Self::start()
    }
}

impl Served {
    /// Power on.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.set_nonblocking(true).expect("set");
        let address = format!("tcp://{}", listener.local_addr().expect("bound"));
        let asked = Arc::new(Asked::default());
        let shared = Arc::clone(&asked);
        let thread = spawn(move || live(listener, shared));
        Self { address, asked, thread: Some(thread) }
    }

    /// Takes the power away and gives it back, and waits until the device has started anew.
    pub fn power_cycle(&self) {
        let boots = self.boots();
        self.asked.cut.store(true, Ordering::Relaxed);
        while self.boots() == boots {
            sleep(IDLE);
        }
    }

    /// Whether its pin says that the gate is open.
    pub fn pin_is_open(&self) -> bool {
        self.asked.pin.open.load(Ordering::Relaxed)
    }

    /// When the pin went from open to closed last, by the device's clock; 0: it never did.
    pub fn pin_closed_us(&self) -> u64 {
        self.asked.pin.closed_us.load(Ordering::Relaxed)
    }

    /// Starts so far.
    pub fn boots(&self) -> u32 {
        self.asked.boots.load(Ordering::Relaxed)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.asked.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A panic of the device is told by its own thread.
            let _ = thread.join();
        }
    }
}

fn live(listener: TcpListener, asked: Arc<Asked>) {
    let mut bundle = Box::new(Aligned([0; 512 * 1024]));
    let (mut arena, mut frame) = (vec![0.0; 128 * 1024], vec![0; 48 * 1024]);
    let (mut line, mut row, mut sums) = ([0; 512], [0; 512], [0; 512]);
    let mut evidence = vec![0; 128 * 1024];
    let (mut flash, mut setup) = (served_flash(), served_setup());
    let start = Instant::now();
    let own = Arc::clone(&asked);
    let mut port =
        Port { asked: own, listener, stream: None, start, camera: NoCamera, quiet: false };
    while !asked.stop.load(Ordering::Relaxed) {
        let boots = asked.boots.load(Ordering::Relaxed) + 1;
        port.start = Instant::now();
        let memory = Memory {
            bundle: &mut bundle.0,
            arena: &mut arena,
            camera: CameraMemory {
                line: &mut line,
                row: &mut row,
                sums: &mut sums,
                frame: &mut frame,
            },
            evidence: &mut evidence,
        };
        let mut device = Device::start(port, flash, setup, memory);
        asked.boots.store(boots, Ordering::Relaxed);
        let end = device.run(|port, _| {
            if port.quiet {
                sleep(IDLE);
            }
            !asked.stop.load(Ordering::Relaxed) && !asked.cut.load(Ordering::Relaxed)
        });
        setup = served_setup();
        setup.description.reset = match end {
            End::Reboot => Reset::Request,
            End::Stopped => Reset::Power,
        };
        asked.cut.store(false, Ordering::Relaxed);
        (port, flash) = device.into_parts();
    }
}

/// Journal and settings of 2 x 4 KiB, slots of 2 x 512 KiB.
pub fn served_layout() -> Layout {
    let region = |address, sectors| Region { address, sector_bytes: 4096, sectors };
    let slots = [region(8192, 128), region(8192 + 128 * 4096, 128)];
    let layout = Layout::new(32, 0xFF, [region(0, 1), region(4096, 1)], slots);
    let settings = [258, 259].map(|sector| region(sector * 4096, 1));
    layout.and_then(|layout| layout.with_settings(settings)).expect("a layout")
}

/// Flash of a device that was given its name and keys.
pub fn served_flash() -> SimFlash {
    let mut flash = SimFlash::new(&served_layout(), 1);
    let mut settings = Settings::open(&mut flash, &served_layout(), 1);
    let name = Name::new("served").expect("short");
    let signer = VerifyingKey::from(&sim_key()).to_bytes();
    let given = Given { name, signer, link_key: SERVED_LINK_KEY };
    settings.provision(&mut flash, given).expect("flash without faults");
    flash
}

/// What its firmware fixes.
pub fn served_setup() -> Setup {
    Setup {
        description: Description {
            board: "served",
            firmware: env!("CARGO_PKG_VERSION"),
            serial: *b"served device   ",
            reset: Reset::Power,
            erase_us_max: 1000,
            camera: SERVED_CAMERA,
            age_periods: 2,
        },
        layout: served_layout(),
        device_class: DeviceClass::CortexM7,
        counter_floor: 0,
        arena_bytes_max: 512 * 1024,
        seed: 1,
    }
}

impl Board for Port {
    type Camera = NoCamera;

    fn camera(&mut self) -> &mut NoCamera {
        &mut self.camera
    }

    fn now_us(&mut self) -> u64 {
        self.start.elapsed().as_micros() as u64
    }

    fn read(&mut self, bytes: &mut [u8]) -> usize {
        if self.stream.is_none()
            && let Ok((stream, _)) = self.listener.accept()
        {
            stream.set_nonblocking(true).expect("set");
            stream.set_nodelay(true).expect("set");
            self.stream = Some(stream);
        }
        let read = self.stream.as_mut().map(|stream| stream.read(bytes));
        let length = match read {
            Some(Ok(length)) if length > 0 => length,
            Some(Err(error)) if error.kind() == ErrorKind::WouldBlock => 0,
            // The other end hung up.
            Some(_) => {
                self.stream = None;
                0
            }
            None => 0,
        };
        self.quiet = length == 0;
        length
    }

    fn write(&mut self, bytes: &[u8]) -> usize {
        // What nobody listens to is lost.
        let Some(stream) = &mut self.stream else { return bytes.len() };
        match stream.write(bytes) {
            Ok(length) => length,
            Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
            Err(_) => {
                self.stream = None;
                bytes.len()
            }
        }
    }

    fn set_pin(&mut self, level: Level) {
        let open = matches!(level, Level::Open { .. });
        let pin = &self.asked.pin;
        if pin.open.swap(open, Ordering::Relaxed) && !open {
            pin.closed_us.store(self.start.elapsed().as_micros() as u64, Ordering::Relaxed);
        }
    }

    fn feed_watchdog(&mut self) {}
}
