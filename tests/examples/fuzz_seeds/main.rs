//! Writes the seeds of the fuzz targets: small files that are accepted (`valid-*`), and one for
//! each shape of attack (`attack-*`).
//!
//! `cargo xtask fuzz --seeds` runs it. Seeds that other tests hold already, the golden ONNX files
//! and the golden bundle, are not copied: see `Door::seeds`.

mod bundles;
mod images;
mod link;
mod models;
mod recordings;
mod tables;

use std::path::Path;

/// A seed: its name and its bytes.
type Seed = (String, Vec<u8>);

fn seed(name: &str, bytes: impl Into<Vec<u8>>) -> Seed {
    (name.to_owned(), bytes.into())
}

fn main() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds");
    let doors = [
        ("bundle", bundles::seeds()),
        ("import", models::seeds()),
        ("images", images::seeds()),
        ("recordings", recordings::seeds()),
        ("features", tables::features()),
        ("detector", tables::detectors()),
        ("requests", link::requests()),
        ("answers", link::answers()),
    ];
    for (door, seeds) in doors {
        let folder = folder.join(door);
        if folder.exists() {
            std::fs::remove_dir_all(&folder).expect("old seeds go");
        }
        std::fs::create_dir_all(&folder).expect("a folder for the seeds");
        let bytes: usize = seeds.iter().map(|(_, bytes)| bytes.len()).sum();
        println!("{door}: {} seeds, {bytes} bytes", seeds.len());
        for (name, bytes) in seeds {
            std::fs::write(folder.join(name), bytes).expect("a seed");
        }
    }
}
