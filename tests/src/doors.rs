//! The doors that untrusted bytes come in by: one function each, shared by the fuzz targets of
//! tests/fuzz and by the test that replays their seeds.
//!
//! A door reads bytes as the product does, uses what was accepted as far as that is cheap, and says
//! whether it was. [`Door::check`] also counts memory. What goes wrong is a panic: a fuzzer and a
//! test both see it.

mod bundle;
mod compile;
pub mod link;
pub mod mutate;
mod recordings;

use std::path::{Path, PathBuf};

use allocation_counter::measure;
use gradgate_detect::references::References;
use gradgate_detect::{DetectorFile, FeatureSet};
use gradgate_frames::{Crop, OpenOptions};
use gradgate_graph::import::{ImportOptions, import_bytes, summary};

/// A way in.
pub struct Door {
    /// Name of the fuzz target.
    pub name: &'static str,
    /// Folders of its seeds, from the repository's root.
    pub seeds: &'static [&'static str],
    /// Reads the bytes; whether they were accepted.
    read: fn(&[u8]) -> bool,
    /// The most bytes of memory, at any one time, that reading these bytes may take.
    memory: fn(&[u8]) -> usize,
}

/// Models that are accepted, and one for each attack.
const MODELS: [&str; 3] = ["tests/fuzz/seeds/import", "tests/golden/onnx", "tests/golden/families"];

/// Pictures and datasets, and those that Python and SciPy wrote.
const IMAGES: [&str; 2] = ["tests/fuzz/seeds/images", "host-tools/frames/tests/golden"];

/// All of them.
pub const DOORS: [Door; 9] = [
    Door {
        name: "bundle",
        seeds: &["tests/fuzz/seeds/bundle", "runtime/bundle/tests/golden"],
        read: bundle::read,
        // A copy at a multiple of 16 bytes and the arena of `bundle::ARENA_MAX`: the reader itself
        // takes nothing, which is asserted where it is called.
        memory: |bytes| 2 * bytes.len() + (128 << 10),
    },
    Door {
        name: "import",
        seeds: &MODELS,
        read: import,
        // An empty message of two bytes becomes some 300 in a list that doubles as it grows. The
        // rest is what `CONSTANTS` allows, an integer being eight bytes, twice while it is moved.
        memory: |bytes| 512 * bytes.len() + 16 * CONSTANTS + (64 << 10),
    },
    Door {
        name: "images",
        seeds: &IMAGES,
        read: images,
        memory: |bytes| {
            // Deflate packs 1032 to 1; the list of what is unpacked doubles as it grows.
            let packs = bytes.starts_with(&[0x1f, 0x8b]) || bytes.starts_with(b"MATLAB ");
            let packed = if packs { 4 * 1032 } else { 0 };
            (64 + packed) * bytes.len() + 64 * PIXELS + (1 << 20)
        },
    },
    Door {
        name: "recordings",
        seeds: &["tests/fuzz/seeds/recordings", "host-tools/frames/tests/golden/recordings"],
        read: recordings::read,
        // A block of zstd of four bytes stands for 128 KiB, in a list that doubles as it grows, up
        // to what a chunk may hold; and the pictures, twice while they are converted.
        memory: |bytes| (80_000 * bytes.len()).min(600 << 20) + 64 * PIXELS + (8 << 20),
    },
    Door {
        name: "compile",
        seeds: &MODELS,
        read: compile::read,
        // What a graph of `compile::NODES_MAX` nodes and tensors of `compile::ELEMENTS_MAX` becomes
        // on its way, whatever the file's length.
        memory: |bytes| 512 * bytes.len() + (256 << 20),
    },
    Door {
        name: "features",
        seeds: &["tests/fuzz/seeds/features"],
        read: features,
        memory: of_text,
    },
    Door {
        name: "detector",
        seeds: &["tests/fuzz/seeds/detector"],
        read: detector,
        memory: of_text,
    },
    Door {
        name: "requests",
        seeds: &["tests/fuzz/seeds/requests"],
        read: link::requests::read,
        memory: link::requests::memory,
    },
    Door {
        name: "answers",
        seeds: &["tests/fuzz/seeds/answers"],
        read: link::answers::read,
        // Decoder, packet and telemetry of one round.
        memory: |bytes| 16 * bytes.len() + (64 << 10),
    },
];

/// Elements of constants that the import may make: 2^20 would only slow the search down.
const CONSTANTS: usize = 1 << 18;

/// Pixels of a picture, as above.
const PIXELS: usize = 1 << 14;

