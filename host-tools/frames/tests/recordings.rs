//! Recordings that others wrote (`make_recordings.py`): every kind of image, topics, times, files
//! cut off at any place, and copies with messages added.

use std::collections::BTreeMap;
use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};

use gradgate_frames::{
    AddedChannel, AddedMessage, Copied, Frame, Frames, FramesError, OpenOptions, open,
};

const FIRST_NS: i64 = 1_700_000_000_000_000_000;
const STEP_NS: i64 = 50_000_000;

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/recordings").join(name)
}

fn frames(path: &Path, topics: &[&str], shape: [usize; 3]) -> Result<Frames, FramesError> {
    let mut options = OpenOptions::new(shape[0], shape[1], shape[2]);
    options.topics = topics.iter().map(|&topic| topic.to_owned()).collect();
    open(&[path.to_owned()], &options)
}

fn refusal(path: &Path, topics: &[&str]) -> String {
    frames(path, topics, [2, 4, 3]).expect_err("refused").to_string()
}

fn all(frames: &Frames) -> Vec<Frame> {
    frames.iter().map(|frame| frame.expect("reads")).collect()
}

/// Sample `byte` of frame `number`, as the script makes them.
fn sample(number: usize, byte: usize) -> u8 {
    (number * 50 + byte * 7) as u8
}

#[test]
fn every_kind_of_image_is_read_from_both_kinds_of_bag() {
    // Red, green and blue.
    let flat = [[255, 0, 0], [0, 255, 0], [0, 0, 255]];
    type Expected = Box<dyn Fn(usize, usize) -> u8>;
    let cases: [(&str, [usize; 3], u8, Expected); 6] = [
        // Rows are 12 bytes and 2 more.
        ("/rgb", [2, 4, 3], 0, Box::new(|n, i| sample(n, i + i / 12 * 2))),
        ("/bgr", [2, 4, 3], 0, Box::new(|n, i| sample(n, i / 3 * 3 + 2 - i % 3))),
        ("/mono", [2, 4, 1], 0, Box::new(sample)),
        // The published luma and chroma of these colours are rounded.
        ("/yuv", [2, 4, 3], 2, Box::new(move |n, i| flat[n][i % 3])),
        ("/png", [2, 4, 3], 0, Box::new(sample)),
        ("/jpeg", [8, 16, 3], 1, Box::new(|n, _| (40 * n + 30) as u8)),
    ];
    for file in ["rosbags.mcap", "rosbags.db3"] {
        for (topic, shape, tolerance, expected) in &cases {
            let found = frames(&golden(file), &[topic], *shape).expect("opens");
            assert_eq!(found.sequence(0), Some(format!("{file}:{topic}")));
            let found = all(&found);
            assert_eq!(found.len(), 3, "{file} {topic}");
            for (number, frame) in found.iter().enumerate() {
                for (at, &value) in frame.pixels.to_u8().iter().enumerate() {
                    let expected = expected(number, at);
                    let place = format!("{file} {topic} frame {number} sample {at}");
                    assert!(value.abs_diff(expected) <= *tolerance, "{place}: {value} {expected}");
                }
                assert_eq!((frame.source, frame.label), (0, None));
                // A stamp goes before the time of logging, which /bgr is left with.
                let stamped = if *topic == "/bgr" { 0 } else { 1_000_000 };
                let time = FIRST_NS + number as i64 * STEP_NS - stamped;
                assert_eq!(frame.time_ns, Some(time), "{file} {topic}");
                assert!(frame.name.ends_with(&format!("{file}:{topic}#{number}")));
            }
        }
    }
}

