//! Which devices answer at which ports.

use std::fmt;

use crate::address::Address;
use crate::client::Client;
use crate::device::{Identity, Slots, Status, hex};
use crate::error::Error;
use crate::keys::{Keyring, Origin};
use crate::link::Patience;
use crate::pattern;
use crate::port;
use crate::wire::Wire;

/// A device that answered.
#[derive(Clone, Debug, PartialEq)]
pub struct Answered {
    /// Who it is.
    pub identity: Identity,
    /// How it is.
    pub status: Status,
    /// What lies in its slots.
    pub slots: Slots,
    /// Whose key it took.
    pub origin: Origin,
}

/// A port and who is there.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// Where.
    pub address: Address,
    /// What is plugged in, as USB says it.
    pub product: String,
    /// Who answered, or why nobody did.
    pub answer: Result<Answered, Error>,
}

/// Waits long enough to tell a device from nothing, in milliseconds.
pub const PROBE: Patience =
    Patience { timeout_ms: 300, tries: 3, silence_ms: 2000, work_ms: 2000, busy_ms: 5000 };

impl fmt::Display for Found {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.answer {
            Ok(Answered { identity, status, .. }) => write!(
                out,
                "{} ({}, {}, chip {})",
                self.address,
                if status.name.is_empty() { "no name" } else { &status.name },
                identity.board,
                hex(&identity.serial)
            ),
            Err(error) => write!(out, "{}: {error}", self.address),
        }
    }
}

impl Found {
    /// Whether it answered and its name, chip number or port is what the pattern says.
    pub fn is(&self, wanted: &str) -> bool {
        let Ok(Answered { identity, status, .. }) = &self.answer else { return false };
        let names = [status.name.clone(), hex(&identity.serial), self.address.to_string()];
        names.iter().any(|name| pattern::matches(wanted, name))
    }

    fn is_meant(&self, wanted: Option<&str>) -> bool {
        wanted.map_or(self.answer.is_ok(), |wanted| self.is(wanted))
    }
}

/// Asks a device who and how it is.
///
/// # Errors
/// Those of [`Client::ask`].
pub fn ask<W: Wire>(client: &mut Client<W>) -> Result<Answered, Error> {
    let (identity, status, slots) = (client.identify()?, client.status()?, client.slots()?);
    Ok(Answered { identity, status, slots, origin: client.origin() })
}

/// The ports given, or those of USB.
///
/// # Errors
/// [`Error::Open`] where the system lists none.
pub fn ports(given: &[Address]) -> Result<Vec<port::Listed>, Error> {
    if given.is_empty() {
        return port::list();
    }
    let listed =
        |address: &Address| port::Listed { address: address.clone(), product: String::new() };
    Ok(given.iter().map(listed).collect())
}

/// Asks at all ports at once; `open` opens one.
pub fn probe<W: Wire>(
    ports: Vec<port::Listed>,
    keyring: &Keyring,
    open: impl Fn(&Address) -> Result<W, Error> + Sync,
) -> Vec<Found> {
    let one = |port: port::Listed| {
        let wire = open(&port.address);
        let answer = wire.and_then(|wire| ask(&mut Client::new(wire, keyring.clone(), PROBE)));
        Found { address: port.address, product: port.product, answer }
    };
    std::thread::scope(|scope| {
        let one = &one;
        let threads: Vec<_> =
            ports.into_iter().map(|port| scope.spawn(move || one(port))).collect();
        // A thread that panicked is a fault of ours, and is not hidden.
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|p| std::panic::resume_unwind(p)))
            .collect()
    })
}

/// A port that may be the one that is meant, where none of those that answer is: whoever is there
/// has another key, is in use, refuses, or says nothing where this port alone was looked at or
/// `named`. It must not look like a device that is not there.
pub fn trouble<'f>(
    found: &'f [Found],
    wanted: Option<&str>,
    named: bool,
) -> Option<(&'f Address, &'f Error)> {
    if found.iter().any(|found| found.is_meant(wanted)) {
        return None;
    }
    let errors =
        || found.iter().filter_map(|found| Some((&found.address, found.answer.as_ref().err()?)));
    let is_there = |error: &Error| !matches!(error, Error::Absent { .. } | Error::Silent { .. });
    let counts =
        |error: &Error| matches!(error, Error::Silent { .. }) && (named || found.len() == 1);
    let first = errors().find(|(_, error)| is_there(error));
    first.or_else(|| errors().find(|(_, error)| counts(error)))
}

/// The one device that is meant; [`trouble`] is asked before.
///
/// # Errors
/// [`Error::Absent`] when none matches, [`Error::File`] when several do, with all that were found.
pub fn only(found: Vec<Found>, wanted: Option<&str>) -> Result<Found, Error> {
    let list =
        |found: &[Found]| -> String { found.iter().map(|found| format!("\n  {found}")).collect() };
    if found.is_empty() {
        let message = "no port to look at: no board at USB; name one with --port tcp://HOST:PORT or \
                       --port /dev/ttyS0 (or the same with --device)";
        return Err(Error::Absent { message: message.into() });
    }
    let all = list(&found);
    let mut meant: Vec<Found> = found.into_iter().filter(|found| found.is_meant(wanted)).collect();
    match (meant.len(), wanted) {
        (1, _) => Ok(meant.remove(0)),
        (0, Some(wanted)) => {
            let message = format!("no device is called {wanted:?}; looked at{all}");
            Err(Error::Absent { message })
        }
        (0, None) => Err(Error::Absent { message: format!("no device answers; looked at{all}") }),
        (several, _) => {
            let message = format!(
                "{several} devices match, and one is needed: name it with --device NAME, chip \
                 number or port{}",
                list(&meant)
            );
            Err(Error::File { message })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(error: Error) -> Found {
        let address = Address::Serial { name: "/dev/ttyACM0".to_owned() };
        Found { address, product: String::new(), answer: Err(error) }
    }

    #[test]
    fn who_is_there_and_cannot_be_asked_is_not_absent() {
        let absent = || Error::Absent { message: String::new() };
        let silent = || Error::Silent { waited_ms: 1, trouble: None, noise: 0 };
        let open = || Error::Open { reason: String::new(), advice: "" };
        let key = || Error::Key { serial: [0; 16], unprovisioned: false };
        // Errors of the ports, whether they were named, place of the one that is told.
        let table = [
            (vec![], false, None),
            (vec![absent()], true, None),
            (vec![absent(), absent()], false, None),
            (vec![silent()], false, Some(0)),
            (vec![silent(), silent()], false, None),
            (vec![absent(), silent()], true, Some(1)),
            (vec![silent(), key()], true, Some(1)),
            (vec![absent(), Error::Locked], false, Some(1)),
            (vec![Error::Versions, absent()], false, Some(0)),
            (vec![silent(), open()], false, Some(1)),
        ];
        for (errors, named, place) in table {
            let ports: Vec<Found> = errors.iter().cloned().map(found).collect();
            for wanted in [None, Some("dock-7")] {
                let told = trouble(&ports, wanted, named).map(|(_, error)| error);
                assert_eq!(told, place.map(|place: usize| &errors[place]), "{errors:?} {named}");
            }
        }
    }
}
