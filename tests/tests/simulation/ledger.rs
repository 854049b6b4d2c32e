//! Commands that the operator gave, and what the device made of them: nothing is done that nobody
//! asked for, nothing twice, nothing of a session that is over.

use std::collections::HashMap;

use gradgate_frame::PixelFormat;
use gradgate_link::message::{Judged, Reply, Request};
use gradgate_link::packet::{Kind as PacketKind, Packet, message};
use gradgate_link::{Decoder, Telemetry};

use super::catalog::{CAMERA, VARIED_FRAMES};
use super::errand::picture;
use super::operator::{is_provision, key_number};

/// What a device does for a command and tells in its log, or shows otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    Upload,
    Finish,
    Activate,
    Confirm,
    Revert,
    Erase,
    Reboot,
    /// A verdict on the frame of that number.
    Judge(u32),
    /// The link key of that number, and what comes with it.
    Provision(u8),
}

/// A frame that a host began as a camera does.
#[derive(Clone, Copy, Debug)]
pub struct Started {
    /// Its age.
    pub age_us: u32,
    /// The network must not see it.
    pub is_unfit: bool,
}

fn deed(request: &Request<'_>) -> Option<Deed> {
    Some(match *request {
        Request::UploadBegin { .. } => Deed::Upload,
        Request::UploadFinish => Deed::Finish,
        Request::Activate { .. } => Deed::Activate,
        Request::Confirm => Deed::Confirm,
        Request::Revert => Deed::Revert,
        Request::EraseInactive => Deed::Erase,
        Request::Reboot => Deed::Reboot,
        Request::SendFrame { frame, offset, total_bytes, bytes }
            if u64::from(offset) + bytes.len() as u64 == u64::from(total_bytes) =>
        {
            Deed::Judge(frame)
        }
        Request::Provision { link_key, .. } if is_provision(request) => {
            Deed::Provision(key_number(&link_key)?)
        }
        _ => return None,
    })
}

/// A frame later than that is late under every policy.
const LATE_US: u32 = 100_000;

fn started(request: &Request<'_>) -> Option<(u32, Started)> {
    let Request::StartFrame { frame, age_us, width, height, format } = *request else {
        return None;
    };
    let format = PixelFormat::ALL.get(usize::from(format));
    let sees = (format, u32::from(width), u32::from(height));
    let other = sees != (Some(&CAMERA.format), CAMERA.width, CAMERA.height);
    let is_unfit = other || age_us > LATE_US || picture(frame) >= VARIED_FRAMES;
    Some((frame, Started { age_us, is_unfit }))
}

/// A hello after a hello that was lost is offered the same session, so that its numbers may stand
/// for two commands, of which one arrives.
struct Issued {
    session: u64,
    sequence: u32,
    deed: Option<Deed>,
    spent: bool,
}

/// What the device sends, as it leaves the port.
#[derive(Debug)]
pub enum Said {
    /// An answer for the first time; whether it was "refused".
    Answer(Option<Deed>, bool),
    /// The verdict that an answer or the stream tells.
    Judged(Judged),
    /// With its number.
    Telemetry(u32, Telemetry),
    /// A session that is offered: the packet.
    Welcome(Vec<u8>),
}

/// The books.
pub struct Ledger {
    issued: Vec<Issued>,
    answered: Vec<(u64, u32)>,
    host: Decoder,
    device: Decoder,
    /// The bundle announced last, by its prefix.
    pub announced: Option<Vec<u8>>,
    /// Frames that were begun as a camera does, by their numbers.
    pub started: HashMap<u32, Started>,
}

impl Ledger {
    /// Empty.
    pub fn new() -> Ledger {
        let (host, device) = (Decoder::new(), Decoder::new());
        Ledger {
            issued: Vec::new(),
            answered: Vec::new(),
            host,
            device,
            announced: None,
            started: HashMap::new(),
        }
    }

    /// Another start: sessions of before are over.
    pub fn restart(&mut self) {
        self.issued.clear();
        self.answered.clear();
        self.started.clear();
        self.device = Decoder::new();
    }

    /// A frame that the operator sends; what it asks for, once for each command.
    pub fn host_sent(&mut self, mut frame: &[u8]) -> Option<Deed> {
        let packet = Packet::parse(self.host.feed(&mut frame)?)?;
        if packet.kind != PacketKind::Command {
            return None;
        }
        let (session, sequence) = (packet.session, packet.sequence);
        let request: Request<'_> = message(packet.body)?;
        let deed = deed(&request);
        let known = |issued: &Issued| {
            (issued.session, issued.sequence, issued.deed) == (session, sequence, deed)
        };
        if self.issued.iter().any(known) {
            return None;
        }
        if let Request::UploadBegin { prefix, .. } = request {
            self.announced = Some(prefix.to_vec());
        }
        if let Some((frame, started)) = started(&request) {
            self.started.insert(frame, started);
        }
        self.issued.push(Issued { session, sequence, deed, spent: false });
        deed
    }

