//! Sets fetched from the loopback interface: whole, cut off, resumed, wrong, packed.

use std::io::{Cursor, Write};
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use gradgate_frames::known::{Digest, KnownFile, KnownSet};
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;
use zip::write::SimpleFileOptions;

use super::network::fetch;
use super::server::{Fault, Server};
use super::unpack::unpack;

fn folder() -> TempDir {
    tempfile::tempdir().expect("a folder")
}

fn content() -> Vec<u8> {
    (0..300_000_u32).map(|i| (i.wrapping_mul(i) >> 3) as u8).collect()
}

/// A set of one file, which lives as long as the tests: real ones are constants.
fn set(
    name: &'static str,
    content: &[u8],
    addresses: &[String],
    unpacked: &'static [(&'static str, Option<u64>)],
) -> KnownSet {
    let digits: String = Sha256::digest(content).iter().map(|b| format!("{b:02x}")).collect();
    let addresses: Vec<&'static str> =
        addresses.iter().map(|address| &*String::leak(address.clone())).collect();
    let file = KnownFile {
        name,
        addresses: addresses.leak(),
        bytes: Some(content.len() as u64),
        digest: Some(Digest::Sha256(digits.leak())),
        stated_by: "the test",
        unpacked,
    };
    KnownSet {
        name: "one",
        about: "",
        page: "",
        licence: "",
        files: vec![file].leak(),
        frames: &["a.bin"],
    }
}

/// Names in a folder, sorted.
fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).expect("lists");
    let mut names: Vec<String> =
        entries.map(|e| e.expect("entry").file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[test]
fn files_come_whole_whatever_the_connection_does() {
    let content = content();
    let cut = 100_000;
    // Fault of the server, bytes of an earlier run, first bytes that are asked for.
    let cases: [(Fault, usize, &[Option<usize>]); 6] = [
        (Fault::Nothing, 0, &[None]),
        (Fault::CutOnce(cut), 0, &[None, Some(cut)]),
        (Fault::Nothing, 7, &[Some(7)]),
        (Fault::CutOnce(cut), 7, &[Some(7), Some(7 + cut)]),
        (Fault::NoRanges, 7, &[Some(7)]),
        (Fault::Nothing, content.len(), &[]),
    ];
    for (fault, before, ranges) in cases {
        let f = folder();
        let server = Server::start(content.clone(), fault);
        let set = set("a.bin", &content, &[server.at("a.bin")], &[]);
        if before > 0 {
            std::fs::write(f.path().join("a.bin.part"), &content[..before]).expect("writes");
        }
        fetch(&set, f.path(), None).unwrap_or_else(|error| panic!("{fault:?}: {error:#}"));
        assert_eq!(names(f.path()), ["a.bin"], "{fault:?}");
        assert!(std::fs::read(f.path().join("a.bin")).expect("reads") == content, "{fault:?}");
        assert_eq!(server.ranges(), ranges, "{fault:?} {before}");
        // What is there is checked, not fetched.
        fetch(&set, f.path(), None).expect("there");
        assert_eq!(server.ranges().len(), ranges.len());
    }
}

#[test]
fn wrong_bytes_leave_nothing() {
    let good = content();
    let mut other = good.clone();
    other[9] ^= 1;
    let long = [&good[..], b"x"].concat();
    for (served, expected) in [(&other, "its digest is"), (&long, "the server has 300001 bytes")] {
        let f = folder();
        let server = Server::start(served.clone(), Fault::Nothing);
        let set = set("a.bin", &good, &[server.at("a.bin")], &[]);
        let error = format!("{:#}", fetch(&set, f.path(), None).expect_err("wrong"));
        assert!(error.contains("a.bin") && error.contains(expected), "{error}");
        assert_eq!(names(f.path()).len(), 0, "{error}");
    }
    // A part of another file: found by the digest, and the next run begins anew.
    let f = folder();
    let server = Server::start(good.clone(), Fault::Nothing);
    let set = set("a.bin", &good, &[server.at("a.bin")], &[]);
    std::fs::write(f.path().join("a.bin.part"), &other[..20]).expect("writes");
    fetch(&set, f.path(), None).expect_err("wrong");
    assert_eq!(names(f.path()).len(), 0);
    fetch(&set, f.path(), None).expect("anew");
    // A file that lies there and is wrong is not replaced.
    std::fs::write(f.path().join("a.bin"), &other).expect("writes");
    let error = fetch(&set, f.path(), None).expect_err("wrong").to_string();
    assert!(error.contains("remove it"), "{error}");
    assert!(std::fs::read(f.path().join("a.bin")).expect("reads") == other);
}

#[test]
fn where_nothing_answers_the_error_says_what_to_do() {
    let f = folder();
    let content = content();
    let gone = Server::start(Vec::new(), Fault::Status(404));
    let closed = {
        let server = Server::start(Vec::new(), Fault::Nothing);
        server.at("a.bin")
    };
    let set_of = |addresses: &[String]| set("a.bin", &content, addresses, &[]);
    for address in [gone.at("a.bin"), closed.clone()] {
        let set = set_of(std::slice::from_ref(&address));
        let error = fetch(&set, f.path(), None).expect_err("nothing there").to_string();
        let place = f.path().join("a.bin").display().to_string();
        for part in [address.as_str(), "get it in another way", &place] {
            assert!(error.contains(part), "{part}: {error}");
        }
        assert_eq!(names(f.path()).len(), 0);
    }
    // The second address has it; a mirror goes before all.
    let server = Server::start(content.clone(), Fault::Nothing);
    fetch(&set_of(&[gone.at("a.bin"), server.at("a.bin")]), f.path(), None).expect("the second");
    std::fs::remove_file(f.path().join("a.bin")).expect("removes");
    fetch(&set_of(&[closed]), f.path(), Some(&server.at(""))).expect("the mirror");
    assert_eq!(names(f.path()), ["a.bin"]);
}

/// An archive of one file; the name is written as it is, which writers of archives refuse.
fn tar_gz(name: &str, kind: tar::EntryType) -> Vec<u8> {
    let mut header = tar::Header::new_gnu();
    header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
    header.set_entry_type(kind);
    header.set_mode(0o644);
    header.set_size(2);
    header.set_cksum();
    let mut builder = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    builder.append(&header, &b"ab"[..]).expect("packs");
    builder.into_inner().expect("packs").finish().expect("packs")
}

fn zip(name: &str) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    writer.start_file(name, SimpleFileOptions::default()).expect("packs");
    writer.write_all(b"ab").expect("packs");
    writer.finish().expect("packs").into_inner()
}

