//! Known sets on the command line, and frames cut and passed through a codec.

use crate::support::{Bench, random};

#[test]
fn sets_are_listed_with_what_is_there() {
    let bench = Bench::new();
    let table = bench.good("data list");
    let line = |table: &str, name: &str| {
        let line = table.lines().find(|line| line.starts_with(&format!("{name} ")));
        line.unwrap_or_else(|| panic!("{name} in {table}")).to_owned()
    };
    assert!(line(&table, "svhn").contains("absent"), "{table}");
    std::fs::create_dir_all(bench.path("data/svhn")).expect("a folder");
    bench.write("data/svhn/test_32x32.mat.part", vec![0; 3_000_000]);
    assert!(line(&bench.good("data list"), "svhn").contains("3.0 MB so far"));
    bench.write("data/svhn/test_32x32.mat", "x");
    assert!(line(&bench.good("data list"), "svhn").contains("test_32x32.mat differs"));
    let all = bench.good("data list cifar10 -o elsewhere");
    for part in [
        "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
        "170052171 bytes",
        "MD5 c32a1d4ab5d03f1284b67883e8d87530 (stated by its authors)",
        "absent (elsewhere/cifar10)",
        "elsewhere/cifar10/cifar-10-batches-bin/test_batch.bin",
    ] {
        assert!(all.contains(part), "{part}: {all}");
    }
    assert!(bench.good("data list --full").contains("tiny-imagenet-200.zip"));
}

#[test]
fn files_are_verified() {
    let bench = Bench::new();
    for folder in ["data/mnist", "data/cifar10/cifar-10-batches-bin", "empty"] {
        std::fs::create_dir_all(bench.path(folder)).expect("a folder");
    }
    bench.write("data/mnist/t10k-labels-idx1-ubyte.gz", vec![0; 4542]);
    bench.write("data/mnist/train-labels-idx1-ubyte.gz", "short");
    for given in ["mnist", "data/mnist"] {
        let outcome = bench.run(&format!("data verify {given}"));
        assert_eq!(outcome.code, 2);
        assert!(outcome.stderr.contains("4 files are wrong or missing"), "{}", outcome.stderr);
        for part in [
            "t10k-labels-idx1-ubyte.gz: its digest is",
            "train-labels-idx1-ubyte.gz: 5 bytes instead of 28881",
            "MISSING train-images-idx3-ubyte.gz: gradgate data fetch mnist",
        ] {
            assert!(outcome.stdout.contains(part), "{part}: {}", outcome.stdout);
        }
    }
    std::fs::remove_dir_all(bench.path("data/mnist")).expect("removes");
    let batch = |name: &str| format!("data/cifar10/cifar-10-batches-bin/{name}.bin");
    let names = ["data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5"];
    for name in names.iter().chain(&["test_batch"]) {
        let file = std::fs::File::create(bench.path(&batch(name))).expect("a file");
        file.set_len(30_730_000).expect("a length");
    }
    assert!(bench.good("data verify data").contains("unpacked and not kept"));
    assert!(bench.bad("data verify empty").contains("no file of a known set"));
    assert!(bench.bad("data verify svnh").contains("there are cifar10, "));
    assert!(bench.bad("data list svnh").contains("there are cifar10, "));
}

/// With or without the feature `fetch`: nothing listens on port 1.
#[test]
fn what_cannot_be_fetched_is_said_with_address_and_place() {
    let bench = Bench::new();
    let error = bench.bad("data fetch svhn -o sets --mirror http://127.0.0.1:1");
    for part in [
        "http://ufldl.stanford.edu/housenumbers/train_32x32.mat",
        "sets/svhn/train_32x32.mat",
        "gradgate data verify svhn",
    ] {
        assert!(error.contains(part), "{part}: {error}");
    }
    assert!(!bench.path("sets/svhn/train_32x32.mat.part").exists());
}

#[test]
fn frames_are_cut_and_passed_through_a_codec() {
    let bench = Bench::new();
    // Noise in all colours, so that sampling them loses something.
    let mut state = 5;
    bench.write("a.bin", (0..3073).map(|_| random(&mut state) as u8).collect::<Vec<u8>>());
    let mut files = Vec::new();
    for (name, options) in [
        ("plain", ""),
        ("jpeg", "--jpeg 60"),
        ("full", "--jpeg 60:444"),
        ("centre", "--crop centre"),
    ] {
        bench.good(&format!("features tiny.onnx a.bin -o {name} {options}"));
        files.push(bench.read(name));
    }
    // Behind the header, which tells the options.
    let values = |file: &[u8]| {
        let length = u64::from_le_bytes(file[..8].try_into().expect("eight bytes"));
        file[8 + length as usize..].to_vec()
    };
    let differ = |a: usize, b: usize| values(&files[a]) != values(&files[b]);
    assert!(differ(0, 1) && differ(0, 2) && differ(1, 2), "the codec changes nothing");
    let text = |file: &[u8]| String::from_utf8_lossy(file).into_owned();
    assert!(text(&files[1]).contains("a.bin jpeg=60:420"), "the codec is not told");
    assert!(text(&files[3]).contains("a.bin crop=centre"), "the cut is not told");
    let cases =
        [("--jpeg 0", "1 to 100"), ("--jpeg 75:411", "1 to 100"), ("--crop region", "a.bin")];
    for (options, expected) in cases {
        let error = bench.bad(&format!("features tiny.onnx a.bin -o new {options}"));
        assert!(error.contains(expected), "{error}");
    }
    assert!(!bench.path("new").exists());
}
