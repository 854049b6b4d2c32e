//! External data: only regular files inside the model's own folder, no links, checked ranges.

mod import_support;

use std::path::PathBuf;

use gradgate_graph::import::{ImportError, ImportOptions, import_file};
use gradgate_graph::proto::{ModelProto, StringStringEntryProto, data_location};
use import_support::{convolution, graph};
use prost::Message;

fn external(location: &str, offset: &str, length: &str) -> ModelProto {
    let mut model = convolution();
    let tensor = &mut graph(&mut model).initializer[0];
    tensor.float_data.clear();
    tensor.data_location = data_location::EXTERNAL;
    tensor.external_data = [("location", location), ("offset", offset), ("length", length)]
        .iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(key, value)| StringStringEntryProto { key: (*key).into(), value: (*value).into() })
        .collect();
    model
}

/// A folder of its own with `w.bin` of 216 bytes inside and `outside.bin` beside it.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let root = std::env::temp_dir().join(format!("gradgate-{name}-{}", std::process::id()));
        std::fs::create_dir_all(root.join("model/sub")).expect("folder");
        std::fs::write(root.join("outside.bin"), [0; 216]).expect("file");
        std::fs::write(root.join("model/w.bin"), [0; 216]).expect("file");
        std::fs::write(root.join("model/sub/w.bin"), [0; 216]).expect("file");
        Self(root)
    }

    fn import(&self, model: &ModelProto) -> Result<(), ImportError> {
        let path = self.0.join("model/model.onnx");
        std::fs::write(&path, model.encode_to_vec()).expect("file");
        import_file(&path, &ImportOptions::default()).map(drop)
    }

    fn assert_refused(&self, model: &ModelProto, part: &str) {
        let text = self.import(model).expect_err(part).to_string();
        assert!(text.contains("`w`") && text.contains(part), "{part}: {text}");
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn external_data_stay_inside_the_models_folder() {
    let folder = Folder::new("inside");
    folder.import(&external("w.bin", "", "")).expect("inside");
    folder.import(&external("sub/w.bin", "0", "216")).expect("in a sub-folder");
    let absolute = folder.0.join("outside.bin").display().to_string();
    for location in ["../outside.bin", "sub/../../outside.bin", absolute.as_str(), "./w.bin"] {
        folder.assert_refused(&external(location, "", ""), "own folder");
    }
    for location in ["", "sub\\w.bin"] {
        folder.assert_refused(&external(location, "", ""), "no usable location");
    }
    folder.assert_refused(&external("absent.bin", "", ""), "cannot be opened");
    folder.assert_refused(&external("sub", "", ""), "not a regular file");
}

#[test]
fn external_ranges_are_checked() {
    let folder = Folder::new("ranges");
    for (offset, length, part) in [
        ("1", "", "lie outside"),
        ("217", "", "lie outside"),
        ("18446744073709551615", "", "lie outside"),
        ("0", "215", "asks for 216"),
        ("0", "18446744073709551615", "asks for 216"),
        ("-1", "", "no byte count"),
        ("99999999999999999999999", "", "no byte count"),
    ] {
        folder.assert_refused(&external("w.bin", offset, length), part);
    }
    let mut options = ImportOptions::default();
    options.limits.external_bytes = 215;
    let path = folder.0.join("model/model.onnx");
    std::fs::write(&path, external("w.bin", "", "").encode_to_vec()).expect("file");
    let error = import_file(&path, &options).expect_err("limit");
    assert!(matches!(error, ImportError::Limit { limit: 215, .. }), "{error}");
}

#[cfg(unix)]
#[test]
fn links_out_of_the_folder_are_refused() {
    let folder = Folder::new("links");
    let (outside, inside) = (folder.0.join("outside.bin"), folder.0.join("model"));
    std::os::unix::fs::symlink(&outside, inside.join("soft.bin")).expect("link");
    std::os::unix::fs::symlink(&folder.0, inside.join("up")).expect("link");
    folder.assert_refused(&external("soft.bin", "", ""), "symbolic link");
    folder.assert_refused(&external("up/outside.bin", "", ""), "symbolic link");
    std::fs::hard_link(&outside, inside.join("hard.bin")).expect("link");
    folder.assert_refused(&external("hard.bin", "", ""), "hard links");
}

#[cfg(unix)]
#[test]
fn sockets_and_devices_are_refused() {
    let folder = Folder::new("devices");
    let socket = folder.0.join("model/socket.bin");
    let _listens = std::os::unix::net::UnixListener::bind(&socket).expect("a socket");
    folder.assert_refused(&external("socket.bin", "", ""), "not a regular file");
    folder.assert_refused(&external("/dev/zero", "", ""), "own folder");
}

/// Opening a pipe that nobody writes to would wait for ever.
#[cfg(unix)]
#[test]
fn pipes_are_refused_without_opening_them() {
    let folder = Folder::new("pipes");
    let pipe = folder.0.join("model/pipe.bin");
    match std::process::Command::new("mkfifo").arg(&pipe).status() {
        Ok(made) if made.success() => {}
        other => return eprintln!("SKIPPED: mkfifo makes no pipe: {other:?}"),
    }
    folder.assert_refused(&external("pipe.bin", "", ""), "not a regular file");
    let model = import_file(&pipe, &ImportOptions::default()).expect_err("a pipe");
    assert!(model.to_string().contains("not a regular file"), "{model}");
}
