//! CIFAR's Python batches: what official files hold, what other pickles are refused for.

mod common;

use common::{Rng, bytes, check_golden, cifar_size, first_error, golden, open_one, put};
use gradgate_frames::OpenOptions;

/// The opcodes of an official batch: protocol 2, written by Python 2 and NumPy 1.
struct Official {
    labels_key: &'static str,
    labels: Vec<u8>,
    shape: (u16, u16),
    data: Vec<u8>,
    callable: &'static str,
    element: &'static str,
    fortran: bool,
}

fn official(rows: usize) -> Official {
    Official {
        labels_key: "labels",
        labels: (0..rows).map(|row| (row % 10) as u8).collect(),
        shape: (rows as u16, 3072),
        data: Rng(6).bytes(rows * 3072),
        callable: "numpy.core.multiarray\n_reconstruct",
        element: "u1",
        fortran: false,
    }
}

fn short(text: &str) -> Vec<u8> {
    [&[b'U', text.len() as u8][..], text.as_bytes()].concat()
}

impl Official {
    fn array(&self) -> Vec<u8> {
        let mut out = format!("c{}\nq\x07cnumpy\nndarray\nq\x08K\0", self.callable).into_bytes();
        out.extend(b"\x85q\x09U\x01b\x87q\x0aRq\x0b(K\x01");
        for side in [self.shape.0, self.shape.1] {
            out.push(b'M');
            out.extend(side.to_le_bytes());
        }
        out.extend(b"\x86cnumpy\ndtype\nq\x0c");
        out.extend(short(self.element));
        out.extend(b"K\0K\x01\x87Rq\x0d(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0tb");
        out.push(if self.fortran { 0x88 } else { 0x89 });
        out.push(b'T');
        out.extend((self.data.len() as u32).to_le_bytes());
        out.extend(&self.data);
        out.extend(b"tb");
        out
    }

    fn pickle(&self) -> Vec<u8> {
        let mut out = b"\x80\x02}q\x01(".to_vec();
        out.extend(short("batch_label"));
        out.extend(b"q\x02");
        out.extend(short("training batch 1 of 5"));
        out.extend(b"q\x03");
        out.extend(short(self.labels_key));
        out.extend(b"q\x05](");
        out.extend(self.labels.iter().flat_map(|&label| [b'K', label]));
        out.extend(b"e");
        out.extend(short("data"));
        out.extend(b"q\x06");
        out.extend(self.array());
        out.extend(short("filenames"));
        out.extend(b"]q\x0e(");
        for row in 0..self.labels.len() {
            out.extend(short(&format!("leptodactylus_pentadactylus_s_{row:06}.png")));
            out.push(b'r');
            out.extend((row as u32 + 300).to_le_bytes());
        }
        out.extend(b"eu.");
        out
    }
}

#[test]
fn official_batches() {
    let folder = tempfile::tempdir().unwrap();
    let ten = official(5);
    let hundred =
        Official { labels_key: "fine_labels", labels: vec![0, 99, 50, 10, 42], ..official(5) };
    for batch in [ten, hundred] {
        let path = put(folder.path(), "data_batch_1", &batch.pickle());
        let frames = open_one(&path, &cifar_size()).unwrap();
        assert_eq!(frames.len(), 5);
        for i in 0..5 {
            let frame = frames.get(i).unwrap();
            assert_eq!(frame.label, Some(i64::from(batch.labels[i])));
            assert_eq!(frame.source, i as i64);
            assert!(frame.name.ends_with(&format!("data_batch_1#{i}")), "{}", frame.name);
            let at = 3 * 32 + 4;
            let planes = &batch.data[i * 3072..][..3072];
            let expected = [planes[at], planes[1024 + at], planes[2048 + at]];
            assert_eq!(bytes(&frame.pixels)[3 * at..][..3], expected);
        }
    }
}

