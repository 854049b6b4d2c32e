//! The driver against mocks of its buses: every transfer of a start and of a frame, and its errors.

extern crate std;

use std::vec;
use std::vec::Vec;

use embedded_hal::i2c::ErrorKind;
use embedded_hal_mock::eh1::delay::{CheckedDelay, Transaction as Delay};
use embedded_hal_mock::eh1::i2c::{Mock as I2cMock, Transaction as I2c};
use embedded_hal_mock::eh1::spi::{Mock as SpiMock, Transaction as Spi};

use super::*;

const SMALL: Geometry = GEOMETRIES[0];
const SMALL_BYTES: usize = 160 * 120 * 2;

fn set(register: u8, value: u8) -> Vec<Spi<u8>> {
    let bytes = vec![register | 0x80, value];
    vec![Spi::transaction_start(), Spi::write_vec(bytes), Spi::transaction_end()]
}

fn get(register: u8, value: u8) -> Vec<Spi<u8>> {
    let (command, answer) = (vec![register], vec![value]);
    let (command, answer) = (Spi::write_vec(command), Spi::read_vec(answer));
    vec![Spi::transaction_start(), command, answer, Spi::transaction_end()]
}

fn burst(bytes: &[u8]) -> Vec<Spi<u8>> {
    let (command, answer) = (Spi::write_vec(vec![0x3C]), Spi::read_vec(bytes.into()));
    vec![Spi::transaction_start(), command, answer, Spi::transaction_end()]
}

/// The controller is reset and answers.
fn controller() -> Vec<Spi<u8>> {
    let test = |value| [set(0x00, value), get(0x00, value)].concat();
    [set(0x07, 0x80), set(0x07, 0x00), test(0x55), test(0xAA), get(0x40, 0x73)].concat()
}

fn sensor_get(register: u8, value: u8) -> [I2c; 2] {
    [I2c::write(0x30, vec![register]), I2c::read(0x30, vec![value])]
}

/// The sensor is asked who it is, with this version of the product.
fn identity(version: u8) -> Vec<I2c> {
    let [manufacturer, low] = [sensor_get(0x1C, 0x7F), sensor_get(0x1D, 0xA2)];
    let [product, version] = [sensor_get(0x0A, 0x26), sensor_get(0x0B, version)];
    let bank = [I2c::write(0x30, vec![0xFF, 0x01])];
    [&bank[..], &manufacturer, &low, &product, &version].concat()
}

fn tables(geometry: Geometry) -> Vec<ov2640::Write> {
    ov2640::tables(geometry).unwrap().concat()
}

fn registers(geometry: Geometry) -> Vec<I2c> {
    let writes = tables(geometry).into_iter().map(|(at, value)| vec![at, value]);
    let reset = [vec![0x12, 0x80]].into_iter();
    reset.chain(writes).map(|bytes| I2c::write(0x30, bytes)).collect()
}

/// A camera with these transfers before it.
struct Bench {
    camera: ArduCam<SpiMock<u8>, I2cMock, CheckedDelay>,
}

impl Bench {
    fn new(options: Options, spi: &[Vec<Spi<u8>>], i2c: &[Vec<I2c>], delays: usize) -> Bench {
        let spi = SpiMock::new(&spi.concat());
        let delay = CheckedDelay::new(&vec![Delay::delay_ms(100); delays]);
        Bench { camera: ArduCam::new(spi, I2cMock::new(&i2c.concat()), delay, options) }
    }

    /// One that is configured, with these transfers of SPI to come.
    fn configured(options: Options, spi: &[Vec<Spi<u8>>]) -> Bench {
        let spi = [&[controller(), set(0x04, 0x01)][..], spi].concat();
        let mut bench = Bench::new(options, &spi, &[identity(0x42), registers(SMALL)], 3);
        bench.camera.configure(SMALL).unwrap();
        bench
    }

    /// Nothing that was expected is left.
    fn done(self) {
        let (mut spi, mut i2c, mut delay) = self.camera.release();
        spi.done();
        i2c.done();
        delay.done();
    }
}

#[test]
fn a_start_resets_asks_and_sets_every_register() {
    for version in [0x41, 0x42] {
        for geometry in GEOMETRIES {
            let spi = [controller(), set(0x04, 0x01)];
            let i2c = [identity(version), registers(geometry)];
            let mut bench = Bench::new(Options::default(), &spi, &i2c, 3);
            assert_eq!(bench.camera.configure(geometry), Ok(()));
            assert_eq!(bench.camera.revision(), 0x73);
            bench.done();
        }
    }
}

