//! `gradgate provision`: a device gets its name and keys.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use gradgate_bundle::keys::parse_public;
use gradgate_bundle::signature::key_id;
use gradgate_field::Address;
use gradgate_field::device::hex;
use gradgate_field::keys::Secret;
use gradgate_field::provision::{Given, Provisioned, check_name, provision};
use serde_json::{Value, json};

use crate::board::{BoardArgs, at, link_key, site_key};
use crate::output::print;
use crate::{files, interrupt};

/// Give a device its name, the key whose bundles it takes, and the key of its link.
///
/// --site-key or --link-key is the key that it gets, as later commands name it; --old-key is the
/// one that it has now, if another. A site's key gives each device one of its own, by the chip's
/// number. It goes over the wire as it is: do this over a cable that nobody else is at. The device
/// is restarted and must then answer under the new key. Whatever goes wrong, the same command may
/// be run again: it tries the new key, the old one, and that of new devices.
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  gradgate keygen --site -o site.key
  gradgate provision --device /dev/ttyACM0 --name dock-7 --key release-key.pub --site-key site.key
From one key to another, device by device (each may be a site's or a device's own):
  gradgate provision --device dock-7 --key release-key.pub --site-key new.key --old-key site.key
  gradgate keygen --link -o dock-7.key
  gradgate provision --device dock-7 --key release-key.pub --link-key dock-7.key --old-key new.key
  gradgate provision --device dock-7 --key release-key.pub --site-key new.key --old-key dock-7.key
Exit code: 0 done, 2 an error here, 4 the device refused, 5 no answer or another key,
130 interrupted: run the same command again.")]
pub struct Args {
    /// The device's name, 1 to 32 bytes [default: the one that it has]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Public key whose bundles it takes from now on
    #[arg(long, value_name = "KEY.pub")]
    key: PathBuf,
    /// The key that it has now, a site's or its own, where that is not the one it gets
    #[arg(long, value_name = "KEY")]
    old_key: Option<PathBuf>,
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
    args.name.as_deref().map_or(Ok(()), check_name)?;
    let text = files::read_text(&args.key)?;
    let public = parse_public(&text).with_context(|| args.key.display().to_string())?;
    let (path, secret) = args.new_key()?;
    // A key that a device has and no file would lock everybody out.
    files::settle(path)?;
    let given = Given {
        name: args.name.as_deref(),
        public: &public,
        secret,
        old: args.old_key.as_deref().map(any_key).transpose()?,
        restart: !args.no_restart,
    };
    let (address, mut client) = args.board.client_with(given.keyring())?;
    // A change of keys is not left half way for one Ctrl-C.
    let _whole = interrupt::Loop::enter();
    let done = provision(&mut client, &given).map_err(|error| at(&address, error))?;
    let outcome = Outcome {
        address,
        done,
        key_id: hex(&key_id(&public)),
        path,
        old: args.old_key.as_deref(),
    };
    print(&if args.json { format!("{:#}\n", outcome.json()) } else { outcome.text(&secret) })?;
    Ok(ExitCode::SUCCESS)
}

/// What was done, for people and programs.
struct Outcome<'a> {
    address: Address,
    done: Provisioned,
    key_id: String,
    path: &'a Path,
    old: Option<&'a Path>,
}

impl Outcome<'_> {
    /// The file whose key it had.
    fn had(&self) -> String {
        let path = match self.done.origin.place() {
            None => None,
            Some(0) => Some(self.path),
            Some(_) => self.old,
        };
        path.map_or_else(|| "none".to_owned(), |path| path.display().to_string())
    }

    fn json(&self) -> Value {
        let Provisioned { identity, name, before, origin, after } = &self.done;
        json!({
            "device": self.address.to_string(),
            "serial": hex(&identity.serial),
            "name": name,
            "name_before": before.name,
            "key_id": self.key_id,
            "link_key": self.path.display().to_string(),
            "link_key_before": self.had(),
            "link_key_before_kind": origin.name(),
            "restarted": after.is_some(),
        })
    }

    fn text(&self, secret: &Secret) -> String {
        let Provisioned { identity, name, before, after, .. } = &self.done;
        let was = if before.name.is_empty() { "no name" } else { &before.name };
        let (serial, new) = (hex(&identity.serial), self.path.display());
        let counts = match after {
            Some(_) => format!("answers under the key of {new}"),
            None => format!("under the key of {new} from its next start on, until then as before"),
        };
        let mut text = format!(
            "{}: chip {serial} is {name} (was {was}, link key {})\n\
             takes bundles of key {}; {counts}\n",
            self.address,
            self.had(),
            self.key_id
        );
        if let Secret::Link(_) = secret {
            text.push_str(&format!(
                "keep {new} safe: without it this board has to be erased with a probe\n"
            ));
        }
        if before.provisioned && hex(&before.key_id) != self.key_id {
            text.push_str("bundles of the key before do not run any more: flash one of this key\n");
        }
        text
    }
}

fn any_key(path: &Path) -> Result<Secret> {
    Secret::parse(&files::read_text(path)?).with_context(|| path.display().to_string())
}

impl Args {
    /// The key that it gets, and its file.
    fn new_key(&self) -> Result<(&Path, Secret)> {
        let link = &self.board.link;
        match (&link.site_key[..], &link.link_key) {
            ([path], _) => Ok((path, site_key(path)?.into())),
            ([], Some(path)) => Ok((path, link_key(path)?.into())),
            ([_, _, ..], _) => bail!(
                "a link has one key: give one --site-key, and the key that it has now as --old-key"
            ),
            ([], None) => bail!(
                "which key should the link have? give --site-key (`gradgate keygen --site` makes \
                 one), or --link-key for one of its own (`gradgate keygen --link`)"
            ),
        }
    }
}
