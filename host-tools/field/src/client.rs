//! The blocking layer: a link, a wire, and one method a request.

use gradgate_link::message::{Counters, Event, HISTOGRAM_BINS, Judged, events};
use gradgate_link::{Reply, Request, Telemetry};

use crate::device::{Histogram, Identity, Slots, Status, Unfinished, hex};
use crate::error::Error;
use crate::job::{Job, Next, Step, step};
use crate::keys::{Keyring, Origin};
use crate::link::{Effort, Link, Patience, doing};
use crate::wire::Wire;

/// Bytes taken at once.
const READ_BYTES: usize = 4096;

/// More entries than any device keeps.
const LOG_ENTRIES_MAX: usize = 1 << 16;

/// Takes telemetry as it comes: its sequence number, whose gaps tell of losses, and what is told.
pub type Listener = Box<dyn FnMut(u32, &Telemetry)>;

/// A device that can be asked. It waits as long as the link's [`Patience`] allows.
pub struct Client<W> {
    link: Link,
    wire: W,
    listener: Option<Listener>,
}

impl<W: Wire> Client<W> {
    /// Nothing is sent before the first request.
    pub fn new(wire: W, keyring: Keyring, patience: Patience) -> Client<W> {
        Client { link: Link::new(keyring, patience), wire, listener: None }
    }

    /// Whom to tell of telemetry.
    pub fn listen_with(&mut self, listener: Listener) {
        self.listener = Some(listener);
    }

    /// The link below.
    pub fn link(&self) -> &Link {
        &self.link
    }

    /// The wire below.
    pub fn wire(&mut self) -> &mut W {
        &mut self.wire
    }

    /// How hard it was so far.
    pub fn effort(&self) -> Effort {
        self.link.effort()
    }

    /// Whose key the device took.
    pub fn origin(&self) -> Origin {
        self.link.origin()
    }

    /// Leaves the session; other keys may be given for the next.
    pub fn leave(&mut self, keyring: Option<Keyring>) {
        self.link.leave(keyring);
    }

    /// Runs an errand to its end; `watch` sees it after every step.
    ///
    /// # Errors
    /// Those of the link and of the errand.
    pub fn run<J: Job>(
        &mut self,
        job: &mut J,
        mut watch: impl FnMut(&J, u64),
    ) -> Result<(), Error> {
        self.run_while(job, |job, now_ms| {
            watch(job, now_ms);
            true
        })
    }

    /// As [`Client::run`], but ends between two packets as soon as `watch` says `false`.
    ///
    /// # Errors
    /// Those of the link and of the errand; [`Error::Stopped`].
    pub fn run_while<J: Job>(
        &mut self,
        job: &mut J,
        mut watch: impl FnMut(&J, u64) -> bool,
    ) -> Result<(), Error> {
        loop {
            let (now_ms, wire) = (self.wire.now_ms(), &mut self.wire);
            let step = step(&mut self.link, job, now_ms, &mut || wire.nonce());
            let go_on = watch(job, now_ms);
            match step.map_err(|error| self.explained(error))? {
                Step::Done => return Ok(()),
                _ if !go_on => return Err(Error::Stopped { left: String::new() }),
                Step::Send => self.wire.write(self.link.frame()),
                Step::Wait(until_ms) => self.take(until_ms),
            }
        }
    }