#[test]
fn batches_that_python_3_wrote() {
    check_golden(&golden("cifar10-protocol4.pickle"), [3, 9]);
    check_golden(&golden("cifar100-protocol3.pickle"), [49, 99]);
}

#[test]
fn batches_that_contradict_themselves_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let cases = [
        (Official { labels: vec![1, 2], ..official(3) }, "2 `labels` beside 3 images"),
        (Official { labels: vec![1, 10, 2], ..official(3) }, "image 1: label 10 is outside 0..9"),
        (Official { labels_key: "names", ..official(3) }, "neither `labels`"),
        (Official { shape: (3, 3071), ..official(3) }, "shape [3, 3071] with 9216 bytes"),
        (Official { shape: (6, 1536), ..official(3) }, "not n x 3072"),
        (Official { element: "f4", ..official(3) }, "elements `f4`"),
        (Official { fortran: true, ..official(3) }, "Fortran"),
        (Official { callable: "os\nsystem", ..official(3) }, "`os.system`"),
        (official(0), "no rows"),
    ];
    for (batch, expected) in cases {
        let path = put(folder.path(), "data_batch_9", &batch.pickle());
        let error = first_error(&path, &cifar_size()).unwrap();
        assert!(error.contains("data_batch_9") && error.contains(expected), "{error}");
    }
}

#[test]
fn other_pickles_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let meta = [&b"\x80\x02}("[..], &short("label_names"), b"]u."].concat();
    let long = [&b"\x80\x02c"[..], &[b'x'; 200]].concat();
    let cases: [(&[u8], &str); 14] = [
        (&meta, "names of the classes"),
        (b"\x80\x02}.", "no key `data` among []"),
        (b"\x80\x02].", "no dictionary"),
        (b"\x80\x02(iposix\nsystem\n", "INST (0x69)"),
        (b"\x80\x04\x81", "NEWOBJ (0x81)"),
        (b"\x80\x05\x96\0\0\0\0\0\0\0\0", "BYTEARRAY8"),
        (b"\x80\x02\xfe", "unknown (0xfe)"),
        (b"\x80\x02e", "a mark is missing"),
        (b"\x80\x02]K\x01u", "a mark is missing"),
        (b"\x80\x02h\x05", "never remembered"),
        (b"\x80\x02K\x01R", "a value is missing"),
        (b"\x80\x02c__builtin__\neval\n", "`__builtin__.eval`"),
        (b"\x80\x04\x8c\x02os\x8c\x06system\x93", "`os.system`"),
        (&long, "a name of more than 64 bytes"),
    ];
    for (content, expected) in cases {
        let path = put(folder.path(), "other", content);
        let error = first_error(&path, &cifar_size()).unwrap();
        assert!(error.contains("other") && error.contains(expected), "{error}");
    }
    let deep = [&b"\x80\x02"[..], &[b']'; 5000]].concat();
    let error = first_error(&put(folder.path(), "deep", &deep), &cifar_size()).unwrap();
    assert!(error.contains("more than 256 lists"), "{error}");
}

#[test]
fn truncated_batches_are_errors() {
    let folder = tempfile::tempdir().unwrap();
    let official = official(1).pickle();
    common::truncate_everywhere(folder.path(), "batch", &official, &cifar_size(), 17);
    let python_3 = std::fs::read(golden("cifar10-protocol4.pickle")).unwrap();
    common::truncate_everywhere(folder.path(), "batch", &python_3, &cifar_size(), 37);
}

#[test]
fn batches_share_sources_by_group() {
    let folder = tempfile::tempdir().unwrap();
    let path = put(folder.path(), "batch", &official(5).pickle());
    let frames = open_one(&path, &OpenOptions { group: Some(2), ..cifar_size() }).unwrap();
    let sources: Vec<i64> = frames.iter().map(|frame| frame.unwrap().source).collect();
    assert_eq!(sources, [0, 0, 1, 1, 2]);
}
