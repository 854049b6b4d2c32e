//! The gradgate command.
fn main() {}
