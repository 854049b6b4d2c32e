//! What a device reads of its host: the whole device, on a flash that holds a confirmed bundle.

use std::collections::VecDeque;
use std::sync::{Mutex, OnceLock};

use gradgate_bundle::align::Aligned;
use gradgate_bundle::write::sign;
use gradgate_device::board::{Board, Description, Level};
use gradgate_device::camera::{Geometry, NoCamera};
use gradgate_device::device::{CameraMemory, Device, End, Memory, Setup};
use gradgate_device::flash::{Layout, Region};
use gradgate_device::log::Reset;
use gradgate_device::self_test::EngineTest;
use gradgate_device::settings::{Given, Name, Settings};
use gradgate_device::sim::{SIM_CLASS, SimFlash, sim_key};
use gradgate_device::slots::Slots;
use gradgate_device::upload::Progress;
use gradgate_device::verify::Trust;
use gradgate_frame::PixelFormat;
use gradgate_graph::expand::{Label, expand};
use gradgate_graph::ops::Op;
use gradgate_graph::taps::Taps;
use gradgate_link::Decoder;
use gradgate_link::packet::{Header, Kind, Packet};

use super::{KEY, SESSION, framed, messages};
use crate::cases::{Builder, same};
use crate::compile_judged;
use crate::rng::Rng;

/// Side of the model's frames, and of the camera's.
const SIDE: usize = 4;
/// Arena in elements.
const ARENA_ELEMENTS: usize = 4096;
/// Longest bundle in bytes.
const BUNDLE_BYTES_MAX: usize = 8192;
/// Rounds of the event loop after the last byte was taken.
const ROUNDS_AFTER: u32 = 8;
/// Time of a round in microseconds.
const ROUND_US: u64 = 500;

/// Whether the device answered a command.
pub(in crate::doors) fn read(bytes: &[u8]) -> bool {
    let answered = played(bytes);
    let command = |sequence| Header { kind: Kind::Command, session: SESSION, sequence };
    let forged = (1..).zip(messages(bytes));
    let forged = forged.flat_map(|(sequence, (_, body))| framed(command(sequence), &body, &KEY));
    played(&forged.collect::<Vec<u8>>());
    answered
}

/// A device with its flash, and all that it says; the flash is made before.
pub(in crate::doors) fn memory(bytes: &[u8]) -> usize {
    drop(flash());
    64 * bytes.len() + (256 << 10)
}

/// A port without a camera.
#[derive(Default)]
struct Port {
    now_us: u64,
    to_device: VecDeque<u8>,
    from_device: Vec<u8>,
    fed: bool,
    camera: NoCamera,
}

impl Board for Port {
    type Camera = NoCamera;

    fn camera(&mut self) -> &mut NoCamera {
        &mut self.camera
    }
    fn now_us(&mut self) -> u64 {
        self.now_us
    }
    fn read(&mut self, bytes: &mut [u8]) -> usize {
        let count = bytes.len().min(self.to_device.len());
        bytes.iter_mut().zip(self.to_device.drain(..count)).for_each(|(to, from)| *to = from);
        count
    }
    fn write(&mut self, bytes: &[u8]) -> usize {
        self.from_device.extend(bytes);
        bytes.len()
    }
    fn set_pin(&mut self, level: Level) {
        // The bundle only monitors.
        assert!(!matches!(level, Level::Open { .. }), "a pin that nobody may open");
    }
    fn feed_watchdog(&mut self) {
        self.fed = true;
    }
}

