//! `gradgate verify`: everything a device would check, here.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use gradgate_bundle::keys::parse_public;
use gradgate_bundle::signature::verify;

use crate::executor::Packed;
use crate::output::{bytes, hex, print};
use crate::{files, self_test};

/// Check a bundle as a device would: digests, signature, records, self-test.
///
/// Without --key the signature is not checked, and that is said. Exit code 2 when anything fails.
#[derive(clap::Args, Debug)]
#[command(after_help = "Example:\n  gradgate verify resnet20.gate --key release-key.pub")]
pub struct Args {
    /// The bundle
    #[arg(value_name = "BUNDLE")]
    bundle: PathBuf,
    /// Public key that must have signed it
    #[arg(long, value_name = "KEY.pub")]
    key: Option<PathBuf>,
}

/// Runs the subcommand.
pub fn run(args: Args) -> Result<ExitCode> {
    let name = args.bundle.display().to_string();
    let packed = Packed::read(&args.bundle)?;
    if let Some(path) = &args.key {
        let text = files::read_text(path)?;
        let key = parse_public(&text).with_context(|| path.display().to_string())?;
        verify(packed.bytes(), &key)
            .with_context(|| format!("{name}: not admitted with key {}", path.display()))?;
    }
    let engine = packed.engine(&args.bundle)?;
    let values = self_test::check(&engine).with_context(|| name.clone())?;
    let manifest = engine.bundle().manifest();
    let signed = manifest.key_id != [0; 8];
    let signature = match (&args.key, signed) {
        (Some(_), _) => format!("right, key {}", hex(&manifest.key_id)),
        (None, true) => format!("NOT CHECKED, key {}: give --key", hex(&manifest.key_id)),
        (None, false) => "none: for the host alone, devices take signed bundles".to_owned(),
    };
    print(&format!(
        "{name}: good\n  digests    right, {}\n  signature  {signature}\n  engine     loads it, \
         arena {}\n  self-test  {values} values, every bit as packed\n",
        bytes(u64::from(manifest.total_bytes.get())),
        bytes(u64::from(manifest.arena_bytes.get())),
    ))?;
    Ok(ExitCode::SUCCESS)
}
