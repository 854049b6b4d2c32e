//! The keys that are tried at a device, and whose of them it took.

use super::{KeyError, LINK, LinkKey, SITE, Serial, SiteKey};

/// A key of either kind; prints nothing of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Secret {
    /// One device's own.
    Link(LinkKey),
    /// A site's.
    Site(SiteKey),
}

impl From<LinkKey> for Secret {
    fn from(key: LinkKey) -> Secret {
        Secret::Link(key)
    }
}

impl From<SiteKey> for Secret {
    fn from(key: SiteKey) -> Secret {
        Secret::Site(key)
    }
}

impl Secret {
    /// Reads a key file, which says itself of which kind it is.
    ///
    /// # Errors
    /// Anything but one line of either form.
    pub fn parse(text: &str) -> Result<Secret, KeyError> {
        match text.split(' ').next() {
            Some(LINK) => LinkKey::parse(text).map(Secret::Link),
            Some(SITE) => SiteKey::parse(text).map(Secret::Site),
            _ => Err(KeyError::Neither),
        }
    }

    /// The key of the device whose chip has this number.
    pub fn derive(&self, serial: &Serial) -> LinkKey {
        match self {
            Secret::Link(key) => *key,
            Secret::Site(site) => site.derive(serial),
        }
    }
}

/// Whose key a device took. Numbers are places in the [`Keyring`], from 0 on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// It was given none: everybody has it.
    Unprovisioned,
    /// The device's own, from a file.
    Link(usize),
    /// Derived from a site's.
    Site(usize),
}

impl Origin {
    /// In words, for people.
    pub fn words(self) -> &'static str {
        match self {
            Origin::Unprovisioned => "no key of its own yet",
            Origin::Link(_) => "a key of its own",
            Origin::Site(_) => "the site's key",
        }
    }

    /// In a word, for programs.
    pub fn name(self) -> &'static str {
        match self {
            Origin::Unprovisioned => "none",
            Origin::Link(_) => "own",
            Origin::Site(_) => "site",
        }
    }

    /// The place in the ring; `None` for the key that everybody knows.
    pub fn place(self) -> Option<usize> {
        match self {
            Origin::Unprovisioned => None,
            Origin::Link(at) | Origin::Site(at) => Some(at),
        }
    }
}

/// The keys that a device may have.
#[derive(Clone, Debug, Default)]
pub struct Keyring {
    secrets: Vec<Secret>,
    /// The key that everybody knows is not among them.
    closed: bool,
}

impl Keyring {
    /// Nothing but the key that everybody knows.
    pub fn unprovisioned() -> Keyring {
        Keyring::default()
    }

    /// This key and no other.
    pub fn link(key: LinkKey) -> Keyring {
        Keyring { secrets: vec![key.into()], closed: true }
    }

    /// Keys of either kind, tried in this order, then that of devices without one.
    pub fn of<S: Into<Secret>>(secrets: impl IntoIterator<Item = S>) -> Keyring {
        Keyring { secrets: secrets.into_iter().map(Into::into).collect(), closed: false }
    }

    /// The keys that the device with this number may have, in the order of trial.
    pub fn keys(&self, serial: &Serial) -> Vec<(Origin, LinkKey)> {
        let named = self.secrets.iter().enumerate().map(|(at, secret)| {
            let origin = match secret {
                Secret::Link(_) => Origin::Link(at),
                Secret::Site(_) => Origin::Site(at),
            };
            (origin, secret.derive(serial))
        });
        let everybody = (!self.closed).then_some((Origin::Unprovisioned, LinkKey::UNPROVISIONED));
        named.chain(everybody).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_given_key_is_the_only_one_and_others_come_before_zeros() {
        let (site, key) = (SiteKey::new([1; 32]), LinkKey::new([2; 32]));
        let origins = |ring: &Keyring| -> Vec<Origin> {
            ring.keys(&[9; 16]).into_iter().map(|(origin, _)| origin).collect()
        };
        assert_eq!(origins(&Keyring::link(key)), [Origin::Link(0)]);
        let both = Keyring::of([Secret::from(site), key.into()]);
        assert_eq!(origins(&both), [Origin::Site(0), Origin::Link(1), Origin::Unprovisioned]);
        assert_eq!(origins(&Keyring::unprovisioned()), [Origin::Unprovisioned]);
        assert_eq!(both.keys(&[9; 16])[1].1, key);
    }

    #[test]
    fn a_file_tells_its_kind() {
        let (site, key) = (SiteKey::new([1; 32]), LinkKey::new([2; 32]));
        assert_eq!(Secret::parse(&site.text()), Ok(site.into()));
        assert_eq!(Secret::parse(&key.text()), Ok(key.into()));
        for text in ["", "gradgate-ed25519-secret 00", "gradgate-link-secret"] {
            assert!(Secret::parse(text).is_err(), "{text}");
        }
        assert_eq!(Secret::parse("x"), Err(KeyError::Neither));
    }
}