/// Gives the bytes to a device; whether it answered a command.
fn played(bytes: &[u8]) -> bool {
    let mut bundle = Box::new(Aligned([0; BUNDLE_BYTES_MAX]));
    let (mut arena, mut frame) = (vec![0.0; ARENA_ELEMENTS], vec![0; SIDE * SIDE * 3]);
    let (mut line, mut row, mut sums) = ([0; 64], [0; 64], [0; 64]);
    let mut evidence = vec![0; 2048];
    let memory = Memory {
        bundle: &mut bundle.0,
        arena: &mut arena,
        camera: CameraMemory { line: &mut line, row: &mut row, sums: &mut sums, frame: &mut frame },
        evidence: &mut evidence,
    };
    let port = Port { to_device: bytes.iter().copied().collect(), ..Port::default() };
    let mut device = Device::start(port, flash(), setup(), memory);
    assert!(device.slots().active().is_some(), "the bundle is there");
    let mut after = 0;
    let end = device.run(|board, _| {
        assert!(std::mem::take(&mut board.fed), "the watchdog starves");
        board.now_us += ROUND_US;
        after = if board.to_device.is_empty() { after + 1 } else { 0 };
        after < ROUNDS_AFTER
    });
    let (board, flash) = device.into_parts();
    assert_eq!(flash.violations(), 0, "rules of the flash are broken");
    end == End::Reboot || has_reply(&board.from_device)
}

fn has_reply(mut bytes: &[u8]) -> bool {
    let mut decoder: Decoder = Decoder::new();
    while let Some(packet) = decoder.feed(&mut bytes) {
        if Packet::parse(packet).is_some_and(|packet| packet.kind == Kind::Reply) {
            return true;
        }
    }
    false
}

fn layout() -> Layout {
    let region = |address, sectors| Region { address, sector_bytes: 1024, sectors };
    Layout::new(32, 0xFF, [region(0, 1), region(1024, 1)], [region(4096, 8), region(12_288, 8)])
        .and_then(|layout| layout.with_settings([region(2048, 1), region(3072, 1)]))
        .expect("a layout that works")
}

fn setup() -> Setup {
    let side = SIDE as u32;
    Setup {
        description: Description {
            board: "door",
            firmware: "0",
            serial: [7; 16],
            reset: Reset::Power,
            erase_us_max: 1000,
            camera: Geometry { format: PixelFormat::Rgb8, width: side, height: side },
            age_periods: 2,
        },
        layout: layout(),
        device_class: SIM_CLASS,
        counter_floor: 0,
        arena_bytes_max: 4 * ARENA_ELEMENTS as u32,
        seed: 1,
    }
}

/// A device that was given its keys and a small bundle, as it is before its second start.
fn flash() -> SimFlash {
    static MADE: OnceLock<Mutex<SimFlash>> = OnceLock::new();
    let made = MADE.get_or_init(|| {
        let layout = layout();
        let mut flash = SimFlash::new(&layout, 1);
        let signer = sim_key().verifying_key();
        let name = Name::new("door").expect("short");
        let given = Given { name, signer: signer.to_bytes(), link_key: KEY };
        let mut settings = Settings::open(&mut flash, &layout, 1);
        settings.provision(&mut flash, given).expect("no faults");
        let trust = Trust {
            key: signer,
            device_class: SIM_CLASS,
            counter_floor: 0,
            arena_bytes_max: 4 * ARENA_ELEMENTS as u32,
        };
        let (mut memory, mut arena) =
            (Box::new(Aligned([0; BUNDLE_BYTES_MAX])), vec![0.0; ARENA_ELEMENTS]);
        let mut test = EngineTest::new(&mut memory.0, &mut arena);
        let mut slots = Slots::boot(flash, layout, trust, &mut test);
        let image = image();
        slots.begin(image.first_chunk().expect("long enough")).expect("signed");
        while let Progress::Erase { .. } = slots.prepare().expect("no faults") {}
        slots.write(0, &image).expect("no faults");
        slots.finish().expect("whole");
        slots.activate(&mut test).expect("it passes its test");
        slots.confirm().expect("whole");
        Mutex::new(slots.into_flash())
    });
    made.lock().expect("nobody panics with it").clone()
}

fn image() -> Vec<u8> {
    let mut rng = Rng(5);
    let frames: Vec<Vec<u8>> = (0..300).map(|_| rng.bytes(SIDE * SIDE * 3)).collect();
    let (mut builder, image) = Builder::new("door", 3, SIDE);
    let x = builder.conv(image, 4, 3, same(3), true);
    let x = builder.op(Op::Relu, &[x]);
    let expanded = expand(&builder.classify(x), &Label::Ones, &Taps::all()).expect("a classifier");
    let mut bundle = compile_judged(&expanded, &frames).to_vec();
    sign(&mut bundle, &sim_key()).expect("a manifest");
    bundle
}
