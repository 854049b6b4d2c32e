//! `gradgate frames`, signs and faults: what is drawn, saved and judged without any file at hand.

use safetensors::SafeTensors;

use crate::support::{Bench, ppm, records};

/// Width and height from a PNG's header.
fn png_size(bytes: &[u8]) -> [u32; 2] {
    let at = |i: usize| u32::from_be_bytes(bytes[i..i + 4].try_into().expect("four bytes"));
    [at(16), at(20)]
}

#[test]
fn sheets_have_a_row_for_each_class_or_track() {
    let bench = Bench::new();
    let classes = bench.good("frames signs:unseen:n=40,size=16 -o sheet.png --columns 5");
    let names = ["no-stopping", "high-voltage", "first-aid", "extinguisher"];
    assert_eq!(classes, format!("rows: {}\n", names.join(", ")));
    // 16 pixels and a gap of 2 around each.
    assert_eq!(png_size(&bench.read("sheet.png")), [5 * 18 + 2, 4 * 18 + 2]);
    let tracks = bench.good("frames signs:sequence:n=30,track=10 -o t.png --columns 4 --rows 2");
    assert!(tracks.starts_with("rows: source 0 (") && tracks.contains("source 1"), "{tracks}");
    assert_eq!(png_size(&bench.read("t.png")), [4 * 34 + 2, 2 * 34 + 2]);
    bench.write("a.ppm", ppm(1, false));
    assert_eq!(bench.good("frames a.ppm --side 9 -o alone.png --columns 1"), "");
    assert_eq!(png_size(&bench.read("alone.png")), [13, 13]);
}

#[test]
fn saved_frames_read_back_as_they_were() {
    let bench = Bench::new();
    bench.good("frames signs:test:n=12 -o all.safetensors");
    bench.good("frames signs:test:n=12 -o pictures");
    let file = bench.read("all.safetensors");
    let tensors = SafeTensors::deserialize(&file).expect("safetensors");
    assert_eq!(tensors.tensor("images").expect("images").shape(), [12, 3, 32, 32]);
    assert_eq!(tensors.tensor("labels").expect("labels").shape(), [12]);
    let folder = std::fs::read_dir(bench.path("pictures")).expect("a folder");
    assert_eq!(folder.count(), 12, "a sub-folder a class");
    assert!(bench.path("pictures/stop").is_dir());
    bench.good("frames all.safetensors -o again.safetensors");
    assert_eq!(bench.read("again.safetensors"), file);
    assert!(bench.names().iter().all(|name| !name.contains("partial")), "{:?}", bench.names());
}

#[test]
fn signs_and_faults_go_wherever_frames_go() {
    let bench = Bench::new();
    bench.bundle();
    let clean = bench.good("run tiny.gate signs:test:n=24 --json");
    assert_eq!(clean.lines().filter(|line| line.contains("signs:test:n=24#")).count(), 24);
    let faulty = bench.good("run tiny.gate signs:test:n=24 --json --fault occlusion:5");
    assert_ne!(clean, faulty);
    let elsewhere =
        bench.good("run tiny.gate signs:test:n=24 --json --fault occlusion:5 --fault-seed 1");
    assert_ne!(faulty, elsewhere);
    bench.good("features tiny.onnx signs:test:n=24 --fault fog --fault noise:1 -o f.safetensors");
    let file = bench.read("f.safetensors");
    let text = String::from_utf8_lossy(&file);
    assert!(
        text.contains("signs:test:n=24 fault=fog:3 fault=noise:1"),
        "faults stand in the features' file"
    );
}

#[test]
fn a_file_of_that_name_goes_before_signs() {
    let bench = Bench::new();
    bench.write("signs:test", records(3, 1, false));
    bench.good("frames signs:test -o three.safetensors");
    let file = bench.read("three.safetensors");
    let tensors = SafeTensors::deserialize(&file).expect("safetensors");
    assert_eq!(tensors.tensor("images").expect("images").shape(), [3, 3, 32, 32]);
}

#[test]
fn what_cannot_be_drawn_or_saved_is_refused() {
    let bench = Bench::new();
    bench.write("three.bin", records(3, 1, false));
    bench.write("cut.bin", &bench.read("three.bin")[..5000]);
    let before = bench.names();
    let cases = [
        ("features tiny.onnx signs:tset -o new", "signs:test"),
        ("features tiny.onnx three.bin -o new --fault fog:9", "1 to 5"),
        ("features tiny.onnx three.bin -o new --fault-seed 3", "--fault"),
        ("frames three.bin -o three.bin", "both input and output"),
        ("frames signs:test:n=2 -o tiny.onnx", "exists already"),
        ("frames cut.bin -o new", "cut.bin"),
        ("frames signs:test:n=2 -o absent/sheet.png", "absent"),
        ("frames signs:test:n=2 -o absent/pictures", "absent"),
    ];
    for (arguments, culprit) in cases {
        let message = bench.bad(arguments);
        assert!(message.contains(culprit), "{arguments}: {message}");
        assert_eq!(bench.names(), before, "{arguments}");
    }
}