#[test]
fn topics_are_chosen_and_their_frames_stay_apart() {
    for file in ["rosbags.mcap", "rosbags.db3"] {
        let path = golden(file);
        let two = frames(&path, &["/mono", "/rgb"], [2, 4, 1]).expect("opens");
        let sources: Vec<i64> = all(&two).iter().map(|frame| frame.source).collect();
        assert_eq!(sources, [0, 0, 0, 1, 1, 1]);
        assert_eq!(two.sequence(1), Some(format!("{file}:/rgb")));
        assert_eq!((two.sequence(2), two.sequence(-1)), (None, None));
        assert_ne!(two.source_id(0), two.source_id(1));
        let group = |size| OpenOptions {
            topics: vec!["/mono".into(), "/rgb".into()],
            group: Some(size),
            ..OpenOptions::new(2, 4, 1)
        };
        // Groups of 2 of 3 frames each, named apart; their numbers follow from the topic's name.
        let grouped = open(std::slice::from_ref(&path), &group(2)).expect("opens");
        let name = |source| grouped.sequence(source).unwrap_or_default();
        assert_eq!(
            [name(0), name(1), name(2), name(3)],
            ["/mono group 0", "/mono group 1", "/rgb group 0", "/rgb group 1"]
                .map(|name| format!("{file}:{name}"))
        );
        assert_eq!(grouped.source_id(0), two.source_id(0));
        if file == "rosbags.mcap" {
            // Files of features keep it.
            assert_eq!(two.source_id(0), 2_927_018_255_313_526_722);
        }
        assert_eq!(open(std::slice::from_ref(&path), &group(1)).expect("opens").sequence(0), None);
        // A number by name is the same in another opening.
        let other = frames(&path, &["/mono"], [2, 4, 1]).expect("opens");
        assert_eq!(other.source_id(0), two.source_id(0));
        let cases: [(&[&str], &[&str]); 4] = [
            (&[], &["7 topics with images", "/jpeg (sensor_msgs/msg/CompressedImage", "--topic"]),
            (&["/words"], &["/words (std_msgs/msg/String", "no topic of images", "/mono"]),
            (&["/nothing"], &["no topic /nothing", "/rgb"]),
            (&["/mono", "mono"], &["no topic mono"]),
        ];
        for (topics, says) in cases {
            let error = refusal(&path, topics);
            for text in says {
                assert!(error.contains(text), "{text}: {error}");
            }
        }
        let deep = frames(&path, &["/deep"], [2, 4, 1]).expect("opens");
        let error = deep.get(1).expect_err("16 bits").to_string();
        for text in [file, "/deep message 1", "mono16", "rgb8"] {
            assert!(error.contains(text), "{text}: {error}");
        }
    }
    let error = refusal(&golden("../codec.png"), &["/rgb"]);
    assert!(error.contains("topics are those of recordings"), "{error}");
}

#[test]
fn chunks_of_every_compression_in_the_order_of_time() {
    for file in ["plain.mcap", "zstd.mcap", "lz4.mcap", "unchunked.mcap"] {
        let found = frames(&golden(file), &[], [2, 4, 1]).expect("opens");
        assert!(found.recordings().all(|recording| recording.cut().is_none()));
        for (number, frame) in all(&found).iter().enumerate() {
            assert_eq!(frame.pixels.to_u8()[1], sample(number, 1), "{file}");
            let logged = found.recordings().next().and_then(|found| found.logged(number));
            assert_eq!(logged, Some((0, FIRST_NS + number as i64 * STEP_NS)), "{file}");
        }
    }
    let mut options = OpenOptions::new(2, 4, 1);
    options.group = Some(2);
    let grouped = open(&[golden("plain.mcap")], &options).expect("opens");
    let sources: Vec<i64> = all(&grouped).iter().map(|frame| frame.source).collect();
    assert_eq!(sources, [0, 0, 1]);
}

/// What is left of a file that ends early: an error that says what is there, or whole frames.
fn check_cut(path: &Path, length: usize, whole: usize, topics: &[&str]) -> usize {
    match frames(path, topics, [2, 4, 1]) {
        Err(error) => {
            let error = error.to_string();
            assert!(error.contains(&path.display().to_string()), "{length}: {error}");
            0
        }
        Ok(found) => {
            assert!(found.len() <= whole, "{length}");
            for frame in found.iter().flatten() {
                assert_eq!(frame.pixels.len(), 8, "{length}");
            }
            found.recordings().filter(|recording| recording.cut().is_some()).count()
        }
    }
}

