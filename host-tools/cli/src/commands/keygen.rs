//! `gradgate keygen`: a key pair for signing bundles, or a key of links.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, anyhow, bail};
use gradgate_bundle::keys::{from_seed, public_text, secret_text};
use gradgate_bundle::signature::key_id;
use gradgate_field::keys::{LinkKey, SiteKey};

use crate::files::create_new;
use crate::output::{hex, print};

/// Make an Ed25519 key pair for signing bundles, or a key for the links of devices.
///
/// Writes KEY (secret: readable by you alone, keep it safe) and KEY.pub (for devices), or with
/// --site or --link KEY alone. Existing files are never overwritten.
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  gradgate keygen -o release-key
  gradgate keygen --site -o site.key
  gradgate keygen --link -o dock-7.key")]
pub struct Args {
    /// Where the secret key goes; the public one goes to KEY.pub
    #[arg(short, long, value_name = "KEY")]
    output: PathBuf,
    /// A site's key: every device has a key of its own, derived from it by the chip's number
    #[arg(long)]
    site: bool,
    /// A key for one device alone, which is derived from nothing
    #[arg(long, conflicts_with = "site")]
    link: bool,
}

/// Runs the subcommand.
pub fn run(args: Args) -> Result<ExitCode> {
    if args.site {
        let key = SiteKey::new(seed()?).text();
        return alone(
            &args,
            &key,
            "the site's key; who has it commands all its devices",
            "--site-key",
        );
    }
    if args.link {
        let key = LinkKey::new(seed()?).text();
        return alone(&args, &key, "the key of one device's link, and the only copy", "--link-key");
    }
    let mut public_path = args.output.clone().into_os_string();
    public_path.push(".pub");
    let public_path = PathBuf::from(public_path);
    if public_path.exists() {
        let name = public_path.display();
        bail!("{name} exists already: keys are never overwritten, choose another name");
    }
    let key = from_seed(&seed()?);
    create_new(&args.output, secret_text(&key).as_bytes(), true)?;
    let public = key.verifying_key();
    if let Err(error) = create_new(&public_path, public_text(&public).as_bytes(), false) {
        // Half a pair is of no use.
        let _ = std::fs::remove_file(&args.output);
        return Err(error);
    }
    print(&format!(
        "{} (secret) and {} (public), key {}\nnext: gradgate pack .. --sign {}\n",
        args.output.display(),
        public_path.display(),
        hex(&key_id(&public)),
        args.output.display(),
    ))?;
    Ok(ExitCode::SUCCESS)
}

/// Writes a key that has no public half.
fn alone(args: &Args, text: &str, is: &str, flag: &str) -> Result<ExitCode> {
    create_new(&args.output, text.as_bytes(), true)?;
    let name = args.output.display();
    print(&format!(
        "{name} (secret): {is}\n\
         next: gradgate provision .. {flag} {name}\n"
    ))?;
    Ok(ExitCode::SUCCESS)
}

fn seed() -> Result<[u8; 32]> {
    let mut seed = [0_u8; 32];
    getrandom::fill(&mut seed).map_err(|error| {
        anyhow!("the system gives no random numbers ({error}): no key was made")
    })?;
    Ok(seed)
}
