//! A small plan through load and run.

mod alignment;
mod in_place;
mod net;
mod refusals;
mod runs;