#[test]
fn mcap_that_ends_anywhere_is_read_as_far_as_it_goes() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("cut.mcap");
    for file in ["plain.mcap", "zstd.mcap", "lz4.mcap", "unchunked.mcap"] {
        let bytes = fs::read(golden(file)).expect("reads");
        let mut cuts = 0;
        // A prime, so that every part of a record is met.
        for length in (0..bytes.len()).step_by(11) {
            fs::write(&path, &bytes[..length]).expect("writes");
            cuts += check_cut(&path, length, 3, &[]);
        }
        // All frames are there long before the end, and the cut is seen.
        assert!(cuts > bytes.len() / 40, "{file}: {cuts}");
    }
    let bytes = fs::read(golden("plain.mcap")).expect("reads");
    fs::write(&path, &bytes[..200]).expect("writes");
    let error = refusal(&path, &[]);
    assert!(error.contains("cut off at byte"), "{error}");
    // Zeros are what a file system leaves of a page that was never written.
    let mut zeros = bytes.clone();
    zeros.truncate(bytes.len() / 2);
    zeros.resize(bytes.len(), 0);
    fs::write(&path, &zeros).expect("writes");
    check_cut(&path, 0, 3, &[]);
}

#[test]
fn databases_that_end_anywhere_are_refused_or_give_whole_frames() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("cut.db3");
    let bytes = fs::read(golden("rosbags.db3")).expect("reads");
    for length in (0..bytes.len()).step_by(97) {
        fs::write(&path, &bytes[..length]).expect("writes");
        check_cut(&path, length, 3, &["/mono"]);
    }
    fs::write(&path, &bytes).expect("writes");
    assert_eq!(frames(&path, &["/mono"], [2, 4, 1]).expect("opens").len(), 3);
    let beside: Vec<_> = fs::read_dir(folder.path()).expect("lists").collect();
    assert_eq!(beside.len(), 1, "SQLite left something");
    fs::write(folder.path().join("cut.db3-wal"), b"more").expect("writes");
    let error = refusal(&path, &["/mono"]);
    assert!(error.contains("cut.db3-wal") && error.contains("wal_checkpoint"), "{error}");
}

#[test]
fn damage_is_an_error_with_its_place() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("damaged.mcap");
    let bytes = fs::read(golden("zstd.mcap")).expect("reads");
    let at = bytes.windows(4).position(|window| window == b"zstd").expect("a chunk");
    let mut refused = 0;
    for place in at..at + 60 {
        let mut damaged = bytes.clone();
        damaged[place] ^= 0x55;
        fs::write(&path, damaged).expect("writes");
        if let Err(error) = frames(&path, &[], [2, 4, 1]) {
            assert!(error.to_string().contains("byte "), "{error}");
            refused += 1;
        }
    }
    assert!(refused > 40, "{refused}");
    let others: [(&[u8], &str); 4] = [
        (b"#ROSBAG V2.0\n", "rosbags-convert"),
        (b"\x28\xb5\x2f\xfd........", "zstd -d"),
        (b"\x89MCAP1\r\n", "another version"),
        (b"SQLite format 3\0", "SQLite cannot read it"),
    ];
    for (bytes, says) in others {
        fs::write(&path, bytes).expect("writes");
        let error = refusal(&path, &[]);
        assert!(error.contains(says), "{says}: {error}");
    }
}

fn annotated(path: &Path, topics: &[&str]) -> (Vec<u8>, Copied) {
    let found = frames(path, topics, [2, 4, 1]).expect("opens");
    let recording = found.recordings().next().expect("a recording");
    let channel = |topic: &str| AddedChannel {
        topic: format!("{topic}/verdict"),
        schema: "Verdict".to_owned(),
        definition: "{}".to_owned(),
    };
    let channels: Vec<AddedChannel> = recording.topics().map(channel).collect();
    let mut out = Cursor::new(Vec::new());
    let mut each = |frame: usize| {
        let (channel, _) = recording.logged(frame).expect("a frame");
        vec![AddedMessage { channel, data: format!("{{\"frame\": {frame}}}").into_bytes() }]
    };
    let about = ("gradgate", BTreeMap::from([("bundle".to_owned(), "x".to_owned())]));
    let copied = recording.annotate(&mut out, &channels, about, &mut each).expect("writes");
    (out.into_inner(), copied)
}

