//! `cargo xtask golden`: regenerates golden files by the programs that own them.
//!
//! The table is the whole list; a change of any of these files is a change of a contract and wants
//! a reason in the commit. Files that Python peers write are made by their scripts in
//! tests/scripts, which say what they need.

use std::process::Command;

use anyhow::{Result, bail};

use crate::setup;

/// Tells a golden test to write its file anew.
const BLESS: (&str, &str) = ("GRADGATE_BLESS", "1");

/// What is made, and the package and test that make it.
const GENERATORS: [(&str, &str, &str); 2] = [
    ("bytes of bundle version 1", "gradgate-bundle", "golden"),
    ("digests of the engine's bits", "gradgate-tests", "bits"),
];

/// The subcommand.
pub fn run(args: &[String]) -> Result<bool> {
    if let Some(arg) = args.first() {
        bail!("golden takes no argument, not '{arg}'");
    }
    for (what, package, test) in GENERATORS {
        println!("{what}");
        let mut cargo = Command::new("cargo");
        cargo.args(["test", "--locked", "--package", package, "--test", test]);
        setup::step(cargo.env(BLESS.0, BLESS.1))?;
    }
    println!("read the differences before committing them: `git diff`");
    Ok(true)
}
