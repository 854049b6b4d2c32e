//! A small plan through load and run.

mod net;
mod refusals;
mod runs;
