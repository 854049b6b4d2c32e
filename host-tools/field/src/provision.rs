//! A device is told its name, whose bundles it takes, and the key of its link.
//!
//! The keys count from the next start on, which is asked for at once; then the device must answer
//! under the new key. A device that is provisioned anew keeps its bundles, but starts none that
//! the new key did not sign. The same errand may be begun again at any moment: it tries the new
//! key and the old one, so an answer that was lost locks nobody out.

use gradgate_bundle::signature::{VerifyingKey, key_id};
use gradgate_link::{Refusal, Request};

use crate::address::Address;
use crate::client::Client;
use crate::device::{Identity, Status};
use crate::error::Error;
use crate::keys::{Keyring, LinkKey, Origin, Secret};
use crate::wire::Wire;

/// Longest name, in bytes.
pub const NAME_BYTES_MAX: usize = 32;

/// Restarts that are asked for before the device's user is.
const RESTARTS_MAX: u32 = 2;

/// What a device is given.
#[derive(Clone, Copy, Debug)]
pub struct Given<'g> {
    /// `None`: the name that it has.
    pub name: Option<&'g str>,
    /// The key whose bundles it takes.
    pub public: &'g VerifyingKey,
    /// Its own key, or its site's.
    pub secret: Secret,
    /// The key that it has now, where it may be another than the new one or none.
    pub old: Option<Secret>,
    /// Start it anew, and see it answer under the new key.
    pub restart: bool,
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Provisioned {
    /// Who it is.
    pub identity: Identity,
    /// Its name now.
    pub name: String,
    /// How it was before.
    pub before: Status,
    /// Whose key it had before, by the places of [`Given::keyring`].
    pub origin: Origin,
    /// How it is, under the new key; `None` before it was restarted.
    pub after: Option<Status>,
}

impl Given<'_> {
    /// What the device may have now: the new key in place 0, the old one in place 1, or none.
    pub fn keyring(&self) -> Keyring {
        Keyring::of([Some(self.secret), self.old].into_iter().flatten())
    }
}

/// Refuses names that a device does not take, or by which it could not be named afterwards.
///
/// # Errors
/// [`Error::File`].
pub fn check_name(name: &str) -> Result<(), Error> {
    let length = name.len();
    let what = match name {
        _ if !(1..=NAME_BYTES_MAX).contains(&length) => {
            format!("has {length} bytes: 1 to {NAME_BYTES_MAX} are good")
        }
        _ if name.chars().any(char::is_control) => "holds a control character".to_owned(),
        _ if name.contains(['*', '?']) => {
            "holds * or ?, which stand for other characters in --device and --match".to_owned()
        }
        _ if name.contains([',', '"']) => "holds a comma or quote, which lists cannot".to_owned(),
        _ if name.trim() != name => "begins or ends with a blank".to_owned(),
        _ if name.starts_with(['-', '#']) || Address::is_address(name) => {
            "would be taken for an option, a comment or a port".to_owned()
        }
        _ => return Ok(()),
    };
    let message = format!("the name {name:?} {what}: choose one such as dock-7");
    Err(Error::File { message })
}

/// Gives a device name and keys; with `restart` it is started anew and must answer under the new
/// key. The client must have [`Given::keyring`].
///
/// # Errors
/// Those of the link; [`Error::File`] for a bad name; [`Error::Halfway`] when the device may have
/// the new key: the same may be done again.
pub fn provision<W: Wire>(client: &mut Client<W>, given: &Given) -> Result<Provisioned, Error> {
    given.name.map_or(Ok(()), check_name)?;
    let identity = client.identify()?;
    let before = client.status()?;
    let origin = client.origin();
    let name = given.name.unwrap_or(&before.name).to_owned();
    if name.is_empty() {
        let message = "the device has no name yet: give it one with --name".to_owned();
        return Err(Error::File { message });
    }
    let key = given.secret.derive(&identity.serial);
    let (public_key, link_key) = (given.public.to_bytes(), *key.bytes());
    let request = Request::Provision { name: &name, public_key, link_key };
    client.order(&request).map_err(|error| match error {
        // What was being written when storage failed may be there, and be read at the next start.
        Error::Refused { refusal, .. } if refusal != Refusal::Storage => error,
        Error::Long { .. } => error,
        cause => halfway(
            Some(cause),
            "whether it took the new key is not known: run the same command again, which tries \
             both keys, and keep both files until then",
        ),
    })?;
    let after = match given.restart {
        true => Some(restarted(client, given, (&identity, &before), (&name, &key))?),
        false => None,
    };
    Ok(Provisioned { identity, name, before, origin, after })
}

/// Starts the device anew, and sees what it was given.
fn restarted<W: Wire>(
    client: &mut Client<W>,
    given: &Given,
    (identity, before): (&Identity, &Status),
    (name, key): (&str, &LinkKey),
) -> Result<Status, Error> {
    let keys = given.keyring().keys(&identity.serial);
    let advice = "it has the new key, which counts from its next start on: power it off and on, \
                  then run the same command again, and keep both key files until then";
    for _ in 0..RESTARTS_MAX {
        match client.reboot() {
            // It may be gone before its answer is out.
            Ok(()) | Err(Error::Silent { .. } | Error::Key { .. }) => {}
            Err(error) => return Err(halfway(Some(error), advice)),
        }
        client.leave(Some(given.keyring()));
        let after = client.status().map_err(|error| halfway(Some(error), advice))?;
        let origin = client.origin();
        let answers = keys.iter().any(|(place, found)| *place == origin && found == key);
        // Name and keys of the link may be told at once, whose bundles it takes by what runs.
        let is_new = after.boots != before.boots && after.key_id == key_id(given.public);
        if answers && is_new && after.name == name && after.provisioned {
            return Ok(after);
        }
    }
    Err(halfway(None, advice))
}

fn halfway(cause: Option<Error>, now: &'static str) -> Error {
    Error::Halfway { cause: cause.map(Box::new), now }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_can_be_named() {
        let good = ["dock-7", "x", "Halle 3, Tor 1".split(',').next().unwrap_or(""), "größe"];
        for name in good {
            assert!(check_name(name).is_ok(), "{name}");
        }
        let long = "x".repeat(33);
        let bad = [
            ("", "0 bytes"),
            (&long, "33 bytes"),
            ("a\nb", "control"),
            ("dock-*", "--match"),
            ("dock?", "--match"),
            ("a,b", "comma"),
            (" a", "blank"),
            ("-a", "option"),
            ("COM3", "port"),
            ("tcp://h:1", "port"),
        ];
        for (name, said) in bad {
            let error = check_name(name).expect_err(name).to_string();
            assert!(error.contains(said) && error.contains("such as"), "{error}");
        }
    }
}
