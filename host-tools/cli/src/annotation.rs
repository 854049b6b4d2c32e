//! What a scan adds to a recording: for each frame a verdict, and marks that Foxglove draws over
//! the picture. Both are ROS 2 messages whose definitions lie in the file, so that readers of ROS
//! read the whole file; Foxglove takes `foxglove_msgs/msg/ImageAnnotations` for its
//! `foxglove.ImageAnnotations`
//! (<https://docs.foxglove.dev/docs/visualization/message-schemas/image-annotations>).

use gradgate_detect::events::Seen;
use gradgate_frames::{AddedChannel, AddedMessage, CdrWriter};
use gradgate_gate::Verdict;
use gradgate_gate::verdict::Limits;

use crate::judge::{Judged, class_text};

/// Endings of the added topics, types of their messages and what these are made of.
const CHANNELS: [(&str, &str, &str); 2] = [
    ("verdict", "gradgate_msgs/msg/Verdict", include_str!("annotation/verdict.msg")),
    ("annotations", "foxglove_msgs/msg/ImageAnnotations", include_str!("annotation/marks.msg")),
];

/// `LINE_LOOP` of `foxglove_msgs/msg/PointsAnnotation`.
const LINE_LOOP: u8 = 2;

/// What the messages of all frames are made with.
pub struct Page<'a> {
    /// Names of the classes.
    pub classes: Vec<&'a str>,
    /// The detector's thresholds.
    pub limits: Limits,
}

/// The channels for a topic of images.
pub fn channels(topic: &str) -> impl Iterator<Item = AddedChannel> {
    CHANNELS.iter().map(move |(ending, schema, definition)| AddedChannel {
        topic: format!("{topic}/gradgate/{ending}"),
        schema: (*schema).to_owned(),
        definition: (*definition).to_owned(),
    })
}

/// The messages of a frame of the `topic`-th topic.
pub fn messages(topic: usize, [verdict, marks]: &[Vec<u8>; 2]) -> Vec<AddedMessage> {
    let message = |(at, data): (usize, &Vec<u8>)| AddedMessage {
        channel: topic * CHANNELS.len() + at,
        data: data.clone(),
    };
    [verdict, marks].into_iter().enumerate().map(message).collect()
}

impl Page<'_> {
    /// What is said of frame `index`: see `annotation/verdict.msg`.
    pub fn verdict(&self, index: usize, judged: &Judged, seen: Option<Seen>) -> Vec<u8> {
        let mut cdr = CdrWriter::default();
        cdr.time(judged.time_ns.unwrap_or_default());
        cdr.text("");
        cdr.u64(index as u64);
        let class = judged.class.and_then(|class| i32::try_from(class).ok());
        let name = judged.class.and_then(|class| self.classes.get(class as usize));
        let p_value = judged.judgement.map(|judgement| judgement.p_value);
        let state = seen.map(|seen| seen.state);
        cdr.text(&judged.verdict.to_string());
        cdr.text(judged.reason().unwrap_or_default());
        cdr.text(&judged.cause().unwrap_or_default());
        cdr.i32(class.unwrap_or(-1));
        cdr.text(name.copied().unwrap_or_default());
        cdr.f32(judged.score().unwrap_or(f32::NAN));
        cdr.f32(self.limits.threshold);
        cdr.f32(p_value.unwrap_or(f32::NAN));
        cdr.text(state.map_or("", |state| state.name()));
        let reason = state.and_then(|state| state.reason());
        cdr.text(reason.map_or("", |reason| reason.name()));
        cdr.finish()
    }

    /// A frame around the picture in the colour of the verdict, and a line of text in its corner.
    /// `picture` are columns and rows; without them only the text is drawn.
    pub fn marks(&self, judged: &Judged, seen: Option<Seen>, picture: [usize; 2]) -> Vec<u8> {
        let time_ns = judged.time_ns.unwrap_or_default();
        let [red, green, blue] = match judged.verdict {
            Verdict::Pass => [0.1, 0.8, 0.2],
            Verdict::Block => [0.9, 0.1, 0.1],
            Verdict::Unknown { .. } => [0.95, 0.75, 0.1],
        };
        let [width, height] = picture.map(|side| side as f64);
        // Lines of a hundredth of the picture, letters of a twelfth, and legible.
        let thickness = (height / 100.0).max(1.0).round();
        let font_size = (height / 12.0).max(8.0).round();
        let mut cdr = CdrWriter::default();
        let numbers = |cdr: &mut CdrWriter, values: &[f64]| values.iter().for_each(|v| cdr.f64(*v));
        // No circles.
        cdr.u32(0);
        let bordered = width > 0.0;
        cdr.u32(bordered.into());
        if bordered {
            cdr.time(time_ns);
            cdr.u8(LINE_LOOP);
            let edge = thickness / 2.0;
            let (right, bottom) = (width - edge, height - edge);
            cdr.u32(4);
            numbers(&mut cdr, &[edge, edge, right, edge, right, bottom, edge, bottom]);
            numbers(&mut cdr, &[red, green, blue, 1.0]);
            // No colours of single corners, and nothing is filled.
            cdr.u32(0);
            numbers(&mut cdr, &[0.0, 0.0, 0.0, 0.0, thickness]);
        }
        cdr.u32(1);
        cdr.time(time_ns);
        numbers(&mut cdr, &[2.0 * thickness, 2.0 * thickness + font_size]);
        cdr.text(&self.line(judged, seen));
        numbers(&mut cdr, &[font_size, 1.0, 1.0, 1.0, 1.0, red, green, blue, 0.7]);
        cdr.finish()
    }

    /// Verdict, reason, class, score and gate.
    fn line(&self, judged: &Judged, seen: Option<Seen>) -> String {
        let mut text = judged.verdict.to_string();
        if !matches!(judged.verdict, Verdict::Pass) {
            text.extend(judged.reason().map(|reason| format!(" {reason}")));
        }
        let class = judged.class.map(|class| class_text(&self.classes, class as usize));
        text.extend(class.map(|class| format!("  {class}")));
        text.extend(judged.score().map(|score| format!("  {score:.3}")));
        if let Some(seen) = seen {
            text.push_str(&format!("  gate {}", seen.state));
            text.extend(seen.state.reason().map(|reason| format!(" {reason}")));
        }
        text
    }
}