#[test]
fn archives_are_unpacked_once() {
    for (name, content) in
        [("x.tar.gz", tar_gz("x/a.bin", tar::EntryType::Regular)), ("x.zip", zip("x/a.bin"))]
    {
        let f = folder();
        let server = Server::start(content.clone(), Fault::Nothing);
        let set = set(name, &content, &[server.at(name)], &[("x/a.bin", Some(2))]);
        std::fs::create_dir(f.path().join("x")).expect("a folder");
        std::fs::write(f.path().join("x/other"), "kept").expect("writes");
        fetch(&set, f.path(), None).expect("fetched");
        assert_eq!(names(&f.path().join("x")), ["a.bin", "other"]);
        assert_eq!(names(f.path()), ["x", name]);
        // Neither fetched nor unpacked again, also without the archive.
        std::fs::remove_file(f.path().join(name)).expect("removes");
        fetch(&set, f.path(), None).expect("there");
        assert_eq!(server.ranges().len(), 1);
        // One that was fetched by hand is unpacked.
        std::fs::remove_file(f.path().join("x/a.bin")).expect("removes");
        std::fs::write(f.path().join(name), &content).expect("writes");
        fetch(&set, f.path(), None).expect("unpacked");
        assert_eq!(std::fs::read(f.path().join("x/a.bin")).expect("reads"), b"ab");
        assert_eq!(server.ranges().len(), 1);
    }
}

#[test]
fn archives_that_lead_out_or_are_cut_change_nothing() {
    let whole = tar_gz("a", tar::EntryType::Regular);
    let packed = zip("a");
    let cases = [
        ("a.tar.gz", tar_gz("../a", tar::EntryType::Regular), "leads out"),
        ("a.tar.gz", tar_gz("a", tar::EntryType::Symlink), "a link"),
        ("a.tar.gz", whole[..whole.len() / 2].to_vec(), "cannot unpack"),
        ("a.zip", zip("../../a"), "leads out"),
        ("a.zip", packed[..packed.len() / 2].to_vec(), "cannot unpack"),
    ];
    for (name, content, expected) in cases {
        let f = folder();
        let inner = f.path().join("in");
        std::fs::create_dir(&inner).expect("a folder");
        std::fs::write(inner.join(name), content).expect("writes");
        let error = format!("{:#}", unpack(&inner.join(name), &inner).expect_err(expected));
        assert!(error.contains(name) && error.contains(expected), "{error}");
        assert_eq!(
            (names(f.path()), names(&inner)),
            (vec!["in".to_owned()], vec![name.to_owned()])
        );
    }
}