/// JSON: a character of a list becomes an element with its bookkeeping.
fn of_text(bytes: &[u8]) -> usize {
    128 * bytes.len() + (64 << 10)
}

impl Door {
    /// The door of this name.
    ///
    /// # Panics
    /// When there is none.
    pub fn named(name: &str) -> &'static Door {
        let found = DOORS.iter().find(|door| door.name == name);
        found.unwrap_or_else(|| panic!("no door is called {name}"))
    }

    /// Reads the bytes; whether they were accepted.
    ///
    /// # Panics
    /// When the reader panics, contradicts itself, or takes more memory than stated.
    pub fn check(&self, bytes: &[u8]) -> bool {
        let (name, length, most) = (self.name, bytes.len(), (self.memory)(bytes));
        let mut accepted = false;
        let taken = measure(|| accepted = (self.read)(bytes)).bytes_max;
        assert!(
            taken <= most as u64,
            "{name}: {length} bytes made the reader take {taken} bytes, {most} at most"
        );
        accepted
    }

    /// All seeds, in the order of their names.
    ///
    /// # Panics
    /// When a folder cannot be read.
    pub fn seeds(&self) -> Vec<(String, Vec<u8>)> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let list = |folder: &str| -> Vec<PathBuf> {
            let entries = root.join(folder).read_dir().unwrap_or_else(|e| panic!("{folder}: {e}"));
            let paths = entries.map(|entry| entry.expect("readable").path());
            paths.filter(|path| path.is_file()).collect()
        };
        let mut paths: Vec<PathBuf> = self.seeds.iter().copied().flat_map(list).collect();
        paths.sort();
        let read = |path: PathBuf| {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            (name, std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display())))
        };
        paths.into_iter().map(read).collect()
    }
}

fn import(bytes: &[u8]) -> bool {
    let mut options = ImportOptions::default();
    options.limits.elements = CONSTANTS / 4;
    options.limits.total_elements = CONSTANTS;
    match import_bytes(bytes, None, &options) {
        Ok(imported) => {
            summary(&imported);
            true
        }
        Err(error) => {
            assert!(!error.to_string().is_empty());
            false
        }
    }
}

/// Picture files and datasets come in by their path.
fn images(bytes: &[u8]) -> bool {
    let thread = std::thread::current().id();
    let name = format!("gradgate-door-{}-{thread:?}", std::process::id());
    let path = std::env::temp_dir().join(name);
    let mut options = OpenOptions::new(8, 8, 3);
    options.max_pixels = PIXELS as u64;
    options.limit = Some(4);
    // A table is read where pictures lie beside it.
    let is_table = bytes.starts_with(b"Filename;");
    if is_table {
        std::fs::create_dir_all(&path).expect("a folder for the reader");
        std::fs::write(path.join("GT-00014.csv"), bytes).expect("a table for the reader");
        std::fs::write(path.join("00000_00000.ppm"), b"P5 2 2 255\n0123").expect("a picture");
        options.crop = Crop::Region;
    } else {
        std::fs::write(&path, bytes).expect("a file for the reader");
    }
    let accepted = match gradgate_frames::open(std::slice::from_ref(&path), &options) {
        Ok(frames) => frames.iter().all(|frame| frame.is_ok()),
        Err(error) => {
            assert!(!error.to_string().is_empty());
            false
        }
    };
    let removed =
        if is_table { std::fs::remove_dir_all(&path) } else { std::fs::remove_file(&path) };
    removed.expect("the reader leaves its files");
    accepted
}

/// Feature files and references, which share their container.
fn features(bytes: &[u8]) -> bool {
    let set = FeatureSet::from_bytes(bytes);
    if let Ok(set) = &set {
        let again = set.to_bytes().expect("what was read can be written");
        assert!(
            FeatureSet::from_bytes(&again).ok().as_ref() == Some(set),
            "a feature file changed"
        );
    }
    let references = References::from_bytes(bytes);
    if let Ok(references) = &references {
        let again = references.to_bytes().expect("what was read can be written");
        let read = References::from_bytes(&again).ok();
        assert!(read.as_ref() == Some(references), "references changed");
    }
    set.is_ok() || references.is_ok()
}

fn detector(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return false;
    };
    let Ok(file) = DetectorFile::from_json(text) else {
        return false;
    };
    assert!(!file.detector.threshold.is_nan(), "a threshold that is not a number was read");
    let again = file.to_json().expect("what was read can be written");
    let read = DetectorFile::from_json(&again).expect("what was written can be read");
    assert_eq!(read.to_json().ok(), Some(again), "a detector file changed");
    let mut blobs = Vec::new();
    file.to_bundle(&mut blobs);
    true
}