    /// A frame that the device sends.
    pub fn device_sent(&mut self, mut frame: &[u8]) -> Vec<Said> {
        let mut said = Vec::new();
        let bytes = self.device.feed(&mut frame).map(<[u8]>::to_vec);
        let Some(packet) = bytes.as_deref().and_then(Packet::parse) else {
            return said;
        };
        let (session, sequence) = (packet.session, packet.sequence);
        match packet.kind {
            PacketKind::Reply => {
                let Some(reply) = message::<Reply<'_>>(packet.body) else { return said };
                if reply == Reply::Busy || self.answered.contains(&(session, sequence)) {
                    return said;
                }
                self.answered.push((session, sequence));
                // A command of this session was taken: the ones before are over.
                self.issued.retain(|issued| issued.session >= session);
                let refused = matches!(reply, Reply::Refused(_));
                if !refused {
                    self.swap(session, sequence);
                }
                let deed = self.answer(session, sequence, refused);
                said.push(Said::Answer(deed, refused));
                if let Reply::Judged(judged) = reply {
                    said.push(Said::Judged(judged));
                }
            }
            PacketKind::Telemetry => {
                if let Some(telemetry) = message(packet.body) {
                    said.push(Said::Telemetry(sequence, telemetry));
                }
            }
            PacketKind::Welcome => said.extend(bytes.clone().map(Said::Welcome)),
            PacketKind::Hello | PacketKind::Command => {}
        }
        said
    }

    /// Ends the command that is answered; what it asked for, unless it was seen to be done.
    fn answer(&mut self, session: u64, sequence: u32, refused: bool) -> Option<Deed> {
        let known = |issued: &&mut Issued| (issued.session, issued.sequence) == (session, sequence);
        let mut undone = None;
        let mut done = false;
        for issued in self.issued.iter_mut().filter(known) {
            done |= issued.spent || issued.deed.is_none();
            undone = issued.deed;
            // A restart comes after its answer.
            issued.spent = refused || issued.deed != Some(Deed::Reboot);
        }
        undone.filter(|_| !done)
    }

    /// What was asked in one session and again in the next may have been done in either: the one
    /// that is answered was it.
    fn swap(&mut self, session: u64, sequence: u32) {
        let numbers = |issued: &Issued| (issued.session, issued.sequence);
        let place = |wanted| self.issued.iter().position(|issued| numbers(issued) == wanted);
        let Some(this) = place((session, sequence)).filter(|&this| !self.issued[this].spent) else {
            return;
        };
        let deed = self.issued[this].deed;
        if deed.is_none() {
            return;
        }
        let other = self.issued.iter().position(|issued| {
            issued.spent && issued.deed == deed && !self.answered.contains(&numbers(issued))
        });
        if let Some(other) = other {
            (self.issued[this].spent, self.issued[other].spent) = (true, false);
        }
    }

    /// Whether it was asked for and not done.
    pub fn is_open(&self, deed: Deed) -> bool {
        self.issued.iter().any(|issued| issued.deed == Some(deed) && !issued.spent)
    }

    /// The frame begun as a camera does whose last piece was sent and not judged: the newest.
    pub fn begun(&self) -> Option<u32> {
        self.open_frames().find(|frame| self.started.contains_key(frame))
    }

    /// The frame whose last piece was sent and not judged: the newest.
    pub fn judging(&self) -> Option<u32> {
        self.open_frames().next()
    }

    fn open_frames(&self) -> impl Iterator<Item = u32> {
        self.issued.iter().rev().filter_map(|issued| match issued.deed {
            Some(Deed::Judge(frame)) if !issued.spent => Some(frame),
            _ => None,
        })
    }

    /// The device keeps what it was given.
    ///
    /// # Errors
    /// Nobody gave it anything, or not once more.
    pub fn spend_provision(&mut self) -> Result<(), String> {
        let open =
            |issued: &&Issued| matches!(issued.deed, Some(Deed::Provision(_))) && !issued.spent;
        let deed = self.issued.iter().rev().find(open).and_then(|issued| issued.deed);
        self.spend(deed.ok_or("keys are kept without a command, or once more")?)
    }

    /// The device did something.
    ///
    /// # Errors
    /// Nobody asked for it, or not once more.
    pub fn spend(&mut self, deed: Deed) -> Result<(), String> {
        let open = |issued: &&mut Issued| issued.deed == Some(deed) && !issued.spent;
        // The newest: what was asked in a session before is asked again in the next.
        match self.issued.iter_mut().rev().find(open) {
            Some(issued) => {
                issued.spent = true;
                Ok(())
            }
            None => Err(format!("{deed:?} without a command, or once more")),
        }
    }
}
