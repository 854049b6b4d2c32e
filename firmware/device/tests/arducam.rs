//! The driver and the pipeline on a simulated ArduCAM whose buses fail at any transfer.

use std::cell::RefCell;
use std::rc::Rc;

use embedded_hal::i2c::{self, I2c};
use embedded_hal::spi::{self, SpiDevice};
use embedded_hal_mock::eh1::delay::NoopDelay;
use gradgate_device::arducam::{ArduCam, GEOMETRIES, Options};
use gradgate_device::camera::{FrameSource, Stamp};
use gradgate_device::pipeline::{Buffers, FrameShape, Pipeline, Polled, Settings, Sizes};
use gradgate_device::unfit::Unfit;
use gradgate_frame::{CheckLimits, Size, convert_row, resize};
use gradgate_gate::DEFAULT_POLICY;

const CAMERA: gradgate_device::camera::Geometry = GEOMETRIES[0];
const MODEL: FrameShape = FrameShape { height: 32, width: 32, channels: 3 };
const BYTES: usize = 160 * 120 * 2;

/// Registers and FIFO of the module, as far as a driver can see them.
#[derive(Default)]
struct Module {
    chip: [u8; 32],
    sensor: Vec<[u8; 256]>,
    pointer: u8,
    fifo: Vec<u8>,
    read: usize,
    captures: u8,
    transfers: u32,
    fails_at: Option<u32>,
}

fn picture(number: u8) -> Vec<u8> {
    (0..BYTES).map(|at| ((at / 11) as u8).wrapping_mul(3).wrapping_add(number * 16)).collect()
}

impl Module {
    /// Counts a transfer; `false` for the one that fails.
    fn transfer(&mut self) -> bool {
        self.transfers += 1;
        self.fails_at != Some(self.transfers - 1)
    }

    fn bank(&mut self) -> &mut [u8; 256] {
        let bank = usize::from(self.sensor[0][0xFF] & 1);
        &mut self.sensor[bank]
    }

    /// The sensor forgets everything but who it is.
    fn reset_sensor(&mut self) {
        self.sensor = vec![[0; 256]; 2];
        for (register, value) in [(0x1C, 0x7F), (0x1D, 0xA2), (0x0A, 0x26), (0x0B, 0x42)] {
            self.sensor[1][register] = value;
        }
    }

    fn set_chip(&mut self, register: u8, value: u8) {
        if register == 0x04 && value == 0x02 {
            self.captures += 1;
            let sides = [0x5A, 0x5B].map(|side| usize::from(self.sensor[0][side]) * 4);
            let bytes = sides[0] * sides[1] * 2;
            self.fifo = picture(self.captures);
            self.fifo.resize(bytes, 0);
            self.read = 0;
        }
        self.chip[usize::from(register)] = value;
    }

    fn get_chip(&mut self, command: u8) -> u8 {
        let length = self.fifo.len().to_le_bytes();
        match command {
            0x3C => {
                self.read += 1;
                self.fifo.get(self.read - 1).copied().unwrap_or(0)
            }
            0x40 => 0x73,
            0x41 => 0x08,
            0x42..=0x44 => length[usize::from(command - 0x42)],
            register => self.chip[usize::from(register)],
        }
    }
}

#[derive(Clone)]
struct Buses(Rc<RefCell<Module>>);

impl Buses {
    fn new(fails_at: Option<u32>) -> Buses {
        let mut module = Module { fails_at, ..Module::default() };
        module.reset_sensor();
        Buses(Rc::new(RefCell::new(module)))
    }
}

impl spi::ErrorType for Buses {
    type Error = spi::ErrorKind;
}