#[test]
fn a_start_that_failed_is_made_again_without_waiting() {
    let options = Options { pause_us: 20_000, ..Options::default() };
    let lost = vec![set(0x07, 0x80), set(0x07, 0), set(0x00, 0x55), get(0x00, 0xFF)];
    let spi = [lost.clone(), lost, vec![controller(), set(0x04, 0x01), capture()]].concat();
    let mut bench = Bench::new(options, &spi, &[identity(0x42), registers(SMALL)], 2);
    let camera = &mut bench.camera;
    assert_eq!(camera.configure(SMALL), Err(CameraError::Identity));
    let mut at = |now_us, wanted| assert_eq!(camera.poll(now_us), wanted, "{now_us}");
    // Each reset takes its time; nothing is transferred before.
    for now_us in [0, 99_999, 100_000, 199_999] {
        at(now_us, Ok(Event::Nothing));
    }
    at(200_000, Err(CameraError::Identity));
    for now_us in [219_999, 220_000, 320_000, 420_000, 519_999] {
        at(now_us, Ok(Event::Nothing));
    }
    // Sixteen registers a poll, the capture in the poll after the last of them.
    for _ in 0..=tables(SMALL).len() / 16 + 1 {
        at(520_000, Ok(Event::Nothing));
    }
    assert_eq!((camera.errors(), camera.errors_in_a_row()), (2, 2));
    bench.done();
}

#[test]
fn registers_say_the_geometry_that_is_asked_for() {
    for geometry in GEOMETRIES {
        let (mut banks, mut bank) = ([[0_u8; 256]; 2], 0);
        for (register, value) in tables(geometry) {
            if register == 0xFF {
                bank = usize::from(value);
            } else {
                banks[bank][usize::from(register)] = value;
            }
        }
        let [processor, sensor] = banks.map(|bank| bank.map(u32::from));
        assert_eq!(bank, 0);
        // The datasheet counts output in fours, the window in fours, the sensor in eights.
        let width = (processor[0x5A] | (processor[0x5C] & 3) << 8) * 4;
        let height = (processor[0x5B] | (processor[0x5C] & 4) << 6) * 4;
        assert_eq!((width, height), (geometry.width, geometry.height));
        let window_width = (processor[0x51] | (processor[0x55] & 0x08) << 5) * 4;
        let window_height = (processor[0x52] | (processor[0x55] & 0x80) << 1) * 4;
        assert_eq!((window_width, window_height), (1_600, 1_200));
        assert_eq!((processor[0xC0] * 8, processor[0xC1] * 8), (1_600, 1_200));
        // It zooms out only, and by less than two.
        let (across, down) = (processor[0x50] & 7, processor[0x50] >> 3 & 7);
        let (left_width, left_height) = (1_600 >> across, 1_200 >> down);
        assert!((width..2 * width).contains(&left_width), "{left_width}");
        assert!((height..2 * height).contains(&left_height), "{left_height}");
        let mode = if geometry.format == PixelFormat::Yuyv { 0x00 } else { 0x08 };
        assert_eq!(processor[0xDA], mode);
        // Nothing is held in reset, the processor is used, chroma is blue first, no color bars.
        assert_eq!((processor[0xE0], processor[0x05], processor[0xC2] & 0x10), (0, 0, 0));
        assert_eq!(sensor[0x12], 0x04);
    }
}

#[test]
fn another_part_is_refused() {
    let stuck = |value| vec![set(0x07, 0x80), set(0x07, 0), set(0x00, 0x55), get(0x00, value)];
    for value in [0x00, 0xFF, 0xAA] {
        let mut bench = Bench::new(Options::default(), &stuck(value), &[], 2);
        assert_eq!(bench.camera.configure(SMALL), Err(CameraError::Identity));
        bench.done();
    }
    let known = [(0x1C, 0x7F), (0x1D, 0xA2), (0x0A, 0x26), (0x0B, 0x41)];
    for wrong in 0..known.len() {
        let mut i2c = vec![vec![I2c::write(0x30, vec![0xFF, 0x01])]];
        for (index, (register, value)) in known.into_iter().enumerate().take(wrong + 1) {
            let value = if index == wrong { value ^ 0x80 } else { value };
            i2c.push(sensor_get(register, value).into());
        }
        let mut bench = Bench::new(Options::default(), &[controller()], &i2c, 2);
        assert_eq!(bench.camera.configure(SMALL), Err(CameraError::Identity));
        assert_eq!((bench.camera.errors(), bench.camera.errors_in_a_row()), (1, 1));
        bench.done();
    }
    let mut bench = Bench::new(Options::default(), &[], &[], 0);
    let other = Geometry { format: PixelFormat::Grey8, ..SMALL };
    assert_eq!(bench.camera.configure(other), Err(CameraError::Geometry));
    assert_eq!(
        bench.camera.configure(Geometry { width: 176, ..SMALL }),
        Err(CameraError::Geometry)
    );
    bench.done();
}

