//! A device is told its name, whose bundles it takes, and the key of its link.
//!
//! The keys count from the next start on, which is asked for at once; then the device must answer
//! under the new key. A device that is provisioned anew keeps its bundles, but starts none that
//! the new key did not sign.

use gradgate_bundle::signature::{VerifyingKey, key_id};
use gradgate_link::Request;

use crate::client::Client;
use crate::device::{Identity, Status};
use crate::error::Error;
use crate::keys::{Keyring, LinkKey, Origin, SiteKey};
use crate::wire::Wire;

/// Longest name, in bytes.
pub const NAME_BYTES_MAX: usize = 32;

/// Which key the device gets.
#[derive(Clone, Copy, Debug)]
pub enum Given {
    /// The one that the site's key gives for its chip.
    Site(SiteKey),
    /// This one.
    Link(LinkKey),
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Provisioned {
    /// Who it is.
    pub identity: Identity,
    /// How it was before.
    pub before: Status,
    /// Whose key it had before.
    pub origin: Origin,
    /// How it is, under the new key; `None` before it was restarted.
    pub after: Option<Status>,
}

/// Refuses names that a device does not take.
///
/// # Errors
/// [`Error::File`].
pub fn check_name(name: &str) -> Result<(), Error> {
    let good = (1..=NAME_BYTES_MAX).contains(&name.len()) && !name.chars().any(char::is_control);
    if good {
        return Ok(());
    }
    let message = format!(
        "the name {name:?} has {} bytes: 1 to {NAME_BYTES_MAX} are good, without line breaks",
        name.len()
    );
    Err(Error::File { message })
}

/// Gives a device name and keys; with `restart` it is started anew and must answer under the new
/// key.
///
/// # Errors
/// Those of the link; [`Error::File`] for a bad name.
pub fn provision<W: Wire>(
    client: &mut Client<W>,
    name: &str,
    public: &VerifyingKey,
    given: Given,
    restart: bool,
) -> Result<Provisioned, Error> {
    check_name(name)?;
    let identity = client.identify()?;
    let before = client.status()?;
    let origin = client.origin();
    let key = match given {
        Given::Site(site) => site.derive(&identity.serial),
        Given::Link(key) => key,
    };
    let (public_key, link_key) = (public.to_bytes(), *key.bytes());
    client.order(&Request::Provision { name, public_key, link_key })?;
    if !restart {
        return Ok(Provisioned { identity, before, origin, after: None });
    }
    match client.reboot() {
        // It may be gone before its answer is out.
        Ok(()) | Err(Error::Silent { .. } | Error::Key { .. }) => {}
        Err(error) => return Err(error),
    }
    client.leave(Some(Keyring::link(key)));
    let after = client.status()?;
    let right = after.name == name && after.provisioned && after.key_id == key_id(public);
    if !right {
        return Err(Error::Answer { doing: "reading back name and keys" });
    }
    Ok(Provisioned { identity, before, origin, after: Some(after) })
}
