//! `gradgate provision`: a device gets its name and keys.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use gradgate_bundle::keys::parse_public;
use gradgate_bundle::signature::key_id;
use gradgate_field::device::hex;
use gradgate_field::keys::{Keyring, LinkKey, Origin};
use gradgate_field::provision::{Given, Provisioned, check_name, provision};
use serde_json::json;

use crate::board::{BoardArgs, at, site_key};
use crate::files;
use crate::output::print;

/// Give a device its name, the key whose bundles it takes, and the key of its link.
///
/// The link's key is derived from the site's key by the chip's number. It goes over the wire as it
/// is: do this over a cable that nobody else is at. The device is restarted and must then answer
/// under the new key.
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  gradgate keygen --site -o site.key
  gradgate provision --device /dev/ttyACM0 --name dock-7 --key release-key.pub --site-key site.key
Another site's key, device by device:
  gradgate provision --device dock-7 --name dock-7 --key release-key.pub \\
      --site-key new.key --old-site-key site.key")]
pub struct Args {
    /// The device's name, 1 to 32 bytes
    #[arg(long, value_name = "NAME")]
    name: String,
    /// Public key whose bundles it takes from now on
    #[arg(long, value_name = "KEY.pub")]
    key: PathBuf,
    /// The site's key that it has now
    #[arg(long, value_name = "KEY")]
    old_site_key: Option<PathBuf>,
    /// Give it this key instead of one of the site's
    #[arg(long, value_name = "KEY")]
    new_link_key: Option<PathBuf>,
    /// Let the keys count from its next start on, whenever that is
    #[arg(long)]
    no_restart: bool,
    #[command(flatten)]
    board: BoardArgs,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Runs the subcommand.
pub fn run(args: Args) -> Result<ExitCode> {
    check_name(&args.name)?;
    let text = files::read_text(&args.key)?;
    let public = parse_public(&text).with_context(|| args.key.display().to_string())?;
    let given = given(&args)?;
    let (address, mut client) = args.board.client_with(args.keyring()?)?;
    let restart = !args.no_restart;
    let done = provision(&mut client, &args.name, &public, given, restart)
        .map_err(|error| at(&address, error))?;
    let Provisioned { identity, before, origin, after } = &done;
    let had = match origin {
        Origin::Unprovisioned => "none",
        Origin::Link => "its own",
        Origin::Site(0) => "this site's",
        Origin::Site(_) => "the old site's",
    };
    if args.json {
        let value = json!({
            "device": address.to_string(),
            "serial": hex(&identity.serial),
            "name": args.name,
            "name_before": before.name,
            "key_id": hex(&key_id(&public)),
            "link_key_before": had,
            "restarted": after.is_some(),
        });
        print(&format!("{value:#}\n"))?;
    } else {
        let before = if before.name.is_empty() { "no name" } else { &before.name };
        let counts = match after {
            Some(_) => "answers under the new key",
            None => "the keys count from its next start on",
        };
        print(&format!(
            "{address}: chip {} is {} (was {before}, link key {had})\n\
             takes bundles of key {}; {counts}\n\
             a bundle of another key does not run any more: flash one of this key\n",
            hex(&identity.serial),
            args.name,
            hex(&key_id(&public)),
        ))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn given(args: &Args) -> Result<Given> {
    if let Some(path) = &args.new_link_key {
        let key = LinkKey::parse(&files::read_text(path)?);
        return Ok(Given::Link(key.with_context(|| path.display().to_string())?));
    }
    let path = args.board.link.site_key.as_ref().context(
        "which key should the link have? give --site-key (`gradgate keygen --site` makes one), or \
         --new-link-key",
    )?;
    Ok(Given::Site(site_key(path)?))
}

impl Args {
    /// What the device may have now: the old site's key, the new one's, or none.
    fn keyring(&self) -> Result<Keyring> {
        let given = [self.board.link.site_key.as_ref(), self.old_site_key.as_ref()];
        if self.board.link.link_key.is_some() {
            return self.board.link.keyring();
        }
        let sites = given.into_iter().flatten().map(|path| site_key(path));
        Ok(Keyring::sites(sites.collect::<Result<_>>()?))
    }
}
