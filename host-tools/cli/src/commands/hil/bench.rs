//! The device under test: found or absent, and running the suite's bundle.

use std::path::Path;

use anyhow::{Context, Result, anyhow};
use gradgate_bundle::align::AlignedBytes;
use gradgate_bundle::digest::sha256;
use gradgate_bundle::keys::parse_secret;
use gradgate_bundle::manifest::PREFIX_BYTES;
use gradgate_bundle::write::sign;
use gradgate_field::error::Error;
use gradgate_field::flash::{Flash, Options, Outcome, Package};
use gradgate_field::hil::{Hooks, Rig};
use gradgate_field::wire::Wire;

use crate::board::BoardArgs;
use crate::output::hex;
use crate::{files, interrupt};

/// A device with what works its bench.
pub type Bench = Rig<Box<dyn Wire>>;

/// Whether there is a device.
pub enum Found {
    /// It answers.
    Here(Box<Bench>),
    /// It does not, for this reason.
    Absent(anyhow::Error),
}

/// Looks for the device. What is wrong on this side is an error; no device is none.
pub fn find(board: &BoardArgs, hooks: &Hooks) -> Result<Found> {
    let meet = || -> Result<Bench> {
        let (address, client) = board.client()?;
        let device = address.to_string();
        Rig::new(client, &device, hooks.clone()).context(device)
    };
    match meet() {
        Ok(rig) => Ok(Found::Here(Box::new(rig))),
        Err(error) if is_absent(&error) => Ok(Found::Absent(error)),
        Err(error) => Err(error),
    }
}

/// Nobody there, or nobody who is free.
fn is_absent(error: &anyhow::Error) -> bool {
    let field = error.chain().find_map(|cause| cause.downcast_ref::<Error>());
    matches!(field, Some(Error::Open { .. } | Error::Silent { .. } | Error::Locked))
}

/// The bundle's bytes, signed here if a key is given.
pub fn bundle(path: &Path, key: Option<&Path>) -> Result<AlignedBytes> {
    let mut bytes = files::read_bundle(path)?;
    if let Some(key) = key {
        let secret = parse_secret(&files::read_text(key)?);
        let secret = secret.with_context(|| key.display().to_string())?;
        sign(&mut bytes, &secret).with_context(|| path.display().to_string())?;
    }
    Ok(bytes)
}

/// Puts the bundle onto the device, and keeps it there.
pub fn flash(rig: &mut Bench, bytes: &AlignedBytes) -> Result<()> {
    let package = Package::read(AlignedBytes::from(&bytes[..]), None)?;
    let mut flash = Flash::new(&package, Options { retry_rejected: true, ..Options::default() })?;
    let _stops_between_packets = interrupt::Loop::enter();
    let outcome = rig.client().run_while(&mut flash, |_, _| !interrupt::requested());
    outcome.map_err(|error| flash.stopped(error))?;
    if flash.outcome() == Outcome::OnTrial {
        // A bench's board is for that: a trial would not outlive the suite's restarts.
        rig.confirm()?;
    }
    Ok(())
}

/// Refuses a device that runs another bundle.
pub fn check_runs(rig: &mut Bench, bytes: &[u8]) -> Result<()> {
    let wanted = sha256(bytes.get(..PREFIX_BYTES).unwrap_or_default());
    let slots = rig.client().slots()?;
    match slots.running() {
        Some(slot) if slot.identity == wanted => Ok(()),
        Some(slot) => Err(anyhow!(
            "the device runs bundle {}, not the suite's {}: flash it (`gradgate flash`, or --flash \
             here), or say with --sign or --bundle how it is signed",
            &hex(&slot.identity)[..16],
            &hex(&wanted)[..16]
        )),
        None => Err(anyhow!(
            "no bundle runs on the device: flash it (`gradgate flash`, or --flash here)"
        )),
    }
}