#[test]
fn an_error_of_the_control_bus_is_told() {
    let lost = || I2c::write(0x30, vec![0x12, 0x80]).with_error(ErrorKind::Bus);
    let mut bench =
        Bench::new(Options::default(), &[controller()], &[identity(0x42), vec![lost()]], 2);
    assert_eq!(bench.camera.configure(SMALL), Err(CameraError::Bus));
    assert_eq!(bench.camera.errors(), 1);
    bench.done();
}

/// Bytes of the FIFO, as its three registers say.
fn held(bytes: usize) -> Vec<Spi<u8>> {
    let [low, middle, high, _] = (bytes as u32).to_le_bytes();
    // The high bits of the last register mean nothing.
    [get(0x42, low), get(0x43, middle), get(0x44, high | 0xA8)].concat()
}

fn capture() -> Vec<Spi<u8>> {
    [set(0x04, 0x01), set(0x04, 0x02)].concat()
}

#[test]
fn a_frame_comes_in_pieces() {
    let bytes: Vec<u8> = (0..SMALL_BYTES).map(|at| (at * 7 / 5) as u8).collect();
    for leading_byte in [false, true] {
        let options = Options { leading_byte, ..Options::default() };
        let mut stream = vec![0xEE; usize::from(leading_byte)];
        stream.extend(&bytes);
        let mut spi = vec![capture(), get(0x41, 0x01), get(0x41, 0x09), held(stream.len() + 8)];
        spi.extend(stream.chunks(640).map(burst));
        // The next capture follows at once.
        spi.push(capture());
        let mut bench = Bench::configured(options, &spi);
        let camera = &mut bench.camera;
        assert_eq!(camera.poll(1_000), Ok(Event::Nothing));
        assert_eq!(camera.poll(2_000), Ok(Event::Nothing));
        let stamp = Stamp { number: 1, captured_us: 1_000 };
        assert_eq!(camera.poll(3_000), Ok(Event::Begin(SMALL, stamp)));
        let mut taken = Vec::new();
        for _ in 0..stream.len().div_ceil(640) {
            match camera.poll(4_000) {
                Ok(Event::Bytes(piece)) => taken.extend_from_slice(piece),
                other => panic!("{other:?}"),
            }
        }
        assert!(taken == bytes);
        assert_eq!(camera.poll(5_000), Ok(Event::End));
        assert_eq!(camera.poll(6_000), Ok(Event::Nothing));
        assert_eq!(camera.errors(), 0);
        bench.done();
    }
}

#[test]
fn a_capture_without_end_is_given_up() {
    let options = Options { capture_us_max: 50_000, pause_us: 20_000, ..Options::default() };
    let mut spi = vec![capture()];
    spi.extend(vec![get(0x41, 0x01); 3]);
    spi.push(capture());
    let mut bench = Bench::configured(options, &spi);
    let rows = [
        (10_000, Ok(Event::Nothing)),
        (11_000, Ok(Event::Nothing)),
        (60_000, Ok(Event::Nothing)),
        (60_001, Err(CameraError::Timeout)),
        // No transfer until the pause is over.
        (80_000, Ok(Event::Nothing)),
        (80_001, Ok(Event::Nothing)),
    ];
    for (now_us, wanted) in rows {
        assert_eq!(bench.camera.poll(now_us), wanted, "{now_us}");
    }
    assert_eq!((bench.camera.errors(), bench.camera.errors_in_a_row()), (1, 1));
    bench.done();
}

#[test]
fn a_fifo_of_another_length_is_refused() {
    let cases = [
        (false, 0, false),
        (false, SMALL_BYTES - 1, false),
        (false, SMALL_BYTES, true),
        (false, SMALL_BYTES + 1_024, true),
        (false, SMALL_BYTES + 1_025, false),
        (false, 320 * 240 * 2, false),
        // A line that is stuck high.
        (false, 0x7_FFFF, false),
        (true, SMALL_BYTES, false),
        (true, SMALL_BYTES + 1, true),
    ];
    for (leading_byte, length, fits) in cases {
        let options = Options { leading_byte, ..Options::default() };
        let mut bench = Bench::configured(options, &[capture(), get(0x41, 0x08), held(length)]);
        assert_eq!(bench.camera.poll(5), Ok(Event::Nothing));
        let found = bench.camera.poll(6);
        let stamp = Stamp { number: 1, captured_us: 5 };
        let begun = Ok(Event::Begin(SMALL, stamp));
        assert_eq!(found, if fits { begun } else { Err(CameraError::Length) }, "{length}");
        bench.done();
    }
}
