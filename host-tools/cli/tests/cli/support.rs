//! What the tests of the command share: the built binary in a temporary folder, and frames.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A temporary folder with a tiny model in it, `tiny.onnx`.
pub struct Bench {
    folder: tempfile::TempDir,
}

/// What a run of the command gave.
#[derive(Debug)]
pub struct Outcome {
    /// Exit code.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

/// A golden file of the repository.
pub fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/onnx").join(name)
}

impl Bench {
    /// A folder with `tiny.onnx` (3 x 8 x 8, BatchNorm kept, 4 classes).
    pub fn new() -> Bench {
        let bench = Bench { folder: tempfile::tempdir().expect("a temporary folder") };
        bench.copy("tiny_torchscript_kept.onnx", "tiny.onnx");
        bench
    }

    /// Copies a golden model into the folder.
    pub fn copy(&self, from: &str, to: &str) {
        std::fs::copy(golden(from), self.path(to)).expect("golden model");
    }

    /// A path in the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file in the folder.
    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), bytes).expect("writes");
    }

    /// The bytes of a file in the folder.
    pub fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).expect("reads")
    }

    /// Names in the folder, sorted.
    pub fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.folder.path()).expect("lists");
        let mut names: Vec<String> = entries
            .map(|entry| entry.expect("entry").file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    /// Runs `gradgate` in the folder; arguments are separated by blanks.
    pub fn run(&self, arguments: &str) -> Outcome {
        let Output { status, stdout, stderr } = Command::new(env!("CARGO_BIN_EXE_gradgate"))
            .args(arguments.split_whitespace())
            .current_dir(self.folder.path())
            .output()
            .expect("the command starts");
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
        let code = status.code().expect("no signal");
        Outcome { code, stdout: text(stdout), stderr: text(stderr) }
    }

    /// As [`Bench::run`], for what must succeed; gives standard output.
    pub fn good(&self, arguments: &str) -> String {
        let outcome = self.run(arguments);
        let Outcome { code, stdout, stderr } = outcome;
        assert_eq!(code, 0, "gradgate {arguments}\n{stdout}{stderr}");
        stdout
    }

    /// As [`Bench::run`], for what must fail with exit code 2 and one `error:`; gives that.
    pub fn bad(&self, arguments: &str) -> String {
        let Outcome { code, stdout, stderr } = self.run(arguments);
        assert_eq!(code, 2, "gradgate {arguments}\n{stdout}{stderr}");
        assert_eq!(stderr.matches("error:").count(), 1, "gradgate {arguments}: {stderr}");
        assert!(!stderr.contains("panicked"), "gradgate {arguments}: {stderr}");
        stderr
    }

    /// Normal and strange frames as CIFAR records, and features of both.
    pub fn features(&self) {
        self.write("normal.bin", records(400, 1, false));
        self.write("strange.bin", records(60, 2, true));
        self.good("features tiny.onnx normal.bin -o normal.safetensors");
        self.good("features tiny.onnx strange.bin -o strange.safetensors");
    }

    /// A bundle `tiny.gate` with everything before it.
    pub fn bundle(&self) {
        self.features();
        self.good("fit --normal normal.safetensors -o d.json");
        self.good("pack tiny.onnx --detector d.json -o tiny.gate");
    }
}

/// SplitMix64.
pub fn random(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// CIFAR-10 records: soft gradients with random slopes, or checks of full contrast.
pub fn records(count: usize, seed: u64, strange: bool) -> Vec<u8> {
    let mut state = seed;
    let mut bytes = Vec::new();
    for index in 0..count {
        bytes.push((index % 4) as u8);
        // Slopes are never 0: a picture of noise alone is a sensor fault.
        let (a, b, base) =
            (1 + random(&mut state) % 4, 1 + random(&mut state) % 4, random(&mut state) % 40);
        for at in 0..3072_u64 {
            let (plane, y, x) = (at / 1024, at / 32 % 32, at % 32);
            let soft = base + a * x / 2 + b * y / 2 + 20 * plane + random(&mut state) % 8;
            let hard = 255 * ((x / 8 + y / 8 + a) % 2);
            bytes.push(if strange { hard } else { soft } as u8);
        }
    }
    bytes
}

/// A picture file (PPM) of one record's size.
pub fn ppm(seed: u64, strange: bool) -> Vec<u8> {
    let record = records(1, seed, strange);
    let mut bytes = b"P6\n32 32\n255\n".to_vec();
    for at in 0..1024 {
        bytes.extend([record[1 + at], record[1 + 1024 + at], record[1 + 2048 + at]]);
    }
    bytes
}

/// An MCAP file of one topic `/cam` of `sensor_msgs/msg/Image`, 32 x 32, written as it comes.
pub struct Mcap {
    bytes: Vec<u8>,
    messages: u32,
}

const MAGIC: &[u8] = b"\x89MCAP0\r\n";

impl Mcap {
    pub fn new() -> Mcap {
        let mut mcap = Mcap { bytes: MAGIC.to_vec(), messages: 0 };
        mcap.record(1, &[text("ros2"), text("test")].concat());
        let name = text("sensor_msgs/msg/Image");
        mcap.record(3, &[vec![1, 0], name, text("ros2msg"), text("x")].concat());
        let no_metadata = vec![0; 4];
        mcap.record(4, &[vec![0, 0, 1, 0], text("/cam"), text("cdr"), no_metadata].concat());
        mcap
    }

    /// Times in milliseconds after a first one; `planes` as a CIFAR record has them. One that is
    /// `broken` ends early.
    pub fn image(&mut self, stamp_ms: i64, log_ms: i64, planes: &[u8], broken: bool) {
        let nanoseconds = |ms: i64| 1_700_000_000_000_000_000 + ms * 1_000_000;
        let (stamp, log) = (nanoseconds(stamp_ms), nanoseconds(log_ms));
        let word = |value: i64| (value as u32).to_le_bytes().to_vec();
        let mut cdr = [vec![0, 1, 0, 0], word(stamp / 1_000_000_000)].concat();
        cdr.extend(word(stamp % 1_000_000_000));
        cdr.extend([word(4), b"cam\0".to_vec(), word(32), word(32)].concat());
        // The step lies at a multiple of 4 after the order of bytes.
        cdr.extend([word(5), b"rgb8\0".to_vec(), vec![0; 3], word(96), word(3072)].concat());
        cdr.extend((0..3072).map(|at| planes[at % 3 * 1024 + at / 3]));
        if broken {
            cdr.truncate(1000);
        }
        let times = [log.to_le_bytes(), log.to_le_bytes()].concat();
        let head = [vec![0, 0], self.messages.to_le_bytes().to_vec(), times].concat();
        self.record(5, &[head, cdr].concat());
        self.messages += 1;
    }

    pub fn finish(mut self) -> Vec<u8> {
        self.record(15, &[0; 4]);
        self.record(2, &[0; 20]);
        self.bytes.extend(MAGIC);
        self.bytes
    }

    fn record(&mut self, kind: u8, content: &[u8]) {
        self.bytes.push(kind);
        self.bytes.extend((content.len() as u64).to_le_bytes());
        self.bytes.extend(content);
    }
}

fn text(text: &str) -> Vec<u8> {
    [&(text.len() as u32).to_le_bytes()[..], text.as_bytes()].concat()
}