    /// Asks, and waits for the answer; a refusal is an error.
    ///
    /// # Errors
    /// Those of the link, [`Error::Refused`].
    pub fn ask(&mut self, request: &Request<'_>) -> Result<Reply<'_>, Error> {
        let mut once = Once { request, answered: false };
        self.run(&mut once, |_, _| {})?;
        self.link.reply().ok_or(Error::Answer { doing: doing(request) })
    }

    /// Hears telemetry for so long.
    pub fn listen(&mut self, milliseconds: u64) {
        let end_ms = self.wire.now_ms().saturating_add(milliseconds);
        while self.wire.now_ms() < end_ms {
            self.take(end_ms);
        }
    }

    fn take(&mut self, until_ms: u64) {
        let mut bytes = [0; READ_BYTES];
        let length = self.wire.read(&mut bytes, until_ms);
        let now_ms = self.wire.now_ms();
        self.link.receive(bytes.get(..length).unwrap_or_default(), now_ms);
        while let Some((sequence, telemetry)) = self.link.take_telemetry() {
            if let Some(listener) = &mut self.listener {
                listener(sequence, &telemetry);
            }
        }
    }

    fn explained(&self, error: Error) -> Error {
        match error {
            Error::Silent { waited_ms, trouble: None, noise } => {
                Error::Silent { waited_ms, trouble: self.wire.trouble(), noise }
            }
            other => other,
        }
    }

    /// Who it is.
    ///
    /// # Errors
    /// Those of [`Client::ask`].
    pub fn identify(&mut self) -> Result<Identity, Error> {
        match self.ask(&Request::Identify)? {
            Reply::Identity(identity) => Ok(identity.into()),
            _ => Err(Error::Answer { doing: doing(&Request::Identify) }),
        }
    }

    /// How it is.
    ///
    /// # Errors
    /// Those of [`Client::ask`].
    pub fn status(&mut self) -> Result<Status, Error> {
        match self.ask(&Request::ReadStatus)? {
            Reply::Status(status) => Ok(status.into()),
            _ => Err(Error::Answer { doing: doing(&Request::ReadStatus) }),
        }
    }

    /// What lies in the slots.
    ///
    /// # Errors
    /// Those of [`Client::ask`].
    pub fn slots(&mut self) -> Result<Slots, Error> {
        match self.ask(&Request::ListSlots)? {
            Reply::Slots { active, slots } => Ok(Slots { active, slots }),
            _ => Err(Error::Answer { doing: doing(&Request::ListSlots) }),
        }
    }

    /// What an upload left that was not finished; none, too, where the firmware cannot tell.
    ///
    /// # Errors
    /// Those of [`Client::ask`].
    pub fn unfinished(&mut self) -> Result<Option<Unfinished>, Error> {
        match self.ask(&Request::ReadUpload) {
            Ok(Reply::Unfinished { slot, identity, offset: bytes, total_bytes }) => {
                let identity = hex(&identity);
                Ok(Some(Unfinished { slot, bytes, total_bytes, identity }))
            }
            Ok(_) => Err(Error::Answer { doing: doing(&Request::ReadUpload) }),
            Err(Error::Refused { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// What it counted since it started.
    ///
    /// # Errors
    /// Those of [`Client::ask`].
    pub fn counters(&mut self) -> Result<Counters, Error> {
        match self.ask(&Request::ReadCounters)? {
            Reply::Counters(counters) => Ok(counters),
            _ => Err(Error::Answer { doing: doing(&Request::ReadCounters) }),
        }
    }

    /// Entries of the log from this number on, as many as one answer holds: the number of the
    /// first, what to ask for next, and the entries.
    ///
    /// # Errors
    /// Those of [`Client::ask`].
    pub fn log(&mut self, from: u32) -> Result<(u32, u32, Vec<Event>), Error> {
        let request = Request::ReadLog { from };
        match self.ask(&request)? {
            Reply::Log { first, next, events: bytes } => Ok((first, next, events(bytes).collect())),
            _ => Err(Error::Answer { doing: doing(&request) }),
        }
    }

    /// All entries that are kept, oldest first.
    ///
    /// # Errors
    /// Those of [`Client::ask`].
    pub fn whole_log(&mut self) -> Result<Vec<Event>, Error> {
        let (mut from, mut entries) = (0, Vec::new());
        loop {
            let (_, next, more) = self.log(from)?;
            // A log that never ends would be read for ever.
            if more.is_empty() || next <= from || entries.len() > LOG_ENTRIES_MAX {
                return Ok(entries);
            }
            (from, entries) = (next, [entries, more].concat());
        }
    }

    /// How often which scores were.
    ///
    /// # Errors
    /// Those of [`Client::ask`].
    pub fn histogram(&mut self) -> Result<Histogram, Error> {
        let error = Error::Answer { doing: doing(&Request::ReadHistogram) };
        match self.ask(&Request::ReadHistogram)? {
            Reply::Histogram { low, high, threshold, counts } => {
                let (words, rest) = counts.as_chunks::<4>();
                if words.len() != HISTOGRAM_BINS + 3 || !rest.is_empty() {
                    return Err(error);
                }
                let counts = words.iter().map(|word| u32::from_le_bytes(*word)).collect();
                Ok(Histogram { low, high, threshold, counts })
            }
            _ => Err(error),
        }
    }

    /// A piece of a frame; the verdict after the last one.
    ///
    /// # Errors
    /// Those of [`Client::ask`].
    pub fn send_piece(&mut self, request: &Request<'_>) -> Result<Option<Judged>, Error> {
        match self.ask(request)? {
            Reply::Judged(judged) => Ok(Some(judged)),
            Reply::Done => Ok(None),
            _ => Err(Error::Answer { doing: doing(request) }),
        }
    }

    /// A request that is answered by "done".
    ///
    /// # Errors
    /// Those of [`Client::ask`].
    pub fn order(&mut self, request: &Request<'_>) -> Result<(), Error> {
        match self.ask(request)? {
            Reply::Done => Ok(()),
            _ => Err(Error::Answer { doing: doing(request) }),
        }
    }

    /// Restarts it, and leaves the session. Its answer may be lost with it.
    ///
    /// # Errors
    /// Those of [`Client::ask`].
    pub fn reboot(&mut self) -> Result<(), Error> {
        let outcome = self.order(&Request::Reboot);
        self.link.leave(None);
        outcome
    }
}

struct Once<'r> {
    request: &'r Request<'r>,
    answered: bool,
}

impl Job for Once<'_> {
    fn next(&self, _now_ms: u64) -> Next<'_> {
        if self.answered { Next::Done } else { Next::Ask(*self.request) }
    }

    fn answered(&mut self, reply: &Reply<'_>, _again: bool, _now_ms: u64) -> Result<(), Error> {
        self.answered = true;
        match reply {
            Reply::Refused(refusal) => {
                Err(Error::Refused { doing: doing(self.request), refusal: *refusal })
            }
            _ => Ok(()),
        }
    }

    fn resume(&mut self, _now_ms: u64) -> Result<(), Error> {
        Ok(())
    }
}
