//! The device that a command is for: flags that name it, its keys, and its port.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Context, Result, anyhow};
use gradgate_field::address::{Address, BAUD};
use gradgate_field::client::Client;
use gradgate_field::error::Error;
use gradgate_field::found::{self, Found};
use gradgate_field::keys::{Keyring, LinkKey, Origin, SiteKey};
use gradgate_field::link::Patience;
use gradgate_field::wire::{Faulty, Live, Spoilt, Wire};

use crate::files;

/// What serial ports of any age can do.
const BAUDS: std::ops::RangeInclusive<i64> = 50..=20_000_000;

/// A device that can be asked.
pub type Device = Client<Box<dyn Wire>>;

/// Keys and ports, whichever device is meant.
#[derive(clap::Args, Clone, Debug)]
pub struct LinkArgs {
    /// Bits a second of serial ports
    #[arg(long, value_name = "BAUD", default_value_t = BAUD,
          value_parser = clap::value_parser!(u32).range(BAUDS))]
    baud: u32,
    /// The device's own key
    #[arg(long, value_name = "KEY", conflicts_with = "site_key")]
    pub link_key: Option<PathBuf>,
    /// The site's key, from which the device's is derived (`keygen --site`); several while a site
    /// goes from one to another
    #[arg(long, value_name = "KEY")]
    pub site_key: Vec<PathBuf>,
    /// Give up after so many seconds without an answer
    #[arg(long, value_name = "SECONDS", default_value_t = 8.0, hide_short_help = true)]
    patience: f64,
    /// Spoil the wire, to try things on a bad day: drop=0.01,flip=1e-5,duplicate=0.01,seed=7
    /// (also burst, reorder, truncate, glue, zero, delay=MS)
    #[arg(long, value_name = "FAULTS", hide_short_help = true)]
    faults: Option<Spoilt>,
}

/// Which device.
#[derive(clap::Args, Clone, Debug)]
pub struct BoardArgs {
    /// The device: its port (tcp://HOST:PORT, /dev/ttyACM0, COM3), or its name or chip number (with
    /// * and ?); not needed where one board alone is plugged in
    #[arg(short, long, value_name = "DEVICE")]
    device: Option<String>,
    /// Where to look for it [default: serial ports of USB]
    #[arg(short, long, value_name = "PORT", value_parser = Address::from_str)]
    pub port: Vec<Address>,
    #[command(flatten)]
    pub link: LinkArgs,
}

impl LinkArgs {
    /// The keys that a device may have.
    pub fn keyring(&self) -> Result<Keyring> {
        if let Some(path) = &self.link_key {
            return Ok(Keyring::link(link_key(path)?));
        }
        let sites: Result<Vec<SiteKey>> = self.site_key.iter().map(|path| site_key(path)).collect();
        Ok(Keyring::of(sites?))
    }

    /// Whose key a device took, in words; with its file where several were given.
    pub fn whose(&self, origin: Origin) -> String {
        let place = origin.place().filter(|_| self.site_key.len() > 1);
        match place.and_then(|place| self.site_key.get(place)) {
            Some(path) => format!("{} ({})", origin.words(), path.display()),
            None => origin.words().to_owned(),
        }
    }

    /// How long to wait.
    pub fn patience(&self) -> Result<Patience> {
        if !(0.1..=86_400.0).contains(&self.patience) {
            return Err(anyhow!("--patience {}: from 0.1 to 86400 seconds", self.patience));
        }
        let silence_ms = (self.patience * 1000.0) as u64;
        let usual = Patience::default();
        Ok(Patience { silence_ms, timeout_ms: usual.timeout_ms.min(silence_ms), ..usual })
    }

    /// Opens a port.
    pub fn open(&self, address: &Address) -> Result<Box<dyn Wire>, Error> {
        let live = Live::open(address, self.baud)?;
        Ok(match self.faults {
            Some(Spoilt { seed, faults }) => Box::new(Faulty::new(live, seed, faults)),
            None => Box::new(live),
        })
    }

    /// Opens a port to ask the device there.
    pub fn client(&self, address: &Address, keyring: Keyring) -> Result<Device> {
        let wire = self.open(address).map_err(|error| at(address, error))?;
        Ok(Client::new(wire, keyring, self.patience()?))
    }

    /// Who is at these ports.
    pub fn probe(&self, ports: &[Address], keyring: &Keyring) -> Result<Vec<Found>> {
        Ok(found::probe(found::ports(ports)?, keyring, |address| self.open(address)))
    }
}

impl BoardArgs {
    /// Whether a device or a port was named.
    pub fn is_named(&self) -> bool {
        self.device.is_some() || !self.port.is_empty()
    }

    /// Where the device is, whose name may be given instead.
    pub fn address(&self, keyring: &Keyring) -> Result<Address> {
        if let Some(device) = self.device.as_deref().filter(|device| Address::is_address(device)) {
            return Ok(device.parse()?);
        }
        if let (None, [port]) = (&self.device, &self.port[..]) {
            return Ok(port.clone());
        }
        let found = self.link.probe(&self.port, keyring)?;
        let (wanted, named) = (self.device.as_deref(), !self.port.is_empty());
        if let Some((address, error)) = found::trouble(&found, wanted, named) {
            let error = at(address, error.clone());
            return Err(match wanted {
                Some(wanted) => error.context(format!("nobody who answers is called {wanted:?}")),
                None => error,
            });
        }
        Ok(found::only(found, wanted)?.address)
    }

    /// Opens the port of the device.
    pub fn client(&self) -> Result<(Address, Device)> {
        self.client_with(self.link.keyring()?)
    }

    /// The same with other keys than those of the flags.
    pub fn client_with(&self, keyring: Keyring) -> Result<(Address, Device)> {
        let address = self.address(&keyring)?;
        let client = self.link.client(&address, keyring)?;
        Ok((address, client))
    }
}

/// Reads the key of one device.
pub fn link_key(path: &Path) -> Result<LinkKey> {
    let key = LinkKey::parse(&files::read_text(path)?);
    key.with_context(|| path.display().to_string())
}

/// Reads the key of a site.
pub fn site_key(path: &Path) -> Result<SiteKey> {
    let key = SiteKey::parse(&files::read_text(path)?);
    key.with_context(|| path.display().to_string())
}

/// An error and the port where it came about.
pub fn at(address: &Address, error: Error) -> anyhow::Error {
    anyhow::Error::new(error).context(address.to_string())
}
