//! The device under test: found or absent, and running the suite's bundle.

use anyhow::{Context, Result, anyhow};
use gradgate_bundle::align::AlignedBytes;
use gradgate_bundle::digest::sha256;
use gradgate_bundle::manifest::PREFIX_BYTES;
use gradgate_field::error::Error;
use gradgate_field::flash::{Flash, Options, Outcome, Package};
use gradgate_field::hil::{Hooks, Rig};
use gradgate_field::wire::Wire;

use crate::board::BoardArgs;
use crate::commands::flash::show::{Show, ShowArgs};
use crate::output::hex;

/// A device with what works its bench.
pub type Bench = Rig<Box<dyn Wire>>;

/// Whether there is a device.
pub enum Found {
    /// It answers.
    Here(Box<Bench>),
    /// There is none, for this reason.
    Absent(anyhow::Error),
    /// There is one, and it cannot be asked: it is silent, in use, has another key.
    Trouble(anyhow::Error),
}

/// Looks for the device.
///
/// # Errors
/// What is wrong on this side: flags, keys, several devices of one name.
pub fn find(board: &BoardArgs, hooks: &Hooks) -> Result<Found> {
    let meet = || -> Result<Bench> {
        let (address, client) = board.client()?;
        let device = address.to_string();
        Rig::new(client, &device, hooks.clone()).context(device)
    };
    let error = match meet() {
        Ok(rig) => return Ok(Found::Here(Box::new(rig))),
        Err(error) => error,
    };
    match error.chain().find_map(|cause| cause.downcast_ref::<Error>()) {
        Some(Error::Absent { .. }) => Ok(Found::Absent(error)),
        None | Some(Error::File { .. }) => Err(error),
        Some(_) => Ok(Found::Trouble(error)),
    }
}

/// Puts the bundle onto the device, and keeps it there.
pub fn flash(rig: &mut Bench, bytes: &AlignedBytes, quiet: bool) -> Result<()> {
    let package = Package::read(AlignedBytes::from(&bytes[..]), None)?;
    let mut flash = Flash::new(&package, Options { retry_rejected: true, ..Options::default() })?;
    let (args, address) = (ShowArgs::phases(quiet), rig.device().parse()?);
    let mut show = Show::new(&args, &address, Some(&package));
    show.run(rig.client(), &mut flash)?;
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
