//! Recordings come in by their path, and are read and copied.

use std::collections::BTreeMap;
use std::io::Cursor;
use std::path::Path;

use gradgate_frames::{FramesError, OpenOptions, open};

/// Topics of the seeds with several; an empty name is the only one.
const TOPICS: [&str; 4] = ["", "/mono", "/yuv", "/png"];

/// Whether all frames of a topic were read.
pub fn read(bytes: &[u8]) -> bool {
    let thread = std::thread::current().id();
    let name = format!("gradgate-recording-{}-{thread:?}", std::process::id());
    let path = std::env::temp_dir().join(name);
    std::fs::write(&path, bytes).expect("a file for the reader");
    let accepted = TOPICS.iter().any(|topic| match read_topic(&path, topic) {
        Ok(()) => true,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            false
        }
    });
    std::fs::remove_file(&path).expect("the reader leaves its file");
    accepted
}

fn read_topic(path: &Path, topic: &str) -> Result<(), FramesError> {
    let mut options = OpenOptions::new(8, 8, 3);
    options.max_pixels = super::PIXELS as u64;
    options.limit = Some(4);
    options.topics = Some(topic.to_owned()).filter(|topic| !topic.is_empty()).into_iter().collect();
    let frames = open(&[path.to_owned()], &options)?;
    for recording in frames.recordings() {
        let out = Cursor::new(Vec::new());
        recording.annotate(out, &[], ("door", BTreeMap::new()), &mut |_| Vec::new())?;
    }
    frames.iter().try_for_each(|frame| frame.map(drop))
}
