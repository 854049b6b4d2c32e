//! `cargo xtask golden`: regenerates golden files by the programs that own them.
//!
//! The table is the whole list; a change of any of these files is a change of a byte contract and
//! wants a reason in the commit.

use std::process::Command;

use anyhow::{Result, bail};

use crate::{repo, setup};

/// What is made, and the cargo arguments that make it.
const GENERATORS: &[(&str, &[&str])] = &[];

/// The subcommand.
pub fn run(args: &[String]) -> Result<bool> {
    if let Some(arg) = args.first() {
        bail!("golden takes no argument, not '{arg}'");
    }
    if GENERATORS.is_empty() {
        println!("no generator is registered in xtask/src/golden.rs: nothing was regenerated");
        return Ok(false);
    }
    for (what, words) in GENERATORS {
        println!("{what}");
        setup::step(Command::new("cargo").args(*words).current_dir(repo::root()))?;
    }
    Ok(true)
}
