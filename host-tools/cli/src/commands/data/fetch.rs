//! `gradgate data fetch`: a set from where it is published to its folder.

#[cfg(feature = "fetch")]
mod download;
#[cfg(feature = "fetch")]
mod network;
#[cfg(all(feature = "fetch", test))]
mod server;
#[cfg(all(feature = "fetch", test))]
mod tests;
#[cfg(feature = "fetch")]
mod unpack;

use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;
use gradgate_frames::known::{KnownFile, KnownSet};

use super::{FolderArgs, named};
#[cfg(feature = "fetch")]
use network::fetch;

/// Fetch a set: goes on where it was cut off, checks digests, unpacks.
///
/// A file that was fetched by hand is checked and unpacked when it lies in the set's folder.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// The set
    #[arg(value_name = "NAME")]
    name: String,
    #[command(flatten)]
    folder: FolderArgs,
    /// Take the files from this address instead, which is followed by a slash and their names
    #[arg(long, value_name = "ADDRESS")]
    mirror: Option<String>,
}

/// Runs the subcommand.
pub fn run(args: Args) -> Result<ExitCode> {
    let set = named(&args.name)?;
    fetch(set, &args.folder.of(set), args.mirror.as_deref())?;
    Ok(ExitCode::SUCCESS)
}

/// What to do where nothing can be fetched.
fn by_hand(set: &KnownSet, file: &KnownFile, folder: &Path) -> String {
    let (place, name) = (folder.join(file.name), set.name);
    let addresses = file.addresses.join("\n  or ");
    format!(
        "get it in another way:\n     {addresses}\n  to {}\nand `gradgate data verify {name}` \
         checks it",
        place.display()
    )
}

#[cfg(not(feature = "fetch"))]
fn fetch(set: &KnownSet, folder: &Path, _: Option<&str>) -> Result<()> {
    use gradgate_frames::known::Presence;
    let missing =
        |file: &&KnownFile| !matches!(file.presence(folder), Presence::There | Presence::Unpacked);
    let Some(file) = set.files.iter().find(missing) else {
        return crate::output::print(&format!(
            "{}: there already; archives (.tar.gz, .zip) are unpacked by tar or unzip\n",
            folder.display()
        ));
    };
    let build = "cargo build --release --features fetch";
    anyhow::bail!(
        "this build of gradgate fetches nothing (`{build}` makes one that does); {}",
        by_hand(set, file, folder)
    )
}
