//! A drive past a camera: stretches that should pass and events that were planted, judged by our
//! detector and by two plain ones, each with a gate of its own.

mod drive;
mod judged;
mod page;
mod rivals;
mod text;

pub use drive::{Camera, Stretch, real, signs};
pub use judged::{Judged, judge_all, play};
pub use page::page;
pub use text::{Totals, json_lines, strip, summary};
