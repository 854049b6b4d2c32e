//! The emulated board: its process, its flash file, and what QEMU shows of it from outside.
//!
//! The pin is read from the LED's register and the time from a counter of the board by QEMU's
//! monitor, which asks nothing of the firmware. Memory is written by QEMU's debugger stub, which
//! halts the board's clock meanwhile.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::flash::FLASH_BYTES;

/// LED 0, the gate's pin (Arm DAI 0500, memory map).
const PIN: u32 = 0x4002_8000;
/// Counts at 25 MHz from some moment on.
const COUNTER: u32 = 0x4002_8018;
const COUNTER_MHZ: u32 = 25;
/// QEMU answers at once, or not at all.
const PATIENCE: Duration = Duration::from_secs(20);

/// How time passes on the board.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// By its instructions, 8 ns each: a host that is busy with other things changes nothing.
    Instructions,
    /// As for the host, which is faster.
    Host,
}

/// A running board.
pub struct Emulator {
    child: Child,
    monitor: TcpStream,
    serial: SocketAddr,
    debugger: SocketAddr,
}

impl Drop for Emulator {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Emulator {
    /// Boots an image with a flash file, which is made when it is absent.
    pub fn boot(image: &Path, flash: &Path, pace: Pace) -> Self {
        let file = fs::OpenOptions::new().create(true).append(true).open(flash).expect("a flash");
        file.set_len(FLASH_BYTES as u64).expect("room for a flash");
        let [serial, monitor, debugger] = free_ports();
        let server = |address: &SocketAddr| format!("tcp:{address},server=on,wait=off,nodelay=on");
        let memory = format!(
            "memory-backend-file,id=mps.ram,size={FLASH_BYTES},mem-path={},share=on",
            flash.display()
        );
        let mut command = Command::new("qemu-system-arm");
        if pace == Pace::Instructions {
            command.args(["-icount", "shift=3"]);
        }
        let child = command
            .args(["-M", "mps2-an500", "-display", "none", "-machine", "memory-backend=mps.ram"])
            .args(["-object", &memory, "-serial", &server(&serial)])
            .args(["-monitor", &server(&monitor), "-gdb", &format!("tcp:{debugger}")])
            .arg("-kernel")
            .arg(image)
            .stdin(Stdio::null())
            .spawn()
            .expect("qemu-system-arm");
        let mut emulator = Self { child, monitor: connect(monitor), serial, debugger };
        emulator.answer();
        emulator
    }

    /// The board's serial port.
    pub fn port(&self) -> TcpStream {
        connect(self.serial)
    }

    /// Whether the pin says OPEN.
    pub fn pin(&mut self) -> bool {
        self.look().1
    }

    /// Time of the board since some moment, for at most three minutes, and whether the pin says
    /// OPEN then.
    pub fn look(&mut self) -> (Duration, bool) {
        // While it runs, its time is told as it was up to a millisecond ago.
        self.command("stop");
        let time = Duration::from_micros(u64::from(self.register(COUNTER) / COUNTER_MHZ));
        let pin = self.register(PIN) & 1 == 1;
        self.command("cont");
        (time, pin)
    }

    /// A register or a word of memory.
    pub fn register(&mut self, address: u32) -> u32 {
        let answer = self.command(&format!("xp /1wx {address:#x}"));
        let value = answer.rsplit("0x").next().map(|text| text.chars().take(8).collect::<String>());
        u32::from_str_radix(&value.unwrap_or_default(), 16).expect("a word")
    }

    /// Presses the reset button.
    pub fn reset(&mut self) {
        self.command("system_reset");
    }

    fn command(&mut self, line: &str) -> String {
        self.monitor.write_all(format!("{line}\n").as_bytes()).expect("QEMU's monitor");
        self.answer()
    }

    fn answer(&mut self) -> String {
        let mut text = Vec::new();
        let mut byte = [0];
        while !text.ends_with(b"(qemu) ") {
            self.monitor.read_exact(&mut byte).expect("QEMU's monitor");
            text.push(byte[0]);
        }
        String::from_utf8_lossy(&text[..text.len() - 7]).trim_end().to_owned()
    }

    /// Writes memory while the board stands still, and lets it go on.
    pub fn poke(&self, address: u32, bytes: &[u8]) {
        let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let mut debugger = connect(self.debugger);
        let done = debug(&mut debugger, &format!("M{address:x},{:x}:{digits}", bytes.len()));
        assert_eq!(done, "OK", "{address:#x} cannot be written");
        assert_eq!(debug(&mut debugger, "D"), "OK");
    }
}

/// One command of the debugger's protocol, and its answer.
fn debug(stub: &mut TcpStream, command: &str) -> String {
    let sum = command.bytes().fold(0_u8, u8::wrapping_add);
    stub.write_all(format!("${command}#{sum:02x}").as_bytes()).expect("QEMU's debugger");
    loop {
        let answer = packet(stub);
        // QEMU also says that the processor stopped.
        if !answer.starts_with('T') {
            return answer;
        }
    }
}

fn packet(stub: &mut TcpStream) -> String {
    let mut byte = [0];
    let mut next = || {
        stub.read_exact(&mut byte).expect("QEMU's debugger");
        byte[0]
    };
    while next() != b'$' {}
    let mut answer = Vec::new();
    loop {
        match next() {
            b'#' => break,
            byte => answer.push(byte),
        }
    }
    next();
    next();
    stub.write_all(b"+").expect("QEMU's debugger");
    String::from_utf8(answer).expect("ASCII")
}

/// Ports that were free a moment ago.
fn free_ports() -> [SocketAddr; 3] {
    let listeners = [(); 3].map(|()| TcpListener::bind("127.0.0.1:0").expect("a free port"));
    listeners.map(|listener| listener.local_addr().expect("an address"))
}

/// QEMU listens when it is ready.
fn connect(address: SocketAddr) -> TcpStream {
    let begin = Instant::now();
    loop {
        match TcpStream::connect(address) {
            Ok(stream) => {
                stream.set_nodelay(true).expect("a socket");
                stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
                return stream;
            }
            Err(error) if begin.elapsed() > PATIENCE => panic!("no QEMU at {address}: {error}"),
            Err(_) => thread::sleep(Duration::from_millis(10)),
        }
    }
}
