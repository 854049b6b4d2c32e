//! The built command on tiny models and generated frames: the whole path, and what is refused.

mod anomalous;
#[cfg(feature = "lab")]
mod attack;
mod bench;
mod board;
mod calibrate;
mod data;
mod demo;
#[cfg(feature = "lab")]
mod disk_full;
#[cfg(feature = "lab")]
mod evade;
#[cfg(feature = "lab")]
mod evaluate;
mod explain;
mod first_board;
mod fleet;
mod frames;
mod frontier;
mod gate;
mod hil;
#[cfg(target_os = "linux")]
mod interrupted;
mod path;
mod recorded;
mod references;
mod refusals;
mod rotation;
mod scan;
mod support;
mod taps;
mod tract;