impl SpiDevice for Buses {
    fn transaction(&mut self, all: &mut [spi::Operation<'_, u8>]) -> Result<(), spi::ErrorKind> {
        let mut module = self.0.borrow_mut();
        if !module.transfer() {
            return Err(spi::ErrorKind::Other);
        }
        match all {
            [spi::Operation::Write([register, value])] => module.set_chip(register & 0x7F, *value),
            [spi::Operation::Write([command]), spi::Operation::Read(bytes)] => {
                bytes.iter_mut().for_each(|byte| *byte = module.get_chip(*command));
            }
            other => panic!("{other:?}"),
        }
        Ok(())
    }
}

impl i2c::ErrorType for Buses {
    type Error = i2c::ErrorKind;
}

impl I2c for Buses {
    fn transaction(
        &mut self,
        address: u8,
        all: &mut [i2c::Operation<'_>],
    ) -> Result<(), i2c::ErrorKind> {
        let mut module = self.0.borrow_mut();
        assert_eq!(address, 0x30);
        if !module.transfer() {
            return Err(i2c::ErrorKind::Bus);
        }
        match all {
            [i2c::Operation::Write([register])] => module.pointer = *register,
            [i2c::Operation::Write([0xFF, bank])] => module.sensor[0][0xFF] = *bank,
            [i2c::Operation::Write([0x12, 0x80])] => module.reset_sensor(),
            [i2c::Operation::Write([register, value])] => {
                module.bank()[usize::from(*register)] = *value;
            }
            [i2c::Operation::Read([byte])] => {
                let pointer = usize::from(module.pointer);
                *byte = module.bank()[pointer];
            }
            // SCCB knows no repeated start.
            other => panic!("{other:?}"),
        }
        Ok(())
    }
}

/// The frame that the host makes of a picture.
fn by_host(bytes: &[u8]) -> Vec<u8> {
    let mut rgb = vec![0; 160 * 120 * 3];
    for (row, out) in bytes.chunks(320).zip(rgb.chunks_mut(480)) {
        convert_row(CAMERA.format, row, 3, out).unwrap();
    }
    let size = |width, height| Size { width, height };
    let (mut frame, mut sums) = (vec![0; 32 * 32 * 3], vec![0; 32 * 3 * 2]);
    resize(&rgb, size(160, 120), &mut frame, size(32, 32), 3, &mut sums).unwrap();
    frame
}

/// Frames told in `polls` polls a millisecond apart, with the number of the picture in each.
fn told(
    camera: &mut impl FrameSource,
    frames: &[Vec<u8>],
    polls: u32,
) -> Vec<(Option<Stamp>, Result<u8, Unfit>)> {
    let sizes = Sizes::of(CAMERA, MODEL);
    let (mut line, mut row) = (vec![0; sizes.line], vec![0; sizes.row]);
    let (mut sums, mut frame) = (vec![0; sizes.sums], vec![0; sizes.frame]);
    let settings = Settings {
        camera: CAMERA,
        model: MODEL,
        policy: DEFAULT_POLICY,
        age_periods: 2,
        checks: CheckLimits::default(),
    };
    let buffers = Buffers { line: &mut line, row: &mut row, sums: &mut sums, frame: &mut frame };
    let mut pipeline = Pipeline::new(&settings, buffers).unwrap();
    let mut told = Vec::new();
    for poll in 1..=polls {
        match pipeline.poll(camera, u64::from(poll) * 1_000) {
            Polled::Nothing => {}
            Polled::Frame(stamp, frame) => {
                let number = frames.iter().position(|known| known == frame).unwrap();
                told.push((Some(stamp), Ok(number as u8)));
            }
            Polled::Unfit(stamp, unfit) => told.push((stamp, Err(unfit))),
        }
    }
    told
}

fn camera_on(buses: &Buses) -> ArduCam<Buses, Buses, NoopDelay> {
    let options = Options { pause_us: 1_000, ..Options::default() };
    ArduCam::new(buses.clone(), buses.clone(), NoopDelay::new(), options)
}

/// Capture, begin, 60 pieces of 640 bytes, end.
const POLLS_A_FRAME: u32 = 63;
/// Three waits of 100 ms, and registers by sixteens.
const POLLS_A_START: u32 = 330;

#[test]
fn whole_frames_reach_the_model_and_an_error_anywhere_costs_one() {
    let known: Vec<Vec<u8>> = (0..8).map(|number| by_host(&picture(number))).collect();
    let camera = |fails_at| camera_on(&Buses::new(fails_at));
    let mut whole = camera(None);
    whole.configure(CAMERA).unwrap();
    let start = transfers_of(whole);
    let mut whole = camera(None);
    whole.configure(CAMERA).unwrap();
    let frames = told(&mut whole, &known, 3 * POLLS_A_FRAME);
    let stamp = |number| Stamp { number, captured_us: 1_000 + u64::from(number - 1) * 63_000 };
    let wanted: Vec<_> = (1..=3).map(|n| (Some(stamp(n)), Ok(n as u8))).collect();
    assert_eq!(frames, wanted);
    let end = transfers_of(whole);
    assert!(start > 200 && end == start + 3 * (2 + 4 + 60), "{start} {end}");

    for fails_at in 0..end {
        let mut camera = camera(Some(fails_at));
        let configured = camera.configure(CAMERA);
        assert_eq!(configured.is_err(), fails_at < start, "{fails_at}");
        // A start that failed is made again, in polls.
        let polls = if configured.is_err() { POLLS_A_START } else { 0 };
        let frames = told(&mut camera, &known, polls + 4 * POLLS_A_FRAME);
        let failed: Vec<_> = frames.iter().filter(|(_, frame)| frame.is_err()).collect();
        if fails_at < start {
            assert!(failed.is_empty(), "{fails_at}: {frames:?}");
        } else {
            assert!(matches!(failed[..], [(_, Err(Unfit::Camera))]), "{fails_at}: {frames:?}");
        }
        assert!(frames.len() >= 3, "{fails_at}: {frames:?}");
        assert_eq!((camera.errors(), camera.errors_in_a_row()), (1, 0), "{fails_at}");
    }
}

fn transfers_of<D, const N: usize>(camera: ArduCam<Buses, Buses, D, N>) -> u32
where
    D: embedded_hal::delay::DelayNs,
{
    let (buses, ..) = camera.release();
    let module = buses.0.borrow();
    module.transfers
}

#[test]
fn a_sensor_that_lost_its_registers_is_started_again() {
    let known: Vec<Vec<u8>> = (0..8).map(|number| by_host(&picture(number))).collect();
    let buses = Buses::new(None);
    let mut camera = camera_on(&buses);
    camera.configure(CAMERA).unwrap();
    buses.0.borrow_mut().reset_sensor();
    let frames = told(&mut camera, &known, 20 + POLLS_A_START + POLLS_A_FRAME);
    let outcomes: Vec<_> = frames.iter().map(|(_, frame)| *frame).collect();
    let lost = Err(Unfit::Camera);
    assert_eq!(outcomes, [lost, lost, lost, Ok(4)]);
    assert_eq!((camera.errors(), camera.errors_in_a_row()), (3, 0));
}