#[test]
fn copies_hold_everything_and_what_was_added() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("copy.mcap");
    let cases: [(&str, &[&str], Copied); 4] = [
        ("rosbags.mcap", &["/mono", "/png"], Copied { messages: 24, added: 6 }),
        ("rosbags.db3", &["/png", "/mono"], Copied { messages: 24, added: 6 }),
        ("lz4.mcap", &["/mono"], Copied { messages: 6, added: 3 }),
        ("unchunked.mcap", &["/mono"], Copied { messages: 6, added: 3 }),
    ];
    for (file, topics, expected) in cases {
        let before = fs::read(golden(file)).expect("reads");
        let (bytes, copied) = annotated(&golden(file), topics);
        assert_eq!(copied, expected, "{file}");
        assert_eq!(before, fs::read(golden(file)).expect("reads"), "{file} was touched");
        fs::write(&path, &bytes).expect("writes");
        for topic in topics {
            let ours = all(&frames(&path, &[topic], [2, 4, 1]).expect("opens"));
            let theirs = all(&frames(&golden(file), &[topic], [2, 4, 1]).expect("opens"));
            for (our, their) in ours.iter().zip(&theirs) {
                assert_eq!((&our.pixels, our.time_ns), (&their.pixels, their.time_ns), "{file}");
            }
            assert_eq!(ours.len(), theirs.len());
        }
        // What was added carries the time of its frame, whatever the order in the file.
        let found = mcap::MessageStream::new(&bytes).expect("MCAP");
        let mut added = BTreeMap::new();
        for message in found.map(|message| message.expect("a message")) {
            if message.channel.topic.ends_with("/verdict") {
                added.insert((message.channel.topic.clone(), message.log_time), message.data);
            }
        }
        assert_eq!(added.len(), expected.added, "{file}");
        for ((topic, time), data) in added {
            let number = (time as i64 - FIRST_NS) / STEP_NS;
            let first =
                if topics.iter().position(|t| topic.starts_with(t)) == Some(1) { 3 } else { 0 };
            let text = format!("{{\"frame\": {}}}", first + number);
            assert_eq!(String::from_utf8_lossy(&data), text, "{file} {topic}");
        }
        // Once is enough.
        let found = frames(&path, topics, [2, 4, 1]).expect("opens");
        let recording = found.recordings().next().expect("a recording");
        let topic = format!("{}/verdict", topics[0]);
        let again = [AddedChannel { topic, schema: "V".into(), definition: "{}".into() }];
        let about = ("x", BTreeMap::new());
        let mut none = |_| Vec::new();
        let error = recording.annotate(Cursor::new(Vec::new()), &again, about, &mut none);
        assert!(error.expect_err("again").to_string().contains("already"));
    }
}

/// Real recordings, whole and cut at many places.
#[test]
fn real_recordings_are_read_as_far_as_they_are_whole() {
    let folder = tempfile::tempdir().expect("a folder");
    let cut = folder.path().join("cut.mcap");
    for name in ["robot-a-0000.mcap", "robot-a-8000.mcap"] {
        let shared = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/recordings");
        let Ok(bytes) = fs::read(shared.join(name)) else {
            eprintln!("SKIPPED: ../shared/data/recordings/{name} is absent");
            continue;
        };
        let found = all(&frames(&shared.join(name), &[], [32, 32, 3]).expect("opens"));
        assert_eq!((found.len(), found[0].picture), (400, [160, 120]));
        let times: Vec<i64> = found.iter().filter_map(|frame| frame.time_ns).collect();
        assert!(times.len() == 400 && times.is_sorted(), "{name}");
        let mut lengths = Vec::new();
        for length in (0..bytes.len()).step_by(70_001) {
            fs::write(&cut, &bytes[..length]).expect("writes");
            match frames(&cut, &[], [32, 32, 3]) {
                Ok(part) => {
                    let recording = part.recordings().next().expect("a recording");
                    assert!(recording.cut().is_some(), "{length}");
                    assert!(part.get(part.len() - 1).is_ok(), "{length}");
                    lengths.push(part.len());
                }
                Err(error) => {
                    let error = error.to_string();
                    let says = ["cut off at byte", "empty", "begins with"];
                    assert!(says.iter().any(|text| error.contains(text)), "{length}: {error}");
                }
            }
        }
        assert!(lengths.is_sorted() && lengths.len() > 4, "{lengths:?}");
    }
}
